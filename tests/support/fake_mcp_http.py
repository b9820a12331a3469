"""The fake MCP server over HTTP, in this process or by ``python -m tests.support.fake_mcp_http PORT SWITCH …``.

It writes its HTTP by hand, so that it can break it. Each answer ends its connection.
"""

import gzip
import json
import os
import socket
import socketserver
import ssl
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from tests.support.api import Json
from tests.support.certificates import Pair
from tests.support.fake_mcp import PHASES, FakeMcp, switches_of


class HttpAsked(NamedTuple):
    """A request: its method, its headers with names in lower case, and its body."""

    method: str
    headers: Mapping[str, str]
    body: Any


class HttpOut:
    """The answer to one POST: JSON if the first message answers the request, a stream of events otherwise."""

    def __init__(self, connection: socket.socket, server: FakeMcp, phase: str, number: Any) -> None:
        self._connection = connection
        self._server = server
        self._phase = phase
        self._number = number
        self._lock = threading.Lock()
        self.begun = False

    def _on(self, name: str) -> bool:
        return self._server.on(name, self._phase)

    def send(self, message: Json) -> None:
        final = message.get("id") == self._number and "method" not in message
        with self._lock:
            if not self.begun and (not final or self._on("sse") or self._on("split-event")):
                self._begin("text/event-stream")
                self._write(b": ping\n\n")
            if self.begun:
                self._event(json.dumps(message))
            else:
                self._plain(json.dumps(message).encode())

    def _event(self, data: str) -> None:
        if self._on("split-event"):
            at = data.index(",") + 1  # white space between the lines of an event is white space in its JSON
            whole = f"event: message\r\nid: 1\r\nretry: 60000\r\ndata: {data[:at]}\r\ndata:{data[at:]}\r\n\r\n".encode()
            for start in range(0, len(whole), 7):
                self._write(whole[start : start + 7])
            return
        self._write(f"event: message\ndata: {data}\n\n".encode())

    def raw(self, data: bytes) -> None:
        with self._lock:
            if not self.begun:
                self._begin("application/json")
            self._write(data)

    def _begin(self, kind: str, extra: str = "") -> None:
        self.begun = True
        self._write(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{extra}connection: close\r\n\r\n".encode())

    def _plain(self, data: bytes) -> None:
        """Write a whole answer, or a broken one."""
        self.begun = True
        length, kind, extra = len(data), "content-type: application/json\r\n", ""
        if self._on("short-body"):
            length += 100
        if self._on("html"):
            kind, data = "content-type: text/html; charset=utf-8\r\n", b"<html><script>alert(1)</script></html>"
            length = len(data)
        if self._on("no-type"):
            kind = ""
        if self._on("gzip-bomb"):
            data = gzip.compress(b" " * (16 << 20) + data)
            length, extra = len(data), extra + "content-encoding: gzip\r\n"
        if self._on("giant-header"):
            extra += f"x-giant: {'x' * (1 << 20)}\r\n"
        if self._on("set-cookie"):
            extra += "set-cookie: track=1; Path=/\r\n"
        if self._on("bad-http"):
            self._write(b"SMTP ready\r\n\r\n")
        elif self._on("bad-chunks"):
            head = f"HTTP/1.1 200 OK\r\n{kind}{extra}transfer-encoding: chunked\r\n\r\n"
            self._write(head.encode() + b"fffffffffffffffffff\r\n" + data)
        else:
            head = f"HTTP/1.1 200 OK\r\n{kind}{extra}content-length: {length}\r\nconnection: close\r\n\r\n"
            self._write(head.encode() + data)

    def status(self, code: int, extra: str = "", data: bytes = b"") -> None:
        """Answer with a status."""
        self.begun = True
        head = f"HTTP/1.1 {code} Status\r\n{extra}content-length: {len(data)}\r\nconnection: close\r\n\r\n"
        self._write(head.encode() + data)

    def misbehave(self) -> bool:
        """Answer badly before the message is read. Return False if the answer is due."""
        if self._on("giant-event"):
            self._begin("text/event-stream")
            self._write(b"data: " + b" " * (20 << 20) + b"\n\n")
            return True
        if self._on("endless-body"):
            self._begin("application/json")
            while True:
                self._write(b" " * 65_536)
        return False

    def _write(self, data: bytes) -> None:
        self._connection.sendall(data)

    def close(self) -> None:
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        self.close()


class _Handler(socketserver.StreamRequestHandler):
    server: "_Server"

    def handle(self) -> None:
        fake = self.server.fake
        fake.count_connection(1)
        with suppress(OSError):
            self._handle(fake)
        fake.count_connection(-1)

    def _handle(self, fake: "FakeMcpHttp") -> None:
        method, _, _ = self.rfile.readline().decode("latin-1").partition(" ")
        headers: dict[str, str] = {}
        while line := self.rfile.readline().decode("latin-1").strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        data = self.rfile.read(int(headers.get("content-length") or 0))
        body = json.loads(data) if data else None
        fake.asked.append(HttpAsked(method, headers, body))
        message = body if isinstance(body, dict) else {}
        phase = PHASES.get(message.get("method", ""), "other")
        fake.mcp.note(body)
        out = HttpOut(self.connection, fake.mcp, phase, message.get("id"))
        if not fake.refused(method, headers, phase, out) and not out.misbehave():
            fake.mcp.take(body, out)
            if not out.begun:
                out.status(202)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    fake: "FakeMcpHttp"

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that went away."""


class FakeMcpHttp:
    """The fake server at ``url``. ``switches`` may be changed while it serves."""

    def __init__(self, *switches: str, port: int = 0, own_process: bool = False) -> None:
        self.switches = switches_of(list(switches))
        self.mcp = FakeMcp(self.switches, own_process)
        self.asked: list[HttpAsked] = []
        self.connections_max = 0
        self._connections = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.fake = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/mcp"

    def use_tls(self, pair: Pair) -> None:
        """Speak TLS with a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)

    def serve(self) -> None:
        """Serve until it is closed."""
        self._server.serve_forever(poll_interval=0.02)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def count_connection(self, change: int) -> None:
        with self._lock:
            self._connections += change
            self.connections_max = max(self.connections_max, self._connections)

    def calls(self, tool: str) -> list[Json]:
        """Return the parameters of the calls of a tool."""
        params = [
            a.body["params"] for a in self.asked if isinstance(a.body, dict) and a.body.get("method") == "tools/call"
        ]
        return [one for one in params if one.get("name") == tool]

    def refused(self, method: str, headers: Mapping[str, str], phase: str, out: HttpOut) -> bool:
        """Answer a request that HTTP itself refuses. Return False for others."""
        switches = self.mcp.switches
        if (key := switches.get("key")) and headers.get("authorization") != f"Bearer {key}":
            out.status(401, 'www-authenticate: Bearer realm="fake"\r\n')
        elif self.mcp.on("redirect", phase):
            out.status(307, f"location: {switches.get('to') or self.url}\r\n")
        elif self.mcp.on("status", phase):
            out.status(
                int(switches.get("code") or 500), "content-type: text/plain\r\nretry-after: 1\r\n", b"\x1b[31moops"
            )
        elif method == "DELETE":
            out.status(200)
        elif method != "POST":
            out.status(405, "allow: POST\r\n")
        else:
            return False
        return True


@contextmanager
def fake_mcp_http(*switches: str, tls: Pair | None = None) -> Iterator[FakeMcpHttp]:
    """Serve the fake server in this process; with ``tls``, over TLS with this certificate."""
    fake = FakeMcpHttp(*switches)
    if tls is not None:
        fake.use_tls(tls)
    thread = threading.Thread(target=fake.serve, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.close()
        thread.join()


if __name__ == "__main__":
    standalone = FakeMcpHttp(*sys.argv[2:], port=int(sys.argv[1]), own_process=True)
    print(standalone.url, os.getpid(), flush=True)  # noqa: T201 - the test waits for it
    standalone.serve()
