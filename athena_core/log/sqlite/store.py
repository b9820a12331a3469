"""The database of the log on SQLite (apsw, WAL, synchronous FULL), for one writing process at a time."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from athena_core.clock import Ids
from athena_core.decider import UNKEYED_BYTES
from athena_core.errors import ConfigError, StoreDamaged, StoreMoved, WalFull
from athena_core.event import Guard, Position
from athena_core.log.port import (
    FORMAT,
    KEY_CLOCK,
    MOVED_TO,
    USES_KEPT_MS,
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
from athena_core.log.sqlite.copies import repair
from athena_core.log.sqlite.files import check_directory, check_presence, check_regular
from athena_core.log.sqlite.integrity import inspect
from athena_core.log.sqlite.locks import ProcessLock
from athena_core.log.sqlite.notify import SqliteCommitNotifier
from athena_core.log.sqlite.reader import SqliteReader, SqliteReads
from athena_core.log.sqlite.schema import CREATE_TOKEN_USE, SCHEMA, schema_of
from athena_core.log.sqlite.scrub import scrub
from athena_core.log.sqlite.snapshots import CREATE_STORED
from athena_core.log.sqlite.statements import SQL
from athena_core.protocols import Row
from athena_core.system import private_file

CHECK_SECONDS = 0.5
"""The time for which a start checks the pages. It is enough for some hundred thousand events."""

_log = logging.getLogger(__name__)

INSERT_ROW = f"INSERT INTO log ({COLUMNS}) VALUES ({', '.join('?' * len(Row._fields))})"
SELECT_KEY = (
    "SELECT fingerprint, command.recorded_at, first_position, count, subject, answer,"
    " coalesce(log.recorded_at, 0), extra"
    " FROM command LEFT JOIN log ON position = first_position + count - 1 WHERE key_hash = ?"
)
INSERT_KEY = f"INSERT OR REPLACE INTO command ({KEY_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
EXPIRE_KEYS = "DELETE FROM command WHERE key_hash IN (SELECT key_hash FROM command WHERE recorded_at < ? LIMIT 1000)"
PUT_GUARD = "INSERT OR REPLACE INTO guard (kind, key, value, position) VALUES (?, ?, ?, ?)"
CREATE_MISSING_TOKEN_USE = CREATE_TOKEN_USE.replace("TABLE", "TABLE IF NOT EXISTS", 1)
DELETE_GUARD = "DELETE FROM guard WHERE kind = ? AND key = ?"
DROP_UNKEYED = f"""
    DELETE FROM command WHERE length(fingerprint) = {UNKEYED_BYTES} AND EXISTS (
        SELECT 1 FROM json_each(?) WHERE value BETWEEN first_position AND first_position + count - 1)
