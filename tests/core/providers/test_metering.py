"""Tests of what calls of the loop count: every string of an answer, whatever its vendor says about it."""

from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import count, islice
from random import Random
from typing import Literal

import pytest

from athena_core.mask import Mask
from athena_core.providers.anthropic import AnthropicProvider
from athena_core.providers.masked import MaskedProvider
from athena_core.providers.openai import OpenAIProvider
from athena_core.providers.prices import COUNTED_TOKENS_MAX, Meter
from athena_core.providers.provider import (
    CompletionBuilder,
    Delta,
    Finished,
    ModelMessage,
    ModelRequest,
    ProviderFailure,
    TextDelta,
    UsageReport,
    complete,
)
from athena_core.providers.vendor import Vendor
from athena_core.values import Usage
from tests.scale import sized
from tests.simulation.gateway_vendor import COUNTED, MARK, Asked, Script, answer_of
from tests.support.stub import Behaviour, choosing, says

ANSWERS = sized(100, 500, 5_000)
ASKED = Asked(2_000, 1, True)
HI = ModelRequest(model="m", messages=(ModelMessage(role="user", content="hi"),), max_output_tokens=2_000)
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


class Scripted:
    name = default_model = "scripted"
    configured = True

    def __init__(self, *deltas: Delta) -> None:
        self._deltas = deltas

    async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        for delta in self._deltas:
            yield delta

    async def models(self) -> tuple[str, ...]:
        return ()

    async def close(self) -> None:
        pass


def drawn(wire: Literal["openai-chat", "anthropic"]) -> list[Script]:
    """Return answers of a hostile vendor in lines that the API sends. Some break off."""
    random = Random(0)
    scripts = (answer_of(wire, random, random.choice(("call", "call", "breaks")), ASKED, 26) for _ in count())
    return list(islice((one for one in scripts if b"\r" not in one.data.replace(b"\r\n", b"")), ANSWERS))


@pytest.mark.parametrize(("wire", "kind"), [("openai-chat", OpenAIProvider), ("anthropic", AnthropicProvider)])
async def test_no_answer_of_a_hostile_vendor_is_free_for_the_loop(
    wire: Literal["openai-chat", "anthropic"], kind: type[OpenAIProvider] | type[AnthropicProvider]
) -> None:
    given = drawn(wire)
    left = iter(given)

    def choose(asked: object) -> Behaviour:
        script = next(left)
        return says(STREAM, script.data[: script.size])

    async with choosing(choose) as server:
        provider: Vendor = kind(server.url, "k")
        try:
            for script in given:
                spoken = CompletionBuilder("p", HI.max_output_chars)
                whole = False
                with suppress(ProviderFailure):
                    await complete(provider, HI, None, spoken)  # type: ignore[arg-type]
                    whole = True
                body = script.data[: script.size]
                written = body.replace(b"\r\n", b"\n").rpartition(b"\n\n")[0].count(MARK)
                usage, _ = spoken.meter.counted(2, whole=whole, output_max=HI.max_output_tokens)
                reported = script.whole and whole and script.counts in COUNTED
                read = reported and script.counts != "late"  # it reads up to the end that the API has
                least = max(written // 4, (script.given or 0) if read else 0)
                assert (usage.output_tokens or 0) >= least, (script.counts, body, usage)
                assert (usage.output_tokens or 0) <= max(2_000, len(body)), (script, usage)
        finally:
            await provider.close()


@pytest.mark.parametrize("seen", ["sk-", "sk-canary", "plain"])
async def test_text_that_the_mask_holds_back_was_counted(seen: str) -> None:
    report = UsageReport(usage=Usage(input_tokens=1, output_tokens=3))
    provider = MaskedProvider(Scripted(TextDelta(text=seen), report, Finished(reason="stop")), Mask(["sk-canary"]))
    spoken = CompletionBuilder("p", 100)
    await complete(provider, HI, None, spoken)
    assert spoken.meter.counted(2, whole=True) == (Usage(input_tokens=1, output_tokens=3, total_tokens=4), False)


async def test_text_after_a_report_counts_also_behind_the_mask() -> None:
    report = UsageReport(usage=Usage(input_tokens=1, output_tokens=3))
    deltas = (report, TextDelta(text="x" * 40 + "sk-"), Finished(reason="stop"))
    spoken = CompletionBuilder("p", 100)
    await complete(MaskedProvider(Scripted(*deltas), Mask(["sk-canary"])), HI, None, spoken)
    assert spoken.meter.counted(2, whole=True)[0].output_tokens == 3 + 11


@pytest.mark.parametrize(
    ("output_max", "claimed", "counted"),
    [
        (100, 2**53, 100),
        (100, 99, 99),
        (None, 2**53, COUNTED_TOKENS_MAX),
        (1, 2**53, 10),  # the vendor ignored the limit: what passed counts
    ],
)
def test_a_count_is_believed_up_to_the_limit_or_the_length(output_max: int | None, claimed: int, counted: int) -> None:
    meter = Meter()
    meter.write(40)
    meter.report(Usage(input_tokens=2**53, output_tokens=claimed))
    usage, estimated = meter.counted(8, whole=True, output_max=output_max)
    assert (usage.input_tokens, usage.output_tokens, estimated) == (2, counted, True)
