"""The replay: new sets of views from position 0, to serve, to compare, or to inspect."""

import hashlib
from collections import Counter
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any

import msgspec

from athena_core.errors import Conflict, NotCaughtUp, Unavailable
from athena_core.event import Position, Value
from athena_core.protocols import Cell, Connection, DatabaseDamaged, LeaderLock, LogReader
from projections.engine import generation, past
from projections.engine.projection import PAST, Projection, Table
from projections.engine.projector import Projector
from projections.engine.views import DAMAGED, Views

REDACTED = "payload.redacted"
VERIFY_TRIES = 5
SCAN_EVENTS = 10_000


class ReplayRunning(Conflict):
    """Another process or thread is replaying."""

    code = "CONFLICT"


class ReplayStopped(Unavailable):
    """A projection cannot apply an event. The live views stay as they are."""

    code = "NOT_CAUGHT_UP"


class NoViews(NotCaughtUp):
    """There are no views of this log and release to compare. A replay builds them."""


class ReplayProgress(Value):
    """Progress of a replay.

    ``outcome`` is set at the end: ``switched``, ``candidate`` (the holder of the updater lock will switch), or
    ``rehearsed``.
    """

    position: Position
    head: Position
    seconds: float
    events_per_second: int
    outcome: str | None = None
    digests: dict[str, str] | None = None


class TableDifference(Value):
    """The live rows of a table that differ from a replay: how many, and the key of the first one.

    The name of a table of earlier versions ends with ``_past``.
    """

    table: str
    first: tuple[str, ...]
    missing: int = 0
    edited: int = 0
    extra: int = 0

    def __str__(self) -> str:
        counts = {"missing": self.missing, "edited": self.edited, "extra": self.extra}
        words = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        return f"{self.table}: {words} (first: {' '.join(self.first)})"


class ReplayComparison(Value):
    """Comparison of a projection's live rows, also of the past, with a replay to the same position."""

    projection: str
    position: Position
    live_digest: str
    replayed_digest: str
    rows: int
    equal: bool
    past_rows: int = 0
    differences: tuple[TableDifference, ...] = ()


class ProjectionDigest(Value):
    """The SHA-256 of a projection's rows and their earlier versions, and the numbers of both."""

    sha256: str
    rows: int
    past_rows: int = 0


HASHED_BYTES = 16_384
"""Bytes of rows that are hashed at once."""


def digest(connection: Connection, projection: Projection) -> ProjectionDigest:
    """Hash the rows, each as msgpack in declared column order, by primary key, table by table."""
    encoder, buffer, counts = msgspec.msgpack.Encoder(), bytearray(), [0, 0]
    sha256 = hashlib.sha256()
    for table in projection.tables:
        for earlier in (False, True):
            encoder.encode_into(table.name + PAST * earlier, buffer, -1)
            for row in _scan(connection, table, earlier):
                encoder.encode_into(row, buffer, -1)
                counts[earlier] += 1
                if len(buffer) >= HASHED_BYTES:  # chunks of this size release the interpreter to other threads
                    sha256.update(buffer)
                    buffer.clear()
    sha256.update(buffer)
    return ProjectionDigest(sha256=sha256.hexdigest(), rows=counts[False], past_rows=counts[True])


def _scan(connection: Connection, table: Table[Any], earlier: bool) -> Iterable[tuple[Cell, ...]]:
    """Return the rows of a table with their blocks by key, or the earlier versions of them."""
    if earlier and not past.state_of(connection)[0]:
        return ()
    return connection.execute(table.scan_past if earlier else table.scan_since)


