"""The list of runs and the habits of all pages, by keyboard and by pointer, with counted keys and clicks."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from athena_cli import app
from athena_core.clock import FixedDate, SystemClock
from tests.console.browser import IN_A_BROWSER, watched
from tests.console.elements import LIVE, button, expect, live
from tests.console.hands import Hands
from tests.console.replay import Replay, record, replaying
from tests.console.run_pages import run, serve
from tests.console.scene import PLAIN, Scene
from tests.support.api import Refused
from tests.support.inside import plane_on
from tests.support.model import call, turn_of
from tests.support.server import Server
from tests.support.stub import Asked, Behaviour, refuses, standing

pytestmark = IN_A_BROWSER

DAY_MS = 86_400_000
NOON_MS = DAY_MS // 2
DEAR_TOKENS, CHEAP_TOKENS = 400_000, 1_000  # in; six cents and nearly nothing
ROWS_MAX = 200
MANY = 10_000
FIRST = 40
INPUT_CHARS_MIN = 40
RATIO_MAX = 2
RATE = 500  # events a second


def rows(page: Any) -> Any:
    return page.locator("tr[data-run]")


# Find yesterday's failed runs of one agent that cost over five cents


def choose(asked: Asked) -> Behaviour:
    """Call a tool for the price that the input names; then fail or answer, as it says."""
    messages = asked.body["messages"]
    said = next(message["content"] for message in messages if message["role"] == "user")
    if messages[-1]["role"] != "tool":
        tokens = DEAR_TOKENS if "dear" in said else CHEAP_TOKENS
        return turn_of(call("evidence", label="note", type="text", content="noted"), 1, (tokens, 1))
    if "fail" in said:
        return refuses(400, b'{"error": {"message": "the model is away"}}')
    return turn_of("It is done.", 2)


class Past:
    """A server whose runs of two agents began yesterday and today."""

    def __init__(self, server: Server, wanted: str) -> None:
        self.server = server
        self.wanted = wanted


@pytest.fixture(scope="module")
def past(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    """One run of Reviewer failed yesterday and was dear. Others differ from it in one respect each."""
    directory = tmp_path_factory.mktemp("past")
    clock = FixedDate((SystemClock().now() // DAY_MS - 2) * DAY_MS + NOON_MS)
    with standing(choose) as stub:
        asks = {"openai_base_url": stub.url + "/v1", "openai_api_key": "none"}
        with plane_on(directory, clock, scheduler="off", **asks) as plane:

            def profile(name: str) -> str:
                return str(plane.data("POST", "/harness-profiles", {**PLAIN, "displayName": name})["id"])

            def start(agent: str, said: str) -> str:
                run_id = plane.begin(said, said.replace(" ", "-").replace(",", ""), harnessProfileId=agent)
                plane.until(f"/runs/{run_id}", "status", "failed", "completed")
                return run_id

            reviewer, analyst = profile("Reviewer"), profile("Pear analyst")
            start(reviewer, "dear and fail the day before")
            clock.advance(DAY_MS)
            wanted = start(reviewer, "dear and fail")
            for agent, said in ((reviewer, "fail"), (reviewer, "dear"), (analyst, "dear, fail too")):
                start(agent, said)
        with Server(directory, **asks) as server:
            for said in ("dear, fail today", "good today"):
                try:
                    server.api.run(said, sessionId="today", harnessProfileId=reviewer)
                except Refused:
                    continue
            yield Past(server, wanted)


@pytest.mark.parametrize(("by", "keys", "clicks"), [("keyboard", 50, 0), ("pointer", 0, 7)])
def test_task_find_yesterdays_dear_failures_of_an_agent(
    browser: Any, past: Past, by: str, keys: int, clicks: int
) -> None:
    with live(browser, past.server.url, timezone_id="UTC") as page:
        hands = Hands(page)
        if by == "keyboard":
            hands.go_to("r", "Runs")
            hands.first_field()
            hands.type("failed agent:rev cost:>0.05 yesterday")
            hands.press("Enter")
        else:
            hands.click(page.get_by_role("link", name="Runs", exact=True))
            hands.clicks += 2  # opens the list of times, and chooses
            page.get_by_role("combobox", name="Time", exact=True).select_option("Yesterday")
            facets = page.locator(".facets")
            for name in ("failed", "Reviewer", "$0.05"):
                hands.click(facets.get_by_role("link", name=name, exact=True))
        expect(rows(page)).to_have_count(1)
        expect(rows(page)).to_have_attribute("data-run", past.wanted)
        expect(rows(page)).to_contain_text("Reviewer · dear and fail")
        expect(rows(page)).to_contain_text("the model is away")
        expect(rows(page)).to_contain_text("$0.06")
        if by == "keyboard":
            hands.press("j", "Enter")
        else:
            hands.click(page.locator("tr[data-run] td.main"))
        expect(page).to_have_url(re.compile(f"#/runs/{past.wanted}"))
        hands.took_at_most(keys=keys, clicks=clicks)


# Stop everything


@pytest.mark.parametrize(("by", "keys", "clicks"), [("keyboard", 24, 0), ("pointer", 9, 4)])
def test_task_stop_everything(page: Any, scene: Scene, by: str, keys: int, clicks: int) -> None:
    run_id = scene.hold(f"stopped-{by}", f"stopped-{by}")
    hands = Hands(page)
    if by == "keyboard":
        hands.press("Control+k")
        hands.type("halt")
        hands.press("Enter")
        hands.type("runaways")
        hands.press("Tab", "Space", "Enter")
    else:
        hands.click(button(page, "Halt …"))
        dialog = page.get_by_role("dialog")
        hands.click(dialog.get_by_label("Reason"))
        hands.type("runaways")
        hands.click(dialog.get_by_label("Also cancel all running runs"))
        hands.click(button(dialog, "Halt"))
    expect(page.locator(".banner.halted")).to_contain_text("runaways")
    assert scene.api.get("/halt")["halted"]
    scene.gates[f"stopped-{by}"].release()
    assert scene.api.await_ending(run_id) == "run.cancelled"
    scene.api.send("/halt", method="DELETE")
    hands.took_at_most(keys=keys, clicks=clicks)


# The list


def test_new_runs_wait_above_the_list_and_rows_stay(page: Any, scene: Scene) -> None:
    first = scene.api.run("first", sessionId="stay")["runId"]
    page.goto("/#/runs?session=stay")
    expect(rows(page)).to_have_count(1)
    more = [scene.api.run("more", sessionId="stay")["runId"] for _ in range(3)]
    scene.api.run("elsewhere", sessionId="elsewhere")
    fresh = button(page, "3 new ↑")
    expect(fresh).to_be_visible()
    expect(rows(page)).to_have_count(1)
    page.keyboard.press("u")
    expect(rows(page)).to_have_count(4)
    found = rows(page).evaluate_all("rows => rows.map(row => row.dataset.run)")
    assert found == [*reversed(more), first]
    expect(button(page, "Refresh")).to_be_visible()


def test_a_row_that_ends_gets_its_answer(page: Any, scene: Scene) -> None:
    run_id = scene.hold("ends", "ends")
    page.goto("/#/runs?session=ends")
    row = page.locator(f'tr[data-run="{run_id}"]')
    expect(row).to_contain_text("running")
    scene.gates["ends"].release()
    expect(row).to_contain_text("completed")
    expect(row.locator(".main small")).to_contain_text("released by ends")


def test_selected_runs_are_cancelled_and_run_again(page: Any, scene: Scene) -> None:
    gates = [f"bulk-{number}" for number in range(3)]
    left, *held = [scene.hold(gate, gate) for gate in gates]
    page.goto("/#/runs?status=running")
    expect(rows(page)).to_have_count(3)
    for key in "jxjx":
        page.keyboard.press(key)
    selected = page.get_by_role("region", name="Selected runs")
    expect(selected).to_contain_text("2 selected")
    button(selected, "Cancel 2 …").click()
    dialog = page.get_by_role("dialog")
    for run_id in held:
        expect(dialog).to_contain_text(run_id[-8:])
    dialog.get_by_label("Reason").fill("not wanted")
    button(dialog, "Cancel run: 2 runs").click()
    expect(page.locator("tr .status.cancelled")).to_have_count(2)
    button(selected, "Run 2 again …").click()
    button(page.get_by_role("dialog"), "Run again: 2 runs").click()
    for gate in gates[1:]:
        scene.gates[gate].arrival()  # so that no run of before takes the release
    again = {found["retryOf"]: found["runId"] for found in scene.api.items("/runs") if "retryOf" in found}
    assert scene.api.get(f"/runs/{left}")["status"] == "running"
    for gate in gates:
        scene.gates[gate].release()
    for run_id in (left, *again.values()):
        scene.api.await_ending(run_id)
    assert sorted(again) == sorted(held)


def test_all_that_match_are_cancelled_by_one_request(page: Any, scene: Scene) -> None:
    gates = [f"all-{number}" for number in range(2)]
    held = [scene.hold(gate, gate) for gate in gates]
    page.goto("/#/runs?status=running&provider=local-exec")
    expect(rows(page)).to_have_count(2)
    page.get_by_label("Select all shown runs").check()
    button(page, "Cancel all that match …").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("status:running provider:local-exec")
    dialog.get_by_label("Reason").fill("all of it")
    with page.expect_request(re.compile("/runs/cancel")) as sent:
        button(dialog, "Cancel all that match").click()
    wanted = {"status": "running", "provider": "local-exec"}
    body = sent.value.post_data_json
    assert re.fullmatch("[0-9a-f]{64}", body.pop("subjectHash"))  # of the runs that the dialog counted
    assert body == {"filter": wanted, "reason": "all of it"}
    expect(page.locator("tr .status.cancelled")).to_have_count(2)
    for gate, run_id in zip(gates, held, strict=True):
        scene.gates[gate].release()
        assert scene.api.await_ending(run_id) == "run.cancelled"


def test_the_dearest_runs_stand_first_where_cost_is_sorted(page: Any, scene: Scene) -> None:
    scene.agent_run("sorted")
    page.goto("/#/runs?session=sorted")
    page.get_by_role("columnheader", name="Cost").get_by_role("link").click()
    expect(page.get_by_role("columnheader", name="Cost")).to_have_attribute("aria-sort", "descending")
    expect(page).to_have_url(re.compile("sort=cost"))
    expect(rows(page)).to_have_count(1)


def test_a_list_is_copied_as_commands_that_work(page: Any, scene: Scene) -> None:
    run_id = scene.api.run("hello", sessionId="copied")["runId"]
    page.goto("/#/runs?session=copied&status=completed")
    page.get_by_text("Copy as", exact=True).click()
    lines = {name: page.locator(f"[data-command={name}]").inner_text() for name in ("athena", "curl", "python")}
    command = shlex.split(lines["athena"])
    app.build().parse_args(command[1:], exit_on_error=False, print_error=False)
    assert command[:3] == ["athena", "runs", "list"]
    assert run_id in output_of([sys.executable, "-c", lines["python"]])
    if shutil.which("curl"):
        assert run_id in output_of([*shlex.split(lines["curl"]), "--silent", "--noproxy", "*"])


def output_of(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


# Many rows


def test_the_list_asks_for_what_it_shows(browser: Any, scene: Scene) -> None:
    with watched(browser, scene.server.url) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if "/api/v1/runs?" in request.url else None)
        serve(page, [run(number, inputPreview="pears " * 25) for number in range(MANY)])
        page.goto("/#/runs")
        expect(rows(page)).to_have_count(FIRST)
        assert [parse_qs(urlsplit(url).query)["limit"] for url in asked] == [[str(FIRST)]]
        page.evaluate(END)
        expect(rows(page)).not_to_have_count(FIRST)
        assert len(asked) == 2


def test_the_input_has_the_width_that_other_columns_leave(browser: Any, scene: Scene) -> None:
    with watched(browser, scene.server.url) as page:
        serve(page, [run(0, inputPreview="Report how the sales of pears rose since last week. " * 3)])
        page.goto("/#/runs")
        link = rows(page).first.locator(".main a")
        expect(link).to_be_visible()
        shown = link.evaluate("link => link.textContent.length * link.clientWidth / link.scrollWidth")
        assert shown > INPUT_CHARS_MIN


END = "scrollTo(0, document.documentElement.scrollHeight)"


def scroll_through(page: Any) -> None:
    """Scroll to the end until every row was read."""
    while (seen := page.locator("table.picked").get_attribute("aria-rowcount")) != str(MANY + 1):
        page.evaluate(END)
        page.wait_for_function("seen => document.querySelector('table.picked').ariaRowCount !== seen", arg=seen)
    page.evaluate(END)


def script_seconds(page: Any, tool: Any) -> float:
    """Return the CPU time of scripts while the list is scrolled by some screens under a stream of events."""

    def spent() -> float:
        metrics = tool.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "ScriptDuration"))

    before = spent()
    for screen in (1, 2, 3, 4, 3, 2, 1, 0):
        page.evaluate(f"scrollTo(0, {screen} * innerHeight)")
        page.wait_for_timeout(150)
    return spent() - before


def test_ten_thousand_runs_cost_what_a_hundred_do(browser: Any, tmp_path: Path) -> None:
    with Server(tmp_path / "many") as server:
        events = record(server.api, 20)
        head, log_id = server.api.head(), server.api.get("/capabilities")["logId"]

        @contextmanager
        def streamed() -> Iterator[Any]:
            with replaying(Replay(server.url, events, log_id, RATE), head) as url, watched(browser, url) as page:
                yield page

        with streamed() as few, streamed() as many:
            tools = {}
            for page, length in ((few, 100), (many, MANY)):
                serve(page, [run(number) for number in range(length)])
                tools[page] = page.context.new_cdp_session(page)
                tools[page].send("Performance.enable", {"timeDomain": "threadTicks"})
                page.goto("/#/runs")
                expect(rows(page).first).to_be_visible()
            scroll_through(many)
            shown = rows(many).count()
            expect(rows(many).last).to_have_attribute("data-run", run(MANY - 1)["runId"])
            assert shown <= ROWS_MAX
            many.keyboard.press("j")
            assert many.evaluate("document.activeElement.closest('tr').dataset.run")
            pairs = [(script_seconds(few, tools[few]), script_seconds(many, tools[many])) for _ in range(5)]
            ratio = median(large / small for small, large in pairs)
            print(
                f"{shown} rows in the document; the scripts of 10,000 runs take {ratio:.2f} times those of 100: {pairs}"
            )
            assert rows(many).count() <= ROWS_MAX
            assert ratio <= RATIO_MAX


# Habits


def test_the_palette_opens_pages_ids_acts_and_queries(page: Any, scene: Scene) -> None:
    run_id = scene.api.run("hello", sessionId="palette")["runId"]

    def take(text: str, found: str) -> None:
        page.keyboard.press("Control+k")
        page.keyboard.type(text)
        expect(page.locator(".palette").get_by_role("option", selected=True)).to_contain_text(found)
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog", name="Command palette")).to_have_count(0)

    def at(url: str, heading: str) -> None:
        """Await the page too: its address changes first, and a new page closes the palette."""
        expect(page).to_have_url(re.compile(url))
        expect(page.get_by_role("heading", level=1)).to_contain_text(heading)

    take("workflows", "Workflows")
    at("#/workflows", "Workflows")
    take(run_id[-8:], run_id)
    at(f"#/runs/{run_id}", "hello")
    take("status:failed", "status:failed")
    at(r"#/runs\?status=failed", "Runs")
    take("start a", "Start a run")
    expect(page.get_by_role("dialog")).to_contain_text("Input")
    page.keyboard.press("Escape")
    take("dark", "Theme: dark")
    assert page.evaluate("document.documentElement.style.colorScheme") == "dark"
    page.reload()
    assert page.evaluate("document.documentElement.style.colorScheme") == "dark"
    page.keyboard.press("Control+k")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_palette_that_was_asked_for_before_the_page_is_there_can_be_closed(page: Any, scene: Scene) -> None:
    held: list[Any] = []
    page.route("**/api/v1/capabilities", lambda route: held.append(route))  # noqa: PLW0108  (a built-in cannot be marked)
    with page.expect_request("**/api/v1/capabilities"):
        page.reload()
    page.keyboard.press("Control+k")
    page.keyboard.press("Escape")
    assert page.locator("main").count() == 0
    held[0].continue_()
    expect(page.locator(LIVE)).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_help_lists_the_keys_and_has_the_settings(browser: Any, scene: Scene) -> None:
    run_id = scene.api.run("hello", sessionId="zoned")["runId"]
    created = scene.api.get(f"/runs/{run_id}")["createdAt"]
    with watched(browser, scene.server.url, timezone_id="Asia/Kolkata") as page:
        page.goto("/#/runs?session=zoned")
        expect(rows(page)).to_have_count(1)
        page.keyboard.press("?")
        dialog = page.get_by_role("dialog", name="Help")
        expect(dialog.get_by_role("link", name="Documentation of this page")).to_have_attribute("href", "/docs#/runs")
        expect(dialog).to_contain_text("Ctrl K")
        expect(dialog.get_by_label("Times")).to_contain_text("Asia/")
        dialog.get_by_label("Times").select_option("UTC")
        button(dialog, "Close").click()
        title = page.locator("tr[data-run] time").last.get_attribute("title")
        assert f"{created[11:19]} UTC" in title


def test_j_and_k_move_and_enter_opens(page: Any, scene: Scene) -> None:
    ids = [scene.api.run("hello", sessionId="moved")["runId"] for _ in range(3)]
    page.goto("/#/runs?session=moved")
    expect(rows(page)).to_have_count(3)
    for key in "jjjk":
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.closest('tr').dataset.run") == ids[1]
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"#/runs/{ids[1]}"))


@pytest.mark.parametrize(("by", "keys", "clicks"), [("keyboard", 1, 0), ("pointer", 0, 2)])
def test_task_share_a_moment(browser: Any, scene: Scene, by: str, keys: int, clicks: int) -> None:
    scene.api.run("before", sessionId=f"shared-{by}")
    head = scene.api.head()
    options = {"permissions": ["clipboard-read", "clipboard-write"]}
    with watched(browser, scene.server.url, **options) as page:
        page.goto(f"/#/runs?session=shared-{by}")
        expect(page.locator(f'.pulse[data-position="{head}"]')).to_be_visible()
        hands = Hands(page)
        if by == "keyboard":
            hands.press("s")
        else:
            hands.click(button(page, "Search and acts"))
            hands.click(page.get_by_role("option", name="Share this moment"))
        expect(page.locator(".notices")).to_contain_text("A link to this moment is copied.")
        link = page.evaluate("navigator.clipboard.readText()")
        hands.took_at_most(keys=keys, clicks=clicks)
    assert link == f"{scene.server.url}/#/runs?sessionId=shared-{by}&at={head}"
    scene.api.run("after", sessionId=f"shared-{by}")
    with watched(browser, scene.server.url) as page:
        page.goto(link)
        expect(page.locator(".past-bar")).to_contain_text("As it was at")
        expect(rows(page)).to_have_count(1)
        expect(rows(page)).to_contain_text("before")
