"""Tests of the oracle itself: it finds each kind of broken promise, and nothing in a history that keeps them."""

from collections.abc import Callable

import pytest

from tests.reliability.oracle import KINDS, Answer, Entry, Reading, Record, check, violations

History = list[Entry]
Readings = list[Reading]


def kept() -> tuple[Record, History, Readings]:
    """Return three answered attempts (one twice, one after a doubt), an unknown and a refused one, and two readers."""
    record = Record()
    for mark in ("a", "b", "c", "unknown", "refused"):
        record.attempt(mark)
    record.acknowledge("a", Answer("dir_a", 1))
    record.acknowledge("a", Answer("dir_a", 1))
    record.lose("b")
    record.acknowledge("b", Answer("run_b", 4, exact=False, content="done"))
    record.acknowledge("c", Answer("run_c", 5))
    record.lose("unknown")
    record.refuse("unknown", "OVERLOADED")
    record.refuse("refused", "STORE_FULL")
    history = [
        Entry(1, "e1", "dir_a", "a"),
        Entry(2, "e2", "run_b", "b"),
        Entry(3, "e3", "run_c", "c"),
        Entry(4, "e4", "plane"),
        Entry(5, "e5", "run_c"),
    ]
    return record, history, [Reading("whole", 0, ["e1", "e2", "e3", "e4", "e5"]), Reading("late", 2, ["e3", "e4"])]


def test_a_history_that_keeps_the_promise_passes() -> None:
    check(*kept())


def test_a_repeat_may_be_answered_from_a_later_view() -> None:
    record, history, readings = kept()
    record.acknowledge("b", Answer("run_b", 5, exact=False, content="done"))
    check(record, history, readings)


def test_an_unknown_attempt_may_be_there_once() -> None:
    record, history, readings = kept()
    check(record, [*history, Entry(6, "e6", "dir_u", "unknown")], readings)


def test_a_reader_may_be_anywhere_in_the_log() -> None:
    record, history, _ = kept()
    check(record, history, [Reading("new", 0, []), Reading("middle", 3, ["e4"]), Reading("end", 5, [])])


def a_gap(record: Record, history: History, readings: Readings) -> None:
    history.append(Entry(7, "e7", "plane"))


def a_row_that_was_renumbered(record: Record, history: History, readings: Readings) -> None:
    history[3] = history[3]._replace(position=5)


def an_acknowledged_attempt_that_is_missing(record: Record, history: History, readings: Readings) -> None:
    history[0] = history[0]._replace(mark=None)


def a_tail_that_was_cut(record: Record, history: History, readings: Readings) -> None:
    del history[2:], readings[:]


def another_position_than_was_told(record: Record, history: History, readings: Readings) -> None:
    record.attempt("d")
    record.acknowledge("d", Answer("dir_d", 4))
    history.append(Entry(6, "e6", "dir_d", "d"))


def an_event_of_somebody_else_at_the_position(record: Record, history: History, readings: Readings) -> None:
    history[4] = history[4]._replace(subject="run_b")


def another_id_than_was_told(record: Record, history: History, readings: Readings) -> None:
    history[0] = history[0]._replace(subject="dir_z")


def a_position_beyond_the_log(record: Record, history: History, readings: Readings) -> None:
    record.attempt("d")
    record.acknowledge("d", Answer("dir_d", 9, exact=False))
    history.append(Entry(6, "e6", "dir_d", "d"))


def an_acknowledged_attempt_done_twice(record: Record, history: History, readings: Readings) -> None:
    history.append(Entry(6, "e6", "dir_x", "a"))


def an_unknown_attempt_done_twice(record: Record, history: History, readings: Readings) -> None:
    history += [Entry(6, "e6", "dir_x", "unknown"), Entry(7, "e7", "dir_y", "unknown")]


def something_nobody_sent(record: Record, history: History, readings: Readings) -> None:
    history.append(Entry(6, "e6", "dir_x", "x"))


def a_refused_attempt_that_was_done(record: Record, history: History, readings: Readings) -> None:
    history.append(Entry(6, "e6", "dir_x", "refused"))


def a_repeat_with_another_answer(record: Record, history: History, readings: Readings) -> None:
    record.acknowledge("b", Answer("run_b", 4, exact=False, content="failed"))


def one_id_for_two_attempts(record: Record, history: History, readings: Readings) -> None:
    record.attempt("d")
    record.acknowledge("d", Answer("run_c", 6))
    history.append(Entry(6, "e6", "run_c", "d"))


def an_event_that_a_reader_missed(record: Record, history: History, readings: Readings) -> None:
    readings[0] = readings[0]._replace(ids=["e1", "e2", "e4", "e5"])


def an_event_that_a_reader_saw_twice(record: Record, history: History, readings: Readings) -> None:
    readings[0] = readings[0]._replace(ids=["e1", "e2", "e2", "e3", "e4", "e5"])


def events_that_a_reader_saw_in_another_order(record: Record, history: History, readings: Readings) -> None:
    readings[1] = readings[1]._replace(ids=["e4", "e3"])


def an_event_that_vanished_after_a_reader_saw_it(record: Record, history: History, readings: Readings) -> None:
    readings[0] = readings[0]._replace(ids=[*readings[0].ids, "e6"])


def an_event_that_changed_after_a_reader_saw_it(record: Record, history: History, readings: Readings) -> None:
    history[3] = history[3]._replace(id="e4'")


Breach = Callable[[Record, History, Readings], None]

BREACHES: tuple[tuple[str, Breach], ...] = (
    ("gap", a_gap),
    ("gap", a_row_that_was_renumbered),
    ("lost", an_acknowledged_attempt_that_is_missing),
    ("lost", a_tail_that_was_cut),
    ("moved", another_position_than_was_told),
    ("moved", an_event_of_somebody_else_at_the_position),
    ("moved", another_id_than_was_told),
    ("moved", a_position_beyond_the_log),
    ("doubled", an_acknowledged_attempt_done_twice),
    ("doubled", an_unknown_attempt_done_twice),
    ("invented", something_nobody_sent),
    ("refused", a_refused_attempt_that_was_done),
    ("changed", a_repeat_with_another_answer),
    ("shared", one_id_for_two_attempts),
    ("misread", an_event_that_a_reader_missed),
    ("misread", an_event_that_a_reader_saw_twice),
    ("misread", events_that_a_reader_saw_in_another_order),
    ("misread", an_event_that_vanished_after_a_reader_saw_it),
    ("misread", an_event_that_changed_after_a_reader_saw_it),
)


@pytest.mark.parametrize(("kind", "breach"), BREACHES, ids=[breach.__name__ for _, breach in BREACHES])
def test_the_oracle_finds(kind: str, breach: Breach) -> None:
    record, history, readings = kept()
    breach(record, history, readings)
    found = violations(record, history, readings)
    assert kind in {line.partition(":")[0] for line in found}, found
    with pytest.raises(AssertionError, match=kind):
        check(record, history, readings)


def test_every_kind_of_violation_has_an_example() -> None:
    assert {kind for kind, _ in BREACHES} == set(KINDS)


def test_the_record_sums_up_what_happened() -> None:
    record, _, _ = kept()
    assert str(record) == "5 attempts, 3 acknowledged, 1 repeats, 2 at some time unknown, 1 refused"
    assert record.undecided() == ["unknown"]
