"""A real nginx in front: whatever a client sends, the identity is the one that the proxy says, or nobody's."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api import Json
from tests.support.nginx import MISSING, NGINX, free_port, location, nginx
from tests.support.server import Server
from tests.support.wire import ask, exchange

SECRET = "what-only-the-proxy-knows"
LOCATION = """
location / {{
    proxy_pass {url};
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header x-athena-identity "vera";
    proxy_set_header x-athena-proxy-secret "{secret}";
    proxy_set_header x-athena-scope-sessions "";
    proxy_set_header x-athena-scope-runs "";
    proxy_set_header x-athena-scope-personas "";
    proxy_set_header x-athena-scope-global "";
}}
"""

pytestmark = [pytest.mark.heavy, pytest.mark.skipif(NGINX is None, reason=MISSING)]


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Server]]:
    """The address of nginx, which says that everybody is the Viewer vera, and the server behind it."""
    directory: Path = tmp_path_factory.mktemp("proxied")
    settings = {
        "auth_enabled": "true",
        "auth_identity_role_map": "admin:Admin,vera:Viewer",
        "auth_proxy_secret": SECRET,
    }
    with Server(directory / "server", **settings) as server:
        port = free_port()
        site = location(port, LOCATION.format(url=server.url, secret=SECRET))
        with nginx(directory, port, site) as url:
            yield url, server


def lines(server: Server) -> list[Json]:
    """Who asked the server, as it understood."""
    return [json.loads(line) for line in server.log_path.read_text().splitlines() if '"identity"' in line]


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
def test_no_header_of_a_client_makes_it_somebody_else(proxied: tuple[str, Server], claim: list[bytes]) -> None:
    url, server = proxied
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
def test_no_request_is_smuggled_past_the_proxy(proxied: tuple[str, Server], parts: bytes) -> None:
    url, server = proxied
    before = len(lines(server))
    exchange(url, [parts])
    heard = lines(server)[before:]
    assert len(heard) <= 1, "one request is one request"
    assert {line["identity"] for line in heard} <= {"vera", None}
    assert not [line for line in heard if line["method"] == "PUT"]


def test_through_the_proxy_a_viewer_reads_and_past_it_nobody_does(proxied: tuple[str, Server]) -> None:
    url, server = proxied
    assert ask(url, "GET", b"/api/v1/runs").status == 200
    past = ask(server.url, "GET", b"/api/v1/runs", b"", b"x-athena-identity: admin")
    assert (past.status, past.error["code"]) == (401, "AUTH_PROXY_UNTRUSTED")
