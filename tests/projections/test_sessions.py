"""The sessions and their transcripts."""

from pathlib import Path

import msgspec

from athena_core.clock import iso
from athena_core.domain.run import RunLeased, RunPaused, RunStarted
from projections.engine.cursor import event_id
from projections.sessions import ENTRY, TranscriptEntry, transcript
from tests.projections.answers import list_sessions, session_by_id
from tests.projections.history import BEGINNING, LOG_ID, History
from tests.projections.support import catch_up, new_generation, shown


def test_a_session_is_updated_when_a_run_starts_and_when_it_completes(tmp_path: Path) -> None:
    history = History()
    run_id = history.request("s")
    moments = []
    for number, act in enumerate((None, history.start, history.answer, history.end)):
        history.now += 1
        if act is not None:
            act(run_id)
        directory = tmp_path / str(number)
        directory.mkdir()
        session = session_by_id(shown(directory, history), "s")
        assert session is not None
        moments.append(session.updated_at)
    assert moments == [iso(BEGINNING + offset) for offset in (0, 2, 2, 4)]
    assert msgspec.to_builtins(session) == {
        "schemaVersion": 1,
        "id": "s",
        "transcriptPath": ".athena/transcripts/s.jsonl",
        "createdAt": iso(BEGINNING),
        "updatedAt": iso(BEGINNING + 4),
        "provider": "mock",
        "model": "mock-model",
    }


def test_a_failed_run_does_not_update_its_session(tmp_path: Path) -> None:
    history = History()
    run_id = history.request("s")
    history.now += 1
    history.end(run_id, "failed")
    session = session_by_id(shown(tmp_path, history), "s")
    assert session is not None
    assert session.updated_at == iso(BEGINNING)


def test_pages_of_sessions_hold_when_one_moves_to_the_top(tmp_path: Path) -> None:
    history = History()
    for number in range(6):
        history.now += number % 2  # two of them share each moment
        history.whole_run(f"s{number}")
    projector = new_generation(tmp_path / "a.db", history)
    catch_up(projector)
    first = list_sessions(projector.connection, cursor=None, limit=2)
    assert [session.id for session in first.items] == ["s5", "s4"]
    history.now += 1
    history.whole_run("new")
    history.whole_run("s0")
    catch_up(projector)
    second = list_sessions(projector.connection, cursor=first.next_cursor, limit=2)
    assert [session.id for session in second.items] == ["s3", "s2"]
    third = list_sessions(projector.connection, cursor=second.next_cursor, limit=2)
    assert [session.id for session in third.items] == ["s1"]
    assert third.next_cursor is None


def test_entries_are_provisional_until_their_run_ends(tmp_path: Path) -> None:
    history = History()
    run_id = history.request("s")
    history.start(run_id, "hello")
    projector = new_generation(tmp_path / "a.db", history)
    catch_up(projector)
    position = history.head()
    said = {
        "id": event_id(LOG_ID, position, history.written[-1].chain[:4]),
        "role": "user",
        "content": "hello",
        "kind": "message",
        "metadata": {"runId": run_id, "runTraceId": "t" + run_id},
        "createdAt": iso(BEGINNING),
        "runId": run_id,
    }

    def read() -> object:
        return msgspec.to_builtins(transcript(projector.connection, LOG_ID, "s", after=None, limit=10).items)

    assert read() == [said | {"provisional": True}]
    history.end(run_id, "timed-out")
    catch_up(projector)
    assert read() == [said | {"runStatus": "timed-out"}]


def test_tool_calls_and_results_are_entries(tmp_path: Path) -> None:
    history = History()
    run_id = history.request("s")
    history.call(run_id, "c1", arguments='{"argv":["ls"]}')
    history.call(run_id, "c2", tool_name=None, unknown_name="telepathy", refused="unknown-tool")
    history.result(run_id, "c1", is_error=True, truncated=True, changed=True, content="no")
    history.result(run_id, "c2", tool_name=None, interrupted=True)
    shown_entries = transcript(shown(tmp_path, history), LOG_ID, "s", after=None, limit=10).items
    told = [
        (entry.role, entry.kind, entry.tool_call_id, entry.tool_name, entry.is_error, entry.content)
        for entry in shown_entries
    ]
    assert told == [
        ("assistant", "tool-call", "c1", "shell", None, '{"argv":["ls"]}'),
        ("assistant", "tool-call", "c2", "telepathy", True, "{}"),
        ("tool", "tool-result", "c1", "shell", True, "no"),
        ("tool", "tool-result", "c2", None, None, "ok"),
    ]
    remarks = [entry.metadata.keys() - {"runId", "runTraceId"} for entry in shown_entries]
    assert remarks == [set(), {"unknown-tool"}, {"truncated", "changed"}, {"interrupted"}]


