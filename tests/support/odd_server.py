"""An odd server: what it does with each connection is written by a test, byte by byte."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeAlias

from tests.support.api import PATIENCE_SECONDS

Act: TypeAlias = Callable[[socket.socket], None]
"""What the server does after it has read a request. The connection is closed afterwards."""


def sends(*pieces: bytes) -> Act:
    """Send pieces, and close the connection."""

    def act(connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)

    return act


def hangs_after(*pieces: bytes) -> Act:
    """Send pieces, and then nothing until the client hangs up."""

    def act(connection: socket.socket) -> None:
        sends(*pieces)(connection)
        while connection.recv(4096):
            pass

    return act


def sends_without_end(head: bytes, piece: bytes) -> Act:
    """Send a head, and then a piece again and again until the client hangs up."""

    def act(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(piece)

    return act


def response(status: int, body: bytes, kind: str = "application/json", *lines: str) -> bytes:
    """Return a whole response."""
    head = [
        f"HTTP/1.1 {status} x",
        f"content-type: {kind}",
        f"content-length: {len(body)}",
        "connection: close",
        *lines,
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


class OddServer:
    """Does one act for each connection, and the last one for all further ones. Keeps the requests it has read."""

    def __init__(self, *acts: Act) -> None:
        self.acts = list(acts)
        self.requests: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._closing = False
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def serve(self) -> None:
        """Serve connections one after another until closed."""
        while True:
            connection, _ = self._listener.accept()
            if self._closing:
                connection.close()
                return
            with connection, suppress(OSError):
                connection.settimeout(PATIENCE_SECONDS)
                self.requests.append(read_request(connection))
                act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
                act(connection)

    def close(self) -> None:
        """Let ``serve`` return."""
        self._closing = True
        socket.create_connection(self._listener.getsockname()).close()

    def header(self, name: str) -> list[str]:
        """Return the values of a header of the requests."""
        lines = [line for request in self.requests for line in request.split("\r\n")]
        return [line.partition(": ")[2] for line in lines if line.lower().startswith(name + ":")]


def read_request(connection: socket.socket) -> str:
    """Return the head and the body of a request."""
    content = b""
    while b"\r\n\r\n" not in content:
        content += connection.recv(65_536)
    head, _, body = content.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            while len(body) < int(line.partition(b":")[2]):
                body += connection.recv(65_536)
    return (head + b"\r\n\r\n" + body).decode()


@contextmanager
def odd_server(*acts: Act) -> Iterator[OddServer]:
    server = OddServer(*acts)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(PATIENCE_SECONDS)
        server._listener.close()
        assert not thread.is_alive()