"""


class SqliteStore(SqliteReads):
    """The log database with the one writing connection of the process. Writes require ``exclusive``."""

    remote = False
    wal_pages_max = 1 << 20
    """The pages of the WAL (4 GiB) at which writes are refused. It grows while a read stays open."""
    full: tuple[type[Exception], ...] = (apsw.FullError, WalFull)
    read_only: tuple[type[Exception], ...] = (apsw.ReadOnlyError,)
    busy: tuple[type[Exception], ...] = (apsw.BusyError,)
    fatal: tuple[type[Exception], ...] = (apsw.IOError,)
    lost: tuple[type[Exception], ...] = ()
    damaged: tuple[type[Exception], ...] = (*DAMAGE_ERRORS, apsw.IOError)
    troubles = ERROR_KINDS

    def __init__(self, directory: Path, ids: Ids) -> None:
        """Open or create ``log.db`` in a state directory. Raise ConfigError if it cannot be used."""
        check_library()
        check_directory(directory)
        self.path, self._directory = directory / "log.db", str(directory)
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
            remedy = f". {StoreDamaged.REMEDY}" if isinstance(error, DAMAGE_ERRORS) else ""
            raise ConfigError(f"ATHENA_STATE_DIR: cannot use {self.path}: {error}{remedy}") from error
        self._heal()
        self._connection.set_wal_hook(self._count_wal_pages)
        self._inode = self.path.stat().st_ino
        private_file.sync(directory)  # SQLite ignores errors when it syncs the directory

    def _prepare(self, ids: Ids) -> str:
        """Create the tables, or check their schema and format. Return the log's id."""
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

    def _heal(self) -> None:
        """Rebuild damaged indexes, as found in a short check of the pages, and report damaged tables."""
        found = inspect(self._connection, CHECK_SECONDS)
        for fault in found.faults:
            _log.warning("%s: %s", self.path, fault)
        if found.faults and found.only_indexes:
            repair(self.path)
            _log.warning("%s: the damaged indexes were rebuilt from their tables", self.path)
        elif found.faults:
            _log.error(StoreDamaged.REMEDY)

    def _count_wal_pages(self, connection: apsw.Connection, name: str, pages: int) -> int:
        self.wal_pages = pages
        return 0

    def reader(self) -> SqliteReader:
        return SqliteReader(self.path, self.log_id)

    @property
    def name(self) -> str:
        """The name of the log, unique on this machine."""
        return str(self.path.resolve())

    def notifier(self) -> SqliteCommitNotifier:
        return SqliteCommitNotifier()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock between processes. The turnstile makes two waiting processes alternate."""
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
        """Return None: processes on a state directory have no channel."""

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the exclusive write transaction. Commit at the end of the block; roll back if it raises.

        Raise StoreMoved if a newer release has raised the format, ReadOnlyError if the directory is read-only, WalFull.
        """
        self._check_writable()
        if self.wal_pages >= self.wal_pages_max:
            raise WalFull(WalFull.REASON)
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
        """Raise ReadOnlyError if the state directory is read-only, because a commit could fail half-way there."""
        if not os.access(self._directory, os.W_OK):
            raise apsw.ReadOnlyError("the state directory is read-only")

    def raise_format(self) -> None:
        """Raise the format to the one of this release."""
        self._connection.execute(SQL.raise_format, (str(FORMAT),))

    def check_place(self) -> None:
        """Raise StoreMoved if the file was moved or replaced since it was opened."""
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
        """Return the head and the guards in one snapshot."""
        self._connection.execute("BEGIN")
        try:
            return self.head(), self.guards()
        finally:
            self._connection.execute("COMMIT")

    def insert(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows at their positions."""
        self._connection.executemany(INSERT_ROW, rows)

    def confirm(self) -> None:
        """Do nothing: every visible commit is durable."""

    def expect(self, hashes: Sequence[bytes]) -> None:
        """Do nothing: SQLite looks keys up one at a time."""

    def key(self, key_hash: bytes) -> BoundKey | None:
        """Return the command stored under a key, if any."""
        found = self._connection.execute(SELECT_KEY, (key_hash,)).fetchone()
        return BoundKey._make(found) if found else None

    def put_keys(self, keys: Sequence[KeyRow]) -> None:
        self._connection.executemany(INSERT_KEY, keys)

    def expire_keys(self, before: int) -> None:
        """Delete up to a thousand keys bound before a time on the key clock."""
        self._connection.execute(EXPIRE_KEYS, (before,))

    def newest_key(self) -> int:
        """Return the time of the newest key, 0 without one."""
        return int(self._connection.execute(SQL.newest_key).get or 0)

    def put_key_stamp(self, stamp: str) -> None:
        """Store the stamp of the key clock."""
        self._connection.execute(SQL.put_meta, (KEY_CLOCK, stamp))

    def put_guards(self, changes: Sequence[tuple[Guard, Position]]) -> None:
        """Apply guard changes in order."""
        gone, put = guard_rows(changes)
        if gone:
            self._connection.executemany(DELETE_GUARD, gone)
        if put:
            self._connection.executemany(PUT_GUARD, put)

    def put_token_uses(self, uses: Mapping[str, int]) -> None:
        """Store last uses of tokens by token id, and drop old ones. An older log gets its table now."""
        self._connection.execute(CREATE_MISSING_TOKEN_USE)
        self._connection.execute(SQL.expire_token_uses, (max(uses.values()) - USES_KEPT_MS,))
        self._connection.executemany(SQL.put_token_use, tuple(uses.items()))

    def put_checkpoint(self, name: str, position: Position) -> bool:
        """Move a checkpoint forward. Return True if it moved."""
        return self._connection.execute(SQL.put_checkpoint, (name, position)).fetchone() is not None

    def erase_text(self, position: Position) -> None:
        """Erase the text of one row. ``secure_delete`` overwrites it on disk."""
        self._connection.execute(SQL.erase_text, (position,))

    def rehearse(self, size: int) -> None:
        """Allocate ``size`` bytes beside the log and release them. Raise FullError.

        A write into the WAL would prove nothing, because the WAL may have free space.
        """
        scratch = self.path.with_name("log.db-rehearsal")
        try:
            private_file.write(scratch, bytes(size))
        except OSError as error:
            raise apsw.FullError(
                f"no space for a write in the directory of the log: {error.strerror}; free some space"
            ) from error
        finally:
            scratch.unlink(missing_ok=True)

    def drop_unkeyed(self, positions: Sequence[Position]) -> None:
        """Delete keys with an unkeyed hash of their input whose events are at these positions.

        Only older releases stored such keys, so their presence is checked once.
        """
        if self._unkeyed is None:
            self._unkeyed = bool(self._connection.execute(SQL.any_unkeyed).get)
        if not self._unkeyed:
            return
        self._connection.execute(DROP_UNKEYED, (self._list(positions),))

    def checkpoint_wal(self, truncate: bool) -> None:
        """Checkpoint the WAL; with ``truncate``, also empty it. The WAL may hold erased text.

        If a reader blocks it, the pages stay counted and the next call tries again.
        """
        mode = apsw.SQLITE_CHECKPOINT_TRUNCATE if truncate else apsw.SQLITE_CHECKPOINT_PASSIVE
        self._check_writable()
        with self._locked():
            self._connection.set_busy_timeout(0)
            try:
                pages, moved = self._connection.wal_checkpoint(mode=mode)
                self.wal_pages = pages if moved < pages else 0
            except apsw.BusyError:
                pass
            finally:
                self._connection.set_busy_timeout(BUSY_MS)

    def scrub(self, seconds: float) -> None:
        """Remove all traces of erased text from the files of the log and its snapshots. Raise OSError.

        Pages of the log need no rewrite: its rows never move, and ``secure_delete`` overwrites erased text. Snapshots
        are deleted, because they may repeat text; their applications create them again.
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
