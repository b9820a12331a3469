"""The protocol: uvicorn's HTTP/1.1 with limits on what is sent to it, and on how long that may take."""

from typing import Any, NamedTuple, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from athena_api.edge.asgi import BODY_ERROR, HEAD_ERROR
from athena_api.edge.byte_budget import ByteBudget
from athena_api.edge.replies import status_of
from athena_core.errors import AthenaError, ConfigError, HeadersTooLarge, Overloaded, RequestTimeout, UriTooLong
from athena_core.statuses import PHRASES

# uvicorn takes the standard library's phrases, which differ by version of Python
STATUS_LINE.update({status: f"HTTP/1.1 {status} {phrase}\r\n".encode() for status, phrase in PHRASES.items()})

TAKEN_BYTES_MIN = 16 << 10  # what a client that is waited for has to take within the time of an answer
PIPELINED_MAX = 16
"""Requests of a connection that may wait for the one before them."""
BODY_BYTES_FREE = 16 << 10
"""Bytes of each body that no budget counts, so that small requests go on when it is used up."""
FRAMED = frozenset((b"content-length", b"transfer-encoding"))
WIRE_BYTES_EACH = 9
"""Bytes that each byte of a body may take on the wire, beside ``header_bytes`` for trailers and chunk extensions.

A chunk of one byte takes six.
"""


class ParsingStopped(Exception):
    """Ends the parsing of a packet. Raised in a callback, once the refusal is under way."""


class ConnectionLimits(NamedTuple):
    """What a client may send, in bytes and fields, and how long it may take, in seconds."""

    header_bytes: int
    headers: int
    url_bytes: int
    header_seconds: float
    body_seconds: float
    send_seconds: float


