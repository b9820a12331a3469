"""The evidence of runs: records, contents, stale and erased evidence."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_core.clock import iso
from athena_core.services.execution.verification import evidence_of
from projections.engine.cursor import event_id
from projections.evidence import Evidence, evidence_by_id, list_evidence
from tests.projections.history import BEGINNING, CODEC, LOG_ID, MOVES, History
from tests.projections.support import catch_up, new_generation, shown


def read(directory: Path, history: History, run_id: str, evidence_id: str) -> Evidence:
    directory.mkdir(exist_ok=True)
    found = evidence_by_id(shown(directory, history), LOG_ID, run_id, evidence_id)
    assert found is not None
    return found


def test_evidence_is_shown_with_its_content(tmp_path: Path) -> None:
    history = History()
    run_id = history.request("s")
    evidence_id = history.show(run_id, source="verifier", policy_id="p", exit_code=1, tool_call_id="c1")
    position = history.head()
    record = {
        "schemaVersion": 1,
        "id": evidence_id,
        "runId": run_id,
        "sessionId": "s",
        "traceId": "t" + run_id,
        "label": "log",
        "type": "text",
        "sizeBytes": 5,
        "sha256": "ab" * 32,
        "source": "verifier",
        "stale": False,
        "position": position,
        "eventId": event_id(LOG_ID, position, history.written[-1].chain[:4]),
        "createdAt": iso(BEGINNING),
        "artifactRef": f"run-evidence/{run_id}/{evidence_id}.json",
        "toolCallId": "c1",
        "policyId": "p",
        "exitCode": 1,
    }
    connection = shown(tmp_path, history)
    page = list_evidence(connection, LOG_ID, run_id, cursor=None, limit=10)
    assert msgspec.to_builtins(page) == {"items": [record]}
    found = evidence_by_id(connection, LOG_ID, run_id, evidence_id)
    assert msgspec.to_builtins(found) == record | {
        "content": {"kind": "text", "text": "green"},
        "contentSalt": "cd" * 16,
    }
    assert evidence_by_id(connection, LOG_ID, "run_other", evidence_id) is None
    assert evidence_by_id(connection, LOG_ID, run_id, "evd_other") is None


@pytest.mark.parametrize(
    ("kind", "content", "told"),
    [
        ("json", '{"n":[1,null]}', {"kind": "json", "value": {"n": [1, None]}}),
        ("json", "null", {"kind": "json", "value": None}),
        ("binary", "AAE=", {"kind": "binary", "base64": "AAE="}),
    ],
)
def test_content_is_shown_by_its_kind(tmp_path: Path, kind: str, content: str, told: object) -> None:
    history = History()
    run_id = history.request("s")
    evidence_id = history.show(run_id, content, kind)  # type: ignore[arg-type]
    assert msgspec.json.decode(msgspec.json.encode(read(tmp_path, history, run_id, evidence_id).content)) == told


def test_pages_of_evidence_hold_while_more_is_attached(tmp_path: Path) -> None:
    history = History()
    run_id, other = history.request("s"), history.request("t")
    ids = [history.show(run_id) for _ in range(4)]
    history.show(other)
    projector = new_generation(tmp_path / "a.db", history)
    catch_up(projector)
    first = list_evidence(projector.connection, LOG_ID, run_id, cursor=None, limit=3)
    assert [record.id for record in first.items] == ids[:0:-1]
    history.show(run_id)
    catch_up(projector)
    second = list_evidence(projector.connection, LOG_ID, run_id, cursor=first.next_cursor, limit=3)
    assert [record.id for record in second.items] == ids[:1]
    assert second.next_cursor is None


def test_evidence_of_the_workspace_is_stale_after_a_change_of_the_run(tmp_path: Path) -> None:
    history = History()
    run_id, other = history.request("s"), history.request("t")
    history.result(run_id, changed=True)
    words, workspace = history.show(run_id), history.show(run_id, workspace=True)
    elsewhere = history.show(other, workspace=True)
    history.result(run_id)
    assert not read(tmp_path / "a", history, run_id, workspace).stale
    history.show(run_id, workspace=True)
    history.result(run_id, changed=True)
    latest = history.show(run_id, workspace=True)
    connection = shown(tmp_path, history)
    page = list_evidence(connection, LOG_ID, run_id, cursor=None, limit=10)
    assert [record.stale for record in page.items] == [False, True, True, False]
    assert [record.id for record in page.items][::3] == [latest, words]
    assert not read(tmp_path / "c", history, other, elsewhere).stale


def test_evidence_of_a_failed_run_stays_visible(tmp_path: Path) -> None:
    history = History()
    run_id = history.request("s")
    evidence_id = history.show(run_id)
    history.end(run_id, "failed")
    assert read(tmp_path, history, run_id, evidence_id).content is not None


def test_redaction_erases_content_and_salt(tmp_path: Path) -> None:
    history = History()
    run_id = history.request("s")
    named, free = history.show(run_id, "a secret"), history.show(run_id, label=None, free_label="of the secret")
    projector = new_generation(tmp_path / "live.db", history)
    catch_up(projector)
    before = list_evidence(projector.connection, LOG_ID, run_id, cursor=None, limit=2)
    assert [one.label for one in before.items] == ["of the secret", "log"]
    history.redact(history.head() - 1)
    history.redact(history.head() - 1)
    catch_up(projector)
    for evidence_id, label in ((named, "log"), (free, "")):
        told = msgspec.to_builtins(evidence_by_id(projector.connection, LOG_ID, run_id, evidence_id))
        assert (told["content"], told["redacted"], "contentSalt" in told) == (None, True, False)
        assert told["label"] == label


@pytest.mark.heavy
@given(st.lists(st.tuples(st.integers(0, MOVES - 1), st.integers(0, 20)), max_size=60))
def test_readers_and_judges_agree_on_stale_evidence(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[int, int]]
) -> None:
    history = History().play(moves)
    connection = shown(tmp_path_factory.mktemp("views"), history)
    for run_id in {row.run_id for row in history.written if row.run_id}:
        events = [CODEC.decode(row).event for row in history.written if row.stream == run_id]
        judged = {one.event.evidence_id: one.stale for one in evidence_of(events)}
        page = list_evidence(connection, LOG_ID, run_id, cursor=None, limit=500)
        assert {record.id: record.stale for record in page.items} == judged
