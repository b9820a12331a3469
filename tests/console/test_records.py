"""The lists, records and forms of the console in a browser, against a real server."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.console.browser import IN_A_BROWSER, PHONE
from tests.console.elements import button, expect, go, live
from tests.console.hands import Hands
from tests.console.places import ROLES, greeting, named
from tests.console.scene import PLAIN, SCRIPT, Scene, set_up

pytestmark = IN_A_BROWSER


def link(where: Any, name: str) -> Any:
    return where.get_by_role("link", name=name, exact=True)


def menu(page: Any, name: str) -> Any:
    return page.get_by_role("navigation").get_by_role("button", name=re.compile(f"^{name}"))


def field(page: Any, path: str) -> Any:
    return page.locator(f'[data-path="{path}"]')


def body(page: Any) -> Any:
    return json.loads(page.get_by_label("JSON").input_value())


# The tasks of an operator


def limited(scene: Scene) -> None:
    """Reject a request of today, with a limit of one run."""
    scene.api.put("/policy", {"schemaVersion": 1, "maxConcurrentRuns": 50})
    scene.hold("limited", "limited")
    scene.refused("refused-today")
    scene.gates["limited"].release()
    scene.api.put("/policy", {"policy": {"schemaVersion": 1, "maxConcurrentRuns": 2}, "auditComment": "too many"})


def test_task_raise_a_limit_after_simulating_it_by_pointer(page: Any, scene: Scene) -> None:
    limited(scene)
    hands = Hands(page)
    hands.click(menu(page, "Control"))
    hands.click(link(page, "Policy"))
    hands.click(link(page, "Change limits"))
    expect(field(page, "policy.maxConcurrentRuns")).to_be_focused()
    hands.press("Control+a")
    hands.type("40")
    hands.click(field(page, "auditComment"))
    hands.type("more machines")
    hands.click(button(page, "Simulate"))
    table = page.get_by_role("region", name="Simulation")
    expect(table).to_contain_text("With these limits")
    expect(page.locator("form [role=status]")).to_contain_text("Would be accepted now")
    assert scene.api.get("/policy")["maxConcurrentRuns"] == 2, "a simulation changes nothing"
    hands.click(button(page, "Save"))
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("^Policy"))
    assert scene.api.get("/policy")["maxConcurrentRuns"] == 40
    hands.took_at_most(clicks=6, keys=16)


def test_task_raise_a_limit_after_simulating_it_by_keyboard(page: Any, scene: Scene) -> None:
    limited(scene)
    hands = Hands(page)
    hands.go_to("l", "Policy")
    hands.first_field()
    hands.press("Enter")
    expect(field(page, "policy.maxConcurrentRuns")).to_be_focused()
    hands.press("Control+a")
    hands.type("41")
    hands.tab_to(field(page, "auditComment"))
    hands.type("ok")
    hands.tab_to(button(page, "Simulate"))
    hands.press("Enter")
    expect(page.get_by_role("region", name="Simulation")).to_be_visible()
    hands.press("Shift+Tab", "Shift+Tab", "Enter")  # in the field of the reason: the form is sent
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("^Policy"))
    assert scene.api.get("/policy")["maxConcurrentRuns"] == 41
    hands.took_at_most(keys=30)


@contextmanager
def changed_by_olga(browser: Any, directory: Path) -> Iterator[tuple[Scene, Any, int]]:
    """Yield a server whose limits an Admin changed, a page, and the position just before."""
    roles = {**ROLES, "auth_identity_role_map": "ada:Admin,olga:Admin"}
    with set_up(directory, identity="ada", **roles) as scene:
        scene.api.put("/policy", {"schemaVersion": 1, "maxConcurrentRuns": 8})
        before = scene.api.head()
        with_reason = {"policy": {"schemaVersion": 1, "maxConcurrentRuns": 3}, "auditComment": "too expensive"}
        scene.server.client("olga").put("/policy", with_reason)
        with live(browser, scene.server.url, extra_http_headers=named("ada")) as page:
            yield scene, page, before


def has_the_culprit(page: Any, where: Any) -> None:
    expect(where).to_contain_text("olga")
    expect(where).to_contain_text("too expensive")
    changes = page.get_by_role("region", name="Changes").first
    expect(changes.locator("del")).to_have_text("8")
    expect(changes.locator("ins")).to_have_text("3")


def test_task_find_who_changed_the_policy_and_the_fleet_before(browser: Any, tmp_path: Path) -> None:
    with changed_by_olga(browser, tmp_path) as (_, page, before):
        hands = Hands(page)
        hands.click(menu(page, "Control"))
        hands.click(link(page, "Policy"))
        has_the_culprit(page, page.locator("article").first)
        hands.click(link(page.locator("article").first, "before"))
        expect(page).to_have_url(re.compile(rf"#/fleet\?at={before}$"))
        hands.took_at_most(clicks=3)
        page.goto("/#/fleet")
        hands = Hands(page)
        hands.go_to("l", "Policy")
        hands.first_field()
        has_the_culprit(page, page.locator("article").first)
        hands.tab_to(link(page.locator("article").first, "before"))
        hands.press("Enter")
        expect(page).to_have_url(re.compile(rf"#/fleet\?at={before}$"))
        hands.took_at_most(keys=12)


def test_the_audit_trail_is_filtered_and_shows_before_and_after(browser: Any, tmp_path: Path) -> None:
    with changed_by_olga(browser, tmp_path) as (_, page, _before):
        go(page, "audit")
        page.get_by_label("Actor").fill("olga")
        page.get_by_label("Actor").press("Enter")
        row = page.locator("tr[data-id]")
        expect(row).to_have_count(1)
        row.locator("a[aria-expanded]").click()
        has_the_culprit(page, row)


def test_task_create_a_nightly_schedule_by_pointer(page: Any, scene: Scene) -> None:
    hands = Hands(page)
    hands.click(menu(page, "Work"))
    hands.click(link(page, "Schedules"))
    hands.click(link(page, "New schedule"))
    expect(field(page, "id")).to_be_focused()
    hands.type("by-pointer")
    for path, text in (("sessionId", "reports"), ("input", "Summarise the day."), ("cron", "0 2 * * *")):
        hands.click(field(page, path))
        hands.type(text)
    hands.click(button(page, "Create"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("by-pointer")
    expect(page.get_by_role("region", name="Next runs").locator("tbody tr")).to_have_count(10)
    assert scene.api.get("/schedules/by-pointer")["cron"] == "0 2 * * *"
    hands.took_at_most(clicks=7, keys=60)


def test_task_create_a_nightly_schedule_by_keyboard(page: Any, scene: Scene) -> None:
    hands = Hands(page)
    hands.go_to("s", "Schedules")
    hands.first_field()
    hands.press("Enter")
    expect(field(page, "id")).to_be_focused()
    for text in ("by-keys", "reports", "Summarise the day.", "0 2 * * *"):
        hands.type(text)
        hands.press("Tab")
    hands.press("Enter")  # in a field, it sends the form
    expect(page.get_by_role("region", name="Next runs").locator("tbody tr")).to_have_count(10)
    assert scene.api.get("/schedules/by-keys")["sessionId"] == "reports"
    hands.took_at_most(keys=60)


# The form


def test_an_error_stands_at_its_field_with_the_remedy(page: Any, scene: Scene) -> None:
    go(page, "form/createSchedule")
    for path, text in (("id", "wrong"), ("sessionId", "wrong"), ("input", "hello"), ("cron", "0 2 * *")):
        field(page, path).fill(text)
    cron = field(page, "cron")
    expect(cron).to_have_attribute("aria-invalid", "true")  # found while it was typed; the button has moved down for it
    button(page, "Create").click()
    expect(cron).to_be_focused()
    note = page.locator(f'[id="{cron.get_attribute("aria-describedby")}"]')
    expect(note).to_contain_text("does not have five fields")
    expect(note).to_contain_text("use minute, hour")
    cron.fill("0 2 * * *")
    button(page, "Create").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("wrong")
    assert scene.api.get("/schedules/wrong")["input"] == "hello"


def test_the_next_times_are_shown_before_a_schedule_is_saved(page: Any) -> None:
    go(page, "form/createSchedule")
    cron, zone = field(page, "cron"), field(page, "timezone")
    times = page.get_by_role("region", name="Next runs").locator("tbody tr")
    cron.fill("0 2 * *")
    expect(cron).to_have_attribute("aria-invalid", "true")
    expect(page.locator(f'[id="{cron.get_attribute("aria-describedby")}"]')).to_contain_text("use minute, hour")
    expect(cron).to_be_focused()
    cron.fill("0 2 * * *")
    expect(times).to_have_count(5)
    expect(times.first).to_contain_text("02:00")
    expect(cron).to_have_attribute("aria-invalid", "false")
    zone.fill("Asia/Kolkata")
    expect(times.first).to_contain_text("20:30")
    zone.fill("Mars/Olympus")
    expect(zone).to_have_attribute("aria-invalid", "true")
    expect(times).to_have_count(0)


def test_a_required_field_is_marked_and_a_description_is_shown(page: Any) -> None:
    go(page, "form/createSchedule")
    assert field(page, "id").get_attribute("required") is not None
    assert field(page, "cron").get_attribute("required") is None
    expect(page.locator("form")).to_contain_text("Cron expression with five fields")
    expect(page.locator("form")).not_to_contain_text("undefined")
    page.get_by_text("More fields").click()
    expect(page.get_by_label("Overlap policy").locator("option")).to_contain_text(["Not set", "allow-all"])


def test_the_fields_and_the_json_follow_each_other(page: Any) -> None:
    go(page, "form/createHarnessProfile")
    field(page, "displayName").fill("Pear analyst")
    button(page, "Add to tools").click()
    field(page, "config.tools[0]").fill("files")
    button(page, "Add to tools").click()
    field(page, "config.tools[1]").fill("shell")
    button(page, "Remove tools 1").click()
    assert (body(page)["displayName"], body(page)["config"]["tools"]) == ("Pear analyst", ["shell"])
    text = page.get_by_label("JSON")
    text.fill('{"displayName": "From JSON", "policies": {"timeoutMs": 5}, "asks": {"holdMs": 0')
    expect(page.get_by_text("This is not a JSON object.")).to_be_visible()
    expect(field(page, "displayName")).to_be_disabled()
    expect(button(page, "Create")).to_be_disabled()
    text.fill('{"displayName": "From JSON", "policies": {"timeoutMs": 5}, "asks": {"holdMs": 0}}')
    expect(field(page, "displayName")).to_have_value("From JSON")
    expect(field(page, "policies.timeoutMs")).to_have_value("5")
    expect(field(page, "asks.holdMs")).to_have_value("0")
    button(page, "Remove asks").click()
    assert "asks" not in body(page)


def test_the_command_of_a_form_does_what_its_button_does(page: Any) -> None:
    go(page, "form/createSchedule?id=shown&sessionId=shown")
    field(page, "everyMinutes").fill("5")
    command = page.locator("[data-command=athena]").inner_text()
    assert command.startswith("athena schedules create --id shown --session shown --every-minutes 5")
    assert '"everyMinutes":5' in page.locator("[data-command=curl]").inner_text()


def test_a_schedule_is_edited_with_all_that_it_had(page: Any, scene: Scene) -> None:
    scene.schedule("edited", jitterSeconds=7, note="why")
    go(page, "schedules/edited")
    link(page, "Edit").click()
    expect(field(page, "input")).to_have_value("Summarise the day.")
    field(page, "input").fill("Summarise the week.")
    button(page, "Save").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Schedule edited")
    found = scene.api.get("/schedules/edited")
    assert (found["input"], found["jitterSeconds"], found["timezone"]) == ("Summarise the week.", 7, "Europe/Berlin")


def test_a_template_is_made_and_run_with_its_parameters(page: Any, scene: Scene) -> None:
    profile = scene.api.post("/harness-profiles", PLAIN)["id"]
    go(page, f"form/createRunTemplate?harnessProfileId={profile}")
    field(page, "directiveTemplate").fill("Greet {{name}} in {{language}}.")
    field(page, "defaultParams").fill('{"name": "you", "language": "French"}')
    button(page, "Create").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Template")
    link(page, "Run").click()
    expect(page.locator("form")).to_contain_text("Default: French")
    field(page, "params.name").fill("Ada")
    button(page, "Start").click()
    expect(page).to_have_url(re.compile("#/runs/run_"))
    run = scene.api.get(f"/runs/{page.url.rpartition('/')[2]}")
    assert run["harnessProfileId"] == profile
    (entry,) = (one for one in scene.api.items(f"/sessions/{run['sessionId']}/transcript") if one["role"] == "user")
    assert entry["content"] == "Greet Ada in French."


def test_the_form_of_a_workflow_begins_with_a_step(page: Any) -> None:
    go(page, "form/createWorkflow")
    expect(field(page, "definition.steps[0].id")).to_be_focused()
    assert body(page) == {"definition": {"steps": [{}], "dependencies": []}}


def test_the_limits_are_facts_and_a_table(page: Any, scene: Scene) -> None:
    limits = [{"scope": "session", "max": 7, "strategy": "enqueue"}]
    scene.api.put("/policy", {"schemaVersion": 1, "maxConcurrentRuns": 43, "limits": limits})
    go(page, "policy")
    expect(page.locator(".facts div", has_text="Max concurrent runs")).to_contain_text("43")
    expect(page.get_by_role("region", name="Limits").locator("tbody td")).to_have_text(["session", "7", "enqueue"])
    expect(page.locator("pre.json")).to_have_count(0)


def test_a_profile_is_copied_from_another_one(page: Any, scene: Scene) -> None:
    profile = scene.api.post("/harness-profiles", {**PLAIN, "displayName": "Original"})["id"]
    go(page, f"profiles/{profile}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Original")
    link(page, "Copy").click()
    expect(field(page, "displayName")).to_have_value("Original")
    field(page, "displayName").fill("Copied")
    field(page, "policies.budgetUsd").fill("0.25")
    button(page, "Create").click()
    expect(page.get_by_role("heading", level=1)).not_to_contain_text(profile[-6:])
    newest = scene.api.items("/harness-profiles")[0]
    assert (newest["displayName"], newest["policies"]["budgetUsd"], newest["config"]) == (
        "Copied",
        0.25,
        PLAIN["config"],
    )


def test_a_token_is_shown_once(browser: Any, tmp_path: Path) -> None:
    with (
        set_up(tmp_path, identity="ada", **ROLES) as scene,
        live(browser, scene.server.url, extra_http_headers=named("ada")) as page,
    ):
        go(page, "tokens")
        link(page, "New token").click()
        field(page, "identity").fill("vera")
        field(page, "role").select_option("Viewer")
        button(page, "Create").click()
        panel = page.locator(".panel", has=page.get_by_role("heading", name="Token created"))
        expect(panel).to_contain_text("shown only once")
        token = panel.locator("code").inner_text()
        assert token.startswith("ath_")
        link(panel, "All tokens").click()
        row = page.locator("tr[data-id]")
        expect(row).to_contain_text("vera")
        assert token not in page.content()
        page.go_back()
        expect(field(page, "identity")).to_be_visible()
        assert token not in page.content(), "the form is empty again"
        go(page, "tokens")
        button(row, "Revoke …").click()
        button(page.get_by_role("dialog"), "Revoke token").click()
        expect(row.locator(".status")).to_have_text("revoked")


# Workflows


def test_a_workflow_is_run_with_its_inputs_and_drawn_with_its_edges(page: Any, scene: Scene) -> None:
    workflow = greeting(scene)
    go(page, f"workflows/{workflow}")
    expect(page.locator(".node")).to_have_count(2)
    expect(page.locator(".graph path")).to_have_count(1)
    link(page, "Run now").click()
    expect(field(page, "input.name")).to_be_visible()
    expect(field(page, "input.greeting")).to_have_count(0)
    field(page, "input.name").fill("Ada")
    scene.model.script = ('{"text": "Good morning."}',)
    button(page, "Start").click()
    expect(page.locator(".node.ok")).to_have_count(2)
    scene.model.script = SCRIPT
    expect(page.locator(".gantt li")).to_have_count(2)
    bars = [bar.bounding_box() for bar in page.locator(".gantt i").all()]
    assert bars[0]["x"] < bars[1]["x"], "a step begins after the one that it needs"


# All pages


def test_all_pages_are_in_the_navigation_and_open_by_keyboard(page: Any) -> None:
    pages = page.eval_on_selector_all("nav a", "links => links.map(link => link.getAttribute('href'))")
    assert len(pages) == len(set(pages)) == 23
    for group in ("Work", "Agents", "Control"):
        menu(page, group).focus()
        page.keyboard.press("Enter")
        expect(page.locator("[popover]:popover-open")).to_have_count(1)
        page.keyboard.press("Escape")
        expect(page.locator("[popover]:popover-open")).to_have_count(0)
        expect(menu(page, group)).to_be_focused()
    page.set_viewport_size(PHONE)
    menu(page, "Control").click()
    shown = page.locator("[popover]:popover-open").bounding_box()
    assert shown["x"] >= 0
    assert shown["x"] + shown["width"] <= PHONE["width"]
    link(page, "System").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("System")
    expect(menu(page, "Control")).to_have_attribute("aria-current", "true")
