"""A connection without a socket: the real protocol, fed with bytes in chosen pieces."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple

from uvicorn.config import Config
from uvicorn.server import ServerState

from athena_api.edge.asgi import HEAD_ERROR, Receive, Scope, Send
from athena_api.edge.byte_budget import ByteBudget
from athena_api.edge.exchange import BODY_ERROR, ConnectionLimits, KnownHead
from athena_api.edge.protocol import HttpProtocol
from athena_api.edge.replies import failure
from athena_core.errors import AthenaError

LIMITS = ConnectionLimits(
    header_bytes=65_536, headers=100, url_bytes=16_384, header_seconds=10, body_seconds=10, send_seconds=10
)
TURNS = 20  # of the loop, until it is idle


class Seen(NamedTuple):
    """A request as an application receives it: at its start, and after its body."""

    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    headers_after: list[tuple[bytes, bytes]]
    body: bytes | None
    """None if it was not complete."""
    refused: str | None


class Line(asyncio.Transport):
    """A transport that records what was written and whether it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"sockname": ("127.0.0.1", 8787), "peername": ("127.0.0.1", 50_000)}.get(name, default)

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


class Application:
    """An application that reads the body of every request and records it."""

    def __init__(self, wrapped: Callable[[Scope, Receive, Send], Awaitable[None]] | None = None) -> None:
        self.limits = LIMITS
        self.default_lines = b""
        self.known_head = KnownHead(lambda: 0)
        self.bodies = ByteBudget(1 << 20)
        self.seen: list[Seen] = []
        self._wrapped = wrapped

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._wrapped is not None:
            await self._wrapped(scope, receive, send)
            return
        before = list(scope["headers"])
        body: bytes | None = b""
        while body is not None and HEAD_ERROR not in scope:
            message = await receive()
            body = None if message["type"] == "http.disconnect" or BODY_ERROR in scope else body + message["body"]
            if not message.get("more_body", False):
                break
        refused = scope.get(HEAD_ERROR) or scope.get(BODY_ERROR)
        code = None if refused is None else refused.code
        after = list(scope["headers"])
        self.seen.append(Seen(scope["method"], scope["path"], scope["query_string"], before, after, body, code))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    def refusal(self, error: AthenaError, client: str | None = None) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        return failure(error, "trace"), []


async def turns() -> None:
    """Run the event loop until nothing is left that waits for no outside event."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def feed(application: Application, pieces: Iterable[bytes], *, waiting: bool) -> Line:
    """Send pieces to a new connection; if ``waiting``, the application runs between them."""
    config = Config(application, http=HttpProtocol, ws="none", lifespan="off", log_config=None, log_level="error")
    config.load()
    line = Line()
    protocol = HttpProtocol(config, ServerState(), {})
    protocol.connection_made(line)
    for piece in pieces:
        if line.closed:
            break
        protocol.data_received(piece)
        if waiting:
            await turns()
    await turns()
    protocol.connection_lost(None)
    await turns()
    return line
