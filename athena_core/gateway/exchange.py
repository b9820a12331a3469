"""A request to the gateway and its answer, byte by byte: one for each connection, within limits of size and time."""

import asyncio
from contextlib import suppress
from typing import NamedTuple

import httptools

from athena_core.gateway.refusals import Refusal
from athena_core.statuses import PHRASES

READ_BYTES = 65_536
REFUSAL_SECONDS = 2.0
"""Time for which the rest of a refused request is discarded: a reset would take the answer with it."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


class GatewayLimits(NamedTuple):
    """The limits of a gateway, in bytes, seconds and numbers. Each one has an error of its own."""

    head_bytes_max: int = 65_536
    headers_max: int = 100
    head_seconds: float = 10
    body_bytes_max: int = 32 << 20
    bodies_bytes_max: int = 64 << 20
    """Maximum size of all bodies that are being received or sent."""
    body_seconds: float = 60
    calls_max: int = 16
    """Maximum number of model calls at once."""
    connections_max: int = 64
    """Maximum number of connections at once."""


class BodyBytes:
    """The bytes of request bodies that a gateway holds."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0

    def take(self, size: int) -> None:
        """Count bytes. Raise Refusal."""
        if self._held + size > self._limit:
            raise Refusal("athena_bodies", f"All requests together exceed {self._limit} bytes. Send one after another.")
        self._held += size

    def free(self, size: int) -> None:
        self._held -= size


