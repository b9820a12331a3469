"""The bodies of our requests against the types in the vendors' own libraries."""

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from typing import Any

import pytest
from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import is_typeddict

from athena_core.providers.provider import ModelMessage, ModelRequest, complete
from athena_core.values import ToolCall, ToolSpec
from tests.support.programs import lack_of
from tests.support.stub import DIALECTS, client_of, says, serving

TYPES = {
    "openai": ("openai.types.chat.completion_create_params", "CompletionCreateParamsStreaming"),
    "anthropic": ("anthropic.types.message_create_params", "MessageCreateParamsStreaming"),
}
MISSING = [name for name in TYPES if importlib.util.find_spec(name) is None]

pytestmark = [
    pytest.mark.heavy,  # CI installs the packages before its second round
    pytest.mark.skipif(bool(MISSING), reason=lack_of(*MISSING)),
]

CALLS = (
    ToolCall(id="call_1", name="look", arguments='{"at": "x"}'),
    ToolCall(id="call_2", name="made up!", arguments="{broken"),
)
TALK = (
    ModelMessage(role="system", content="Be kind."),
    ModelMessage(role="assistant", content="Hello."),
    ModelMessage(role="user", content="Look."),
    ModelMessage(role="assistant", content="I look.", calls=CALLS),
    ModelMessage(role="tool", content="seen", tool_call_id="call_1"),
    ModelMessage(role="tool", content="", tool_call_id="call_2", is_error=True),
    ModelMessage(role="assistant", content="", calls=(ToolCall(id="call_3", name="look", arguments="{}"),)),
    ModelMessage(role="tool", content="nothing", tool_call_id="call_3"),
    ModelMessage(role="tool", content="of an unknown call"),
)
LOOK = ToolSpec(name="look", description="Looks.", parameters={"type": "object", "properties": {}})
REQUESTS = {
    "one message": ModelRequest(model="m", messages=TALK[2:3]),
    "a talk with tools": ModelRequest(model="m", messages=TALK, tools=(LOOK,), max_output_tokens=9),
    "a talk without tools": ModelRequest(model="m", messages=TALK),
    "a schema": ModelRequest(model="m", messages=TALK[2:3], schema={"type": "object", "required": ["x"]}),
}


@pytest.fixture(scope="module", params=TYPES)
def vendor(request: pytest.FixtureRequest) -> tuple[str, TypeAdapter[Any]]:
    """Return a vendor's name and its type of a body, which rejects unknown fields."""
    name = str(request.param)
    module, type_name = TYPES[name]
    body = getattr(importlib.import_module(module), type_name)
    for loaded in [module for path, module in sys.modules.items() if path.startswith(f"{name}.types")]:
        for kind in filter(is_typeddict, vars(loaded).values()):
            kind.__pydantic_config__ = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    return name, TypeAdapter(body)


def consume(value: object) -> None:
    """Read every part: lists are checked only when they are read."""
    if isinstance(value, dict):
        value = value.values()
    if isinstance(value, Iterable) and not isinstance(value, str):
        for part in value:
            consume(part)


async def sent(name: str, request: ModelRequest) -> dict[str, Any]:
    async with serving(says(DIALECTS[name].whole)) as stub:
        provider = client_of(name, stub.url)
        await complete(provider, request)
        await provider.close()
    return stub.asked[0].body


@pytest.mark.parametrize("what", REQUESTS)
async def test_a_body_is_what_the_vendor_calls_one(vendor: tuple[str, TypeAdapter[Any]], what: str) -> None:
    name, body = vendor
    consume(body.validate_python(await sent(name, REQUESTS[what])))


@pytest.mark.parametrize("field", ["model", "messages"])
async def test_the_opinion_is_strict(vendor: tuple[str, TypeAdapter[Any]], field: str) -> None:
    name, body = vendor
    good = await sent(name, REQUESTS["a talk with tools"])
    wrong = {**good, field: None} if field == "model" else {**good, field: [{**good[field][-1], "other": 1}]}
    with pytest.raises(ValidationError):
        consume(body.validate_python(wrong))
