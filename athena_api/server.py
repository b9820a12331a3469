"""The server: uvicorn on a socket of ours, which ends streams cleanly and leaves in bounded time."""

import asyncio
import faulthandler
import os
import signal
import socket
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import uvicorn

from athena_api.app import AthenaApp
from athena_api.edge.access_log import STDERR, log_lines
from athena_api.edge.protocol import HttpProtocol
from athena_core.errors import ConfigError
from athena_core.settings import Settings
from athena_core.system import gc_tuning

SEND_BUFFER_BYTES = 64 << 10  # a stalled client pins no more in the kernel
GRACE_SECONDS = 3
IDLE_REQUESTS = 10  # fewer in the last second make a server idle
TICKS_A_SECOND = 10  # uvicorn's
BACKLOG = 2_048
PORT_MAX = 65_535


class Server(uvicorn.Server):
    """Leaves what the start made to itself; tells every stream to end before it waits for the connections to close."""

    def __init__(self, config: uvicorn.Config, app: AthenaApp) -> None:
        """Take the application that the streams belong to."""
        super().__init__(config)
        self._app = app
        self._reloads: set[asyncio.Task[None]] = set()
        self._collector = gc_tuning.GcTuner()
        self._requests = 0

    def leave(self, number: int, frame: object) -> None:
        """End well. A handler that raises would do for a signal that comes early, and get lost in a callback."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, then let the garbage collector look at new objects only, and less often."""
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, lambda: self._reloads.add(loop.create_task(self._app.reload_roles())))
        gc_tuning.tune_gc()

    async def on_tick(self, counter: int) -> bool:
        """Look once a second at connections and memory; leave where what serves them has ended."""
        if self.broken:
            self.should_exit = True
        if counter % TICKS_A_SECOND == 0:
            self._reloads = {task for task in self._reloads if not task.done()}
            self._check_connections(asyncio.get_running_loop().time())
            requests = self.server_state.total_requests
            self._collector.collect(idle=requests - self._requests < IDLE_REQUESTS)
            self._requests = requests
        return await super().on_tick(counter)

    def _check_connections(self, now: float) -> None:
        """End what is overdue; if clients leave too much unread, end the connections that have for longest."""
        stalled: list[HttpProtocol] = []
        for connection in list(self.server_state.connections):
            assert isinstance(connection, HttpProtocol)
            connection.check(now)
            if connection.stalled_since:
                stalled.append(connection)
        unread = sum(connection.unread for connection in stalled)
        bytes_max = self._app.plane.answers_in_flight.bytes_max
        for connection in sorted(stalled, key=lambda one: one.stalled_since):
            if unread <= bytes_max:
                break
            unread -= connection.unread
            connection.transport.abort()

    @property
    def broken(self) -> bool:
        """True if the lifespan ended without a request to: a bug, which is in the log."""
        return self.started and (self.lifespan.error_occurred or self.lifespan.shutdown_failed)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then as uvicorn does."""
        self._app.plane.streams.drain()
        await super().shutdown(sockets)


def check_exposure(settings: Settings, address: str | None) -> None:
    """Refuse to listen on an address where anybody could say who he is; None is a Unix socket. Raises ConfigError."""
    everywhere = [network for network in settings.auth_trusted_proxies if network.prefixlen == 0]
    if settings.auth_enabled and everywhere and not settings.auth_proxy_secret:
        raise ConfigError(f"ATHENA_AUTH_TRUSTED_PROXIES: {everywhere[0]} is everybody; set a secret as well")
    if address is None or ip_address(address.partition("%")[0]).is_loopback:
        return
    if not settings.auth_enabled:
        raise ConfigError(f"{address} is no loopback address, and authentication is off (ATHENA_AUTH_ENABLED)")
    if not settings.auth_trusted_proxies:
        raise ConfigError(f"{address} is no loopback address: ATHENA_AUTH_TRUSTED_PROXIES must say who is believed")


def listen_unix(path: Path) -> socket.socket:
    """Return a listening Unix socket that only this user may connect to. Raises ConfigError with what is in the way."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                if probe.connect_ex(str(path)) == 0:
                    raise ConfigError(f"cannot listen on {path}: another server does")
            path.unlink()  # of a server that is gone
        before = os.umask(0o177)  # so that it is never there for others, not even for a moment
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
    """Return a listening socket; the kernel cuts off a client that is gone without a word. Raises ConfigError."""
    if not 0 <= port <= PORT_MAX:
        raise ConfigError(f"{port} is no port; expected 0 to {PORT_MAX}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, send_timeout_ms)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error}") from error
    return listener


def serve(app: AthenaApp, listener: socket.socket, ready: Callable[[], object] = lambda: None) -> None:
    """Serve until SIGINT or SIGTERM, from the main thread; ``ready`` is called once SIGTERM ends it well.

    Raises SystemExit where it could not start, or not go on.
    """
    faulthandler.enable(STDERR, all_threads=False)  # a library that finds no memory may crash, and says nothing
    config = uvicorn.Config(
        app,
        http=HttpProtocol,
        log_config=log_lines(app.plane.mask),
        ws="none",
        lifespan="on",
        proxy_headers=False,  # trust is decided on the socket's peer
        server_header=False,
        access_log=False,
        log_level="error",  # a warning for each request that cannot be read is what the access log is for
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = Server(config, app)
    signal.signal(signal.SIGTERM, server.leave)  # until uvicorn listens, and when it raises the signal again
    ready()
    server.run(sockets=[listener])
    if server.broken:
        raise SystemExit(1)
