"""The replay: new sets of views from position 0, to serve, to compare, or to inspect."""

import hashlib
from collections.abc import Collection, Generator, Iterator, Mapping
from contextlib import contextmanager

import msgspec

from athena_core.errors import Conflict, NotCaughtUp, Unavailable
from athena_core.event import Position, Value
from athena_core.protocols import Connection, DatabaseDamaged, LeaderLock, LogReader
from projections.engine import generation
from projections.engine.projection import Projection
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


class ReplayComparison(Value):
    """Comparison of a projection's live rows with a replay to the same position."""

    projection: str
    position: Position
    live_digest: str
    replayed_digest: str
    rows: int
    equal: bool


class ProjectionDigest(Value):
    """The SHA-256 of a projection's rows, and their number."""

    sha256: str
    rows: int


HASHED_BYTES = 16_384
"""Bytes of rows that are hashed at once."""


def digest(connection: Connection, projection: Projection) -> ProjectionDigest:
    """Hash the rows, each as msgpack in declared column order, by primary key, table by table."""
    encoder, buffer, total = msgspec.msgpack.Encoder(), bytearray(), 0
    sha256 = hashlib.sha256()
    for table in projection.tables:
        encoder.encode_into(table.name, buffer, -1)
        for row in connection.execute(table.scan):
            encoder.encode_into(row, buffer, -1)
            total += 1
            if len(buffer) >= HASHED_BYTES:  # chunks of this size release the interpreter to other threads
                sha256.update(buffer)
                buffer.clear()
    sha256.update(buffer)
    return ProjectionDigest(sha256=sha256.hexdigest(), rows=total)


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
    """Compare the live views at their checkpoints with a replay to the same positions.

    Text that is erased in the meantime is still in the snapshot but no longer in the log. Then both are taken again.
    """
    projections = _chosen(views, names)
    with _building(views) as (log, builder):
        for _ in range(VERIFY_TRIES):
            positions, live = digests(views, log, projections)
            replayed = _replayed(views, log, builder, projections, positions)
            verdicts = [
                ReplayComparison(
                    projection=projection.name,
                    position=positions[projection.name],
                    live_digest=live[projection.name].sha256,
                    replayed_digest=replayed[projection.name].sha256,
                    rows=live[projection.name].rows,
                    equal=live[projection.name] == replayed[projection.name],
                )
                for projection in projections
            ]
            if all(verdict.equal for verdict in verdicts) or not _redacted(log, min(positions.values())):
                break
        return verdicts


def digests(
    views: Views, log: LogReader, projections: Collection[Projection]
) -> tuple[dict[str, Position], dict[str, ProjectionDigest]]:
    """Return the positions and digests of the current views, all taken at one moment. Scans every row."""
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
            positions = {projection.name: checkpoints[projection.name].position for projection in projections}
            return positions, {projection.name: digest(connection, projection) for projection in projections}
    except DatabaseDamaged as error:
        views.condemn(current)
        raise NotCaughtUp(DAMAGED.format(name=current)) from error
    finally:
        connection.close()


def _replayed(
    views: Views, log: LogReader, builder: LeaderLock, projections: list[Projection], positions: Mapping[str, Position]
) -> dict[str, ProjectionDigest]:
    """Return the digests of a replay, each projection at its own position (a stopped one is behind)."""
    replayed: dict[str, ProjectionDigest] = {}
    with views.generations.scratch(builder) as connection:
        generation.create(connection, projections, log.log_id, views.clock.now(), indexed=False)
        for position in sorted(set(positions.values())):
            due = [projection for projection in projections if positions[projection.name] >= position]
            projector = Projector(connection, due, log, views.decode, views.clock)
            while projector.step(position) is not None:
                pass
            for projection in due:
                if positions[projection.name] == position:
                    replayed[projection.name] = digest(connection, projection)
    return replayed


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
