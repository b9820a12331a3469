"""The cost of a replayed event by projection, in CPU time.

``python -m benchmarks.folds DIRECTORY [EVENTS]`` folds a log into views in memory, each projection for itself, and
prints a table. ``benchmarks.history`` writes a log.
"""

import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import apsw
import msgspec

from athena_core.clock import SystemClock
from athena_core.domain import EVENTS
from athena_core.event import Event, Position, Recorded
from athena_core.log.codec import Codec
from athena_core.log.sqlite.reader import SqliteArchive
from athena_core.log.sqlite.views import SqliteViewConnection
from athena_core.protocols import PublicCells, Row
from athena_core.system import gc_tuning
from projections import ALL
from projections.engine import generation
from projections.engine.projection import Projection
from projections.engine.projector import PAGE_EVENTS_MAX, Projector


class Cost(msgspec.Struct):
    """The CPU seconds of a part: in handlers and buffers, and in statements of the database."""

    part: str
    fold: float
    write: float = 0


class TimedConnection(SqliteViewConnection):
    """A connection that counts the CPU seconds of its writes."""

    seconds = 0.0

    def executemany(self, statement: str, rows: Any) -> object:
        """Run one statement for many rows, and count its time."""
        began = time.process_time()
        try:
            return super().executemany(statement, rows)
        finally:
            self.seconds += time.process_time() - began


class ReadLog:
    """A reader of rows that were read, and a decoder of events that were decoded."""

    def __init__(self, log_id: str, rows: Sequence[Row], events: Sequence[Recorded[Event] | None]) -> None:
        """Hold the rows and their events."""
        self.log_id = log_id
        self._rows, self._events = rows, events

    def head(self) -> Position:
        """Return the last position."""
        return len(self._rows)

    def rows(self, after: Position, limit: int, until: Position | None = None) -> list[Row]:
        """Return a page."""
        return list(self._rows[after : after + limit])

    def shown(
        self, after: Position, limit: int, until: Position | None = None, bytes_max: int = 0
    ) -> Sequence[PublicCells]:
        """Raise NotImplementedError: no projection reads it."""
        raise NotImplementedError

    def row(self, position: Position) -> Row | None:
        """Return one row."""
        return self._rows[position - 1]

    def decode(self, row: Row, *, text: bool = True) -> Recorded[Event]:
        """Return the event of a row."""
        event = self._events[row.position - 1]
        assert event is not None
        return event

    def close(self) -> None:
        """Do nothing: nothing is open."""


def costs(directory: Path, events: int) -> tuple[int, list[Cost]]:
    """Return the number of events, and the costs of reading, decoding and each projection, the dearest first."""
    archive = SqliteArchive(directory / "log.db")
    reader, decode = archive.reader(), Codec(EVENTS).decode
    handled = {kind for projection in ALL for kind in projection.handlers}
    began, rows = time.process_time(), list[Row]()
    while len(rows) < events and (page := reader.rows(len(rows), min(PAGE_EVENTS_MAX, events - len(rows)))):
        rows += page
    read = time.process_time()
    recorded = [decode(row) if row.type in handled else None for row in rows]
    parts = [Cost("read a row", read - began), Cost("decode an event", time.process_time() - read)]
    reader.close()
    log = ReadLog(reader.log_id, rows, recorded)
    parts += sorted((_cost(projection, log) for projection in ALL), key=lambda cost: -cost.fold - cost.write)
    return len(rows), parts


def _cost(projection: Projection, log: ReadLog) -> Cost:
    """Fold the log into the tables of one projection."""
    connection = TimedConnection(apsw.Connection(":memory:"))
    generation.create(connection, (projection,), log.log_id, 0)
    projector = Projector(connection, (projection,), log, log.decode, SystemClock())
    began = time.process_time()
    while projector.step() is not None:
        pass
    spent = time.process_time() - began
    connection.close()
    return Cost(projection.name, spent - connection.seconds, connection.seconds)


def table(events: int, parts: Iterable[Cost]) -> list[str]:
    """Return the lines of the table, in µs for each event of the log."""
    lines = ["| part | fold, µs | write, µs |", "| --- | ---: | ---: |"]
    whole = Cost("sum", 0)
    for cost in parts:
        whole.fold, whole.write = whole.fold + cost.fold, whole.write + cost.write
        lines.append(_line(cost, events))
    return [*lines, _line(whole, events)]


def _line(cost: Cost, events: int) -> str:
    fold, write = (seconds / events * 1e6 for seconds in (cost.fold, cost.write))
    return f"| {cost.part} | {fold:.2f} | {write:.2f} |"


def main() -> None:
    """Print the table of a log."""
    directory, *events = sys.argv[1:]
    gc_tuning.tune_gc()
    print(*table(*costs(Path(directory), *map(int, events or ("150000",)))), sep="\n")


if __name__ == "__main__":
    main()
