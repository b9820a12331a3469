"""Model calls: attempts, waits, the next model of the route, counts and costs."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress

import anyio
import pytest

from athena_core.clock import CountingIds, FixedClock
from athena_core.providers.mock import MockProvider
from athena_core.providers.prices import CallCost, ModelPrices, Prices, PriceTable, TokenRates
from athena_core.providers.provider import (
    Delta,
    Finished,
    ModelMessage,
    ModelRequest,
    Provider,
    ProviderFailure,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from athena_core.services.execution.model_call import RETRY_AFTER_SECONDS_MAX, ModelAnswer, ModelCaller, route
from athena_core.values import ToolCall, ToolSpec, Usage

HI = ModelRequest(model="", messages=(ModelMessage(role="user", content="hi there"),))
RATES = TokenRates(above=0, input=1_000_000, cached=500_000, written=2_000_000, output=3_000_000, reasoning=3_000_000)
PRICES = Prices(PriceTable(version="of a test", models={"paid": (ModelPrices(match="^m", rates=(RATES,)),)}))
DONE = Finished(reason="stop")
Script = Sequence[Delta | ProviderFailure]


def passing(wait_seconds: float | None = None) -> ProviderFailure:
    return ProviderFailure("busy", worth_retrying=True, wait_seconds=wait_seconds)


def lasting() -> ProviderFailure:
    return ProviderFailure("no", worth_retrying=False)


class Scripted:
    """A provider with one behaviour for each call; the last one stays."""

    default_model = "m"
    configured = True

    def __init__(self, name: str, *scripts: Script) -> None:
        self.name = name
        self.scripts = list(scripts)
        self.requests: list[ModelRequest] = []

    async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        self.requests.append(request)
        for step in self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]:
            if isinstance(step, ProviderFailure):
                raise step
            yield step

    async def models(self) -> tuple[str, ...]:
        return (self.default_model,)

    async def close(self) -> None:
        pass


class Asked:
    """A model caller over some providers, which records how long it waited."""

    def __init__(self, *providers: Scripted | MockProvider) -> None:
        self.clock = FixedClock()
        self.waits: list[float] = []
        self.asker = ModelCaller(
            {provider.name: provider for provider in providers}, PRICES, self.clock, CountingIds(), self.sleep
        )

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.advance(round(seconds * 1000))


async def answer(*script: Delta, request: ModelRequest = HI) -> ModelAnswer:
    """Return the result of one script of a provider with prices."""
    return await Asked(Scripted("paid", script)).asker.ask(request, [("paid", "m-1")], attempts=1)


async def test_an_answer_has_its_provider_and_cost() -> None:
    usage = Usage(input_tokens=10, output_tokens=5, total_tokens=15, cached_input_tokens=4)
    provider = Scripted("paid", [TextDelta(text="yes"), UsageReport(usage=usage), DONE])
    answered = await Asked(provider).asker.ask(HI, [("paid", "m-1")], attempts=3)
    assert (answered.completion.text, answered.paid.provider, answered.paid.model) == ("yes", "paid", "m-1")
    assert (answered.attempts, answered.hops, answered.latency_ms) == (1, 0, 0)
    assert (answered.paid.usage, answered.paid.estimated) == (usage, False)
    assert (answered.paid.cost_micro_usd, answered.paid.unpriced, answered.paid.price_version) == (
        23,
        False,
        "of a test",
    )
    assert [request.model for request in provider.requests] == ["m-1"]


async def test_the_mock_is_free_and_of_no_table() -> None:
    answered = await Asked(MockProvider()).asker.ask(HI, [("mock", "any")], attempts=1)
    assert (answered.paid.cost_micro_usd, answered.paid.unpriced, answered.paid.price_version) == (0, False, None)


async def test_an_unknown_model_is_never_free() -> None:
    provider = Scripted("paid", [TextDelta(text="yes"), DONE])
    answered = await Asked(provider).asker.ask(HI, [("paid", "unknown")], attempts=1)
    assert (answered.paid.cost_micro_usd, answered.paid.unpriced, answered.paid.price_version) == (
        None,
        True,
        "of a test",
    )


async def test_failures_that_pass_are_tried_again_with_jitter() -> None:
    asked = Asked(Scripted("paid", [passing()], [passing()], [TextDelta(text="yes"), DONE]))
    answered = await asked.asker.ask(HI, [("paid", "m")], attempts=3)
    assert (answered.attempts, answered.hops) == (3, 0)
    assert asked.waits == [0.1, 0.2]  # half of the widest, as the fixed ids say
    assert answered.latency_ms == 300


async def test_failures_that_stay_are_not() -> None:
    asked = Asked(Scripted("paid", [lasting()]))
    with pytest.raises(ProviderFailure, match="no") as caught:
        await asked.asker.ask(HI, [("paid", "m")], attempts=5)
    assert (caught.value.attempts, caught.value.hops, asked.waits) == (1, 0, [])


async def test_the_last_failure_has_the_number_of_attempts() -> None:
    asked = Asked(Scripted("paid", [passing()]))
    with pytest.raises(ProviderFailure, match="busy") as caught:
        await asked.asker.ask(HI, [("paid", "m")], attempts=4)
    assert (caught.value.attempts, len(asked.waits)) == (4, 3)


async def test_the_wait_that_a_provider_asks_for_is_kept_and_slightly_exceeded() -> None:
    asked = Asked(Scripted("paid", [passing(wait_seconds=7.0)], [DONE]))
    await asked.asker.ask(HI, [("paid", "m")], attempts=2)
    assert asked.waits == [7.1]


@pytest.mark.parametrize(("wait_seconds", "deadline_seconds"), [(RETRY_AFTER_SECONDS_MAX + 1, None), (30.0, 20.0)])
async def test_a_wait_beyond_the_limit_or_the_deadline_is_not_begun(
    wait_seconds: float, deadline_seconds: float | None
) -> None:
    asked = Asked(Scripted("paid", [passing(wait_seconds)]), Scripted("other", [TextDelta(text="me"), DONE]))
    with anyio.fail_after(deadline_seconds):
        with pytest.raises(ProviderFailure) as caught:
            await asked.asker.ask(HI, [("paid", "m")], attempts=2)
        answered = await asked.asker.ask(HI, [("paid", "m"), ("other", "n")], attempts=2)
    assert caught.value.attempts == 1
    assert (answered.paid.provider, answered.attempts, answered.hops) == ("other", 2, 1)
    assert asked.waits == []


async def test_the_next_of_the_route_is_asked_with_its_own_model() -> None:
    first, second = Scripted("paid", [lasting()]), Scripted("other", [passing()], [TextDelta(text="me"), DONE])
    answered = await Asked(first, second).asker.ask(HI, [("paid", "m"), ("other", "n")], attempts=2)
    assert (answered.paid.provider, answered.paid.model, answered.completion.text) == ("other", "n", "me")
    assert (answered.attempts, answered.hops) == (3, 1)
    assert [request.model for request in second.requests] == ["n", "n"]


@pytest.mark.parametrize(
    ("failures", "retryable"),
    [
        ((lasting, lasting), False),
        ((lasting, passing), True),
        ((passing, lasting), True),
    ],
)
async def test_a_failure_is_retryable_if_any_of_the_route_may_pass(
    failures: tuple[Callable[[], ProviderFailure], ...], retryable: bool
) -> None:
    first, second = (Scripted(name, [failure()]) for name, failure in zip(("paid", "other"), failures, strict=True))
    with pytest.raises(ProviderFailure) as caught:
        await Asked(first, second).asker.ask(HI, [("paid", "m"), ("other", "n")], attempts=1)
    assert (caught.value.retryable, caught.value.retry_with) == (retryable, "new-key" if retryable else None)


async def test_a_provider_that_is_gone_is_a_failure() -> None:
    asked = Asked(Scripted("paid", [DONE]))
    with pytest.raises(ProviderFailure, match="provider 'gone' is not registered"):
        await asked.asker.ask(HI, [("gone", "m")], attempts=2)
    assert (await asked.asker.ask(HI, [("gone", "m"), ("paid", "m")], attempts=2)).hops == 1


@pytest.mark.parametrize(("retries_left", "attempts"), [(0, 2), (1, 3), (3, 5), (None, 6)])
async def test_retries_of_all_providers_together_are_bounded(retries_left: int | None, attempts: int) -> None:
    asked = Asked(Scripted("paid", [passing()]), Scripted("other", [passing()]))
    with pytest.raises(ProviderFailure) as caught:
        await asked.asker.ask(HI, [("paid", "m"), ("other", "n")], attempts=3, retries_left=retries_left)
    assert (caught.value.attempts, caught.value.hops) == (attempts, 1)


async def test_text_of_a_call_that_failed_is_taken_back() -> None:
    seen: list[str | None] = []
    provider = Scripted("paid", [TextDelta(text="ye")], [passing()], [TextDelta(text="no"), DONE])
    answered = await Asked(provider).asker.ask(HI, [("paid", "m")], attempts=3, on_text=seen.append)
    assert seen == ["ye", None, "no"]
    assert (answered.completion.text, answered.attempts) == ("no", 3)


async def test_cancelling_goes_through() -> None:
    class Silent(Scripted):
        async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
            scope.cancel()
            await anyio.sleep_forever()
            yield DONE

    with anyio.CancelScope() as scope:
        await Asked(Silent("paid", [])).asker.ask(HI, [("paid", "m")], attempts=5)
    assert scope.cancelled_caught


# The cost of failed calls

REPORT = UsageReport(usage=Usage(input_tokens=10, output_tokens=5, total_tokens=15))  # 25 micro-USD


async def test_the_usage_of_failed_attempts_is_kept_with_its_price() -> None:
    provider = Scripted("paid", [REPORT, passing()], [passing()], [REPORT, REPORT], [TextDelta(text="yes"), DONE])
    in_vain: list[CallCost] = []
    answered = await Asked(provider).asker.ask(HI, [("paid", "m")], attempts=4, in_vain=in_vain)
    assert [(one.usage, one.cost_micro_usd, one.price_version) for one in in_vain] == [
        (REPORT.usage, 25, "of a test")
    ] * 2
    assert answered.attempts == 4


async def test_output_that_a_failed_attempt_did_not_report_is_estimated_from_what_it_said() -> None:
    started = UsageReport(usage=Usage(input_tokens=7))
    in_vain: list[CallCost] = []
    with pytest.raises(ProviderFailure):
        script: Script = [started, TextDelta(text="zwölf bits"), lasting()]
        await Asked(Scripted("paid", script)).asker.ask(HI, [("paid", "m")], attempts=1, in_vain=in_vain)
    (vain,) = in_vain
    assert (vain.usage, vain.estimated) == (Usage(input_tokens=7, output_tokens=3, total_tokens=10), True)


async def test_a_call_that_was_cut_off_without_a_report_is_estimated_and_keeps_its_text() -> None:
    asked = Asked(
        Scripted("paid", [lasting()], [TextDelta(text="zwölf "), TextDelta(text="bits"), passing()], [passing()])
    )
    in_vain: list[CallCost] = []
    for _ in range(2):
        with pytest.raises(ProviderFailure):
            await asked.asker.ask(HI, [("paid", "m")], attempts=2, in_vain=in_vain)
    (vain,) = in_vain
    assert (vain.usage, vain.estimated) == (Usage(input_tokens=2, output_tokens=3, total_tokens=5), True)
    assert (vain.cost_micro_usd, vain.partial) == (2 + 3 * 3, "zwölf bits")


async def test_pieces_of_a_tool_call_are_output_too() -> None:
    in_vain: list[CallCost] = []
    script: Script = [ToolCallDelta(index=0, id="a", name="files", arguments='{"action":'), lasting()]
    with pytest.raises(ProviderFailure):
        await Asked(Scripted("paid", script)).asker.ask(HI, [("paid", "m")], attempts=1, in_vain=in_vain)
    assert [(one.usage.output_tokens, one.partial) for one in in_vain] == [(4, "")]


async def test_the_usage_of_a_cancelled_call_is_kept() -> None:
    class Silent(Scripted):
        async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
            yield REPORT
            scope.cancel()
            await anyio.sleep_forever()

    in_vain: list[CallCost] = []
    with anyio.CancelScope() as scope:
        await Asked(Silent("paid", [])).asker.ask(HI, [("paid", "m")], attempts=5, in_vain=in_vain)
    assert [one.usage for one in in_vain] == [REPORT.usage]


@pytest.mark.parametrize(("left", "calls"), [(None, 5), (1_000, 5), (51, 3), (50, 2), (25, 1), (1, 1)])
async def test_no_attempt_follows_once_failed_ones_cost_the_rest_of_the_budget(left: int | None, calls: int) -> None:
    provider, other = Scripted("paid", [REPORT, passing()]), Scripted("other", [DONE])
    with pytest.raises(ProviderFailure, match="busy"):
        route = [("paid", "m"), ("other", "n")] if left is not None and calls < 5 else [("paid", "m")]
        await Asked(provider, other).asker.ask(HI, route, attempts=5, left_micro_usd=left)
    assert (len(provider.requests), len(other.requests)) == (calls, 0)


async def test_the_output_of_each_attempt_is_limited_by_the_remaining_budget() -> None:
    provider = Scripted("paid", [REPORT, passing()], [REPORT, passing()], [TextDelta(text="yes"), DONE])
    await Asked(provider).asker.ask(HI, [("paid", "m")], attempts=3, left_micro_usd=100)
    assert [request.max_output_tokens for request in provider.requests] == [32, 23, 15]  # 3 each, after 2 of input at 2


@pytest.mark.parametrize(
    ("left", "reason", "given", "cut"),
    [
        (100, "length", 32, True),
        (100, "length", 31, False),  # the model's own limit came first
        (100, "stop", 32, False),
        (None, "length", 32, False),
    ],
)
async def test_an_answer_that_ends_where_the_budget_does_is_cut(
    left: int | None, reason: str, given: int, cut: bool
) -> None:
    report = UsageReport(usage=Usage(input_tokens=2, output_tokens=given))
    asked = Asked(Scripted("paid", [TextDelta(text="y"), report, Finished(reason=reason)]))
    answered = await asked.asker.ask(HI, [("paid", "m")], attempts=1, left_micro_usd=left)
    assert answered.cut == cut


@pytest.mark.parametrize("failing", [False, True])
async def test_counts_below_0_take_nothing_off_an_account(failing: bool) -> None:
    report = UsageReport(usage=Usage(input_tokens=-1_000, output_tokens=-5, total_tokens=-9, cached_input_tokens=-3))
    in_vain: list[CallCost] = []
    asked = Asked(Scripted("paid", [TextDelta(text="zwölf bits"), report, lasting() if failing else DONE]))
    with suppress(ProviderFailure):
        answered = await asked.asker.ask(HI, [("paid", "m")], attempts=1, in_vain=in_vain)
        in_vain.append(answered.paid)
    (account,) = in_vain
    assert account.usage == Usage(input_tokens=2, output_tokens=3, total_tokens=5)
    assert (account.estimated, account.cost_micro_usd) == (True, 11)


@pytest.mark.parametrize(
    ("report", "usage", "estimated"),
    [
        (None, Usage(input_tokens=2, output_tokens=3, total_tokens=5), True),
        (Usage(input_tokens=7), Usage(input_tokens=7, output_tokens=3, total_tokens=10), True),
        (Usage(total_tokens=99), Usage(input_tokens=2, output_tokens=3, total_tokens=5), True),
        (
            Usage(output_tokens=7, reasoning_tokens=1),
            Usage(input_tokens=2, output_tokens=7, total_tokens=9, reasoning_tokens=1),
            True,
        ),
        (Usage(input_tokens=7, output_tokens=1), Usage(input_tokens=7, output_tokens=1, total_tokens=8), False),
    ],
)
async def test_usage_that_is_not_reported_is_estimated_and_flagged(
    report: Usage | None, usage: Usage, estimated: bool
) -> None:
    reports = [UsageReport(usage=report)] if report else []
    answered = await answer(TextDelta(text="zwölf bits"), *reports, DONE)
    assert (answered.paid.usage, answered.paid.estimated) == (usage, estimated)


async def test_tools_and_calls_count_in_an_estimate() -> None:
    tool = ToolSpec(name="t", description="d" * 100, parameters={"type": "object"})
    call = ToolCall(id="1", name="t", arguments="a" * 99)
    said = ModelMessage(role="assistant", content="", calls=(call,))
    request = ModelRequest(model="", messages=(*HI.messages, said), tools=(tool,))
    answered = await answer(ToolCallDelta(index=0, id="2", name="t", arguments="b" * 99), DONE, request=request)
    assert answered.paid.usage.input_tokens is not None
    assert answered.paid.usage.input_tokens > (100 + 99 + 8) // 4
    assert answered.paid.usage.output_tokens == 25


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (["call_abc", "toolu_01"], lambda one, two: (one, two) == ("call_abc", "toolu_01")),
        (["", ""], lambda one, two: one != two),
        (["same", "same"], lambda one, two: one == "same" != two),
        (["earlier", "x" * 65], lambda one, two: "earlier" not in {one, two} and len(two) < 65),
        (["with space", "é"], lambda one, two: (one + two).replace("_", "").isalnum() and one.isascii()),
    ],
)
async def test_every_call_gets_an_id_of_its_own(sent: list[str], kept: Callable[[str, str], bool]) -> None:
    said = ModelMessage(role="assistant", content="", calls=(ToolCall(id="earlier", name="t", arguments="{}"),))
    request = ModelRequest(model="", messages=(*HI.messages, said))
    deltas = [ToolCallDelta(index=index, id=one, name="t") for index, one in enumerate(sent)]
    first, second = (await answer(*deltas, DONE, request=request)).completion.calls
    assert kept(first.id, second.id), (first, second)


def test_a_route_goes_on_to_the_default_models_of_the_others() -> None:
    providers: dict[str, Provider] = {
        "paid": Scripted("paid", []),
        "other": Scripted("other", []),
        "mock": MockProvider(),
    }
    assert route("paid", "m-1", ("other", "gone", "paid", "mock"), providers) == (
        ("paid", "m-1"),
        ("other", "m"),
        ("mock", "mock-model"),
    )
    assert route("mock", "any", (), providers) == (("mock", "any"),)


async def test_a_route_is_not_empty() -> None:
    with pytest.raises(ValueError, match="a route names"):
        await Asked().asker.ask(HI, [], attempts=1)
