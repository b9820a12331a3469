"""The console as a door: log in with a token, act, log out, and what becomes of open pages when a login ends."""

import asyncio
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from athena_core.clock import SystemIds
from athena_core.log.writer import Log
from athena_core.roles import Roster
from athena_core.services.access.token_records import IssuedToken, TokenBody, TokenRecords
from athena_core.values import LOCAL, Role
from tests.console.browser import AXE, IN_A_BROWSER, PHONE, WIDE, faults_of, watched
from tests.console.elements import LIVE, expect, live
from tests.console.logins import (
    CLIENTS,
    COOKIE,
    SETTINGS,
    Door,
    Login,
    again,
    at_the_door,
    cookies_of,
    enter,
    logged_in,
    shown_as,
)
from tests.support.api import soon
from tests.support.programs import made
from tests.support.records import META
from tests.support.server import Server

pytestmark = IN_A_BROWSER

BRIEF_MS = 8_000
"""The time after which an open page says that its login ended: printed, and asserted at ten times its value."""


@pytest.fixture(scope="module")
def door(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A server with authentication."""
    with Server(tmp_path_factory.mktemp("door"), **SETTINGS) as server:
        yield Door(server)


def start_run(page: Any, text: str) -> None:
    page.get_by_role("button", name="Start a run …", exact=True).click()
    dialog = page.get_by_role("dialog", name="Start a run")
    dialog.get_by_label("Input", exact=True).fill(text)


def kept_texts(page: Any) -> str:
    """Return all that scripts of a page can read."""
    seen = page.evaluate(
        "() => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href, history.state,"
        " document.documentElement.outerHTML, [...document.querySelectorAll('input,textarea')].map(e => e.value),"
        " performance.getEntries().map(e => e.name)])"
    )
    return str(seen)


def test_log_in_act_and_log_out(browser: Any, door: Door) -> None:
    login = door.token(role="Operator")
    place = "/#/runs?status=failed"
    with at_the_door(browser, door, place) as page:
        enter(page, f"  Bearer {login.token}\n")
        expect(page.locator(LIVE)).to_be_visible()
        shown_as(page, "otto", "Operator")
        assert page.url == door.url + place, "the address is kept"
        held = cookies_of(page)[COOKIE]
        assert (held["httpOnly"], held["sameSite"], held["path"], held["secure"]) == (True, "Strict", "/", False)
        assert 0 < held["expires"] - time.time() <= 12 * 3_600
        seen = kept_texts(page)
        for secret in (login.token, login.token[-43:], held["value"], held["value"][-43:]):
            assert secret not in seen
        page.goto("/#/fleet")
        start_run(page, "hello from the console")
        page.get_by_role("dialog").get_by_role("button", name="Start a run", exact=True).click()
        expect(page.get_by_role("heading", level=1).locator(".status")).to_have_text("completed")
        run_id = page.url.rpartition("/")[2]
        assert door.admin.get(f"/runs/{run_id}/explain")["causes"][0]["actor"] == "otto"
        page.goto("/#/system")
        access = page.locator("section", has=page.get_by_role("heading", name="Your access"))
        expect(access).to_contain_text(re.compile(r"Logged in by\s*session, expires \d"))
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("heading", name="Log in to Athena")).to_be_visible()
        assert COOKIE not in cookies_of(page)
        assert page.url == door.url + "/#/system"
    with httpx2.Client(base_url=door.url, cookies={COOKIE: held["value"]}) as client:
        answer = client.get("/api/v1/caller")
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "AUTH_TOKEN_INVALID")
        assert re.search(rf"{COOKIE}=;.*Max-Age=0", answer.headers["set-cookie"])
    assert door.admin.get(f"/tokens/{login.token_id}")["status"] == "active", "only the session ended"


@pytest.mark.parametrize("ended", ["token", "session"])
def test_a_revoked_page_says_so_and_continues_with_the_next_login(browser: Any, door: Door, ended: str) -> None:
    login = door.token()
    with logged_in(browser, door, login, "/#/runs") as page:
        start_run(page, "half of an ans")
        (session,) = [one for one in door.sessions() if one["parentId"] == login.token_id]
        door.revoke(login.token_id if ended == "token" else session["tokenId"])
        expect(again(page)).to_be_visible()
        expect(again(page)).to_contain_text("You are logged out")
        assert COOKIE not in cookies_of(page)
        assert page.url == door.url + "/#/runs"
        for _ in range(3):
            page.keyboard.press("Escape")
        expect(again(page)).to_be_visible()
        door.admin.run("meanwhile", sessionId="meanwhile")
        enter(page, door.token().token)
        expect(again(page)).to_have_count(0)
        expect(page.locator(LIVE)).to_be_visible()
        dialog = page.get_by_role("dialog", name="Start a run")
        expect(dialog.get_by_label("Input", exact=True)).to_have_value("half of an ans")
        for _ in soon():  # the stream continued
            if page.locator(LIVE).get_attribute("data-position") == str(door.admin.head()):
                break
        dialog.get_by_label("Input", exact=True).fill("a whole answer")
        dialog.get_by_role("button", name="Start a run", exact=True).click()
        expect(page.get_by_role("heading", level=1).locator(".status")).to_have_text("completed")


def test_an_action_on_an_ended_session_is_not_sent_by_the_next_login(browser: Any, door: Door) -> None:
    login = door.token()
    with logged_in(browser, door, login, "/#/runs") as page:
        start_run(page, "never again")
        page.context.set_offline(True)  # the page does not learn of it
        door.revoke(login.token_id)
        page.context.set_offline(False)
        page.get_by_role("dialog").get_by_role("button", name="Start a run", exact=True).evaluate("e => e.click()")
        expect(again(page)).to_be_visible()
        enter(page, door.token().token)
        expect(again(page)).to_have_count(0)
        expect(page.locator(LIVE)).to_be_visible()
        expect(page.get_by_role("dialog", name="Start a run")).to_be_visible()
    assert not [run for run in door.admin.items("/runs") if "never again" in str(run.get("inputPreview"))]


def test_another_identity_gets_a_page_of_its_own(browser: Any, door: Door) -> None:
    login = door.token()
    with logged_in(browser, door, login, "/#/system") as page:
        page.evaluate("window.before = true")
        door.revoke(login.token_id)
        expect(again(page)).to_be_visible()
        enter(page, door.token("vera", "Viewer").token)
        shown_as(page, "vera", "Viewer")
        assert page.url == door.url + "/#/system"
        assert page.evaluate("window.before") is None, "the page is a new one"


def test_an_expired_page_says_so(browser: Any, door: Door) -> None:
    login = brief(door)
    with logged_in(browser, door, login) as page:
        expect(again(page)).to_be_visible()
        expect(again(page)).to_contain_text("Your session has expired")
        enter(page, login.token)
        expect(again(page).get_by_role("alert").last).to_contain_text("AUTH_TOKEN_EXPIRED")
        enter(page, door.token().token)
        expect(page.locator(LIVE)).to_be_visible()


def brief(door: Door) -> Login:
    """Create a token that expires sooner than requests may ask for."""
    roster = Roster(enabled=True, roles={"otto": Role.OPERATOR}, default=Role.NONE)
    body = TokenBody(identity="otto", role="Operator", expires_after_ms=BRIEF_MS)

    async def create(log: Log) -> Login:
        done = await TokenRecords(log, SystemIds(), roster, lambda: None).create(body, LOCAL, META, None)
        assert isinstance(done.handover, IssuedToken)
        return Login(done.handover.text, done.handover.created.token_id)

    with door.server.opened_log() as log, ThreadPoolExecutor(1) as thread:  # this one has Playwright's event loop
        return thread.submit(asyncio.run, create(log)).result()


def test_all_tabs_log_out_and_in_together(browser: Any, door: Door) -> None:
    with logged_in(browser, door, door.token(), "/#/runs") as page:
        other = page.context.new_page()
        other.goto("/#/schedules")
        shown_as(other, "otto", "Operator")
        expect(other.locator(LIVE)).to_be_visible()
        start_run(page, "half of an ans")
        other.get_by_role("button", name="Log out").click()
        expect(other.get_by_role("heading", name="Log in to Athena")).to_be_visible()
        expect(again(page)).to_be_visible()
        enter(other, door.token().token)
        expect(other.locator(LIVE)).to_be_visible()
        expect(again(page)).to_have_count(0)
        expect(page.get_by_role("dialog").get_by_label("Input", exact=True)).to_have_value("half of an ans")
        other.get_by_role("button", name="Log out").click()
        enter(other, door.token("vera", "Viewer").token)
        shown_as(other, "vera", "Viewer")
        shown_as(page, "vera", "Viewer")  # a page never acts under another name than it shows
        assert page.url == door.url + "/#/runs"


def test_wrong_tokens_are_explained_and_slowed(browser: Any, door: Door) -> None:
    headers = {"x-forwarded-for": CLIENTS[0]}
    with at_the_door(browser, door, extra_http_headers=headers) as page:
        alert = page.get_by_role("alert")
        expect(alert).to_have_count(0)
        expect(page.get_by_text("athena tokens create --identity")).to_be_visible()
        enter(page, "“copied from a letter”")
        expect(alert).to_contain_text("has only letters")
        enter(page, door.token().token[:-1] + "!")
        expect(alert).to_contain_text("AUTH_TOKEN_INVALID")
        for _ in range(12):
            button = page.get_by_role("button", name="Log in", exact=True)
            with page.expect_response("**/login") as answer:
                enter(page, "a-wrong-token-of-some-length")
            expect(button).to_be_enabled()
            if answer.value.status == 429:
                break
        expect(alert).to_contain_text("RATE_LIMITED")
        assert page.url == door.url + "/"
    with logged_in(browser, door, door.token(), extra_http_headers={"x-forwarded-for": CLIENTS[1]}):
        pass  # other clients are not slowed


def test_everything_works_with_the_keyboard(browser: Any, door: Door) -> None:
    login = door.token()
    with at_the_door(browser, door) as page:
        expect(page.get_by_label("Token", exact=True)).to_be_focused()
        page.keyboard.insert_text(login.token)
        page.keyboard.press("Enter")
        expect(page.locator(LIVE)).to_be_visible()
        search = page.get_by_role("button", name="Log out")
        for _ in range(30):
            if search.evaluate("e => e === document.activeElement"):
                break
            page.keyboard.press("Tab")
        door.revoke(login.token_id)
        field = again(page).get_by_label("Token", exact=True)
        expect(field).to_be_focused()
        for _ in range(12):  # round and round, but never behind the dialog
            page.keyboard.press("Tab")
            inside = "() => document.activeElement === document.body || !!document.activeElement.closest('dialog')"
            assert page.evaluate(inside)
        field.focus()
        page.keyboard.insert_text(door.token().token)
        page.keyboard.press("Enter")
        expect(again(page)).to_have_count(0)
        expect(search).to_be_focused()  # where it was before
        page.keyboard.press("Enter")
        expect(page.get_by_label("Token", exact=True)).to_be_focused()


def test_a_proxy_that_asks_to_sign_in_again_loses_nothing(browser: Any, door: Door) -> None:
    with watched(browser, door.url, extra_http_headers={"x-athena-identity": "otto"}) as page:
        page.goto("/#/runs")
        shown_as(page, "otto", "Operator")
        expect(page.get_by_role("button", name="Log out")).to_have_count(0)
        start_run(page, "half of an ans")
        answer = {"status": 401, "content_type": "text/html", "body": "<h1>Sign in</h1>"}
        page.route("**/api/**", lambda route: route.fulfill(**answer))
        dialog = page.get_by_role("dialog", name="Sign in again")
        expect(dialog).to_be_visible()
        expect(dialog.get_by_label("Token")).to_have_count(0)
        page.unroute("**/api/**")
        dialog.get_by_role("button", name="Try again").click()
        expect(dialog).to_have_count(0)
        expect(page.get_by_role("dialog").get_by_label("Input", exact=True)).to_have_value("half of an ans")
        expect(page.locator(LIVE)).to_be_visible()


@made(AXE, "axe-core", "console")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_it(browser: Any, door: Door, scheme: str) -> None:
    login = door.token()
    with at_the_door(browser, door, color_scheme=scheme, reduced_motion="reduce") as page:

        def check() -> None:
            page.evaluate(AXE.read_text())
            for viewport in (WIDE, PHONE):
                page.set_viewport_size(viewport)
                assert faults_of(page) == []
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

        page.get_by_text("Sign in through a proxy instead").click()
        enter(page, door.token().token[:-2] + "AA")
        expect(page.get_by_role("alert")).to_be_visible()
        check()
        enter(page, login.token)
        expect(page.locator(LIVE)).to_be_visible()
        check()
        door.revoke(login.token_id)
        expect(again(page)).to_be_visible()
        check()


def test_an_open_server_has_no_door(browser: Any, tmp_path: Path) -> None:
    with Server(tmp_path) as server, live(browser, server.url) as page:
        expect(page.get_by_role("button", name="Log out")).to_have_count(0)
        page.goto("/#/system")
        expect(page.get_by_text("Logged in by")).to_have_count(0)
