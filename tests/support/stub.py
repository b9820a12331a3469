"""A model server with a set behaviour, good or bad, in the wire format of each provider, byte by byte."""

import asyncio
import gzip
import json
import random
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from athena_core.providers.anthropic import AnthropicProvider
from athena_core.providers.http import HttpProvider
from athena_core.providers.openai import OpenAIProvider
from athena_core.providers.provider import Provider
from tests.support.api import PATIENCE_SECONDS

TRICKLE_SECONDS = 0.02
GIGABYTE = 2**30
PIECE_BYTES = 65_536

Behaviour = Callable[["Stub", asyncio.StreamWriter], Awaitable[None]]


class Asked(NamedTuple):
    """A request: its head in lower case, its body as text and as JSON."""

    head: str
    raw: str
    body: dict[str, Any]

    @property
    def path(self) -> str:
        return self.head.split(" ", 2)[1]


@dataclass
class Stub:
    """A server that records requests, behaves as ``choose`` says, and notices when a client hung up.

    ``lists`` answers requests for its models; ``listed`` counts them.
    """

    choose: Callable[[Asked], Behaviour]
    lists: Behaviour = field(default_factory=lambda: says(models_listed("stub-model")))
    listed: int = 0
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    is_asked: asyncio.Event = field(default_factory=asyncio.Event)
    client_is_gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            acting = asyncio.ensure_future((await self._behaviour(head, reader))(self, writer))
            acting.add_done_callback(lambda done: writer.close())
            with suppress(ConnectionError):
                await reader.read()
            self.client_is_gone.set()
            acting.cancel()
            await asyncio.gather(acting, return_exceptions=True)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _behaviour(self, head: str, reader: asyncio.StreamReader) -> Behaviour:
        if head.startswith(("get ", "head ")):
            self.listed += 1
            return self.lists
        size = next(int(line.split(":")[1]) for line in head.splitlines() if line.startswith("content-length"))
        raw = (await reader.readexactly(size)).decode()
        self.asked.append(Asked(head, raw, json.loads(raw)))
        self.is_asked.set()
        return self.choose(self.asked[-1])


@asynccontextmanager
async def serving(behaviour: Behaviour) -> AsyncIterator[Stub]:
    async with choosing(lambda asked: behaviour) as stub:
        yield stub


@asynccontextmanager
async def choosing(choose: Callable[[Asked], Behaviour]) -> AsyncIterator[Stub]:
    """Serve in this event loop, with a behaviour chosen for each request."""
    stub = Stub(choose)
    listener = await asyncio.start_server(stub.serve, "127.0.0.1", 0)
    async with listener:
        stub.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        yield stub


@contextmanager
def standing(choose: Callable[[Asked], Behaviour]) -> Iterator[Stub]:
    """Serve in a thread of its own."""
    ready, found = threading.Event(), list[tuple[Stub, asyncio.AbstractEventLoop, asyncio.Event]]()

    async def work() -> None:
        async with choosing(choose) as stub:
            done = asyncio.Event()
            found.append((stub, asyncio.get_running_loop(), done))
            ready.set()
            await done.wait()

    thread = threading.Thread(target=asyncio.run, args=(work(),), daemon=True)
    thread.start()
    assert ready.wait(PATIENCE_SECONDS)
    stub, loop, done = found[0]
    try:
        yield stub
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(PATIENCE_SECONDS)


# Behaviours of any server


