"""Attacks on the login of the console: by pages of other origins, by planted cookies, in frames, and with TLS."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from tests.console.browser import IN_A_BROWSER
from tests.console.elements import LIVE, expect
from tests.console.logins import COOKIE, SETTINGS, Door, again, at_the_door, cookies_of, enter, logged_in
from tests.support.certificates import MISSING as WITHOUT_OPENSSL
from tests.support.certificates import OPENSSL, make_pair
from tests.support.server import Server

pytestmark = IN_A_BROWSER

FETCH = """async ([url, options]) => {
    try {
        const answer = await fetch(url, {credentials: "include", ...options});
        return `${answer.type} ${answer.status} ${await answer.text()}`;
    } catch (error) {
        return `failed: ${error.name}`;
    }
}"""
HALT = '{"reason": "forged"}'


@pytest.fixture(scope="module")
def door(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with Server(tmp_path_factory.mktemp("attacked"), **SETTINGS) as server:
        yield Door(server)


class Attacker(NamedTuple):
    """A site of another owner, on its port, and the pages that it serves."""

    port: int
    pages: dict[str, str]

    def url(self, host: str) -> str:
        return f"http://{host}:{self.port}/"


@pytest.fixture(scope="module")
def attacker() -> Iterator[Attacker]:
    pages: dict[str, str] = {"/": "<title>prizes</title>"}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = pages.get(self.path, "").encode()
            self.send_response(200 if self.path in pages else 404)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Attacker(server.server_address[1], pages)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def lured(page: Any, attacker: Attacker, host: str) -> Iterator[Any]:
    """Yield a page of the attacker in the browser of a user who is logged in."""
    other = page.context.new_page()
    other.goto(attacker.url(host))
    yield other
    other.close()


def halts(door: Door) -> list[str]:
    return door.admin.types(types="halt.started,run.created,token.revoked")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"], ids=["another port", "another site"])
def test_pages_of_others_do_nothing_and_read_nothing(browser: Any, door: Door, attacker: Attacker, host: str) -> None:
    with logged_in(browser, door, door.token("ada", "Admin")) as page:
        before = halts(door)
        with lured(page, attacker, host) as other:
            for kind in ("text/plain", "application/json"):
                for mode in ("cors", "no-cors"):
                    options = {"method": "POST", "body": HALT, "mode": mode, "headers": {"content-type": kind}}
                    seen = other.evaluate(FETCH, [door.url + "/api/v1/halt", options])
                    assert seen in ("opaque 0 ", "failed: TypeError"), seen
            for path in ("caller", "events", "events/stream", "tokens"):
                for mode in ("cors", "no-cors"):
                    seen = other.evaluate(FETCH, [f"{door.url}/api/v1/{path}", {"mode": mode}])
                    assert seen in ("opaque 0 ", "failed: TypeError"), seen
            for path in ("login", "logout"):
                other.evaluate(FETCH, [f"{door.url}/api/v1/{path}", {"method": "POST", "mode": "no-cors"}])
        forms = {"halt": "text/plain", "logout": "application/x-www-form-urlencoded", "login": "multipart/form-data"}
        for path, enctype in forms.items():
            attacker.pages["/form"] = (
                f'<form method="post" enctype="{enctype}" action="{door.url}/api/v1/{path}">'
                """<input name='{"reason": "forged", "a": "' value='"}'></form><script>"""
                "document.forms[0].submit()</script>"
            )
            with lured(page, attacker, host) as other:
                with other.expect_navigation(url=door.url + "/**") as sent:
                    other.goto(attacker.url(host) + "form", wait_until="commit")
                assert sent.value.status == 403
                assert "ORIGIN_FORBIDDEN" in sent.value.text()
        assert halts(door) == before
        expect(page.locator(LIVE)).to_be_visible()
        assert page.evaluate(FETCH, ["/api/v1/caller", {}]).startswith("basic 200"), "the session goes on"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"], ids=["another port", "another site"])
def test_a_link_does_not_read(browser: Any, door: Door, attacker: Attacker, host: str) -> None:
    attacker.pages["/link"] = f'<a href="{door.url}/api/v1/caller">prize</a>'
    with logged_in(browser, door, door.token()) as page, lured(page, attacker, host) as other:
        other.goto(attacker.url(host) + "link")
        with other.expect_navigation() as followed:
            other.get_by_role("link").click()
        assert followed.value.status == (403 if host in door.url else 401)  # not even sent to another site
        other.goto(door.url)  # as a person types it
        expect(other.locator(LIVE)).to_be_visible()
        other.goto(f"{door.url}/api/v1/caller")
        assert "otto" in other.content()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"], ids=["another port", "another site"])
def test_no_page_is_shown_in_a_frame(browser: Any, door: Door, attacker: Attacker, host: str) -> None:
    with logged_in(browser, door, door.token()) as page, lured(page, attacker, host) as other:
        for path in ("/", "/docs", "/api/v1/caller", "/static/docs.js"):
            attacker.pages["/framing"] = f'<iframe src="{door.url}{path}"></iframe>'
            other.goto(attacker.url(host) + "framing")
            frame = other.frames[1]
            frame.wait_for_load_state()
            content = frame.content()
            assert "Athena" not in content
            assert '"role"' not in content
        with other.expect_popup() as popup:  # a page in another window is cut off from its opener
            other.evaluate("url => { window.it = open(url, 'again'); }", door.url + "/")
        expect(popup.value.locator("body")).to_be_visible()
        popup.value.wait_for_load_state()
        assert popup.value.evaluate("window.opener") is None


def test_pages_of_others_cannot_be_framed_or_sniffed(door: Door) -> None:
    for path in ("/", "/docs", "/openapi.json", "/events.schema.json", "/static/docs.js"):
        headers = httpx2.get(door.url + path).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path
        assert "form-action 'none'" in headers["content-security-policy"], path
        assert headers["x-frame-options"] == "DENY", path
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["referrer-policy"] == "no-referrer", path
        assert headers["cross-origin-opener-policy"] == "same-origin", path


def planted(door: Door, value: str, path: str = "/") -> dict[str, Any]:
    return {"name": COOKIE, "value": value, "domain": "127.0.0.1", "path": path}


def test_a_login_never_keeps_a_planted_session(browser: Any, door: Door) -> None:
    theirs = door.session(door.token("vera", "Viewer"))
    with at_the_door(browser, door) as page:
        page.context.add_cookies([planted(door, theirs)])
        page.goto("/#/system")
        page.reload()
        expect(page.locator(".who")).to_contain_text("vera")  # it says whose session that is
        page.get_by_role("button", name="Log out").click()
        enter(page, door.token().token)
        expect(page.locator(".who")).to_contain_text("otto")
        assert cookies_of(page)[COOKIE]["value"] != theirs
        # Over an open page, and without a logout before
        page.context.add_cookies([planted(door, door.session(door.token("vera", "Viewer")))])
        page.reload()
        expect(page.locator(".who")).to_contain_text("vera")
    for before in (theirs, "ath_of_nothing", ""):
        login = door.token()
        with httpx2.Client(base_url=door.url, cookies={COOKIE: before}) as client:
            answer = client.post("/api/v1/login", headers={"authorization": f"Bearer {login.token}"})
            made = answer.headers["set-cookie"].partition(";")[0].partition("=")[2]
        assert made.startswith("ath_")
        assert made not in (before, login.token)
    first, second = (door.session(login) for _ in range(2))
    assert first != second


def test_a_second_cookie_is_refused_and_the_page_asks_to_log_in(browser: Any, door: Door) -> None:
    theirs = door.session(door.token("vera", "Viewer"))
    with logged_in(browser, door, door.token()) as page:
        page.context.add_cookies([planted(door, theirs, "/api")])
        expect(again(page)).to_be_visible()
    with at_the_door(browser, door) as page:
        enter(page, door.token().token)
        expect(page.locator(LIVE)).to_be_visible()


def test_a_token_is_refused_as_a_cookie_and_in_an_address(door: Door) -> None:
    login = door.token()
    with httpx2.Client(base_url=door.url) as client:
        asked = client.get("/api/v1/caller", headers={"cookie": f"{COOKIE}={login.token}"})
        assert (asked.status_code, asked.json()["error"]["code"]) == (401, "AUTH_TOKEN_INVALID")
        for query in (f"?access_token={login.token}", f"?after={login.token}"):
            asked = client.get(f"/api/v1/caller{query}")
            assert (asked.status_code, asked.json()["error"]["code"]) == (400, "CONFIG_ERROR")


@pytest.mark.skipif(OPENSSL is None, reason=WITHOUT_OPENSSL)
def test_with_tls_no_other_host_can_set_the_cookie(browser: Any, tmp_path: Path) -> None:
    pair = make_pair(tmp_path / "pair")
    with Server(tmp_path / "server", **SETTINGS, **pair.settings) as server:
        door = Door(server)
        with logged_in(browser, door, door.token(), ignore_https_errors=True) as page:
            (held,) = page.context.cookies()
            assert (held["name"], held["httpOnly"], held["secure"]) == (f"__Host-{COOKIE}", True, True)
            assert (held["sameSite"], held["path"], held["domain"]) == ("Strict", "/", "127.0.0.1")
            page.evaluate("document.cookie = '__Host-athena_session=x; path=/'")
            assert [one["value"] for one in page.context.cookies()] == [held["value"]]
            page.get_by_role("button", name="Log out").click()
            expect(page.get_by_role("heading", name="Log in to Athena")).to_be_visible()
            assert page.context.cookies() == []
