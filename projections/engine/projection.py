"""The projection: the tables of a read model, and the handlers that turn events into rows."""

import types
import typing
from collections.abc import Callable, Iterable, Sequence, Set
from functools import lru_cache
from itertools import islice
from operator import attrgetter
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec

from athena_core.event import Event, Position, Recorded
from athena_core.protocols import Cell, Connection, Row

R = TypeVar("R", bound=msgspec.Struct)
E = TypeVar("E", bound=Event)

COLUMN_TYPES: dict[object, str] = {str: "TEXT", int: "INTEGER", bool: "INTEGER", bytes: "BLOB"}

ONLY_ROW = 1
"""The key of a table with one row."""

INSERT, UPSERT, DELETE = range(3)
BLOCK_EVENTS = 4_096
"""The number of positions in a block. The past of a table is its rows as they were at the beginning of each block."""
PAST, SINCE, UNTIL = "_past", "since_", "until_"
"""The twin of a table with earlier versions of its rows. A version is of the blocks ``since_ < block <= until_``."""
POSITION = "position"
"""A key or place of this name is the position of the event that made the row."""
UNKNOWN: Any = object()
CACHED_ROWS_MAX = 200
"""Number of rows of a cached table that stay in memory between two pages."""


def to_json(value: object) -> str:
    """Return the text of a JSON column."""
    return msgspec.json.encode(value).decode()


def to_json_or_null(value: object) -> str | None:
    """Return the text of a JSON column, or NULL for None."""
    return None if value is None else to_json(value)


class Table(Generic[R]):
    """A table of a projection. The annotations of its row class are the columns, in order.

    A column whose type is a struct holds its JSON, and is decoded when the row is read.
    With ``cached`` its rows stay in memory between two pages. Use it for short rows that later events soon read. Long
    rows are stored by their ``place``, a unique integer column beside the key, in the order of a list. ``answer``
    computes the column of that name of each row that is written.
    """

    def __init__(
        self,
        name: str,
        row: type[R],
        *,
        key: tuple[str, ...],
        indexes: tuple[tuple[str, ...], ...] = (),
        cached: bool = False,
        place: str | None = None,
        answer: Callable[[R], bytes] | None = None,
    ) -> None:
        """Derive the statements. Columns hold text, integers, booleans or bytes; only ``| None`` ones may be NULL."""
        hints = typing.get_type_hints(row)  # without descriptions
        fields = {name: hints[name] for name in row.__struct_fields__}
        self.name = name
        self.row = row
        self.key = key
        self.cached = cached
        self.place = place
        self.begins_at = next((column for column in (place, *key) if column == POSITION), None)
        self.answer = answer
        self.columns = tuple(fields)
        self.key_of: Callable[[R], Any] = attrgetter(*key)
        self._decoders: tuple[tuple[int, Callable[[Any], object]], ...] = tuple(
            (index, decoder) for index, kind in enumerate(fields.values()) if (decoder := _decoder_of(kind))
        )
        self._structs = tuple(index for index, kind in enumerate(fields.values()) if _is_struct(kind))
        self.create, self.create_past = _create(name, fields, key, indexes, place)
        kinds = (f"{column} {COLUMN_TYPES[_stored(kind)[0]]}" for column, kind in fields.items())
        overlay = ", ".join((*kinds, "gone_ INTEGER NOT NULL", f"PRIMARY KEY ({', '.join(key)})"))
        self.overlay = f"{name}_overlay"
        self.create_overlay = f"CREATE TEMP TABLE {self.overlay} ({overlay}) STRICT"
        columns = ", ".join(fields)
        self.where = " AND ".join(f"{column} = ?" for column in key)
        self.all = f"SELECT {columns} FROM {name}"
        self.select = f"{self.all} WHERE {self.where}"
        self.delete = f"DELETE FROM {name} WHERE {self.where}"
        order = ", ".join(key)
        self.scan = f"{self.all} ORDER BY {order}"
        self.scan_since = f"SELECT {columns}, {SINCE} FROM {name} ORDER BY {order}"
        self.scan_past = f"SELECT {columns}, {SINCE}, {UNTIL} FROM {name}{PAST} ORDER BY {order}, {UNTIL}"

    def look_up(self, column: str, key: str) -> str:
        """Return the SQL of a column of the row whose key is the SQL ``key``, or of NULL.

        Use it instead of LEFT JOIN: as of an earlier position, a join would read all rows of this table.
        """
        return f"(SELECT {self.name}.{column} FROM {self.name} WHERE {self.name}.{self.key[0]} = {key})"

    def load(self, values: tuple[Cell, ...]) -> R:
        """Return a row from its columns."""
        if self._decoders:
            cells: list[Any] = list(values)
            for index, decode in self._decoders:
                if cells[index] is not None:
                    cells[index] = decode(cells[index])
            return self.row(*cells)
        return self.row(*values)

    def cells(self, row: R) -> tuple[Cell, ...]:
        """Return the columns of a row."""
        if self.answer is not None:
            row.answer = self.answer(row)  # type: ignore[attr-defined]
        if self._structs:
            cells: list[Any] = list(msgspec.structs.astuple(row))
            for index in self._structs:
                cells[index] = to_json(cells[index])
            return tuple(cells)
        return msgspec.structs.astuple(row)

    def tuples(self, keys: list[Any]) -> list[tuple[Cell, ...]]:
        """Return the values of keys, as statements take them."""
        return keys if len(self.key) > 1 else [(key,) for key in keys]

    def one(self, connection: Connection, *key: Cell) -> R | None:
        """Return the stored row with this key."""
        rows = list(connection.execute(self.select, key))
        return self.load(rows[0]) if rows else None


