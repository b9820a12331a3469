"""Redaction on the command line: the words are gone from every file, the facts and the proof stay."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from athena_core.domain import plane, review
from athena_core.log.engine import open_archive
from athena_core.log.sqlite.connection import open_reader
from athena_core.log.sqlite.snapshots import SqliteSnapshotStore
from athena_core.log.sqlite.views import SqliteDatabases
from athena_core.services.erasure.erasure import PLACES
from projections.engine.generation import GenerationFiles
from tests.cli.conftest import Here
from tests.cli.terminal import Result, Terminal
from tests.support.traces import traces

CANARY, OTHER = "canary-7f3a-sings", "sparrow-1c2d-stays"


@contextmanager
def snapshot(path: Path, table: str) -> Iterator[None]:
    """Hold a snapshot of a database open."""
    with closing(open_reader(path)) as connection:
        connection.execute("BEGIN")
        connection.execute(f"SELECT count(*) FROM {table}").fetchall()
        yield


def say(here: Here, session: str, words: str, **settings: str) -> None:
    result = here("run", "--session", session, "--input", words, "--transport", "local", **settings)
    assert result.code == 0, result.err


def redacted(here: Here, *arguments: str, **settings: str) -> Result:
    return here("redact", *arguments, "--reason", "asked to forget", **settings)


def left(result: Result) -> list[str]:
    """Return the places that an incomplete erasure names."""
    assert result.code == 1, result.out
    data: dict[str, Any] = json.loads(result.out)
    places = [str(one["place"]) for one in data["left"]]
    assert all(f"{place}: " in result.err for place in places), result.err
    return places


def test_a_copy_is_named_again_until_it_is_erased_although_the_text_is_gone(terminal: Terminal, here: Here) -> None:
    for session in ("a", "b"):
        say(here, session, CANARY)
    copies = left(redacted(here, "--session", "a"))
    assert left(redacted(here, "--session", "a")) == copies != []
    assert redacted(here, "--session", "b").code == 0
    assert redacted(here, "--session", "a").code == 0
    assert traces(terminal.state_dir, CANARY) == []
    assert here("verify").code == 0


def test_a_copy_is_remembered_although_the_reason_that_repeats_the_text_is_erased(
    terminal: Terminal, here: Here
) -> None:
    for session in ("a", "b"):
        say(here, session, CANARY)
    reason = f"remove: {CANARY}"
    named = left(here("redact", "--session", "a", "--reason", reason))
    with closing(open_archive(terminal.state_dir, None)) as archive, closing(archive.reader()) as reader:
        rows = reader.of_types((plane.PayloadRedacted.TYPE,), 0, reader.head(), 100)
    reasons = [place for row in rows if (place := f"position {row.position}") in named]
    assert set(named) > set(reasons) != set()
    for place in reasons:  # as the remedy says
        here("redact", "--position", place.split()[1], "--reason", "asked to forget")
    assert left(redacted(here, "--session", "a")) == [place for place in named if place not in reasons]
    assert redacted(here, "--session", "b").code == 0
    assert redacted(here, "--session", "a").code == 0


def test_what_stands_in_a_public_payload_is_named_for_good(here: Here) -> None:
    say(here, CANARY, CANARY)  # the name of a session is public
    public = left(redacted(here, "--session", CANARY))
    assert left(redacted(here, "--session", CANARY)) == public != []


def test_what_was_written_is_gone_and_the_log_still_verifies(terminal: Terminal, here: Here) -> None:
    for session, words in (("a", CANARY), ("b", OTHER)):
        say(here, session, words)
    assert traces(terminal.state_dir, CANARY)
    done = redacted(here, "--session", "a")
    assert done.code == 0, done.err
    assert done.data["redacted"] >= 3, "the directive, what was said, what was answered"
    assert done.data["left"] == []
    assert traces(terminal.state_dir, CANARY) == []
    assert traces(terminal.state_dir, OTHER)
    assert here("verify").code == 0
    assert here("replay", "--verify").code == 0
    again = redacted(here, "--session", "a")
    assert again.data["redacted"] == 0
    trail = here("audit", "--kind", "redaction", "--transport", "local").data
    assert len(trail["items"]) == done.data["redacted"]
    assert {item["reason"] for item in trail["items"]} == {"asked to forget"}


@pytest.mark.parametrize(
    ("file", "table", "place"),
    [("log.db", "log", "log"), pytest.param("views", "run", "views", marks=pytest.mark.heavy)],
)
def test_a_reader_with_an_old_snapshot_is_named_until_it_ends(
    terminal: Terminal, here: Here, file: str, table: str, place: str
) -> None:
    say(here, "a", CANARY)
    path = terminal.state_dir / file
    path = path / (path / "current").read_text().strip() if path.is_dir() else path
    with snapshot(path, table):
        assert left(redacted(here, "--session", "a", "--wait", "0.2")) == [place]
        assert traces(terminal.state_dir, CANARY)
    assert redacted(here, "--session", "a").code == 0
    assert traces(terminal.state_dir, CANARY) == []


@pytest.mark.heavy
@pytest.mark.parametrize("enabled", ["true", "false"])
def test_the_index_of_the_memory_forgets_too(terminal: Terminal, here: Here, enabled: str) -> None:
    memory = {"memory_enabled": "true", "memory_include_transcripts": "true"}
    say(here, "a", CANARY, **memory)
    assert here("memory", "search", "--query", "canary", "--transport", "local", **memory).data["count"] > 0
    assert "memory/index.sqlite" in traces(terminal.state_dir, CANARY)
    assert redacted(here, "--session", "a", **memory | {"memory_enabled": enabled}).code == 0
    assert traces(terminal.state_dir, CANARY) == []


@pytest.mark.heavy
def test_what_a_server_holds_open_is_gone_as_well(terminal: Terminal, here: Here) -> None:
    with terminal.served(memory_enabled="true") as server:
        for session in ("a", "b"):
            server.api.run(f"{CANARY} {session}", sessionId=session)
        done = redacted(here, "--session", "a")  # the server is idle
        assert done.code == 0, done.err
        assert traces(terminal.state_dir, f"{CANARY} a") == []
        note = server.api.post("/memory", {"text": f"{OTHER} noted"})
        assert traces(terminal.state_dir, f"{OTHER} noted")
        gone = here("memory", "forget", note["id"])
        assert gone.data == {"id": note["id"], "removed": True}
        assert traces(terminal.state_dir, f"{OTHER} noted") == []


@pytest.mark.heavy
def test_a_note_that_a_reader_still_sees_is_named(terminal: Terminal, here: Here) -> None:
    with terminal.served(memory_enabled="true") as server:
        note = server.api.post("/memory", {"text": CANARY})
        with snapshot(terminal.state_dir / "log.db", "log"):
            assert left(here("memory", "forget", note["id"])) == ["log"]
        again = here("memory", "forget", note["id"])
        assert again.data == {"id": note["id"], "removed": False}
        assert traces(terminal.state_dir, CANARY) == []


@pytest.mark.heavy
def test_a_log_that_was_set_aside_is_named(terminal: Terminal, here: Here) -> None:
    say(here, "a", CANARY)
    copy = terminal.directory / "copy.db"
    assert here("backup", str(copy)).code == 0
    restored = here("restore", str(copy)).data
    aside = Path(restored["kept"]).name
    assert left(redacted(here, "--session", "a")) == [aside]
    assert traces(terminal.state_dir, CANARY) == [aside]
    (terminal.state_dir / aside).unlink()
    assert redacted(here, "--session", "a").code == 0


def test_what_reviews_and_applications_left_beside_the_log_goes_too(terminal: Terminal, here: Here) -> None:
    for session, words in (("a", CANARY), ("b", OTHER)):
        say(here, session, words)
        run_id = here("runs", "list", "--session", session, "--transport", "local").data["items"][0]["runId"]
        report = terminal.state_dir / review.FOLDER / run_id / "report.md"
        report.parent.mkdir(parents=True)
        report.write_text(words)
    with closing(SqliteSnapshotStore(terminal.state_dir / "snapshots.db", "snapshots")) as shelf:
        shelf.put([("run", 1, "state", CANARY.encode())])
    assert len(traces(terminal.state_dir, CANARY)) >= 3
    assert redacted(here, "--session", "a").code == 0
    assert traces(terminal.state_dir, CANARY) == []
    assert f"{review.FOLDER}/{run_id}/report.md" in traces(terminal.state_dir, OTHER)


def test_every_file_of_the_state_directory_is_of_a_kind_that_the_registry_knows(history: Terminal) -> None:
    with history.served(memory_enabled="true") as server:
        server.api.get("/memory/search", query="canary")
        state = history.state_dir
        GenerationFiles(state / "views", SqliteDatabases()).condemn(
            "views-0.db"
        )  # not the one that serves, which would be replaced meanwhile
        known = {path for place in PLACES for pattern in place.patterns for path in state.glob(pattern)}
        assert [path for path in sorted(state.rglob("*")) if path.is_file() and path not in known] == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--reason", "x"], 2, "one of --position, --run and --session"),
        (["--run", "a", "--session", "b", "--reason", "x"], 2, "one of --position, --run and --session"),
        (["--run", "run_none", "--reason", " "], 2, "--reason"),
        (["--run", "run_none", "--reason", "x", "--wait", "-1"], 2, "--wait"),
        (["--run", "run_none", "--reason", "x", "--wait", "nan"], 2, "--wait"),
        (["--run", "run_none", "--reason", "x"], 5, "no run 'run_none' exists"),
        (["--session", "none", "--reason", "x"], 5, "no session 'none' exists"),
        (["--position", "99999", "--reason", "x"], 5, "no event exists at position 99999"),
    ],
)
def test_what_cannot_be_redacted_is_said(
    history: Terminal, here: Here, arguments: list[str], code: int, words: str
) -> None:
    result = here("redact", *arguments)
    assert (result.code, words in result.err) == (code, True), result.err


def test_ids_that_a_workflow_adds_to_a_run_are_not_text_to_erase(here: Here) -> None:
    """Its metadata name the workflow, its run and the step, as public payloads do."""
    said = here("directives", "create", "--input", f"{CANARY} every week").data["id"]
    parts = (
        '{"provider": "mock", "model": "mock-model", "tools": ["evidence"]}',
        '{"timeoutMs": 60000, "retryLimit": 1, "budgetUsd": 0}',
    )
    options = ("--display-name", "Mock", "--version", "v1", "--config", parts[0], "--policies", parts[1])
    profile = here("profiles", "create", *options).data["id"]
    steps = [{"id": "collect-the-receipts", "directiveId": said, "harnessProfileId": profile}]
    definition = json.dumps({"steps": steps, "dependencies": []})
    workflow = here("workflows", "create", "--definition", definition).data["id"]
    assert here("workflows", "run", workflow).code == 0
    (node,) = here("workflows", "status", workflow).data["nodes"]
    result = redacted(here, "--run", node["runId"])
    remedies = {one["remedy"] for one in json.loads(result.out).get("left", ())}
    assert remedies
    assert all(remedy.startswith("athena redact --position ") for remedy in remedies), result.out
