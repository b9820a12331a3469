"""Output on a screen: tables, bars, and no control sequence from recorded text."""

import json
import re

from tests.cli.terminal import Terminal

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def test_recorded_text_cannot_command_the_terminal(terminal: Terminal) -> None:
    shown = terminal.seen("run", "--session", "s", "--input", "\x1b[31mred \x9b31m \u202e")
    for ours in ("\x1b[0m", "\x1b[1m", "\x1b[2m"):
        shown = shown.replace(ours, "")
    assert not {"\x1b", "\x9b", "\u202e"} & set(shown)
    assert "red" in shown


def test_long_work_shows_how_far_it_is(terminal: Terminal) -> None:
    terminal.run("run", "--session", "s", "--input", "x")
    for command in ("verify", "replay"):
        shown = ESCAPES.sub("", terminal.seen(command))
        assert re.search(rf"{command} .*\d+/\d+.* events/s", shown)
        assert re.search(r"^head +\d+\r$", shown, re.MULTILINE)


def test_a_proof_shows_its_rate_and_the_time_that_is_left_and_is_json_where_that_is_wanted(terminal: Terminal) -> None:
    terminal.run("run", "--session", "s", "--input", "x")
    shown = ESCAPES.sub("", terminal.seen("verify", "--json"))
    bar, _, answer = shown.rpartition("\r\n{")
    assert re.search(r"verify .*\d+/\d+ +[\d,]+ events/s \d:\d\d:\d\d", bar)
    assert json.loads("{" + answer)["ok"] is True


def test_a_part_of_an_id_is_accepted_without_a_server(history: Terminal) -> None:
    listed = history.run("runs", "list", "-q", "--transport", "local").out.splitlines()
    assert len(listed) == 3
    shown = history.run("runs", "get", listed[0][-8:], "--transport", "local")
    assert shown.data["runId"] == listed[0]
