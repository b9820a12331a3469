"""A relay between clients and a PostgreSQL, which stops after a number of bytes from the clients."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

PART_BYTES = 65_536
ENDLESS = 1 << 62


class Relay:
    """A forwarder that listens at ``url`` while the context lasts; ``still`` is set when the limit is reached."""

    def __init__(self, url: str) -> None:
        self._there = conninfo_to_dict(url)
        self._listening = socket.create_server(("127.0.0.1", 0))
        port = self._listening.getsockname()[1]
        secret = f":{quote(str(self._there['password']))}" if "password" in self._there else ""
        self.url = f"postgresql://{self._there['user']}{secret}@127.0.0.1:{port}/{self._there['dbname']}"
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self.limit(ENDLESS)

    def limit(self, count: int) -> None:
        """Stop forwarding after this many bytes from now on."""
        self.sent, self._limit = 0, count
        self.still = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._listening.close()
        for one in self._sockets:
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                ours, _ = self._listening.accept()
                theirs = self._connect()
                self._sockets += [ours, theirs]
                threading.Thread(target=self._forward, args=(ours, theirs, True), daemon=True).start()
                threading.Thread(target=self._forward, args=(theirs, ours, False), daemon=True).start()

    def _connect(self) -> socket.socket:
        host, port = str(self._there.get("host", "/var/run/postgresql")), int(self._there.get("port") or 5432)
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        found = socket.socket(socket.AF_UNIX)
        found.connect(f"{host}/.s.PGSQL.{port}")
        return found

    def _forward(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        """Forward until one side ends, then end the other one."""
        with suppress(OSError):
            while part := source.recv(PART_BYTES):
                target.sendall(self._allowed(part) if counted else part)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _allowed(self, part: bytes) -> bytes:
        """Return the part of some bytes that may pass."""
        with self._lock:
            passed = part[: max(self._limit - self.sent, 0)]
            self.sent += len(part)
            if len(passed) < len(part):
                self.still.set()
            return passed
