"""Views on PostgreSQL: each generation has its own schema, and a row names the current one."""

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

import psycopg
from psycopg import errors as pg

from athena_core.errors import StoreUnreachable
from athena_core.log.postgres.dialect import INSERTING, DriverConnection, as_number, dialect, prepared
from athena_core.log.postgres.leader_lock import BUILDER_LOCK, UPDATER_LOCK, PostgresLeaderLock
from athena_core.log.postgres.schema import unnest
from athena_core.log.postgres.session import PostgresSession, connect, connection_errors
from athena_core.log.postgres.vacuum import vacuum
from athena_core.protocols import Cell, Connection, DatabaseDamaged, LeaderLock, PastConnection

PREFIX = "athena_views_"
NAME = re.compile(PREFIX + "([1-9][0-9]{0,14})")
SCRATCH = "athena_scratch"
STAMP_SECONDS = 0.05
"""The time for which the last result is reused. A replaced generation can still be read."""
IDLE_MAX = 4
STREAM_ROWS = 8
"""The number of rows fetched at a time; each may hold megabytes."""

READER_OPTIONS = {"statement_timeout": "10s", "default_transaction_read_only": "on"}

SELECT_POINTERS = "SELECT name, generation FROM views"
PUT_POINTER = (
    "INSERT INTO athena.views (name, generation) VALUES (%s, %s)"
    " ON CONFLICT (name) DO UPDATE SET generation = excluded.generation"
)
DELETE_POINTER = "DELETE FROM athena.views WHERE name = %s"
DELETE_CANDIDATE = "DELETE FROM athena.views WHERE name = 'candidate' AND generation = %s"
NEXT_NUMBER = (
    "INSERT INTO meta (name, value) VALUES ('generation', '1')"
    " ON CONFLICT (name) DO UPDATE SET value = (meta.value::bigint + 1)::text RETURNING value"
)
SELECT_SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname ~ %s"
SELECT_SCHEMA = "SELECT oid::bigint FROM pg_namespace WHERE nspname = %s"

DAMAGE = (pg.UndefinedTable, pg.InvalidSchemaName, pg.DataCorrupted, pg.IndexCorrupted)
SELECT_KINDS = (
    "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
    " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
)


@contextmanager
def _damage() -> Iterator[None]:
    """Translate errors of a damaged generation to DatabaseDamaged."""
    try:
        yield
    except DAMAGE as error:
        raise DatabaseDamaged(str(error).partition("\n")[0]) from error


