"""Tests of the Anthropic provider: its requests, and the events of answers."""

from typing import Any

import pytest

from athena_core.providers.anthropic import OUTPUT_TOKENS_DEFAULT, AnthropicProvider
from athena_core.providers.provider import (
    ModelCompletion,
    ModelMessage,
    ModelRequest,
    ProviderFailure,
    complete,
)
from athena_core.values import ToolCall, ToolSpec, Usage
from tests.support.stub import ANTHROPIC, Behaviour, data, refuses, says, serving

KEY = "sk-canary-0123456789"
HI = ModelRequest(model="small", messages=(ModelMessage(role="user", content="hi"),))
LOOK = ToolSpec(name="look", description="Looks.", parameters={"type": "object", "properties": {}})
CALL = ToolCall(id="a", name="look", arguments='{"at": "x"}')
BROKEN = ToolCall(id="b", name="made up!", arguments="{broken")
TALK = (
    ModelMessage(role="assistant", content="Hello."),
    ModelMessage(role="user", content="look"),
    ModelMessage(role="assistant", content="I look.", calls=(CALL, BROKEN)),
    ModelMessage(role="tool", content="seen", tool_call_id="a"),
    ModelMessage(role="tool", content="", tool_call_id="b", is_error=True),
    ModelMessage(role="user", content="and?"),
)


async def ask(url: str, request: ModelRequest = HI) -> ModelCompletion:
    provider = AnthropicProvider(url, KEY)
    try:
        return await complete(provider, request)
    finally:
        await provider.close()


async def answer(*events: bytes) -> ModelCompletion:
    async with serving(says(ANTHROPIC.head, *events)) as stub:
        return await ask(stub.url)


async def failure(behaviour: Behaviour) -> ProviderFailure:
    """Return the failure of a call to a server that behaves so."""
    async with serving(behaviour) as stub:
        with pytest.raises(ProviderFailure) as caught:
            await ask(stub.url)
    return caught.value


async def sent(request: ModelRequest) -> dict[str, Any]:
    async with serving(says(ANTHROPIC.whole)) as stub:
        await ask(stub.url, request)
    return stub.asked[0].body


def event(kind: str, **fields: object) -> bytes:
    return data({"type": kind, **fields})


def start(**usage: object) -> bytes:
    return event("message_start", message={"id": "msg_1", "usage": usage})


def end(reason: str | None, **usage: object) -> bytes:
    return event("message_delta", delta={"stop_reason": reason}, usage=usage) + event("message_stop")


def tool(index: int, one: str, name: str) -> bytes:
    block = {"type": "tool_use", "id": one, "name": name, "input": {}}
    return event("content_block_start", index=index, content_block=block)


def said(index: int, kind: str, **fields: object) -> bytes:
    return event("content_block_delta", index=index, delta={"type": kind, **fields})


async def test_the_request() -> None:
    async with serving(says(ANTHROPIC.whole)) as stub:
        messages = (
            ModelMessage(role="system", content="be kind"),
            *HI.messages,
            ModelMessage(role="system", content="be brief"),
        )
        await ask(stub.url + "/", ModelRequest(model="small", messages=messages))
    head, _, body = stub.asked[0]
    assert head.startswith("post /v1/messages http/1.1\r\n")
    assert f"x-api-key: {KEY}" in head
    assert "anthropic-version: 2023-06-01" in head
    assert "authorization" not in head
    assert body == {
        "model": "small",
        "max_tokens": OUTPUT_TOKENS_DEFAULT,
        "system": "be kind\n\nbe brief",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "stream": True,
    }


async def test_tools_calls_and_their_results_are_sent_in_turns() -> None:
    body = await sent(ModelRequest(model="small", messages=TALK, tools=(LOOK,), max_output_tokens=9))
    assert body["max_tokens"] == 9
    assert body["tools"] == [
        {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}
    ]
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "(The conversation continues.)"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Hello."}]},
        {"role": "user", "content": [{"type": "text", "text": "look"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "a", "name": "look", "input": {"at": "x"}},
                {"type": "tool_use", "id": "b", "name": "made_up_", "input": {"unreadable": "{broken"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "seen"}]},
                {"type": "tool_result", "tool_use_id": "b", "is_error": True},
                {"type": "text", "text": "and?"},
            ],
        },
    ]


