"""The activity of an outside agent on a terminal: its plan as lines, and one line about the moment."""

from collections.abc import Iterator
from typing import Any

import pytest

from athena_cli import render
from athena_cli.commands.agent_activity import LINES_MAX, ActivityPrinter

HOSTILE = "a\x1b[2J\u202eb\n\rc"
CLEAR = "\r\x1b[K"


class Shown:
    """A printer, and what it printed."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.printer = ActivityPrinter(self.lines.append)

    def show(self, *, in_text: bool = False, **activity: Any) -> list[str]:
        """Show an activity. Return the new lines."""
        before = len(self.lines)
        self.printer.show(activity, in_text=in_text)
        return self.lines[before:]


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A terminal, with the writes to its last line."""
    written: list[str] = []
    monkeypatch.setattr(render, "errors_on_terminal", lambda: True)
    monkeypatch.setattr(render, "write_errors", written.append)
    monkeypatch.setattr(render, "width", lambda: 20)
    yield written


def plan(*steps: tuple[str, str]) -> list[dict[str, str]]:
    return [{"text": text, "status": status} for text, status in steps]


def test_a_plan_is_printed_once_and_then_what_changes_in_it() -> None:
    shown = Shown()
    first = plan(("read", "completed"), ("mend", "in_progress"), ("test", "pending"))
    assert shown.show(plan=first) == ["plan: [x] read", "      [>] mend", "      [ ] test"]
    assert shown.show(plan=first, thoughts="hm") == []
    assert shown.show() == [], "an activity without a plan takes nothing back"
    then = plan(("read", "completed"), ("mend", "completed"), ("test", "odd"))
    assert shown.show(plan=then) == ["plan: [x] mend", "plan: [ ] test"]
    assert shown.show(plan=plan(("start again", "pending"))) == ["plan: [ ] start again"]
    assert shown.show(plan=plan((HOSTILE, "pending"))) == ["plan: [ ] a[U+001B][2J[U+202E]b[U+000A][U+000D]c"]


def test_an_agent_that_changes_its_plan_all_the_time_prints_a_limited_number_of_lines() -> None:
    shown = Shown()
    for number in range(LINES_MAX * 2):
        shown.show(plan=plan((f"step {number}", "pending")))
    assert len(shown.lines) == LINES_MAX


def test_one_line_shows_the_moment_and_is_replaced(line: list[str]) -> None:
    shown = Shown()
    shown.show(thoughts="one\nI should look at the tests first")
    shown.show(calls=[{"kind": "execute", "title": "pytest", "status": "in_progress", "output": "a\n1 failed\n"}])
    shown.show(calls=[{"kind": "execute", "title": "rm", "status": "pending"}])
    shown.show(in_text=True, thoughts="while words are written")
    shown.printer.clear()
    assert line == ["\x1b[2m… I should look at \x1b[0m", CLEAR, "\x1b[2m… execute pytest: 1\x1b[0m", CLEAR]
    line.clear()
    shown.show(thoughts=HOSTILE + 1_000 * "word ", plan=plan(("x", "pending")))
    assert line[-1].startswith("\x1b[2m… ") and "\x1b[2J" not in line[-1]
    assert len(line[-1]) <= 19 + 8


def test_without_a_terminal_only_the_plan_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(render, "errors_on_terminal", lambda: False)
    monkeypatch.setattr(render, "write_errors", written.append)
    assert Shown().show(thoughts="hm", plan=plan(("x", "pending"))) == ["plan: [ ] x"]
    assert written == []
