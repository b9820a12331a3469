"""Reads a log in PostgreSQL, through a few sessions that all readers of a process share."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from athena_core.errors import ConfigError, StoreUnreachable
from athena_core.event import Position
from athena_core.log.port import KEY_CLOCK, READ_BYTES_MAX, ROW_BYTES_MAX, SchemaReport, StoredGuard
from athena_core.log.postgres.schema import check_unmade, schema_of
from athena_core.log.postgres.session import CLOSED, PLANS, PostgresSession, _said
from athena_core.protocols import PublicCells, PublicRow, Row, StoredKey, row_of
from athena_core.values import PAGE_BYTES_MAX

ANCHOR = "postgres.anchor"

PAGE_ROWS = 500
IDLE_MAX = 4
"""How many connections are kept for whoever reads next."""

READER_OPTIONS = {"statement_timeout": "10s", "default_transaction_read_only": "on", **PLANS}
COLUMNS = ", ".join(Row._fields)
SELECT_META = "SELECT value FROM meta WHERE name = %s"
SELECT_POSITION = "SELECT max(position) FROM log"
SELECT_ROW = f"SELECT {COLUMNS} FROM log WHERE position = %s"
PAGE = "FROM log WHERE position > %s AND position <= %s ORDER BY position LIMIT %s"
SELECT_PAGE = f"SELECT {COLUMNS} {PAGE}"
SELECT_SHOWN = (
    f"SELECT {', '.join(PublicRow._fields)} FROM (SELECT *, sum(octet_length(data) + coalesce(octet_length(extra), 0))"
    f" OVER (ORDER BY position) AS bytes FROM (SELECT {', '.join(PublicRow._fields)} {PAGE}) AS found) AS page"
    " WHERE bytes <= %s OR position = %s ORDER BY position"
)
BOUNDED = {
    name: f"CASE WHEN octet_length({name}) > {ROW_BYTES_MAX} THEN 'too large'::bytea ELSE {name} END"
    for name in ("data", "extra", "text")
}
SELECT_BOUNDED = (
    f"SELECT {', '.join(BOUNDED.get(name, name) for name in Row._fields)} FROM (SELECT *,"
    " row_number() OVER page AS place, sum(octet_length(data) + coalesce(octet_length(text), 0)) OVER page AS bytes"
    f" FROM (SELECT {COLUMNS} {PAGE}) AS found WINDOW page AS (ORDER BY position)) AS page"
    f" WHERE bytes <= {READ_BYTES_MAX} OR place = 1 ORDER BY position"
)
"""A page that ends early where rows are large; words that fit no hash stand for a column larger than any of ours."""

SELECT_STREAM = f"SELECT {COLUMNS} FROM log WHERE stream = %s AND version > %s AND version <= %s ORDER BY version"
SELECT_SESSION = (
    f"SELECT {COLUMNS} FROM log WHERE session_id = %s AND position < %s AND position > %s"
    " ORDER BY position DESC LIMIT %s"
)
SELECT_KEYS = (
    "SELECT key_hash, first_position, first_position + count - 1, recorded_at, subject FROM command"
    " WHERE key_hash > %b::bytea ORDER BY key_hash LIMIT %s"
)
SELECT_GUARDS = "SELECT kind, key, value FROM guard ORDER BY position, kind, key"
SELECT_GUARDS_OF = "SELECT kind, key, value FROM guard WHERE kind = ANY(%s) ORDER BY position, kind, key"
SELECT_CHECKPOINT = "SELECT position FROM checkpoint WHERE name = %s"

SELECT_HOLDING = """
    SELECT position, public FROM (
        SELECT log.position, text, words,
            position(words IN data) > 0 OR position(words IN coalesce(extra, '')) > 0 AS public
        FROM log, (SELECT %b::bytea AS words) AS wanted WHERE log.position > %s AND log.position <= %s) AS found
    WHERE public OR position(words IN text) > 0
