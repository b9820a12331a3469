"""The move of a log to another kind of database: rows, keys, guards and checkpoints, as they are, all or nothing.

What arrives becomes visible in one commit, after it was proved. Until then there is nothing in the target, so a move
that was cut short leaves nothing behind and is begun again; after it, what is left to do is done again harmlessly.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias

import msgspec

from athena_core.event import Position, Value
from athena_core.log.port import StoreReader
from athena_core.protocols import Cell, Row

PAGE_ROWS = 2_000


class MovedTable(NamedTuple):
    """A table that moves: its columns, and those of its key with values that are less than all of theirs."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    least: tuple[Cell, ...]

    def page(self, mark: str) -> str:
        """The statement for the rows after a key, with this mark for values."""
        key, marks = ", ".join(self.key), ", ".join([mark] * len(self.key))
        return (
            f"SELECT {', '.join(self.columns)} FROM {self.name} WHERE ({key}) > ({marks}) ORDER BY {key}"
            f" LIMIT {PAGE_ROWS}"
        )


TABLES = (
    MovedTable("log", Row._fields, ("position",), (0,)),
    MovedTable(
        "command",
        ("key_hash", "fingerprint", "recorded_at", "first_position", "count", "subject", "answer"),
        ("key_hash",),
        (b"",),
    ),
    MovedTable("guard", ("kind", "key", "value", "position"), ("kind", "key"), ("", "")),
    MovedTable("checkpoint", ("name", "position"), ("name",), ("",)),
)

Cells: TypeAlias = tuple[Cell, ...]


class MoveEnd(Protocol):
    """One end of a move. No other process uses it while it is open."""

    place: str
    """Its name, without a password."""
    anchor: Path
    """The anchor file of this machine."""

    def page(self, table: MovedTable, after: Cells) -> Sequence[Cells]:
        """Rows of a table in the order of its key, after one."""

    def size(self, table: MovedTable) -> int:
        """Return the number of rows of a table."""

    def check(self) -> None:
        """Raise ConfigError if a process uses it."""

    def close(self) -> None:
        """Let others in; what was not committed is gone."""


class MoveSource(MoveEnd, Protocol):
    """The log that is moved."""

    meta: Mapping[str, str]
    """Its description (``log_id``, ``format``); ``moved`` is the place that it was moved to before."""

    def retire(self, place: str) -> None:
        """Refuse every later start, and say where the log is now."""


class MoveTarget(MoveEnd, Protocol):
    """The place that a log is moved to: empty, or ``occupied`` by a log that arrived before."""

    occupied: bool
    meta: Mapping[str, str]

    def begin(self, described: Mapping[str, str]) -> None:
        """Make an empty log with the description of another, which others do not see yet."""

    def put(self, table: MovedTable, rows: Sequence[Cells]) -> None:
        """Add rows."""

    def reader(self) -> StoreReader:
        """A reader of what is there."""

    def commit(self) -> None:
        """Make durable what arrived, and let it be seen."""


class MoveProgress(Value):
    """The progress of a move, in rows."""

    position: Position
    head: Position
    events_per_second: int = 0


def pages(side: MoveEnd, table: MovedTable) -> Iterator[Sequence[Cells]]:
    """All rows of a table in the order of its key."""
    places = [table.columns.index(name) for name in table.key]
    after: Cells = table.least
    while rows := side.page(table, after):
        yield rows
        after = tuple(rows[-1][place] for place in places)


def copy(origin: MoveSource, target: MoveTarget) -> Iterator[MoveProgress]:
    """Copy everything, a page at a time."""
    began, done = time.monotonic(), 0
    head = sum(origin.size(table) for table in TABLES)
    yield MoveProgress(position=0, head=head)
    for table in TABLES:
        for rows in pages(origin, table):
            target.put(table, rows)
            done += len(rows)
            rate = round(done / max(time.monotonic() - began, 1e-6))
            yield MoveProgress(position=done, head=head, events_per_second=rate)


def digests(side: MoveEnd) -> dict[str, str]:
    """SHA-256 of each table: its rows as msgpack in the order of columns and key, every byte of every column."""
    encoder, found = msgspec.msgpack.Encoder(), {}
    for table in TABLES:
        sha256 = hashlib.sha256()
        for rows in pages(side, table):
            for row in rows:
                sha256.update(encoder.encode(row))
        found[table.name] = sha256.hexdigest()
    return found
