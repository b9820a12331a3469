"""The elements of the console that several tests look for."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.console.browser import watched

LIVE = '.pulse[data-state="live"]'


def expect(found: Any) -> Any:
    """Return Playwright's assertion, which waits; Playwright is not installed everywhere."""
    from playwright import sync_api  # noqa: PLC0415

    return sync_api.expect(found, None)


@contextmanager
def live(browser: Any, url: str, place: str = "/", **options: Any) -> Iterator[Any]:
    """Yield a page that has opened its stream."""
    with watched(browser, url, **options) as page:
        page.goto(place)
        expect(page.locator(LIVE)).to_be_visible()
        yield page


def button(where: Any, name: str | re.Pattern[str]) -> Any:
    return where.get_by_role("button", name=name, exact=True)


def panel(page: Any, title: str | re.Pattern[str]) -> Any:
    return page.locator(".panel", has=page.get_by_role("heading", name=title, exact=True)).last


def row_of(page: Any, run_id: str) -> Any:
    return page.locator(f'tr[data-run="{run_id}"]')


def status(where: Any) -> Any:
    return where.locator(".status").first


def go(page: Any, place: str) -> None:
    """Open a page and wait until it has read what it shows."""
    page.goto("/#/" + place)
    page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")  # until it is drawn
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_text(re.compile("^(Loading|Reading the past) …$"))).to_have_count(0)


def too_wide(page: Any) -> int:
    """Return the pixels of a page beyond the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
