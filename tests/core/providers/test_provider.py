"""Tests of the contract that ``complete`` demands of any provider, and of the mock."""

from collections.abc import AsyncIterator

import pytest

from athena_core.mask import Mask
from athena_core.providers.mock import MockProvider
from athena_core.providers.provider import (
    MAX_CALLS,
    MAX_MESSAGE_CHARS,
    MAX_TOKENS,
    Delta,
    Finished,
    ModelCompletion,
    ModelMessage,
    ModelRequest,
    ProviderFailure,
    TextDelta,
    ToolCallDelta,
    UsageReport,
    complete,
    token_count,
)
from athena_core.providers.registry import registry
from athena_core.values import ToolCall, Usage

HI = ModelRequest(model="m", messages=(ModelMessage(role="user", content="hi"),))


class Scripted:
    name = "scripted"
    default_model = "m"
    configured = True

    def __init__(self, *deltas: Delta) -> None:
        self.deltas = deltas
        self.stream_is_closed = False

    async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        try:
            for delta in self.deltas:
                yield delta
        finally:
            self.stream_is_closed = True

    async def models(self) -> tuple[str, ...]:
        return (self.default_model,)

    async def close(self) -> None:
        pass


async def test_mock_echoes_one_message() -> None:
    seen: list[str] = []
    answer = await complete(MockProvider(), HI, seen.append)
    assert answer == ModelCompletion(
        text="Echo: user: hi", usage=Usage(input_tokens=8, output_tokens=14, total_tokens=22), reason="stop"
    )
    assert len(seen) > 1
    assert "".join(seen) == answer.text


async def test_mock_echoes_a_conversation_line_by_line() -> None:
    messages = (ModelMessage(role="system", content="be kind"), ModelMessage(role="user", content="hi"))
    answer = await complete(MockProvider(), ModelRequest(model="m", messages=messages))
    assert answer.text == "Echo: system: be kind\nuser: hi"


async def test_a_stream_without_a_finish_is_an_error_worth_retrying() -> None:
    with pytest.raises(ProviderFailure, match="truncated stream") as caught:
        await complete(Scripted(TextDelta(text="half an ans")), HI)
    assert caught.value.worth_retrying
    assert caught.value.code == "PROVIDER_ERROR"


async def test_output_over_the_cap_is_an_error_and_closes_the_stream() -> None:
    provider = Scripted(TextDelta(text="12345"), TextDelta(text="6"), Finished(reason="stop"))
    request = ModelRequest(model="m", messages=HI.messages, max_output_chars=5)
    seen: list[str] = []
    with pytest.raises(ProviderFailure, match="output exceeds 5 characters") as caught:
        await complete(provider, request, seen.append)
    assert not caught.value.worth_retrying
    assert seen == ["12345"]
    assert provider.stream_is_closed


async def test_text_reason_and_id_are_cleaned_and_usage_may_be_absent() -> None:
    provider = Scripted(
        TextDelta(text="a\x00b\ud800c"), Finished(reason="st\nop" + "p" * 100, request_id="\x1b[2J" + "x" * 500)
    )
    seen: list[str] = []
    answer = await complete(provider, HI, seen.append)
    assert seen == [answer.text] == ["a\ufffdb\ufffdc"]
    assert answer.usage is None
    assert answer.reason == ("st op" + "p" * 100)[:64]
    assert answer.request_id is not None
    assert answer.request_id.isprintable()
    assert len(answer.request_id) == 200


async def test_tool_calls_are_put_together_from_their_pieces() -> None:
    provider = Scripted(
        ToolCallDelta(index=0, id="a", name="files", arguments='{"pa'),
        ToolCallDelta(index=3, id="b", name="memory"),
        TextDelta(text="I look."),
        ToolCallDelta(index=0, arguments='th": "x'),
        ToolCallDelta(index=1, id=None, name="shell", arguments="{broken \x00"),
        ToolCallDelta(index=0, id="later", name="later", arguments='"}'),
        Finished(reason="tool_calls"),
    )
    answer = await complete(provider, HI)
    assert answer.text == "I look."
    assert answer.calls == (
        ToolCall(id="a", name="files", arguments='{"path": "x"}'),
        ToolCall(id="", name="shell", arguments="{broken \ufffd"),
        ToolCall(id="b", name="memory", arguments="{}"),
    )


@pytest.mark.parametrize(
    ("delta", "count", "problem"),
    [
        (ToolCallDelta(index=0, arguments="x" * 100_000), 3, "arguments of a tool call exceed 256000 characters"),
        (ToolCallDelta(index=0, arguments="x" * 1_000), 2, "output exceeds 1500 characters"),
    ],
)
async def test_a_tool_call_has_a_size(delta: ToolCallDelta, count: int, problem: str) -> None:
    provider = Scripted(*[delta] * count, Finished(reason="stop"))
    cap = 1_500 if "output" in problem else 1_000_000
    with pytest.raises(ProviderFailure, match=problem) as caught:
        await complete(provider, ModelRequest(model="m", messages=HI.messages, max_output_chars=cap))
    assert not caught.value.worth_retrying
    assert provider.stream_is_closed


async def test_the_number_of_tool_calls_has_a_limit() -> None:
    calls = [ToolCallDelta(index=index, name="t") for index in range(MAX_CALLS + 1)]
    with pytest.raises(ProviderFailure, match="more than 128 tool calls at once"):
        await complete(Scripted(*calls, Finished(reason="stop")), HI)
    assert len((await complete(Scripted(*calls[:-1], Finished(reason="stop")), HI)).calls) == MAX_CALLS


async def test_the_last_usage_report_counts() -> None:
    first, last = Usage(output_tokens=1), Usage(output_tokens=2)
    provider = Scripted(UsageReport(usage=first), Finished(reason="stop"), UsageReport(usage=last))
    assert (await complete(provider, HI)).usage == last


def test_a_failure_speaks_one_short_printable_line() -> None:
    failure = ProviderFailure("a\nb\x1b[31m\ud800" + "c" * 1000, worth_retrying=True, wait_seconds=2.0)
    assert failure.message.startswith("a b [31m\ufffdc")
    assert len(failure.message) == MAX_MESSAGE_CHARS
    assert failure.wait_seconds == 2.0


@pytest.mark.parametrize(
    ("sent", "understood"),
    [
        (0, 0),
        (7, 7),
        (7.0, 7),
        (2**80, MAX_TOKENS),
        (1e300, MAX_TOKENS),
        (-1, None),
        (7.5, None),
        (float("nan"), None),
        (float("inf"), None),
        ("7", None),
        (True, None),
        (None, None),
        ([], None),
    ],
)
def test_only_counts_are_counts(sent: object, understood: int | None) -> None:
    assert token_count(sent) == understood


async def test_the_registry_knows_every_provider_by_its_name() -> None:
    models = {
        "mock": "mock-model",
        "openai": "gpt-4o-mini",
        "anthropic": "claude-haiku-4-5",
        "local-exec": "local-exec",
        "http": "default",
    }
    for providers in (
        registry(Mask(), http_url="http://127.0.0.1:9/"),
        registry(Mask(), http_url="x", http_api_key="sk-01"),
    ):
        assert {name: provider.default_model for name, provider in providers.items()} == models
        for provider in providers.values():
            await provider.close()
    assert "http" not in registry(Mask())
