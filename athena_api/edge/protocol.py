"""The protocol: uvicorn's HTTP/1.1 with limits on the size and duration of requests."""

from typing import Any, NamedTuple, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from athena_api.edge.asgi import BODY_ERROR, HEAD_ERROR
from athena_api.edge.byte_budget import ByteBudget
from athena_api.edge.replies import status_of
from athena_core.errors import AthenaError, ConfigError, HeadersTooLarge, Overloaded, RequestTimeout, UriTooLong
from athena_core.statuses import PHRASES

# uvicorn uses the phrases of the standard library, which differ between versions of Python
STATUS_LINE.update({status: f"HTTP/1.1 {status} {phrase}\r\n".encode() for status, phrase in PHRASES.items()})

TAKEN_BYTES_MIN = 16 << 10  # bytes that a slow client must read within the send timeout
PIPELINED_MAX = 16
"""Requests of a connection that may wait for an earlier one."""
BODY_BYTES_FREE = 16 << 10
"""Bytes of each body outside of the budget, so that small requests still pass when it is used up."""
FRAMED = frozenset((b"content-length", b"transfer-encoding"))
WIRE_BYTES_EACH = 9
"""Bytes on the wire for each byte of a body, beside ``header_bytes`` for trailers and chunk extensions.

A chunk of one byte takes six.
"""


class ParsingStopped(Exception):
    """Ends the parsing of a packet. Raised in a callback after the refusal is set."""


class ConnectionLimits(NamedTuple):
    """Limits of a request, in bytes, fields and seconds."""

    header_bytes: int
    headers: int
    url_bytes: int
    header_seconds: float
    body_seconds: float
    send_seconds: float


