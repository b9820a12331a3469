"""The difference between two moments: it equals what two whole histories up to them say."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from athena_core.clock import CountingIds
from athena_core.decider import category
from athena_core.domain import DECIDERS
from athena_core.domain.halt import HaltLifted, HaltStarted
from athena_core.domain.schedule import ScheduleRemoved
from athena_core.errors import CursorInvalid, DiffTooLarge
from athena_core.event import Position
from athena_core.log.port import Store, StoreReader
from athena_core.log.postgres.store import PostgresStore
from athena_core.log.sqlite.store import SqliteStore
from athena_core.protocols import Row
from athena_core.values import DIFF_EVENTS_MAX, Scope
from projections.diff import LIVES, OTHER, REJECTIONS, ChangedRecord, ChangeEvent, DiffFilter, Life, diff
from projections.engine.cursor import event_id
from tests.projections.history import MOVES, History

Facts = tuple[str, Position, Position | None, Position | None, int]
"""Kind, position of the last event, positions of the events that began and ended it, number of events."""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.heavy)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "postgres":
        made: Store = PostgresStore(request.getfixturevalue("database"), tmp_path, CountingIds())
    else:
        made = SqliteStore(tmp_path, CountingIds())
    yield made
    made.close()


@pytest.fixture
def log(store: Store) -> Iterator[StoreReader]:
    found = store.reader()
    yield found
    found.close()


def keep(store: Store, history: History) -> None:
    with store.exclusive():
        store.insert(history.written)


def plainly(history: History, start: Position, end: Position, scope: Scope) -> dict[str, Facts]:
    """Return what differs, by following each stream from its first event on."""
    streams: dict[str, list[Row]] = {}
    for row in history.written[:end]:
        streams.setdefault(row.stream, []).append(row)
    found: dict[str, Facts] = {}
    for stream, rows in streams.items():
        recent = [row for row in rows if row.position > start and scope.shows(row.session_id or "", row.run_id or "")]
        if recent:
            life = LIVES.get(category(stream), OTHER)
            kind = "rejection" if recent[0].version == 1 and recent[0].type in REJECTIONS else life.kind
            found[stream] = kind, recent[-1].position, *turns_of(rows, life, start), len(recent)
    return found


def turns_of(rows: list[Row], life: Life, start: Position) -> tuple[Position | None, Position | None]:
    """Return the events that began and ended a record after a position, unless it is as it was there."""
    begins, ends = ({kind.TYPE for kind in kinds} for kinds in (life.begins, life.ends))
    there = was = False
    began = ended = 0
    for row in rows:
        if not there and (row.type in begins or (row.version == 1 and not begins)):
            there, began = True, row.position
        if there and row.type in ends:
            there, ended = False, row.position
        if row.position <= start:
            was = there
    return began if began > start and not was else None, ended if ended > start and not there else None


def place(event: ChangeEvent | None, by_id: dict[str, Position]) -> Position | None:
    return None if event is None else by_id[event.id]


def facts(record: ChangedRecord, by_id: dict[str, Position]) -> Facts:
    last = by_id[record.last.id]
    return record.kind, last, place(record.appeared, by_id), place(record.ended, by_id), record.events


def test_it_equals_what_the_whole_histories_say(store: Store, log: StoreReader) -> None:
    draw = random.Random(5)
    history = History().play((draw.randrange(MOVES + 1), draw.randrange(100)) for _ in range(700))
    keep(store, history)
    by_id = {event_id(store.log_id, row.position, row.chain): row.position for row in history.written}
    kinds = set()
    for _ in range(60):
        start, end = sorted((draw.randrange(history.head() + 1), draw.randrange(history.head() + 1)))
        scope = draw.choice([Scope(), Scope(), Scope(sessions=frozenset({"s1", "s2"})), Scope(runs=frozenset())])
        found = diff(log, start, end, DiffFilter(scope=scope), None, 10_000)
        expected = plainly(history, start, end, scope)
        assert [facts(one, by_id) for one in found.items] == sorted(expected.values(), key=lambda it: -it[1])
        for count in found.counts:
            of_kind = [one for one in found.items if one.kind == count.kind]
            assert count.appeared == sum(one.appeared is not None for one in of_kind)
            assert count.ended == sum(one.ended is not None for one in of_kind)
            assert count.changed == sum(one.appeared is one.ended is None for one in of_kind)
        assert [count.kind for count in found.counts] == sorted({one.kind for one in found.items})
        kinds |= {one.kind for one in found.items}
    assert len(kinds) > 10


def test_a_record_that_begins_again_is_as_it_was(store: Store, log: StoreReader) -> None:
    history = History()
    started, lifted = HaltStarted(by="ann"), HaltLifted(by="ann", since_ms=1)
    for event in (started, lifted, started, lifted):
        history.write("halt", event)
    removed = ScheduleRemoved(id="s", removed=False)
    history.write("schedule:s", removed)
    keep(store, history)

    def changes(start: Position, end: Position) -> list[tuple[Position | None, Position | None]]:
        by_id = {event_id(store.log_id, row.position, row.chain): row.position for row in history.written}
        found = diff(log, start, end, DiffFilter(), None, 10).items
        return [(place(one.appeared, by_id), place(one.ended, by_id)) for one in found]

    assert changes(0, 1) == [(1, None)]
    assert changes(0, 2) == [(1, 2)]
    assert changes(0, 3) == [(3, None)]
    assert changes(1, 2) == [(None, 2)]
    assert changes(1, 3) == [(None, None)]
    assert changes(1, 4) == [(None, 4)]
    assert changes(4, 5) == [(None, None)]  # it was never there
    assert changes(5, 5) == []


def test_pages_go_on_between_the_same_moments(store: Store, log: StoreReader) -> None:
    history = History()
    for number in range(9):
        history.directive(f"do {number}")
    history.put_policy(3, None)
    keep(store, history)
    whole = diff(log, 2, 10, DiffFilter(), None, 50)
    page = diff(log, 2, 10, DiffFilter(kind="directive", change="appeared"), None, 3)
    found = list(page.items)
    while page.next_cursor is not None:
        assert page.counts == whole.counts
        page = diff(log, 0, 1, DiffFilter(kind="directive", change="appeared"), page.next_cursor, 3)
        found += page.items
    assert [one.id for one in found] == [one.id for one in whole.items if one.kind == "directive"]
    assert len(found) == 7
    assert diff(log, 2, 10, DiffFilter(change="ended"), None, 3).items == ()
    with pytest.raises(CursorInvalid):
        diff(log, 0, 1, DiffFilter(), "abc", 3)


def test_it_is_bounded(log: StoreReader) -> None:
    with pytest.raises(DiffTooLarge, match="closer together"):
        diff(log, 1, DIFF_EVENTS_MAX + 2, DiffFilter(), None, 3)


def test_each_category_of_streams_has_a_life() -> None:
    assert LIVES.keys() == {decider.category for decider in DECIDERS}
    for decider in DECIDERS:
        life = LIVES[decider.category]
        assert {*life.begins, *life.ends} <= set(decider.events)


def test_a_foreign_stream_keeps_its_name(store: Store, log: StoreReader) -> None:
    history = History()
    history.directive("do")
    row = history.written[0]._replace(stream="shop:cart:7", type="cart.filled")
    with store.exclusive():
        store.insert([row])
    (found,) = diff(log, 0, 1, DiffFilter(), None, 3).items
    assert (found.kind, found.id) == ("other", "shop:cart:7")
