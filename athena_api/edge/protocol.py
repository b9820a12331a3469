"""The protocol: HTTP/1.1 on httptools, with limits on the size and duration of requests."""

import asyncio
from collections import deque
from typing import Any, cast

import httptools
from uvicorn.config import Config

from athena_api.edge.asgi import HEAD_ERROR
from athena_api.edge.exchange import (
    STATUS_LINE,
    ConnectionLimits,
    Flow,
    HttpExchange,
    KnownHead,
    connection_scope,
    excess,
    is_plain,
    lines_of,
    malformed,
    scope_of,
    unreadable,
)
from athena_api.edge.replies import status_of
from athena_core.errors import AthenaError, ConfigError, HeadersTooLarge, Overloaded, RequestTimeout

WAITING_BYTES_MAX = 64 << 10
"""Bytes of a body that wait for the application before the connection is read no further."""
BODY_BYTES_FREE = 16 << 10
"""Bytes of each body outside of the budget, so that small requests still pass when it is used up."""
WIRE_BYTES_EACH = 9
"""Bytes on the wire for each byte of a body, beside ``header_bytes`` for trailers and chunk extensions.

A chunk of one byte takes six.
"""
IDLE_SECONDS = 5.0
"""Seconds after which a connection is closed that was answered and sends no further request."""


class ParsingStopped(Exception):
    """Ends the parsing of a packet. Raised in a callback after the refusal is set."""


