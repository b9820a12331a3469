"""Requests byte by byte, as no client library would send them."""

import socket
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from tests.support.api import PATIENCE_SECONDS


class Answer(NamedTuple):
    """An answer up to the end of the connection; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(self.body)["error"]
        return found


def exchange(url: str, parts: Iterable[bytes]) -> Answer:
    host, port = url.removeprefix("http://").split(":")
    received = b""
    with socket.create_connection((host, int(port)), PATIENCE_SECONDS) as connection:
        try:
            for part in parts:
                connection.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the server has closed the connection
        try:
            while chunk := connection.recv(65_536):
                received += chunk
        except ConnectionResetError:
            pass  # the kernel resets the connection after the answer because of unread bytes
    head, _, body = received.partition(b"\r\n\r\n")
    status, *fields = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
    return Answer(int(status.split(" ")[1]), headers, body)


def ask(url: str, method: str, target: bytes, body: bytes = b"", *headers: bytes) -> Answer:
    """Send one request with a matching content-length."""
    lines = [method.encode() + b" " + target + b" HTTP/1.1", b"host: localhost", b"connection: close", *headers]
    if body:
        lines.append(b"content-length: " + str(len(body)).encode())
    return exchange(url, [b"\r\n".join(lines) + b"\r\n\r\n" + body])
