"""The MCP endpoint of a gateway: one call of an agent for a tool of Athena, over the connection of its request."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from athena_core.gateway.exchange import GatewayExchange
from athena_core.gateway.refusals import Refusal
from athena_core.mcp.served import Headers, McpService
from athena_core.mcp.serving import McpServing

PATH: Final = b"/mcp"
BODY_BYTES_MAX: Final = 4 << 20
"""Maximum size of the body of a request, in bytes."""


async def serve(exchange: GatewayExchange, serving: McpServing, service: McpService) -> None:
    """Answer a request to the endpoint, whose head was read. Raise Refusal, or OSError if the client hung up.

    The call of a client that hangs up is cancelled.
    """
    if exchange.method != b"POST":
        raise Refusal("athena_method", "The endpoint has neither a stream of its own nor sessions. Use POST.")
    if exchange.header(b"origin"):
        raise Refusal("athena_origin", "Pages of browsers may not call this endpoint. Send no Origin.")
    body = await exchange.read_body()
    if len(body) > BODY_BYTES_MAX:
        raise Refusal("athena_body", f"The body exceeds {BODY_BYTES_MAX} bytes. Send a shorter one.")
    async with _cancelled_if_left(exchange):
        await serving.serve(body, exchange.headers, service, ExchangeAnswer(exchange))


class ExchangeAnswer:
    """The answer to a request, on the connection of its exchange (``serving.AnswerWriter``)."""

    def __init__(self, exchange: GatewayExchange) -> None:
        self._exchange = exchange

    async def start(self, status: int, headers: Headers) -> None:
        """Send the status and the header fields."""
        length = next((int(value) for name, value in headers if name == b"content-length"), None)
        self._exchange.begin(status, [pair for pair in headers if pair[0] != b"content-length"], length)

    async def send(self, data: bytes, *, more: bool) -> None:
        """Send a part of the body. Raise OSError if the client hung up."""
        await self._exchange.write(data)
        if not more:
            self._exchange.finish()


@asynccontextmanager
async def _cancelled_if_left(exchange: GatewayExchange) -> AsyncIterator[None]:
    """Cancel this task if the client hangs up."""
    serving = asyncio.current_task()
    assert serving is not None, "a connection has a task"
    watching = asyncio.create_task(exchange.hung_up())

    def left(watched: asyncio.Task[None]) -> None:
        if not watched.cancelled():
            serving.cancel()

    watching.add_done_callback(left)
    try:
        yield
    finally:
        watching.remove_done_callback(left)
        watching.cancel()
