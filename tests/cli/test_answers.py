"""Answers to asks from the command line: in the dialog on a terminal, by the options of a script, and who was first."""

import json
import signal
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cli.terminal import Screen, Terminal, attentive
from tests.support.api import Api, soon
from tests.support.model import Step, call, turn_of
from tests.support.stub import Asked, Behaviour, standing

HOSTILE = "ok\x1b[2J\u202etxt.exe"
FORM = {
    "type": "object",
    "properties": {
        "day": {"type": "string", "format": "date", "title": "Day\x1b[1m"},
        "place": {"type": "string", "enum": ["Graz", "Linz"]},
        "guests": {"type": "integer", "minimum": 1, "maximum": 500, "default": 80},
        "music": {"type": "boolean"},
    },
    "required": ["day", "place"],
}
SCRIPTS: Mapping[str, Sequence[Step]] = {
    "touch": (call("shell", command=["touch", "made", "ok\x1b[2J\u202etxt.exe"]), "done"),
    "write": (call("files", action="write", path="page.md", content="# Page\nold\n"), "written"),
    "form": (call("ask_user", question="When and\nwhere?", form=FORM), "thanks"),
    "choose": (call("ask_user", question="Which one?", options=["pears", "apples"]), "thanks"),
    "same": (call("shell", command=["touch", "same"]), "again"),
}
"""Turns of the model, by the first word of the run's input."""

PROFILE = {
    "displayName": "Release bot",
    "version": "v1",
    "config": {"provider": "openai", "model": "gpt-4o-mini", "tools": ["shell", "files", "ask_user"]},
    "policies": {"timeoutMs": 60_000, "retryLimit": 1, "budgetUsd": 0},
    "toolPolicies": {
        "shell": {"commands": [["touch"]], "approval": "ask"},
        "files": {"write": True, "approval": "ask"},
    },
}
ALLOW = "Allow it? [y]es, [n]o, [e]dit, [a]lways: "


def choose(asked: Asked) -> Behaviour:
    """Return the next turn of the script that the last input of a user names."""
    messages = asked.body["messages"]
    last = max(at for at, message in enumerate(messages) if message["role"] == "user")
    done = sum(1 for message in messages[last:] if message["role"] == "assistant" and message.get("tool_calls"))
    script = SCRIPTS[str(messages[last]["content"]).split()[0]]
    return turn_of(script[min(done, len(script) - 1)], done + 1)


class Desk:
    """A server with an agent that asks, and a terminal in front of it."""

    def __init__(self, terminal: Terminal, api: Api, workspace: Path) -> None:
        self.terminal = terminal
        self.api = api
        self.workspace = workspace
        self.profile: str = api.post("/harness-profiles", PROFILE)["id"]

    def ask(self, said: str, **fields: Any) -> dict[str, Any]:
        """Start a run. Return its open ask."""
        run = self.api.start(said, harnessProfileId=self.profile, **fields)["runId"]
        for _ in soon():
            found = self.api.items("/asks", runId=run)
            if found:
                break
        return dict(found[0])

    def ended(self, ask: Mapping[str, Any]) -> dict[str, Any]:
        """Wait for the end of an ask's run. Return its record."""
        found = self.api.get(f"/runs/{ask['runId']}", wait=60)
        assert found["status"] == "completed", found
        return dict(found)

    def answer(self, ask: Mapping[str, Any], *options: str) -> Screen:
        """Begin to answer an ask on a terminal, by the end of its id."""
        return self.terminal.screen("answer", str(ask["id"])[-8:], *options)

    def result(self, ask: Mapping[str, Any]) -> str:
        """Return the result of the tool call of an ask's run."""
        session = self.api.get(f"/runs/{ask['runId']}")["sessionId"]
        entries = self.api.get(f"/sessions/{session}/transcript", limit=50)["items"]
        return next(str(entry["content"]) for entry in entries if entry["role"] == "tool")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    directory = tmp_path_factory.mktemp("desk")
    workspace = directory / "workspace"
    workspace.mkdir()
    with attentive(), standing(choose) as stub:
        terminal = Terminal(directory)
        terminal.settings |= {"openai_base_url": stub.url, "openai_api_key": "k", "workspace_root": str(workspace)}
        terminal.variables |= {"EDITOR": "", "VISUAL": ""}
        with terminal.served() as server:
            yield Desk(terminal, server.api, workspace)
        terminal.close()


