"""Requests byte by byte, as no client library would send them."""

import socket
import ssl
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


def connect(url: str) -> socket.socket:
    """Return a connection to the server at a URL, with TLS if it says so. Its certificate is not checked."""
    scheme, _, place = url.partition("://")
    host, port = place.split(":")
    connection = socket.create_connection((host, int(port)), PATIENCE_SECONDS)
    if scheme == "http":
        return connection
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection, server_hostname=host)


def exchange(url: str, parts: Iterable[bytes]) -> Answer:
    received = b""
    with connect(url) as connection:
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
