"""The page of a run with very many steps: few rows, and little script, whatever text is in them."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from projections.engine.cursor import parse_cursor
from tests.console.browser import IN_A_BROWSER, PHONE, watched
from tests.console.elements import expect
from tests.console.hostile_answers import UNHURT, unhurt, walk
from tests.console.run_site import RunSite, run_site
from tests.support.hostile import HOSTILE, LONG

pytestmark = [*IN_A_BROWSER, pytest.mark.timeout(600)]

STEPS = 500
TURN_STEPS = 10
FEWER = 100
ROWS_MAX = 200
SCRIPT_FACTOR = 2
LOADS = 5
LONG_TEXT_SHOWN = 2_000
WALK_SECONDS = 20
"""CPU time of scripts for all texts of the corpus; a tenth of it is usual."""

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


TEXTS = 200
SIZED = 70_000
"""Only one text has the length of a mebibyte; some mebibytes more would find no more."""
SHOWN = "document.querySelector('.detail').textContent.length"


def hostile_entries(page: Any, *, spoken: bool) -> None:
    """Let each call of the transcript have a text of the corpus, and its result too; or let the model say it."""
    order: dict[str, int] = {}

    def answer(route: Any) -> None:
        found = route.fetch(max_retries=2)
        body = found.json()
        for entry in body["data"]["items"]:
            if call := entry.get("toolCallId"):
                text = HOSTILE[order.setdefault(call, len(order)) % TEXTS]
                text = text[:SIZED] if len(text) < LONG else text
                entry |= {"content": text, "toolName": text[:200] or "x"}
                if spoken and entry["kind"] == "tool-result":
                    entry |= {"kind": "message", "role": "assistant"}
        route.fulfill(response=found, json=body)

    page.route("**/transcript?**", answer)


def test_hostile_texts_break_no_step(browser: Any, site: RunSite, large: str) -> None:
    assert len(set(HOSTILE)) == len(HOSTILE) == TEXTS
    called = [event["id"] for event in site.api.events(runId=large, types="tool.called")][:TEXTS]
    steps = [f"#/runs/{large}?select=tool-{parse_cursor(event).position}" for event in called]
    with watched(browser, site.server.url) as page:
        hostile_entries(page, spoken=False)
        page.goto("/" + steps[0])
        expect(page.get_by_role("region", name="Selected step").locator("pre").first).to_be_visible()
        session = measured(page)
        found = walk(page, steps, SHOWN)
        for (hurt, shown), text in zip(found, HOSTILE, strict=True):
            assert hurt == UNHURT, text[:200]
            assert shown >= min(len(text), LONG_TEXT_SHOWN), text[:200]
        assert script_seconds(session) < WALK_SECONDS


def test_hostile_texts_break_no_conversation(browser: Any, site: RunSite, large: str) -> None:
    with watched(browser, site.server.url) as page:
        hostile_entries(page, spoken=True)
        page.goto(f"/#/runs/{large}?tab=conversation")
        expect(page.locator("article.message .md").first).to_be_visible()
        session = measured(page)
        following = page.get_by_role("button", name="Next", exact=True)
        for part in range(2 * TEXTS // 50):
            unhurt(page, f"part {part} of the conversation")
            if following.get_attribute("aria-disabled") == "true":
                break
            following.click()
        page.set_viewport_size(PHONE)
        unhurt(page, "the conversation on a phone")
        assert script_seconds(session) < WALK_SECONDS


def test_hostile_texts_of_the_record_break_no_page(browser: Any, site: RunSite) -> None:
    """A failed run has a text of the corpus as its input, answer, agent, model, session and error."""
    run_id = site.run("record", refuses=["gpt-4o-mini"])
    text = ""

    def answer(route: Any) -> None:
        found = route.fetch(max_retries=2)
        body = found.json()
        failure = {**body["data"]["error"], "message": text}
        names = ("output", "agentName", "inputPreview", "model", "provider", "sessionId")
        body["data"] |= {name: text[:LONG_TEXT_SHOWN] for name in names} | {"error": failure}
        route.fulfill(response=found, json=body)

    with watched(browser, site.server.url) as page:
        page.route(f"**/runs/{run_id}", answer)
        page.route("**/transcript?**", lambda route: route.fulfill(json={"ok": True, "data": {"items": []}}))
        for text in HOSTILE[::5]:
            page.goto("/#/help")
            page.goto(f"/#/runs/{run_id}")
            expect(page.get_by_role("tree", name="Steps")).to_be_visible()
            unhurt(page, text[:200])
