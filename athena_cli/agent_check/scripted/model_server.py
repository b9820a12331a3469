"""The HTTP server of scripted models, which listens on a loopback address."""

import asyncio
import json
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any, NamedTuple

from athena_cli.agent_check.scripted.agent_tools import NoTool
from athena_cli.agent_check.scripted.model import ScriptedAnswer, ScriptedRequest

HOST = "127.0.0.1"
BODY_BYTES_MAX = 32 << 20
EMPTY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class ReceivedRequest(NamedTuple):
    """A request (``model.ScriptedRequest``)."""

    path: str
    raw: str
    body: dict[str, Any]


class ScriptedServer:
    """A server whose answers ``choose`` makes. Use as an async context manager."""

    def __init__(self, choose: Callable[[ScriptedRequest], ScriptedAnswer]) -> None:
        self._choose = choose
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self.url = ""
        self.problems: list[str] = []
        """What the scripts could not do with the agent's requests."""

    async def __aenter__(self) -> "ScriptedServer":
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._connected, HOST, 0)
        self.url = f"http://{HOST}:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop listening, and break off all answers."""
        if self._server is not None:
            self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(ConnectionError, EOFError, asyncio.LimitOverrunError, ValueError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            size = next((int(line[15:]) for line in head.splitlines() if line.startswith("content-length:")), 0)
            if not head.startswith("post ") or not 0 < size <= BODY_BYTES_MAX:
                writer.write(EMPTY)
                return
            raw = (await reader.readexactly(size)).decode()
            request = ReceivedRequest(head.split(" ", 2)[1], raw, json.loads(raw))
            try:
                answer = self._choose(request)
            except NoTool as problem:
                self.problems.append(str(problem))
                body = json.dumps({"error": {"type": "invalid_request_error", "message": str(problem)}}).encode()
                answer = ScriptedAnswer((body,), 400, "application/json")
            writer.write(head_of(answer))
            for piece in answer.pieces:
                writer.write(piece)
                await writer.drain()
            if answer.hangs:
                await reader.read()  # until the client hangs up


def head_of(answer: ScriptedAnswer) -> bytes:
    """Return the head of an answer that lasts until the connection ends."""
    words = "OK" if answer.status < 300 else "Refused"  # noqa: PLR2004 - the successes of HTTP
    return (
        f"HTTP/1.1 {answer.status} {words}\r\ncontent-type: {answer.kind}\r\n"
        "x-request-id: r\r\nconnection: close\r\n\r\n"
    ).encode()