class HttpProtocol(HttpToolsProtocol):
    """A connection.

    ``due`` is the loop time by which the head, or the body, must have arrived; None while the server is working. Due
    times are checked once a second for all connections, so a request needs no timer.
    """

    # slots: a ``__dict__`` with this many attributes takes 1 KiB more for each connection
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
        super().__init__(config, server_state, app_state, _loop)
        self._edge = cast(Any, config.app)
        self._limits: ConnectionLimits = self._edge.limits
        self.due: float | None = None
        self._begun = False
        """True if part of a head has arrived."""
        self._body = False
        """True if the head is complete and the body is not."""
        self._received = 0
        """Bytes received since the packet in which the head began."""
        self._piece = 0
        """Bytes of the last packet."""
        self._wire = 0
        """Bytes of the packets since the last head or message ended."""
        self._body_bytes = 0
        """Bytes of the body in them, and in the packet with the end of the head."""
        self._trailers = 0
        self._trailer_bytes = 0
        self._bodies: ByteBudget = self._edge.bodies
        self._reserved = 0
        """Bytes of bodies that this connection has taken from the budget."""
        self._running: Any = None
        """The request that the application is handling. ``cycle`` is the last one that was read."""
        self._stopped = False
        """True if nothing more is read because the connection will be closed."""
        self.stalled_since = 0.0
        self._stalled_bytes = 0

    # Receiving

    def connection_made(self, transport: Any) -> None:
        """Start to wait for a head."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Release everything held for the client, and drop its waiting requests."""
        super().connection_lost(exc)
        running = self._running
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()
        for waiting, _ in self.pipeline:
            waiting.on_response = _nothing  # otherwise the request and this connection would keep each other alive
        self.pipeline.clear()
        self._release()

    def data_received(self, data: bytes) -> None:
        """Parse some bytes. Refuse a head that does not end, and too many bytes around a body."""
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
                self.refuse(HeadersTooLarge(f"The header fields exceed {limits.header_bytes} bytes."))
        elif self._wire > limits.header_bytes + WIRE_BYTES_EACH * self._body_bytes:
            self.refuse(_trailers_too_large(limits))

    def on_message_begin(self) -> None:
        """Start a head."""
        super().on_message_begin()
        self._begun = True
        self._received = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field. Drop a trailer, because the headers are fixed once the head is complete."""
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
        """Pass the request to the application, with its error if it exceeds a limit, and start to wait for its body."""
        error = self._excess()
        if error is not None:
            self._mark(HEAD_ERROR, error)
        self._begun, self._body = False, True
        self._wire = self._body_bytes = self._trailers = self._trailer_bytes = 0
        self.due = self.loop.time() + self._limits.body_seconds
        super().on_headers_complete()
        self.headers = []  # the application owns the old list
        if not self.pipeline:
            self._running = self.cycle
        if error is not None:
            self.cycle.keep_alive = False
            self._stopped = True
            raise ParsingStopped
        if self.parser.should_upgrade():  # the parser reads nothing more
            self.cycle.keep_alive = False
            self._stopped = True

    def _mark(self, key: str, value: object) -> None:
        """Add a key to the ASGI scope of this request."""
        scope: Any = self.scope
        scope[key] = value

    def _excess(self) -> AthenaError | None:
        limits = self._limits
        if len(self.url) > limits.url_bytes:
            return UriTooLong(f"The path and query exceed {limits.url_bytes} bytes.")
        if len(self.pipeline) >= PIPELINED_MAX:
            return Overloaded(f"{PIPELINED_MAX} requests of this connection are waiting. Read their answers first.")
        if self.parser.should_upgrade() and any(name in FRAMED for name, _ in self.headers):
            # the parser would read the body as the next request
            return ConfigError.of("upgrade", "is not allowed in a request with a body", "leave it out")
        if len(self.headers) > limits.headers:
            return HeadersTooLarge(f"The request has more than {limits.headers} header fields.")
        if self._received + self._piece > limits.header_bytes:  # the head is at most this long
            size = sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)
            if size > limits.header_bytes:
                return HeadersTooLarge(f"The header fields exceed {limits.header_bytes} bytes.")
        return None

    def on_body(self, body: bytes) -> None:
        """Take part of a body. Refuse the request if all bodies together exceed their budget."""
        size = len(body)
        self._body_bytes += size
        if self._body_bytes > BODY_BYTES_FREE and not self.cycle.response_complete:
            if not self._bodies.take(size, self._reserved):
                most = self._bodies.bytes_max
                self.refuse(Overloaded(f"The request bodies in flight exceed {most} bytes. Retry later."))
                raise ParsingStopped
            self._reserved += size
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the message. The server's turn starts now, unless the request was answered early."""
        super().on_message_complete()
        self._body = False
        self._wire = self._body_bytes = 0
        if self._reserved and not self.pipeline:
            self._release()
        if not self.cycle.response_complete:
            self.due = None

    def on_response_complete(self) -> None:
        """Wait for the next head, or continue with a request that has arrived already."""
        if self.pipeline:
            self._running = self.pipeline[-1][0]
        elif self._reserved:
            self._release()
        super().on_response_complete()
        if self.cycle.response_complete:
            self._await_head()
        elif self._body:  # the body was not read in the meantime
            self.due = self.loop.time() + self._limits.body_seconds

    def _await_head(self) -> None:
        self.due = self.loop.time() + self._limits.header_seconds

    def _release(self) -> None:
        self._bodies.release(self._reserved)
        self._reserved = 0

    # Timeouts

    def check(self, now: float) -> None:
        """End requests that are overdue, and abort a connection whose client reads nothing."""
        if self.due is not None and now > self.due and not self.flow.read_paused:
            self.due = None
            if self._body and not self.cycle.response_complete:
                self._cut(RequestTimeout("The body did not arrive in time. The request was not executed."))
            elif self._begun:
                self.refuse(RequestTimeout("The head of the request did not arrive in time."))
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
        """Bytes sent to the client that the kernel has not taken."""
        size: int = self.transport.get_write_buffer_size()
        return size

    # Malformed input

    def send_400_response(self, msg: str) -> None:
        """Refuse malformed input, unless a refusal stopped the parser."""
        if not self._stopped:
            self.refuse(ConfigError("The request is not valid HTTP/1.1."))

    def refuse(self, error: AthenaError) -> None:
        """Stop reading, and close the connection once all requests that were read are answered.

        The error answers the open request, or is sent as a last answer if there is none.
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
            body, headers = self._edge.refusal(error, self.client[0] or None if self.client else None)
            lines = [name + b": " + value + b"\r\n" for name, value in headers]
            self.transport.write(b"".join((STATUS_LINE[status_of(error)], *lines, b"\r\n", body)))
        self.transport.close()

    def _cut(self, error: AthenaError) -> None:
        """End the body that is being received. Reading it raises the error in the application."""
        self._mark(BODY_ERROR, error)
        self.cycle.keep_alive = False
        self.cycle.message_event.set()


def _trailers_too_large(limits: ConnectionLimits) -> AthenaError:
    most = f"{limits.headers} fields or {limits.header_bytes} bytes"
    return HeadersTooLarge(f"The trailers and chunk extensions exceed {most}.")


def _nothing() -> None:
    pass
