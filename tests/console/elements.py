"""The elements of the console that several tests look for."""

import re
from typing import Any

LIVE = '.pulse[data-state="live"]'


def expect(found: Any) -> Any:
    """Return Playwright's assertion, which waits; Playwright is not installed everywhere."""
    from playwright import sync_api  # noqa: PLC0415

    return sync_api.expect(found, None)


def button(where: Any, name: str) -> Any:
    return where.get_by_role("button", name=name, exact=True)


def panel(page: Any, title: str | re.Pattern[str]) -> Any:
    return page.locator(".panel", has=page.get_by_role("heading", name=title, exact=True)).last


def row_of(page: Any, run_id: str) -> Any:
    return page.locator(f'tr[data-run="{run_id}"]')


def status(where: Any) -> Any:
    return where.locator(".status").first
