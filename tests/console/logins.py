"""The server that pages log in to, and what tests do at its door."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx2

from tests.console.browser import watched
from tests.console.elements import LIVE, expect
from tests.support.api import Api, Json
from tests.support.server import Server

SETTINGS = {"auth_enabled": "true", "auth_identity_role_map": "ada:Admin,otto:Operator,vera:Viewer"}
COOKIE = "athena_session"
CLIENTS = ("203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4")
"""Addresses that failures are counted for: the server trusts this machine's word about them."""


class Login(NamedTuple):
    """A token of an identity, and its id."""

    token: str
    token_id: str


class Door:
    """A server with authentication, and no proxy before it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.url = server.url
        self.admin: Api = server.client("ada")

    def token(self, identity: str = "otto", role: str = "Operator", **fields: Any) -> Login:
        """Create a token."""
        made = self.admin.post("/tokens", {"identity": identity, "role": role, **fields})
        return Login(made["token"], made["tokenId"])

    def revoke(self, token_id: str) -> None:
        self.admin.send(f"/tokens/{token_id}", method="DELETE").raise_for_status()

    def sessions(self, status: str = "active") -> list[Json]:
        return self.admin.items("/tokens", kind="session", status=status)

    def session(self, login: Login) -> str:
        """Log in without a browser. Return the value of the cookie."""
        with httpx2.Client(base_url=self.url, verify=False) as client:
            answer = client.post("/api/v1/login", headers={"authorization": f"Bearer {login.token}"})
            answer.raise_for_status()
            return next(value for name, value in answer.cookies.items() if name.endswith(COOKIE))


def cookies_of(page: Any) -> dict[str, Json]:
    return {cookie["name"]: cookie for cookie in page.context.cookies()}


@contextmanager
def at_the_door(browser: Any, door: Door, place: str = "/", **options: Any) -> Iterator[Any]:
    """Yield a page that shows the form."""
    with watched(browser, door.url, **options) as page:
        page.goto(place)
        expect(page.get_by_role("heading", name="Log in to Athena")).to_be_visible()
        yield page


def enter(page: Any, token: str) -> None:
    """Send the form."""
    page.get_by_label("Token", exact=True).fill(token)
    page.get_by_role("button", name="Log in", exact=True).click()


@contextmanager
def logged_in(browser: Any, door: Door, login: Login, place: str = "/", **options: Any) -> Iterator[Any]:
    """Yield a page that has logged in."""
    with at_the_door(browser, door, place, **options) as page:
        enter(page, login.token)
        expect(page.locator(LIVE)).to_be_visible()
        yield page


def shown_as(page: Any, identity: str, role: str) -> None:
    expect(page.locator(".who")).to_have_text(re.compile(f"{identity}.*{role}"))


def again(page: Any) -> Any:
    """Return the dialog over a page whose login ended."""
    return page.get_by_role("dialog", name="Log in again")
