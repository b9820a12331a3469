"""Our clients against LLMock, a third party's server that breaks down on demand and grades its clients."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from athena_core.clock import SystemClock, SystemIds
from athena_core.providers.anthropic import AnthropicProvider
from athena_core.providers.openai import OpenAIProvider
from athena_core.providers.prices import Prices
from athena_core.providers.provider import ModelMessage, ModelRequest, Provider
from athena_core.services.execution.model_call import ModelAnswer, ModelCaller
from athena_core.values import ToolSpec
from tests.support.breakable import Breakable

MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-haiku-4-5"}
HI = ModelRequest(model="", messages=(ModelMessage(role="user", content="What is the weather in Paris?"),))
WEATHER = ToolSpec(
    name="get_weather",
    description="The weather of a city.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
ATTEMPTS = 5


@asynccontextmanager
async def asking(server: Breakable, silence_seconds: float = 30.0) -> AsyncIterator[ModelCaller]:
    providers: dict[str, Provider] = {
        "openai": OpenAIProvider(server.base_url("openai"), "sk-any", silence_seconds=silence_seconds),
        "anthropic": AnthropicProvider(server.base_url("anthropic"), "sk-any", silence_seconds=silence_seconds),
    }
    try:
        yield ModelCaller(providers, Prices.load(), SystemClock(), SystemIds())
    finally:
        for provider in providers.values():
            await provider.close()


async def ask(
    server: Breakable,
    *route: str,
    request: ModelRequest = HI,
    attempts: int = ATTEMPTS,
    silence_seconds: float = 30.0,
    seen: list[str | None] | None = None,
) -> ModelAnswer:
    async with asking(server, silence_seconds) as asker:
        on_text = None if seen is None else seen.append
        pairs = [(name, MODELS[name]) for name in route]
        return await asker.ask(request, pairs, attempts=attempts, on_text=on_text)


@pytest.fixture(scope="module")
def process() -> Iterator[Breakable]:
    server = Breakable()
    yield server
    server.close()


@pytest.fixture
def server(process: Breakable) -> Breakable:
    process.reset()
    return process


def breaks(how: str, times: int | None = 1, **fields: object) -> dict[str, object]:
    return {"type": "stream_fault", "kind": how, "after_chunks": 2, "times": times, **fields}


def says(text: str | None = None, times: int | None = 1, **fields: object) -> dict[str, object]:
    return {"type": "reply", "text": text, "times": times, **fields}


@pytest.fixture(params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_an_answer_has_its_text_usage_and_price(server: Breakable, name: str) -> None:
    server.behave(says("Rain, as ever."))
    seen: list[str | None] = []
    answered = await ask(server, name, seen=seen)
    assert answered.completion.text == "Rain, as ever."
    assert "".join(filter(None, seen)) == answered.completion.text
    assert answered.completion.reason == "stop"
    assert answered.completion.request_id
    assert not answered.paid.estimated
    assert answered.paid.cost_micro_usd
    server.grade()


@pytest.mark.parametrize("how", ["disconnect", "truncate", "malformed"])
async def test_a_stream_that_breaks_is_begun_anew(server: Breakable, name: str, how: str) -> None:
    server.behave(says("The whole answer, from the first word to the last.", None), breaks(how))
    seen: list[str | None] = []
    answered = await ask(server, name, seen=seen)
    assert answered.completion.text == "The whole answer, from the first word to the last."
    assert answered.attempts == 2
    after = seen[seen.index(None) + 1 :] if None in seen else seen
    assert "".join(filter(None, after)) == answered.completion.text
    server.grade(strict=False)  # it warns of the broken attempt when the next comes before it saw us leave


async def test_a_stream_that_stalls_is_left(server: Breakable, name: str) -> None:
    server.behave(breaks("stall", stall_seconds=20))
    assert (await ask(server, name, silence_seconds=0.5)).attempts >= 2  # a busy machine may be silent, too
    server.grade()


async def test_tools_are_called_and_their_results_are_understood(server: Breakable, name: str) -> None:
    request = ModelRequest(model="", messages=HI.messages, tools=(WEATHER,))
    first = (await ask(server, name, request=request)).completion
    assert [call.name for call in first.calls] == ["get_weather"]
    assert '"city"' in first.calls[0].arguments
    assert first.reason == "tool_calls"
    messages = (
        *HI.messages,
        ModelMessage(role="assistant", content=first.text, calls=first.calls),
        ModelMessage(role="tool", content="rain", tool_call_id=first.calls[0].id),
    )
    second = (await ask(server, name, request=ModelRequest(model="", messages=messages, tools=(WEATHER,)))).completion
    assert second.text
    assert not second.calls
    server.grade()


@pytest.mark.parametrize("how", ["malformed_arguments", "unknown_tool"])
async def test_a_broken_tool_call_passes_as_it_is(server: Breakable, name: str, how: str) -> None:
    server.behave({"type": "tool_fault", "kind": how})
    answered = await ask(server, name, request=ModelRequest(model="", messages=HI.messages, tools=(WEATHER,)))
    (call,) = answered.completion.calls
    assert call.name
    assert (call.name == "get_weather") == (how == "malformed_arguments")
    messages = (
        *HI.messages,
        ModelMessage(role="assistant", content="", calls=(call,)),
        ModelMessage(role="tool", content="no", tool_call_id=call.id, is_error=True),
    )
    await ask(server, name, request=ModelRequest(model="", messages=messages, tools=(WEATHER,)))
    server.grade()


async def test_a_call_that_breaks_in_mid_stream_is_not_half_made(server: Breakable, name: str) -> None:
    call = {"name": "get_weather", "arguments": {"city": "Paris"}}
    server.behave(says(None, None, tool_calls=[call]), breaks("disconnect"))
    answered = await ask(server, name, request=ModelRequest(model="", messages=HI.messages, tools=(WEATHER,)))
    assert [call.arguments.replace(" ", "") for call in answered.completion.calls] == ['{"city":"Paris"}']
    assert answered.attempts == 2
    server.grade(strict=False)
