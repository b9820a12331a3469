"""Reads a log file through read-only connections."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from sys import getsizeof
from typing import cast

import apsw
import msgspec

from athena_core.errors import ConfigError
from athena_core.event import Position
from athena_core.log.port import KEY_CLOCK, MOVED_TO, READ_BYTES_MAX, SchemaReport, StoredGuard
from athena_core.log.sqlite.connection import open_reader
from athena_core.log.sqlite.schema import schema_of
from athena_core.protocols import PublicCells, PublicRow, Row, StoredKey, row_of
from athena_core.values import PAGE_BYTES_MAX

READ_ROWS = 32
"""How many rows are read between two looks at their size."""

COLUMNS = ", ".join(Row._fields)
SELECT_META = "SELECT value FROM meta WHERE name = ?"
SELECT_META_NAMES = "SELECT name FROM meta LIMIT 20"
SELECT_POSITION = "SELECT max(position) FROM log"
SELECT_ROW = f"SELECT {COLUMNS} FROM log WHERE position = ?"
PAGE = "FROM log WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
SELECT_PAGE = f"SELECT {COLUMNS} {PAGE}"
SELECT_SHOWN = f"SELECT {', '.join(PublicRow._fields)} {PAGE}"
SELECT_STREAM = f"SELECT {COLUMNS} FROM log WHERE stream = ? AND version > ? AND version <= ? ORDER BY version"
SELECT_SESSION = (
    f"SELECT {COLUMNS} FROM log WHERE session_id = ? AND position < ? AND position > ? ORDER BY position DESC"
)
SELECT_KEYS = "SELECT key_hash, first_position, first_position + count - 1, recorded_at, subject FROM command"
SELECT_GUARDS = "SELECT kind, key, value FROM guard ORDER BY position"
SELECT_GUARDS_OF = (
    "SELECT kind, key, guard.value FROM guard WHERE kind IN (SELECT value FROM json_each(?)) ORDER BY position"
)
SELECT_CHECKPOINT = "SELECT position FROM checkpoint WHERE name = ?"

SELECT_HOLDING = """
    SELECT position, public FROM (
        SELECT position, instr(data, ?1) > 0 OR instr(coalesce(extra, x''), ?1) > 0 AS public, text FROM log
        WHERE position > ?2 AND position <= ?3)
    WHERE public OR instr(text, ?1) > 0
