"""The changes of a run, and the workspaces, in a browser, against a real server with real runs."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.console.browser import AXE, IN_A_BROWSER, PHONE, SCHEMES, faults_of
from tests.console.elements import button, expect
from tests.console.places import seen_by
from tests.support.api import Api
from tests.support.model import turn_of
from tests.support.programs import made
from tests.support.server import Server
from tests.support.stub import Asked, Behaviour, standing
from tests.support.vouched import VOUCHED

pytestmark = IN_A_BROWSER

ROLES = {"auth_identity_role_map": "ada:Admin,otto:Operator,vera:Viewer"} | VOUCHED
REPORT = "".join(f"line {number}\n" for number in range(1, 41))
HOSTILE_NAME = "<b>\u202egpj.md"
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=1</script> \u202egpj.exe\x1b[2J \u200b &amp;'
EDITS = r"""
sed -i 's/^line 3$/line three/; $a the end' report.md
rm old.md
printf '#!/bin/sh\necho one\n' > run.sh; chmod +x run.sh
printf 'GIF89a\000\001' > logo.gif
mkdir sub; printf '%s\n' "$1" > "sub/$0"
"""
LINES = 30_000
LONG = f"seq -f 'number %.0f of many' {LINES} > long.txt; head -c 300000 /dev/zero | tr '\\0' x > wide.txt"
HUGE = "seq -f 'number %.0f of many lines' 50000 > zz.txt; for name in $(seq 70); do echo $name > n$name; done"
DOM_MAX = 6_000


def choose(asked: Asked) -> Behaviour:
    """Run the input of the run as a script of the shell; then answer."""
    messages = asked.body["messages"]
    if messages[-1]["role"] == "tool":
        return turn_of("It is done.", 2)
    command = ["/bin/sh", "-c", messages[-1]["content"], HOSTILE_NAME, HOSTILE]
    return turn_of((("shell", {"command": command}),), 1)


class Editors:
    """A server on a git repository, whose agents work in workspaces of their sessions."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.api: Api = server.client("ada")
        self.shared = server.workspace
        self.profiles = {mode: self.profile(mode) for mode in ("session", "shared")}

    def profile(self, mode: str) -> str:
        body = {
            "displayName": "Editor",
            "version": "v1",
            "workspace": mode,
            "config": {"provider": "openai", "model": "gpt-4o-mini", "tools": ["shell"]},
            "policies": {"timeoutMs": 600_000, "retryLimit": 1, "budgetUsd": 0},
            "toolPolicies": {"shell": {"commands": [["/bin/sh"]]}},
        }
        return str(self.api.post("/harness-profiles", body)["id"])

    def edit(self, session: str, script: str = EDITS, mode: str = "session") -> str:
        """Run a script in the workspace of a session."""
        return str(self.api.run(script, sessionId=session, harnessProfileId=self.profiles[mode])["runId"])

    def workspace_of(self, run_id: str) -> str:
        (opened,) = self.api.events(types="workspace.opened", runId=run_id)
        return str(opened["payload"]["workspaceId"])

    def clear(self) -> None:
        """Set the shared workspace back to its commit."""
        for command in (["reset", "--hard", "-q"], ["clean", "-fdq"]):
            git(self.shared, *command)


def git(directory: Path, *command: str) -> None:
    person = ("-c", "user.name=ada", "-c", "user.email=ada@example.org")
    subprocess.run(["git", *person, *command], cwd=directory, check=True)


@pytest.fixture(scope="module")
def editors(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editors]:
    directory = tmp_path_factory.mktemp("changes")
    shared = directory / "workspace"
    shared.mkdir()
    (shared / "report.md").write_text(REPORT)
    (shared / "old.md").write_text("old\n")
    git(shared, "init", "-q")
    git(shared, "add", ".")
    git(shared, "commit", "-qm", "begin")
    with (
        standing(choose) as stub,
        Server(directory, openai_base_url=stub.url + "/v1", openai_api_key="none", **ROLES) as server,
    ):
        yield Editors(server)


def changes(page: Any) -> Any:
    return page.locator(".panel", has=page.get_by_role("heading", name="Changes", exact=True))


def open_exact(page: Any) -> None:
    """Open the exact diff: the recorded one does not show the content of a binary file."""
    expect(changes(page)).to_contain_text("The diff does not show all that an apply writes.")
    button(changes(page), "Show the exact diff").click()
    expect(changes(page)).to_contain_text("This is the exact diff")


def file_of(page: Any, name: str) -> Any:
    """Return a file of the section, by its name as it is shown."""
    return changes(page).locator("details", has=page.get_by_text(name, exact=True))


