"""Tests of the OpenAI provider against a real little server with a table of behaviours."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from athena_core.providers.openai import OpenAIProvider
from athena_core.providers.provider import (
    ModelCompletion,
    ModelMessage,
    ModelRequest,
    ProviderFailure,
    complete,
)
from athena_core.values import ToolCall, ToolSpec, Usage
from tests.support.stub import Behaviour, data, refuses, says, serving

KEY = "sk-canary-0123456789"
PROMPT = "the secret prompt"
HI = ModelRequest(model="small", messages=(ModelMessage(role="user", content=PROMPT),))
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: req_1\r\nconnection: close\r\n\r\n"


def text(content: str | None, finish: str | None = None) -> bytes:
    return data({"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish}]})


def usage(**counts: object) -> bytes:
    return data({"choices": [], "usage": counts})


DONE = b"data: [DONE]\n\n"
NORMAL = (
    text(None)
    + text("Hello, ")
    + text("wörld")
    + text(None, "stop")
    + usage(
        prompt_tokens=9,
        completion_tokens=3,
        total_tokens=12,
        prompt_tokens_details={"cached_tokens": 4, "cache_write_tokens": 2},
        completion_tokens_details={"reasoning_tokens": 0},
    )
    + DONE
)
COUNTED = Usage(
    input_tokens=9,
    output_tokens=3,
    total_tokens=12,
    cached_input_tokens=4,
    cache_write_tokens=2,
    reasoning_tokens=0,
)
HELLO = ModelCompletion(text="Hello, wörld", usage=COUNTED, reason="stop", request_id="req_1")


async def ask(url: str, request: ModelRequest = HI) -> ModelCompletion:
    provider = OpenAIProvider(url + "/v1/", KEY, silence_seconds=30)
    try:
        return await complete(provider, request)
    finally:
        await provider.close()


async def answer(behaviour: Behaviour) -> ModelCompletion:
    async with serving(behaviour) as server:
        return await ask(server.url)


async def failure(behaviour: Behaviour, request: ModelRequest = HI) -> ProviderFailure:
    """Return the failure of a call to a server that behaves so. Its message is short and hides secrets."""
    async with serving(behaviour) as server:
        with pytest.raises(ProviderFailure) as caught:
            await ask(server.url, request)
    message = caught.value.message
    assert message.startswith("openai: ")
    assert len(message) <= 300
    assert message.isprintable()
    assert KEY not in message
    assert PROMPT not in message
    return caught.value


async def test_the_request() -> None:
    async with serving(says(EVENTS, NORMAL)) as server:
        messages = (ModelMessage(role="system", content="be kind"), ModelMessage(role="tool", content="42\ud800"))
        assert await ask(server.url, ModelRequest(model="small", messages=messages)) == HELLO
    head, _, body = server.asked[0]
    assert head.startswith("post /v1/chat/completions http/1.1\r\n")
    assert f"authorization: bearer {KEY}" in head
    assert body == {
        "model": "small",
        "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "42\ufffd"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


LOOK = ToolSpec(name="look", description="Looks.", parameters={"type": "object", "properties": {}})
SHAPE: dict[str, Any] = {"type": "object", "required": ["x"]}
TALK = (
    ModelMessage(role="user", content="look"),
    ModelMessage(
        role="assistant",
        content="",
        calls=(
            ToolCall(id="a", name="look", arguments='{"at": "x"}'),
            ToolCall(id="b", name="made up!", arguments="{broken"),
        ),
    ),
    ModelMessage(role="tool", content="seen", tool_call_id="a"),
    ModelMessage(role="tool", content="no such tool", tool_call_id="b", is_error=True),
)


async def sent(request: ModelRequest) -> dict[str, Any]:
    async with serving(says(EVENTS, NORMAL)) as server:
        await ask(server.url, request)
    return server.asked[0].body


async def test_tools_calls_and_their_results_are_sent() -> None:
    body = await sent(ModelRequest(model="small", messages=TALK, tools=(LOOK,)))
    assert body["tools"] == [
        {
            "type": "function",
            "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {}}},
        }
    ]
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "look", "arguments": '{"at":"x"}'}},
                {
                    "id": "b",
                    "type": "function",
                    "function": {"name": "made_up_", "arguments": '{"unreadable":"{broken"}'},
                },
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "seen"},
        {"role": "tool", "tool_call_id": "b", "content": "no such tool"},
    ]


async def test_a_schema_and_a_limit_of_tokens_are_asked_for() -> None:
    body = await sent(ModelRequest(model="small", messages=HI.messages, schema=SHAPE, max_output_tokens=99))
    assert body["response_format"] == {"type": "json_schema", "json_schema": {"name": "answer", "schema": SHAPE}}
    assert body["max_tokens"] == 99


def piece(**call: object) -> bytes:
    return data({"choices": [{"delta": {"content": None, "tool_calls": [call]}, "finish_reason": None}]})


def function(name: str | None = None, arguments: object = "") -> dict[str, object]:
    return ({"name": name} if name else {}) | {"arguments": arguments}


ONE, OTHER = ToolCall(id="a", name="look", arguments='{"at": 1}'), ToolCall(id="b", name="see", arguments="{}")
CALLS: dict[str, tuple[list[bytes], tuple[ToolCall, ...]]] = {
    "in pieces": (
        [
            piece(index=0, id="a", function=function("look")),
            piece(index=0, function=function(arguments='{"at"')),
            piece(index=0, function=function(arguments=": 1}")),
        ],
        (ONE,),
    ),
    "several in turn": (
        [
            piece(index=0, id="a", function=function("look", '{"at": 1}')),
            piece(index=1, id="b", function=function("see", "{}")),
        ],
        (ONE, OTHER),
    ),
    "several at once": (
        [
            piece(index=0, id="a", function=function("look", '{"at"')),
            piece(index=1, id="b", function=function("see", "{")),
            piece(index=0, function=function(arguments=": 1}")),
            piece(index=1, function=function(arguments="}")),
        ],
        (ONE, OTHER),
    ),
    "an id in every piece": (
        [
            piece(index=0, id="a", function=function("look", '{"at"')),
            piece(index=0, id="a", function=function("look", ": 1}")),
        ],
        (ONE,),
    ),
    "one index for all": (
        [
            piece(index=0, id="a", function=function("look", '{"at"')),
            piece(index=0, function=function(arguments=": 1}")),
            piece(index=0, id="b", function=function("see", "{}")),
        ],
        (ONE, OTHER),
    ),
    "no index": (
        [
            piece(id="a", function=function("look", '{"at"')),
            piece(function=function(arguments=": 1}")),
            piece(id="b", function=function("see", "{}")),
        ],
        (ONE, OTHER),
    ),
    "neither index nor id": (
        [piece(function=function("look", '{"at": 1}')), piece(function=function("see", "{}"))],
        (replace(ONE, id=""), replace(OTHER, id="")),
    ),
    "arguments as an object": (
        [piece(index=0, id="a", function=function("look", {"at": 1}))],
        (replace(ONE, arguments='{"at":1}'),),
    ),
    "no arguments": ([piece(index=0, id="b", function=function("see"))], (OTHER,)),
    "broken arguments": (
        [piece(index=0, id="a", function=function("look", "{at: "))],
        (replace(ONE, arguments="{at:"),),
    ),
    "nonsense": (
        [piece(index=[7], id={}, function="look"), data({"choices": [{"delta": {"tool_calls": "all"}}]})],
        (ToolCall(id="", name="", arguments="{}"),),
    ),
}


@pytest.mark.parametrize("how", CALLS)
async def test_tool_calls_are_read_however_they_come(how: str) -> None:
    pieces, calls = CALLS[how]
    completion = await answer(says(EVENTS, *pieces, text(None, "tool_calls"), DONE))
    assert (completion.calls, completion.reason, completion.text) == (calls, "tool_calls", "")


async def test_a_refusal_is_text() -> None:
    chunk = data({"choices": [{"delta": {"refusal": "I will not."}, "finish_reason": "stop"}]})
    assert (await answer(says(EVENTS, chunk, DONE))).text == "I will not."


@pytest.mark.parametrize("error", [{"code": "insufficient_quota"}, {"type": "insufficient_quota", "code": [1]}])
async def test_a_quota_that_is_used_up_is_not_worth_retrying(error: dict[str, object]) -> None:
    caught = await failure(refuses(429, json.dumps({"error": {"message": "pay", **error}}).encode()))
    assert (caught.message, caught.worth_retrying) == ("openai: HTTP 429: pay", False)


async def test_a_local_server_needs_no_key_and_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with serving(says(EVENTS, NORMAL)) as server:
        provider = OpenAIProvider(server.url + "/v1/")
        assert await complete(provider, HI) == HELLO
        await provider.close()
    assert "authorization" not in server.asked[0].head


SPELLINGS = {
    "normal": NORMAL,
    "CRLF": NORMAL.replace(b"\n", b"\r\n"),
    "comments and other fields": b": ping\n\nretry: 9\n\nevent: x\nid: 1\n\n"
    + NORMAL.replace(b"data:", b": hm\nid: 2\ndata:"),
    "several lines of data": NORMAL.replace(b'"choices"', b'\ndata: "choices"'),
    "no space after the colon": NORMAL.replace(b"data: ", b"data:"),
    "no [DONE]": NORMAL.removesuffix(DONE),
    "usage null until the end": NORMAL.replace(b'"choices": [{', b'"usage": null, "choices": [{'),
    "a word in a hostile charset": NORMAL,
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("is_trickle", [False, True])
async def test_every_spelling_of_a_stream_is_read(spelling: str, is_trickle: bool) -> None:
    stream = SPELLINGS[spelling]
    head = EVENTS.replace(b"event-stream", b"event-stream; charset=utf-7") if "charset" in spelling else EVENTS
    pieces = [bytes([byte]) for byte in stream] if is_trickle else [stream]
    assert await answer(says(head, *pieces)) == HELLO


@pytest.mark.parametrize(
    ("counts", "understood"),
    [
        ({"prompt_tokens": float("nan"), "completion_tokens": -5, "total_tokens": "12"}, Usage()),
        ({"prompt_tokens": float("inf"), "completion_tokens": 2**70, "total_tokens": True}, Usage(output_tokens=2**53)),
        ({"prompt_tokens": [1], "prompt_tokens_details": "many", "completion_tokens_details": None}, Usage()),
    ],
)
async def test_wrong_counts_are_unknown_counts(counts: dict[str, object], understood: Usage) -> None:
    completion = await answer(says(EVENTS, text("hi", "stop"), usage(**counts), DONE))
    assert (completion.text, completion.usage) == ("hi", understood)


async def test_a_server_may_report_no_usage_and_no_id() -> None:
    head = EVENTS.replace(b"x-request-id: req_1\r\n", b"")
    completion = await answer(says(head, text("hi", "length"), data({"choices": None}), DONE))
    assert completion == ModelCompletion(text="hi", usage=None, reason="length", request_id="chatcmpl-1")


async def test_lone_surrogates_and_nul_are_replaced() -> None:
    assert (await answer(says(EVENTS, text("a\ud800b\x00", "stop"), DONE))).text == "a\ufffdb\ufffd"


CHUNKED = EVENTS.replace(b"connection: close", b"transfer-encoding: chunked")
BROKEN: dict[str, tuple[Behaviour, str, bool]] = {
    "is done without a finish": (says(EVENTS, text("hi"), DONE), "truncated stream", True),
    "is cut in mid-stream": (says(CHUNKED, b"ffff\r\n" + text("hi")), "the connection broke", True),
    "sends garbage": (says(EVENTS, b"data: {]\n\n"), "not a JSON object", True),
    "sends a list": (says(EVENTS, b"data: []\n\n"), "not a JSON object", True),
    "nests without end": (says(EVENTS, b"data: " + b"[" * 100_000 + b"\n\n"), "not a JSON object", True),
    "sends a page": (says(EVENTS.replace(b"event-stream", b"html"), b"<html>"), "not an event stream", False),
    "sends an event without end": (says(EVENTS, *[b"data: " + b"x" * 65_536 + b"\n"] * 20), "larger than 1 MiB", False),
    "fails for good in mid-stream": (
        says(EVENTS, data({"error": {"message": "too long", "code": 400}})),
        "the server ended the stream: too long",
        False,
    ),
    "fails without words in mid-stream": (says(EVENTS, data({"error": 7})), "the server ended the stream", True),
}


@pytest.mark.parametrize("how", BROKEN)
async def test_a_broken_stream_is_a_failure(how: str) -> None:
    behaviour, words, is_worth_retrying = BROKEN[how]
    caught = await failure(behaviour)
    assert words in caught.message
    assert caught.worth_retrying is is_worth_retrying


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            json.dumps({"error": {"message": f"Wrong key:\n{KEY}\x1b[2J" + "x" * 5000}}).encode(),
            ": Wrong key: *** [2Jx",
        ),
        (b'{"error": "no such model"}', ": no such model"),
        (b'{"error": {"message": 7}}', ""),
        (f"<html>{PROMPT} {KEY}".encode(), ""),
        (b"\xff" * 1_000_000, ""),
    ],
)
async def test_only_the_message_of_an_error_is_quoted(body: bytes, words: str) -> None:
    caught = await failure(refuses(401, body))
    assert caught.message.rstrip("x") == f"openai: HTTP 401{words}".rstrip("x")


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "nonsense", "http://[::1", ""])
async def test_a_wrong_base_url_is_not_worth_retrying(url: str) -> None:
    with pytest.raises(ProviderFailure, match="the base URL (is|does not)") as caught:
        await complete(OpenAIProvider(url, KEY), HI)
    assert not caught.value.worth_retrying