class HttpProtocol(HttpToolsProtocol):
    """A connection.

    ``due`` is the moment of the loop's clock by which the head, or the body, must be there; None while it is our turn.
    Moments are looked at once a second, all in one go, so that a request costs no timer.
    """

    # slots, because with as many attributes as this in a ``__dict__`` each connection would take 1 KiB more
    __slots__ = (
        "_begun",
        "_bodies",
        "_body",
        "_body_bytes",
        "_edge",
        "_limits",
        "_piece",
        "_received",
        "_reserved",
        "_running",
        "_stalled_bytes",
        "_stopped",
        "_trailer_bytes",
        "_trailers",
        "_wire",
        "due",
        "stalled_since",
    )

    def __init__(self, config: Config, server_state: Any, app_state: dict[str, Any], _loop: Any = None) -> None:
        """Take the limits from the application."""
        super().__init__(config, server_state, app_state, _loop)
        self._edge = cast(Any, config.app)
        self._limits: ConnectionLimits = self._edge.limits
        self.due: float | None = None
        self._begun = False
        """Whether a part of a head is there."""
        self._body = False
        """Whether a head is there, and a part of its body is not."""
        self._received = 0
        """Bytes that came since the piece in which the head began."""
        self._piece = 0
        """Bytes that came last, in one piece."""
        self._wire = 0
        """Bytes in the pieces since the last head or message ended."""
        self._body_bytes = 0
        """Bytes of the body among them, and in the piece that held the end of the head."""
        self._trailers = 0
        self._trailer_bytes = 0
        self._bodies: ByteBudget = self._edge.bodies
        self._reserved = 0
        """Bytes of bodies that this connection has taken from the budget."""
        self._running: Any = None
        """The request that the application works on; ``cycle`` is the last one that was read."""
        self._stopped = False
        """Whether nothing more is read, because the connection is to be closed."""
        self.stalled_since = 0.0
        self._stalled_bytes = 0

    # What comes in

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything that was held for the client, and of the requests that wait."""
        super().connection_lost(exc)
        running = self._running
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()
        for waiting, _ in self.pipeline:
            waiting.on_response = _nothing  # else it and this connection would hold each other
        self.pipeline.clear()
        self._release()

    def data_received(self, data: bytes) -> None:
        """Take some bytes. Refuse a head that does not end, and bytes around a body that are no part of it."""
        if self._stopped:
            return
        size = self._piece = len(data)
        if self._begun:
            self._received += size
        else:
            self._wire += size
        super().data_received(data)
        limits = self._limits
        if self._begun:
            if self._received > limits.header_bytes + limits.url_bytes:
                self.refuse(HeadersTooLarge(f"the header fields are over {limits.header_bytes} bytes"))
        elif self._wire > limits.header_bytes + WIRE_BYTES_EACH * self._body_bytes:
            self.refuse(_trailers_too_large(limits))

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._begun = True
        self._received = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head. Drop a trailer: what the application sees is fixed when the head is complete."""
        if self._begun:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))
            return
        limits = self._limits
        self._trailers += 1
        self._trailer_bytes += len(name) + len(value) + len(": \r\n")
        if self._trailers > limits.headers or self._trailer_bytes > limits.header_bytes:
            self.refuse(_trailers_too_large(limits))
            raise ParsingStopped

    def on_headers_complete(self) -> None:
        """Hand the request on, as one that is refused where it is over a limit; begin to wait for its body."""
        error = self._excess()
        if error is not None:
            self._mark(HEAD_ERROR, error)
        self._begun, self._body = False, True
        self._wire = self._body_bytes = self._trailers = self._trailer_bytes = 0
        self.due = self.loop.time() + self._limits.body_seconds
        super().on_headers_complete()
        self.headers = []  # those of the request are the application's now
        if not self.pipeline:
            self._running = self.cycle
        if error is not None:
            self.cycle.keep_alive = False
            self._stopped = True
            raise ParsingStopped
        if self.parser.should_upgrade():  # the parser reads no more
            self.cycle.keep_alive = False
            self._stopped = True

    def _mark(self, key: str, value: object) -> None:
        """Tell the application something about this request."""
        scope: Any = self.scope
        scope[key] = value

    def _excess(self) -> AthenaError | None:
        limits = self._limits
        if len(self.url) > limits.url_bytes:
            return UriTooLong(f"the path and query are over {limits.url_bytes} bytes")
        if len(self.pipeline) >= PIPELINED_MAX:
            return Overloaded(f"{PIPELINED_MAX} requests of this connection wait already")
        if self.parser.should_upgrade() and any(name in FRAMED for name, _ in self.headers):
            # the parser would take the body for the next request
            return ConfigError.of("upgrade", "a request with a body cannot ask for another protocol", "leave it out")
        if len(self.headers) > limits.headers:
            return HeadersTooLarge(f"there are more than {limits.headers} header fields")
        if self._received + self._piece > limits.header_bytes:  # which is no less
            size = sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)
            if size > limits.header_bytes:
                return HeadersTooLarge(f"the header fields are over {limits.header_bytes} bytes")
        return None

    def on_body(self, body: bytes) -> None:
        """Take a part of a body. Refuse the request where all bodies together are over their budget."""
        size = len(body)
        self._body_bytes += size
        if self._body_bytes > BODY_BYTES_FREE and not self.cycle.response_complete:
            if not self._bodies.take(size, self._reserved):
                most = self._bodies.bytes_max
                self.refuse(Overloaded(f"the bodies that are being received hold {most} bytes; retry later"))
                raise ParsingStopped
            self._reserved += size
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole; it is our turn, unless it was answered before it was whole."""
        super().on_message_complete()
        self._body = False
        self._wire = self._body_bytes = 0
        if self._reserved and not self.pipeline:
            self._release()
        if not self.cycle.response_complete:
            self.due = None

    def on_response_complete(self) -> None:
        """Wait for the next head, or go on with a request that is there already."""
        if self.pipeline:
            self._running = self.pipeline[-1][0]
        elif self._reserved:
            self._release()
        super().on_response_complete()
        if self.cycle.response_complete:
            self._await_head()
        elif self._body:  # its body was not read meanwhile
            self.due = self.loop.time() + self._limits.body_seconds

    def _await_head(self) -> None:
        self.due = self.loop.time() + self._limits.header_seconds

    def _release(self) -> None:
        self._bodies.release(self._reserved)
        self._reserved = 0

    # What has taken too long

    def check(self, now: float) -> None:
        """Refuse what is overdue, and let go of a client that takes nothing."""
        if self.due is not None and now > self.due and not self.flow.read_paused:
            self.due = None
            if self._body and not self.cycle.response_complete:
                self._cut(RequestTimeout("the body did not come in time; nothing was done"))
            elif self._begun:
                self.refuse(RequestTimeout("the head of the request did not come in time"))
            else:
                self.transport.close()
        if not self.flow.write_paused and not self.transport.is_closing():
            self.stalled_since = 0.0
        elif not self.stalled_since:
            self.stalled_since, self._stalled_bytes = now, self.unread
        elif now - self.stalled_since > self._limits.send_seconds:
            left = self.unread
            if self._stalled_bytes - left < TAKEN_BYTES_MIN:
                self.transport.abort()
            self.stalled_since, self._stalled_bytes = now, left

    @property
    def unread(self) -> int:
        """Bytes that were sent to the client and that the kernel has not taken."""
        size: int = self.transport.get_write_buffer_size()
        return size

    # What is no request

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read, unless the parser was stopped by a refusal."""
        if not self._stopped:
            self.refuse(ConfigError("what was sent is not HTTP/1.1 as this server reads it"))

    def refuse(self, error: AthenaError) -> None:
        """Read no more, and close the connection once every request that was read is answered.

        The error is the answer of the request that it is about, or a last one if no request is open.
        """
        self._stopped = True
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.keep_alive = False
            if self._body:
                self._cut(error)
            if self._body and cycle.response_started:
                self.transport.close()
            return
        if not self.transport.is_closing() and not self._body:
            body, headers = self._edge.refusal(error)
            lines = [name + b": " + value + b"\r\n" for name, value in headers]
            self.transport.write(b"".join((STATUS_LINE[status_of(error)], *lines, b"\r\n", body)))
        self.transport.close()

    def _cut(self, error: AthenaError) -> None:
        """End the body that is being received with an error, which is raised where the application reads it."""
        self._mark(BODY_ERROR, error)
        self.cycle.keep_alive = False
        self.cycle.message_event.set()


def _trailers_too_large(limits: ConnectionLimits) -> AthenaError:
    most = f"{limits.headers} fields or {limits.header_bytes} bytes"
    return HeadersTooLarge(f"the trailers and chunk extensions are over {most}")


def _nothing() -> None:
    pass
