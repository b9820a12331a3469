"""``athena events tail``: every event once, over kills and restarts, and from where it ended."""

import json
import signal
from typing import Any

import pytest

from tests.cli.terminal import Running, Terminal

TRANSPORTS = ("api", "local")


def listed(terminal: Terminal, *arguments: str) -> list[dict[str, Any]]:
    return list(terminal.run("events", "list", "--all", *arguments).data["events"])


def run(terminal: Terminal, session: str) -> str:
    return str(terminal.run("run", "--session", session, "--input", "x").data["runId"])


def follow(tail: Running, run_id: str) -> None:
    tail.read_until(lambda event: event["type"] == "run.completed" and event["runId"] == run_id)


@pytest.mark.heavy
def test_nothing_is_lost_or_repeated_when_the_server_is_killed(terminal: Terminal) -> None:
    with terminal.server() as server:
        port = int(terminal.settings["api_base_url"].rpartition(":")[2])
        tail = terminal.start("events", "tail", "--transport", "api")
        follow(tail, run(terminal, "a"))
        server.end(signal.SIGKILL)
    assert tail.complaint("Reconnecting: ")
    between = terminal.run("run", "--session", "b", "--input", "x", "--transport", "local").data["runId"]
    with terminal.server(port) as server:
        follow(tail, between)
        follow(tail, run(terminal, "c"))
        server.end(signal.SIGTERM)
    assert tail.complaint("Reconnecting: ")
    with terminal.server(port):
        follow(tail, run(terminal, "d"))
        result = tail.end(signal.SIGINT)
        events = listed(terminal)
    assert result.code == 130
    assert [json.loads(line) for line in tail.lines] == events
    assert result.err.splitlines() == [f"Cursor: {events[-1]['id']}"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_last_cursor_goes_on_where_it_ended(terminal: Terminal, transport: str) -> None:
    with terminal.served():
        first = terminal.start("events", "tail", "--transport", transport)
        follow(first, run(terminal, "a"))
        cursor = first.end(signal.SIGINT).err.removeprefix("Cursor: ").strip()
        second = terminal.start("events", "tail", "--transport", transport, "--cursor", cursor)
        follow(second, run(terminal, "b"))
        second.end(signal.SIGINT)
        assert [json.loads(line) for line in [*first.lines, *second.lines]] == listed(terminal)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_filter_is_kept(terminal: Terminal, transport: str) -> None:
    filters = ("--session", "b", "--types", "run.created,run.completed")
    with terminal.served():
        tail = terminal.start("events", "tail", "--transport", transport, *filters)
        run(terminal, "a")
        follow(tail, run(terminal, "b"))
        tail.end(signal.SIGINT)
        assert [json.loads(line) for line in tail.lines] == listed(terminal, *filters)
        assert len(tail.lines) == 2


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_cursor_that_is_none_is_refused(terminal: Terminal, transport: str) -> None:
    with terminal.served():
        result = terminal.run("events", "tail", "--cursor", "nonsense", "--transport", transport)
    assert (result.code, result.out) == (2, "")
    assert "\n  CURSOR_INVALID · GET /api/v1/events/stream · trace id " in result.err


def test_a_log_that_was_replaced_ends_the_tail(terminal: Terminal) -> None:
    with terminal.server() as server:
        port = int(terminal.settings["api_base_url"].rpartition(":")[2])
        tail = terminal.start("events", "tail", "--transport", "api")
        tail.line()
        server.end(signal.SIGKILL)
    with terminal.server(port, state_dir=str(terminal.directory / "another")):
        result = tail.end()
    assert result.code == 1
    assert "CURSOR_FOREIGN" in result.err
