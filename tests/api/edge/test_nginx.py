"""Real proxies in front: the identity is the one that the proxy sets, or none, whatever a client sends."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import haproxy, nginx
from tests.support.api import PATIENCE_SECONDS, Json, soon
from tests.support.nginx import free_port, location
from tests.support.server import Server
from tests.support.wire import ask, exchange

SECRET = "what-only-the-proxy-knows"
LOCATION = """
location / {{
    proxy_pass {url};
    proxy_http_version 1.1;
    proxy_request_buffering off;
    proxy_set_header Connection "";
    proxy_set_header x-athena-identity "{identity}";
    proxy_set_header x-athena-proxy-secret "{secret}";
    proxy_set_header x-athena-scope-sessions "";
    proxy_set_header x-athena-scope-runs "";
    proxy_set_header x-athena-scope-personas "";
    proxy_set_header x-athena-scope-global "";
}}
"""
HAPROXY = """
defaults
    mode http
    timeout connect 2s
    timeout client 20s
    timeout server 20s
    option abortonclose
    http-reuse always
"""
FRONTEND = """
listen {name}
    bind 127.0.0.1:{port}
    http-request {identity}
    http-request set-header x-athena-proxy-secret {secret}
    http-request del-header x-athena-scope- -m beg
    server athena {address}
