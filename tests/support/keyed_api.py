"""An API that demands its key, on loopback: it records what each request carried, and can echo it in many spellings."""

import base64
import gzip
import html
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

Answered = tuple[int, dict[str, str], bytes]


class SeenRequest(NamedTuple):
    """A request: its path with the query, and its headers in lower case."""

    path: str
    headers: Mapping[str, str]


class KeyedApi:
    """A server that answers 401 unless a request carries one of the values in ``accepts`` in the header ``header``.

    ``answers`` maps paths to functions of the carried value. Other paths are answered with ``{"ok": true}``.
    """

    def __init__(self, *accepts: str, header: str = "authorization") -> None:
        self.accepts = set(accepts)
        self.header = header
        self.seen: list[SeenRequest] = []
        self.answers: dict[str, Callable[[str], Answered]] = {}
        self.on_request: Callable[[], object] = lambda: None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def carried(self) -> list[str | None]:
        """The value of the header of each request, None where it was absent."""
        return [one.headers.get(self.header) for one in self.seen]

    def answer(self, path: str, headers: Mapping[str, str]) -> Answered:
        self.seen.append(SeenRequest(path, headers))
        self.on_request()
        value = headers.get(self.header, "")
        if self.accepts and value not in self.accepts:
            return 401, {"content-type": "text/plain"}, b"a key is needed"
        given = self.answers.get(path.partition("?")[0])
        return given(value) if given else (200, {"content-type": "application/json"}, b'{"ok": true}')


@contextmanager
def keyed(*accepts: str, header: str = "authorization") -> Iterator[KeyedApi]:
    """Serve in a thread."""
    api = KeyedApi(*accepts, header=header)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, given, body = api.answer(self.path, headers)
            self.send_response(status)
            for name, value in given.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    api.port = server.server_address[1]
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def says(body: bytes, **headers: str) -> Answered:
    return 200, {name.replace("_", "-"): value for name, value in headers.items()}, body


def escaped_in_json(value: str) -> str:
    """Spell every character that is not a letter or digit as JSON serializers of .NET and PHP may."""
    return "".join(char if char.isalnum() else f"\\u{ord(char):04x}" for char in value)


ECHOES: dict[str, Callable[[str], Answered]] = {
    "/plain": lambda value: says(f"you sent: {value}".encode(), content_type="text/plain"),
    "/json": lambda value: says(json.dumps({"authorization": value}).encode(), content_type="application/json"),
    "/php": lambda value: says(json.dumps({"a": value}).replace("/", "\\/").encode(), content_type="application/json"),
    "/dotnet": lambda value: says(f'{{"a": "{escaped_in_json(value)}"}}'.encode(), content_type="application/json"),
    "/html": lambda value: says(f"<p>{html.escape(value)}".encode(), content_type="text/html"),
    "/entities": lambda value: says("".join(f"&#{ord(char)};" for char in value).encode(), content_type="text/html"),
    "/url": lambda value: says(quote(value, safe="").encode(), content_type="text/plain"),
    "/lower": lambda value: says("".join(f"%{ord(char):02x}" for char in value).encode(), content_type="text/plain"),
    "/base64": lambda value: says(base64.b64encode(value.encode()), content_type="text/plain"),
    "/base64-1": lambda value: says(base64.b64encode(b"x" + value.encode()), content_type="text/plain"),
    "/base64-2": lambda value: says(base64.urlsafe_b64encode(b"xy" + value.encode()), content_type="text/plain"),
    "/utf-16": lambda value: says(value.encode("utf-16"), content_type="text/plain"),
    "/binary": lambda value: says(b"\xff\x00" + value.encode(), content_type="image/png"),
    "/gzip": lambda value: says(gzip.compress(value.encode()), content_type="text/plain", content_encoding="gzip"),
    "/gzip-file": lambda value: says(gzip.compress(value.encode()), content_type="application/gzip"),
    "/etag": lambda value: says(b"", etag=value, content_type="text/plain"),
    "/link": lambda value: says(b"", link=f"<https://a.example.org/?key={quote(value)}>", content_type="text/plain"),
    "/location": lambda value: (302, {"location": "/?" + "".join(f"%{ord(char):02x}" for char in value)}, b""),
    "/redirect": lambda value: (302, {"location": f"https://b.example.org/?key={quote(value, safe='')}"}, b""),
}
"""Answers that repeat the key, each spelled in another way."""


def credentials_file(directory: Path, **entries: Mapping[str, object]) -> Path:
    """Write a credentials file, readable by its owner only, and a file for each ``secret`` that is text.

    Other members are written as TOML values. Return the path.
    """
    lines = []
    for name, members in entries.items():
        lines.append(f"[credentials.{name}]")
        for member, value in members.items():
            if member == "secret" and isinstance(value, str):
                write_secret(directory / f"{name}.secret", value)
                lines.append(f"secret = {{ file = {json.dumps(str(directory / f'{name}.secret'))} }}")
            elif member == "secret":
                lines.append(f"secret = {{ command = {json.dumps(value)} }}")
            else:
                lines.append(f"{member} = {json.dumps(value)}")
    path = directory / "credentials.toml"
    write_secret(path, "\n".join(lines))
    return path


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner may read, in one step."""
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.replace(path)
