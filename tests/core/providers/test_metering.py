"""Tests of what calls of the loop count: every string of an answer, whatever its vendor says about it."""

from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import islice
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
from tests.support.hostile_vendor import MARK, HostileVendor
from tests.support.stub import choosing, says

ANSWERS = sized(100, 500, 5_000)
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


@pytest.mark.parametrize(("wire", "kind"), [("openai-chat", OpenAIProvider), ("anthropic", AnthropicProvider)])
async def test_no_answer_of_a_hostile_vendor_is_free_for_the_loop(
    wire: Literal["openai-chat", "anthropic"], kind: type[OpenAIProvider] | type[AnthropicProvider]
) -> None:
    random = Random(0)
    hostile = HostileVendor(wire, random, streamed=True, tidy=True)
    given = [hostile.answer(b'{"max_tokens":2000}') for _ in range(ANSWERS)]
    left = iter(given)
    async with choosing(lambda asked: says(STREAM, *next(left).pieces[1:])) as server:
        provider: Vendor = kind(server.url, "k")
        try:
            for answer in islice(given, ANSWERS):
                spoken = CompletionBuilder("p", HI.max_output_chars)
                whole = False
                with suppress(ProviderFailure):
                    await complete(provider, HI, None, spoken)  # type: ignore[arg-type]
                    whole = True
                body = b"".join(answer.pieces[1:])
                written = body.replace(b"\r\n", b"\n").rpartition(b"\n\n")[0].replace(b"\\u0077", MARK).count(MARK)
                usage, _ = spoken.meter.counted(2, whole=whole, output_max=HI.max_output_tokens)
                read = answer.whole and whole and answer.usage != "late"  # it reads up to the end that the API has
                least = max(written // 4, answer.output_tokens if read else 0)
                assert (usage.output_tokens or 0) >= least, (answer.usage, body, usage)
                assert (usage.output_tokens or 0) <= max(2_000, len(body)), (answer, usage)
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