def test_the_changes_of_a_run_are_shown_as_text(browser: Any, editors: Editors) -> None:
    run = editors.edit("shown")
    with seen_by(browser, editors) as page:
        page.goto(f"/#/runs/{run}")
        section = changes(page)
        expect(section).to_contain_text("5 files")
        expect(section).to_contain_text("session shown")
        expect(section).to_contain_text("clone of")
        report = file_of(page, "report.md")
        expect(report.locator("summary")).to_contain_text("+2 −1")
        expect(report.get_by_role("img", name="modified")).to_have_text("M")
        expect(report.locator("del")).to_have_text("-line 3\n")
        expect(report.locator("ins")).to_have_text(["+line three\n", "+the end\n"])
        assert [one.get_attribute("data-number") for one in report.locator("ins").all()] == ["3", "41"]
        expect(file_of(page, "old.md").get_by_role("img", name="deleted")).to_have_text("D")
        expect(file_of(page, "run.sh")).to_contain_text("(executable)")
        expect(file_of(page, "logo.gif").locator("summary")).to_contain_text("binary")
        hostile = file_of(page, "sub/<b>[U+202E]gpj.md")
        expect(hostile.locator("ins")).to_have_text(
            '+<img src=x onerror="document.title=1"><script>document.title=1</script> '
            "[U+202E]gpj.exe[U+001B][2J [U+200B] &amp;\n"
        )
        assert page.locator("main img, main script").count() == 0
        page.goto(f"/#/runs/{run}?tab=limits")
        expect(page.locator(".facts")).to_contain_text("Workspace")


def test_files_fold_by_keyboard_and_by_pointer(browser: Any, editors: Editors) -> None:
    run = editors.edit("folded")
    with seen_by(browser, editors) as page:
        page.goto(f"/#/runs/{run}")
        report = file_of(page, "report.md")
        expect(report.locator("ins")).to_have_count(2)
        report.locator("summary").focus()
        for key, shown in (("Enter", 0), ("Enter", 2), ("Space", 0), ("Space", 2)):
            page.keyboard.press(key)
            expect(report.locator("ins")).to_have_count(shown)
        report.locator("summary").click()
        expect(report).not_to_have_attribute("open", "")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(changes(page).locator("details[open]")).to_have_count(3)


def test_an_operator_applies_after_a_dry_run(browser: Any, editors: Editors) -> None:
    editors.clear()
    run = editors.edit("applied")
    (editors.shared / "report.md").write_text(REPORT.replace("line 20\n", "line twenty\n"))
    with seen_by(browser, editors) as page:
        page.goto(f"/#/runs/{run}")
        open_exact(page)
        button(changes(page), "Apply …").focus()
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("3 files written, 1 file merged with other changes, 1 file deleted")
        expect(dialog.get_by_role("list")).to_contain_text("<b>[U+202E]gpj.md")
        assert (editors.shared / "old.md").exists(), "a dry run writes nothing"
        page.keyboard.press("Escape")
        expect(button(changes(page), "Apply …")).to_be_focused()
        assert not (editors.shared / "run.sh").exists()
        button(changes(page), "Apply …").click()
        button(dialog, "Apply changes").click()
        expect(page.locator(".notices")).to_contain_text("Applied: 3 files written")
        expect(changes(page)).to_contain_text("by otto")
        merged = REPORT.replace("line 20\n", "line twenty\n").replace("line 3\n", "line three\n") + "the end\n"
        assert (editors.shared / "report.md").read_text() == merged
        assert not (editors.shared / "old.md").exists()
        assert (editors.shared / "sub" / HOSTILE_NAME).read_text() == HOSTILE + "\n"
        button(changes(page), "Apply again …").click()
        expect(dialog).to_contain_text("The shared workspace has all of these changes already.")
        expect(button(dialog, "Apply changes")).to_be_disabled()


TOKEN = f"ghp_{'a1' * 18}"
HIDING = f"printf 'key = \"ghp%s\"\\nsafe \\342\\200\\256 text\\n' {TOKEN[3:]} > key.py; printf '\\0\\1\\2' > logo.gif"


def opened_runs(editors: Editors) -> list[str]:
    """Return the runs whose exact diff was opened."""
    return [str(event["payload"]["runId"]) for event in editors.api.events(types="workspace.exact-opened")]


