"""Readers of a log file, each with a read-only connection."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from sys import getsizeof
from typing import cast

import apsw
import msgspec

from athena_core.errors import ConfigError, StoreDamaged
from athena_core.event import Position
from athena_core.log.port import KEY_CLOCK, MOVED_TO, READ_BYTES_MAX, Inspection, SchemaReport
from athena_core.log.sql.reads import POSITION_MAX, Reads
from athena_core.log.sql.statements import COLUMNS, PAGE, SHOWN
from athena_core.log.sqlite.connection import open_reader
from athena_core.log.sqlite.integrity import inspect
from athena_core.log.sqlite.schema import schema_of
from athena_core.log.sqlite.statements import SQL
from athena_core.protocols import PublicCells, Row, StoredKey, row_of
from athena_core.values import PAGE_BYTES_MAX

READ_ROWS = 32
"""The number of rows read between two checks of their size."""

SELECT_META_NAMES = "SELECT name FROM meta LIMIT 20"
SELECT_SHOWN = f"SELECT {SHOWN} {PAGE}"
SELECT_SESSION = (
    f"SELECT {COLUMNS} FROM log WHERE session_id = ? AND position < ? AND position > ? ORDER BY position DESC"
)
SELECT_KEYS = "SELECT key_hash, first_position, first_position + count - 1, recorded_at, subject FROM command"


_texts_of = itemgetter(Row._fields.index("data"), Row._fields.index("text"))
_to_json = msgspec.json.Encoder().encode


class SqliteReads(Reads):
    """Reads of a log file through one connection."""

    _sql = SQL

    def __init__(self, connection: apsw.Connection) -> None:
        """Use ``connection``."""
        self._connection = connection
        self._read = connection.execute

    @staticmethod
    def _list(values: Sequence[object]) -> str:
        return _to_json(values).decode()

    def key_stamp(self) -> str | None:
        """Return the stored stamp of the key clock. The writer reads it for each batch."""
        found: str | None = self._connection.execute(SQL.meta, (KEY_CLOCK,)).get  # 10 % faster than as rows
        return found


class SqliteReader(SqliteReads):
    """A reader of the log with its own read-only connection, for one thread at a time."""

    def __init__(self, path: Path, log_id: str) -> None:
        super().__init__(open_reader(path))
        self.log_id = log_id
        self._seen = -1
        self._head = 0

    def head(self) -> Position:
        """Return the last committed position. Takes 4 µs while nothing was committed."""
        seen = self.changed()
        if seen != self._seen:
            self._head = self._connection.execute(SQL.position).get or 0
            self._seen = seen
        return self._head

    def rows(self, after: Position, limit: int, until: Position | None = None) -> list[Row]:
        """Return at most ``limit`` rows with ``after < position <= until`` in order; fewer if they are large."""
        last = until if until is not None else POSITION_MAX
        found = map(row_of, self._connection.execute(SQL.page, (after, last, limit)))
        rows: list[Row] = []
        left = READ_BYTES_MAX
        while left > 0 and (some := list(islice(found, READ_ROWS))):
            rows += some
            left -= sum(map(getsizeof, chain.from_iterable(map(_texts_of, some))))
        return rows

    def schema(self) -> SchemaReport:
        """Compare the schema with the one that this release creates."""
        return schema_of(self._connection)

    def inspect(self, seconds: float | None = None) -> Inspection:
        """Check the pages of all tables, and each index against its table. Stop after ``seconds``."""
        if self.schema().strays:
            return Inspection(unchecked="the schema is not the one of this release")
        return inspect(self._connection, seconds)

    def changed(self) -> int:
        """Return a number that changes with every commit of another connection."""
        return int(self._connection.execute("PRAGMA data_version").get)

    def shown(
        self, after: Position, limit: int, until: Position | None = None, bytes_max: int = PAGE_BYTES_MAX
    ) -> Sequence[PublicCells]:
        """Return the public columns of these rows, in at most ``bytes_max`` bytes; one row always fits.

        The text is not read, which makes this several times faster.
        """
        last = until if until is not None else POSITION_MAX
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

    def session(self, session_id: str, before: Position, after: Position = 0) -> Iterator[Row]:
        """Yield the rows of one session with ``after < position < before``, newest first. Close it to stop early."""
        for row in self._connection.execute(SELECT_SESSION, (session_id, before, after)):
            yield Row(*row)

    def keys(self) -> Iterator[StoredKey]:
        """Yield all bound idempotency keys."""
        yield from map(StoredKey._make, self._connection.execute(SELECT_KEYS))

    def close(self) -> None:
        self._connection.close()


class SqliteArchive:
    """Read-only access to a log file, for commands without a server (``port.Archive``)."""

    def __init__(self, path: Path) -> None:
        """Read the schema and the description. Raise ConfigError if the file is not a log."""
        self.path = path
        self.anchor = path.with_name("log.anchor")
        try:
            connection = open_reader(path)
            try:
                self.schema = schema_of(connection)
                names = {"log_id", "format", MOVED_TO} if self.schema.readable else set()
                found: dict[str, object] = dict.fromkeys(names)
                with suppress(apsw.CorruptError):  # verify and doctor name it
                    strays = connection.execute(SELECT_META_NAMES).fetchall() if names else []
                    names.update(str(name) for (name,) in strays)
                    found = {name: connection.execute(SQL.meta, (name,)).get for name in names}
            finally:
                connection.close()
        except apsw.Error as error:
            raise ConfigError(f"ATHENA_STATE_DIR: cannot read {path}: {error}. {StoreDamaged.RESTORE}") from error
        self.meta: Mapping[str, str] = {name: str(value or "") for name, value in found.items()}

    def reader(self) -> SqliteReader:
        return SqliteReader(self.path, self.meta.get("log_id", ""))

    def bytes(self) -> int:
        """Return the size of the log in bytes."""
        return self.path.stat().st_size

    def close(self) -> None:
        """Do nothing: nothing is open."""
