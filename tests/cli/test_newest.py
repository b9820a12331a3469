"""The newest first: lists of commands, the word ``latest``, and groups of commands that list their records."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from athena_cli import app
from athena_cli.output.column import clock
from athena_cli.output.values import now
from tests.support.server import Server

RUNS = 8
PAGE = 50


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with runs of two sessions, and two rejections."""
    asleep = {"local_provider_cmd": "/bin/sleep", "local_provider_args": "1000"}
    with Server(tmp_path_factory.mktemp("newest"), **asleep) as server:
        for number in range(RUNS):
            server.api.run(f"run {number}", sessionId="early" if number < 2 else "late")
        server.api.put("/policy", {"schemaVersion": 1, "maxConcurrentRuns": 1})
        server.api.start("x", provider="local-exec")
        for session in ("one", "two"):
            refused = server.api.http.post("/runs", json={"input": "x", "sessionId": session})
            assert refused.status_code == 429, refused.text
        yield server


@pytest.fixture
def ask(server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator["Ask"]:
    monkeypatch.setenv("ATHENA_API_BASE_URL", server.url)
    yield Ask(capsys)


class Ask:
    """Runs a command and returns what it prints."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def text(self, *words: str) -> str:
        """Return the text of a command."""
        code = app.main(words)
        out, err = self._capsys.readouterr()
        assert code == 0, err
        return out

    def data(self, *words: str) -> Any:
        """Return the JSON of a command."""
        return json.loads(self.text(*words))


def feed(server: Server, **query: str) -> list[Any]:
    """Return all events, oldest first."""
    return list(server.api.get("/events", limit="500", **query)["events"])


def test_events_are_listed_from_the_newest_one_back(server: Server, ask: Ask) -> None:
    events = feed(server)
    assert len(events) > PAGE
    assert ask.data("events", "list")["events"] == events[: -PAGE - 1 : -1]
    assert ask.data("events", "list", "--limit", "7")["events"] == events[:-8:-1]


@pytest.mark.parametrize("limit", ["1", "3", "500"])
def test_filtered_events_are_looked_for_as_far_back_as_they_are(server: Server, ask: Ask, limit: str) -> None:
    wanted = feed(server, sessionId="early")
    found = ask.data("events", "list", "--session", "early", "--limit", limit)["events"]
    assert found == wanted[::-1][: int(limit)]


def test_events_from_a_place_on_stand_in_the_order_of_the_log(server: Server, ask: Ask) -> None:
    events = feed(server)
    assert ask.data("events", "list", "--all")["events"] == events
    assert ask.data("events", "list", "--cursor", events[4]["id"], "--limit", "3")["events"] == events[5:8]


def test_rejections_are_listed_newest_first(ask: Ask) -> None:
    assert [one["sessionId"] for one in ask.data("rejections", "list")["items"]] == ["two", "one"]
    assert [one["sessionId"] for one in ask.data("rejections", "list", "--order", "oldest")["items"]] == ["one", "two"]


def test_latest_is_the_newest_run_wherever_a_run_is_named(server: Server, ask: Ask) -> None:
    newest = server.api.get("/runs", limit="1")["items"][0]["runId"]
    assert ask.data("runs", "get", "latest")["runId"] == newest
    assert ask.data("explain", "latest")["runId"] == newest
    assert {one["runId"] for one in ask.data("events", "list", "--run", "latest")["events"]} == {newest}
    assert ask.data("open", "latest", "-o", "json")["url"] == f"{server.url}/#/runs/{newest}"
    assert ask.text("logs", "latest") == ask.text("logs")


GROUPS = {"agents": "agents list", "policy": "policy get", "runs": "runs list"}


@pytest.mark.parametrize(("alone", "whole"), GROUPS.items())
def test_a_group_without_a_command_lists_or_shows(ask: Ask, alone: str, whole: str) -> None:
    assert ask.text(alone) == ask.text(*whole.split())
    assert "now" in ask.data("clock")
    assert ask.text("schedule", "-q") == ask.text("schedules", "list", "-q")
    assert "Commands" in ask.text(alone, "--help")


def test_a_time_of_another_day_has_its_day() -> None:
    read = clock("time", "at").read
    assert read({"at": "2025-12-31T12:00:00.000Z"}).startswith("2025-12-31 ")
    today = now().astimezone()
    assert read({"at": today.isoformat(timespec="milliseconds")}) == f"{today:%H:%M:%S}"