def test_what_a_diff_hides_is_opened_and_then_applied(browser: Any, editors: Editors) -> None:
    editors.clear()
    run = editors.edit("hiding", HIDING)
    with seen_by(browser, editors) as page:
        page.goto(f"/#/runs/{run}")
        section, ins = changes(page), file_of(page, "key.py").locator("ins")
        mark = ins.first.locator("mark")
        expect(mark).to_have_text(re.compile(r"^\[hidden: 40 characters, sha256 [0-9a-f]{12}\]$"))
        expect(ins.nth(1)).to_have_text("+safe [U+202E] text\n")
        expect(section).to_contain_text("1 part is hidden (40 characters).")
        expect(button(section, "Apply …")).to_be_disabled()
        assert run not in opened_runs(editors)
        button(section, "Show the exact diff").focus()
        page.keyboard.press("Enter")
        expect(ins.first).to_have_text(f'+key = "{TOKEN}"\n')
        expect(section).to_contain_text("This is the exact diff: no part is hidden.")
        expect(file_of(page, "logo.gif").locator("pre")).to_contain_text("literal 3")
        expect(button(section, "Show the exact diff")).to_have_count(0)
        button(section, "Apply …").click()
        button(page.get_by_role("dialog"), "Apply changes").click()
        expect(page.locator(".notices")).to_contain_text("Applied: 2 files written")
        expect(section).to_contain_text("by otto")
        assert TOKEN in (editors.shared / "key.py").read_text()
        assert run in opened_runs(editors)


def test_an_apply_of_what_was_not_opened_says_what_to_do(browser: Any, editors: Editors) -> None:
    editors.clear()
    run = editors.edit("hiding-again", HIDING)
    with seen_by(browser, editors) as page:
        diff = editors.api.get(f"/runs/{run}/diff")
        body = json.dumps({"ok": True, "data": {**diff, "exactNeeded": False}})
        page.route(f"**/runs/{run}/diff*", lambda route: route.fulfill(body=body, content_type="application/json"))
        page.goto(f"/#/runs/{run}")
        button(changes(page), "Apply …").click()
        button(page.get_by_role("dialog"), "Apply changes").click()
        expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text(
            "Show the exact text first, then decide."
        )
    assert not (editors.shared / "key.py").exists()


def test_a_conflict_is_said_and_nothing_is_written(browser: Any, editors: Editors) -> None:
    editors.clear()
    run = editors.edit("conflicting")
    (editors.shared / "report.md").write_text(REPORT.replace("line 3\n", "line 3 of another\n"))
    with seen_by(browser, editors) as page:
        page.goto(f"/#/runs/{run}")
        open_exact(page)
        button(changes(page), "Apply …").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("Nothing can be applied")
        expect(dialog).to_contain_text("report.md")
        expect(dialog.locator("[data-command]")).to_have_count(0)
        expect(button(dialog, "Apply changes")).to_be_disabled()
        button(dialog, "Close").click()
        expect(dialog).to_have_count(0)
    assert not (editors.shared / "run.sh").exists()
    assert (editors.shared / "old.md").exists()


def test_a_viewer_reads_the_changes_and_cannot_apply_or_clean(browser: Any, editors: Editors) -> None:
    run = editors.edit("viewed")
    with seen_by(browser, editors, "vera") as page:
        page.goto(f"/#/runs/{run}")
        expect(changes(page)).to_contain_text("report.md")
        expect(changes(page).get_by_role("button", name="Apply")).to_have_count(0)
        changes(page).locator(f'a[title="{editors.workspace_of(run)}"]').click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("active")
        expect(page.locator("h1").get_by_role("button")).to_have_count(0)


def test_a_run_in_the_shared_workspace_has_no_section(browser: Any, editors: Editors) -> None:
    editors.clear()
    run = editors.edit("together", "echo one > one.md", "shared")
    with seen_by(browser, editors) as page:
        page.goto(f"/#/runs/{run}?tab=limits")
        expect(page.locator(".facts dt", has_text="Workspace").locator("xpath=..")).to_contain_text("shared")
        page.goto(f"/#/runs/{run}")
        expect(page.get_by_role("tree")).to_be_visible()
        expect(changes(page)).to_have_count(0)


def test_a_run_without_changes_says_so(browser: Any, editors: Editors) -> None:
    run = editors.edit("idle", "true")
    with seen_by(browser, editors) as page:
        page.goto(f"/#/runs/{run}")
        expect(changes(page)).to_contain_text("No changes")
        expect(changes(page).get_by_role("button", name="Apply")).to_have_count(0)


def lines_of(page: Any) -> int:
    return int(page.evaluate("document.querySelectorAll('.diff pre > *').length"))


