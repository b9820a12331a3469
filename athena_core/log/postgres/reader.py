"""Readers of a log in PostgreSQL, and the session pool that they share."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from athena_core.errors import ConfigError, StoreUnreachable
from athena_core.event import Position
from athena_core.log.port import READ_BYTES_MAX, ROW_BYTES_MAX, Inspection, SchemaReport
from athena_core.log.postgres.integrity import inspect
from athena_core.log.postgres.schema import check_unmade, schema_of
from athena_core.log.postgres.session import CLOSED, PLANS, PostgresSession, error_text
from athena_core.log.postgres.statements import PAGE, SQL
from athena_core.log.sql.reads import POSITION_MAX, Reads
from athena_core.log.sql.statements import COLUMNS, SHOWN
from athena_core.protocols import PublicCells, Row, StoredKey, row_of
from athena_core.values import PAGE_BYTES_MAX

ANCHOR = "postgres.anchor"

PAGE_ROWS = 500
IDLE_MAX = 4
"""The number of idle sessions kept for reuse."""

READER_OPTIONS = {"statement_timeout": "10s", "default_transaction_read_only": "on", **PLANS}
SELECT_SHOWN = (
    f"SELECT {SHOWN} FROM (SELECT *, sum(octet_length(data) + coalesce(octet_length(extra), 0))"
    f" OVER (ORDER BY position) AS bytes FROM (SELECT {SHOWN} {PAGE}) AS found) AS page"
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
"""A page that ends early if rows are large. A value that matches no hash replaces oversized columns."""

SELECT_SESSION = (
    f"SELECT {COLUMNS} FROM log WHERE session_id = %s AND position < %s AND position > %s"
    " ORDER BY position DESC LIMIT %s"
)
SELECT_KEYS = (
    "SELECT key_hash, first_position, first_position + count - 1, recorded_at, subject FROM command"
    " WHERE key_hash > %b::bytea ORDER BY key_hash LIMIT %s"
)


class PostgresReads(Reads):
    """Reads a log through a session of one's own, or one that is shared."""

    _sql = SQL

    def __init__(self, session: PostgresSession) -> None:
        self._session = session
        self._read = session.read

    @staticmethod
    def _list(values: Sequence[object]) -> list[object]:
        return list(values)


class PostgresReader(PostgresReads):
    """Reads the log through a session that it may share with other readers of its thread."""

    def __init__(self, log_id: str, session: PostgresSession, leave: Callable[[], None]) -> None:
        """Use ``session``; ``leave`` returns it to the pool."""
        super().__init__(session)
        self.log_id = log_id
        self._leave: Callable[[], None] | None = leave

    def head(self) -> Position:
        """Return the last committed position."""
        return int(self._session.read(SQL.position)[0][0] or 0)

    def shown(
        self, after: Position, limit: int, until: Position | None = None, bytes_max: int = PAGE_BYTES_MAX
    ) -> Sequence[PublicCells]:
        """Return the public columns of these rows, in at most ``bytes_max`` bytes; one row always fits."""
        last = until if until is not None else POSITION_MAX
        found: Sequence[Any] = self._session.read(SELECT_SHOWN, (after, last, limit, bytes_max, after + 1))
        return found

    def session(self, session_id: str, before: Position, after: Position = 0) -> Iterator[Row]:
        """Yield the rows of one session with ``after < position < before``, newest first."""
        while rows := self._session.read(SELECT_SESSION, (session_id, before, after, PAGE_ROWS)):
            yield from map(row_of, rows)
            before = rows[-1][0]

    def keys(self) -> Iterator[StoredKey]:
        """Yield all bound idempotency keys."""
        after = b""
        while found := self._session.read(SELECT_KEYS, (after, PAGE_ROWS)):
            yield from map(StoredKey._make, found)
            after = found[-1][0]

    def rows(self, after: Position, limit: int, until: Position | None = None) -> list[Row]:
        """Return at most ``limit`` rows with ``after < position <= until`` in order; fewer if they are large."""
        last = until if until is not None else POSITION_MAX
        return list(map(row_of, self._session.read(SELECT_BOUNDED, (after, last, limit))))

    def schema(self) -> SchemaReport:
        """Compare the schema with the one that this release creates."""
        return schema_of(self._session)

    def inspect(self, seconds: float | None = None) -> Inspection:
        """Check the pages of all tables, and each index against its table. Stop a check after ``seconds``."""
        return inspect(self._session, seconds)

    def close(self) -> None:
        """Return the session to the pool."""
        if self._leave is not None:
            self._leave()
            self._leave = None
            super().__init__(CLOSED)


class ReaderPool:
    """The read-only sessions of a process: one per thread with open readers, and a few idle ones."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._used: dict[int, tuple[PostgresSession, int]] = {}
        self._idle: list[PostgresSession] = []
        self._closed = False

    def take(self) -> tuple[PostgresSession, Callable[[], None]]:
        """Return the session of this thread, and a function that returns it to the pool."""
        thread = threading.get_ident()
        with self._lock:
            session, readers = self._used.get(thread) or (self._idle.pop() if self._idle else self._new(), 0)
            self._used[thread] = session, readers + 1
        return session, partial(self._give_back, thread)

    def _new(self) -> PostgresSession:
        return CLOSED if self._closed else PostgresSession(self._url, READER_OPTIONS)

    def _give_back(self, thread: int) -> None:
        with self._lock:
            session, readers = self._used.pop(thread, (CLOSED, 0))
            if readers == 0:
                return
            if readers > 1:
                self._used[thread] = session, readers - 1
            elif len(self._idle) < IDLE_MAX:
                self._idle.append(session)
            else:
                session.close()

    def close(self) -> None:
        """Close all sessions, including those in use."""
        with self._lock:
            self._closed = True
            for session in (*self._idle, *(session for session, _ in self._used.values())):
                session.close()
            self._idle.clear()
            self._used.clear()


class PostgresArchive:
    """Read-only access to a log in a database, for commands without a server (``port.Archive``)."""

    def __init__(self, url: str, directory: Path) -> None:
        """Read the schema and the description. Raise ConfigError if the log is missing."""
        self.anchor = directory / ANCHOR
        self._pool = ReaderPool(url)
        self._session, self._leave = self._pool.take()
        try:
            if self._session.read("SELECT to_regclass('meta')") == [(None,)]:
                check_unmade(self._session.connection())
                raise ConfigError("ATHENA_DATABASE_URL: the database contains no log")
            self.schema = schema_of(self._session)
            found = dict(self._session.read("SELECT name, value FROM meta") if self.schema.readable else ())
        except (psycopg.Error, StoreUnreachable) as error:
            self.close()
            raise ConfigError(f"ATHENA_DATABASE_URL: cannot use the database: {error_text(error)}") from error
        except ConfigError:
            self.close()
            raise
        self.meta: Mapping[str, str] = {str(name): str(value) for name, value in found.items()}

    def reader(self) -> PostgresReader:
        return PostgresReader(self.meta.get("log_id", ""), *self._pool.take())

    def bytes(self) -> int:
        """Return the size of the log in bytes."""
        return int(self._session.read("SELECT pg_total_relation_size('log')")[0][0])

    def close(self) -> None:
        self._pool.close()
