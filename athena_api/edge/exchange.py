"""An exchange: one request of a connection and its answer.

Hot: an answer whose body is known is one write. Streams and pages send messages of ASGI.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote

import httptools
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl

from athena_api.edge.asgi import EXCHANGE, App, Message, Receive, Scope, Send
from athena_core.errors import (
    AthenaError,
    ConfigError,
    HeadersTooLarge,
    HttpVersionUnknown,
    Overloaded,
    PayloadTooLarge,
    TransferCodingUnknown,
    UriTooLong,
)
from athena_core.statuses import PHRASES

BODY_ERROR = "athena.body_error"
"""Key of the error of a request whose body ended early, set by the protocol."""
STATUS_LINE = {status: f"HTTP/1.1 {status} {phrase}\r\n".encode() for status, phrase in PHRASES.items()}
CONTROLS = bytes({*range(32), 127} - {9})
"""The bytes that no header field may contain."""
WHITESPACE = b" \t"
VERSIONS = frozenset(("1.0", "1.1"))
SCHEMES = (b"http", b"https")
AUTHORITY = re.compile(rb"(?:\[[0-9a-f:.]+\]|[a-z0-9._~!$&'()*+;=%-]*)(?::[0-9]*)?")
"""A host with a port, in lower case: without a user, and no list."""
PLACES = frozenset((b"host", b"transfer-encoding"))
"""The fields that ``malformed`` looks at."""
PLAIN_LINE = re.compile(rb"[A-Z]+ /[!\"$-~]* HTTP/1\.1\r\n")
"""A request line with a path and without a fragment."""
PATH_BEGIN = re.compile(rb"[/?]")
PIPELINED_MAX = 16
"""Requests of a connection that may wait for an earlier one."""
FRAMED = frozenset((b"content-length", b"transfer-encoding"))
NO_BODY = frozenset((204, 304))
TAKEN_BYTES_MIN = 16 << 10  # bytes that a slow client must read within the send timeout
COPIED_BYTES_MAX = 64 << 10  # copying a longer body takes longer than a write of two pieces
PIECE_BYTES = 64 << 10
"""Largest answer in bytes that is sent at once and does not count towards the budget of answers."""
NOSNIFF = (b"x-content-type-options", b"nosniff")
UNCACHED = (NOSNIFF, (b"cache-control", b"no-store"))
REVALIDATED = (NOSNIFF, (b"cache-control", b"private, no-cache"))
CACHED = (NOSNIFF,)
BROKEN = b"Internal Server Error"

_log = logging.getLogger("uvicorn.error")


def lines_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return header fields as lines that each end in CRLF. Raise RuntimeError for a control character."""
    fields = list(headers)
    lines = b"".join([name + b": " + value + b"\r\n" for name, value in fields])
    if len(lines.translate(None, CONTROLS)) != len(lines) - 2 * len(fields):
        raise RuntimeError("A header field contains a control character.")
    return lines


def fields_of(lines: bytes) -> list[tuple[bytes, bytes]]:
    """Return lines as header fields."""
    return [(name, value) for name, _, value in (line.partition(b": ") for line in lines.split(b"\r\n")[:-1])]


CACHED_LINES, REVALIDATED_LINES, UNCACHED_LINES = map(lines_of, (CACHED, REVALIDATED, UNCACHED))