class BlockStatements(NamedTuple):
    """The statements that change a table while the events of a block are applied.

    ``keep`` copies a row that has not changed since the block began into the past.
    """

    insert: str
    upsert: str
    add: str
    keep: str


@lru_cache(maxsize=1_024)
def during(table: Table[Any], block: int) -> BlockStatements:
    """Return the statements for a block."""
    name, columns, marks = table.name, ", ".join(table.columns), "?, " * len(table.columns)
    others = [column for column in table.columns if column not in table.key and column != table.place]
    changes = [f"{column} = excluded.{column}" for column in (*others, SINCE)]
    sums = [f"{column} = {name}.{column} + excluded.{column}" for column in others]
    insert = f"INSERT INTO {name} ({columns}, {SINCE}) VALUES ({marks}{block})"
    known = f"{insert} ON CONFLICT ({', '.join(table.key)}) DO UPDATE SET"
    return BlockStatements(
        insert=insert,
        upsert=f"{known} {', '.join(changes)}",
        add=f"{known} {', '.join((*sums, changes[-1]))}",
        keep=f"INSERT INTO {name}{PAST} ({columns}, {SINCE}, {UNTIL}) SELECT {columns}, {SINCE}, {block} FROM {name}"
        f" WHERE {table.where} AND {SINCE} < {block}",
    )


