"""Read models of queues, dead letters, messages and redrives: their rows, before and after a redaction."""

from pathlib import Path

import pytest

from athena_core.clock import iso
from athena_core.values import Scope
from projections import dead_letters, messages, queues, redrives
from tests.projections.history import BEGINNING, History
from tests.projections.support import shown


@pytest.fixture
def history() -> History:
    return History()


def test_a_queue_shows_what_waits_and_what_runs(tmp_path: Path, history: History) -> None:
    queued = history.queues
    first, second, third = (queued.enqueue("s", f"do {number}", "collect") for number in range(3))
    queued.drain("s")
    queued.do("s")
    queue = queues.queue_by_session(shown(tmp_path, history), "s", 0)
    assert [item.id for item in queue.items] == [second, third]
    assert first not in {item.id for item in queue.items}
    assert (queue.draining, queue.updated_at) == (True, iso(BEGINNING))
    assert [item.payload for item in queue.items] == ["do 1", "do 2"]


def test_queues_that_hold_items_are_listed_by_session(tmp_path: Path, history: History) -> None:
    queued = history.queues
    for session in ("b", "a", "c", "b"):
        queued.enqueue(session, "do it")
    queued.drain("c")
    queued.do("c")
    drain = queued.drain("a")
    connection = shown(tmp_path, history)
    page = queues.list_queues(connection, cursor=None, limit=1)
    at = iso(BEGINNING)
    assert page.items == [
        queues.WorkQueueSummary(session_id="a", item_count=1, oldest_item_since=at, updated_at=at, drain_id=drain)
    ]
    (second,) = queues.list_queues(connection, cursor=page.next_cursor, limit=5).items
    assert (second.session_id, second.item_count, second.drain_id) == ("b", 2, None)
    scope = Scope(sessions=frozenset({"b", "c"}))
    assert [one.session_id for one in queues.list_queues(connection, scope=scope, cursor=None, limit=5).items] == ["b"]


def test_a_page_of_queues_reads_no_other_queue(tmp_path: Path, history: History, engine: str) -> None:
    """The plan follows an index and stops; sorting or grouping would read all items."""
    connection = shown(tmp_path, history)
    statement = f"{queues.SELECT_WAITING} ORDER BY session_id LIMIT 2"
    if engine == "sqlite":
        plan = str([row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]).upper()
        assert "WORK_ITEM_BY_SESSION_ID_POSITION" in plan
        assert ("TEMP" in plan, "CO-ROUTINE" in plan) == (False, False)
    else:
        list(connection.execute("SET enable_seqscan = off"))
        plan = str([row[0] for row in connection.execute(f"EXPLAIN {statement}")])
        assert ("Sort" in plan, "Aggregate" in plan.partition("SubPlan")[0]) == (False, False)


def test_a_queue_without_a_past_is_empty_now(tmp_path: Path, history: History) -> None:
    queue = queues.queue_by_session(shown(tmp_path, history), "s", BEGINNING)
    assert (queue.items, queue.draining, queue.updated_at) == ((), False, iso(BEGINNING))


def test_a_drain_shows_how_it_ended(tmp_path: Path, history: History) -> None:
    queued = history.queues
    for number in range(2):
        queued.enqueue("s", f"do {number}")
    failed = queued.drain("s")
    queued.fail("s", bury=False)
    good = queued.drain("s")
    queued.do("s")
    queued.do("s")
    connection = shown(tmp_path, history)
    first, second = queues.drain_by_id(connection, failed), queues.drain_by_id(connection, good)
    assert first is not None
    assert second is not None
    assert (first.status, first.error, first.queue_depth_after) == (
        "failed",
        queues.DrainError(code="PROVIDER_ERROR", message="no"),
        2,
    )
    assert (second.status, second.drained_items, second.queue_depth_after) == ("ok", 2, 0)
    assert queues.drain_by_id(connection, "drn_unknown") is None


def test_the_text_of_an_item_is_gone_after_a_redaction(tmp_path: Path, history: History) -> None:
    history.queues.enqueue("s", "secret")
    history.redact(history.head())
    history.queues.enqueue("s", "public")
    queue = queues.queue_by_session(shown(tmp_path, history), "s", 0)
    assert [(item.payload, item.redacted) for item in queue.items] == [(None, True), ("public", None)]