def with_cache_headers(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Add the headers that prevent caching and content sniffing.

    An answer with its own ``cache-control`` keeps it. A client may store an answer with an ETag, and must revalidate it
    each time.
    """
    added = UNCACHED
    for name, _ in headers:
        if name == b"cache-control":
            return [*headers, *CACHED]
        if name == b"etag":
            added = REVALIDATED
    return [*headers, *added]


class AnswerPort(Protocol):
    """Takes the answer of a request, whole or as messages of ASGI."""

    async def respond(self, status: int, head: bytes, body: bytes) -> None:
        """Send a whole answer. ``head`` are lines that each end in CRLF."""

    async def send(self, message: Message) -> None:
        """Send a part of an answer."""

    def push(self, content: bytes) -> bool:
        """Send a part of a stream now. Return False if the client has to read first."""
        return False


class AnswerChannel:
    """The channel of one request. It adds the header fields that every answer has, and notes status and size."""

    __slots__ = ("_added", "_exchange", "_send", "size", "status")

    def __init__(self, scope: Scope, send: Send, added: bytes) -> None:
        """Add the lines ``added`` to the answer."""
        self._exchange: HttpExchange | None = scope.get(EXCHANGE)
        self._send = send
        self._added = added
        self.status = self.size = 0

    def share(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Add more header fields, before the others."""
        self._added = lines_of(headers) + self._added

    async def respond(self, status: int, head: bytes, body: bytes) -> None:
        """Send a whole answer, in one write if the request came over a connection of this server."""
        if self._exchange is None:
            await self.send({"type": "http.response.start", "status": status, "headers": fields_of(head)})
            await self.send({"type": "http.response.body", "body": body})
            return
        self.status, self.size = status, len(body)
        cache = REVALIDATED_LINES if b"\r\netag: " in head else UNCACHED_LINES
        if b"\r\ncache-control: " in head:
            cache = CACHED_LINES
        unread = self._exchange.respond(status, b"%b%b%b" % (head, self._added, cache), body)
        if unread is not None:  # the caller holds a budget for the body until the client has read it
            await unread.wait()

    def push(self, content: bytes) -> bool:
        """Send a part of a stream now. Return False if the client has to read first."""
        if self._exchange is None or not self._exchange.push(content):
            return False
        self.size += len(content)
        return True

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = with_cache_headers([*message.get("headers", ()), *fields_of(self._added)])
            message = {**message, "headers": headers}
        else:
            self.size += len(message.get("body", b""))
        await self._send(message)


class KnownHead:
    """The head of the log as it was read after the last bytes of any client arrived; None until it is read.

    So it includes all that was acknowledged before any request that has arrived.
    """

    __slots__ = ("_read", "position")

    def __init__(self, read: Callable[[], int]) -> None:
        """``read`` returns the head of the log."""
        self._read = read
        self.position: int | None = None

    def read(self) -> int:
        """Return the head. The log is read at most once for the bytes that arrived together."""
        if self.position is None:
            self.position = self._read()
        return self.position


class ConnectionLimits(NamedTuple):
    """Limits of a request, in bytes, fields and seconds."""

    header_bytes: int
    headers: int
    url_bytes: int
    header_seconds: float
    body_seconds: float
    send_seconds: float


def excess(
    limits: ConnectionLimits, url: bytes, headers: list[tuple[bytes, bytes]], size: int, waiting: int, *, upgrade: bool
) -> AthenaError | None:
    """Return the error of a head that exceeds a limit. It has at most ``size`` bytes."""
    if len(url) > limits.url_bytes:
        return UriTooLong(f"The path and query exceed {limits.url_bytes} bytes.")
    if waiting >= PIPELINED_MAX:
        return Overloaded(f"{PIPELINED_MAX} requests of this connection are waiting. Read their answers first.")
    if upgrade and any(name in FRAMED for name, _ in headers):
        # the parser would read the body as the next request
        return ConfigError.of("upgrade", "is not allowed in a request with a body", "leave it out")
    if len(headers) > limits.headers:
        return HeadersTooLarge(f"The request has more than {limits.headers} header fields.")
    if size > limits.header_bytes and sum(len(name) + len(value) + 4 for name, value in headers) > limits.header_bytes:
        return HeadersTooLarge(f"The header fields exceed {limits.header_bytes} bytes.")
    return None


def is_plain(head: bytes, headers: list[tuple[bytes, bytes]]) -> bool:
    """Return True if a head is of the form that almost all have, of which ``malformed`` and the line are no faults."""
    fields = [field for field in headers if field[0] in PLACES]
    return (
        len(fields) == 1
        and fields[0][0] == b"host"
        and AUTHORITY.fullmatch(fields[0][1]) is not None
        and PLAIN_LINE.match(head) is not None
    )


def malformed(version: str, url: bytes, headers: list[tuple[bytes, bytes]]) -> AthenaError | None:
    """Return the error of a head that the parser takes and RFC 9112 forbids. Without it, no two servers may differ."""
    if version not in VERSIONS:
        return HttpVersionUnknown("This server speaks HTTP/1.1 and HTTP/1.0. Repeat the request in one of them.")
    hosts = [value.strip(WHITESPACE).lower() for name, value in headers if name == b"host"]
    if len(hosts) != 1 and (hosts or version != "1.0") or hosts and not AUTHORITY.fullmatch(hosts[0]):
        return ConfigError.of("host", "must be sent once, as a name or an address", "one field like host: NAME:PORT")
    if b"#" in url or not url.startswith(b"/") and url != b"*":
        scheme, _, place = url.lower().partition(b"://")
        if b"#" in url or scheme not in SCHEMES or PATH_BEGIN.split(place, 1)[:1] != hosts:
            return ConfigError.of("target", "must be a path, or a URL with the host of the field host", "a path")
    coding = b",".join(value.lower() for name, value in headers if name == b"transfer-encoding")
    if coding and version == "1.0":
        return ConfigError.of("transfer-encoding", "is not part of HTTP/1.0", "content-length, or HTTP/1.1")
    if coding and coding.rpartition(b",")[2].strip(WHITESPACE) != b"chunked":
        return ConfigError.of("transfer-encoding", "leaves the length of the body open", "chunked")
    if b"," in coding:
        return TransferCodingUnknown("This server knows no transfer-encoding but chunked. Send the body as it is.")
    return None


def unreadable(error: Exception) -> AthenaError:
    """Return the error of a request that the parser refuses, with its reason: fixed words, never the client's."""
    reason = str(error.args[0]) if error.args and not isinstance(error, httptools.HttpParserCallbackError) else ""
    if reason == "Invalid HTTP version":
        return HttpVersionUnknown("This server speaks HTTP/1.1 and HTTP/1.0. Repeat the request in one of them.")
    why = f": {reason}" if reason else ""
    return ConfigError(f"The request is not valid HTTP/1.1{why}. Correct the client, or the proxy before this server.")


def connection_scope(transport: asyncio.Transport) -> dict[str, Any]:
    """Return the part of an ASGI scope that all requests of a connection share."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "server": get_local_addr(transport),
        "client": get_remote_addr(transport),
        "scheme": "https" if is_ssl(transport) else "http",
        "root_path": "",
    }


def scope_of(
    about: Mapping[str, Any], method: bytes, version: str, url: bytes, headers: list[tuple[bytes, bytes]]
) -> Scope:
    """Return the ASGI scope of a request of the connection ``about``. Raise HttpParserError."""
    if url.startswith(b"/"):
        raw_path, _, query = url.partition(b"?")
    else:
        target = httptools.parse_url(url)
        raw_path, query = target.path, target.query or b""
    path = raw_path.decode("ascii")
    return {
        **about,
        "http_version": version,
        "headers": headers,
        "method": method.decode("ascii"),
        "path": unquote(path) if "%" in path else path,
        "raw_path": raw_path,
        "query_string": query,
    }


class Flow:
    """The pace of a connection: reading stops while the application is behind, and writing while the client is."""

    __slots__ = ("_stalled_bytes", "_transport", "drained", "reading", "stalled_since")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.reading = True
        self.drained: asyncio.Event | None = None
        """Set once the client has read enough; None while it keeps up."""
        self.stalled_since = 0.0
        self._stalled_bytes = 0

    def pause_reading(self) -> None:
        """Read nothing more for now."""
        if self.reading:
            self.reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self.reading:
            self.reading = True
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        """Let the application wait until the client has read more."""
        self.drained = self.drained or asyncio.Event()

    def resume_writing(self) -> None:
        if self.drained is not None:
            self.drained.set()
            self.drained = None

    def check(self, now: float, seconds: float) -> None:
        """Abort the connection if its client takes almost nothing for ``seconds``."""
        if self.drained is None and not self._transport.is_closing():
            self.stalled_since = 0.0
        elif not self.stalled_since:
            self.stalled_since, self._stalled_bytes = now, self.unread
        elif now - self.stalled_since > seconds:
            left = self.unread
            if self._stalled_bytes - left < TAKEN_BYTES_MIN:
                self._transport.abort()
            self.stalled_since, self._stalled_bytes = now, left

    @property
    def unread(self) -> int:
        """Bytes sent to the client that the kernel has not taken."""
        return self._transport.get_write_buffer_size()


class AnsweredConnection(Protocol):
    """The attributes of a connection that an exchange uses."""

    transport: asyncio.Transport
    flow: Flow
    edge: Any
    """The application, with the lines that every answer begins with."""

    def answered(self) -> None:
        """Continue after an answer."""


class HttpExchange:
    """A request that was read, and the state of its answer."""

    __slots__ = (
        "_arrival",
        "_chunked",
        "_connection",
        "_left",
        "_news",
        "_task",
        "body",
        "complete",
        "disconnected",
        "expects_continue",
        "keep_alive",
        "more_body",
        "scope",
        "started",
    )

    def __init__(
        self, connection: AnsweredConnection, scope: Scope, *, keep_alive: bool, expects_continue: bool
    ) -> None:
        self._connection = connection
        self.scope = scope
        self.keep_alive = keep_alive
        self.expects_continue = expects_continue
        """True if the client waits for 100 Continue before it sends the body."""
        self.body: bytes | bytearray = b""
        """Bytes that the application has not received."""
        self.more_body = True
        self.started = self.complete = self.disconnected = False
        self._news = False
        """True if ``receive`` has something to return."""
        self._arrival: asyncio.Event | None = None
        """Set with ``_news``; made only for an application that has to wait."""
        self._chunked = False
        self._left = 0
        """Bytes of the declared length that are not sent."""
        self._task: asyncio.Task[None] | None = None

    def start(self, app: App, loop: asyncio.AbstractEventLoop, tasks: set[Any]) -> None:
        """Call the application. ``tasks`` contains its task until it ends."""
        self.scope[EXCHANGE] = self
        self._task = loop.create_task(self._run(app, tasks))
        tasks.add(self._task)

    async def _run(self, app: App, tasks: set[Any]) -> None:
        try:
            await app(self.scope, self.receive, self.send)
            trouble = "ASGI callable returned without completing response."
        except BaseException as error:  # also a task that the server cancelled when it shut down
            _log.error("Exception in ASGI application\n", exc_info=error)
            trouble = ""
        if not (self.complete or self.disconnected):
            if trouble:
                _log.error(trouble)
            if self.started:
                self._connection.transport.close()
            else:
                self.keep_alive = False
                length = str(len(BROKEN)).encode()
                head = lines_of([(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", length)])
                self.respond(500, head, BROKEN)
        tasks.discard(self._task)
        self._task = None
        del self.scope[EXCHANGE]  # like the task, it and this exchange would keep each other alive

    # The body of the request

    def feed(self, piece: bytes) -> int:
        """Take a piece of the body. Return the number of bytes that wait for the application."""
        if not self.body:
            self.body = piece
        else:
            if isinstance(self.body, bytes):
                self.body = bytearray(self.body)
            self.body += piece
        self.notify()
        return len(self.body)

    def notify(self) -> None:
        """Let ``receive`` return."""
        self._news = True
        if self._arrival is not None:
            self._arrival.set()

    def cut(self, error: AthenaError) -> None:
        """End the body that is being received. Reading it raises the error in the application."""
        self.scope[BODY_ERROR] = error
        self.keep_alive = False
        self.notify()

    def whole(self) -> bytes | None:
        """Take the body now, or return None if the application has to receive it: it has yet to arrive, or failed."""
        if self.more_body or not self._news or self.expects_continue or self.disconnected or self.complete:
            return None
        self._connection.flow.resume_reading()
        self._news = False
        body, self.body = self.body, b""
        return bytes(body)

    async def receive(self) -> Message:
        """Return the next part of the body, or the disconnect: the client left, or its answer is complete."""
        connection = self._connection
        if self.expects_continue and not connection.transport.is_closing():
            connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.expects_continue = False
        if not (self.disconnected or self.complete):
            connection.flow.resume_reading()
            if not self._news:
                arrival = self._arrival = self._arrival or asyncio.Event()
                arrival.clear()
                await arrival.wait()
            self._news = False
        if self.disconnected or self.complete:
            return {"type": "http.disconnect"}
        body, self.body = self.body, b""
        return {"type": "http.request", "body": bytes(body), "more_body": self.more_body}

    # The answer

    def respond(self, status: int, head: bytes, body: bytes) -> asyncio.Event | None:
        """Send a whole answer in one write. ``head`` are lines, with the content length if there is a body.

        Return the event of a client that has yet to read most of it.
        """
        if self.disconnected:
            return None
        self._begin(status, head, body)
        unread = self._connection.flow.drained
        self._end()
        return unread

    async def send(self, message: Message) -> None:
        """Send a part of the answer. Raise RuntimeError for a message out of order or of a wrong length."""
        connection = self._connection
        if connection.flow.drained is not None and not self.disconnected:
            await connection.flow.drained.wait()
        if self.disconnected:
            return
        kind = message["type"]
        if kind != ("http.response.body" if self.started else "http.response.start") or self.complete:
            raise RuntimeError(f"Unexpected ASGI message {kind!r}.")
        if not self.started:
            self._declare(message["status"], list(message.get("headers", ())))
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if self._chunked:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            connection.transport.write(chunk if more else chunk + b"0\r\n\r\n")
        elif self.scope["method"] != "HEAD":
            self._left -= len(body)
            if self._left < 0 or self._left and not more:
                raise RuntimeError("The length of the response differs from its content-length.")
            connection.transport.write(body)
        if not more:
            self._end()

    def push(self, content: bytes) -> bool:
        """Send a chunk now. Return False if the client has to read first, or left."""
        connection = self._connection
        if not self._chunked or self.complete or self.disconnected or connection.flow.drained is not None:
            return False
        if connection.transport.is_closing():
            return False
        connection.transport.write(b"%x\r\n%b\r\n" % (len(content), content))
        return True

    def _declare(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Send the head of an answer whose body follows, in chunks unless its length is known."""
        length = next((int(value) for name, value in headers if name == b"content-length"), None)
        self._chunked = length is None and self.scope["method"] != "HEAD" and status not in NO_BODY
        self._left = length or 0
        self._begin(status, lines_of(headers), b"", b"transfer-encoding: chunked\r\n" if self._chunked else b"")

    def _begin(self, status: int, head: bytes, body: bytes, framing: bytes = b"") -> None:
        """Write the head, and the first bytes of the body with it."""
        self.started, self.expects_continue = True, False
        connection = self._connection
        close = b"" if self.keep_alive else b"connection: close\r\n"
        whole = b"".join((STATUS_LINE[status], connection.edge.default_lines, head, close, framing, b"\r\n"))
        if len(body) <= COPIED_BYTES_MAX:
            connection.transport.write(whole + body)
        else:
            connection.transport.writelines((whole, body))

    def _end(self) -> None:
        self.complete = True
        self.notify()
        if not self.keep_alive:
            self._connection.transport.close()
        self._connection.answered()


async def read_body(scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, bytes_max: int) -> bytes:
    """Return the body.

    Raise PayloadTooLarge over the limit, and ConfigError for a length that is not a number. Raise the error that the
    protocol has set if the body ended early: it was late, over a budget, or malformed.
    """
    declared = headers.get(b"content-length")
    if declared is not None:
        if not declared.isdigit():
            raise ConfigError.of("content-length", "is not a number", "a number of bytes")
        if len(declared) > 12 or int(declared) > bytes_max:
            raise PayloadTooLarge(f"The body exceeds {bytes_max} bytes. Send a smaller one.")
    whole: bytes | None = scope[EXCHANGE].whole() if EXCHANGE in scope else None
    content = bytearray()  # not a list of chunks: a chunk of one byte would take forty
    while whole is None:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConfigError("The connection closed before the body was complete. The request was not executed.")
        content += message.get("body", b"")
        if len(content) > bytes_max or not message.get("more_body", False):
            whole = bytes(content)
        elif BODY_ERROR in scope:
            error: AthenaError = scope[BODY_ERROR]
            raise error
    if len(whole) > bytes_max:
        raise PayloadTooLarge(f"The body exceeds {bytes_max} bytes. Send a smaller one.")
    return whole


async def send_pieces(channel: AnswerPort, status: int, head: bytes, body: bytes) -> None:
    """Send a large answer at the client's pace, so that the connection buffers little of it."""
    await channel.send({"type": "http.response.start", "status": status, "headers": fields_of(head)})
    last = len(body) - PIECE_BYTES
    for begin in range(0, len(body), PIECE_BYTES):
        piece = body[begin : begin + PIECE_BYTES]
        await channel.send({"type": "http.response.body", "body": piece, "more_body": begin < last})
