"""The fleet page in a browser: numbers, chart, cards and lists against a server with runs of every kind."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from athena_core.text import duration
from projections.engine.cursor import parse_cursor
from tests.console.browser import IN_A_BROWSER, watched
from tests.console.elements import LIVE, button, expect, panel, row_of
from tests.console.scene import TURN_MICRO_USD, Scene
from tests.support.api import Json

pytestmark = IN_A_BROWSER

FAILING = 2


class Fleet(NamedTuple):
    """A scene, and the ids of its runs."""

    scene: Scene
    agent: str
    failed: list[str]
    held: str
    paused: str

    def series(self) -> Json:
        """Return what the server counts in the last hour."""
        found: Json = self.scene.api.get("/fleet/series", step="1m", by="error")
        return found


@pytest.fixture(scope="module")
def fleet(scene: Scene) -> Iterator[Fleet]:
    """A fleet with a past: it stands still, with one run at a gate."""
    agent = scene.agent_run("pears")
    for number in range(3):
        scene.api.run("hello", sessionId=f"counted-{number}")
    failed = [scene.failing("billing") for _ in range(FAILING)]
    paused = scene.paused("budget")
    scene.letter("invoices")
    held = scene.hold("held", "held")
    scene.refused("import")
    for number in range(7):
        scene.schedule(f"every-{number}", everyMinutes=60 + number)
    yield Fleet(scene, agent, failed, held, paused)
    scene.gates["held"].release()


@pytest.fixture
def page(browser: Any, fleet: Fleet) -> Iterator[Any]:
    with watched(browser, fleet.scene.server.url) as found:
        opened(found)
        yield found


def opened(page: Any, query: str = "") -> None:
    """Open the fleet page, and wait for its chart."""
    page.goto(f"/#/fleet{query}")
    expect(page.locator(".plot")).to_be_visible()


def tile(page: Any, label: str) -> Any:
    return page.locator(".tile", has_text=label)


def runs_of(page: Any, many: int) -> list[str]:
    """Return the ids of the runs of a list once there are as many."""
    expect(page.get_by_role("heading", level=1)).to_contain_text("Runs")
    rows = page.locator("tr[data-run]")
    expect(rows).to_have_count(many)
    return [str(row.get_attribute("data-run")) for row in rows.all()]


def test_numbers_are_the_servers_and_lead_to_their_runs(page: Any, fleet: Fleet) -> None:
    total = fleet.series()["all"]["total"]
    failures = total["failed"] + total["timedOut"] + total["crashed"]
    assert failures >= FAILING
    numbers = {"Running now": 1, "Completed": total["completed"], "Failed": failures}
    for label, number in numbers.items():
        expect(tile(page, label).locator("strong")).to_have_text(f"{number:,}")
    expect(tile(page, "Cost").locator("strong")).to_have_text(f"${total['costMicroUsd'] / 1e6:.2g}")
    expect(tile(page, "Duration, p95").locator("strong")).to_have_text(duration(total["p95Ms"]))
    for label in ("Completed", "Failed", "Cost"):
        expect(tile(page, label).get_by_role("img", name="up")).to_be_visible()
        expect(tile(page, label)).to_contain_text("the hour before")
    for label, filters in {
        "Running now": {"status": "running"},
        "Completed": {"status": "completed", "since": "1h"},
        "Failed": {"status": "failed", "since": "1h"},
    }.items():
        opened(page)
        tile(page, label).click()
        for name, value in filters.items():
            expect(page).to_have_url(re.compile(f"{name}={value}"))
        runs_of(page, numbers[label])
    opened(page)
    tile(page, "Duration, p95").click()
    expect(page).to_have_url(re.compile("sort=duration"))
    assert fleet.agent == runs_of(page, total["completed"])[0], "the longest first"


def test_a_range_counts_other_intervals_and_is_in_the_address(page: Any, fleet: Fleet) -> None:
    for name, bars in {"15 min": 180, "6 h": 360, "24 h": 24, "7 d": 168}.items():
        button(page, name).click()
        expect(page.locator(".plot svg")).to_have_attribute("viewBox", f"0 0 {bars} 100")
    expect(tile(page, "Completed")).to_contain_text("from 0 the 7 days before")
    page.reload()
    expect(button(page, "7 d")).to_have_attribute("aria-pressed", "true")
    expect(tile(page, "Completed").locator("strong")).to_have_text(str(fleet.series()["all"]["total"]["completed"]))


def test_a_time_is_chosen_by_dragging_and_filters_the_failures(page: Any, fleet: Fleet) -> None:
    plot = page.locator(".plot")
    box = plot.bounding_box()
    y = box["y"] + box["height"] / 2

    def drag(start: float, end: float) -> None:
        page.mouse.move(box["x"] + start * box["width"], y)
        page.mouse.down()
        page.mouse.move(box["x"] + end * box["width"], y, steps=3)
        page.mouse.up()

    failures = panel(page, "Failed runs")
    drag(0.05, 0.4)  # before the server was started
    expect(page.locator(".plot rect.chosen")).to_have_attribute("width", re.compile("^2[123]$"))
    expect(failures).to_contain_text("No run failed then.")
    expect(page.locator("figcaption")).to_contain_text("0 completed")
    button(page, "Clear").click()
    (error,) = fleet.series()["lines"]
    expect(failures).to_contain_text(error["name"])
    drag(0.999, 0.5)
    expect(failures.locator("li", has_text=error["name"]).locator("b")).to_have_text(str(error["total"]["failed"]))
    page.get_by_role("link", name="Runs started then").click()
    expect(page).to_have_url(re.compile("createdAfter=.+createdBefore="))
    ids = runs_of(page, len(fleet.scene.api.items("/runs")))
    assert {fleet.agent, fleet.held, *fleet.failed} <= set(ids)


def test_a_time_is_chosen_by_keys(page: Any) -> None:
    plot = page.locator(".plot")
    plot.focus()
    page.keyboard.press("ArrowLeft")
    expect(plot).to_have_attribute("aria-valuenow", "59")
    expect(page.locator(".plot rect.chosen")).to_have_attribute("width", "1")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowLeft")
    expect(page.locator(".plot rect.chosen")).to_have_attribute("width", "4")
    page.keyboard.press("Home")
    expect(plot).to_have_attribute("aria-valuenow", "0")
    expect(plot).to_have_attribute("aria-valuetext", re.compile(": 0 completed, 0 failed"))
    page.keyboard.press("Escape")
    expect(page.locator(".plot rect.chosen")).to_have_count(0)
    page.keyboard.press("Home")
    page.keyboard.press("Shift+End")
    expect(page.locator(".plot rect.chosen")).to_have_attribute("width", "60")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"#/runs\?createdAfter=.+createdBefore="))


def test_the_chart_shows_cost_tokens_and_latency(page: Any, fleet: Fleet) -> None:
    total = fleet.series()["all"]["total"]
    legend = page.locator("figcaption")
    expect(legend).to_contain_text(f"{total['completed']:,} completed")
    button(page, "Tokens").click()
    expect(legend).to_contain_text(f"{total['inputTokens']:,} input")
    expect(legend).to_contain_text(f"{total['outputTokens']:,} output")
    button(page, "Cost").click()
    expect(legend).to_contain_text(f"${total['costMicroUsd'] / 1e6:.2g} spent")
    button(page, "Latency").click()
    expect(legend).to_contain_text(re.compile(r"[\d.]+ m?s p50.*[\d.]+ m?s p95"))
    assert page.locator(".plot path.line").last.get_attribute("d")


def test_failures_are_grouped_by_error_and_lead_to_their_runs(page: Any, fleet: Fleet) -> None:
    (error,) = fleet.series()["lines"]
    failures = panel(page, "Failed runs")
    total = fleet.series()["all"]["total"]
    expect(failures.locator("header a")).to_have_text(f"{total['rejected']} rejected")
    counts = failures.locator("li b").all_text_contents()
    assert sum(map(int, counts)) == total["failed"], "the panel counts what the card counts"
    expect(failures.locator("li", has_text=error["name"]).locator("svg path")).to_have_attribute("d", re.compile("M"))
    failures.get_by_role("link", name=error["name"]).click()
    assert set(fleet.failed) <= set(runs_of(page, error["total"]["failed"]))
    expect(page).to_have_url(re.compile(f"errorCode={error['name']}"))


def test_running_agents_show_what_they_do_and_what_comes_next_is_listed(page: Any, fleet: Fleet) -> None:
    row = row_of(page, fleet.held)
    for text in ("hold held", "model call", "of 10 min", "not yet known"):
        expect(row).to_contain_text(text)
    expect(row.get_by_role("meter", name="Time")).to_have_attribute("aria-valuemax", "600000")
    upcoming = panel(page, "Upcoming").locator("li a")
    expect(upcoming).to_have_text([f"every-{number}" for number in range(5)])
    row.get_by_role("link").click()
    expect(page).to_have_url(re.compile(f"#/runs/{fleet.held}$"))


def test_the_past_shows_the_tool_that_ran_then(page: Any, fleet: Fleet) -> None:
    events = fleet.scene.api.events(runId=fleet.agent)
    called = next(index for index, event in enumerate(events) if event["payload"].get("toolName") == "shell")
    opened(page, f"?at={parse_cursor(events[called + 1]['id']).position}")  # with the usage of its turn
    row = row_of(page, fleet.agent)
    expect(row.locator(".now")).to_contain_text(re.compile("^shell .*wc -c report.md"))
    expect(row.locator("td").nth(1)).to_have_text("2")
    expect(tile(page, "Completed").locator("strong")).to_have_text("0")
    expect(page.locator(".needs")).to_contain_text("Nothing needs you.")
    expect(panel(page, "Failed runs")).to_contain_text("No run failed in this time.")
    expect(panel(page, "Upcoming")).to_contain_text("No upcoming schedules.")


def test_what_needs_a_person_is_decided_on_its_card(page: Any, fleet: Fleet) -> None:
    """Runs last, because it changes what the other tests count."""
    scene = fleet.scene
    needs = page.locator(".needs")
    budget = needs.locator("article", has_text="Out of budget")
    expect(budget).to_contain_text("$0.00042 of $0.00042")
    letter = needs.locator("article", has_text="Dead letter")
    button(letter, "Requeue").click()
    expect(letter).to_have_count(0)
    assert not scene.api.items("/a2a/dlq", status="pending")
    workflow = scene.workflow(approval=True)
    scene.model.healed = True
    scene.api.post(f"/workflows/{workflow}/run", {})
    ask = needs.locator("article", has_text="Publish the report?")
    button(ask, "Approve").click()
    expect(ask).to_contain_text("Approved")
    page.mouse.move(0, 0)  # a card stays while the pointer is over the cards
    expect(ask).to_have_count(0)
    (decided,) = scene.api.items("/asks", status="approved")
    assert decided["workflowId"] == workflow
    button(budget, "Resume …").click()
    page.get_by_label("Total budget in USD").fill("1")
    button(page.get_by_role("dialog"), "Resume run").click()
    scene.api.await_ending(fleet.paused)
    expect(budget).to_have_count(0)
    expect(needs).to_contain_text("Nothing needs you.")
    before = int(tile(page, "Completed").locator("strong").inner_text())
    scene.api.run("hello", sessionId="seen-live")
    expect(page.locator(LIVE)).to_be_visible()
    expect(tile(page, "Completed").locator("strong")).not_to_have_text(str(before))
    scene.api.put("/policy", {"schemaVersion": 1, "costBudgetDailyUsd": TURN_MICRO_USD / 1e6})
    spent = needs.locator("article", has_text="Daily budget used up")
    expect(spent).to_contain_text(re.compile(r"\$0\.\d+ of \$0\.00021"))
    expect(spent.get_by_role("link", name="Change limits")).to_be_visible()