def test_yes_lets_exactly_the_shown_command_run(desk: Desk) -> None:
    ask = desk.ask("touch")
    screen = desk.answer(ask)
    shown = screen.read_until(ALLOW)
    assert ask["id"] in shown
    assert "asked by Release bot, run run_" in shown
    assert "Run a command (3 words):\n  │ touch made 'ok[U+001B][2J[U+202E]txt.exe'\n" in shown
    assert "\x1b[2J" not in screen.text
    assert not (desk.workspace / "made").exists()
    screen.type("y\n")
    assert screen.end() == 0, screen.text
    assert "Approved. Follow it with: athena logs -f run_" in screen.plain
    desk.ended(ask)
    assert (desk.workspace / "made").exists()


def test_no_takes_a_reason_that_the_agent_reads(desk: Desk) -> None:
    ask = desk.ask("write")
    screen = desk.answer(ask)
    shown = screen.read_until(ALLOW)
    assert "Write a file:\n  │ page.md\nThe new content (11 characters):\n  │ # Page\n  │ old\n" in shown
    screen.type("what?\n")
    screen.read_until(ALLOW + "what?\n" + ALLOW)
    screen.type("n\n")
    screen.read_until("Reason (Enter for none): ")
    screen.type("the page is final\n")
    assert screen.end() == 0, screen.text
    desk.ended(ask)
    assert "the page is final" in desk.result(ask)
    assert not (desk.workspace / "page.md").exists()


@pytest.mark.parametrize("key", ["\n", "q\n", "\x04"])
def test_without_a_word_nothing_is_decided(desk: Desk, key: str) -> None:
    ask = desk.ask("write")
    screen = desk.answer(ask)
    screen.read_until(ALLOW)
    screen.type(key)
    assert screen.end() == 0, screen.text
    assert "Nothing was decided." in screen.plain
    assert desk.api.get(f"/asks/{ask['id']}")["status"] == "open"
    assert desk.terminal.run("answer", ask["id"], "no").code == 0
    desk.ended(ask)


def test_an_edited_call_is_shown_and_runs_instead(desk: Desk) -> None:
    ask = desk.ask("write")
    screen = desk.answer(ask)
    screen.read_until(ALLOW)
    screen.type("e\n")
    screen.read_until("The arguments as JSON, in one line: ")
    screen.type("no json\n")
    screen.read_until("This is not a JSON object.\nThe arguments as JSON, in one line: ")
    screen.type('{"action": "write", "path": "page.md", "content": "new"}\n')
    shown = screen.read_until("Allow the changed call? [y]es, [n]o, [e]dit: ")
    assert "  │ new\n" in shown
    screen.type("y\n")
    assert screen.end() == 0, screen.text
    desk.ended(ask)
    assert (desk.workspace / "page.md").read_text() == "new"
    (desk.workspace / "page.md").unlink()


def test_an_editor_gets_a_file_that_only_its_owner_can_read(desk: Desk, tmp_path: Path) -> None:
    ask = desk.ask("write")
    editor = tmp_path / "editor"
    editor.write_text(f'#!/bin/sh\ncd {tmp_path}; stat -c %a "$2" > mode; echo "$2" > name; sed -i s/old/ours/ "$2"\n')
    editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
    desk.terminal.variables["EDITOR"] = f"{editor} --wait"
    screen = desk.answer(ask)
    screen.read_until(ALLOW)
    screen.type("e\n")
    assert "  │ ours\n" in screen.read_until("Allow the changed call? ")
    screen.type("y\n")
    assert screen.end() == 0, screen.text
    desk.terminal.variables["EDITOR"] = ""
    desk.ended(ask)
    assert (desk.workspace / "page.md").read_text() == "# Page\nours\n"
    assert (tmp_path / "mode").read_text() == "600\n"
    assert not Path((tmp_path / "name").read_text().strip()).exists()
    (desk.workspace / "page.md").unlink()


