"""Databases of views in SQLite files (``protocols.Databases``)."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from athena_core.log.sqlite.connection import DAMAGE_ERRORS, DISK_ERRORS, open_reader, open_writer
from athena_core.log.sqlite.scrub import scrub
from athena_core.protocols import Cell, Connection, DatabaseDamaged, PastConnection

VIEWS_BUSY_MS = 60_000
"""The wait for another process that writes views or rewrites the file after an erasure, in milliseconds."""
NO_TABLE = "no such table"
VIEW_ERRORS = (*DISK_ERRORS, *DAMAGE_ERRORS, apsw.SQLError)

STEPS_BETWEEN_LOOKS = 1_000
"""The number of SQLite instructions (some microseconds) between two checks of the time."""


class SqliteViewConnection:
    """A connection to a database of views (``protocols.Connection``). Disk errors are raised as OSError."""

    def __init__(self, connection: apsw.Connection) -> None:
        """Wrap ``connection``."""
        self._connection = connection

    def execute(self, statement: str, values: Sequence[Cell] = ()) -> Iterator[tuple[Cell, ...]]:
        """Run one statement and iterate its rows."""
        try:
            found = self._connection.execute(statement, tuple(values))
        except VIEW_ERRORS as error:
            raise _view_error(error) from error
        return _rows(found)

    def stream(self, statement: str, values: Sequence[Cell] = ()) -> Iterator[tuple[Cell, ...]]:
        """Run one statement; SQLite reads rows as they are iterated."""
        return self.execute(statement, values)

    def executemany(self, statement: str, rows: Any) -> object:
        """Run one statement for many rows."""
        try:
            return self._connection.executemany(statement, rows)
        except VIEW_ERRORS as error:
            raise _view_error(error) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit at the end of the block, roll back if it raises."""
        self.execute("BEGIN IMMEDIATE" if not self._connection.readonly("main") else "BEGIN")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def snapshot(self) -> "ViewSnapshot":
        """Let all statements in the block see the same rows."""
        return ViewSnapshot(self._connection)

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Interrupt the block after ``seconds`` and raise TimeoutError."""
        until = time.monotonic() + seconds
        self._connection.set_progress_handler(lambda: time.monotonic() > until, STEPS_BETWEEN_LOOKS)
        try:
            yield
        except apsw.InterruptError as error:
            raise TimeoutError from error
        finally:
            self._connection.set_progress_handler(None)

    def close(self) -> None:
        self._connection.close()


class ViewSnapshot:
    """A block of reads in one transaction. It costs a third of a generator."""

    __slots__ = ("_connection",)

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN")  # reads nothing yet

    def __exit__(self, *_: object) -> None:
        self._connection.execute("ROLLBACK")


class SqlitePastConnection(SqliteViewConnection):
    """A read-only connection with temporary tables (``protocols.PastConnection``)."""

    source = "main"
    block = "(SELECT block FROM past_block)"

    def __init__(self, path: Path) -> None:
        """Open the file. Temporary tables are in memory, because they may hold text that is erased later."""
        connection = open_reader(path)
        connection.pragma("query_only", False)  # the file is open read-only
        connection.pragma("temp_store", 2)
        connection.execute("CREATE TEMP TABLE past_block (block INTEGER NOT NULL)")
        connection.execute("INSERT INTO past_block VALUES (0)")
        super().__init__(connection)

    def begin(self, block: int) -> None:
        self.execute("UPDATE past_block SET block = ?", (block,))


def _rows(found: Iterator[tuple[Cell, ...]]) -> Iterator[tuple[Cell, ...]]:
    """Yield rows. Translate errors, because any row may be on a damaged page."""
    try:
        yield from found
    except VIEW_ERRORS as error:
        raise _view_error(error) from error


def _view_error(error: apsw.Error) -> Exception:
    """Translate an SQLite error for a database that can be rebuilt."""
    if isinstance(error, DISK_ERRORS):
        return OSError(str(error))
    if isinstance(error, DAMAGE_ERRORS) or NO_TABLE in str(error):
        return DatabaseDamaged(str(error))
    return error


class SqliteDatabases:
    """Opens databases of views (``protocols.Databases``): WAL, synchronous NORMAL, because they can be rebuilt."""

    def write(self, path: Path) -> Connection:
        """Open for writing, and create the file if missing. SQLite checkpoints it."""
        try:
            connection = open_writer(path, "NORMAL")
        except DAMAGE_ERRORS as error:
            raise DatabaseDamaged(str(error)) from error
        connection.pragma("wal_autocheckpoint", 1_000)
        connection.set_busy_timeout(VIEWS_BUSY_MS)
        return SqliteViewConnection(connection)

    def scrub(self, path: Path, seconds: float) -> None:
        """Rewrite a database and empty its WAL, because moved rows may leave erased text in pages.

        Servers may continue meanwhile. Raise OSError after ``seconds``.
        """
        scrub(path, seconds, "VACUUM")

    def read(self, path: Path) -> Connection:
        """Open an existing file read-only."""
        return SqliteViewConnection(open_reader(path))

    def past(self, path: Path) -> PastConnection:
        """Open an existing file read-only, with temporary tables in memory."""
        return SqlitePastConnection(path)
