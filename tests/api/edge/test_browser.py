"""Browsers: pages of other sites and requests under foreign host names get no answer."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from athena_api.edge.browser import BrowserChecks, host_of
from athena_core.errors import HostForbidden
from tests.support.server import Server

SITE = "https://console.example.org"


@pytest.fixture(scope="module")
def browsed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that a console on another site may use."""
    directory: Path = tmp_path_factory.mktemp("browsed")
    with Server(directory, allowed_hosts="athena.example.org", allowed_origins=SITE) as server:
        yield server


def ask(server: Server, method: str = "GET", path: str = "/api/v1/capabilities", **headers: str) -> httpx2.Response:
    return httpx2.request(method, server.url + path, headers=headers)


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example.org", "evil.example.org:8787", "athena.example.org.evil", "localhost.evil", "x" * 300, ""),
    ],
)
def test_a_request_for_another_host_is_misdirected(browsed: Server, host: str) -> None:
    answer = httpx2.get(browsed.url + "/api/v1/capabilities", headers=[(b"Host", host.encode("latin-1"))])
    assert (answer.status_code, answer.json()["error"]["code"]) == (421, "HOST_FORBIDDEN")


@pytest.mark.parametrize(
    "host", ["a/health?x=", "127.0.0.1@evil", "evil@127.0.0.1", "127.0.0.1 evil", "[::1", "localhost:x", "\xe9"]
)
def test_a_host_that_is_none_is_refused(browsed: Server, host: str) -> None:
    answer = httpx2.get(browsed.url + "/api/v1/capabilities", headers=[(b"Host", host.encode("latin-1"))])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "CONFIG_ERROR")


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/openapi.json", "/metrics", "/static/docs.js", "/nothing", "/api/v1/runs"]
)
def test_no_page_is_shown_under_another_name(browsed: Server, path: str) -> None:
    assert ask(browsed, path=path, host="evil.example.org").status_code == 421


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_a_probe_may_come_by_any_name(browsed: Server, path: str) -> None:
    assert ask(browsed, path=path, host="10.0.0.7:8787").status_code == 200


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8787", "Athena.example.org"])
def test_our_own_names_are_answered(browsed: Server, host: str) -> None:
    assert ask(browsed, host=host).status_code == 200


def test_two_hosts_are_one_too_many() -> None:
    with pytest.raises(HostForbidden):
        BrowserChecks().check_host([b"localhost", b"localhost"], reachable=True)


def test_what_no_browser_can_reach_is_called_as_one_likes_unless_names_are_listed() -> None:
    BrowserChecks().check_host([b"athena"], reachable=False)
    with pytest.raises(HostForbidden):
        BrowserChecks(["other"]).check_host([b"athena"], reachable=False)


def test_hosts_are_read_as_they_are_compared() -> None:
    assert [host_of(value) for value in (b"A:1", b"[::1]", b"[0:0::1]:9", b"")] == ["a", "::1", "::1", None]


@pytest.mark.parametrize("origin", ["https://evil.example.org", "null", SITE + ".evil", SITE + ":8443", "x", ""])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_page_of_another_site_gets_nothing_done(browsed: Server, method: str, origin: str) -> None:
    before = browsed.api.head()
    answer = httpx2.request(
        method,
        browsed.url + "/api/v1/runs",
        headers={"origin": origin, "content-type": "text/plain"},
        content=b'{"input":"forged"}' if method == "POST" else None,
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "ORIGIN_FORBIDDEN")
    assert "access-control-allow-origin" not in answer.headers
    assert browsed.api.head() == before


def test_a_page_of_ours_needs_no_permission(browsed: Server) -> None:
    answer = ask(browsed, origin=browsed.url)
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers
    assert ask(browsed, host="athena.example.org", origin="https://athena.example.org").status_code == 200


def test_a_site_that_is_listed_may_read_answers_and_errors(browsed: Server) -> None:
    for path, status in (("/api/v1/capabilities", 200), ("/api/v1/runs/run_none", 404)):
        answer = ask(browsed, path=path, origin=SITE)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, SITE)
        assert answer.headers["vary"] == "origin"
    asked = ask(browsed, "OPTIONS", origin=SITE, access_control_request_method="PUT")
    assert asked.status_code == 204
    assert "PUT" in asked.headers["access-control-allow-methods"]
    assert "idempotency-key" in asked.headers["access-control-allow-headers"]


def test_without_an_origin_nothing_is_said_about_them(browsed: Server) -> None:
    for method in ("GET", "OPTIONS"):
        answer = ask(browsed, method)
        assert answer.is_success
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_files_named_by_their_content_are_cached_and_all_others_revalidated(browsed: Server) -> None:
    page = ask(browsed, path="/")
    assert page.headers["cache-control"] == "private, no-cache"
    assert ask(browsed, path="/", **{"if-none-match": page.headers["etag"]}).status_code == 304
    (script,) = re.findall(r'src="(/static/dashboard/assets/[^"]+)"', page.text)
    assert ask(browsed, path=script).headers["cache-control"] == "public, max-age=31536000, immutable"
    assert ask(browsed, path="/static/docs.js").headers["cache-control"] == "private, no-cache"
