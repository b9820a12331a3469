"""The masked provider: it hides secrets, however they are split, and passes everything else unchanged."""

from collections.abc import AsyncIterator

import pytest

from athena_core.mask import Mask
from athena_core.providers.masked import MaskedProvider
from athena_core.providers.provider import (
    Delta,
    Finished,
    ModelMessage,
    ModelRequest,
    ProviderFailure,
    TextDelta,
    ToolCallDelta,
    complete,
)
from athena_core.values import ToolCall

KEY, LONGER = "sk-canary", "sk-canary-longer"
MASK = Mask([KEY, LONGER, "short", ""])
HI = ModelRequest(model="m", messages=(ModelMessage(role="user", content="hi"),))


class Scripted:
    name = "scripted"
    default_model = "m"
    configured = True

    def __init__(self, *deltas: Delta | ProviderFailure) -> None:
        self.deltas = deltas

    async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        for delta in self.deltas:
            if isinstance(delta, ProviderFailure):
                raise delta
            yield delta

    async def models(self) -> tuple[str, ...]:
        return (self.default_model,)

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("size", [1, 2, 5, 100])
async def test_text_and_arguments_are_masked_across_deltas(size: int) -> None:
    text, arguments = f"it is {KEY}, ok? sk-ca", f'{{"key": "{KEY}"}}sk'
    deltas: list[Delta] = []
    for at in range(0, len(text), size):
        deltas.append(TextDelta(text=text[at : at + size]))
        piece = arguments[at : at + size]
        deltas.append(ToolCallDelta(index=0, id=f"i{KEY}", name=f"n{KEY}", arguments=piece))
    finished = Finished(reason=f"stop {KEY}", request_id=f"req {KEY}")
    answer = await complete(MaskedProvider(Scripted(*deltas, finished), MASK), HI)
    assert answer.text == "it is ***, ok? sk-ca"
    assert answer.calls == (ToolCall(id="i***", name="n***", arguments='{"key": "***"}sk'),)
    assert (answer.reason, answer.request_id) == ("stop ***", "req ***")


async def test_text_that_cannot_begin_a_key_is_not_held_back() -> None:
    seen: list[str] = []
    deltas = [TextDelta(text="one "), TextDelta(text="two s"), TextDelta(text="ix")]
    await complete(MaskedProvider(Scripted(*deltas, Finished(reason="stop")), MASK), HI, seen.append)
    assert seen == ["one ", "two ", "six"]


async def test_a_failure_is_masked_and_keeps_its_details() -> None:
    failure = ProviderFailure(f"no {KEY}", worth_retrying=True, wait_seconds=3.0)
    with pytest.raises(ProviderFailure) as caught:
        await complete(MaskedProvider(Scripted(failure), MASK), HI)
    assert (caught.value.message, caught.value.worth_retrying, caught.value.wait_seconds) == ("no ***", True, 3.0)
    assert caught.value.__cause__ is None
