"""The move of a log to another kind of database: an unchanged copy of rows, keys, guards and checkpoints.

The copy is verified, then becomes visible in one commit. Before it, an interrupted move leaves the target empty and is
started again. After it, the remaining steps can be repeated safely.
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
    """A table to move: its columns, its key columns, and a key below all others."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    least: tuple[Cell, ...]

    def page(self, mark: str) -> str:
        """Return the statement for the page of rows after a key, with the placeholder ``mark``."""
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
    MovedTable("token_use", ("token_id", "used_at"), ("token_id",), ("",)),
)

Cells: TypeAlias = tuple[Cell, ...]


class MoveEnd(Protocol):
    """One end of a move, locked against other processes."""

    place: str
    """The name of the place, without a password."""
    anchor: Path
    """The anchor file of this machine."""

    def page(self, table: MovedTable, after: Cells) -> Sequence[Cells]:
        """Return a page of rows after a key, in the order of the key. A table that an older log lacks is empty."""

    def size(self, table: MovedTable) -> int:
        """Return the number of rows of a table; 0 if it is missing."""

    def check(self) -> None:
        """Raise ConfigError if a process uses it."""

    def close(self) -> None:
        """Release the lock. Uncommitted changes are lost."""


class MoveSource(MoveEnd, Protocol):
    """The log to move."""

    meta: Mapping[str, str]
    """The description of the log (``log_id``, ``format``); ``moved`` is set if it was already moved."""

    def retire(self, place: str) -> None:
        """Make every later start fail with the new place of the log."""


class MoveTarget(MoveEnd, Protocol):
    """The target of a move: empty, or ``occupied`` by a log from an earlier move."""

    occupied: bool
    meta: Mapping[str, str]

    def begin(self, described: Mapping[str, str]) -> None:
        """Create an empty log with the description of the source, invisible to others."""

    def put(self, table: MovedTable, rows: Sequence[Cells]) -> None:
        """Insert rows."""

    def reader(self) -> StoreReader:
        """Open a reader of the target."""

    def commit(self) -> None:
        """Commit the copy: make it durable and visible."""


class MoveProgress(Value):
    """The progress of a move, in rows."""

    position: Position
    head: Position
    events_per_second: int = 0


def pages(side: MoveEnd, table: MovedTable) -> Iterator[Sequence[Cells]]:
    """Yield all rows of a table, in pages and in the order of the key."""
    places = [table.columns.index(name) for name in table.key]
    after: Cells = table.least
    while rows := side.page(table, after):
        yield rows
        after = tuple(rows[-1][place] for place in places)


def copy(origin: MoveSource, target: MoveTarget) -> Iterator[MoveProgress]:
    """Copy all tables, one page at a time."""
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
    """Return the SHA-256 of each table, over its rows as msgpack in the order of the key."""
    encoder, found = msgspec.msgpack.Encoder(), {}
    for table in TABLES:
        sha256 = hashlib.sha256()
        for rows in pages(side, table):
            for row in rows:
                sha256.update(encoder.encode(row))
        found[table.name] = sha256.hexdigest()
    return found
