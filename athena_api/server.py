"""The server: uvicorn on a socket of its own, with TLS if the settings name a certificate.

It ends streams cleanly and shuts down in bounded time.
"""

import asyncio
import faulthandler
import logging
import os
import signal
import socket
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

import uvicorn

from athena_api.app import AthenaApp
from athena_api.edge.access_log import STDERR, JsonLines, log_lines
from athena_api.edge.exchange import lines_of
from athena_api.edge.protocol import HttpProtocol
from athena_api.edge.tls import TlsServer
from athena_core.errors import ConfigError
from athena_core.settings import Settings
from athena_core.system import gc_tuning

SEND_BUFFER_BYTES = 64 << 10  # a stalled client holds no more than this in the kernel
GRACE_SECONDS = 3
IDLE_REQUESTS = 10  # a server with fewer requests in the last second is idle
TICKS_A_SECOND = 10  # ticks of uvicorn
TICKS_AN_HOUR = 3_600 * TICKS_A_SECOND
BACKLOG = 2_048
PORT_MAX = 65_535


class Server(uvicorn.Server):
    """A uvicorn server that ends all streams before it waits for connections to close."""

    def __init__(self, config: uvicorn.Config, app: AthenaApp, tls: TlsServer | None) -> None:
        super().__init__(config)
        self._app = app
        self._tls = tls
        self._reloads: set[asyncio.Task[None]] = set()
        self._collector = gc_tuning.GcTuner()
        self._requests = 0

    def leave(self, number: int, frame: object) -> None:
        """Start the shutdown. It sets a flag, because an exception that is raised in a callback could get lost."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, then tune the garbage collector for a long-running process."""
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, lambda: self._reloads.add(loop.create_task(self._app.reload())))
        gc_tuning.tune_gc()

    async def on_tick(self, counter: int) -> bool:
        """Check connections and memory once a second. Shut down if the lifespan has ended."""
        if self.broken:
            self.should_exit = True
        if counter % TICKS_A_SECOND == 0:
            self._reloads = {task for task in self._reloads if not task.done()}
            self._check_connections(asyncio.get_running_loop().time())
            requests = self.server_state.total_requests
            self._collector.collect(idle=requests - self._requests < IDLE_REQUESTS)
            self._requests = requests
        if self._tls is not None and counter % TICKS_AN_HOUR == 0:
            self._app.check_certificate()
        ended = await super().on_tick(counter)
        self._app.default_lines = lines_of(self.server_state.default_headers)  # the date
        return ended

    def _check_connections(self, now: float) -> None:
        """End overdue connections. If clients leave too much unread, abort those that have stalled for longest."""
        if self._tls is not None:
            self._tls.check(now)
        stalled: list[HttpProtocol] = []
        for connection in cast(list[HttpProtocol], list(self.server_state.connections)):
            connection.check(now)
            if connection.flow.stalled_since:
                stalled.append(connection)
        unread = sum(connection.flow.unread for connection in stalled)
        bytes_max = self._app.plane.answers_in_flight.bytes_max
        for connection in sorted(stalled, key=lambda one: one.flow.stalled_since):
            if unread <= bytes_max:
                break
            unread -= connection.flow.unread
            connection.transport.abort()

    @property
    def broken(self) -> bool:
        """True if the lifespan ended unasked. That is a bug, and the log has it."""
        return self.started and (self.lifespan.error_occurred or self.lifespan.shutdown_failed)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then shut down as uvicorn does."""
        self._app.plane.streams.drain()
        if self._tls is not None:
            self._tls.close()
        await super().shutdown(sockets)


def check_exposure(settings: Settings, address: str | None) -> None:
    """Refuse to listen where any client could choose its identity.

    Raise ConfigError. ``address`` is None for a Unix socket.
    """
    everywhere = [network for network in settings.auth_trusted_proxies or () if network.prefixlen == 0]
    if settings.auth_enabled and everywhere and not settings.auth_proxy_secret:
        raise ConfigError(
            f"ATHENA_AUTH_TRUSTED_PROXIES: {everywhere[0]} is every address. Set ATHENA_AUTH_PROXY_SECRET, too."
        )
    if address is None or ip_address(address.partition("%")[0]).is_loopback:
        return
    if not settings.auth_enabled:
        raise ConfigError(f"{address} is not a loopback address. To listen on it, set ATHENA_AUTH_ENABLED=true.")
    if not settings.auth_trusted_proxies and settings.tls_cert_file is None:
        raise ConfigError(
            f"{address} is not a loopback address. To listen on it, set ATHENA_TLS_CERT_FILE and ATHENA_TLS_KEY_FILE,"
            " or ATHENA_AUTH_TRUSTED_PROXIES if a proxy with TLS is in front."
        )


def listen_unix(path: Path) -> socket.socket:
    """Return a listening Unix socket that only this user can connect to. Raise ConfigError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                if probe.connect_ex(str(path)) == 0:
                    raise ConfigError(f"cannot listen on {path}: another server is listening there")
            path.unlink()  # left by a server that has ended
        before = os.umask(0o177)  # other users must not be able to connect, not even for a moment
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot listen on {path}: {error}") from error
    except ConfigError:
        listener.close()
        raise
    return listener


def listen(host: str, port: int, *, send_timeout_ms: int) -> socket.socket:
    """Return a listening socket. The kernel drops a client that has vanished. Raise ConfigError."""
    if not 0 <= port <= PORT_MAX:
        raise ConfigError(f"{port} is not a port. Use 0 to {PORT_MAX}.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, send_timeout_ms)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error}; choose another --host or --port") from error
    return listener


def serve(
    app: AthenaApp,
    listener: socket.socket,
    ready: Callable[[], object] = lambda: None,
    formatter: type[logging.Formatter] = JsonLines,
) -> None:
    """Serve until SIGINT or SIGTERM. Must run in the main thread.

    ``ready`` is called once SIGTERM leads to a clean shutdown. ``formatter`` writes the log records of libraries. Raise
    SystemExit if the server cannot start or continue.
    """
    faulthandler.enable(STDERR, all_threads=False)  # a library may crash without a message when memory runs out
    certificate = None if listener.family == socket.AF_UNIX else app.plane.certificate
    tls = None if certificate is None else TlsServer(certificate, app.limits.header_seconds)
    config = uvicorn.Config(
        app,
        http=HttpProtocol if tls is None else cast(Any, tls),
        log_config=log_lines(app.plane.mask, formatter),
        ws="none",
        lifespan="on",
        proxy_headers=False,  # the peer of the socket decides about trust
        server_header=False,
        access_log=False,
        log_level="error",  # uvicorn would warn about each malformed request, which the access log has
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = Server(config, app, tls)
    signal.signal(signal.SIGTERM, server.leave)  # until uvicorn listens, and when it raises the signal again
    ready()
    server.run(sockets=[listener])
    if server.broken:
        raise SystemExit(1)
