"""The page of a run with very many steps: few rows, and little script, whatever text is in them."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.console.browser import IN_A_BROWSER, watched
from tests.console.elements import expect
from tests.console.run_site import RunSite, run_site

pytestmark = [*IN_A_BROWSER, pytest.mark.timeout(600)]

STEPS = 500
TURN_STEPS = 10
FEWER = 100
ROWS_MAX = 200
SCRIPT_FACTOR = 2
LOADS = 5

ROWS = "document.querySelectorAll('main :is(li, tr, article, [role=treeitem])').length"


@pytest.fixture(scope="module")
def large(site: RunSite) -> str:
    """A run of very many steps."""
    return site.run("many", turns=STEPS // TURN_STEPS, notes=TURN_STEPS - 1)


@pytest.fixture(scope="module")
def site(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunSite]:
    with run_site(tmp_path_factory.mktemp("bounds")) as found:
        yield found


def script_seconds(session: Any) -> float:
    """Return the CPU time of scripts on the page since the session began to measure."""
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return float(metrics["ScriptDuration"])


def measured(page: Any) -> Any:
    """Return a session that measures the page from now on."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    return session


def least_script_seconds(browser: Any, site: RunSite, run_id: str) -> float:
    """Return the least script time of some loads of the page, with a few steps selected at both ends."""
    least = float("inf")
    for _ in range(LOADS):
        with watched(browser, site.server.url) as page:
            session = measured(page)
            page.goto(f"/#/runs/{run_id}")
            expect(page.locator("[role=treeitem]").first).to_be_visible()
            expect(page.get_by_text("Loading …")).to_have_count(0)
            for key in ("End", "Home"):
                page.keyboard.press("j")
                page.keyboard.press(key)
            least = min(least, script_seconds(session))
    assert least > 0
    return least


def test_a_run_of_500_steps_has_few_rows_and_costs_little_script(browser: Any, site: RunSite, large: str) -> None:
    small = site.run("hundred", turns=FEWER // TURN_STEPS, notes=TURN_STEPS - 1)
    with watched(browser, site.server.url) as page:
        page.goto(f"/#/runs/{large}")
        tree = page.get_by_role("tree", name="Steps")
        expect(tree).to_be_visible()
        expect(tree.get_by_role("treeitem").nth(1)).to_have_attribute("aria-setsize", str(STEPS // TURN_STEPS + 1))
        tree.focus()
        for _ in range(20):  # open turns
            for key in ("j", "ArrowRight"):
                page.keyboard.press(key)
        for tab in ("steps", "conversation", "events", "evidence", "limits"):
            page.goto(f"/#/runs/{large}?tab={tab}")
            expect(page.get_by_role("navigation", name="Parts of the run").locator("[aria-current]")).to_have_text(
                re.compile(f"^{tab}", re.IGNORECASE)
            )
            expect(page.get_by_text("Loading …")).to_have_count(0)
            assert page.evaluate(ROWS) <= ROWS_MAX, tab
        page.goto(f"/#/runs/{small}?compare={large}")
        expect(page.locator(".compared")).not_to_have_count(0)
        assert page.evaluate(ROWS) <= ROWS_MAX
    few, many = (least_script_seconds(browser, site, run_id) for run_id in (small, large))
    print(f"script time: {few:.3f} s for {FEWER} steps, {many:.3f} s for {STEPS}")
    assert many <= SCRIPT_FACTOR * few


# Hostile texts