class HttpProtocol(asyncio.Protocol):
    """A connection.

    ``due`` is the loop time by which the head, or the body, must have arrived; None while the server is working. Due
    times are checked once a second for all connections, so a request needs no timer.
    """

    # slots: a ``__dict__`` with this many attributes takes 1 KiB more for each connection
    __slots__ = (
        "_begun", "_body", "_body_bytes", "_expects", "_first", "_head", "_known_head", "_limits", "_piece",
        "_received", "_reserved", "_running", "_state", "_stopped", "_trailer_bytes", "_trailers", "_wire", "about",
        "due", "edge", "exchange", "flow", "headers", "loop", "parser", "pipeline", "transport", "url",
    )  # fmt: skip

    def __init__(self, config: Config, server_state: Any, app_state: dict[str, Any], _loop: Any = None) -> None:
        self.edge = cast(Any, config.app)
        self._state = server_state
        self._limits: ConnectionLimits = self.edge.limits
        self._known_head: KnownHead = self.edge.known_head
        self.loop = _loop or asyncio.get_running_loop()
        self.parser: Any = httptools.HttpRequestParser(self)
        # the answer to a request with ``connection: close`` must not be lost if more data follows
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.transport: asyncio.Transport = cast(Any, None)
        self.flow: Flow = cast(Any, None)
        self.headers: list[tuple[bytes, bytes]] = []
        self.url = b""
        self.due: float | None = None
        self._begun = self._expects = False
        """True if part of a head has arrived; true if the client waits for 100 Continue."""
        self._body = False
        """True if the head is complete and the body is not."""
        self._received = 0
        """Bytes received since the packet in which the head began."""
        self._head = b""
        """The packets with the head that is being read, to look at its first line."""
        self._first = True
        """True if the head is the first thing in them."""
        self._piece = 0
        """Bytes of the last packet."""
        self._wire = 0
        """Bytes of the packets since the last head or message ended."""
        self._body_bytes = 0
        """Bytes of the body in them, and in the packet with the end of the head."""
        self._trailers = 0
        self._trailer_bytes = 0
        self._reserved = 0
        """Bytes of bodies that this connection has taken from the budget."""
        self.exchange: HttpExchange | None = None
        """The last request that was read."""
        self._running: HttpExchange | None = None
        """The request that the application is handling."""
        self.pipeline: deque[HttpExchange] = deque()
        """Requests that wait for the one before them, or for the client to read its answers."""
        self._stopped = False
        """True if nothing more is read because the connection will be closed."""

    # Receiving

    def connection_made(self, transport: Any) -> None:
        """Start to wait for a head."""
        self._state.connections.add(self)
        self.transport = transport
        self.flow = Flow(transport)
        self.about = connection_scope(transport)
        self.due = self.loop.time() + self._limits.header_seconds

    def connection_lost(self, exc: Exception | None) -> None:
        """Release everything held for the client, and drop its waiting requests."""
        self._state.connections.discard(self)
        self._stopped = True
        running = self._running
        if running is not None and not running.complete:
            running.disconnected = True
            running.notify()
        self.flow.resume_writing()
        self.pipeline.clear()
        self._release()
        self.parser = None  # the parser and this connection would keep each other alive

    def data_received(self, data: bytes) -> None:
        """Parse some bytes. Refuse a head that does not end, and too many bytes around a body."""
        if self._stopped:
            return
        self._known_head.position = None
        size = self._piece = len(data)
        if self._begun:
            self._received += size
            self._head += data
        else:
            self._wire += size
            self._head, self._first = data, not self._body
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return
        except httptools.HttpParserError as error:
            if not self._stopped:
                self.refuse(unreadable(error))
            return
        limits = self._limits
        if not self._begun:
            self._head = b""
        if self._begun:
            if self._received > limits.header_bytes + limits.url_bytes:
                self.refuse(HeadersTooLarge(f"The header fields exceed {limits.header_bytes} bytes."))
        elif self._wire > limits.header_bytes + WIRE_BYTES_EACH * self._body_bytes:
            self.refuse(_trailers_too_large(limits))

    def pause_writing(self) -> None:
        """Let the application wait until the client has read more."""
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        """Let the application continue, or start the next request that waits."""
        self.flow.resume_writing()
        if self._running is None:
            self._next()

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []  # the application owns the old list
        self._begun, self._expects = True, False
        self._received = 0

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field. Drop a trailer, because the headers are fixed once the head is complete."""
        if self._begun:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self._expects = True
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
        parser = self.parser
        version, upgrade = parser.get_http_version(), parser.should_upgrade()
        method = parser.get_method()
        scope = scope_of(self.about, method, version, self.url, self.headers)
        size = self._received + self._piece  # the head is at most this long
        error = excess(self._limits, self.url, self.headers, size, len(self.pipeline), upgrade=upgrade)
        if error is None and not (self._first and is_plain(self._head, self.headers)):
            error = malformed(version, self.url, self.headers) or self._misspelled(
                b"%b %b HTTP/%b\r\n" % (method, self.url, version.encode())
            )
        if error is not None:
            scope[HEAD_ERROR] = error
        self._begun, self._body = False, True
        self._wire = self._body_bytes = self._trailers = self._trailer_bytes = 0
        self.due = self.loop.time() + self._limits.body_seconds
        keep_alive = version != "1.0" and error is None and not upgrade and parser.should_keep_alive()
        exchange = self.exchange = HttpExchange(self, scope, keep_alive=keep_alive, expects_continue=self._expects)
        if self._running is None and self.flow.drained is None:
            self._running = exchange
            exchange.start(self.edge, self.loop, self._state.tasks)
        else:
            self.flow.pause_reading()
            self.pipeline.append(exchange)
        if error is not None:
            self._stopped = True
            raise ParsingStopped
        if upgrade:  # the parser reads nothing more
            self._stopped = True

    def _misspelled(self, line: bytes) -> AthenaError | None:
        """Return an error unless the head begins with this line: the parser also takes more spaces, and RTSP.

        Behind another message in its packet, the line only has to be there.
        """
        head = self._head
        if head.startswith(line) or (head.lstrip(b"\r\n").startswith(line) if self._first else line in head):
            return None
        return ConfigError("The request line must be a method, a target and HTTP/1.1, with one space between them.")

    def on_body(self, body: bytes) -> None:
        """Take part of a body. Refuse the request if all bodies together exceed their budget."""
        size = len(body)
        self._body_bytes += size
        exchange = cast(HttpExchange, self.exchange)
        if exchange.complete:
            return
        if self._body_bytes > BODY_BYTES_FREE:
            if not self.edge.bodies.take(size, self._reserved):
                most = self.edge.bodies.bytes_max
                self.refuse(Overloaded(f"The request bodies in flight exceed {most} bytes. Retry later."))
                raise ParsingStopped
            self._reserved += size
        if exchange.feed(body) > WAITING_BYTES_MAX:
            self.flow.pause_reading()

    def on_message_complete(self) -> None:
        """End the message. The server's turn starts now, unless the request was answered early."""
        self._body = self._first = False
        self._wire = self._body_bytes = 0
        if self._reserved and not self.pipeline:
            self._release()
        exchange = cast(HttpExchange, self.exchange)
        if not exchange.complete:
            exchange.more_body = False
            exchange.notify()
            self.due = None

    def answered(self) -> None:
        """Wait for the next head, or continue with a request that has arrived already."""
        self._state.total_requests += 1
        self._running = None
        if self._reserved and not self.pipeline:
            self._release()
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self._next()
        if cast(HttpExchange, self.exchange).complete:
            self.due = self.loop.time() + self._limits.header_seconds
        elif self._body:  # the body was not read in the meantime
            self.due = self.loop.time() + self._limits.body_seconds

    def _next(self) -> None:
        """Start the first request that waits, if the client reads its answers."""
        if self.pipeline and self.flow.drained is None:
            self._running = self.pipeline.popleft()
            self._running.start(self.edge, self.loop, self._state.tasks)

    def _release(self) -> None:
        self.edge.bodies.release(self._reserved)
        self._reserved = 0

    # Ends

    def shutdown(self) -> None:
        """Close the connection after the answer to the open request."""
        if self.exchange is None or self.exchange.complete:
            self.transport.close()
        else:
            self.exchange.keep_alive = False

    def check(self, now: float) -> None:
        """End requests that are overdue, and abort a connection whose client reads nothing."""
        exchange = self.exchange
        idle = exchange is not None and not (self._begun or self._body)  # its requests are answered
        spare = max(0.0, self._limits.header_seconds - IDLE_SECONDS) if idle else 0.0
        if self.due is not None and now > self.due - spare and self.flow.reading:
            self.due = None
            if self._body and exchange is not None and not exchange.complete:
                exchange.cut(RequestTimeout("The body did not arrive in time. The request was not executed."))
            elif self._begun:
                self.refuse(RequestTimeout("The head of the request did not arrive in time."))
            else:
                self.transport.close()
        self.flow.check(now, self._limits.send_seconds)

    # Malformed input

    def refuse(self, error: AthenaError) -> None:
        """Stop reading, and close the connection once all requests that were read are answered.

        The error answers the open request, or is sent as a last answer if there is none.
        """
        self._stopped = True
        exchange = self.exchange
        if exchange is not None and not exchange.complete:
            exchange.keep_alive = False
            if self._body:
                exchange.cut(error)
            if self._body and exchange.started:
                self.transport.close()
            return
        if not self.transport.is_closing() and not self._body:
            body, headers = self.edge.refusal(error, self.about["client"])
            self.transport.write(b"".join((STATUS_LINE[status_of(error)], lines_of(headers), b"\r\n", body)))
        self.transport.close()


def _trailers_too_large(limits: ConnectionLimits) -> AthenaError:
    most = f"{limits.headers} fields or {limits.header_bytes} bytes"
    return HeadersTooLarge(f"The trailers and chunk extensions exceed {most}.")
