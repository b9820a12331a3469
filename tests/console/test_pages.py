"""The console in a browser: a journey for each page, against a real server with real runs."""

import re
import shlex
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from athena_cli import app
from projections.engine.cursor import parse_cursor
from tests.console.browser import IN_A_BROWSER, watched
from tests.console.elements import LIVE, button, expect, live, panel, row_of, status
from tests.console.places import named
from tests.console.replay import Replay, replaying
from tests.console.scene import SCRIPT, Scene, set_up
from tests.support.api import Api, Refused, soon
from tests.support.model import Profile, call
from tests.support.other_process import attending
from tests.support.programs import needs
from tests.support.server import Server
from tests.support.vouched import VOUCHED

pytestmark = IN_A_BROWSER


# Runs


def test_a_run_that_is_started_is_watched_until_it_has_ended(page: Any, scene: Scene) -> None:
    gate = scene.gates["watched"]
    button(page, "Start a run …").click()
    dialog = page.get_by_role("dialog")
    for label, value in {"Input": "tell watched one two", "Session": "watched", "Provider": "local-exec"}.items():
        dialog.get_by_label(label, exact=True).fill(value)
    dialog.get_by_label("Model", exact=True).fill("script")
    assert (
        "athena run --input 'tell watched one two' --session watched"
        in dialog.locator("[data-command=athena]").inner_text()
    )
    button(dialog, "Start a run").click()
    heading = page.get_by_role("heading", level=1)
    expect(status(heading)).to_have_text("running")
    writing = page.locator(".writing pre")
    expect(writing).to_have_text("one ")  # while the model writes
    expect(page.locator(".waits")).to_have_count(0)
    gate.release()
    expect(writing).to_have_text("one two ")
    gate.release()
    expect(status(heading)).to_have_text("completed")
    expect(panel(page, "Answer").locator(".md p")).to_have_text("one two")
    expect(page.locator(".tree .model")).to_have_count(1)
    expect(page.locator(".causes")).to_contain_text("completed")
    run_id = page.url.rpartition("/")[2]
    created = next(event for event in scene.api.events(runId=run_id) if event["type"] == "run.created")
    assert created["payload"]["sessionId"] == "watched"


