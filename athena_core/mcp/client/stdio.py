"""A server that is a program: JSON-RPC over its standard input and output."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from msgspec import Raw

from athena_core.mask import Mask
from athena_core.mcp.client.failure import WORDS_MAX, FailureCode, McpFailure
from athena_core.mcp.client.server_side import ServerSide
from athena_core.mcp.client.wire import (
    CANCELLED,
    LIMITS,
    MESSAGES_MAX,
    Receiver,
    Transport,
)
from athena_core.mcp.listed_tool import McpTool
from athena_core.outside_text import OutsideText, last_words
from athena_core.rpc.peer import (
    CancelNotice,
    Ending,
    EndState,
    Peer,
    PeerEnded,
    ProtocolBroken,
    TooManyRequests,
)
from athena_core.system.process import CannotStart, Child

EXIT_SECONDS = 1.0
"""Time for a program that closed its output to exit, so that its last words are known."""
REQUEST_SECONDS: Final = 604_800.0
"""A deadline beyond all others. The caller's own one counts."""
CODES: Final[dict[EndState, FailureCode]] = {
    "line-too-long": "line-too-long",
    "invalid-json": "invalid-json",
    "invalid-message": "invalid-message",
    "unknown-answer": "unknown-answer",
    "input-blocked": "input-blocked",
}


class CountedLines:
    """The pipes of a program. Too many lines without an answer end the conversation."""

    def __init__(self, child: Child) -> None:
        self.flooded = False
        self.lines = 0
        self._child = child

    async def read_line(self, bytes_max: int) -> bytes | None:
        line = await self._child.read_line(bytes_max)
        self.lines += 1
        if self.lines > MESSAGES_MAX:
            self.flooded = True
            raise ProtocolBroken("invalid-message", f"It sent more than {MESSAGES_MAX} messages without an answer.")
        return line

    async def write(self, data: bytes) -> None:
        await self._child.write(data)


class StdioWire:
    """A wire to a program. ``start`` starts it, in its box; ``close`` kills it with all its processes."""

    transport: Transport = "stdio"

    def __init__(self, start: Callable[[], Awaitable[Child]]) -> None:
        self.version: str | None = None
        self._start = start
        self._name = ""
        self._mask = Mask()
        self._side = ServerSide(lambda: None)
        self._ended: McpFailure | None = None
        self._child: Child | None = None
        self._lines: CountedLines | None = None
        self._peer: Peer | None = None
        self._closed = False
        self._closing: asyncio.Task[None] | None = None

    @property
    def ended(self) -> McpFailure | None:
        """Why it can carry no more requests."""
        if self._ended is None and self._peer is not None and self._peer.ending is not None:
            return self._failure(*self._ending(self._peer.ending))
        return self._ended

    async def open(self, name: str, mask: Mask, changed: Callable[[], None]) -> None:
        self._name, self._mask, self._side = name, mask, ServerSide(changed)
        await self._begin()

    async def reopen(self) -> bool:
        await self._end()
        self._ended = None
        await self._begin()
        return True

    async def _begin(self) -> None:
        try:
            child = await self._start()
        except CannotStart as error:
            why = OutsideText(str(error)).line(self._mask, WORDS_MAX)
            self._ended = self._failure("cannot-start", f"It cannot start: {why}.")
            raise self._ended from None
        if self._closed:
            await child.end()
            raise self._failure("ended", "Athena ended it.")
        self._child = child
        self._lines = CountedLines(child)
        self._peer = Peer(self._lines, self._side, LIMITS, CancelNotice(CANCELLED, "requestId"))
        await self._peer.__aenter__()

    async def request(self, method: str, params: dict[str, Any], receiver: Receiver | None = None) -> Raw:
        """Send a request and return its result."""
        peer, lines = self._peer, self._lines
        if peer is None or lines is None:
            raise self.ended or self._failure("ended", "It is not open.")
        if receiver is not None:
            self._side.receivers.append(receiver)
        try:
            return await peer.request(method, params, seconds=REQUEST_SECONDS)
        except asyncio.CancelledError:
            if receiver is not None:
                self._side.give_up()
            raise
        except PeerEnded as error:
            raise await self._why(error) from None
        except TooManyRequests as error:
            raise self._failure("busy", f"It has too many calls at a time: {error}.") from None
        finally:
            lines.lines = 0
            if receiver is not None:
                self._side.receivers.remove(receiver)

    def note_tools(self, tools: Sequence[McpTool]) -> None:
        """Do nothing: only HTTP repeats arguments in headers."""

    def listen(self) -> None:
        """Do nothing: a program can say something at any time."""

    async def notify(self, method: str) -> None:
        if self._peer is not None:
            try:
                await self._peer.notify(method, {})
            except PeerEnded as error:
                raise await self._why(error) from None

    async def close(self) -> None:
        if self._closing is None:
            self._closed = True
            self._closing = asyncio.get_running_loop().create_task(self._end())
        await asyncio.shield(self._closing)

    async def _end(self) -> None:
        peer, child = self._peer, self._child
        self._peer = self._child = None
        if self._ended is None:
            self._ended = self._failure("ended", "Athena ended it.")
        try:
            if peer is not None:
                await peer.__aexit__(None, None, None)
        finally:
            if child is not None:
                await child.end()

    async def _why(self, error: PeerEnded) -> McpFailure:
        """Return why the conversation ended, with the last words of a program that exited."""
        if self._ended is not None:
            return self._ended
        child = self._child
        code, detail = self._ending(error.ending)
        if error.ending.state == "output-closed" and child is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(EXIT_SECONDS):
                    await child.exited.wait()
            if child.exited.is_set():
                detail = f"It ended: {child.ending(last_words(self._mask))}."
        self._ended = self._failure(code, detail)
        return self._ended

    def _ending(self, ending: Ending) -> tuple[FailureCode, str]:
        flooded = self._lines is not None and self._lines.flooded
        return "flood" if flooded else CODES.get(ending.state, "ended"), ending.detail

    def _failure(self, code: FailureCode, detail: str) -> McpFailure:
        return McpFailure(self._name, code, detail)
