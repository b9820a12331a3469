"""The projector: it folds pages of the log into the rows of one generation, each projection independently."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from athena_core.clock import Clock
from athena_core.event import Position
from athena_core.protocols import Connection, DatabaseDamaged, Decode, LogReader, Row
from projections.engine import generation, past
from projections.engine.generation import ProjectionCheckpoint
from projections.engine.projection import BLOCK_EVENTS, Buffers, Projection, Rows

PAGE_EVENTS_MAX = BLOCK_EVENTS
RETRY_SECONDS_MAX = 60.0
ERROR_CHARS_MAX = 500

ReadPage: TypeAlias = tuple[list[Projection], list[Row]]
"""Projections at the same position, and the rows after it."""

Fold: TypeAlias = Callable[[Sequence[Projection], list[Row]], dict[str, ProjectionCheckpoint]]


class Projector:
    """Brings the projections of one generation up to the head, one page per step.

    If a projection cannot apply an event, only this projection stops before the event. It tries again after 1, 2, 4 ...
    60 seconds. Errors of the database itself are raised.
    """

    def __init__(
        self,
        connection: Connection,
        projections: Iterable[Projection],
        log: LogReader,
        decode: Decode,
        clock: Clock,
        page_events_max: int = PAGE_EVENTS_MAX,
        block_events: int = BLOCK_EVENTS,
    ) -> None:
        """Continue from the checkpoints of the generation behind ``connection``."""
        self._block_events = block_events
        self.connection = connection
        self.projections = tuple(projections)
        self.checkpoints = generation.load(connection)
        self.page_events_max = page_events_max
        self._log = log
        self._decode = decode
        self._clock = clock
        self._has_past = bool(past.state_of(connection)[0])
        self._retries: dict[str, tuple[float, float]] = {}
        self._buffers = {projection.name: Buffers() for projection in self.projections}

    @property
    def position(self) -> Position:
        """The position of the projections that are not stopped."""
        return max((self.checkpoints[projection.name].position for projection in self.projections), default=0)

    def fitting(self) -> tuple[Projection, ...]:
        """Return the projections whose versions match the generation."""
        checkpoints = self.checkpoints
        return tuple(
            projection
            for projection in self.projections
            if projection.name in checkpoints and checkpoints[projection.name].version == projection.version
        )

    def fits(self) -> bool:
        """Return True if all projections match the generation."""
        return self.fitting() == self.projections

    def covers(self, other: "Projector | None") -> bool:
        """Return True if this generation has reached everything that the other one shows."""
        return other is None or all(
            self.checkpoints[projection.name].position >= other.checkpoints[projection.name].position
            for projection in other.projections
        )

    def step(self, until: Position | None = None) -> Position | None:
        """Apply one page in one transaction. Return None if there is nothing to do now."""
        pages = self._pages(until)
        if not pages:
            return None
        try:
            reached = self._write(pages, self._fold)
        except (OSError, DatabaseDamaged):
            raise
        except Exception:  # nothing was written; apply each projection separately, to find the one that fails
            reached = self._write(pages, self._fold_apart)
        moved = any(self.checkpoints[name].position < checkpoint.position for name, checkpoint in reached.items())
        self.checkpoints |= reached
        for name, checkpoint in reached.items():
            self._schedule(name, checkpoint)
        return self.position if moved else None

    def _write(self, pages: Sequence[ReadPage], fold: Fold) -> dict[str, ProjectionCheckpoint]:
        """Apply pages in one transaction. Return the new checkpoints."""
        reached: dict[str, ProjectionCheckpoint] = {}
        try:
            with self.connection.transaction():
                begins = not self._has_past and any(rows[0].position > self._block_events for _, rows in pages)
                if begins:
                    past.create(self.connection, self.projections)
                for projections, rows in pages:
                    reached |= fold(projections, rows)
                generation.save(self.connection, self.checkpoints | reached)
        except BaseException:
            for buffers in self._buffers.values():
                buffers.clear()
            raise
        self._has_past |= begins
        return reached

    def _pages(self, until: Position | None) -> list[ReadPage]:
        """Return the next rows for each group of projections at the same position. Normally there is one group."""
        now = self._clock.monotonic()
        groups: dict[Position, list[Projection]] = {}
        for projection in self.projections:
            if projection.name not in self._retries or self._retries[projection.name][0] <= now:
                groups.setdefault(self.checkpoints[projection.name].position, []).append(projection)
        pages = [(group, self._page(after, until)) for after, group in groups.items()]
        return [(group, rows) for group, rows in pages if rows]

    def _page(self, after: Position, until: Position | None) -> list[Row]:
        """Return the next rows. They are in one block, so that the past does not depend on how pages are cut."""
        end = (after // self._block_events + 1) * self._block_events
        return self._log.rows(after, self.page_events_max, end if until is None else min(end, until))

    def _schedule(self, name: str, checkpoint: ProjectionCheckpoint) -> None:
        if checkpoint.error is None:
            self._retries.pop(name, None)
        else:
            delay = min(self._retries[name][1] * 2, RETRY_SECONDS_MAX) if name in self._retries else 1.0
            self._retries[name] = (self._clock.monotonic() + delay, delay)

    def _fold(self, projections: Sequence[Projection], rows: list[Row]) -> dict[str, ProjectionCheckpoint]:
        """Apply a page at once. Each event is decoded once. A page without any costs a projection nothing."""
        block = (rows[0].position - 1) // self._block_events
        kinds = {row.type for row in rows}
        due = [one for one in projections if one.handles(kinds)]
        past.apply([(one, Rows(self.connection, self._buffers[one.name], block)) for one in due], rows, self._decode)
        last = rows[-1]
        return {one.name: ProjectionCheckpoint(one.version, last.position, last.chain) for one in projections}

    def _fold_apart(self, projections: Sequence[Projection], rows: list[Row]) -> dict[str, ProjectionCheckpoint]:
        """Apply a page to each projection at once. Where that fails, apply its events one by one up to the failure."""
        execute = self.connection.execute
        reached: dict[str, ProjectionCheckpoint] = {}
        for projection in projections:
            execute("SAVEPOINT page")
            try:
                reached |= self._fold((projection,), rows)
            except (OSError, DatabaseDamaged):
                raise
            except Exception:
                execute("ROLLBACK TO page")
                self._buffers[projection.name].clear()
                reached[projection.name] = self._fold_singly(projection, rows)
            execute("RELEASE page")
        return reached

    def _fold_singly(self, projection: Projection, rows: list[Row]) -> ProjectionCheckpoint:
        execute = self.connection.execute
        reached = self.checkpoints[projection.name]
        for row in rows:
            execute("SAVEPOINT event")
            try:
                reached = self._fold((projection,), [row])[projection.name]
            except (OSError, DatabaseDamaged):
                raise
            except Exception as error:
                execute("ROLLBACK TO event")
                self._buffers[projection.name].clear()
                execute("RELEASE event")
                text = f"{type(error).__name__}: {error}"[:ERROR_CHARS_MAX]
                return ProjectionCheckpoint(projection.version, reached.position, reached.chain, text, row.position)
            execute("RELEASE event")
        return reached