"""
SELECT_LAST_VERSION = "SELECT max(version) FROM log WHERE stream = ?"
SELECT_PART = f"{SELECT_STREAM} LIMIT ?"
SELECT_PART_BACKWARDS = SELECT_PART.replace("ORDER BY version", "ORDER BY version DESC")
SELECT_OF_TYPES = SELECT_PAGE.replace("ORDER BY", "AND type IN (SELECT value FROM json_each(?)) ORDER BY")

_texts_of = itemgetter(Row._fields.index("data"), Row._fields.index("text"))
_to_json = msgspec.json.Encoder().encode
_from_json = msgspec.json.Decoder(tuple[str | int, ...]).decode


class SqliteReads:
    """What a reader and the writer read alike, each through its own connection (the writer sees what it writes)."""

    _connection: apsw.Connection

    def rows(self, after: Position, limit: int, until: Position | None = None) -> list[Row]:
        """Rows with ``after < position <= until`` in order, at most ``limit``."""
        last = until if until is not None else 2**62
        return list(map(row_of, self._connection.execute(SELECT_PAGE, (after, last, limit))))

    def stream(self, stream: str, after: int = 0, until: int | None = None) -> list[Row]:
        """The rows of one stream with ``after < version <= until``."""
        last = until if until is not None else 2**62
        return list(map(row_of, self._connection.execute(SELECT_STREAM, (stream, after, last))))

    def guards(self, *kinds: str) -> list[StoredGuard]:
        """Return the guard rows of these kinds, or all, oldest first."""
        if kinds:
            rows = self._connection.execute(SELECT_GUARDS_OF, (_to_json(kinds).decode(),))
        else:
            rows = self._connection.execute(SELECT_GUARDS)
        return [(kind, key, _from_json(value)) for kind, key, value in rows]

    def key_stamp(self) -> str | None:
        """Return the stored stamp of the clock of keys."""
        found: str | None = self._connection.execute(SELECT_META, (KEY_CLOCK,)).get
        return found


class SqliteReader(SqliteReads):
    """Reads the log through a read-only connection of its own; one thread at a time."""

    def __init__(self, path: Path, log_id: str) -> None:
        """Open the connection."""
        self.log_id = log_id
        self._connection = open_reader(path)
        self._seen = -1
        self._head = 0

    def head(self) -> Position:
        """The last committed position; free (4 µs) while nothing was committed."""
        seen = self.changed()
        if seen != self._seen:
            self._head = self._connection.execute(SELECT_POSITION).get or 0
            self._seen = seen
        return self._head

    def rows(self, after: Position, limit: int, until: Position | None = None) -> list[Row]:
        """Rows with ``after < position <= until`` in order, at most ``limit``; fewer where they are large."""
        last = until if until is not None else 2**62
        found = map(row_of, self._connection.execute(SELECT_PAGE, (after, last, limit)))
        rows: list[Row] = []
        left = READ_BYTES_MAX
        while left > 0 and (some := list(islice(found, READ_ROWS))):
            rows += some
            left -= sum(map(getsizeof, chain.from_iterable(map(_texts_of, some))))
        return rows

    def schema(self) -> SchemaReport:
        """Compare what the database holds with what this release creates."""
        return schema_of(self._connection)

    def changed(self) -> int:
        """A number that changes with every commit of another connection."""
        return int(self._connection.execute("PRAGMA data_version").get)

    def shown(
        self, after: Position, limit: int, until: Position | None = None, bytes_max: int = PAGE_BYTES_MAX
    ) -> Sequence[PublicCells]:
        """Return what is published of the same rows, in at most ``bytes_max`` bytes; one row always fits.

        The text is not read, which is several times as fast.
        """
        last = until if until is not None else 2**62
        found = cast(Iterator[PublicCells], self._connection.execute(SELECT_SHOWN, (after, last, limit)))
        rows: list[PublicCells] = []
        left = bytes_max
        for row in found:
            extra = row[7]
            left -= len(row[6]) if extra is None else len(row[6]) + len(extra)
            if left < 0 and rows:
                break
            rows.append(row)
        return rows

    def row(self, position: Position) -> Row | None:
        """One row."""
        found = self._connection.execute(SELECT_ROW, (position,)).fetchone()
        return Row(*found) if found else None

    def session(self, session_id: str, before: Position, after: Position = 0) -> Iterator[Row]:
        """The rows of one session, ``after < position < before``, newest first; close the iterator to stop early."""
        for row in self._connection.execute(SELECT_SESSION, (session_id, before, after)):
            yield Row(*row)

    def keys(self) -> Iterator[StoredKey]:
        """All bound idempotency keys."""
        yield from map(StoredKey._make, self._connection.execute(SELECT_KEYS))

    def checkpoint(self, name: str) -> Position | None:
        """How far a reactor or a foreign follower came."""
        found = self._connection.execute(SELECT_CHECKPOINT, (name,)).fetchone()
        return int(found[0]) if found else None

    def part(self, stream: str, after: int, until: int, limit: int, *, backwards: bool) -> list[Row]:
        """At most ``limit`` rows of one stream with ``after < version <= until``, from one end or the other."""
        statement = SELECT_PART_BACKWARDS if backwards else SELECT_PART
        return list(map(row_of, self._connection.execute(statement, (stream, after, until, limit))))

    def of_types(self, types: Sequence[str], after: Position, until: Position, limit: int) -> list[Row]:
        """The first rows of some types with ``after < position <= until``."""
        wanted = _to_json(list(types)).decode()
        return list(map(row_of, self._connection.execute(SELECT_OF_TYPES, (after, until, wanted, limit))))

    def holding(self, words: bytes, after: Position, until: Position) -> list[tuple[Position, bool]]:
        """Find the rows with ``after < position <= until`` that hold some bytes; True if the public payload does."""
        found = self._connection.execute(SELECT_HOLDING, (words, after, until))
        return [(int(position), bool(public)) for position, public in found]

    def last_version(self, stream: str) -> int | None:
        """The version of the last row of a stream."""
        found: int | None = self._connection.execute(SELECT_LAST_VERSION, (stream,)).get
        return found

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class SqliteArchive:
    """A log file as commands read it, that do not write it (``port.Archive``)."""

    def __init__(self, path: Path) -> None:
        """Look what it is. Raises ConfigError if it is no log."""
        self.path = path
        self.anchor = path.with_name("log.anchor")
        try:
            connection = open_reader(path)
            try:
                self.schema = schema_of(connection)
                strays = connection.execute(SELECT_META_NAMES).fetchall() if self.schema.readable else []
                names = (
                    {"log_id", "format", MOVED_TO, *(str(name) for (name,) in strays)} if self.schema.readable else ()
                )
                found = {name: connection.execute(SELECT_META, (name,)).get for name in names}
            finally:
                connection.close()
        except apsw.Error as error:
            raise ConfigError(f"ATHENA_STATE_DIR: cannot read {path}: {error}") from error
        self.meta: Mapping[str, str] = {name: str(value or "") for name, value in found.items()}

    def reader(self) -> SqliteReader:
        """A new reader."""
        return SqliteReader(self.path, self.meta.get("log_id", ""))

    def bytes(self) -> int:
        """How much space it takes."""
        return self.path.stat().st_size

    def close(self) -> None:
        """There is nothing to close."""
