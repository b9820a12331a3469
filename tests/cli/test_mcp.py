"""``athena mcp``: each line of a client becomes a request, and each message of its answer a line."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import httpx2
import pytest

from athena_cli.exit_codes import Unreachable
from athena_cli.mcp import bridge
from athena_cli.mcp.bridge import LINE_BYTES_MAX, McpBridge
from athena_core.mcp.versions import CAPABILITIES_KEY, MODERN, VERSION_KEY
from tests.support.api import PATIENCE_SECONDS

Json: TypeAlias = dict[str, Any]
Handler: TypeAlias = Callable[[httpx2.Request, Json], Awaitable[httpx2.Response]]

INITIALIZE = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {}}
META = {VERSION_KEY: MODERN, CAPABILITIES_KEY: {}}


class Client:
    """A client at the other end of the bridge: it puts lines in, and takes lines out."""

    def __init__(self, handle: Handler) -> None:
        self.sent: list[httpx2.Request] = []
        self._in: asyncio.Queue[bytes | None | type[EOFError]] = asyncio.Queue()
        self._out: asyncio.Queue[bytes] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

        async def answer(request: httpx2.Request) -> httpx2.Response:
            self.sent.append(request)
            body = json.loads(request.content)
            return await handle(request, body if isinstance(body, dict) else {})

        http = httpx2.AsyncClient(base_url="http://plane", transport=httpx2.MockTransport(answer))
        self._bridge = McpBridge(http, self._lines(), self._write)
        self._serving = asyncio.create_task(self._bridge.serve())

    async def _lines(self) -> AsyncGenerator[bytes | None, None]:
        while (line := await self._in.get()) is not EOFError:
            assert not isinstance(line, type)
            yield line

    def _write(self, line: bytes) -> None:
        self._loop.call_soon_threadsafe(self._out.put_nowait, line)

    def say(self, message: Json | bytes | None) -> None:
        self._in.put_nowait(json.dumps(message).encode() if isinstance(message, dict) else message)

    def call(self, number: int | str, method: str = "tools/call", **params: Any) -> None:
        self.say({"jsonrpc": "2.0", "id": number, "method": method, "params": params})

    async def line(self) -> Json:
        async with asyncio.timeout(PATIENCE_SECONDS):
            line = await self._out.get()
        assert line.endswith(b"\n") and line.count(b"\n") == 1
        return dict(json.loads(line))

    async def end(self) -> None:
        """End the input. Raise what the bridge raises."""
        self._in.put_nowait(EOFError)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._serving
        assert self._out.empty(), "more was written than was read"


def answered(body: Json, **headers: str) -> httpx2.Response:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.Response(200, json={"jsonrpc": "2.0", "id": body.get("id"), "result": {}}, headers=fields)


def streamed(parts: AsyncIterator[bytes]) -> httpx2.Response:
    return httpx2.Response(200, content=parts, headers={"content-type": "text/event-stream"})


def event(message: Json) -> bytes:
    return b"data: " + json.dumps(message).encode() + b"\n\n"


async def test_the_session_of_the_handshake_goes_with_every_later_message() -> None:
    async def handle(request: httpx2.Request, body: Json) -> httpx2.Response:
        if "id" not in body:
            return httpx2.Response(202)
        return answered(body, mcp_session_id="s-1")

    client = Client(handle)
    client.say(INITIALIZE)
    client.say({"jsonrpc": "2.0", "method": "notifications/initialized"})
    client.call(1, name="start_run")
    assert [(await client.line())["id"] for _ in range(2)] == [0, 1]
    client.say({"jsonrpc": "2.0", "id": "ask_1:hash", "result": {"action": "accept", "content": {}}})
    await client.end()
    first, *later = client.sent
    assert "mcp-session-id" not in first.headers
    assert [request.headers["mcp-session-id"] for request in later] == ["s-1"] * 3
    assert all("idempotency-key" not in request.headers for request in client.sent), "the session makes its keys"


async def test_a_request_of_2026_repeats_its_parts_in_headers_and_has_a_key_of_its_process() -> None:
    async def handle(request: httpx2.Request, body: Json) -> httpx2.Response:
        return answered(body)

    clients = [Client(handle), Client(handle)]
    for client in clients:
        client.call(1, name="start_run", arguments={}, _meta=META)
        client.call("1", "resources/read", uri="athena://runs/über", _meta=META)
        assert [(await client.line())["id"] for _ in range(2)] == [1, "1"]
        await client.end()
    start, read = clients[0].sent
    assert {name: start.headers[name] for name in ("mcp-protocol-version", "mcp-method", "mcp-name")} == {
        "mcp-protocol-version": MODERN,
        "mcp-method": "tools/call",
        "mcp-name": "start_run",
    }
    assert read.headers["mcp-name"].startswith("=?base64?")
    keys = [request.headers["idempotency-key"] for client in clients for request in client.sent]
    assert len(set(keys)) == 4, "two processes count from 1 alike, and 1 is not '1'"


async def test_a_stream_is_passed_on_message_by_message_as_it_comes() -> None:
    more = asyncio.Event()

    async def handle(request: httpx2.Request, body: Json) -> httpx2.Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b": ping\n\n" + event({"jsonrpc": "2.0", "method": "m", "params": {"text": "\u2028"}})
            await more.wait()
            last = event({"jsonrpc": "2.0", "id": body["id"], "result": {}})
            yield last[:9]
            yield last[9:]

        return streamed(parts())

    client = Client(handle)
    client.call(7)
    assert (await client.line())["params"] == {"text": "\u2028"}, "it ends no line of JSON"
    more.set()
    assert (await client.line())["id"] == 7
    await client.end()


@pytest.mark.parametrize("modern", [False, True])
async def test_a_cancelled_request_is_broken_off_and_gets_no_answer(modern: bool) -> None:
    begun, left = asyncio.Event(), asyncio.Event()

    async def handle(request: httpx2.Request, body: Json) -> httpx2.Response:
        if body["method"] == "initialize":
            return answered(body, mcp_session_id="s-1")
        if "id" not in body:
            return httpx2.Response(202)
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        raise AssertionError

    client = Client(handle)
    if not modern:
        client.say(INITIALIZE)
        await client.line()
    client.call(1, name="start_run", _meta=META if modern else {})
    await begun.wait()
    client.say({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
    await left.wait()
    await client.end()
    methods = [json.loads(request.content)["method"] for request in client.sent]
    assert ("notifications/cancelled" in methods) is not modern


async def test_a_request_is_sent_again_with_its_key_if_the_server_starts_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bridge, "PAUSE_SECONDS", 0)
    falls = ["refuses", "breaks off", "ends"]

    async def handle(request: httpx2.Request, body: Json) -> httpx2.Response:
        async def parts() -> AsyncIterator[bytes]:
            yield event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}})
            if fall == "breaks off":
                raise httpx2.ReadError("reset")

        if body["id"] == 0 or not falls:
            return answered(body)
        if (fall := falls.pop(0)) == "refuses":
            raise httpx2.ConnectError("refused")
        return streamed(parts())

    client = Client(handle)
    client.say(INITIALIZE)
    await client.line()
    client.call(1, name="start_run", _meta=META)
    lines = [await client.line() for _ in range(3)]
    assert ["id" in line for line in lines] == [False, False, True]
    await client.end()
    assert len({request.headers["idempotency-key"] for request in client.sent[1:]}) == 1


async def test_failures_are_answers_and_words_on_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge, "RETRY_SECONDS", 0)

    async def handle(request: httpx2.Request, body: Json) -> httpx2.Response:
        match body.get("id"):
            case 1:
                error = {"code": "AUTH_TOKEN_MISSING", "message": "Send a token."}
                return httpx2.Response(401, json={"ok": False, "error": error})
            case 2:
                return httpx2.Response(200, text="<html>")
            case 3:
                return httpx2.Response(400, json={"jsonrpc": "2.0", "id": 3, "error": {"code": -1, "message": "m"}})
        return httpx2.Response(400, json={"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "bad"}})

    client = Client(handle)
    said = []
    for number in (1, 2, 3):
        client.call(number)
        said.append((await client.line())["error"]["message"])
    assert said == [
        "AUTH_TOKEN_MISSING: Send a token.",
        "http://plane/mcp is not an MCP server (HTTP 200).",
        "m",
    ]
    client.say(b"[1]")
    assert (await client.line())["error"]["code"] == -32700
    client.say(None)
    assert f"larger than {LINE_BYTES_MAX}" in (await client.line())["error"]["message"]
    client.say(b" \r")
    await client.end()
    assert "AUTH_TOKEN_MISSING: Send a token.\n" in capsys.readouterr().err


async def test_it_fails_at_the_end_if_no_server_ever_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge, "RETRY_SECONDS", 0)

    async def handle(request: httpx2.Request, body: Json) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    client = Client(handle)
    client.say(INITIALIZE)
    assert "no server at http://plane" in (await client.line())["error"]["message"]
    with pytest.raises(Unreachable):
        await client.end()


async def test_open_requests_are_bounded_and_end_with_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge, "OPEN_MAX", 2)
    monkeypatch.setattr(bridge, "GRACE_SECONDS", 0)

    async def handle(request: httpx2.Request, body: Json) -> httpx2.Response:
        await asyncio.Event().wait()
        raise AssertionError

    client = Client(handle)
    for number in range(3):
        client.call(number)
    refused = await client.line()
    assert (refused["id"], "2 requests are open" in refused["error"]["message"]) == (2, True)
    await client.end()