def test_a_run_is_cancelled_from_the_table_with_a_reason(page: Any, scene: Scene) -> None:
    run_id = scene.hold("cancelled", "cancelled")
    page.get_by_role("link", name="Runs", exact=True).click()
    row = row_of(page, run_id)
    expect(status(row)).to_have_text("running")
    button(row, "Cancel …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("no longer wanted")
    assert (
        f"athena cancel --run {run_id} --reason 'no longer wanted'"
        in dialog.locator("[data-command=athena]").inner_text()
    )
    button(dialog, "Cancel run").click()
    expect(status(row)).to_have_text("cancelled")
    assert scene.api.get(f"/runs/{run_id}")["error"]["message"] == "the run was cancelled: no longer wanted"
    expect(page.locator(".notices p")).to_have_text(re.compile("Cancel requested"))
    page.locator(".facets").get_by_role("link", name="cancelled", exact=True).click()
    expect(row_of(page, run_id)).to_be_visible()
    assert "status=cancelled" in page.url
    page.goto("/#/system")
    expect(page.get_by_role("heading", level=1)).to_contain_text("System")
    assert page.locator(".notices p").count() == 0, "a notice stays on its page"
    page.go_back()
    page.reload()
    expect(page.get_by_label("Search runs")).to_have_value("status:cancelled")
    expect(row_of(page, run_id)).to_be_visible()


def at_pixel(page: Any, x: float, y: float) -> Any:
    """Return the id of the run whose button is at a pixel; None without a button."""
    found = "([x, y]) => document.elementFromPoint(x, y)?.closest('button')?.closest('[data-run]')?.dataset.run"
    return page.evaluate(found, [x, y])


def test_rows_stay_under_the_pointer_while_new_runs_come(page: Any, scene: Scene) -> None:
    """The pixel of a Cancel button belongs to the same run until new ones are shown."""
    run_id = scene.hold("pointed", "pointed")
    page.get_by_role("link", name="Runs", exact=True).click()
    cancel = button(row_of(page, run_id), "Cancel …")
    cancel.hover()
    box = cancel.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    assert at_pixel(page, x, y) == run_id
    many = [scene.api.run("hello", sessionId=f"many-{number}")["runId"] for number in range(12)]
    expect(button(page, "12 new ↑")).to_be_visible()
    assert at_pixel(page, x, y) == run_id
    page.mouse.click(x, y)
    dialog = page.get_by_role("dialog")
    for text in (run_id, "pointed", "hold pointed"):
        expect(dialog.locator(".facts")).to_contain_text(text)
    scene.gates["pointed"].release()
    scene.api.await_ending(run_id)
    expect(status(row_of(page, run_id))).to_have_text("completed")
    assert row_of(page, many[-1]).count() == 0
    page.keyboard.press("Escape")
    button(page, "12 new ↑").click()
    expect(row_of(page, many[-1])).to_be_visible()


def test_a_filter_that_a_page_does_not_have_is_named(page: Any, scene: Scene) -> None:
    scene.api.run("hello", sessionId="filtered")
    page.goto("/#/runs?session=filtered&modle=gpt")
    expect(page.get_by_label("Search runs")).to_have_value("session:filtered")
    expect(page.locator("tr[data-run]")).to_have_count(1)
    expect(page.get_by_role("alert")).to_contain_text("not applied: modle")
    button(page.get_by_role("alert"), "Remove").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    page.goto("/#/events?types=run.fail")
    expect(page.get_by_role("alert")).to_contain_text("run.failed")


def test_a_run_that_fails_in_the_table_says_why_though_no_event_does(page: Any, scene: Scene) -> None:
    earlier = scene.api.run("hello")["runId"]
    page.get_by_role("link", name="Runs", exact=True).click()
    expect(row_of(page, earlier)).to_be_visible()
    run_id = scene.failing("says-why")
    button(page, "1 new ↑").click()
    message = scene.api.get(f"/runs/{run_id}")["error"]["message"]
    row = row_of(page, run_id)
    expect(status(row)).to_have_text("failed")
    expect(status(row)).to_have_attribute("title", message)
    page.goto(f"/#/runs/{run_id}")
    expect(panel(page, "Why it failed")).to_contain_text("failed: PROVIDER_ERROR")
    expect(page.locator(".outcome")).to_have_text(re.compile(r"^Failed after .*: local-exec: .*told to fail"))
    expect(page.get_by_text("none yet")).to_have_count(0)


def tab(page: Any, name: str) -> None:
    """Open a tab of the page of a run."""
    page.get_by_role("navigation", name="Parts of the run").get_by_role("button", name=re.compile(f"^{name}")).click()


def test_a_run_of_an_agent_shows_its_tools_its_evidence_and_its_past(page: Any, scene: Scene) -> None:
    run_id = scene.agent_run("agent")
    page.goto(f"/#/runs/{run_id}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Report how pears sold this week.")
    expect(panel(page, "Answer")).to_contain_text("according to 40 receipts")
    expect(page.locator(".tree .tool")).to_have_count(3)
    expect(page.locator(".tree .model")).to_have_count(4)
    expect(panel(page, "Timeline")).to_contain_text('User: "Report how pears sold this week."')
    expect(panel(page, "Timeline")).to_contain_text(re.compile(r"worker [\w.-]+:\d+"))
    slider = page.get_by_role("slider")
    events = scene.api.events(runId=run_id)
    called = [event["type"] for event in events].index("tool.called")
    slider.fill(str(called + 1))
    expect(page.locator(".slider output")).to_contain_text("tool.called")
    expect(page.locator(".tree .tool")).to_have_count(1)
    expect(status(page.locator(".slider"))).to_have_text("running")
    expect(status(page.get_by_role("heading", level=1))).to_have_text("completed")
    expect(panel(page, "Answer")).to_have_count(0)
    expect(page.locator(".causes li").last).to_contain_text("the model called the tool files")
    button(page, "Back to now").click()
    expect(page.locator(".causes li").last).to_contain_text("completed")
    expect(page.locator(".tree .tool")).to_have_count(3)


def test_the_tabs_of_a_run_show_its_evidence_limits_conversation_and_events(page: Any, scene: Scene) -> None:
    run_id = scene.agent_run("tabs")
    page.goto(f"/#/runs/{run_id}")
    tab(page, "Evidence")
    expect(status(panel(page, "Evidence"))).to_have_text("passed")
    evidence = page.get_by_role("region", name="Evidence")
    button(evidence, "Show").click()
    expect(evidence.locator("pre")).to_contain_text("40 receipts")
    tab(page, "Limits")
    expect(page.get_by_role("meter", name="Cost")).to_have_attribute("aria-valuetext", re.compile(r"of \$0\.01"))
    tab(page, "Conversation")
    expect(page.locator("article.assistant.message .md")).to_contain_text("according to 40 receipts")
    expect(page).to_have_url(re.compile(r"tab=conversation"))
    page.reload()
    expect(page.locator("article.assistant.message .md")).to_contain_text("according to 40 receipts")
    tab(page, "Events")
    expect(page.get_by_role("list", name="Events").get_by_role("listitem")).to_have_count(
        len(scene.api.events(runId=run_id))
    )


def test_a_long_run_is_closed_to_its_turns_and_a_step_is_selected(page: Any, scene: Scene) -> None:
    """Thirty turns have more steps than are open at first. The profile has no rules that it could have passed."""
    turns = [call("evidence", label=f"note-{number}", type="text", content="noted") for number in range(30)]
    scene.model.script = (*turns, "All is noted.")
    profile = scene.api.post("/harness-profiles", Profile(max_turns=40).body)["id"]
    run_id = scene.api.run("note it", sessionId="long", harnessProfileId=profile)["runId"]
    scene.model.script = SCRIPT
    page.goto(f"/#/runs/{run_id}")
    rows = page.get_by_role("tree", name="Steps").get_by_role("treeitem")
    expect(rows.filter(has_text="turn 6 ")).to_have_attribute("aria-expanded", "false")
    expect(page.locator(".tree .tool")).to_have_count(1)
    rows.filter(has_text="turn 6 ").locator(".caret").click()
    expect(page.locator(".tree .tool")).to_have_count(2)
    page.locator(".tree .tool").first.click()
    expect(page.locator(".detail")).to_contain_text("note-5")
    expect(page.locator(".detail .decided")).to_have_text("The profile asks for no approval")
    page.keyboard.press("k")
    expect(page.locator(".detail h2")).to_have_text("turn 6")
    tab(page, "Evidence")
    expect(panel(page, "Evidence")).to_contain_text("no rules")


def test_a_run_lists_its_children_and_a_child_names_its_parent(page: Any, scene: Scene) -> None:
    parent = scene.hold("parent", "parent")
    page.goto(f"/#/runs/{parent}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("hold parent")
    child = scene.api.run("a part", sessionId="part", parentRunId=parent)["runId"]
    page.get_by_role("treeitem", name=re.compile("run: a part")).click()
    expect(page.locator(".detail")).to_contain_text("a part")
    page.get_by_role("treeitem").first.click()
    row = panel(page, "Child runs (1)").locator("tr[data-run]")
    expect(row).to_have_attribute("data-run", child)
    row.get_by_role("link", name="a part").click()
    expect(page.locator(".essentials")).to_contain_text(f"child of …{parent[-8:]}")
    scene.gates["parent"].release()


def test_records_are_opened_by_their_names(page: Any, scene: Scene) -> None:
    agent = scene.api.post("/harness-profiles", {**Profile().body, "displayName": "Señora Überblick"})["id"]
    scene.api.post("/schedules", {"id": "ueberfluss", "input": "go", "sessionId": "s", "everyMinutes": 60})
    heading = page.get_by_role("heading", level=1)
    page.goto("/#/runs")
    expect(heading).to_contain_text("Runs")
    for part, name, shown, kind, place in (
        ("ÜBERB", "Señora Überblick", f"Señora Überblick · hp_…{agent[-6:]}", "harness profile", f"#/profiles/{agent}"),
        ("fluss", "ueberfluss", "ueberfluss", "schedule", "#/schedules/ueberfluss"),
    ):
        page.keyboard.press("Control+k")
        palette = page.get_by_role("dialog", name="Command palette")
        palette.get_by_role("combobox").fill(part)
        found = palette.get_by_role("option").filter(has_text=shown)
        expect(found).to_contain_text(kind)
        found.click()
        expect(page).to_have_url(re.compile(re.escape(place)))
        expect(heading).to_contain_text(name)  # a new page closes the palette


# What was refused


def test_who_hits_a_limit_finds_the_refusal_and_tries_it_again(page: Any, scene: Scene) -> None:
    run_id = scene.hold("full", "full")
    expect(row_of(page, run_id)).to_contain_text("hold full")
    with scene.full():
        button(page, "Start a run …").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Input", exact=True).fill("one too many")
        dialog.get_by_label("Session").fill("unlucky")
        button(dialog, "Start a run").click()
        expect(dialog.get_by_role("alert")).to_contain_text("POLICY_CONCURRENCY_LIMIT_EXCEEDED")
    expect(panel(page, "Failed runs").get_by_role("link", name=re.compile(r"^[1-9]\d* rejected$"))).to_be_visible()
    dialog.get_by_role("link", name="View rejected runs").click()
    page.locator("tr[data-id]", has_text="unlucky").locator("a[aria-expanded]").click()
    expect(panel(page, "Request")).to_contain_text("unlucky")
    button(page, "Re-check against current policy").click()
    expect(page.locator(".verdict")).to_contain_text("Accepted.")
    command = shlex.split(panel(page, "Re-check").locator("[data-command=athena]").inner_text())
    app.build().parse_args(command[1:], exit_on_error=False, print_error=False)
    scene.gates["full"].release()


def test_who_may_raise_the_limit_does_it_beside_the_refusal(page: Any, scene: Scene) -> None:
    scene.hold("raise", "raise")
    with scene.full():
        scene.refused("short")
        limit = scene.api.get("/policy")["maxConcurrentRuns"]
        page.goto("/#/rejections?sessionId=short")
        page.locator("tr[data-id] a[aria-expanded]").click()
        page.get_by_role("link", name="Change limits").click()
        expect(page.get_by_label("Max concurrent runs")).to_have_value(str(limit))
        page.get_by_label("Max concurrent runs").fill(str(limit + 1))
        page.get_by_label("Reason").fill("one more")
        button(page, "Simulate").click()
        expect(page.locator(".verdict")).to_contain_text("Accepted.")
        button(page, "Save").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Policy")
        assert scene.api.get("/policy")["maxConcurrentRuns"] == limit + 1
        page.goto("/#/rejections?sessionId=short")
        page.locator("tr[data-id] a[aria-expanded]").click()
        button(page, "Re-check against current policy").click()
        expect(page.locator(".verdict")).to_contain_text("Accepted.")
        scene.api.run("passes now", sessionId="short")
    scene.gates["raise"].release()


def test_a_policy_that_changed_meanwhile_is_not_overwritten(page: Any, scene: Scene) -> None:
    scene.api.put("/policy", {"schemaVersion": 1, "maxConcurrentRuns": 50})
    page.goto("/#/policy")
    page.get_by_role("link", name="Change limits").click()
    page.get_by_label("Reason").fill("too late")
    scene.api.put("/policy", {"schemaVersion": 1, "maxConcurrentRuns": 40})
    button(page, "Save").click()
    expect(page.get_by_role("alert")).to_contain_text("PRECONDITION_FAILED")
    assert scene.api.get("/policy")["maxConcurrentRuns"] == 40


def test_a_command_that_was_refused_may_be_asked_again(page: Any, scene: Scene) -> None:
    """Under the same key the rejection would be replayed."""
    scene.hold("again", "again")
    button(page, "Start a run …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Input", exact=True).fill("once more")
    with scene.full():
        button(dialog, "Start a run").click()
        expect(dialog.get_by_role("alert")).to_contain_text("POLICY_CONCURRENCY_LIMIT_EXCEEDED")
    button(dialog, "Start a run").click()
    expect(status(page.get_by_role("heading", level=1))).to_have_text("completed")
    scene.gates["again"].release()


# What waits and what comes


def test_a_schedule_is_paused_and_resumed(page: Any, scene: Scene) -> None:
    scene.schedule("nightly")
    page.goto("/#/schedules")
    page.get_by_role("link", name="nightly").click()
    expect(page.get_by_role("region", name="Next runs").locator("tbody tr")).to_have_count(10)
    heading = page.get_by_role("heading", level=1)
    button(heading, "Pause …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("holidays")
    button(dialog, "Pause schedule").click()
    expect(status(heading)).to_have_text("paused")
    assert (scene.api.get("/schedules/nightly")["paused"], scene.api.get("/schedules/nightly")["note"]) == (
        True,
        "holidays",
    )
    expect(page.locator(".facts", has_text="Paused because: cause")).to_contain_text("request")
    button(heading, "Resume").click()
    expect(status(heading)).to_have_text("enabled")
    button(heading, "Run now").click()
    slots = page.get_by_role("region", name="Executions")
    expect(status(slots)).to_have_text("ok")


def test_an_execution_that_the_policy_rejected_links_no_run(page: Any, scene: Scene) -> None:
    """Its id is of a run that never began."""
    scene.schedule("crowded")
    gate = scene.gates["crowd"]
    scene.hold("crowd", "crowd")
    with scene.full():
        scene.api.post("/schedules/crowded/run", {})
    gate.release()
    page.goto("/#/schedules/crowded")
    slots = page.get_by_role("region", name="Executions")
    expect(slots).to_contain_text("policy rejected")
    expect(slots.locator('a[href^="#/runs/"]')).to_have_count(0)
    slots.get_by_role("link", name="rejected runs").click()
    expect(page.get_by_role("region", name="Rejected runs").locator("tbody tr")).to_have_count(1)


OPENERS = {
    "an act": lambda page: button(page, "Start a run …").click(),
    "the palette": lambda page: page.keyboard.press("Control+k"),
    "the help": lambda page: page.keyboard.press("?"),
}


@pytest.mark.parametrize("opener", OPENERS)
def test_a_dialog_ends_with_its_page(page: Any, opener: str) -> None:
    page.goto("/#/schedules")
    page.goto("/#/runs")
    expect(button(page, "Start a run …")).to_be_visible()
    OPENERS[opener](page)
    expect(page.locator("dialog:modal")).to_have_count(1)
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Schedules")
    expect(page.locator("dialog")).to_have_count(0)


def test_a_failed_workflow_is_resumed_and_its_approval_given(page: Any, scene: Scene) -> None:
    workflow_id = scene.workflow(approval=True)
    scene.api.post(f"/workflows/{workflow_id}/run", {})
    page.goto("/#/workflows")
    page.locator(f'a[title="{workflow_id}"]').click()
    heading = page.get_by_role("heading", level=1)
    expect(status(heading)).to_have_text("failed")
    expect(page.locator(".step.failed")).to_contain_text("PROVIDER_ERROR")
    first = run_of_step(page, "collect")
    button(heading, "Resume").click()
    expect(page.locator(".notices p")).to_have_text(re.compile("The workflow failed again"))
    scene.model.healed = True
    button(heading, "Resume").click()
    expect(status(heading)).to_have_text("waiting")
    assert run_of_step(page, "collect") == first, "what is ok is not repeated"
    page.locator(".node.waiting").click()
    page.locator(".step.waiting").get_by_role("link", name="Read and decide").click()
    expect(heading).to_contain_text("Publish the report?")
    (ask,) = (one for one in scene.api.items("/asks") if one["workflowId"] == workflow_id)
    assert page.get_by_label("Text to approve").inner_text().strip() == ask["subject"].strip() != ""
    button(page, "Approve").click()
    expect(status(heading)).to_have_text("approved")
    page.goto(f"/#/workflows/{workflow_id}")
    expect(status(heading)).to_have_text("ok")
    expect(page.locator(".node.ok")).to_have_count(5)
    expect(page.locator(".gantt li")).to_have_count(5)


def run_of_step(page: Any, step: str) -> str:
    """Choose a step in the graph and return the end of its run's id."""
    page.locator(".node", has_text=step).click()
    return str(page.locator(".step", has_text=step).get_by_role("link").first.inner_text())


def test_a_dead_letter_is_requeued_and_another_discarded_by_the_command_that_is_shown(page: Any, scene: Scene) -> None:
    back, away = scene.letter("returned"), scene.letter("discarded")
    page.goto("/#/letters")
    row = page.locator(f'tr[data-id="{back}"]')
    row.get_by_title(back).click()
    expect(page.locator("tr.inner")).to_contain_text("told to fail")
    button(row, "Requeue").click()
    expect(status(row)).to_have_text("requeued")
    expect(page.locator(".notices")).to_contain_text('waits in queue "returned"')
    page.goto("/#/queues")
    queue = page.locator('tr[data-id="returned"]')
    button(queue, "Drain").click()
    expect(queue).to_have_count(0)
    page.goto("/#/letters")
    row = page.locator(f'tr[data-id="{away}"]')
    button(row, "Discard …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("it's not needed")
    command = dialog.locator("[data-command=athena]").inner_text()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    done = subprocess.run(
        [sys.executable, "-m", "athena_cli", *shlex.split(command)[1:]], check=False, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    expect(status(row)).to_have_text("discarded")
    assert scene.api.get(f"/a2a/dlq/{away}")["auditNote"] == "it's not needed"
    button(row, "Restore").click()
    expect(status(row)).to_have_text("pending")


# What an action is on a command line

ACTIONS = {
    *("Start a run", "Cancel run", "Resume run", "Run now", "Pause schedule", "Resume"),
    *("Disable schedule", "Enable", "Remove schedule", "Cancel", "Requeue", "Discard dead letter", "Restore", "Drain"),
    *("Halt", "Run again"),
}


def test_every_action_shows_commands_that_are_understood(page: Any, scene: Scene) -> None:
    scene.model.healed = False
    failed, waiting = scene.workflow(), scene.workflow(approval=True)
    scene.api.post(f"/workflows/{failed}/run", {})
    scene.model.healed = True
    scene.api.post(f"/workflows/{waiting}/run", {})
    running, paused, ended = scene.hold("commanded", "commanded"), scene.paused("paused"), scene.failing("ended")
    scene.api.post("/work/enqueue", {"sessionId": "undrained", "payload": "later", "mode": "followup"})
    for name, state in (("enabled", None), ("stopped", "pause"), ("disabled", "disable")):
        scene.schedule(f"commanded-{name}")
        if state:
            scene.api.post(f"/schedules/commanded-{name}/{state}")
    scene.letter("pending")
    scene.api.post(f"/a2a/dlq/{scene.letter('thrown-away')}/discard")
    places = (
        *("fleet", f"runs/{running}", f"runs/{paused}", f"runs/{ended}", f"workflows/{failed}", f"workflows/{waiting}"),
        *("schedules/commanded-enabled", "schedules/commanded-stopped", "schedules/commanded-disabled"),
        *("letters?sessionId=pending", "letters?sessionId=thrown-away", "queues", "system"),
    )
    seen = set()
    for place in places:
        page.goto("/#/" + place)
        asking = page.get_by_role("button", name=re.compile(r" …$|^Show command: "))
        expect(asking.first).to_be_visible()
        expect(page.get_by_text("Loading …")).to_have_count(0)
        for index in range(asking.count()):
            asking.nth(index).click()
            dialog = page.get_by_role("dialog")
            seen.add(dialog.get_by_role("heading").inner_text())
            for field in dialog.locator("[required]").all():
                field.fill("filled in")
            command = shlex.split(dialog.locator("[data-command=athena]").inner_text())
            assert command[0] == "athena"
            app.build().parse_args(command[1:], exit_on_error=False, print_error=False)
            curl = shlex.split(dialog.locator("[data-command=curl]").inner_text())
            assert {"curl", "-X", "-H"} < set(curl)
            assert any(word.startswith("Idempotency-Key: ") for word in curl)
            page.keyboard.press("Escape")
            expect(dialog).to_have_count(0)
    assert seen == ACTIONS
    scene.gates["commanded"].release()


@needs("curl")
def test_the_command_for_curl_does_what_the_button_does(page: Any, scene: Scene) -> None:
    scene.schedule("by-curl")
    page.goto("/#/schedules/by-curl")
    heading = page.get_by_role("heading", level=1)
    button(heading, "Pause …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill('it\'s "late"')
    command = dialog.locator("[data-command=curl]").inner_text()
    page.keyboard.press("Escape")
    done = subprocess.run([*shlex.split(command), "--silent", "--fail-with-body"], check=False, capture_output=True)
    assert done.returncode == 0, done.stdout
    expect(status(heading)).to_have_text("paused")
    assert scene.api.get("/schedules/by-curl")["note"] == 'it\'s "late"'


# The stream


def shown_positions(page: Any) -> list[int]:
    """The positions of the events that are shown, newest first."""
    shown = page.locator(".events > li").evaluate_all("rows => rows.map(row => Number(row.dataset.position))")
    return [int(position) for position in shown]


class Asking(threading.Thread):
    """A client that starts one run after another, whether or not the server is up."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._over = threading.Event()
        self.acknowledged: list[str] = []

    def run(self) -> None:
        api = Api(self._url)
        while not self._over.wait(0.05):  # a pace, so that a page of the feed holds all of it
            with suppress(httpx2.TransportError, Refused):
                self.acknowledged.append(api.run("hello")["runId"])
        api.close()

    def more(self, runs: int) -> None:
        """Return once this many more runs were acknowledged."""
        wanted = len(self.acknowledged) + runs
        for _ in soon():
            if len(self.acknowledged) >= wanted:
                break

    def stop(self) -> None:
        self._over.set()
        self.join()


def test_a_run_without_an_executor_is_shown_to_wait(browser: Any, tmp_path: Path) -> None:
    with Server(tmp_path / "idle", executor="off") as server, watched(browser, server.url) as page:
        server.api.start("Hello")
        page.goto("/#/fleet")
        expect(page.locator(".tiles")).to_contain_text("1 without an executor")
        page.goto("/#/runs")
        expect(page.get_by_role("table")).to_contain_text("executor")


HEARD = """
window.heard = [];
const original = window.fetch;
window.fetch = async (...parts) => {
  const response = await original(...parts);
  if (!String(parts[0]).includes("/events/stream")) return response;
  const decoder = new TextDecoder();
  let text = "";
  const transform = (chunk, controller) => {
    const frames = (text + decoder.decode(chunk, { stream: true })).split("\\n\\n");
    text = frames.pop();
    for (const frame of frames) {
      const id = /^id: (.*)$/m.exec(frame);
      if (id && !/^event: (bookmark|caught-up)$/m.test(frame)) window.heard.push(id[1]);
    }
    controller.enqueue(chunk);
  };
  return new Response(response.body.pipeThrough(new TransformStream({ transform })), response);
};
"""
"""Writes down what the page's stream brings, before the page has seen it."""


def test_a_server_that_is_killed_and_restarted_costs_no_event_and_doubles_none(browser: Any, tmp_path: Path) -> None:
    """Kill the server three times while runs are started and the page is open."""
    with set_up(tmp_path / "killed") as scene, watched(browser, scene.server.url) as page:
        page.add_init_script(HEARD)
        page.goto("/#/events?types=run.created")
        expect(page.locator(LIVE)).to_be_visible()
        begin = scene.api.head()
        asking = Asking(scene.server.url)
        asking.start()
        port = int(scene.server.url.rpartition(":")[2])
        for _ in range(3):
            asking.more(5)
            scene.server.kill()
            expect(page.locator(".banner")).to_be_visible()
            scene.server.start(port)
        asking.more(5)
        asking.stop()
        head = scene.server.api.head()
        expect(page.locator(f'.pulse[data-position="{head}"]')).to_be_visible()
        expect(page.locator(LIVE)).to_be_visible()
        events = scene.server.api.events(cursor=begin)
        assert page.evaluate("window.heard") == [event["id"] for event in events], "as the stream brought them"
        created = [event for event in events if event["type"] == "run.created"]
        assert {event["runId"] for event in created} >= set(asking.acknowledged)
        assert shown_positions(page) == [parse_cursor(event["id"]).position for event in reversed(created)]
        page.goto("/#/fleet")
        total = scene.server.api.get("/fleet/summary")["recent"]["outcomes"]["completed"]
        expect(page.locator(".tile", has_text="Completed").locator("strong")).to_have_text(f"{total:,}")
        page.goto("/#/events")
        expect(page.locator(f'.events > li[data-position="{head}"]')).to_be_visible()
        positions = shown_positions(page)
        assert positions == list(range(head, head - len(positions), -1))
        page.goto("/#/fleet")
        button(page, "Start a run …").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Input", exact=True).fill("hello")
        scene.server.kill()
        button(dialog, "Start a run").click()
        expect(dialog.get_by_role("alert")).to_contain_text("UNREACHABLE")
        scene.server.start(port)
        expect(dialog.get_by_role("alert")).to_have_count(0)


def test_an_event_is_a_cursor_that_continues_after_it(page: Any, scene: Scene) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    run_id = scene.api.run("hello", sessionId="copied")["runId"]
    page.goto(f"/#/events?runId={run_id}&types=run.started")
    row = page.locator(".events > li")
    row.get_by_role("button").click()
    expect(row.locator("pre")).to_contain_text('"type": "run.started"')
    button(row, "Copy as cursor").click()
    expect(button(row, "Copied")).to_be_visible()
    cursor = page.evaluate("navigator.clipboard.readText()")
    events = [event["type"] for event in scene.api.events(runId=run_id)]
    after = [event["type"] for event in scene.api.events(runId=run_id, cursor=cursor)]
    assert after == events[events.index("run.started") + 1 :]


def test_a_list_that_is_held_still_goes_on_with_what_came_meanwhile(page: Any, scene: Scene) -> None:
    page.goto("/#/events?sessionId=held&types=run.completed")
    scene.api.run("one", sessionId="held")
    expect(page.locator(".events > li")).to_have_count(1)
    button(page, "Pause").click()
    scene.api.run("two", sessionId="held")
    button(page, "Resume (1 new)").click()
    expect(page.locator(".events > li")).to_have_count(2)


def test_a_failing_loop_needs_attention_and_is_explained(page: Any, scene: Scene) -> None:
    problem = {"loop": "log.anchor", "since": "2026-01-01T00:00:00.000Z", "message": "Is a directory", "count": 7}
    failing: list[object] = [problem]

    def answer(route: Any) -> None:
        found = route.fetch(max_retries=2)
        body = found.json()
        route.fulfill(response=found, json={**body, "data": {**body["data"], "problems": failing}})

    page.route("**/admin/health", answer)
    page.goto("/#/system")
    page.reload()
    for words in ("log.anchor", "7", "Is a directory"):
        expect(panel(page, "Problems")).to_contain_text(words)
    with attending(scene.server.state_dir, "worker", 7, "runner.claim"):
        row = page.get_by_role("region", name="Workers").locator("tbody tr", has_text="worker")
        expect(row).to_contain_text("runner.claim failing")
    page.goto("/#/")
    expect(page.get_by_role("link", name="log.anchor is failing")).to_be_visible()
    failing.clear()
    page.goto("/#/system")
    page.reload()
    expect(page.get_by_role("region", name="Views")).to_be_visible()
    expect(page.get_by_role("heading", name="Problems", exact=True)).to_have_count(0)
    page.unroute_all(behavior="wait")  # the page asks now and then, also while it is closed


def test_the_system_page_shows_positions_and_checksums_of_the_views(page: Any, scene: Scene) -> None:
    page.goto("/#/system")
    views = page.get_by_role("region", name="Views")
    health = scene.api.get("/admin/health")
    expect(views.locator("tbody tr")).to_have_count(len(health["projections"]))
    expect(panel(page, "Diagnostics")).to_contain_text(health["generation"])
    button(page, "View checksums").click()
    for name, digest in scene.api.get("/admin/digests")["views"].items():
        row = views.locator("tr", has=page.get_by_role("cell", name=name, exact=True))
        expect(row.locator("td.mono")).to_have_attribute("title", f"{digest['sha256']} at {digest['position']}")
    expect(panel(page, "Limits")).to_contain_text("page items max")
    (worker,) = scene.api.get("/workers")["items"]
    row = page.get_by_role("region", name="Workers").locator("tbody tr")
    expect(row).to_contain_text(worker["id"][-8:])
    expect(status(row)).to_have_text("alive")


def test_a_stream_that_is_behind_says_so_until_it_is_not(browser: Any, scene: Scene) -> None:
    scene.api.run("hello")
    head, log_id = scene.api.head(), scene.api.get("/capabilities")["logId"]
    replay = Replay(scene.server.url, scene.api.events(cursor=head - 5), log_id, rate=20)
    with replaying(replay, head) as url, live(browser, url) as page:
        replay.withheld = 60
        expect(page.locator('.pulse[data-state="behind"]')).to_have_text(re.compile(r"\d+ events behind"))
        replay.withheld = 0
        expect(page.locator(LIVE)).to_be_visible()


def test_a_frozen_server_is_distinguished_from_an_idle_one(page: Any, scene: Scene) -> None:
    scene.server.signal(signal.SIGSTOP)
    try:
        expect(page.locator('.pulse[data-state="cut"]')).to_be_visible()
        expect(page.locator(".banner")).to_contain_text("Disconnected")
    finally:
        scene.server.signal(signal.SIGCONT)
    expect(page.locator(LIVE)).to_be_visible()
    expect(page.locator(".banner")).to_have_count(0)


# Who looks


def test_roles_hide_forbidden_actions_and_a_missing_identity_is_explained(browser: Any, tmp_path: Path) -> None:
    roles = {"auth_identity_role_map": "ada:Admin,vera:Viewer"} | VOUCHED
    with set_up(tmp_path / "guarded", identity="ada", **roles) as scene:
        scene.schedule("nightly")
        with watched(browser, scene.server.url, extra_http_headers=named("vera")) as page:
            page.goto("/#/schedules/nightly")
            expect(status(page.get_by_role("heading", level=1))).to_have_text("enabled")
            expect(page.locator(".who")).to_have_text(re.compile("vera.*Viewer"))
            expect(page.locator("h1 button")).to_have_count(0)
            forced = "fetch('/api/v1/schedules/nightly/pause', {method: 'POST'}).then((answer) => answer.status)"
            assert page.evaluate(forced) == 403, "what is hidden is refused all the same"
        with watched(browser, scene.server.url, extra_http_headers=named("ada")) as page:
            page.goto("/#/schedules/nightly")
            button(page.get_by_role("heading", level=1), "Pause …").click()
            button(page.get_by_role("dialog"), "Pause schedule").click()
            expect(status(page.get_by_role("heading", level=1))).to_have_text("paused")
            (event,) = scene.api.events(types="schedule.paused")
            trail = scene.api.get("/schedules/nightly")
            assert (event["payload"]["id"], trail["updatedBy"]) == ("nightly", "ada")
        scoped = named("vera") | {"x-athena-scope-sessions": "mine"}
        with watched(browser, scene.server.url, extra_http_headers=scoped) as page:
            page.goto("/#/fleet")
            expect(panel(page, "Upcoming")).to_contain_text("not shown to your identity")
            expect(page.locator("main")).to_contain_text("may see some of its sessions only")
            expect(page.locator(".tiles, .trouble")).to_have_count(0)
            page.goto("/#/runs")
            expect(page.locator(LIVE)).to_be_visible()
            denials = len(scene.api.events(types="authz.denied"))
            scene.api.run("hello", sessionId="theirs")
            mine = scene.api.run("hello", sessionId="mine")["runId"]
            expect(status(row_of(page, mine))).to_have_text("completed")
            expect(page.locator("tr[data-run]")).to_have_count(1)
            assert len(scene.api.events(types="authz.denied")) == denials
        with watched(browser, scene.server.url) as page:
            page.goto("/")
            expect(page.get_by_role("heading", name="Log in to Athena")).to_be_visible()
            expect(page.locator("main")).to_contain_text("docs/how-to/nginx.md")


def test_a_dialog_opens_again_before_the_last_one_is_reported_closed(page: Any) -> None:
    button(page, "Start a run …").click()
    asked = page.get_by_role("dialog").get_by_label("Input", exact=True)
    asked.fill("of the first one")
    page.evaluate(
        """() => {
            document.querySelector("dialog").close(); // the browser tells the page of it a moment later
            [...document.querySelectorAll("button")].find(one => one.textContent === "Start a run …").click();
        }"""
    )
    expect(asked).to_be_focused()
    expect(asked).to_have_value("")