async def test_without_tools_on_offer_earlier_calls_are_sent_as_text() -> None:
    body = await sent(ModelRequest(model="small", messages=TALK[1:4]))
    assert "tools" not in body
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "look"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": 'I look.\n(Called look: {"at": "x"})\n(Called made up!: {broken)'},
            ],
        },
        {"role": "user", "content": [{"type": "text", "text": "seen"}]},
    ]


async def test_a_schema_is_asked_for_in_words() -> None:
    body = await sent(ModelRequest(model="small", messages=HI.messages, schema={"type": "object"}))
    assert body["system"].endswith('valid against this JSON Schema: {"type":"object"}')


async def test_text_calls_and_counts_are_read() -> None:
    completion = await answer(
        start(input_tokens=10, cache_read_input_tokens=20, cache_creation_input_tokens=5, output_tokens=1),
        event("ping"),
        event("content_block_start", index=0, content_block={"type": "thinking", "thinking": ""}),
        said(0, "thinking_delta", thinking="hm"),
        event("content_block_stop", index=0),
        event("content_block_start", index=1, content_block={"type": "text", "text": "I "}),
        said(1, "text_delta", text="look"),
        event(
            "content_block_start", index=2, content_block={"type": "tool_use", "id": "a", "name": "look", "input": {}}
        ),
        said(2, "input_json_delta", partial_json=""),
        said(2, "input_json_delta", partial_json='{"at"'),
        said(2, "input_json_delta", partial_json=': "x"}'),
        event(
            "content_block_start", index=3, content_block={"type": "tool_use", "id": "b", "name": "see", "input": {}}
        ),
        event("news", of={"later": "years"}),
        end("tool_use", output_tokens=7, output_tokens_details={"thinking_tokens": 3}),
    )
    assert completion == ModelCompletion(
        text="I look",
        calls=(CALL, ToolCall(id="b", name="see", arguments="{}")),
        usage=Usage(
            input_tokens=35,
            output_tokens=7,
            total_tokens=42,
            cached_input_tokens=20,
            cache_write_tokens=5,
            reasoning_tokens=3,
        ),
        reason="tool_calls",
        request_id="req_1",
    )


async def test_counts_at_the_end_replace_the_first_ones() -> None:
    usage = (
        await answer(start(input_tokens=0, output_tokens=0), end("end_turn", input_tokens=8, output_tokens=2))
    ).usage
    assert usage == Usage(input_tokens=8, output_tokens=2, total_tokens=10)


async def test_a_server_may_give_all_arguments_at_once_and_no_counts() -> None:
    block = {"type": "tool_use", "id": "a", "name": "look", "input": {"at": "x"}}
    completion = await answer(event("content_block_start", index=0, content_block=block), end("tool_use"))
    assert completion.calls == (ToolCall(id="a", name="look", arguments='{"at":"x"}'),)
    assert completion.usage is None


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "refusal"),
    ],
)
async def test_the_end_has_one_name_for_all_providers(theirs: str, ours: str) -> None:
    assert (await answer(start(), end(theirs))).reason == ours


async def test_an_end_without_a_reason_is_a_truncated_stream() -> None:
    assert "truncated stream" in (await failure(says(ANTHROPIC.head, start(), end(None)))).message


@pytest.mark.parametrize(
    ("kind", "is_worth_retrying"),
    [
        ("overloaded_error", True),
        ("api_error", True),
        ("rate_limit_error", True),
        ("invalid_request_error", False),
        ("authentication_error", False),
    ],
)
async def test_an_error_in_the_stream_is_retryable_or_not(kind: str, is_worth_retrying: bool) -> None:
    caught = await failure(says(ANTHROPIC.head, event("error", error={"type": kind, "message": f"no {KEY}"})))
    assert caught.message == "anthropic: the server ended the stream: no ***"
    assert caught.worth_retrying is is_worth_retrying


async def test_an_overloaded_server_is_worth_retrying_and_one_that_wants_money_is_not() -> None:
    caught = await failure(refuses(529, b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}'))
    assert (caught.message, caught.worth_retrying) == ("anthropic: HTTP 529: busy", True)
    caught = await failure(refuses(429, b'{"type":"error","error":{"type":"billing_error","message":"pay"}}'))
    assert (caught.message, caught.worth_retrying) == ("anthropic: HTTP 429: pay", False)