class PostgresViewConnection:
    """A connection to the tables of one schema (``protocols.Connection``)."""

    def __init__(self, session: Callable[[], DriverConnection], leave: Callable[[], None]) -> None:
        """``session`` returns the session to use; ``leave`` is called on close."""
        self._get = session
        self._leave: Callable[[], None] | None = leave
        self._held: DriverConnection | None = None
        self._streams = 0
        self._tables: dict[str, dict[str, str]] = {}

    def _session(self) -> DriverConnection:
        return self._get() if self._held is None else self._held

    def execute(self, statement: str, values: Sequence[Cell] = ()) -> Iterator[tuple[Cell, ...]]:
        """Run one statement and iterate its rows."""
        with _damage(), connection_errors():
            cursor = self._session().execute(dialect(statement), tuple(values))
            return iter(cursor.fetchall() if cursor.description is not None else ())

    def stream(self, statement: str, values: Sequence[Cell] = ()) -> Iterator[tuple[Cell, ...]]:
        """Run one statement and fetch a few rows at a time. Outside of a snapshot, the database materializes them."""
        self._streams += 1
        name, alone = f"page{self._streams}", self._held is None
        with _damage(), connection_errors(), self._session().cursor(name, withhold=alone) as cursor:
            cursor.itersize = STREAM_ROWS
            cursor.execute(dialect(statement), tuple(values))
            yield from cursor

    def executemany(self, statement: str, rows: Iterable[Sequence[Cell]]) -> object:
        """Run one statement for many rows. Inserts are sent at once, as one array per column."""
        found = INSERTING.fullmatch(statement)
        with _damage(), connection_errors(), self._session().cursor() as cursor:
            if found is None:
                cursor.executemany(dialect(statement), rows)
            elif columns := list(zip(*rows, strict=True)):
                table, names, last, rest = found.groups()
                kinds = [self._kinds(table)[name] for name in names.split(", ")[: len(columns)]]
                values = [
                    list(map(as_number, column)) if kind == "bigint" else list(column)
                    for kind, column in zip(kinds, columns, strict=True)
                ]
                cells = "*" if last is None else f"*, {last}"
                cursor.execute(
                    f"INSERT INTO {table} ({names}) SELECT {cells} FROM {unnest(*kinds)}{rest}".encode(), values
                )
        return None

    def _kinds(self, table: str) -> dict[str, str]:
        """Return the type of each column of a table."""
        if table not in self._tables:
            self._tables[table] = dict(self._session().execute(SELECT_KINDS, (table,)).fetchall())
        return self._tables[table]

    @contextmanager
    def _within(self, begin: str, end: str) -> Iterator[None]:
        with connection_errors():
            session = self._get()
            try:
                session.execute(begin.encode())
            except psycopg.OperationalError:
                if not session.closed:
                    raise
                session = self._get()  # the session was lost while idle
                session.execute(begin.encode())
        self._held = session
        try:
            yield
            with connection_errors():
                session.execute(end.encode())
        except BaseException:
            if not session.closed:
                try:
                    session.execute("ROLLBACK")
                except psycopg.Error:
                    session.close()
            raise
        finally:
            self._held = None

    def transaction(self) -> "_Block":
        """Commit at the end of the block, roll back if it raises."""
        return self._within("BEGIN ISOLATION LEVEL READ COMMITTED", "COMMIT")

    def snapshot(self) -> "_Block":
        """Let all statements in the block see the same rows."""
        return self._within("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "ROLLBACK")

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Interrupt the block after ``seconds`` and raise TimeoutError."""
        session = self._session()
        session.execute(f"SET statement_timeout = {max(int(seconds * 1000), 1)}".encode())
        try:
            yield
        except pg.QueryCanceled as error:
            raise TimeoutError from error
        finally:
            if not session.closed:
                session.execute("RESET statement_timeout")

    def close(self) -> None:
        if self._leave is not None:
            self._leave()
            self._leave = None


_Block: TypeAlias = Any


class PostgresPastConnection(PostgresViewConnection):
    """A connection with temporary tables, in a session of its own (``protocols.PastConnection``)."""

    block = "current_setting('athena.block')::bigint"

    def __init__(self, url: str, name: str) -> None:
        """Connect to a generation. The session may write, because PostgreSQL makes temporary tables in no other."""
        session = prepared(connect(url, {"statement_timeout": "10s"}))
        session.execute(f"SET search_path TO {name}".encode())
        super().__init__(lambda: session, session.close)
        self.source = name

    def begin(self, block: int) -> None:
        self.execute(f"SET athena.block = {block}")


class PostgresGenerations:
    """The generations of a database (``protocols.Generations``)."""

    def __init__(self, url: str) -> None:
        """Connect at the first use."""
        self._url = url
        self._session = PostgresSession(url, {"statement_timeout": "10s"})
        self._lock = threading.Lock()
        self._idle: list[DriverConnection] = []
        self._closed = False
        self._pointers: dict[str, str] = {}
        self._read_at = -STAMP_SECONDS

    def updater_lock(self) -> PostgresLeaderLock:
        """Return the lock for updating the current generation and for switching to another one."""
        return PostgresLeaderLock(self._url, UPDATER_LOCK)

    def builder_lock(self) -> PostgresLeaderLock:
        """Return the lock for building a generation or scratch set. Only its holder removes leftovers."""
        return PostgresLeaderLock(self._url, BUILDER_LOCK)

    def _ask(self) -> dict[str, str]:
        self._pointers = dict(self._session.read(SELECT_POINTERS))
        self._read_at = time.monotonic()
        return self._pointers

    def stamp(self) -> object:
        """Return a value that changes with the current generation; None if there is none."""
        fresh = time.monotonic() - self._read_at < STAMP_SECONDS
        return (self._pointers if fresh else self._ask()).get("current")

    def current(self) -> str | None:
        return self._ask().get("current")

    def identity(self, name: str) -> object:
        """Return an identity that no other generation of this name has; None if it is gone."""
        return next((oid for (oid,) in self._session.read(SELECT_SCHEMA, (name,))), None)

    def candidate(self) -> str | None:
        """Return the complete generation that the holder of the updater lock should switch to."""
        return self._ask().get("candidate")

    def condemned(self) -> str | None:
        """Return the generation that a reader found damaged, until another one is current."""
        return self._ask().get("damaged")

    def condemn(self, name: str) -> None:
        """Ask the holder of the updater lock to replace a damaged generation. Raise OSError."""
        with connection_errors():
            self._session.connection().execute(PUT_POINTER, ("damaged", name))

    def switch(self, name: str, lock: LeaderLock) -> None:
        """Make a complete generation current. Requires the updater lock. A newer candidate stays."""
        session = _session_of(lock)
        with connection_errors(), session.transaction():
            session.execute(PUT_POINTER, ("current", name))
            session.execute(DELETE_CANDIDATE, (name,))
            session.execute(DELETE_POINTER, ("damaged",))
        self._read_at = -STAMP_SECONDS

    def offer(self, name: str, lock: LeaderLock) -> None:
        """Make a generation the candidate."""
        with connection_errors():
            _session_of(lock).execute(PUT_POINTER, ("candidate", name))

    def withdraw(self, lock: LeaderLock) -> None:
        with connection_errors():
            _session_of(lock).execute(DELETE_POINTER, ("candidate",))

    def all(self) -> list[str]:
        """Return all generations, oldest first."""
        found = [
            match for (name,) in self._session.read(SELECT_SCHEMAS, (f"^{PREFIX}",)) if (match := NAME.fullmatch(name))
        ]
        return [match[0] for match in sorted(found, key=lambda match: int(match[1]))]

    def fresh(self) -> str:
        """Return a new name for a generation, never used before."""
        return f"{PREFIX}{self._session.read(NEXT_NUMBER)[0][0]}"

    def remove(self, name: str, lock: LeaderLock) -> None:
        """Delete a generation once no reader uses it. Raise OSError after a timeout."""
        try:
            with connection_errors():
                _session_of(lock).execute(f"DROP SCHEMA IF EXISTS {name} CASCADE".encode())
        except pg.LockNotAvailable as error:
            raise OSError(f"{name} is still being read") from error

    def leftovers(self) -> list[str]:
        """Return generations that are neither current nor candidate: replaced and unfinished ones."""
        kept = self._ask().values()
        return [name for name in self.all() if name not in kept]

    def write(self, name: str, lock: LeaderLock) -> Connection:
        """Open a generation for writing in the session of a lock. Create it if missing."""
        assert isinstance(lock, PostgresLeaderLock)
        with connection_errors():
            lock.session.execute(f"CREATE SCHEMA IF NOT EXISTS {name}".encode())

        def session() -> DriverConnection:
            found = lock.session
            if lock.path != name:
                found.execute(f"SET search_path TO {name}".encode())
                lock.path = name
            return found

        return PostgresViewConnection(session, lambda: None)

    def read(self, name: str) -> Connection:
        """Open an existing generation read-only."""
        session: DriverConnection | None = None

        def found() -> DriverConnection:
            nonlocal session
            if session is None or session.closed:
                with self._lock:
                    session = self._idle.pop() if self._idle else None
                if session is None or session.closed:
                    session = prepared(connect(self._url, READER_OPTIONS))
                session.execute(f"SET search_path TO {name}".encode())
            return session

        def leave() -> None:
            if session is None or session.closed:
                return
            with self._lock:
                if len(self._idle) < IDLE_MAX and not self._closed:
                    self._idle.append(session)
                    return
            session.close()

        return PostgresViewConnection(found, leave)

    def past(self, name: str) -> PastConnection:
        """Open an existing generation read-only, with temporary tables."""
        with connection_errors():
            return PostgresPastConnection(self._url, name)

    @contextmanager
    def scratch(self, lock: LeaderLock) -> Iterator[Connection]:
        """Yield a connection to an empty schema for temporary views. Requires the builder lock."""
        self.remove(SCRATCH, lock)
        connection = self.write(SCRATCH, lock)
        try:
            yield connection
        finally:
            connection.close()
            with suppress(StoreUnreachable):
                self.remove(SCRATCH, lock)

    def scrub(self, name: str, seconds: float) -> None:
        """Vacuum a generation (``postgres.vacuum``). Raise OSError after ``seconds``."""
        vacuum(self._url, name, seconds)

    def close(self) -> None:
        """Close idle sessions; those in use are closed when they are returned."""
        self._session.close()
        with self._lock:
            self._closed = True
            while self._idle:
                self._idle.pop().close()


def _session_of(lock: LeaderLock) -> DriverConnection:
    assert isinstance(lock, PostgresLeaderLock)
    return lock.session