def rebuild(views: Views) -> Generator[ReplayProgress, None, None]:
    """Build a new generation beside the live one and make it current.

    Without the updater lock it becomes the candidate, which the holder of the lock switches to. After an interruption
    the live views are untouched, and the next replay removes the leftovers.
    """
    generations = views.generations
    with _building(views) as (log, builder):
        name = generations.fresh()
        handed_over = False
        connection = generations.write(name, builder)
        try:
            generation.create(connection, views.projections, log.log_id, views.clock.now(), indexed=False)
            projector = Projector(connection, views.projections, log, views.decode, views.clock)
            stopwatch = _Stopwatch(views, log)
            yield from stopwatch.follow(projector, None)
            _refuse_poisoned(projector)
            generation.index(connection, views.projections)
            updater_lock = generations.updater_lock()
            try:
                if updater_lock.acquire():
                    for _ in stopwatch.follow(projector, None):
                        pass
                    _refuse_poisoned(projector)
                    generations.switch(name, updater_lock)
                    generations.withdraw(updater_lock)  # an older candidate that no updater has switched to
                else:
                    generations.offer(name, builder)
            finally:
                updater_lock.release()
            handed_over = True
        finally:
            connection.close()
            if not handed_over:
                generations.remove(name, builder)
    outcome = "switched" if generations.current() == name else "candidate"
    yield stopwatch.progress(projector.position, outcome)


def rehearse(
    views: Views, *, to: Position | None = None, names: Collection[str] | None = None
) -> Generator[ReplayProgress, None, None]:
    """Replay to a position (default: the head) without serving the result. Ends with its digests."""
    with _building(views) as (log, builder), views.generations.scratch(builder) as connection:
        projections = _chosen(views, names)
        generation.create(connection, projections, log.log_id, views.clock.now(), indexed=False)
        projector = Projector(connection, projections, log, views.decode, views.clock)
        stopwatch = _Stopwatch(views, log)
        yield from stopwatch.follow(projector, log.head() if to is None else to)
        _refuse_poisoned(projector)
        digests = {projection.name: digest(connection, projection).sha256 for projection in projections}
        yield stopwatch.progress(projector.position, "rehearsed", digests)


def verify(views: Views, names: Collection[str] | None = None) -> list[ReplayComparison]:
    """Compare the live views at their checkpoints, and their past, with a replay to the same positions.

    Text that is erased in the meantime is still in the snapshot but no longer in the log. Then the replay goes on, and
    they are compared again.
    """
    projections = _chosen(views, names)
    with _building(views) as (log, builder), views.generations.scratch(builder) as replayed:
        generation.create(replayed, projections, log.log_id, views.clock.now(), indexed=False)
        with _current(views, log, projections) as (_, positions):
            pass
        _replay(views, log, replayed, projections, positions)  # most of it, before a snapshot is held
        for _ in range(VERIFY_TRIES):
            with _current(views, log, projections) as (live, positions):
                _replay(views, log, replayed, projections, positions)
                verdicts = [_compared(live, replayed, one, positions[one.name]) for one in projections]
            if all(verdict.equal for verdict in verdicts) or not _redacted(log, min(positions.values())):
                break
        return verdicts


def digests(
    views: Views, log: LogReader, projections: Collection[Projection]
) -> tuple[dict[str, Position], dict[str, ProjectionDigest]]:
    """Return the positions and digests of the current views, all taken at one moment. Scans every row."""
    with _current(views, log, projections) as (connection, positions):
        return positions, {projection.name: digest(connection, projection) for projection in projections}


@contextmanager
def _current(
    views: Views, log: LogReader, projections: Collection[Projection]
) -> Iterator[tuple[Connection, dict[str, Position]]]:
    """Yield a snapshot of the current views, and their positions."""
    current = views.generations.current()
    if current is None:
        raise NoViews("There are no views yet. Retry later.")
    connection = views.generations.read(current)
    try:
        with connection.snapshot():
            checkpoints = generation.load(connection)
            fitting = all(
                projection.name in checkpoints and checkpoints[projection.name].version == projection.version
                for projection in projections
            )
            if not fitting or not generation.is_of(connection, log):
                raise NoViews("The views belong to another release or log and will be rebuilt. Retry later.")
            yield connection, {projection.name: checkpoints[projection.name].position for projection in projections}
    except DatabaseDamaged as error:
        views.condemn(current)
        raise NotCaughtUp(DAMAGED.format(name=current)) from error
    finally:
        connection.close()


def _replay(
    views: Views,
    log: LogReader,
    scratch: Connection,
    projections: list[Projection],
    positions: Mapping[str, Position],
) -> None:
    """Continue a replay, each projection to its own position (a stopped one is behind)."""
    for position in sorted(set(positions.values())):
        due = [projection for projection in projections if positions[projection.name] >= position]
        projector = Projector(scratch, due, log, views.decode, views.clock)
        while projector.step(position) is not None:
            pass
    reached = generation.load(scratch)
    if any(reached[projection.name].position > positions[projection.name] for projection in projections):
        raise NotCaughtUp("The views were replaced during the comparison. Retry later.")


