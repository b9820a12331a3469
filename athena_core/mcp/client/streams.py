"""A stream of messages from a server over HTTP, in one response or in several that take it up again."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any

from msgspec import UNSET, Raw

from athena_core.mcp.client.events import EventReader, EventTooLarge
from athena_core.mcp.client.failure import McpFailure
from athena_core.mcp.client.server_side import ServerSide
from athena_core.mcp.client.wire import LIMITS, MESSAGES_MAX, SERVER_REQUESTS_MAX
from athena_core.rpc.peer import RequestFailed, RpcMessage, read_message


class ServerStream:
    """The messages of a stream. Requests of the server are answered meanwhile; ``close`` cancels their answers."""

    def __init__(self, server: str, side: ServerSide, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        """``send`` sends an answer to the server."""
        self._server = server
        self._side = side
        self._send = send
        self._reader = EventReader(LIMITS.line_bytes)
        self._seen = 0
        self._answers: set[asyncio.Task[None]] = set()

    @property
    def last_id(self) -> str:
        """The id with which the stream can be taken up again; empty if it cannot."""
        return self._reader.last_id

    async def wait(self) -> None:
        """Wait as long as the server wants before the stream is taken up again."""
        self._reader.restart()
        await asyncio.sleep(self._reader.retry_seconds)

    async def messages(self, response: AsyncGenerator[bytes]) -> AsyncGenerator[RpcMessage]:
        """Yield the messages of a response, which is given as pieces. Raise McpFailure, ProtocolBroken."""
        async with aclosing(response) as pieces:
            async for piece in pieces:
                try:
                    events = self._reader.more(piece)
                except EventTooLarge:
                    detail = f"It sent an event of more than {LIMITS.line_bytes} bytes."
                    raise McpFailure(self._server, "line-too-long", detail) from None
                for event in events:
                    self._seen += 1
                    if self._seen > MESSAGES_MAX:
                        detail = f"It sent more than {MESSAGES_MAX} messages without an answer."
                        raise McpFailure(self._server, "flood", detail)
                    yield read_message(event, LIMITS)

    async def take(self, message: RpcMessage) -> None:
        """Handle a request or a notification of the server."""
        params = Raw(b"{}") if message.params is UNSET else Raw(bytes(message.params))
        method = str(message.method)
        if message.id is UNSET or message.id is None:
            await self._side.notification(method, params)
        elif len(self._answers) < SERVER_REQUESTS_MAX:  # an answer to each would be a flood of its own
            task = asyncio.get_running_loop().create_task(self._answer(message.id, method, params))
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)

    def close(self) -> None:
        """Cancel the answers to requests of the server."""
        for task in self._answers:
            task.cancel()

    async def _answer(self, number: int | str, method: str, params: Raw) -> None:
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": number}
        try:
            answer["result"] = await (await self._side.request(method, params))()
        except RequestFailed as error:
            answer["error"] = {"code": error.code, "message": error.message.exact}
        with suppress(McpFailure, RequestFailed):  # the call itself will fail
            await self._send(answer)