"""

pytestmark = pytest.mark.heavy


class Proxied(NamedTuple):
    """A server behind a proxy: one address makes every client the Viewer vera, the other one clears the identity."""

    url: str
    cleared: str
    server: Server


@pytest.fixture(scope="module", params=["nginx", "haproxy"])
def proxied(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """Each proxy, configured as docs/reference/security.md demands."""
    directory: Path = tmp_path_factory.mktemp("proxied")
    settings = {
        "auth_enabled": "true",
        "auth_identity_role_map": "admin:Admin,vera:Viewer",
        "auth_proxy_secret": SECRET,
    }
    named, cleared = free_port(), free_port()
    if request.param == "nginx" and nginx.NGINX is None:
        pytest.skip(nginx.MISSING)
    if request.param == "haproxy" and haproxy.HAPROXY is None:
        pytest.skip(haproxy.MISSING)
    with Server(directory / "server", **settings) as server, ExitStack() as stack:
        if request.param == "nginx":
            site = "".join(
                location(port, LOCATION.format(url=server.url, secret=SECRET, identity=identity))
                for port, identity in ((named, "vera"), (cleared, ""))
            )
            stack.enter_context(nginx.nginx(directory, named, site))
        else:
            parts = [
                FRONTEND.format(
                    name=f"port-{port}",
                    port=port,
                    identity=identity,
                    secret=SECRET,
                    address=server.url.removeprefix("http://"),
                )
                for port, identity in (
                    (named, "set-header x-athena-identity vera"),
                    (cleared, "del-header x-athena-identity"),
                )
            ]
            stack.enter_context(haproxy.haproxy(directory, named, "".join([HAPROXY, *parts])))
        yield Proxied(f"http://127.0.0.1:{named}", f"http://127.0.0.1:{cleared}", server)


def lines(server: Server) -> list[Json]:
    """Return the log lines of requests with the identity that the server read."""
    return [json.loads(line) for line in server.log_path.read_text().splitlines() if '"identity"' in line]


MARKER = "/marker-"
_markers = count()


def settled(server: Server) -> list[Json]:
    """Return the lines of all requests that were answered before this call.

    The server writes the line of a request after its answer. So a marker request follows, and its line is awaited.
    """
    marker = f"{MARKER}{next(_markers)}"
    ask(server.url, "GET", marker.encode())
    for _ in soon():
        if any(line["path"] == marker for line in lines(server)):
            break
    return [line for line in lines(server) if not line["path"].startswith(MARKER)]


WRITE = b'{"input":"x"}'
HIDDEN = b"PUT /api/v1/policy HTTP/1.1\r\nhost: localhost\r\nx-athena-identity: admin\r\n\r\n"
HIDING = b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (
    len(HIDDEN),
    HIDDEN,
)
CLAIMS = [
    [b"x-athena-identity: admin"],
    [b"X-ATHENA-IDENTITY: admin", b"x-athena-identity: admin"],
    [b"x_athena_identity: admin"],
    [b"x-athena-identity : admin"],
    [b"x-athena-identity: vera\r\n admin"],
    [b"connection: close, x-athena-identity", b"x-athena-identity: admin"],
    [b"connection: close, x-athena-proxy-secret"],
    [b"connection: x-athena-identity"],
    [b"te: trailers", b"connection: te, x-athena-identity"],
    [b"x-athena-proxy-secret: guessed", b"x-athena-identity: admin"],
    [b"x-athena-scope-global: true"],
    [b"x-forwarded-for: 127.0.0.1", b"forwarded: for=127.0.0.1;by=admin"],
    [b"x-http-method-override: GET"],
    [b"x-original-url: /livez", b"x-rewrite-url: /livez", b"x-forwarded-uri: /livez"],
]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: b"|".join(claim).decode("latin-1"))
def test_no_header_of_a_client_changes_its_identity(proxied: Proxied, claim: list[bytes]) -> None:
    url, _, server = proxied
    answer = ask(url, "POST", b"/api/v1/directives", WRITE, *claim)
    assert answer.status in {400, 401, 403}
    assert {line["identity"] for line in lines(server)} <= {"vera", None}


@pytest.mark.parametrize(
    "parts",
    [
        b"POST /api/v1/runs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 6\r\n"
        b"transfer-encoding: chunked\r\n\r\n0\r\n\r\nG",
        b"POST /api/v1/runs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\ncontent-length: 90\r\n\r\n{}",
        b"POST /api/v1/runs HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST /api/v1/runs HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        HIDING,
    ],
)
def test_no_request_is_smuggled_past_the_proxy(proxied: Proxied, parts: bytes) -> None:
    url, _, server = proxied
    before = len(settled(server))
    exchange(url, [parts])
    heard = settled(server)[before:]
    assert len(heard) <= 1, "one request is one request"
    assert {line["identity"] for line in heard} <= {"vera", None}
    assert not [line for line in heard if line["method"] == "PUT"]


def test_a_viewer_reads_through_the_proxy_and_no_client_past_it(proxied: Proxied) -> None:
    url, _, server = proxied
    assert ask(url, "GET", b"/api/v1/runs").status == 200
    past = ask(server.url, "GET", b"/api/v1/runs", b"", b"x-athena-identity: admin")
    assert (past.status, past.error["code"]) == (401, "AUTH_PROXY_UNTRUSTED")


HELD = b"x-athena-identity: admin\r\nx-athena-proxy-secret: %b\r\n" % SECRET.encode()
TRAILED = [
    b"GET /api/v1/governance/audit-trail HTTP/1.1\r\nhost: localhost\r\nconnection: close, te\r\nte: trailers\r\n"
    b"trailer: x-athena-identity\r\ntransfer-encoding: chunked\r\n\r\n",
    b"2\r\n{}\r\n0\r\n",
]


@pytest.mark.parametrize("packets", [1, 2])
@pytest.mark.parametrize("trailers", [b"x-athena-identity: admin\r\n", HELD])
def test_no_trailer_changes_the_identity_of_a_client(proxied: Proxied, trailers: bytes, packets: int) -> None:
    parts = [*TRAILED[:-1], TRAILED[-1] + trailers + b"\r\n"]
    before = len(lines(proxied.server))
    for url, statuses in ((proxied.url, {400, 403}), (proxied.cleared, {400, 401})):
        for _ in range(10):
            answer = exchange(url, [b"".join(parts)] if packets == 1 else parts)
            assert answer.status in statuses, answer
    assert {line["identity"] for line in lines(proxied.server)[before:]} <= {"vera", None}


@pytest.mark.parametrize("packets", [1, 2])
@pytest.mark.parametrize("wanted", [b"websocket", b"h2c", b"anything"])
def test_no_request_is_hidden_in_the_body_of_one_for_another_protocol(
    proxied: Proxied, wanted: bytes, packets: int
) -> None:
    before = len(lines(proxied.server))
    hidden = HIDDEN.replace(b"x-athena-identity: admin\r\n", HELD)
    head = (
        b"GET /api/v1/runs HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: %b\r\n"
        b"content-length: %d\r\n\r\n" % (wanted, len(hidden))
    )
    host, port = proxied.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), PATIENCE_SECONDS) as client:
        client.sendall(head if packets == 2 else head + hidden)
        assert client.recv(65_536)  # the answer comes before the body
        if packets == 2:
            with suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(hidden)
        for _ in range(5):
            assert ask(proxied.url, "GET", b"/api/v1/runs").status == 200, "each client gets its own answer"
    heard = lines(proxied.server)[before:]
    assert {line["identity"] for line in heard} <= {"vera", None}
    assert not [line for line in heard if line["method"] == "PUT"]