def test_asks_and_answers_are_entries_that_are_erased_like_others(tmp_path: Path) -> None:
    history = History()
    run_id = history.request("s")
    call, question, plain = (
        history.asks.ask(run_id, kind=kind, title="a secret?", arguments='{"command":"a secret"}')
        for kind in ("tool-permission", "question", "choice")
    )
    positions = [history.asks.answer(run_id, call, arguments="a secret edit", note="never shown")]
    positions.append(history.asks.answer(run_id, question, values='{"branch":"a secret"}'))
    history.asks.answer(run_id, plain, "rule", option_id="1", rule_id="rule_1")
    history.call(run_id, ask_id=call)
    projector = new_generation(tmp_path / "live.db", history)
    catch_up(projector)

    def entries() -> list[TranscriptEntry]:
        return transcript(projector.connection, LOG_ID, "s", after=None, limit=20).items

    assert [(entry.role, entry.kind, entry.tool_name, entry.content) for entry in entries()] == [
        ("system", "ask", "shell", '{"command":"a secret"}'),
        ("system", "ask", "shell", "a secret?"),
        ("system", "ask", "shell", "a secret?"),
        ("system", "answer", None, "a secret edit"),
        ("system", "answer", None, '{"branch":"a secret"}'),
        ("system", "answer", None, ""),
        ("assistant", "tool-call", "shell", "{}"),
    ]
    metadata = [
        {name: value for name, value in entry.metadata.items() if not name.startswith("run")} for entry in entries()
    ]
    assert metadata[0] == {"askId": call, "ask": "tool-permission"}
    assert metadata[3] == {"askId": call, "cause": "person", "optionId": "allow", "by": "ada"}
    assert metadata[5] == {"askId": plain, "cause": "rule", "optionId": "1", "ruleId": "rule_1"}
    assert metadata[6] == {"askId": call}
    first = positions[0] - 3
    for position in (first, first + 1, first + 2, *positions):
        history.redact(position)
    catch_up(projector)
    assert [(entry.content, entry.redacted) for entry in entries()[:5]] == [(None, True)] * 5
    assert "secret" not in str(list(projector.connection.execute(ENTRY.all)))


def test_a_run_that_another_executor_takes_over_says_nothing_twice(tmp_path: Path) -> None:
    history = History()
    run_id = history.request("s")
    history.start(run_id, "hello")
    history.call(run_id)
    history.in_run(
        run_id,
        RunLeased(executor="ex_2", token=2, attempt=2, pid=4243, taken_from="ex_1", because="dead"),
        RunStarted(attempt=2),
    )
    history.result(run_id, interrupted=True)
    paused = RunPaused(reason="budget", elapsed_ms=5, spent_micro_usd=7, budget_micro_usd=7)
    history.in_run(run_id, paused)
    connection = shown(tmp_path, history)
    entries = transcript(connection, LOG_ID, "s", after=None, limit=10).items
    assert [entry.kind for entry in entries] == ["message", "tool-call", "tool-result"]
    assert all(entry.provisional for entry in entries)


def test_a_transcript_is_read_from_its_end_or_after_a_position(tmp_path: Path) -> None:
    history = History()
    run_id = history.request("s")
    positions = [history.answer(run_id, str(number)) for number in range(5)]
    history.whole_run("another")
    connection = shown(tmp_path, history)

    def contents(after: int | None, limit: int) -> list[str | None]:
        return [entry.content for entry in transcript(connection, LOG_ID, "s", after=after, limit=limit).items]

    assert contents(None, 2) == ["3", "4"]
    assert contents(None, 10) == ["0", "1", "2", "3", "4"]
    assert contents(positions[1], 2) == ["2", "3"]
    assert contents(0, 1) == ["0"]
    assert contents(positions[4], 10) == []
    assert transcript(connection, LOG_ID, "nobody", after=None, limit=10).items == []


def test_redaction_erases_an_entry(tmp_path: Path) -> None:
    history = History()
    run_id = history.request("s")
    position = history.answer(run_id, "a secret")
    asked = history.call(run_id, tool_name=None, unknown_name="a secret tool", refused="unknown-tool")
    projector = new_generation(tmp_path / "live.db", history)
    catch_up(projector)
    history.redact(position)
    history.redact(asked)
    catch_up(projector)
    for entry in transcript(projector.connection, LOG_ID, "s", after=None, limit=10).items:
        encoded = msgspec.json.encode(entry)
        assert b'"content":null' in encoded
        assert b"secret" not in encoded
        assert (entry.redacted, entry.metadata["redacted"]) == (True, "true")
