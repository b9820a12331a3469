"""The log's database on SQLite, for the one process that writes it at a time (apsw, WAL, synchronous FULL)."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import apsw

from athena_core.clock import Ids
from athena_core.decider import UNKEYED_BYTES
from athena_core.errors import ConfigError, StoreMoved
from athena_core.event import Guard, Position
from athena_core.log.port import (
    FORMAT,
    KEY_CLOCK,
    MOVED_TO,
    BoundKey,
    KeyRow,
    LogHead,
    StoredGuard,
    check_format,
    check_schema,
    check_still,
    guard_rows,
)
from athena_core.log.sql.statements import COLUMNS, KEY_COLUMNS
from athena_core.log.sqlite.connection import BUSY_MS, DAMAGE_ERRORS, ERROR_KINDS, check_library, open_writer
from athena_core.log.sqlite.files import check_directory, check_presence, check_regular
from athena_core.log.sqlite.locks import ProcessLock
from athena_core.log.sqlite.reader import SqliteReader, SqliteReads
from athena_core.log.sqlite.schema import SCHEMA, schema_of
from athena_core.log.sqlite.scrub import scrub
from athena_core.log.sqlite.snapshots import CREATE_STORED
from athena_core.log.sqlite.statements import SQL
from athena_core.protocols import Row
from athena_core.system import private_file

POLL_SECONDS_MIN = 0.002
POLL_SECONDS_MAX = 0.05
INSERT_ROW = f"INSERT INTO log ({COLUMNS}) VALUES ({', '.join('?' * len(Row._fields))})"
SELECT_KEY = (
    "SELECT fingerprint, command.recorded_at, first_position, count, subject, answer,"
    " coalesce(log.recorded_at, 0), extra"
    " FROM command LEFT JOIN log ON position = first_position + count - 1 WHERE key_hash = ?"
)
INSERT_KEY = f"INSERT OR REPLACE INTO command ({KEY_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
EXPIRE_KEYS = "DELETE FROM command WHERE key_hash IN (SELECT key_hash FROM command WHERE recorded_at < ? LIMIT 1000)"
PUT_GUARD = "INSERT OR REPLACE INTO guard (kind, key, value, position) VALUES (?, ?, ?, ?)"
DELETE_GUARD = "DELETE FROM guard WHERE kind = ? AND key = ?"
DROP_UNKEYED = f"""
    DELETE FROM command WHERE length(fingerprint) = {UNKEYED_BYTES} AND EXISTS (
        SELECT 1 FROM json_each(?) WHERE value BETWEEN first_position AND first_position + count - 1)
