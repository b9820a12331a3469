"""The egress proxy of a box: the only way out of its network, to hosts of ``allowedEgress`` at public addresses."""

import asyncio
import errno
import re
import resource
import socket
from collections.abc import Coroutine
from contextlib import suppress
from ipaddress import IPv6Address
from types import TracebackType
from typing import ClassVar, NamedTuple, Self

import anyio

from athena_core.definitions.profile import Egress
from athena_core.system.box.private_socket import PrivateSocket
from athena_core.text import clean
from athena_core.tools.destination import (
    ADDRESSES_TRIED_MAX,
    Address,
    HttpTarget,
    Resolve,
    addresses,
    check_allowed,
    failure,
    is_host,
    is_public,
    not_public,
    resolved,
    target_of,
)
from athena_core.tools.refusal import ToolRefused

NAME = "egress"
"""Name of the socket's file."""
CHUNK_BYTES = 65_536
HEAD_END = b"\r\n\r\n"
HEAD_BYTES_MAX = 16_384
"""Maximum size of a request line and its headers."""
HEADERS_MAX = 100
LOOKUPS_MAX = 2
"""Maximum number of names that are resolved at once. A lookup cannot be cancelled, and its thread is shared."""
ACCEPT_PAUSE_SECONDS = 0.1
DESCRIPTORS_OF_A_CONNECTION = 2
DESCRIPTORS_MAX = 65_536
"""Number of descriptors that is assumed where the system sets no limit."""
REFUSAL_SECONDS = 2.0
TLS_PORT = 443

REQUEST_LINE = re.compile(rb"([A-Z][A-Z-]{0,19}) ([!-~]+) HTTP/1\.([01])")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*)")
AUTHORITY = re.compile(r"[A-Za-z0-9_.-]+:[0-9]{1,5}")
LENGTH = re.compile(rb"[0-9]{1,15}")
OWN_HEADERS = frozenset(
    (
        b"connection", b"content-length", b"host", b"keep-alive", b"proxy-authenticate", b"proxy-authorization",
        b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
    )
)  # fmt: skip
"""Headers of a client that are not passed on. The proxy writes the host, the length and the end of the connection."""
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class EgressLimits(NamedTuple):
    """The limits of an egress proxy: connections at once, bytes of all connections both ways, and seconds."""

    connections_max: int = 16
    bytes_max: int = 2**30
    head_seconds: float = 10
    connect_seconds: float = 15
    idle_seconds: float = 120
    connection_seconds: float = 3_600


