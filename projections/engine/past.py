"""The past of the views: rows as they were at an earlier position, read by the statements that read today's.

Each table has a twin with earlier versions of its rows, as they were at the beginning of each block of positions. As of
a position, a table is the versions of the last block that has begun, and over them an overlay: the rows that the events
since then have changed, written by the ordinary handlers.

What was erased since is erased in the past as well. An erasure changes every version of the rows that it touches, and
an overlay is made from a log without the text.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from athena_core.event import Position, Recorded
from athena_core.protocols import Cell, Connection, Decode, LogReader, PastConnection, Row
from projections.engine.projection import PAST, SINCE, UNTIL, Handler, Projection, Rows, Table

R = TypeVar("R", bound=msgspec.Struct)

ERASING = "payload.redacted"
"""The type of the event that erases the text of its ``target``."""

ERASED = "UPDATE generation SET erased_at = ?"
"""Marks an erasure, after which overlays are made anew."""
SELECT_STATE = "SELECT has_past, erased_at FROM generation"
SET_HAS_PAST = "UPDATE generation SET has_past = 1"

FOLD_EVENTS = 1_000
"""Number of events that are read at once."""


def create(connection: Connection, projections: Iterable[Projection]) -> None:
    """Create the tables of earlier versions, in the transaction that applies the first event after a block."""
    for projection in projections:
        for table in projection.tables:
            connection.execute(table.create_past)
    connection.execute(SET_HAS_PAST)


def apply(buffers: Sequence[tuple[Projection, Rows]], rows: Sequence[Row], decode: Decode) -> None:
    """Apply a page of events to the rows of projections. Each event is decoded once. Raise what a handler raises."""
    kinds = {row.type for row in rows}
    handlers: dict[str, list[tuple[Handler[Any], Rows]]] = {}
    for projection, buffer in buffers:
        if projection.every is not None:
            projection.every(buffer, rows)
        for kind in kinds.intersection(projection.handlers):
            handler = projection.handlers[kind]
            if kind == ERASING and not isinstance(buffer, Overlay):
                handler = _through_the_past(handler)
            handlers.setdefault(kind, []).append((handler, buffer))
    handlers_of = handlers.get
    for row in rows:
        found = handlers_of(row.type)
        if found is not None:
            recorded = decode(row)
            for handler, buffer in found:
                handler(buffer, recorded)
    for _, buffer in buffers:
        buffer.flush()


class Unadded(Rows):
    """Rows of the past, to which an erasure adds nothing: it is recorded later."""

    def append(self, table: Table[R], row: R) -> None:
        """Add nothing."""

    def insert(self, table: Table[Any], cells: Sequence[Cell]) -> None:
        """Add nothing."""


class Versions(Unadded):
    """Rows as they were at the beginning of a block. Changes replace the versions; nothing is added or deleted."""

    def __init__(self, connection: Connection, block: int) -> None:
        """Read and write through ``connection``, which is in a transaction."""
        super().__init__(connection, None, block)
        self._until: dict[tuple[str, Any], Cell] = {}

    def _load(self, table: Table[R], *key: Cell) -> R | None:
        for *cells, until in self.connection.execute(_version(table), (*key, self.block, self.block)):
            self._until[table.name, key if len(key) > 1 else key[0]] = until
            return table.load(tuple(cells))
        rows = list(self.connection.execute(f"{table.select} AND {SINCE} < ?", (*key, self.block)))
        return table.load(rows[0]) if rows else None  # unchanged since: it is erased where it stands

    def flush(self) -> None:
        for table, buffer in self._buffers.items():
            for key in buffer.changes:
                until = self._until.get((table.name, key))
                if until is not None:
                    cells = zip(table.columns, table.cells(buffer.rows[key]), strict=True)
                    others = [cell for column, cell in cells if column not in table.key]
                    values = (*others, *table.tuples([key])[0], until)
                    self.connection.execute(_replace(table), values)


def _version(table: Table[Any]) -> str:
    return (
        f"SELECT {', '.join((*table.columns, UNTIL))} FROM {table.name}{PAST}"
        f" WHERE {table.where} AND {UNTIL} >= ? AND {SINCE} < ? ORDER BY {UNTIL} LIMIT 1"
    )


def _replace(table: Table[Any]) -> str:
    changes = ", ".join(f"{column} = ?" for column in table.columns if column not in table.key)
    return f"UPDATE {table.name}{PAST} SET {changes} WHERE {table.where} AND {UNTIL} = ?"


def _through_the_past(handler: Handler[Any]) -> Handler[Any]:
    """Return the handler of an erasure that erases in the past as well.

    It runs again over the versions of all rows that it has looked at, block by block: an earlier version may hold the
    text where the row of today does not, or lead to a row that has more versions.
    """

    def erase(rows: Rows, recorded: Recorded[Any]) -> None:
        rows.flush()
        rows.forget()
        handler(rows, recorded)
        looked_at = rows.looked_at() if rows.block else set()
        rows.flush()
        connection = rows.connection
        connection.execute(ERASED, (recorded.position,))
        erased: set[int] = set()
        while blocks := _blocks(connection, looked_at) - erased:
            looked_at = set()
            for block in sorted(blocks):
                versions = Versions(connection, block)
                handler(versions, recorded)
                looked_at |= versions.looked_at()
                versions.flush()
            erased |= blocks

    return erase


def _blocks(connection: Connection, rows: Iterable[tuple[Table[Any], Any]]) -> set[int]:
    """Return the last blocks of the earlier versions of rows."""
    return {
        int(until or 0)
        for table, key in rows
        for (until,) in connection.execute(
            f"SELECT {UNTIL} FROM {table.name}{PAST} WHERE {table.where}", table.tuples([key])[0]
        )
    }


class Overlay(Rows):
    """The rows of a page of events, written over the rows of the beginning of a block."""

    def flush(self) -> None:
        """Write the changes to the overlays."""
        many = self.connection.executemany
        for table, buffer in self._buffers.items():
            rows = [table.cells(self._summed(table, key, sums)) for key, sums in buffer.tallies.items()]
            rows += [table.cells(row) for key in buffer.changes if (row := buffer.rows[key]) is not None]
            self._insert(table)
            if rows:
                many(_put(table), rows)
            gone = [key for key in buffer.changes if buffer.rows[key] is None]
            if gone:
                many(_hide(table), table.tuples(gone))
        self._buffers.clear()

    def _insert(self, table: Table[Any]) -> None:
        buffer = self._buffers[table]
        if buffer.cells:
            self.connection.executemany(_put(table), buffer.cells)
            buffer.cells = []

    def _summed(self, table: Table[Any], key: Any, sums: Any) -> Any:
        """Return the row with the sums of the page added."""
        row = table.one(self.connection, *table.tuples([key])[0])
        if row is None:
            return sums
        for column in table.columns:
            if column not in table.key:
                setattr(row, column, getattr(row, column) + getattr(sums, column))
        return row


class Erasing(Unadded, Overlay):
    """An overlay in which text is erased that was erased after the position of the overlay."""


def _put(table: Table[Any]) -> str:
    names = ", ".join((*table.columns, "gone_"))
    changes = ", ".join(f"{name} = excluded.{name}" for name in (*table.columns, "gone_") if name not in table.key)
    return (
        f"INSERT INTO {table.overlay} ({names}) VALUES ({'?, ' * len(table.columns)}0)"
        f" ON CONFLICT ({', '.join(table.key)}) DO UPDATE SET {changes}"
    )


def _hide(table: Table[Any]) -> str:
    names = ", ".join((*table.key, "gone_"))
    return (
        f"INSERT INTO {table.overlay} ({names}) VALUES ({'?, ' * len(table.key)}1)"
        f" ON CONFLICT ({', '.join(table.key)}) DO UPDATE SET gone_ = excluded.gone_"
    )


def shadow(connection: PastConnection, table: Table[Any], block_events: int, *, has_past: bool) -> None:
    """Make the overlay of a table. From then on, the name of the table means its rows in the past.

    Rows that began after the block did are left out by position as well, so that a list does not pass over them.
    """
    columns = ", ".join(table.columns)
    source = f"{connection.source}.{table.name}"
    same = " AND ".join(f"o.{column} = t.{column}" for column in table.key)
    free = f"NOT EXISTS (SELECT 1 FROM {table.overlay} o WHERE {same})"
    before = f"{SINCE} < {connection.block}"
    if table.begins_at:
        before += f" AND {table.begins_at} <= {connection.block} * {block_events}"
    earlier = (
        f" UNION ALL SELECT {columns} FROM {source}{PAST} t"
        f" WHERE {SINCE} < {connection.block} AND {UNTIL} >= {connection.block} AND {free}"
    )
    connection.execute(table.create_overlay)
    connection.execute(
        f"CREATE TEMP VIEW {table.name} AS"
        f" SELECT {columns} FROM {source} t WHERE {before} AND {free}{earlier if has_past else ''}"
        f" UNION ALL SELECT {columns} FROM {table.overlay} WHERE gone_ = 0"
    )


def clear(connection: PastConnection, table: Table[Any]) -> None:
    """Empty the overlay of a table."""
    connection.execute(f"DELETE FROM {table.overlay}")


def state_of(connection: Connection) -> tuple[Cell, ...]:
    """Return 1 if there are earlier versions, else 0, and the position of the last erasure that is applied."""
    return next(connection.execute(SELECT_STATE))


def erased_until(connection: Connection) -> Position:
    """Return the position of the last erasure that is applied."""
    _, position = state_of(connection)
    return int(position or 0)


def fold(
    connection: Connection,
    projections: Sequence[Projection],
    log: LogReader,
    decode: Decode,
    after: Position,
    until: Position,
) -> Iterator[int]:
    """Write the events ``after < position <= until`` to the overlays, and yield their sizes in bytes, page by page.

    Raise what a handler raises.
    """
    erased: set[Position] = set()
    """The events of the overlay whose text was erased later."""
    while rows := log.rows(after, FOLD_EVENTS, until):
        yield sum(len(row.data) + len(row.text or b"") for row in rows)
        apply([(projection, Overlay(connection)) for projection in projections], rows, decode)
        erased.update(row.position for row in rows if row.text is None and row.text_hash is not None)
        after = rows[-1].position
    for projection in projections:
        overlay = Erasing(connection)
        for handler, recorded in erasures(projection, sorted(erased), until):
            handler(overlay, recorded)
        overlay.flush()


def erasures(
    projection: Projection, targets: Iterable[Position], position: Position
) -> Iterator[tuple[Handler[Any], Recorded[Any]]]:
    """Yield the erasures of texts that are no longer in the log, as of a position before they happened."""
    kind = next((event for event in projection.events if event.TYPE == ERASING), None)
    if kind is None:
        return
    for target in targets:
        event = kind(target=target)
        yield (
            projection.handlers[ERASING],
            Recorded(position, "", 0, ERASING, 0, "", "", None, "", None, None, b"", event),
        )
