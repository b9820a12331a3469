"""TLS: connections that are encrypted between the socket and ``HttpProtocol``.

uvloop's own TLS hides how many bytes a client has left unread, and waits for the client before it closes a connection.
Here the protocol has the socket's own buffers, so all its limits hold.
"""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from athena_api.edge.protocol import HttpProtocol
from athena_core.errors import ConfigError
from athena_core.system.certificate import Certificate

HANDSHAKE = 0x16
"""The first byte of a TLS connection."""
PIECE_BYTES = 64 << 10
PLAIN = "This port expects TLS. Use https:// in the URL."


class TlsServer:
    """Makes the connections of a server with TLS. Pass it to uvicorn as the class of the protocol."""

    def __init__(self, certificate: Certificate, handshake_seconds: float) -> None:
        """``handshake_seconds`` is the maximum duration of a handshake."""
        self.certificate = certificate
        self.handshake_seconds = handshake_seconds
        self.handshakes: set[TlsConnection] = set()
        """Connections whose handshake is not complete. The protocol does not know them yet."""

    def __call__(
        self, config: Any, server_state: Any, app_state: dict[str, Any], _loop: Any = None
    ) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        return TlsConnection(self, lambda: HttpProtocol(config, server_state, app_state, _loop), config.app)

    def check(self, now: float) -> None:
        """Abort handshakes that are overdue."""
        for connection in [one for one in self.handshakes if now > one.due]:
            connection.abort()

    def close(self) -> None:
        for connection in list(self.handshakes):
            connection.abort()


class TlsConnection(asyncio.Transport, asyncio.Protocol):
    """A connection with TLS: the protocol of its socket, and the transport of its ``HttpProtocol``.

    ``due`` is the loop time by which the handshake must be complete.
    """

    __slots__ = (
        "_app",
        "_begun",
        "_closing",
        "_http",
        "_incoming",
        "_tls",
        "_make",
        "_object",
        "_outgoing",
        "_socket",
        "due",
    )

    def __init__(self, tls: TlsServer, make: Callable[[], HttpProtocol], app: Any) -> None:
        super().__init__()
        self._tls = tls
        self._make = make
        self._app = app
        self._http: HttpProtocol | None = None
        """None before the handshake is complete, and after the connection is lost."""
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        context = tls.certificate.current.context
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._begun = False
        """True if the client has sent something."""
        self._closing = False
        self._socket: asyncio.Transport = cast(Any, None)
        self.due = 0.0

    # The protocol of the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the client's first message."""
        self._socket = cast(asyncio.Transport, transport)
        self.due = asyncio.get_running_loop().time() + self._tls.handshake_seconds
        self._tls.handshakes.add(self)

    def data_received(self, data: bytes) -> None:
        """Continue the handshake, or pass on what the client has sent."""
        if self._closing:
            return
        if not self._begun:
            self._begun = True
            if data[0] != HANDSHAKE:
                self._refuse(data)
                return
        self._incoming.write(data)
        try:
            if self._http is not None or self._shake_hands():
                self._read()
        except ssl.SSLError:
            self._flush()  # the alert, which says why
            self._end()

    def eof_received(self) -> None:
        """Close the connection, like a socket without TLS."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._tls.handshakes.discard(self)
        self._closing = True
        http, self._http = self._http, None
        if http is not None:
            http.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._http is not None:
            self._http.pause_writing()

    def resume_writing(self) -> None:
        if self._http is not None:
            self._http.resume_writing()

    def _refuse(self, data: bytes) -> None:
        """Close a connection that does not begin with TLS. An HTTP client gets a readable answer."""
        if data[:1].isalpha():
            peer = self._socket.get_extra_info("peername")
            body, headers = self._app.refusal(ConfigError(PLAIN), peer)
            lines = [name + b": " + value + b"\r\n" for name, value in headers]
            self._socket.write(b"".join((b"HTTP/1.1 400 Bad Request\r\n", *lines, b"\r\n", body)))
        self._end()

    def _shake_hands(self) -> bool:
        """Continue the handshake. Return True if it is complete. Raise SSLError if it fails."""
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        self._flush()
        self._tls.handshakes.discard(self)
        self._http = self._make()
        self._http.connection_made(self)
        return True

    def _read(self) -> None:
        """Decrypt what has arrived, and pass it on in one piece. Raise SSLError."""
        pieces: list[bytes] = []
        ended = False
        try:
            while piece := self._object.read(PIECE_BYTES):
                pieces.append(piece)
            ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            ended = True
        self._flush()
        if pieces and self._http is not None:
            self._http.data_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if ended:
            self.close()

    def _flush(self) -> None:
        """Pass what OpenSSL has written to the socket."""
        if self._outgoing.pending:
            self._socket.write(self._outgoing.read())

    def _end(self) -> None:
        self._closing = True
        self._socket.close()

    # The transport of the HTTP protocol

    def write(self, data: Any) -> None:
        """Encrypt and send some bytes."""
        if self._closing or not data:
            return
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._object.write(rest) :]
        except ssl.SSLError:
            self.abort()
            return
        self._flush()

    def close(self) -> None:
        """Say goodbye, and close the socket once everything is sent. Do not wait for the client's goodbye."""
        if self._closing:
            return
        with suppress(ssl.SSLError):  # it is sent, and the client's is not there yet
            self._object.unwrap()
        self._flush()
        self._end()

    def abort(self) -> None:
        """Close the socket at once."""
        self._closing = True
        self._socket.abort()

    def is_closing(self) -> bool:
        """Return True once the connection is being closed."""
        return self._closing or self._socket.is_closing()

    def pause_reading(self) -> None:
        """Stop reading from the socket."""
        self._socket.pause_reading()

    def resume_reading(self) -> None:
        """Continue to read from the socket."""
        self._socket.resume_reading()

    def get_write_buffer_size(self) -> int:
        """Return the number of bytes that the kernel has not taken."""
        return self._socket.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return a fact about the connection."""
        if name == "sslcontext":
            return self._object.context
        return self._socket.get_extra_info(name, default)
