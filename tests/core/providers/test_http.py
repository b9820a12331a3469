"""Tests of the http provider: the protocol as docs/reference/providers.md describes it."""

import json
from typing import Any

import pytest

from athena_core.providers.http import HttpProvider
from athena_core.providers.provider import (
    ModelCompletion,
    ModelMessage,
    ModelRequest,
    ProviderFailure,
    complete,
)
from athena_core.values import ToolCall, ToolSpec, Usage
from tests.support.stub import HTTP, Behaviour, data, refuses, says, serving

KEY = "sk-canary-0123456789"
HI = ModelRequest(model="small", messages=(ModelMessage(role="user", content="hi"),))
CALLS = (ToolCall(id="a", name="look", arguments='{"at":"x"}'),)
USAGE = {
    "inputTokens": 9,
    "outputTokens": 3,
    "totalTokens": 12,
    "cachedInputTokens": 4,
    "cacheWriteTokens": 2,
    "reasoningTokens": 1,
}
WHOLE = ModelCompletion(
    text="I look",
    calls=CALLS,
    usage=Usage(
        input_tokens=9,
        output_tokens=3,
        total_tokens=12,
        cached_input_tokens=4,
        cache_write_tokens=2,
        reasoning_tokens=1,
    ),
    reason="stop",
    request_id="r1",
)
PIECES: list[dict[str, Any]] = [
    {"requestId": "r1", "text": "I "},
    {"text": "look", "calls": [{"index": 0, "id": "a", "name": "look"}]},
    {"calls": [{"index": 0, "arguments": '{"at":'}]},
    {"calls": [{"index": 0, "arguments": '"x"}'}], "other": 1},
    {"usage": USAGE, "finish": "stop"},
]
ANSWER = {
    "requestId": "r1",
    "text": "I look",
    "calls": [{"id": "a", "name": "look", "arguments": {"at": "x"}}],
    "usage": USAGE,
    "finish": "stop",
}


def answers(media_type: str, *pieces: bytes) -> Behaviour:
    return says(f"HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\nconnection: close\r\n\r\n".encode(), *pieces)


WAYS: dict[str, Behaviour] = {
    "one object": answers("application/json", json.dumps(ANSWER, indent=1).encode()),
    "lines": answers("application/x-ndjson", *[json.dumps(piece).encode() + b"\r\n\n" for piece in PIECES]),
    "lines, the last without an end": answers(
        "application/x-ndjson; charset=utf-8", b"\n".join(json.dumps(piece).encode() for piece in PIECES)
    ),
    "events": answers("text/event-stream", *[data(piece) for piece in PIECES], b"data: [DONE]\n\n"),
}


async def ask(url: str, request: ModelRequest = HI) -> ModelCompletion:
    provider = HttpProvider(url + "/models/ask", KEY)
    try:
        return await complete(provider, request)
    finally:
        await provider.close()


async def failure(behaviour: Behaviour) -> ProviderFailure:
    async with serving(behaviour) as stub:
        with pytest.raises(ProviderFailure) as caught:
            await ask(stub.url)
    return caught.value


@pytest.mark.parametrize("way", WAYS)
async def test_an_answer_is_read_however_it_comes(way: str) -> None:
    async with serving(WAYS[way]) as stub:
        assert await ask(stub.url) == WHOLE


async def test_the_request() -> None:
    request = ModelRequest(
        model="small",
        messages=(
            ModelMessage(role="user", content="look\ud800"),
            ModelMessage(role="assistant", content="", calls=CALLS),
            ModelMessage(role="tool", content="no", tool_call_id="a", is_error=True),
        ),
        tools=(ToolSpec(name="look", description="Looks.", parameters={"type": "object"}),),
        schema={"type": "object"},
        max_output_tokens=9,
        max_output_chars=77,
    )
    async with serving(says(HTTP.whole)) as stub:
        await ask(stub.url, request)
    head, _, body = stub.asked[0]
    assert head.startswith("post /models/ask http/1.1\r\n")
    assert f"authorization: bearer {KEY}" in head
    assert "accept: application/x-ndjson, text/event-stream, application/json" in head
    assert body == {
        "model": "small",
        "messages": [
            {"role": "user", "content": "look\ufffd"},
            {"role": "assistant", "content": "", "calls": [{"id": "a", "name": "look", "arguments": '{"at":"x"}'}]},
            {"role": "tool", "content": "no", "toolCallId": "a", "isError": True},
        ],
        "tools": [{"name": "look", "description": "Looks.", "parameters": {"type": "object"}}],
        "schema": {"type": "object"},
        "maxOutputTokens": 9,
    }


@pytest.mark.parametrize(
    ("error", "words", "is_worth_retrying"),
    [
        ("gone", ": gone", False),
        ({"message": f"wrong {KEY}", "retryable": False}, ": wrong ***", False),
        ({"message": "busy", "retryable": True}, ": busy", True),
        ({"retryable": "yes"}, "", False),
    ],
)
async def test_an_error_in_the_answer_is_retryable_or_not(error: object, words: str, is_worth_retrying: bool) -> None:
    caught = await failure(answers("application/json", json.dumps({"text": "hm", "error": error}).encode()))
    assert (caught.message, caught.worth_retrying) == (f"http: the server failed{words}", is_worth_retrying)


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (answers("application/json", b'{"text": "half"}'), "truncated stream"),
        (answers("application/json", b"[]"), "not a JSON object"),
        (answers("application/json", *[b" " * 1_000_000] * 9), "the answer is larger than 8 MiB"),
        (answers("application/x-ndjson", *[b"x" * 500_000] * 3, b"\n"), "a line of the answer is larger than 1 MiB"),
        (answers("application/x-ndjson", b'{"finish": "stop"}\nrest'), "not a JSON object"),
        (refuses(401, b'{"error": {"message": "who?"}}'), "HTTP 401: who?"),
    ],
)
async def test_a_wrong_answer_is_a_failure(behaviour: Behaviour, words: str) -> None:
    assert words in (await failure(behaviour)).message
