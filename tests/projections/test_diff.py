"""The difference between two moments: it equals what two whole histories up to them say."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest
from msgspec.structs import replace

from athena_core.clock import CountingIds
from athena_core.decider import category
from athena_core.domain import DECIDERS
from athena_core.domain.halt import HaltLifted, HaltStarted
from athena_core.domain.schedule import ScheduleRemoved
from athena_core.errors import CursorInvalid, DiffTooLarge
from athena_core.event import Position
from athena_core.log.port import Store, StoreReader
from athena_core.log.postgres.reader import PostgresReader
from athena_core.log.postgres.store import PostgresStore
from athena_core.log.sqlite.reader import SqliteReader
from athena_core.log.sqlite.store import SqliteStore
from athena_core.protocols import Row
from athena_core.values import DIFF_EVENTS_EACH, DIFF_EVENTS_MAX, Scope
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
        found = diff(log, start, end, DiffFilter(scope=scope, counts=True), None, 10_000)
        assert found.counts is not None
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


def test_pages_without_counts_hold_the_same_records(store: Store, log: StoreReader) -> None:
    draw = random.Random(8)
    history = History().play((draw.randrange(MOVES + 1), draw.randrange(100)) for _ in range(700))
    keep(store, history)
    scopes = (Scope(), Scope(), Scope(sessions=frozenset({"s1", "s2"})), Scope(runs=frozenset()), some_runs(history))
    short = 0
    for _ in range(60):
        start, end = sorted((draw.randrange(history.head() + 1), draw.randrange(history.head() + 1)))
        wanted = DiffFilter(
            kind=draw.choice([None, None, "run", "rejection", "session", "schedule", "other"]),
            change=draw.choice([None, None, "appeared", "ended", "changed"]),
            scope=draw.choice(scopes),
        )
        limit = draw.choice([1, 3, 20])
        whole = diff(log, start, end, replace(wanted, counts=True), None, 10_000)
        pages = [diff(log, start, end, wanted, None, limit)]
        while (cursor := pages[-1].next_cursor) is not None:
            pages.append(diff(log, 0, 0, wanted, cursor, limit))
            short += len(pages[-2].items) < limit
        assert [one for page in pages for one in page.items] == list(whole.items)
        assert {page.counts for page in pages} == {None}
        assert {(page.from_, page.to) for page in pages} == {(whole.from_, whole.to)}
        assert len(pages) <= 1 + (end - start) / DIFF_EVENTS_EACH / limit + len(whole.items) / limit
    assert short > 0


def some_runs(history: History) -> Scope:
    """Return a scope of each third run."""
    return Scope(runs=frozenset(sorted({row.run_id for row in history.written if row.run_id})[::3]))


@contextmanager
def rows_read(log: StoreReader) -> Iterator[list[int]]:
    """Yield a list that gets the number of rows that the database read: on SQLite, of the steps of its statements."""
    found: list[int] = []
    if isinstance(log, SqliteReader):
        steps: list[int] = []

        def count(event: dict[str, Any]) -> None:
            steps.append(event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"])

        log._connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, count)
        yield found
        log._connection.trace_v2(0, None)
        found.append(sum(steps))
    else:
        assert isinstance(log, PostgresReader)
        before = tuples_of(log)
        yield found
        found.append(tuples_of(log) - before)


def tuples_of(log: PostgresReader) -> int:
    """Return how many rows and entries of indexes were read."""
    list(log._read("SELECT pg_stat_force_next_flush()"))
    list(log._read("SELECT 1"))
    tables = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint FROM pg_stat_user_tables"
    indexes = "SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes"
    return sum(int(number) for statement in (tables, indexes) for (number,) in log._read(statement))


WORK_RATIO_MAX = 2
"""Most work for a page of 20,000 events, as a multiple of the work for 1,000."""


@pytest.mark.parametrize("shape", ["many records", "one record", "a kind that is not there", "at the far end"])
def test_a_limit_limits_the_rows_that_are_read(store: Store, log: StoreReader, shape: str) -> None:
    history = History()
    history.directive("do")
    session = history.written[0]._replace(stream="session:long", type="session.changed")
    rows = [
        session._replace(position=number, version=number)
        if shape == "one record"
        else history.written[0]._replace(position=number, stream=f"dir:{number}")
        for number in range(1, 20_001)
    ]
    with store.exclusive():
        store.insert(rows)
    wanted = DiffFilter(kind="policy" if shape == "a kind that is not there" else None)
    read = []
    for events in (1_000, 20_000):
        start, end = (0, events) if shape != "at the far end" else (20_000 - events, 20_000)
        with rows_read(log) as counted:
            page = diff(log, start, end, wanted, None, 1)
        assert len(page.items) == (wanted.kind is None)
        assert (page.next_cursor is None) == (shape == "one record" and events <= DIFF_EVENTS_EACH)
        read += counted
    assert 0 < read[1] <= WORK_RATIO_MAX * read[0], read


def test_events_after_the_second_moment_cost_nothing(store: Store, log: StoreReader) -> None:
    history = History()
    history.directive("do")
    row = history.written[0]._replace(stream="session:long", type="session.changed", run_id="other")
    with store.exclusive():
        store.insert(
            [
                row._replace(position=number, version=number, run_id="mine" if number < 9 else "other")
                for number in range(1, 20_001)
            ]
        )
    read = []
    for end in (100, 2_000):
        with rows_read(log) as counted:
            (found,) = diff(log, 0, end, DiffFilter(scope=Scope(runs=frozenset({"mine"}))), None, 50).items
        assert found.events == 8
        read += counted
    assert 5 * read[0] < read[1], read


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


@pytest.mark.parametrize("counts", [False, True])
def test_pages_go_on_between_the_same_moments(store: Store, log: StoreReader, *, counts: bool) -> None:
    history = History()
    for number in range(9):
        history.directive(f"do {number}")
    history.put_policy(3, None)
    keep(store, history)
    whole = diff(log, 2, 10, DiffFilter(counts=counts), None, 50)
    wanted = DiffFilter(kind="directive", change="appeared", counts=counts)
    page = diff(log, 2, 10, wanted, None, 3)
    found = list(page.items)
    while page.next_cursor is not None:
        assert page.counts == whole.counts
        page = diff(log, 0, 1, wanted, page.next_cursor, 3)
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