"""
SELECT_LAST_VERSION = "SELECT max(version) FROM log WHERE stream = %s"
SELECT_PART = f"{SELECT_STREAM} LIMIT %s"
SELECT_PART_BACKWARDS = SELECT_PART.replace("ORDER BY version", "ORDER BY version DESC")
SELECT_OF_TYPES = SELECT_PAGE.replace("ORDER BY", "AND type = ANY(%s::text[]) ORDER BY")

_from_json = msgspec.json.Decoder(tuple[str | int, ...]).decode


class PostgresReads:
    """What a reader and the writer read alike, each through its own line (the writer sees what it writes)."""

    _line: PostgresSession

    def rows(self, after: Position, limit: int, until: Position | None = None) -> list[Row]:
        """Rows with ``after < position <= until`` in order, at most ``limit``."""
        last = until if until is not None else 2**62
        return list(map(row_of, self._line.read(SELECT_PAGE, (after, last, limit))))

    def stream(self, stream: str, after: int = 0, until: int | None = None) -> list[Row]:
        """The rows of one stream with ``after < version <= until``."""
        last = until if until is not None else 2**62
        return list(map(row_of, self._line.read(SELECT_STREAM, (stream, after, last))))

    def guards(self, *kinds: str) -> list[StoredGuard]:
        """Return the guard rows of these kinds, or all, oldest first."""
        rows = self._line.read(SELECT_GUARDS_OF, (list(kinds),)) if kinds else self._line.read(SELECT_GUARDS)
        return [(kind, key, _from_json(value)) for kind, key, value in rows]


class PostgresReader(PostgresReads):
    """Reads the log through a line that it may share with other readers of its thread."""

    def __init__(self, log_id: str, line: PostgresSession, leave: Callable[[], None]) -> None:
        """Take a line; ``leave`` gives it back."""
        self.log_id = log_id
        self._line = line
        self._leave: Callable[[], None] | None = leave

    def head(self) -> Position:
        """The last committed position."""
        return int(self._line.read(SELECT_POSITION)[0][0] or 0)

    def shown(
        self, after: Position, limit: int, until: Position | None = None, bytes_max: int = PAGE_BYTES_MAX
    ) -> Sequence[PublicCells]:
        """Return what is published of the same rows, in at most ``bytes_max`` bytes; one row always fits."""
        last = until if until is not None else 2**62
        found: Sequence[Any] = self._line.read(SELECT_SHOWN, (after, last, limit, bytes_max, after + 1))
        return found

    def row(self, position: Position) -> Row | None:
        """One row."""
        found = self._line.read(SELECT_ROW, (position,))
        return Row(*found[0]) if found else None

    def session(self, session_id: str, before: Position, after: Position = 0) -> Iterator[Row]:
        """The rows of one session with ``after < position < before``, newest first."""
        while rows := self._line.read(SELECT_SESSION, (session_id, before, after, PAGE_ROWS)):
            yield from map(row_of, rows)
            before = rows[-1][0]

    def keys(self) -> Iterator[StoredKey]:
        """All bound idempotency keys."""
        after = b""
        while found := self._line.read(SELECT_KEYS, (after, PAGE_ROWS)):
            yield from map(StoredKey._make, found)
            after = found[-1][0]

    def rows(self, after: Position, limit: int, until: Position | None = None) -> list[Row]:
        """Rows with ``after < position <= until`` in order, at most ``limit``; fewer where they are large."""
        last = until if until is not None else 2**62
        return list(map(row_of, self._line.read(SELECT_BOUNDED, (after, last, limit))))

    def schema(self) -> SchemaReport:
        """Compare the schema with the one that this release creates."""
        return schema_of(self._line)

    def checkpoint(self, name: str) -> Position | None:
        """How far a reactor or a foreign follower came."""
        found = self._line.read(SELECT_CHECKPOINT, (name,))
        return int(found[0][0]) if found else None

    def part(self, stream: str, after: int, until: int, limit: int, *, backwards: bool) -> list[Row]:
        """At most ``limit`` rows of one stream with ``after < version <= until``, from one end or the other."""
        statement = SELECT_PART_BACKWARDS if backwards else SELECT_PART
        return list(map(row_of, self._line.read(statement, (stream, after, until, limit))))

    def of_types(self, types: Sequence[str], after: Position, until: Position, limit: int) -> list[Row]:
        """The first rows of some types with ``after < position <= until``."""
        return list(map(row_of, self._line.read(SELECT_OF_TYPES, (after, until, list(types), limit))))

    def holding(self, words: bytes, after: Position, until: Position) -> list[tuple[Position, bool]]:
        """Find the rows with ``after < position <= until`` that hold some bytes; True if the public payload does."""
        found = self._line.read(SELECT_HOLDING, (words, after, until))
        return [(int(position), bool(public)) for position, public in found]

    def last_version(self, stream: str) -> int | None:
        """The version of the last row of a stream."""
        found: int | None = self._line.read(SELECT_LAST_VERSION, (stream,))[0][0]
        return found

    def key_stamp(self) -> str | None:
        """Return the stored stamp of the clock of keys."""
        found = self._line.read(SELECT_META, (KEY_CLOCK,))
        return str(found[0][0]) if found else None

    def close(self) -> None:
        """Give the line back."""
        if self._leave is not None:
            self._leave()
            self._line, self._leave = CLOSED, None


class ReaderPool:
    """The lines of a process that only read: one for all readers of a thread, and a few for the next threads."""

    def __init__(self, url: str) -> None:
        """Connect nothing yet."""
        self._url = url
        self._lock = threading.Lock()
        self._used: dict[int, tuple[PostgresSession, int]] = {}
        self._idle: list[PostgresSession] = []

    def take(self) -> tuple[PostgresSession, Callable[[], None]]:
        """The line of this thread, and how to give it back."""
        thread = threading.get_ident()
        with self._lock:
            line, readers = self._used.get(thread) or (self._idle.pop() if self._idle else self._new(), 0)
            self._used[thread] = line, readers + 1
        return line, partial(self._give_back, thread)

    def _new(self) -> PostgresSession:
        return PostgresSession(self._url, READER_OPTIONS)

    def _give_back(self, thread: int) -> None:
        with self._lock:
            line, readers = self._used.pop(thread, (CLOSED, 0))
            if readers == 0:
                return
            if readers > 1:
                self._used[thread] = line, readers - 1
            elif len(self._idle) < IDLE_MAX:
                self._idle.append(line)
            else:
                line.close()

    def close(self) -> None:
        """Close them, also those that somebody still has."""
        with self._lock:
            for line in (*self._idle, *(line for line, _ in self._used.values())):
                line.close()
            self._idle.clear()
            self._used.clear()


class PostgresArchive:
    """A log in a database as commands read it, that do not write it (``port.Archive``)."""

    def __init__(self, url: str, directory: Path) -> None:
        """Look what it is. Raises ConfigError if there is no log."""
        self.anchor = directory / ANCHOR
        self._lines = ReaderPool(url)
        self._line, self._leave = self._lines.take()
        try:
            if self._line.read("SELECT to_regclass('meta')") == [(None,)]:
                check_unmade(self._line.connection())
                raise ConfigError("ATHENA_DATABASE_URL: the database holds no log")
            self.schema = schema_of(self._line)
            found = dict(self._line.read("SELECT name, value FROM meta") if self.schema.readable else ())
        except (psycopg.Error, StoreUnreachable) as error:
            self.close()
            raise ConfigError(f"ATHENA_DATABASE_URL: cannot use the database: {_said(error)}") from error
        except ConfigError:
            self.close()
            raise
        self.meta: Mapping[str, str] = {str(name): str(value) for name, value in found.items()}

    def reader(self) -> PostgresReader:
        """A new reader."""
        return PostgresReader(self.meta.get("log_id", ""), *self._lines.take())

    def bytes(self) -> int:
        """How much space it takes."""
        return int(self._line.read("SELECT pg_total_relation_size('log')")[0][0])

    def close(self) -> None:
        """Close what is open."""
        self._lines.close()