def test_dead_letters_are_listed_by_what_was_decided(tmp_path: Path, history: History) -> None:
    queued, made = history.queues, []
    for number in range(3):
        queued.enqueue(f"s{number}", "do it")
        queued.drain(f"s{number}")
        made.append(queued.fail(f"s{number}", bury=True) or "")
    queued.decide(made[0], "discarded")
    queued.decide(made[1], "discarded")
    queued.decide(made[1], "pending")
    queued.decide(made[2], "requeued")
    connection = shown(tmp_path, history)

    def listed(**wanted: str) -> list[str]:
        found = dead_letters.DeadLetterFilter(**wanted)  # type: ignore[arg-type]
        return [item.id for item in dead_letters.list_dead_letters(connection, found, cursor=None, limit=9).items]

    assert listed() == made
    assert [listed(status=status) for status in ("discarded", "pending", "requeued")] == [[one] for one in made]
    assert listed(session_id="s1") == made[1:2]
    assert listed(reason="hop-limit") == []
    first = dead_letters.dead_letter_by_id(connection, made[0])
    assert first is not None
    assert (first.decided_by, first.audit_note, first.first_error) == ("ada", "so be it", first.attempts[0])
    assert len(dead_letters.pending_ids(connection, dead_letters.DeadLetterFilter())) == 1
    position = next(row.position for row in history.written if row.stream == made[1])
    every = dead_letters.DeadLetterFilter()
    assert dead_letters.next_pending(connection, every, 0, position) == (made[1], position)
    assert dead_letters.next_pending(connection, every, position, history.head()) is None
    assert dead_letters.next_pending(connection, every, 0, position - 1) is None


def test_the_content_of_a_dead_letter_is_gone_after_a_redaction(tmp_path: Path, history: History) -> None:
    history.queues.enqueue("s", "do it")
    history.queues.drain("s")
    letter_id = history.queues.fail("s", bury=True) or ""
    history.redact(next(row.position for row in history.written if row.stream == letter_id))
    letter = dead_letters.dead_letter_by_id(shown(tmp_path, history), letter_id)
    assert letter is not None
    assert (letter.payload, letter.redacted) == ({}, True)


def test_a_message_shows_how_far_it_came(tmp_path: Path, history: History) -> None:
    queued = history.queues
    first, second, third = (queued.send(f"look at {number}") for number in range(3))
    queued.move_message(first, "started")
    queued.move_message(first, "completed")
    queued.move_message(second, "failed")
    history.redact(next(row.position for row in history.written if row.stream == third))
    connection = shown(tmp_path, history)
    page = messages.list_messages(connection, cursor=None, limit=9)
    assert [(message.message_id, message.status) for message in page.items] == [
        (third, "sent"),
        (second, "failed"),
        (first, "completed"),
    ]
    assert (page.items[0].payload, page.items[0].redacted) == (None, True)
    assert page.items[1].error == messages.MessageError(code="CONFIG_ERROR", message="no")
    assert (page.items[2].attempts, page.items[2].run_id, page.items[2].payload) == (1, "run_1", "look at 0")
    assert messages.message_by_id(connection, first) == page.items[2]
    only = messages.list_messages(connection, to_persona="bob", status="failed", cursor=None, limit=9)
    assert [message.message_id for message in only.items] == [second]


def test_a_redrive_shows_each_letter(tmp_path: Path, history: History) -> None:
    job = history.queues.begin_redrive()
    for result in ("requeued", "skipped", "failed"):
        history.queues.advance_redrive(result)
    history.queues.end_redrive()
    connection = shown(tmp_path, history)
    found = redrives.redrive_by_id(connection, job, cursor=None, limit=2)
    assert found is not None
    assert (found.status, found.done, found.total, found.finished_at) == ("completed", 3, 3, iso(BEGINNING))
    assert [one.result for one in found.results] == ["requeued", "skipped"]
    assert found.filter == redrives.AppliedRedriveFilter(session_id="s1", created_after=iso(BEGINNING))
    rest = redrives.redrive_by_id(connection, job, cursor=found.next_cursor, limit=2)
    assert rest is not None
    assert ([one.result for one in rest.results], rest.next_cursor) == (["failed"], None)
    assert redrives.redrive_by_id(connection, "rdr_unknown", cursor=None, limit=2) is None