def test_always_remembers_the_exact_call_until_the_rule_is_revoked(desk: Desk) -> None:
    ask = desk.ask("same")
    screen = desk.answer(ask)
    screen.read_until(ALLOW)
    screen.type("always\n")
    screen.read_until("For this [r]un, its [s]ession, or every run of its agent [p]rofile? ")
    screen.type("p\n")
    screen.read_until("(such as 8h or 30d; Enter for 30d) ")
    screen.type("soon\n")
    screen.read_until("'soon' is not a span such as 30m, 8h or 2d\nFor how long? ")
    screen.type("8h\n")
    assert screen.end() == 0, screen.text
    desk.ended(ask)
    again = desk.api.run("same", harnessProfileId=desk.profile)
    assert again["output"] == "again", "it was not asked again"
    (rule,) = desk.terminal.run("permission-rules", "list", "--status", "in-force").data["items"]
    assert (rule["scope"], rule["askId"], rule["uses"]) == ("profile", ask["id"], 1)
    shown = desk.terminal.seen("permission-rules", "get", rule["id"][-8:])
    assert "  │ touch same" in shown
    assert "touch same" in desk.terminal.seen("permission-rules", "list")
    assert desk.terminal.run("permission-rules", "revoke", rule["id"][-8:]).data["status"] == "revoked"
    other = desk.ask("same")
    assert desk.terminal.run("answer", other["id"], "allow").code == 0
    desk.ended(other)


def test_the_fields_of_a_form_are_read_one_by_one_until_they_fit(desk: Desk) -> None:
    ask = desk.ask("form")
    screen = desk.answer(ask)
    assert "  │ When and\n  │ where?\n" in screen.read_until("Answer it? [y]es, [n]o: ")
    screen.type("y\n")
    screen.read_until("1 of 4: Day[U+001B][1m (text, required)\n> ")
    screen.type("\n")
    screen.read_until("A value is required.\n> ")
    screen.type("tomorrow\n")
    screen.read_until("it is not a date such as 2026-10-03\n> ")
    screen.type("2026-10-03\n")
    screen.read_until("2 of 4: place (text, required)\n  1  Graz\n  2  Linz\n> ")
    screen.type("2\n")
    screen.read_until("3 of 4: guests (whole number, Enter for 80)\n> ")
    screen.type("501\n")
    screen.read_until("it is greater than the maximum of 500\n> ")
    screen.type("\n")
    screen.read_until("4 of 4: music (yes or no, Enter for none)\n> ")
    screen.type("y\n")
    assert screen.end() == 0, screen.text
    assert "\x1b[1m" not in screen.text
    desk.ended(ask)
    assert json.loads(desk.result(ask)) == {"day": "2026-10-03", "place": "Linz", "guests": 80, "music": True}


def test_a_choice_is_made_by_number(desk: Desk) -> None:
    ask = desk.ask("choose")
    screen = desk.answer(ask)
    assert "  │ 1  pears\n  │ 2  apples\n" in screen.read_until("Which one? 1 to 2, or [n]one of them: ")
    screen.type("2\n")
    assert screen.end() == 0, screen.text
    desk.ended(ask)
    assert "apples" in desk.result(ask)