def test_long_files_are_folded_and_shown_in_windows(browser: Any, editors: Editors) -> None:
    run = editors.edit("long", LONG)
    with seen_by(browser, editors) as page:
        page.goto(f"/#/runs/{run}")
        long = file_of(page, "long.txt")
        expect(long.locator("summary")).to_contain_text(f"+{LINES:,} −0")
        expect(long.locator("ins")).to_have_count(0)
        long.locator("summary").click()
        expect(long).to_contain_text(f"1 to 500 of {LINES + 1:,} lines")
        expect(long.locator("ins").first).to_have_text("+number 1 of many\n")
        button(long, "Next").click()
        expect(long.locator("ins").first).to_have_text("+number 500 of many\n")
        button(long, "Next").focus()
        page.keyboard.press("Enter")
        expect(long.locator("ins").first).to_have_text("+number 1000 of many\n")
        button(long, "Previous").click()
        expect(long.locator("ins").first).to_have_text("+number 500 of many\n")
        assert lines_of(page) <= DOM_MAX
        wide = file_of(page, "wide.txt")
        if wide.get_attribute("open") is None:
            wide.locator("summary").click()
        expect(wide.locator("ins")).to_contain_text("… 298,000 more characters")


def test_a_truncated_diff_is_said_and_its_files_are_listed(browser: Any, editors: Editors) -> None:
    run = editors.edit("huge", HUGE)
    with seen_by(browser, editors) as page:
        page.goto(f"/#/runs/{run}")
        expect(changes(page)).to_contain_text("71 files")
        expect(changes(page)).to_contain_text("Truncated")
        expect(changes(page)).to_contain_text("The first 70 of 71 files are listed.")
        expect(changes(page).locator("details")).to_have_count(50)
        button(changes(page).locator(".window").first, "Next").click()
        expect(changes(page).locator("details")).to_have_count(20)
        last = changes(page).locator("details").last
        last.locator("summary").click()
        expect(last.locator("ins")).to_have_text("+9\n")
        assert lines_of(page) <= DOM_MAX


def test_workspaces_are_listed_kept_and_cleaned(browser: Any, editors: Editors) -> None:
    run = editors.edit("listed")
    other = editors.workspace_of(editors.edit("listed-too"))
    workspace = editors.workspace_of(run)
    with seen_by(browser, editors) as page:
        page.keyboard.press("g")
        page.keyboard.press("o")
        row = page.locator(f'tr[data-id="{workspace}"]')
        expect(row).to_contain_text("listed")
        button(row, "Keep …").click()
        dialog = page.get_by_role("dialog")
        button(dialog, "Keep workspace").click()
        expect(row).to_contain_text("kept")
        row.get_by_title(workspace).click()
        heading = page.get_by_role("heading", level=1)
        button(heading, "Release …").click()
        button(dialog, "Release workspace").click()
        expect(page.locator(".facts").first).not_to_contain_text("kept")
        button(heading, "Clean …").click()
        expect(dialog).to_contain_text("listed")
        button(dialog, "Clean workspace").click()
        expect(heading).to_contain_text("cleaned")
        expect(heading.get_by_role("button")).to_have_count(0)
        page.goto("/#/workspaces?status=active")
        expect(page.locator(f'tr[data-id="{other}"]')).to_be_visible()
        expect(row).to_have_count(0)
        page.goto(f"/#/runs/{run}")
        expect(changes(page)).to_contain_text("cleaned")
        expect(file_of(page, "report.md").locator("ins")).to_have_count(2)
        button(changes(page), "Show the exact diff").click()
        expect(dialog.get_by_role("alert")).to_contain_text("is cleaned")
        expect(button(dialog, "Apply changes")).to_be_disabled()
    assert editors.api.get(f"/workspaces/{workspace}")["status"] == "cleaned"


@made(AXE, "axe-core", "console")
def test_changes_and_workspaces_are_accessible_and_fit_a_phone(browser: Any, editors: Editors) -> None:
    script = AXE.read_text("utf-8")
    editors.clear()
    run = editors.edit("seen", EDITS + LONG)
    workspace = editors.workspace_of(run)
    for scheme in SCHEMES:
        with seen_by(browser, editors, color_scheme=scheme, reduced_motion="reduce") as page:
            page.evaluate(script)
            for size in (None, PHONE):
                if size:
                    page.set_viewport_size(size)
                for place in (f"runs/{run}", "workspaces", f"workspaces/{workspace}"):
                    page.goto("/#/" + place)
                    expect(page.get_by_role("heading", level=1)).to_be_visible()
                    expect(page.get_by_text("Loading …")).to_have_count(0)
                    if place == f"runs/{run}":
                        file_of(page, "long.txt").locator("summary").click()
                        check(page, f"{place}, {scheme}")
                        open_exact(page)
                        button(changes(page), "Apply …").click()
                        expect(page.get_by_role("dialog")).to_be_visible()
                    check(page, f"{place}, {scheme}")
                    page.keyboard.press("Escape")


def check(page: Any, what: str) -> None:
    """Fail if the page is not accessible, or wider than the screen."""
    assert not (faults := faults_of(page)), f"{what}:\n" + "\n".join(faults[:10])
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{what} is {wide} pixels too wide"