class EgressRefused(Exception):
    """A request that the proxy answers with an error. ``reason`` is the phrase that clients show for a tunnel."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        """Take the status, its phrase, and a message with the remedy."""
        super().__init__(message)
        self.status = status
        self.reason = reason

    def answer(self) -> bytes:
        text = clean(f"{self}\n").encode()
        return (
            f"HTTP/1.1 {self.status} {self.reason}\r\ncontent-type: text/plain; charset=utf-8\r\n"
            f"content-length: {len(text)}\r\nconnection: close\r\n\r\n"
        ).encode() + text


class EgressRequest(NamedTuple):
    """A request to the proxy. ``head`` goes to the host, then ``body`` bytes; a tunnel has no head and no end."""

    target: HttpTarget
    tunnel: bool
    head: bytes = b""
    body: int = 0

    @classmethod
    def parse(cls, head: bytes) -> Self:
        """Parse a request line and its headers. Raise EgressRefused if parsers could disagree about them."""
        first, *lines = head.split(b"\r\n")
        line = REQUEST_LINE.fullmatch(first)
        fields = [FIELD.fullmatch(line) for line in lines]
        if line is None or None in fields or len(fields) > HEADERS_MAX:
            raise EgressRefused(400, "Bad Request", f"The request is malformed or has more than {HEADERS_MAX} headers.")
        method, uri, version = line[1], line[2].decode(), line[3]
        pairs = [(field[1].lower(), field[2].strip()) for field in fields if field]
        try:
            if method == b"CONNECT":
                if not AUTHORITY.fullmatch(uri):
                    raise ToolRefused("CONNECT needs a host and a port, as in example.org:443. Addresses are IPv4.")
                return cls(target_of(f"https://{uri}/"), tunnel=True)
            target = target_of(uri)
        except ToolRefused as refused:
            raise EgressRefused(400, "Bad Request", str(refused)) from None
        if target.scheme != "http":
            raise EgressRefused(400, "Use CONNECT", "Use CONNECT for https. The proxy reads no encrypted requests.")
        named = b" ".join(value.lower() for key, value in pairs if key == b"connection").replace(b",", b" ").split()
        kept = [(key, value) for key, value in pairs if key not in OWN_HEADERS.union(named)]
        own = [(b"host", target.authority.encode()), (b"connection", b"close")]
        body = _body(pairs)
        if body is not None:
            own.append((b"content-length", b"%d" % body))
        start = b"%b %b HTTP/1.%b\r\n" % (method, target.path.encode(), version)
        text = b"".join(b"%b: %b\r\n" % pair for pair in (*own, *kept))
        return cls(target, tunnel=False, head=start + text + b"\r\n", body=body or 0)

    def check(self, egress: tuple[Egress, ...]) -> None:
        """Raise EgressRefused unless an entry allows the destination.

        A tunnel carries any protocol. An entry without a port therefore allows tunnels to port 443 only.
        """
        try:
            check_allowed(self.target, egress)
        except ToolRefused as refused:
            raise EgressRefused(403, "Not in allowedEgress", str(refused)) from None
        host, port = self.target.host, self.target.port
        if self.tunnel and port != TLS_PORT and not any(e.port == port and is_host(host, e.host) for e in egress):
            raise EgressRefused(
                403,
                "Port not in allowedEgress",
                f"A tunnel to {host}:{port} needs an entry in allowedEgress with this port. "
                f"Use port {TLS_PORT}, or ask an operator to add the entry to the profile.",
            )


def connections_of_all_max() -> int:
    """Return how many connections the proxies of a process may have: they take a quarter of its descriptors."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    descriptors = DESCRIPTORS_MAX if limit == resource.RLIM_INFINITY else limit
    return max(descriptors // (4 * DESCRIPTORS_OF_A_CONNECTION), 1)


def _body(pairs: list[tuple[bytes, bytes]]) -> int | None:
    """Return the size of a body. Raise EgressRefused unless all parsers agree about it."""
    lengths = [value for key, value in pairs if key == b"content-length"]
    if any(key == b"transfer-encoding" for key, _ in pairs):
        raise EgressRefused(411, "Length Required", "Transfer-Encoding is not supported. Send Content-Length.")
    if len(lengths) > 1 or not all(map(LENGTH.fullmatch, lengths)):
        raise EgressRefused(400, "Bad Request", "Content-Length is malformed or sent twice. Send it once.")
    return int(lengths[0]) if lengths else None


class EgressProxy:
    """A proxy for HTTP and tunnels on a Unix socket of its own, for one run. Use as a context manager.

    Only this user reaches the socket, by a random path in a directory that nothing lists. Leaving removes it and ends
    all connections. A connection carries one request, so that its host cannot change. A name is resolved once, and only
    checked addresses are connected to. The proxy adds no credentials. It cannot read inside of a tunnel.
    """

    _connected: ClassVar[int] = 0

    def __init__(
        self,
        egress: tuple[Egress, ...],
        limits: EgressLimits | None = None,
        *,
        allow_loopback: bool = False,
        resolve: Resolve | None = None,
    ) -> None:
        """Use the system's resolver. Only tests set ``allow_loopback`` or ``resolve``."""
        self._egress = egress
        self._limits = limits or EgressLimits()
        self._allow_loopback = allow_loopback
        self._resolve = resolve or resolved
        self._lookups = asyncio.Semaphore(LOOKUPS_MAX)
        self._bytes_left = self._limits.bytes_max
        self._connections: dict[asyncio.Task[None], socket.socket] = {}

    async def __aenter__(self) -> Self:
        """Listen. Raise OSError."""
        self._private = PrivateSocket(NAME)
        self._listener, self.socket = self._private.listener, self._private.path
        self._resume()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End all connections and remove the socket."""
        try:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            for connection in self._connections:
                connection.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.gather(*self._connections, return_exceptions=True)
        finally:
            self._private.remove()

    def _resume(self) -> None:
        """Accept connections unless the limit is reached. Further ones wait in the backlog of the socket."""
        if self._listener.fileno() >= 0 and len(self._connections) < self._limits.connections_max:
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        """Accept a connection. No task does this: a cancelled one could leave a connection open."""
        loop = asyncio.get_running_loop()
        try:
            if EgressProxy._connected >= connections_of_all_max():
                raise OSError(errno.EMFILE, "too many connections")
            client, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:  # other runs have taken all connections, or no descriptors are left
            loop.remove_reader(self._listener)
            loop.call_later(ACCEPT_PAUSE_SECONDS, self._resume)
            return
        EgressProxy._connected += 1
        client.setblocking(False)
        connection = asyncio.create_task(self._serve(client))
        self._connections[connection] = client
        connection.add_done_callback(self._ended)
        if len(self._connections) >= self._limits.connections_max:
            loop.remove_reader(self._listener)

    def _ended(self, connection: asyncio.Task[None]) -> None:
        EgressProxy._connected -= 1
        self._connections.pop(connection).close()
        self._resume()

    async def _serve(self, client: socket.socket) -> None:
        """Serve one request. The connection is closed when this ends, also if it was cancelled before it began."""
        with suppress(OSError):  # also TimeoutError
            async with asyncio.timeout(self._limits.connection_seconds):
                try:
                    request, first, host = await self._open(client)
                except EgressRefused as refused:
                    await _refuse(client, refused)
                    return
                with host:
                    await self._carry(request, first, client, host)

    async def _open(self, client: socket.socket) -> tuple[EgressRequest, bytes, socket.socket]:
        """Read a request and connect to its host. Return also what followed the head.

        Raise EgressRefused or OSError.
        """
        try:
            async with asyncio.timeout(self._limits.head_seconds):
                head, first = await _read_head(client)
        except TimeoutError:
            raise EgressRefused(408, "Request Timeout", "The request was not sent in time. Send it again.") from None
        request = EgressRequest.parse(head)
        if not request.tunnel and len(first) > request.body:
            raise EgressRefused(400, "Bad Request", "A connection carries one request. Open one for each.")
        request.check(self._egress)
        if self._bytes_left <= 0:
            raise EgressRefused(
                403,
                "Egress bytes exceeded",
                f"The run has used its {self._limits.bytes_max} bytes of egress. Transfer less.",
            )
        try:
            async with asyncio.timeout(self._limits.connect_seconds):
                return request, first, await self._connect(request.target)
        except ToolRefused as refused:
            raise EgressRefused(403, "Address not public", str(refused)) from None
        except TimeoutError:
            text = f"{request.target.authority} did not accept a connection in time. Try again later."
            raise EgressRefused(504, "Host timed out", text) from None
        except OSError as error:
            text = f"{request.target.authority}: {failure(error)}. Check the host, or try again later."
            raise EgressRefused(502, "Host unreachable", text) from None

    async def _connect(self, target: HttpTarget) -> socket.socket:
        """Connect to a checked address of a host. Raise ToolRefused, or OSError of the last address."""
        found = await self._lookup(target)
        for address in found:
            if not (is_public(address) or (self._allow_loopback and address.is_loopback)):
                raise not_public(target.host, address)
        problem = OSError("the name has no address")
        for address in found[:ADDRESSES_TRIED_MAX]:
            family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
            host = socket.socket(family, socket.SOCK_STREAM)
            try:
                host.setblocking(False)
                await asyncio.get_running_loop().sock_connect(host, (str(address), target.port))
                host.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                host.close()
                problem = error
            except BaseException:
                host.close()
                raise
            else:
                return host
        raise problem

    async def _lookup(self, target: HttpTarget) -> list[Address]:
        """Return the addresses of a host. A lookup that is given up keeps its place until it ends."""
        await self._lookups.acquire()
        lookup = asyncio.ensure_future(self._resolve(target.host, target.port))
        lookup.add_done_callback(self._looked_up)
        return addresses(await asyncio.shield(lookup))

    def _looked_up(self, lookup: asyncio.Future[list[str]]) -> None:
        self._lookups.release()
        if not lookup.cancelled():
            lookup.exception()  # it was reported, or it was given up

    async def _carry(self, request: EgressRequest, first: bytes, client: socket.socket, host: socket.socket) -> None:
        """Pass bytes both ways until both sides have ended, or until nothing moves for too long."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._limits.idle_seconds) as idle:

            async def send(sink: socket.socket, piece: bytes) -> None:
                self._bytes_left -= len(piece)
                if self._bytes_left < 0:
                    raise ConnectionAbortedError
                await loop.sock_sendall(sink, piece)
                idle.reschedule(loop.time() + self._limits.idle_seconds)

            async def follow(source: socket.socket, sink: socket.socket) -> None:
                while piece := await loop.sock_recv(source, CHUNK_BYTES):
                    await send(sink, piece)
                sink.shutdown(socket.SHUT_WR)

            async def body() -> None:
                left = request.body - len(first)
                while left:
                    piece = await loop.sock_recv(client, min(left, CHUNK_BYTES))
                    if not piece:
                        raise ConnectionAbortedError
                    left -= len(piece)
                    await send(host, piece)
                if await loop.sock_recv(client, 1):  # another request: its host might be another one
                    raise ConnectionAbortedError
                await asyncio.Event().wait()  # the response ends the exchange

            await (loop.sock_sendall(client, ESTABLISHED) if request.tunnel else send(host, request.head))
            if first:
                await send(host, first)
            if request.tunnel:
                await _race(asyncio.FIRST_EXCEPTION, follow(client, host), follow(host, client))
            else:
                await _race(asyncio.FIRST_COMPLETED, body(), follow(host, client))


async def _race(until: str, *ways: Coroutine[None, None, None]) -> None:
    """Run until the first has ended or failed, or until all have. Then cancel the others. Raise the error of one."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=until)
        for task in ended:
            await task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read_head(client: socket.socket) -> tuple[bytes, bytes]:
    """Return a request's head without its empty line, and what followed it. Raise EgressRefused or OSError."""
    data, searched = bytearray(), 0
    while (end := data.find(HEAD_END, searched)) < 0:
        searched = max(len(data) - len(HEAD_END) + 1, 0)
        room = HEAD_BYTES_MAX - len(data)
        if room <= 0:
            raise EgressRefused(431, "Headers Too Large", f"The headers are larger than {HEAD_BYTES_MAX} bytes.")
        piece = await asyncio.get_running_loop().sock_recv(client, room)
        if not piece:
            raise ConnectionAbortedError
        data += piece
    return bytes(data[:end]), bytes(data[end + len(HEAD_END) :])


async def _refuse(client: socket.socket, refused: EgressRefused) -> None:
    """Send the response, then discard what the client still sends: a reset would take the response with it."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(REFUSAL_SECONDS):
        await loop.sock_sendall(client, refused.answer())
        client.shutdown(socket.SHUT_WR)
        while await loop.sock_recv(client, CHUNK_BYTES):
            pass