def test_a_script_answers_by_options_and_hears_who_was_first(desk: Desk) -> None:
    form = desk.ask("form")
    missing = desk.terminal.run("answer", form["id"])
    assert (missing.code, "needs an option without a terminal" in missing.err) == (2, True), missing.err
    wrong = desk.terminal.run("answer", form["id"], "7")
    assert (wrong.code, f"{form['id']} has no option '7': give answer or decline" in wrong.err) == (2, True), wrong.err
    refused = desk.terminal.run("answer", form["id"], "--values", '{"day": "2026-10-03", "place": "Rome"}')
    assert refused.code == 2, refused.err
    values = desk.terminal.directory / "values.json"
    values.write_text('{"day": "2026-10-03", "place": "Graz"}')
    done = desk.terminal.run("asks", "answer", form["id"], "--values", f"@{values}")
    assert done.data["status"] == "answered"
    desk.ended(form)

    touch = desk.ask("touch")
    stale = desk.terminal.run("answer", touch["id"], "allow", "--subject-hash", "0" * 64)
    assert (stale.code, "ASK_CHANGED" in stale.err) == (1, True), stale.err
    edit = '{"command": ["touch", "edited"]}'
    edited = desk.terminal.run("answer", touch["id"], "--edit", edit, "--note", "rather this")
    assert edited.data["status"] == "approved"
    second = desk.terminal.run("answer", touch["id"], "deny")
    assert (second.code, "ASK_DECIDED" in second.err) == (1, True), second.err
    assert "local" in second.err.splitlines()[0], "it says who was first"
    desk.ended(touch)
    assert (desk.workspace / "edited").exists()


def test_the_inbox_is_a_table_and_the_command_of_a_run_says_what_it_waits_for(desk: Desk) -> None:
    screen = desk.terminal.screen("run", "touch", "--profile", desk.profile)
    shown = screen.read_until(ALLOW)
    (ask,) = desk.api.items("/asks")
    assert f"{ask['id']} (tool-permission)\n" in shown
    inbox = desk.terminal.seen("asks")
    assert desk.terminal.seen("asks", "-q") == desk.terminal.seen("asks", "list", "-q")
    assert "tool-permission" in inbox
    assert "shell touch made 'ok[U+001B][2J[U+202E]txt.exe'" in inbox
    assert "Release bot" in inbox
    assert desk.terminal.run("asks", "get", ask["id"][-8:]).data["id"] == ask["id"]
    assert f"athena answer {ask['id']}" in desk.terminal.seen("asks", "get", ask["id"])
    assert f"athena answer {ask['id']}" in desk.terminal.seen("logs", ask["runId"])
    desk.terminal.run("answer", ask["id"], "yes")
    assert screen.end() == 0, screen.text
    assert "done" in screen.plain
    told = desk.terminal.seen("logs", ask["runId"])
    assert (
        "asks: shell touch made 'ok[U+001B][2J[U+202E]txt.exe'\r\nanswer: allow (local)\r\n> shell touch made" in told
    )
    assert "answer     allow (local)" in desk.terminal.seen("sessions", "transcript", ask["sessionId"])


def test_who_started_a_run_on_a_terminal_answers_there(desk: Desk) -> None:
    held = desk.api.post("/harness-profiles", PROFILE | {"asks": {"holdMs": 0}})["id"]
    screen = desk.terminal.screen("run", "touch", "--profile", held)
    screen.read_until(ALLOW)
    (ask,) = desk.api.items("/asks", status="open")
    for _ in soon():
        if desk.api.get(f"/runs/{ask['runId']}")["status"] == "paused":
            break
    screen.type("y\n")
    assert screen.end() == 0, screen.text
    assert "done\n[completed" in screen.plain
    left = desk.terminal.screen("run", "touch", "--profile", held)
    left.read_until(ALLOW)
    left.type("\n")
    assert left.end() == 0, left.text
    (ask,) = desk.api.items("/asks", status="open")
    assert f"Nothing was decided. Answer it later with: athena answer {ask['id']}\n" in left.plain
    desk.terminal.run("answer", ask["id"], "no")


def test_ctrl_c_in_a_question_cancels_the_run_and_leaves_the_terminal_in_order(desk: Desk) -> None:
    screen = desk.terminal.screen("run", "touch", "--profile", desk.profile)
    screen.read_until(ALLOW)
    assert screen.end(signal.SIGINT) == 130, screen.text
    assert screen.echoes()
    assert "[cancelled" in screen.plain