def says(*pieces: bytes) -> Behaviour:
    """Write the pieces one by one and hang up."""

    async def behave(stub: Stub, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return behave


def says_and_waits(*pieces: bytes) -> Behaviour:
    """Write the pieces and then nothing, until the client hangs up."""

    async def behave(stub: Stub, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
        await asyncio.Event().wait()

    return behave


def says_for_ever(head: bytes, piece: bytes, *, bytes_max: int = GIGABYTE, pause_seconds: float = 0.0) -> Behaviour:
    """Write a piece again and again, up to a size, until the client hangs up."""

    async def behave(stub: Stub, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        for _ in range(0, bytes_max, len(piece)):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_seconds)

    return behave


def refuses(status: int, body: bytes = b"", *headers: str) -> Behaviour:
    lines = [f"HTTP/1.1 {status} Nope", f"content-length: {len(body)}", "connection: close", *headers, "", ""]
    return says("\r\n".join(lines).encode() + body)


def resets(*pieces: bytes) -> Behaviour:
    """Write the pieces and reset the connection."""

    async def behave(stub: Stub, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        writer.transport.abort()

    return behave


# Answers


def models_listed(*names: str) -> bytes:
    """Return a whole answer that lists these models."""
    body = json.dumps({"object": "list", "data": [{"id": name, "object": "model"} for name in names]}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n" + body


def data(chunk: object) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


class Dialect(NamedTuple):
    """The wire format of a kind of server; ``head`` begins an answer that lasts until the connection ends."""

    name: Literal["openai", "anthropic", "http"]
    head: bytes
    start: bytes
    text: Callable[[str], bytes]
    call: Callable[[str, str, str], bytes]
    """A whole tool call: id, name, arguments."""
    error: Callable[[str], bytes]
    end: Callable[[object, object], bytes]
    """The end of an answer: input and output tokens."""

    @property
    def whole(self) -> bytes:
        return self.head + self.start + self.text("Hello, ") + self.text("wörld") + self.end(9, 3)


def events_head(request_id: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{request_id}\r\nconnection: close\r\n\r\n".encode()


def _choice(delta: object, finish: str | None = None) -> bytes:
    return data({"id": "chatcmpl-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _event(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\n".encode() + data({"type": kind, **fields})


OPENAI = Dialect(
    name="openai",
    head=events_head("x-request-id: req_1"),
    start=_choice({"role": "assistant", "content": None}),
    text=lambda text: _choice({"content": text}),
    call=lambda id_, name, arguments: _choice(
        {"tool_calls": [{"index": 0, "id": id_, "function": {"name": name, "arguments": arguments}}]}
    ),
    error=lambda message: data({"error": {"message": message, "code": "server_error"}}),
    end=lambda taken, given: (
        _choice({}, "stop")
        + data({"choices": [], "usage": {"prompt_tokens": taken, "completion_tokens": given, "cost": -1.5}})
        + b"data: [DONE]\n\n"
    ),
)
ANTHROPIC = Dialect(
    name="anthropic",
    head=events_head("request-id: req_1"),
    start=_event("message_start", message={"id": "msg_1", "usage": {"input_tokens": 9, "output_tokens": 1}})
    + _event("ping"),
    text=lambda text: _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text}),
    call=lambda id_, name, arguments: (
        _event("content_block_start", index=1, content_block={"type": "tool_use", "id": id_, "name": name, "input": {}})
        + _event("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": arguments})
        + _event("content_block_stop", index=1)
    ),
    error=lambda message: _event("error", error={"type": "api_error", "message": message}),
    end=lambda taken, given: (
        _event(
            "message_delta", delta={"stop_reason": "end_turn"}, usage={"input_tokens": taken, "output_tokens": given}
        )
        + _event("message_stop")
    ),
)
HTTP = Dialect(
    name="http",
    head=b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\nconnection: close\r\n\r\n",
    start=b'{"requestId": "req_1"}\n',
    text=lambda text: json.dumps({"text": text}).encode() + b"\n",
    call=lambda id_, name, arguments: (
        json.dumps({"calls": [{"index": 0, "id": id_, "name": name, "arguments": arguments}]}).encode() + b"\n"
    ),
    error=lambda message: json.dumps({"error": {"message": message, "retryable": True}}).encode() + b"\n",
    end=lambda taken, given: (
        json.dumps({"usage": {"inputTokens": taken, "outputTokens": given}, "finish": "stop"}).encode() + b"\n"
    ),
)
DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in (OPENAI, ANTHROPIC, HTTP)}


def client_of(dialect: str, url: str, silence_seconds: float = PATIENCE_SECONDS) -> Provider:
    """Return a provider that calls a stub in its dialect."""
    match dialect:
        case "openai":
            return OpenAIProvider(url + "/v1", silence_seconds=silence_seconds)
        case "anthropic":
            return AnthropicProvider(url, silence_seconds=silence_seconds)
        case _:
            return HttpProvider(url, silence_seconds=silence_seconds)


def dialect_of(asked: Asked) -> Dialect:
    """Return the dialect of the client."""
    if asked.path.endswith("/chat/completions"):
        return OPENAI
    return ANTHROPIC if asked.path.endswith("/v1/messages") else HTTP


# Misbehaviour

Outcome = Literal["answer", "failure", "patience"]
"""The result: an answer, a failure at once, or a wait that only silence or a deadline ends."""


class Misbehaviour(NamedTuple):
    """A kind of misbehaviour, and its expected outcome."""

    outcome: Outcome
    behave: Callable[[Dialect], Behaviour]
    words: str = ""
    """The cause of a failure that is worth retrying."""


def _noise(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


def _compressed(dialect: Dialect) -> bytes:
    head = dialect.head.replace(b"connection: close", b"content-encoding: gzip\r\nconnection: close")
    return head + gzip.compress(b"data: " + bytes(64 * 2**20))


def _endless_head(dialect: Dialect) -> Behaviour:
    return says_for_ever(b"HTTP/1.1 200 OK\r\n", b"x-more: " + b"x" * 1_000 + b"\r\n")


MISBEHAVIOURS: Mapping[str, Misbehaviour] = {
    "hangs": Misbehaviour("patience", lambda it: says_and_waits()),
    "hangs-in-its-head": Misbehaviour("patience", lambda it: says_and_waits(it.head[:30])),
    "hangs-in-mid-stream": Misbehaviour("patience", lambda it: says_and_waits(it.head, it.start, it.text("hm"))),
    "trickles": Misbehaviour(
        "patience", lambda it: says_for_ever(it.head + it.start, b" ", pause_seconds=TRICKLE_SECONDS)
    ),
    "hangs-up": Misbehaviour("failure", lambda it: says(), "the connection broke"),
    "resets": Misbehaviour("failure", lambda it: resets(), "the connection broke"),
    "resets-in-mid-stream": Misbehaviour("failure", lambda it: resets(it.head, it.start, it.text("hm"))),
    "truncates": Misbehaviour(
        "failure", lambda it: says(it.head, it.start, it.text("half an ans")), "truncated stream"
    ),
    "says-nothing": Misbehaviour("failure", lambda it: says(it.head), "truncated stream"),
    "storms-429": Misbehaviour("failure", lambda it: refuses(429)),
    "storms-429-for-an-hour": Misbehaviour("failure", lambda it: refuses(429, b"", "retry-after: 3600")),
    "storms-500": Misbehaviour("failure", lambda it: refuses(500, b'{"error": {"message": "oops"}}'), "HTTP 500: oops"),
    "is-overloaded": Misbehaviour("failure", lambda it: refuses(529)),
    "redirects": Misbehaviour("failure", lambda it: refuses(307, b"", "location: /elsewhere")),
    "has-no-content": Misbehaviour("failure", lambda it: refuses(204)),
    "speaks-another-protocol": Misbehaviour(
        "failure", lambda it: says(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"), "the connection broke"
    ),
    "is-noise": Misbehaviour("failure", lambda it: says(_noise(10_000, seed=1))),
    "sends-noise": Misbehaviour("failure", lambda it: says(it.head, b"data: " + _noise(10_000, seed=2) + b"\n\n")),
    "sends-a-page": Misbehaviour(
        "failure", lambda it: says(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<html>")
    ),
    "fails-in-mid-stream": Misbehaviour(
        "failure", lambda it: says(it.head, it.text("hm"), it.error("overloaded")), "overloaded"
    ),
    "heads-without-end": Misbehaviour("failure", _endless_head),
    "talks-a-gigabyte": Misbehaviour(
        "failure", lambda it: says_for_ever(it.head + it.start, it.text("x" * PIECE_BYTES))
    ),
    "sends-a-line-of-a-gigabyte": Misbehaviour(
        "failure", lambda it: says_for_ever(it.head + b"data: ", b"x" * PIECE_BYTES)
    ),
    "sends-a-bomb": Misbehaviour("failure", lambda it: says(_compressed(it))),
    "counts-nan": Misbehaviour(
        "answer", lambda it: says(it.head, it.start, it.text("ok"), it.end(float("nan"), float("inf")))
    ),
    "counts-below-zero": Misbehaviour(
        "answer", lambda it: says(it.head, it.start, it.text("ok"), it.end(-7, -(10**9)))
    ),
    "counts-beyond-measure": Misbehaviour("answer", lambda it: says(it.head, it.text("ok"), it.end(10**300, 2**70))),
    "counts-words": Misbehaviour("answer", lambda it: says(it.head, it.text("ok"), it.end("many", [None]))),
    "speaks-what-cannot-be-stored": Misbehaviour(
        "answer", lambda it: says(it.head, it.start, it.text("a\ud800\x00b"), it.end(1, 1))
    ),
    "answers-nothing": Misbehaviour("answer", lambda it: says(it.head, it.start, it.end(1, 0))),
}


def misbehaving(asked: Asked) -> Behaviour:
    """Return the behaviour that the model's name selects, in the dialect of the client."""
    return MISBEHAVIOURS[str(asked.body["model"])].behave(dialect_of(asked))


def settings_of(stub: Stub) -> dict[str, str]:
    """Return settings of an Athena server all of whose providers call this stub."""
    return {
        "openai_base_url": stub.url + "/v1",
        "anthropic_base_url": stub.url,
        "http_provider_url": stub.url + "/ask",
    }