"""


class SqliteCommitNotifier:
    """Polls often while others commit, and seldom while they do not: one poll costs 4 µs."""

    def __init__(self) -> None:
        """Begin by polling often."""
        self._delay = POLL_SECONDS_MIN

    async def pause(self, *, found: bool) -> None:
        """Wait a little, longer each time that nothing was found."""
        self._delay = POLL_SECONDS_MIN if found else min(self._delay * 1.5, POLL_SECONDS_MAX)
        await anyio.sleep(self._delay)

    async def close(self) -> None:
        """There is nothing to close."""


class SqliteStore(SqliteReads):
    """One log database, with the one writing connection of the process. Writing needs ``exclusive``."""

    remote = False
    full: tuple[type[Exception], ...] = (apsw.FullError,)
    read_only: tuple[type[Exception], ...] = (apsw.ReadOnlyError,)
    busy: tuple[type[Exception], ...] = (apsw.BusyError,)
    fatal: tuple[type[Exception], ...] = (apsw.IOError,)
    lost: tuple[type[Exception], ...] = ()
    damaged: tuple[type[Exception], ...] = (*DAMAGE_ERRORS, apsw.IOError)
    troubles = ERROR_KINDS

    def __init__(self, directory: Path, ids: Ids) -> None:
        """Open or create ``log.db`` in a state directory. Raises ConfigError where it cannot be used."""
        check_library()
        check_directory(directory)
        self.path = directory / "log.db"
        self.anchor = directory / "log.anchor"
        self._turnstile = ProcessLock(directory / "log.turnstile")
        self._lock = ProcessLock(directory / "log.lock")
        self.wal_pages = 0
        self._unkeyed: bool | None = None
        for name in ("log.db", "log.db-wal", "log.db-shm"):
            check_regular(directory / name, "ATHENA_STATE_DIR")
        try:
            with self._locked():
                check_presence(self.path)
                super().__init__(open_writer(self.path, "FULL"))
                self.log_id = self._prepare(ids)
        except apsw.Error as error:
            raise ConfigError(f"ATHENA_STATE_DIR: cannot use {self.path}: {error}") from error
        self._connection.set_wal_hook(self._count_wal_pages)
        self._inode = self.path.stat().st_ino
        private_file.sync(directory)  # SQLite's own attempt at the new file's name hides its errors

    def _prepare(self, ids: Ids) -> str:
        """Create the tables, or check the format of those that are there; return the log's id."""
        connection = self._connection
        with connection:
            if connection.execute("SELECT count(*) FROM sqlite_schema").get == 0:
                for statement in SCHEMA:
                    connection.execute(statement)
                connection.execute(SQL.insert_meta, ("log_id", ids.salt(8).hex()))
                connection.execute(SQL.insert_meta, ("format", str(FORMAT)))
            check_schema(schema_of(connection), f"ATHENA_STATE_DIR: {self.path}")
            found = connection.execute(SQL.meta, ("format",)).get
            log_id = connection.execute(SQL.meta, ("log_id",)).get
            moved = connection.execute(SQL.meta, (MOVED_TO,)).get
        self.format = check_format(found, f"ATHENA_STATE_DIR: {self.path}")
        if moved is not None:
            raise ConfigError(f"ATHENA_STATE_DIR: the log of {self.path.parent} was moved to {moved}; use it there")
        return str(log_id)

    def _count_wal_pages(self, connection: apsw.Connection, name: str, pages: int) -> int:
        self.wal_pages = pages
        return 0

    def reader(self) -> SqliteReader:
        """A new reader."""
        return SqliteReader(self.path, self.log_id)

    @property
    def name(self) -> str:
        """A name that no other log on this machine has."""
        return str(self.path.resolve())

    def notifier(self) -> SqliteCommitNotifier:
        """A new notifier."""
        return SqliteCommitNotifier()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock between processes; the turnstile makes two of them alternate."""
        self._turnstile.acquire()
        try:
            self._lock.acquire()
        finally:
            self._turnstile.release()
        try:
            yield
        finally:
            self._lock.release()

    def channel(self) -> None:
        """Processes on a state directory have none."""

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """A write transaction alone in the world: committed at the end of the block, rolled back if it raises.

        Raise StoreMoved if a newer release has raised the format, ReadOnlyError if the directory is read-only.
        """
        self._check_writable()
        with self._locked():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self.format = check_still(self._connection.execute(SQL.meta, ("format",)).get)
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _check_writable(self) -> None:
        """Raise ReadOnlyError if the state directory is read-only: a commit that fails half-way may be there or not."""
        if not os.access(self.path.parent, os.W_OK):
            raise apsw.ReadOnlyError("the state directory is read-only")

    def raise_format(self) -> None:
        """Set the format to that of this release."""
        self._connection.execute(SQL.raise_format, (str(FORMAT),))

    def check_place(self) -> None:
        """Raise StoreMoved if the file is no longer where it was opened."""
        try:
            inode = self.path.stat().st_ino
        except FileNotFoundError:
            inode = -1
        if inode != self._inode:
            raise StoreMoved("the log was moved or replaced while it was in use")

    def head(self) -> LogHead:
        """Return the last row's position, time and chain."""
        found = self._connection.execute(SQL.head).fetchone()
        return LogHead._make(found) if found else LogHead()

    def snapshot(self) -> tuple[LogHead, list[StoredGuard]]:
        """The head and the guards of one moment."""
        self._connection.execute("BEGIN")
        try:
            return self.head(), self.guards()
        finally:
            self._connection.execute("COMMIT")

    def insert(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Add rows at the positions they carry."""
        self._connection.executemany(INSERT_ROW, rows)

    def confirm(self) -> None:
        """A commit that is visible is durable."""

    def expect(self, hashes: Sequence[bytes]) -> None:
        """Do nothing: keys are looked up one by one, without a network."""

    def key(self, key_hash: bytes) -> BoundKey | None:
        """Return the command that is stored under a key, if any."""
        found = self._connection.execute(SELECT_KEY, (key_hash,)).fetchone()
        return BoundKey._make(found) if found else None

    def put_keys(self, keys: Sequence[KeyRow]) -> None:
        """Bind keys."""
        self._connection.executemany(INSERT_KEY, keys)

    def expire_keys(self, before: int) -> None:
        """Forget up to a thousand keys that were bound before a time on the clock of keys."""
        self._connection.execute(EXPIRE_KEYS, (before,))

    def newest_key(self) -> int:
        """Return the time of the newest key, 0 without one."""
        return int(self._connection.execute(SQL.newest_key).get or 0)

    def put_key_stamp(self, stamp: str) -> None:
        """Store the stamp of the clock of keys."""
        self._connection.execute(SQL.put_meta, (KEY_CLOCK, stamp))

    def put_guards(self, changes: Sequence[tuple[Guard, Position]]) -> None:
        """Apply guard changes in order."""
        gone, put = guard_rows(changes)
        if gone:
            self._connection.executemany(DELETE_GUARD, gone)
        if put:
            self._connection.executemany(PUT_GUARD, put)

    def put_checkpoint(self, name: str, position: Position) -> bool:
        """Move a checkpoint forward. Return True if it moved."""
        return self._connection.execute(SQL.put_checkpoint, (name, position)).fetchone() is not None

    def erase_text(self, position: Position) -> None:
        """Erase the text of one row (overwritten on disk: ``secure_delete`` is on)."""
        self._connection.execute(SQL.erase_text, (position,))

    def rehearse(self, size: int) -> None:
        """Take space beside the log and give it back. Raises FullError.

        A small write into a WAL that has room would prove nothing.
        """
        scratch = self.path.with_name("log.db-rehearsal")
        try:
            private_file.write(scratch, bytes(size))
        except OSError as error:
            raise apsw.FullError(f"no space beside the log: {error.strerror}") from error
        finally:
            scratch.unlink(missing_ok=True)

    def drop_unkeyed(self, positions: Sequence[Position]) -> None:
        """Forget the keys with a plain hash of their input, if they led to one of these positions.

        They are looked for once: this release binds none.
        """
        if self._unkeyed is None:
            self._unkeyed = bool(self._connection.execute(SQL.any_unkeyed).get)
        if not self._unkeyed:
            return
        self._connection.execute(DROP_UNKEYED, (self._list(positions),))

    def checkpoint_wal(self, truncate: bool) -> None:
        """Move the WAL into the database; with ``truncate`` also empty it.

        Where a reader is in the way it is tried again: its pages go on to count. What was erased is in there, too.
        """
        mode = apsw.SQLITE_CHECKPOINT_TRUNCATE if truncate else apsw.SQLITE_CHECKPOINT_PASSIVE
        self._check_writable()
        with self._locked():
            self._connection.set_busy_timeout(0)
            try:
                self._connection.wal_checkpoint(mode=mode)
                self.wal_pages = 0
            except apsw.BusyError:
                pass
            finally:
                self._connection.set_busy_timeout(BUSY_MS)

    def scrub(self, seconds: float) -> None:
        """Leave nothing of erased text in the files of the log and of the snapshots beside it. Raises OSError.

        Pages of the log are not rewritten: its rows never move, and ``secure_delete`` overwrites what is erased.
        Snapshots are deleted, because they may repeat text; their applications make them again.
        """
        scrub(self.path, seconds)
        snapshots = self.path.with_name("snapshots.db")
        if snapshots.exists():
            scrub(snapshots, seconds, CREATE_STORED, "DELETE FROM stored", "VACUUM")

    def close(self) -> None:
        """Close the writing connection and the locks."""
        self._connection.close()
        self._turnstile.close()
        self._lock.close()
