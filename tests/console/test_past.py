"""The console in the past: every page at a moment of the address, against a server with real runs."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.console.browser import IN_A_BROWSER, watched
from tests.console.elements import LIVE, button, expect, panel, row_of, status
from tests.console.scene import Scene, set_up

pytestmark = IN_A_BROWSER

WORDS = "Cancel|Requeue|Discard|Restore|Resume|Pause|Drain|Approve|Reject|Allow|Deny|Run"
ACTS = re.compile(rf" …$|^Show command|^({WORDS})\b")


class Asked(list[str]):
    """The paths and queries that a page asks the API for."""

    def __init__(self, page: Any) -> None:
        super().__init__()
        page.on("request", self._note)

    def _note(self, request: Any) -> None:
        url = urlsplit(request.url)
        if url.path.startswith("/api/v1"):
            self.append(f"{url.path.removeprefix('/api/v1')}?{url.query}")

    def moments(self) -> set[str]:
        """Return the moments of all requests; an empty one is a request about now."""
        return {(parse_qs(urlsplit(one).query).get("asOf") or [""])[0] for one in self}


@pytest.fixture
def page(browser: Any, scene: Scene) -> Iterator[Any]:
    with watched(browser, scene.server.url) as found:
        yield found


def bar(page: Any) -> Any:
    return page.locator(".past-bar")


def tile(page: Any, label: str) -> Any:
    return page.locator(".tile", has_text=label).locator("strong")


def completed(page: Any) -> Any:
    return tile(page, "Completed")


def completed_at(scene: Scene, position: int | None) -> str:
    summary = scene.api.get("/fleet/summary", asOf=position)
    return f"{summary['recent']['outcomes']['completed']:,}"


def test_the_fleet_is_shown_as_it_was_and_goes_on_from_now(page: Any, scene: Scene) -> None:
    scene.hold("then", "then")
    then = scene.api.head()
    before = completed_at(scene, then)
    scene.gates["then"].release()
    scene.api.run("hello", sessionId="afterwards")
    for _ in range(2):
        scene.api.run("hello")
    asked = Asked(page)
    page.goto(f"/#/fleet?at={then}")
    expect(bar(page)).to_contain_text(f"As it was at {scene.api.events(cursor=then - 1, limit=1)[0]['createdAt'][:4]}")
    expect(bar(page)).to_contain_text(re.compile(rf"\d+ \w+ ago, after event {then:,}\."))
    expect(completed(page)).to_have_text(before)
    expect(tile(page, "Running now")).to_have_text("1")
    expect(panel(page, "Running")).to_contain_text("hold then")
    expect(page.locator('.pulse[data-state="past"]')).to_be_visible()
    now = ("/capabilities?", "/caller?", "/events?limit=1")  # who asks, and where the slider begins
    assert {one for one in asked if "asOf=" not in one} == set(now)
    assert asked.moments() == {"", str(then)}
    scene.api.run("hello", sessionId="unseen")
    page.get_by_role("link", name="Back to now").click()
    expect(page.locator(LIVE)).to_be_visible()
    expect(bar(page)).to_have_count(0)
    assert "at=" not in page.url
    expect(completed(page)).to_have_text(completed_at(scene, None))
    scene.api.run("hello", sessionId="followed")
    expect(completed(page)).to_have_text(completed_at(scene, None))


def test_a_page_that_is_live_stands_still_once_it_shows_the_past(page: Any, scene: Scene) -> None:
    run_id = scene.hold("still", "still")
    with page.expect_request(re.compile("/transcript/stream")):
        page.goto(f"/#/runs/{run_id}")
    expect(page.locator(LIVE)).to_be_visible()
    then = scene.api.head()
    asked = Asked(page)
    page.evaluate(f"location.hash += '?at={then}'")
    expect(bar(page)).to_contain_text(f"event {then:,}")
    heading = page.get_by_role("heading", level=1)
    expect(status(heading)).to_have_text("running")
    assert not [one for one in asked if "stream" in one]
    scene.gates["still"].release()
    scene.api.await_ending(run_id)
    page.get_by_role("link", name="Runs", exact=True).click()
    expect(status(row_of(page, run_id))).to_have_text("running")
    assert asked.moments() == {str(then)}
    page.go_back()
    page.go_back()
    expect(status(heading)).to_have_text("completed")


def test_moving_between_pages_stays_at_the_moment(page: Any, scene: Scene) -> None:
    scene.schedule("earlier")
    run_id = scene.api.run("hello", sessionId="earlier")["runId"]
    then = scene.api.head()
    later = scene.api.run("hello", sessionId="later")["runId"]
    scene.schedule("later")
    page.goto(f"/#/fleet?at={then}")
    page.get_by_role("navigation").get_by_role("button", name="Work").click()
    page.get_by_role("link", name="Schedules", exact=True).click()
    expect(page.get_by_role("link", name="earlier", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="later", exact=True)).to_have_count(0)
    page.keyboard.press("g")
    page.keyboard.press("r")
    expect(row_of(page, run_id)).to_be_visible()
    expect(row_of(page, later)).to_have_count(0)
    page.get_by_label("Search runs").fill("session:earlier")
    page.keyboard.press("Enter")
    expect(page.locator("tr[data-run]")).to_have_count(1)
    row_of(page, run_id).get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("hello")
    assert page.url.endswith(f"/#/runs/{run_id}?at={then}")
    page.goto(f"/#/runs/{later}?at={then}")
    expect(page.get_by_role("alert")).to_contain_text("It may not have existed yet.")
    page.get_by_role("alert").get_by_role("link", name="Back to now").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("hello")


def test_acts_are_hidden_in_the_past(page: Any, scene: Scene) -> None:
    workflow = scene.workflow(approval=True)
    scene.model.healed = True
    scene.api.post(f"/workflows/{workflow}/run", {})
    scene.model.healed = False
    scene.schedule("acts")
    (ask,) = (one for one in scene.api.items("/asks") if one["workflowId"] == workflow)
    running, letter = scene.hold("acts", "acts"), scene.letter("failing")
    places = (
        *("fleet", "asks", f"asks/{ask['id']}", "runs", f"runs/{running}", "schedules/acts"),
        *(f"workflows/{workflow}", f"letters/{letter}", "rejections", "system"),
    )
    page.goto("/#/fleet")
    expect(button(page, "Approve")).to_be_visible()
    then = scene.api.head()
    for place in places:
        page.goto(f"/#/{place}?at={then}")
        expect(bar(page)).to_contain_text(f"event {then:,}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.get_by_text("Loading …")).to_have_count(0)
        assert page.get_by_role("button", name=ACTS).all_inner_texts() == [], place
    page.goto(f"/#/asks?at={then}")
    expect(page.locator("[data-ask]").first).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("y")
    expect(page.locator("[data-ask]").first).to_be_visible()
    assert scene.api.get(f"/asks/{ask['id']}")["status"] == "open"
    page.goto(f"/#/runs/{running}")
    button(page, "Cancel run …").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.evaluate(f"location.hash += '?at={then}'")
    expect(page.get_by_role("dialog")).to_have_count(0)
    scene.gates["acts"].release()


def test_pages_without_a_past_say_so(page: Any, scene: Scene) -> None:
    scene.api.run("hello")
    then = scene.api.head()
    asked = Asked(page)
    for place in ("mcp", "mcp/any", "system"):
        page.goto(f"/#/{place}?at={then}")
        expect(page.locator("[data-no-past]")).to_contain_text("known for now only")
        expect(page.locator(".trouble")).to_have_count(0)
    assert not [one for one in asked if one.startswith(("/mcp-servers", "/workers", "/agents", "/admin", "/halt"))]
    page.locator("[data-no-past]").get_by_role("link", name="Show it now").click()
    expect(page.get_by_role("region", name="Workers")).to_be_visible()


def test_the_slider_moves_through_the_times_of_the_log(page: Any, scene: Scene) -> None:
    scene.api.run("hello", sessionId="slid")
    page.goto("/#/fleet")
    slider = page.get_by_role("slider", name="Time", exact=True)
    expect(slider).to_have_attribute("aria-valuetext", "Now")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    expect(bar(page)).to_contain_text("As it was at")
    expect(page).to_have_url(re.compile(r"\?at=\d{4}-\d\d-\d\dT"))
    expect(slider).to_be_focused()
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d, \d+ \w+ ago$"))
    page.keyboard.press("Home")
    expect(bar(page)).to_contain_text("after event")
    begin = scene.api.events(limit=1)[0]["createdAt"]
    expect(page).to_have_url(re.compile(re.escape(begin.replace(":", "%3A"))))
    expect(completed(page)).to_have_text("0")
    asked = Asked(page)
    last = int(slider.get_attribute("max"))
    slider.evaluate(
        """(input, last) => {
            for (const place of [last - 1, 1, last - 1, 2, last - 1]) {
                input.value = place;
                input.dispatchEvent(new Event("input", { bubbles: true }));
            }
        }""",
        last,
    )
    expect(page).not_to_have_url(re.compile(re.escape(begin.replace(":", "%3A"))))
    expect(bar(page)).to_contain_text("after event")
    sought = [one for one in asked if one.startswith("/events?limit=1&asOf=")]
    assert len(sought) == 1, "it waits until the slider rests"
    page.keyboard.press("End")
    expect(page.locator(LIVE)).to_be_visible()
    expect(slider).to_be_focused()
    page.get_by_label("Exact time").fill("2001-02-03T04:05")
    expect(page.get_by_role("heading", level=1)).to_have_text("No such moment")


def test_an_event_and_a_step_of_a_run_lead_to_the_fleet_around_them(page: Any, scene: Scene) -> None:
    held = scene.hold("around", "around")
    changed = scene.api.head() + 1
    scene.api.put("/policy", {"schemaVersion": 1, "maxConcurrentRuns": 77})
    page.goto("/#/events?types=policy.updated")
    row = page.locator(f'.events > li[data-position="{changed}"]')
    row.get_by_role("button").first.click()
    row.get_by_role("link", name="before").click()
    expect(bar(page)).to_contain_text(f"event {changed - 1:,}")
    expect(page.locator(".tile", has_text="Running")).not_to_contain_text("of 77")
    page.go_back()
    row.get_by_role("button").first.click()
    row.get_by_role("link", name="after").click()
    expect(page.locator(".tile", has_text="Running")).to_contain_text("of 77")
    scene.gates["around"].release()
    scene.api.await_ending(held)
    run_id = scene.agent_run("around")
    events = scene.api.events(runId=run_id)
    page.goto(f"/#/runs/{run_id}")
    slider = page.get_by_role("slider")
    started = [event["type"] for event in events].index("run.started")
    slider.fill(str(started + 1))
    page.locator(".slider").get_by_role("link", name="The fleet at this moment").click()
    expect(tile(page, "Running now")).to_have_text("1")
    expect(row_of(page, run_id)).to_contain_text("model call")


def test_the_audit_trail_leads_to_the_fleet_before_a_change(page: Any, scene: Scene) -> None:
    scene.api.put("/policy", {"schemaVersion": 1, "maxConcurrentRuns": 55})
    page.goto("/#/audit?kind=policy")
    scene.api.put("/policy", {"schemaVersion": 1, "maxConcurrentRuns": 66})
    changed = scene.api.events(types="policy.updated")[-1]
    row = page.locator("tr[data-id]").first
    expect(row).to_have_attribute("data-id", changed["id"])
    row.locator("a[aria-expanded]").click()
    expect(page.locator("tr.inner del")).to_have_text("55")
    expect(page.locator("tr.inner ins")).to_have_text("66")
    row.get_by_role("link", name="before").click()
    expect(page.locator(".tile", has_text="Running")).to_contain_text("of 55")
    page.keyboard.press("g")
    page.keyboard.press("u")
    expect(page.locator("tr[data-id]").first.get_by_role("cell").nth(1)).to_contain_text("policy.updated")
    expect(page.locator(f'tr[data-id="{changed["id"]}"]')).to_have_count(0)


def test_a_moment_that_cannot_be_shown_says_why_and_leads_back(page: Any, scene: Scene) -> None:
    scene.api.run("hello")
    foreign = "AUeFlhdUgCPXAAAAAAAAAA6M4SXf"
    causes = {
        "99999999": "does not reach that far",
        "1969-01-01": "The log begins later",
        "0": "The log begins later",
        "nonsense": "neither the id of an event, a position, nor a time",
        "%3Cb%3Ebold%3C/b%3E%E2%80%AE": "<b>bold</b>[U+202E]",
        "x" * 5_000: "xxx",
        foreign: "another log",
    }
    for at, cause in causes.items():
        for place in ("fleet", "runs"):
            page.goto(f"/#/{place}?at={at}")
            expect(page.get_by_role("heading", level=1)).to_have_text("No such moment")
            expect(page.locator("main")).to_contain_text(cause)
            expect(page.locator("main b")).to_have_count(1)
        page.locator("main").get_by_role("link", name="Back to now").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Runs")
        expect(page.locator(LIVE)).to_be_visible()
    page.goto("/#/events?at=99999999")
    page.get_by_role("link", name="Show the last event").click()
    expect(page.locator(".events > li").first).to_have_attribute("data-position", str(scene.api.head()))


def test_a_read_of_the_past_that_is_too_large_leads_to_an_earlier_moment(page: Any, scene: Scene) -> None:
    scene.api.run("hello")
    then = scene.api.head()
    error = {"code": "PAST_TOO_LARGE", "message": "Too many.", "retryable": False, "details": {"position": then - 1}}
    answer = json.dumps({"ok": False, "error": error})
    page.route(
        re.compile(rf"/fleet/summary\?asOf={then}$"),
        lambda route: route.fulfill(status=413, content_type="application/json", body=answer),
    )
    page.goto(f"/#/fleet?at={then}")
    trouble = page.locator(".trouble").first
    expect(trouble).to_contain_text("PAST_TOO_LARGE")
    expect(trouble.get_by_role("link", name="Back to now")).to_be_visible()
    trouble.get_by_role("link", name=f"Show position {then - 1:,}").click()
    expect(bar(page)).to_contain_text(f"event {then - 1:,}")
    expect(completed(page)).to_be_visible()


def test_a_server_that_is_away_is_asked_again_for_the_moment(browser: Any, tmp_path: Path) -> None:
    with set_up(tmp_path / "away") as scene, watched(browser, scene.server.url) as page:
        scene.api.run("hello")
        then = scene.api.head()
        page.goto("/#/fleet")
        expect(page.locator(LIVE)).to_be_visible()
        port = int(scene.server.url.rpartition(":")[2])
        scene.server.kill()
        page.evaluate(f"location.hash = '#/fleet?at={then}'")
        expect(page.get_by_role("alert").first).to_contain_text("UNREACHABLE")
        scene.server.start(port)
        expect(bar(page)).to_contain_text(f"event {then:,}")
        expect(completed(page)).to_have_text("1")
