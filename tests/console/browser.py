"""The browser: Debian's Chromium, driven by Playwright; pages that tell of every error and every foreign request."""

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.scale import sized
from tests.support.api import PATIENCE_SECONDS
from tests.support.programs import lack, lack_of

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MISSING = (
    lack("chromium") if CHROMIUM is None else "" if importlib.util.find_spec("playwright") else lack_of("playwright")
)
"""The reason to skip the tests of the console, empty where a browser and the package that drives it are installed."""
IN_A_BROWSER = [
    pytest.mark.heavy,  # CI installs the browser before its second round
    pytest.mark.skipif(bool(MISSING), reason=MISSING),
]

ARGUMENTS = (
    *("--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--disable-gpu", "--no-first-run", "--hide-scrollbars"),
)
AXE = Path(__file__).resolve().parents[2] / "athena_api" / "dashboard" / "node_modules" / "axe-core" / "axe.min.js"
PATIENCE_MS = 1_000 * PATIENCE_SECONDS
WIDE = {"width": 1280, "height": 860}
PHONE = {"width": 390, "height": 844}
SCHEMES = sized(("light",), ("light",), ("light", "dark"))
"""The colours in which tests of single pages look. ``test_every_page.py`` looks at the dark ones at each size."""


@contextmanager
def chromium() -> Iterator[Any]:
    from playwright.sync_api import expect, sync_playwright  # noqa: PLC0415 - it is not installed everywhere

    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def watched(browser: Any, url: str, **options: Any) -> Iterator[Any]:
    """Yield a page that may only call the server at ``url`` and must not report an error except a cut connection."""
    context = browser.new_context(base_url=url, viewport=WIDE, **options)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    troubles: list[str] = []

    def said(message: Any) -> None:
        if message.type == "error":
            troubles.append(f"console: {message.text}")

    def asked(request: Any) -> None:
        if not request.url.startswith((url, "data:")):
            troubles.append(f"asked {request.url}")

    page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
    page.on("console", said)
    page.on("request", asked)
    try:
        yield page
        real = [one for one in troubles if "net::ERR_" not in one and "Failed to load resource" not in one]
        assert not real, real
    finally:
        context.close()


def faults_of(page: Any) -> list[str]:
    """Return the accessibility faults of a page."""
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]
