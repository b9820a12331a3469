"""The HTTP server of scripted models, which listens on a loopback address."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from athena_cli.agent_check.scripted.agent_tools import NoTool
from athena_cli.agent_check.scripted.model import ScriptedAnswer, ScriptedRequest
from athena_cli.private_server import LoopbackModel

BODY_BYTES_MAX = 32 << 20
EMPTY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class ReceivedRequest(NamedTuple):
    """A request (``model.ScriptedRequest``)."""

    path: str
    raw: str
    body: dict[str, Any]


class ScriptedServer(LoopbackModel):
    """A server whose answers ``choose`` makes. Use as an async context manager."""

    def __init__(self, choose: Callable[[ScriptedRequest], ScriptedAnswer]) -> None:
        super().__init__()
        self._choose = choose
        self.url = ""
        self.problems: list[str] = []
        """What the scripts could not do with the agent's requests."""

    async def __aenter__(self) -> "ScriptedServer":
        """Listen on a free port."""
        self.url = await self.listen()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop listening, and break off all answers."""
        self.close()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def respond(self, head: str, size: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a model call by the script."""
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