class GatewayExchange:
    """The request and the answer of a connection. The parser refuses what other parsers could read differently."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: GatewayLimits, bodies: BodyBytes
    ) -> None:
        self.method = self.path = self.query = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.answering = False
        """True once the head of an answer was written."""
        self._reader = reader
        self._writer = writer
        self._limits = limits
        self._bodies = bodies
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._fed = self._held = self._head_bytes = 0
        self._head_read = self._complete = self._more = False
        self._chunked = False
        self._refused: Refusal | None = None
        """The limit that the body broke, which may arrive with the head."""

    # The request

    async def read_head(self) -> None:
        """Read the request line and the headers. Raise Refusal, or OSError if the client hung up."""
        try:
            async with asyncio.timeout(self._limits.head_seconds):
                while not self._head_read:
                    await self._feed()
        except TimeoutError:
            seconds = f"{self._limits.head_seconds:g}"
            raise Refusal("athena_head_time", f"The head did not arrive within {seconds} s. Send it at once.") from None
        self.path, _, self.query = self._url.partition(b"?")

    async def read_body(self) -> bytes:
        """Read the body. Raise Refusal, or OSError if the client hung up."""
        if not self._complete and self.header(b"expect").lower() == b"100-continue":
            self._put(CONTINUE)
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while not self._complete and self._refused is None:
                    await self._feed()
        except TimeoutError:
            seconds = f"{self._limits.body_seconds:g}"
            raise Refusal("athena_body_time", f"The body did not arrive within {seconds} s. Send it at once.") from None
        if self._refused is not None:
            raise self._refused
        if self._more:
            raise Refusal("athena_request", "A connection carries one request. Open one for each.")
        body, self.body = bytes(self.body), bytearray()
        return body

    def header(self, name: bytes) -> bytes:
        """Return the value of the first header with a name; empty if it is absent."""
        return next((value for key, value in self.headers if key == name), b"")

    def release(self) -> None:
        """Give back the bytes of the body."""
        self._bodies.free(self._held)
        self._held = 0

    async def hung_up(self) -> None:
        """Return once the client has closed the connection or sent bytes that do not belong to its request."""
        with suppress(OSError):
            await self._reader.read(1)

    async def _feed(self) -> None:
        piece = await self._reader.read(READ_BYTES)
        if not piece:
            raise ConnectionAbortedError
        self._fed += len(piece)
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            raise Refusal("athena_request", "Another protocol is not supported. Send a plain request.") from None
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, Refusal):
                raise error.__context__ from None
            raise Refusal("athena_request", "The request is malformed. Send it as HTTP/1.1.") from None
        if not self._head_read and self._fed > self._limits.head_bytes_max:
            raise self._head_too_large()
        if self._fed > self._limits.head_bytes_max + 2 * self._limits.body_bytes_max:  # chunks of one byte
            self._refused = self._body_too_large()

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._limits.head_bytes_max or len(self.headers) > self._limits.headers_max:
            raise self._head_too_large()

    def _head_too_large(self) -> Refusal:
        limits = f"{self._limits.head_bytes_max} bytes or {self._limits.headers_max} headers"
        return Refusal("athena_head", f"The head exceeds {limits}. Send fewer headers.")

    def _body_too_large(self) -> Refusal:
        return Refusal("athena_body", f"The body exceeds {self._limits.body_bytes_max} bytes. Send a shorter one.")

    def on_message_begin(self) -> None:
        """Take the beginning of a request."""
        self._more = self._complete

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        if not self._complete:
            self._url += url
            self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. Trailers are ignored."""
        if self._head_read:
            return
        self.headers.append((name.lower(), value))
        self._count_head(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """Take the end of the head."""
        if not self._head_read:
            self._head_read = True
            self.method = self._parser.get_method()
            self._chunked = self._parser.get_http_version() == "1.1"

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        if self._complete or self._refused is not None:
            return
        try:
            if len(self.body) + len(body) > self._limits.body_bytes_max:
                raise self._body_too_large()
            self._bodies.take(len(body))
        except Refusal as refusal:
            self._refused = refusal
        else:
            self._held += len(body)
            self.body += body

    def on_message_complete(self) -> None:
        """Take the end of the request."""
        self._complete = True

    # The answer

    def begin(self, status: int, headers: list[tuple[bytes, bytes]], length: int | None = None) -> None:
        """Write the head of an answer. Without a length the body ends with a chunk, or with the connection."""
        self.answering = True
        self._chunked = self._chunked and length is None
        framing = [(b"content-length", b"%d" % length)] if length is not None else []
        if self._chunked:
            framing.append((b"transfer-encoding", b"chunked"))
        lines = [b"%b: %b\r\n" % pair for pair in (*headers, *framing, (b"connection", b"close"))]
        phrase = PHRASES.get(status, "Unknown").encode()
        self._put(b"HTTP/1.1 %d %b\r\n" % (status, phrase) + b"".join(lines) + b"\r\n")

    async def write(self, piece: bytes) -> None:
        """Write a piece of the body, and wait while the client does not take it. Raise OSError if it hung up."""
        if self._writer.is_closing():
            raise ConnectionAbortedError
        if piece:
            self._put(b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece)
            await self._writer.drain()

    def finish(self) -> None:
        """Write the end of the body. Without it a client knows that the answer was cut off."""
        if self._chunked:
            self._put(LAST_CHUNK)

    def _put(self, data: bytes) -> None:
        """Write bytes unless the connection is closed, for which uvloop has an error of its own."""
        if not self._writer.is_closing():
            self._writer.write(data)

    async def refuse(self, refusal: Refusal) -> None:
        """Answer with an error unless an answer has begun, and discard what the client still sends."""
        if self.answering:
            return
        body = refusal.body()
        headers = [(b"content-type", b"application/json")]
        if refusal.code == "athena_method":
            headers.append((b"allow", b"POST"))
        if refusal.status == 429:
            headers.append((b"retry-after", b"1"))
        self.begin(refusal.status, headers, len(body))
        if self.method != b"HEAD":
            self._put(body)
        with suppress(OSError, TimeoutError):
            await self._writer.drain()
            if not self._complete and not self._writer.is_closing():
                self._writer.write_eof()
                async with asyncio.timeout(REFUSAL_SECONDS):
                    while await self._reader.read(READ_BYTES):
                        pass