def _stored(kind: object) -> tuple[object, bool]:
    """Return the type of a column, and True if it may be NULL. A Literal of strings is text, and so is a struct."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        inner = [option for option in typing.get_args(kind) if option is not types.NoneType]
        return _stored(inner[0])[0] if len(inner) == 1 else kind, True
    if typing.get_origin(kind) is typing.Literal and all(isinstance(one, str) for one in typing.get_args(kind)):
        return str, False
    return str if _is_struct(kind) else kind, False


def _is_struct(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _decoder_of(kind: object) -> Callable[[Any], object] | None:
    """Return the function that turns a cell into the value of a column; None if the cell is the value."""
    if _is_struct(kind):
        return msgspec.json.Decoder(kind).decode
    return bool if _stored(kind)[0] is bool else None


def _create(
    name: str, fields: dict[str, Any], key: tuple[str, ...], indexes: tuple[tuple[str, ...], ...], place: str | None
) -> tuple[tuple[str, ...], str]:
    """Return the statements for the table with its indexes, and the one for its twin with earlier versions."""
    lines = []
    for column, kind in fields.items():
        inner, nullable = _stored(kind)
        if inner not in COLUMN_TYPES or (nullable and column in key):
            raise TypeError(f"{name}.{column} cannot be {kind}")
        lines.append(f"{column} {COLUMN_TYPES[inner]}" + ("" if nullable else " NOT NULL"))
    stored_by = key if place is None else (place,)
    beside = () if place is None else (f"UNIQUE ({', '.join(key)})",)
    whole_number = len(stored_by) == 1 and _stored(fields[stored_by[0]])[0] is int
    lines.append(f"{SINCE} INTEGER NOT NULL")
    options = "STRICT" if whole_number else "STRICT, WITHOUT ROWID"
    primary = f"PRIMARY KEY ({', '.join(stored_by)})"
    past = (*lines, f"{UNTIL} INTEGER NOT NULL", f"PRIMARY KEY ({', '.join((*key, UNTIL))})")
    create = (
        f"CREATE TABLE {name} ({', '.join((*lines, primary, *beside))}) {options}",
        *(
            f"CREATE INDEX {name}_by_{'_'.join(index)} ON {name} ({', '.join(index)})"
            + (f" WHERE {index[0]} IS NOT NULL" if _stored(fields[index[0]])[1] else "")
            for index in indexes
        ),
    )
    return create, f"CREATE TABLE IF NOT EXISTS {name}{PAST} ({', '.join(past)}) STRICT, WITHOUT ROWID"


class _Buffer:
    """The rows of one table that a page has read or changed, and the sums that it adds to others."""

    __slots__ = ("block", "cells", "changes", "rows", "settled", "tallies")

    def __init__(self) -> None:
        self.block = -1
        self.settled: set[Any] = set()
        """The keys of rows that have been made or changed in the block: their past is complete."""
        self.rows: dict[Any, Any] = {}
        self.changes: dict[Any, int] = {}
        self.tallies: dict[Any, Any] = {}
        self.cells: list[Sequence[Cell]] = []


class Buffers(dict[Table[Any], _Buffer]):
    """The rows of a projection in memory, by table. Cached tables keep theirs between pages."""

    def __missing__(self, table: Table[Any]) -> _Buffer:
        buffer = self[table] = _Buffer()
        return buffer


class Rows:
    """The rows of a page of events: read through, and written back at its end with one statement per table and kind.

    A row from ``get`` may be changed in place only if it is ``put`` afterwards. A row from ``change`` is always
    written.
    """

    def __init__(self, connection: Connection, buffers: Buffers | None = None, block: int = 0) -> None:
        """Buffer over a connection that is in a transaction. ``buffers`` come from the page before.

        After a rollback the caller must clear them. All events of the page are in ``block``.
        """
        self.connection = connection
        self._buffers = Buffers() if buffers is None else buffers
        self.block = block
        self.found: dict[Any, Any] = {}
        """Parts of rows that handlers of this page have found and marked as changed."""

    def get(self, table: Table[R], *key: Cell) -> R | None:
        """Return the row with this key as of the current event."""
        known = self._buffers[table].rows
        where = key if len(key) > 1 else key[0]
        row: R | None = known.get(where, UNKNOWN)
        if row is UNKNOWN:
            self._insert(table)
            row = known[where] = self._load(table, *key)
        return row

    def _load(self, table: Table[R], *key: Cell) -> R | None:
        return table.one(self.connection, *key)

    def need(self, table: Table[R], *key: Cell) -> R:
        """Return the row with this key. Raise LookupError, which stops the projection, if it does not exist."""
        row = self.get(table, *key)
        if row is None:
            raise LookupError(f"{table.name} has no row {', '.join(map(str, key))}")
        return row

    def change(self, table: Table[R], *key: Cell) -> R:
        """Return the row with this key, to be changed in place. It is written at the end of the page."""
        buffer = self._buffers[table]
        where = key if len(key) > 1 else key[0]
        row: R = buffer.rows.get(where) or self.need(table, *key)
        if where not in buffer.changes:
            buffer.changes[where] = UPSERT
        return row

    def tally(self, table: Table[R], *key: Cell) -> R:
        """Return the sums that the page adds to a row. All columns except the key start at 0.

        The row itself is not read and need not exist.
        """
        tallies = self._buffers[table].tallies
        where = key if len(key) > 1 else key[0]
        row: R | None = tallies.get(where)
        if row is None:
            row = tallies[where] = table.row(*key)
        return row

    def put(self, table: Table[R], row: R) -> None:
        """Write a new or changed row."""
        buffer = self._buffers[table]
        key = table.key_of(row)
        buffer.rows[key] = row
        if buffer.changes.get(key) != INSERT:
            buffer.changes[key] = UPSERT

    def append(self, table: Table[R], row: R) -> None:
        """Write a row with a new key."""
        buffer = self._buffers[table]
        key = table.key_of(row)
        buffer.changes[key] = INSERT if key not in buffer.changes else UPSERT
        buffer.rows[key] = row

    def insert(self, table: Table[Any], cells: Sequence[Cell]) -> None:
        """Write a row, given as cells, whose key no row had before. Cheap if no later event of the page reads it."""
        self._buffers[table].cells.append(cells)

    def extend(self, table: Table[Any], cells: Iterable[Sequence[Cell]]) -> None:
        """Write many rows like ``insert``."""
        self._buffers[table].cells += cells

    def _insert(self, table: Table[Any]) -> None:
        """Write the cells of new rows."""
        buffer = self._buffers[table]
        if buffer.cells:
            self.connection.executemany(during(table, self.block).insert, buffer.cells)
            buffer.cells = []

    def delete(self, table: Table[Any], *key: Cell) -> None:
        """Delete the row with this key, if it exists."""
        buffer = self._buffers[table]
        where = key if len(key) > 1 else key[0]
        buffer.rows[where] = None
        if buffer.changes.get(where) == INSERT:
            del buffer.changes[where]
        else:
            buffer.changes[where] = DELETE

    def erase(self, table: Table[R], position: Position, *columns: str) -> R | None:
        """Set columns of the row at a position to NULL. Return the row, if it exists."""
        row = self.get(table, position)
        if row is not None:
            for column in columns:
                setattr(row, column, None)
            self.put(table, row)
        return row

    def forget(self) -> None:
        """Forget the rows of cached tables, so that ``looked_at`` names only those that a handler asks for."""
        for buffer in self._buffers.values():
            buffer.rows = {}

    def looked_at(self) -> set[tuple[Table[Any], Any]]:
        """Return the tables and keys of rows in memory."""
        return {(table, key) for table, buffer in self._buffers.items() for key in buffer.rows}

    def flush(self) -> None:
        """Write the changes. Afterwards the buffer holds only the stored rows of cached tables."""
        self.found.clear()
        many, astuple = self.connection.executemany, msgspec.structs.astuple
        for table, buffer in self._buffers.items():
            block, cells = during(table, self.block), table.cells
            self._insert(table)
            if self.block and (buffer.changes or buffer.tallies):
                self._keep(table, buffer, block.keep)
            if buffer.tallies:
                many(block.add, list(map(astuple, buffer.tallies.values())))
                buffer.tallies = {}
            kinds: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
            for key, kind in buffer.changes.items():
                kinds[kind].append(key)
            rows = buffer.rows
            if kinds[DELETE]:
                many(table.delete, table.tuples(kinds[DELETE]))
            if kinds[UPSERT]:
                many(block.upsert, [cells(rows[key]) for key in kinds[UPSERT]])
            if kinds[INSERT]:
                many(block.insert, [cells(rows[key]) for key in kinds[INSERT]])
            buffer.changes = {}
            if not table.cached:
                buffer.rows = {}
            elif (excess := len(rows) - CACHED_ROWS_MAX) > 0:
                for key in list(islice(rows, excess)):
                    del rows[key]

    def _keep(self, table: Table[Any], buffer: _Buffer, statement: str) -> None:
        """Copy the rows that change for the first time in the block into the past."""
        if buffer.block != self.block:
            buffer.block, buffer.settled = self.block, set()
        settled = buffer.settled
        fresh = [key for key, kind in buffer.changes.items() if kind != INSERT and key not in settled]
        fresh += [key for key in buffer.tallies if key not in settled]
        if fresh:
            self.connection.executemany(statement, table.tuples(fresh))
        settled.update(buffer.changes, buffer.tallies)


Handler: TypeAlias = Callable[[Rows, Recorded[E]], None]
H = TypeVar("H", bound=Handler[Any])
PageHandler: TypeAlias = Callable[[Rows, Sequence[Row]], None]


class Projection:
    """A read model: its name, its tables, and a handler for each event type.

    Raise ``version`` whenever the same events would give other rows: a rebuild follows. Handlers depend only on the
    event and the rows.
    """

    def __init__(self, name: str, *, version: int, tables: tuple[Table[Any], ...]) -> None:
        """Register handlers with ``@PROJECTION.handler`` afterwards."""
        self.name = name
        self.version = version
        self.tables = tables
        self.handlers: dict[str, Handler[Any]] = {}
        self.events: tuple[type[Event], ...] = ()
        self.every: PageHandler | None = None

    def on(self, event: type[Event], handler: Handler[Any]) -> None:
        """Register the handler of an event type. Raise ValueError if there is one."""
        if event.TYPE in self.handlers:
            raise ValueError(f"{self.name} already handles {event.TYPE}")
        self.handlers[event.TYPE] = handler
        self.events += (event,)

    def handler(self, function: H) -> H:
        """Register a handler of the event types in its annotation: ``recorded: Recorded[RunFailed | RunCrashed]``."""
        _, recorded, *_ = function.__annotations__.values()
        (events,) = typing.get_args(recorded)
        for event in typing.get_args(events) or (events,):
            self.on(event, function)
        return function

    def handles(self, kinds: Set[str]) -> bool:
        """Return True if an event of one of these types concerns the projection."""
        return self.every is not None or not self.handlers.keys().isdisjoint(kinds)

    def on_every_row(self, handler: PageHandler) -> PageHandler:
        """Register a handler of all stored rows of a page, including those that cannot be decoded."""
        self.every = handler
        return handler


def joined(*parts: Projection) -> Projection:
    """Return the read model whose parts are in several files. Raise ValueError if their names or versions differ."""
    name, version = parts[0].name, parts[0].version
    if any((part.name, part.version) != (name, version) for part in parts):
        raise ValueError(f"parts of {name} version {version} have another name or version")
    whole = Projection(name, version=version, tables=tuple(table for part in parts for table in part.tables))
    for part in parts:
        for event in part.events:
            whole.on(event, part.handlers[event.TYPE])
    return whole