def _compared(live: Connection, replayed: Connection, projection: Projection, position: Position) -> ReplayComparison:
    """Compare the rows of a projection. Where they differ, find the rows."""
    found, due = digest(live, projection), digest(replayed, projection)
    tables = [(table, earlier) for table in projection.tables for earlier in (False, True)] if found != due else []
    differences = (_difference(live, replayed, table, earlier) for table, earlier in tables)
    return ReplayComparison(
        projection=projection.name,
        position=position,
        live_digest=found.sha256,
        replayed_digest=due.sha256,
        rows=found.rows,
        equal=found == due,
        past_rows=found.past_rows,
        differences=tuple(one for one in differences if one is not None),
    )


def _difference(live: Connection, replayed: Connection, table: Table[Any], earlier: bool) -> TableDifference | None:
    """Return how the live rows of a table differ from a replay; None if they do not."""
    places = [*(table.columns.index(column) for column in table.key), *([-1] * earlier)]

    def keyed(connection: Connection, name: str) -> Iterator[tuple[tuple[Any, ...], str, tuple[Cell, ...]]]:
        return ((tuple(row[at] for at in places), name, row) for row in _scan(connection, table, earlier))

    by_key = itemgetter(0)
    both = merge(keyed(live, "extra"), keyed(replayed, "missing"), key=by_key)
    counts, first = Counter[str](), None
    for key, group in groupby(both, by_key):
        names, rows = zip(*((name, row) for _, name, row in group), strict=True)
        if len(rows) == 1 or rows[0] != rows[1]:
            counts[names[0] if len(rows) == 1 else "edited"] += 1
            first = first or tuple(map(str, key))
    return None if first is None else TableDifference(table=table.name + PAST * earlier, first=first, **counts)


def _redacted(log: LogReader, after: Position) -> bool:
    while rows := log.rows(after, SCAN_EVENTS):
        if any(row.type == REDACTED for row in rows):
            return True
        after = rows[-1].position
    return False


def _chosen(views: Views, names: Collection[str] | None) -> list[Projection]:
    return [projection for projection in views.projections if names is None or projection.name in names]


def _refuse_poisoned(projector: Projector) -> None:
    for name, checkpoint in projector.checkpoints.items():
        if checkpoint.error is not None:
            message = f"{name} stopped at position {checkpoint.error_position}: {checkpoint.error}"
            raise ReplayStopped(message, {"projection": name, "position": checkpoint.error_position})


@contextmanager
def _building(views: Views) -> Iterator[tuple[LogReader, LeaderLock]]:
    """Yield the builder lock and a reader of the log, after removing leftovers of earlier replays."""
    lock = views.generations.builder_lock()
    try:
        if not lock.acquire():
            raise ReplayRunning("Another replay is running. Wait for its end.")
        for name in views.generations.leftovers():
            views.generations.remove(name, lock)
        log = views.logs()
        try:
            yield log, lock
        finally:
            log.close()
    finally:
        lock.release()


class _Stopwatch:
    """Measures a replay."""

    def __init__(self, views: Views, log: LogReader) -> None:
        self._monotonic = views.clock.monotonic
        self._log = log
        self._began = views.clock.monotonic()
        self._head = log.head()

    def follow(self, projector: Projector, until: Position | None) -> Iterator[ReplayProgress]:
        """Step to a position, or near the head. Writers may move the head faster than it can be reached."""
        self._head = self._log.head()
        while (position := projector.step(until)) is not None:
            yield self.progress(position)
            if position >= self._head:
                break
            self._head = self._log.head()

    def progress(
        self, position: Position, outcome: str | None = None, digests: dict[str, str] | None = None
    ) -> ReplayProgress:
        seconds = self._monotonic() - self._began
        return ReplayProgress(
            position=position,
            head=max(self._head, position),
            seconds=round(seconds, 3),
            events_per_second=round(position / seconds) if seconds > 0 else 0,
            outcome=outcome,
            digests=digests,
        )
