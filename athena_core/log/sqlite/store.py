"""The log's database on SQLite: schema, locks, inserts, reads (apsw, WAL, synchronous FULL)."""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import lru_cache, partial
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from sys import getsizeof
from typing import Any, cast

import anyio
import apsw
import msgspec

from athena_core.clock import Ids
from athena_core.decider import UNKEYED_BYTES
from athena_core.errors import ConfigError, StoreMoved
from athena_core.event import Guard, Position
from athena_core.log.chain import GENESIS
from athena_core.log.port import (
    ABOUT_BYTES_MAX,
    FORMAT,
    KEY_CLOCK,
    MOVED_TO,
    READ_BYTES_MAX,
    ROW_BYTES_MAX,
    BoundKey,
    ErrorKinds,
    ExecutorHeartbeat,
    KeyRow,
    LogHead,
    RegisteredExecutor,
    SchemaReport,
    StoredGuard,
    StoredSnapshot,
    check_format,
    check_schema,
    check_still,
    guard_rows,
)
from athena_core.protocols import (
    Cell,
    Connection,
    DatabaseDamaged,
    PublicCells,
    PublicRow,
    Row,
    StoredKey,
    row_of,
)
from athena_core.system import private_file
from athena_core.values import PAGE_BYTES_MAX

SQLITE_VERSION_MIN = (3, 51, 3)  # before it a WAL reset could corrupt the file
BUSY_MS = 5_000
VIEWS_BUSY_MS = 60_000
"""How long who writes views waits for another process that writes them, or rewrites the file after an erasure."""

TRY_MS = 50
"""How long one attempt to empty a WAL holds up writers."""

COUNTER_BYTES = 8
READ_ROWS = 32
"""How many rows are read between two looks at their size."""

POLL_SECONDS_MIN = 0.002
POLL_SECONDS_MAX = 0.05
NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "ceph", "glusterfs", "lustre"})

SCHEMA = (
    """CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID""",
    """CREATE TABLE log (
        position INTEGER PRIMARY KEY, stream TEXT NOT NULL, version INTEGER NOT NULL, type TEXT NOT NULL,
        schema_version INTEGER NOT NULL, recorded_at INTEGER NOT NULL, command_id TEXT NOT NULL,
        correlation TEXT NOT NULL, causation INTEGER, actor TEXT NOT NULL, session_id TEXT, run_id TEXT,
        data BLOB NOT NULL, extra BLOB, data_hash BLOB NOT NULL, text_hash BLOB, chain BLOB NOT NULL, text BLOB
    ) STRICT""",
    """CREATE UNIQUE INDEX log_stream ON log (stream, version)""",
    """CREATE INDEX log_session ON log (session_id, position) WHERE session_id IS NOT NULL""",
    """CREATE TABLE command (
        key_hash BLOB PRIMARY KEY, fingerprint BLOB NOT NULL, recorded_at INTEGER NOT NULL,
        first_position INTEGER NOT NULL, count INTEGER NOT NULL, subject TEXT, answer BLOB
    ) STRICT, WITHOUT ROWID""",
    """CREATE INDEX command_age ON command (recorded_at)""",
    """CREATE TABLE guard (
        kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, position INTEGER NOT NULL,
        PRIMARY KEY (kind, key)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE checkpoint (name TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT, WITHOUT ROWID""",
)
SELECT_SCHEMA = "SELECT type, name, coalesce(tbl_name, ''), sql FROM sqlite_schema"
OWN_STATISTICS = frozenset({"sqlite_stat1", "sqlite_stat4"})
"""What SQLite itself makes of a table, for ``ANALYZE``."""

DISTRUST = (
    (apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1),
    (apsw.SQLITE_DBCONFIG_DEFENSIVE, 1),
    (apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
    (apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0),
    (apsw.SQLITE_DBCONFIG_ENABLE_VIEW, 0),
)
"""Settings of every connection. A file may come from elsewhere: no SQL that it holds runs, and no view stands for a
table. With QPSG SQLite keeps the plans of statements. Else it plans one anew whenever its values might make another
plan better, which costs a join or the rows of a stream 10 µs each time; there are no statistics that values could
speak to."""

COLUMNS = ", ".join(Row._fields)
SELECT_META = "SELECT value FROM meta WHERE name = ?"
SELECT_META_NAMES = "SELECT name FROM meta LIMIT 20"
INSERT_META = "INSERT INTO meta (name, value) VALUES (?, ?)"
PUT_META = "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)"
RAISE_FORMAT = "UPDATE meta SET value = ? WHERE name = 'format'"
INSERT_ROW = f"INSERT INTO log ({COLUMNS}) VALUES ({', '.join('?' * len(Row._fields))})"
SELECT_HEAD = "SELECT position, recorded_at, chain FROM log ORDER BY position DESC LIMIT 1"
SELECT_POSITION = "SELECT max(position) FROM log"
SELECT_ROW = f"SELECT {COLUMNS} FROM log WHERE position = ?"
PAGE = "FROM log WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
SELECT_PAGE = f"SELECT {COLUMNS} {PAGE}"
SELECT_SHOWN = f"SELECT {', '.join(PublicRow._fields)} {PAGE}"
SELECT_STREAM = f"SELECT {COLUMNS} FROM log WHERE stream = ? AND version > ? AND version <= ? ORDER BY version"
SELECT_SESSION = (
    f"SELECT {COLUMNS} FROM log WHERE session_id = ? AND position < ? AND position > ? ORDER BY position DESC"
)
SELECT_KEY = (
    "SELECT fingerprint, command.recorded_at, first_position, count, subject, answer,"
    " coalesce(log.recorded_at, 0), extra"
    " FROM command LEFT JOIN log ON position = first_position + count - 1 WHERE key_hash = ?"
)
SELECT_NEWEST_KEY = "SELECT max(recorded_at) FROM command"
SELECT_KEYS = "SELECT key_hash, first_position, first_position + count - 1, recorded_at, subject FROM command"
INSERT_KEY = (
    "INSERT OR REPLACE INTO command (key_hash, fingerprint, recorded_at, first_position, count, subject, answer)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
EXPIRE_KEYS = "DELETE FROM command WHERE key_hash IN (SELECT key_hash FROM command WHERE recorded_at < ? LIMIT 1000)"
SELECT_GUARDS = "SELECT kind, key, value FROM guard ORDER BY position"
SELECT_GUARDS_OF = (
    "SELECT kind, key, guard.value FROM guard WHERE kind IN (SELECT value FROM json_each(?)) ORDER BY position"
)
PUT_GUARD = "INSERT OR REPLACE INTO guard (kind, key, value, position) VALUES (?, ?, ?, ?)"
DELETE_GUARD = "DELETE FROM guard WHERE kind = ? AND key = ?"
SELECT_CHECKPOINT = "SELECT position FROM checkpoint WHERE name = ?"
PUT_CHECKPOINT = (
    "INSERT INTO checkpoint (name, position) VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET position = excluded.position WHERE checkpoint.position < excluded.position"
    " RETURNING position"
)
ERASE_TEXT = "UPDATE log SET text = NULL WHERE position = ?"
ANY_UNKEYED = f"SELECT EXISTS (SELECT 1 FROM command WHERE length(fingerprint) = {UNKEYED_BYTES})"
DROP_UNKEYED = f"""
    DELETE FROM command WHERE length(fingerprint) = {UNKEYED_BYTES} AND EXISTS (
        SELECT 1 FROM json_each(?) WHERE value BETWEEN first_position AND first_position + count - 1)
"""

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
CREATE_STORED = (
    "CREATE TABLE IF NOT EXISTS stored ("
    "purpose TEXT NOT NULL, originator_id TEXT NOT NULL, originator_version INTEGER NOT NULL,"
    " topic TEXT NOT NULL, state BLOB NOT NULL, PRIMARY KEY (purpose, originator_id, originator_version)"
    ") STRICT, WITHOUT ROWID"
)
INSERT_STORED = "INSERT INTO stored (purpose, originator_id, originator_version, topic, state) VALUES (?, ?, ?, ?, ?)"
SELECT_STORED = (
    "SELECT originator_id, originator_version, topic, state FROM stored WHERE purpose = ? AND originator_id = ?"
    " AND originator_version > ? AND originator_version <= ? ORDER BY originator_version LIMIT ?"
)
SELECT_STORED_BACKWARDS = SELECT_STORED.replace("ORDER BY originator_version", "ORDER BY originator_version DESC")

ERROR_KINDS: ErrorKinds = (
    ((apsw.ConstraintError,), "IntegrityError"),
    ((apsw.BusyError, apsw.FullError, apsw.IOError), "OperationalError"),
    ((apsw.ConnectionClosedError, apsw.ThreadingViolationError), "InterfaceError"),
    ((apsw.Error,), "DatabaseError"),
    ((UnicodeError, OverflowError), "DataError"),
)
DISK_ERRORS = (apsw.FullError, apsw.IOError)
DAMAGE_ERRORS = (apsw.CorruptError, apsw.NotADBError)
NO_TABLE = "no such table"
VIEW_ERRORS = (*DISK_ERRORS, *DAMAGE_ERRORS, apsw.SQLError)
DatabaseError = apsw.Error
"""Whatever SQLite says about a file."""

STEPS_BETWEEN_LOOKS = 1_000
"""How many instructions of SQLite's machine (some microseconds) pass between two looks at the clock."""

_texts_of = itemgetter(Row._fields.index("data"), Row._fields.index("text"))
_to_json = msgspec.json.Encoder().encode
_from_json = msgspec.json.Decoder(tuple[str | int, ...]).decode


class ProcessLock:
    """An advisory lock between processes: one open file, ``flock`` on it. Released when the process ends."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        """Open the file, creating it unless told not to. Raises FileNotFoundError then."""
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)

    @classmethod
    def own(cls, path: Path) -> "ProcessLock":
        """A lock that is held, on the file that has this name (somebody may tidy up files that nobody holds)."""
        while True:
            lock = cls(path)
            if lock.try_acquire() and path.exists() and path.stat().st_ino == os.fstat(lock._file).st_ino:
                return lock
            lock.close()

    def acquire(self) -> None:
        """Wait for it (a blocked thread can only be freed by the holder)."""
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def try_acquire(self) -> bool:
        """Take it if nobody has it."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Give it up."""
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give it up and close the file."""
        os.close(self._file)


class FileLeaderLock:
    """A lock on a file that is named first and opened when it is taken (``protocols.Latch``)."""

    def __init__(self, path: Path) -> None:
        """Name the file."""
        self._path = path
        self._lock: ProcessLock | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds it."""
        return self._lock is not None

    def acquire(self) -> bool:
        """Try to take it, without waiting; tell whether this object holds it now."""
        if self._lock is None:
            lock = ProcessLock(self._path)
            if lock.try_acquire():
                self._lock = lock
            else:
                lock.close()
        return self._lock is not None

    def release(self) -> None:
        """Let go, if held."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


class FileExecutorRegistry:
    """Who is at work on a state directory: a file for each, locked, with a counter in it (``port.Attendance``).

    Behind the counter stands what they say of themselves.
    """

    def __init__(self, directory: Path, executor: str, about: bytes) -> None:
        """Take the lock of ``executor`` below ``directory``."""
        self.executor = executor
        self._directory = directory / "executors"
        self._directory.mkdir(exist_ok=True, mode=0o700)
        self._path = self._directory / f"{executor}.lock"
        self._lock = ProcessLock.own(self._path)
        self._file = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        self.count(0, about)

    def count(self, count: int, about: bytes) -> None:
        """Write one's counter and one's description, JSON of at most ``ABOUT_BYTES_MAX`` bytes. Raises OSError.

        It is one write of one block, blanks behind the JSON. The block is taken at the start, so that no later write
        needs space, and readers find whole JSON.
        """
        written = count.to_bytes(COUNTER_BYTES, "big") + about.ljust(ABOUT_BYTES_MAX)
        if os.pwrite(self._file, written, 0) < len(written):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))

    def look(self, executor: str) -> ExecutorHeartbeat | None:
        """How somebody else is; None where they left in order, and took the file along."""
        path = self._directory / f"{executor}.lock"
        try:
            count = int.from_bytes(path.read_bytes()[:COUNTER_BYTES], "big")
            free = self._free(path)
        except FileNotFoundError:
            return None
        return ExecutorHeartbeat(count, free) if not free or path.exists() else None

    def _free(self, path: Path) -> bool:
        """Whether nobody holds a lock. Raises FileNotFoundError."""
        lock = ProcessLock(path, create=False)
        try:
            return lock.try_acquire()
        finally:
            lock.close()

    def everybody(self) -> list[RegisteredExecutor]:
        """All who attend, and those who are lost and not forgotten yet."""
        found: list[RegisteredExecutor] = []
        for path in sorted(self._directory.glob("exe_*.lock")):
            with suppress(FileNotFoundError):
                about, counted_at = path.read_bytes()[COUNTER_BYTES:], path.stat().st_mtime_ns // 1_000_000
                found.append(RegisteredExecutor(path.stem, about, counted_at, self._free(path)))
        return found

    def forget(self, kept: set[str]) -> None:
        """Forget those whose locks are free, but for some."""
        for path in self._directory.glob("exe_*.lock"):
            if path.stem != self.executor and path.stem not in kept:
                with suppress(FileNotFoundError):
                    if self._free(path):
                        path.unlink()

    def alone(self) -> bool:
        """Whether nobody else attends."""
        try:
            return sum(1 for _ in self._directory.iterdir()) == 1
        except OSError:  # nobody can tell, and to be gathered is only a saving
            return False

    def leave(self) -> None:
        """Leave in order."""
        self._path.unlink(missing_ok=True)
        os.close(self._file)
        self._lock.close()


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


class SqliteSnapshotStore:
    """Keeps what foreign applications put beside a log, in a file of its own."""

    troubles = ERROR_KINDS

    def __init__(self, path: Path, purpose: str) -> None:
        """Open or create the file."""
        self._purpose = purpose
        self._connection = open_writer(path, "FULL")
        self._connection.pragma("wal_autocheckpoint", 1_000)
        self._connection.execute(CREATE_STORED)

    def put(self, rows: Sequence[StoredSnapshot]) -> None:
        """Store all or none."""
        with self._connection:
            self._connection.executemany(INSERT_STORED, [(self._purpose, *row) for row in rows])

    def part(self, owner: str, after: int, until: int, limit: int, *, backwards: bool) -> list[StoredSnapshot]:
        """At most ``limit`` of one owner's with ``after < version <= until``, from one end or the other."""
        statement = SELECT_STORED_BACKWARDS if backwards else SELECT_STORED
        found: list[Any] = self._connection.execute(statement, (self._purpose, owner, after, until, limit)).fetchall()
        return found

    def close(self) -> None:
        """Close it."""
        self._connection.close()


class SqliteCommitNotifier:
    """Looks often while others commit, and seldom while they do not: a look costs 4 µs."""

    def __init__(self) -> None:
        """Begin by looking often."""
        self._delay = POLL_SECONDS_MIN

    async def pause(self, *, news: bool) -> None:
        """Wait a little, longer each time that nothing was found."""
        self._delay = POLL_SECONDS_MIN if news else min(self._delay * 1.5, POLL_SECONDS_MAX)
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
                self._connection = open_writer(self.path, "FULL")
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
                connection.execute(INSERT_META, ("log_id", ids.salt(8).hex()))
                connection.execute(INSERT_META, ("format", str(FORMAT)))
            check_schema(schema_of(connection), f"ATHENA_STATE_DIR: {self.path}")
            found = connection.execute(SELECT_META, ("format",)).get
            log_id = connection.execute(SELECT_META, ("log_id",)).get
            moved = connection.execute(SELECT_META, (MOVED_TO,)).get
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
        """What tells this log from others on this machine."""
        return str(self.path.resolve())

    def bell(self) -> SqliteCommitNotifier:
        """A new bell."""
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
                self.format = check_still(self._connection.execute(SELECT_META, ("format",)).get)
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
        self._connection.execute(RAISE_FORMAT, (str(FORMAT),))

    def check_place(self) -> None:
        """Raise StoreMoved if the file is no longer where it was opened."""
        try:
            inode = self.path.stat().st_ino
        except FileNotFoundError:
            inode = -1
        if inode != self._inode:
            raise StoreMoved("the log was moved or replaced while it was in use")

    def head(self) -> LogHead:
        """Position, time and chain of the last row."""
        found = self._connection.execute(SELECT_HEAD).fetchone()
        return found if found else (0, 0, GENESIS)

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
        """They are looked up one by one: that is no way."""

    def key(self, key_hash: bytes) -> BoundKey | None:
        """What is stored under a key."""
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
        return int(self._connection.execute(SELECT_NEWEST_KEY).get or 0)

    def put_key_stamp(self, stamp: str) -> None:
        """Store the stamp of the clock of keys."""
        self._connection.execute(PUT_META, (KEY_CLOCK, stamp))

    def put_guards(self, changes: Sequence[tuple[Guard, Position]]) -> None:
        """Apply guard changes in order."""
        gone, put = guard_rows(changes)
        if gone:
            self._connection.executemany(DELETE_GUARD, gone)
        if put:
            self._connection.executemany(PUT_GUARD, put)

    def put_checkpoint(self, name: str, position: Position) -> bool:
        """Move a checkpoint forward; tell whether it moved."""
        return self._connection.execute(PUT_CHECKPOINT, (name, position)).fetchone() is not None

    def erase_text(self, position: Position) -> None:
        """Erase the text of one row (overwritten on disk: ``secure_delete`` is on)."""
        self._connection.execute(ERASE_TEXT, (position,))

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
            self._unkeyed = bool(self._connection.execute(ANY_UNKEYED).get)
        if not self._unkeyed:
            return
        self._connection.execute(DROP_UNKEYED, (_to_json(positions).decode(),))

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
        """Leave nothing of erased text in the files of the log and of the shelf beside it. Raises OSError.

        Pages of the log are not rewritten: its rows never move, and ``secure_delete`` overwrites what is erased.
        Snapshots are deleted, because they may repeat text; their applications make them again.
        """
        scrub(self.path, seconds)
        shelf = self.path.with_name("snapshots.db")
        if shelf.exists():
            scrub(shelf, seconds, CREATE_STORED, "DELETE FROM stored", "VACUUM")

    def close(self) -> None:
        """Close the writing connection and the locks."""
        self._connection.close()
        self._turnstile.close()
        self._lock.close()


def open_writer(path: Path, synchronous: str) -> apsw.Connection:
    """A connection for writing: WAL, explicit checkpoints, erasure on; every setting is read back."""
    if not path.exists():  # to close any descriptor of a file that is open here would drop SQLite's locks on it
        private_file.create(path)  # SQLite gives the WAL and the rest the mode that it finds
    connection = _opened(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
    if connection.readonly("main"):
        connection.close()
        raise ConfigError(f"ATHENA_STATE_DIR: {path.name} is not writable")
    wanted: dict[str, tuple[int | str, int | str]] = {
        "journal_mode": ("WAL", "wal"),
        "synchronous": (synchronous, {"FULL": 2, "NORMAL": 1}[synchronous]),
        "wal_autocheckpoint": (0, 0),
        "secure_delete": ("ON", 1),
        "cache_size": (-16_384, -16_384),
    }
    for name, (value, expected) in wanted.items():
        connection.pragma(name, value)
        found = connection.pragma(name)
        if found != expected:
            connection.close()
            raise ConfigError(f"ATHENA_STATE_DIR: {path.name}: {name} is {found}, not {value}")
    connection.transaction_mode = "IMMEDIATE"
    return connection


def open_reader(path: Path) -> apsw.Connection:
    """A connection that can only read."""
    connection = _opened(path, apsw.SQLITE_OPEN_READONLY)
    connection.pragma("query_only", True)
    return connection


def _opened(path: Path, flags: int) -> apsw.Connection:
    """A connection that distrusts what it opens."""
    connection = apsw.Connection(str(path), flags=flags)
    distrust(connection)
    connection.set_busy_timeout(BUSY_MS)
    return connection


def distrust(connection: apsw.Connection) -> None:
    """Run no SQL of the file, and refuse rows that are larger than any of ours."""
    for option, value in DISTRUST:
        connection.config(option, value)
    connection.limit(apsw.SQLITE_LIMIT_LENGTH, ROW_BYTES_MAX)
    connection.pragma("cell_size_check", True)


def schema_of(connection: apsw.Connection) -> SchemaReport:
    """Compare what a database holds with ``SCHEMA``, text by text. Raises apsw.Error."""
    expected = _expected()
    found = {str(name): (str(kind), str(table), sql) for kind, name, table, sql in connection.execute(SELECT_SCHEMA)}
    strays = [
        f"{'a changed' if name in expected else 'an unknown'} {kind}, {name}, on {table}"
        for name, (kind, table, sql) in sorted(found.items())
        if expected.get(name) != (kind, table, sql) and not (kind == "table" and name in OWN_STATISTICS)
    ]
    strays += [f"no {kind} {name}" for name, (kind, _, _) in sorted(expected.items()) if name not in found]
    tables = [name for name, (kind, _, _) in expected.items() if kind == "table"]
    return SchemaReport(tuple(sorted(strays)), all(found.get(name) == expected[name] for name in tables))


@lru_cache(maxsize=1)
def _expected() -> Mapping[str, tuple[str, str, str | None]]:
    """By name: kind, table and SQL of what ``SCHEMA`` creates, with the indexes that SQLite adds."""
    with closing(apsw.Connection(":memory:")) as connection:
        for statement in SCHEMA:
            connection.execute(statement)
        return {str(name): (str(kind), str(table), sql) for kind, name, table, sql in connection.execute(SELECT_SCHEMA)}


class SqliteViewConnection:
    """A connection to a database of views (``protocols.Connection``); trouble with the disk is an OSError."""

    def __init__(self, connection: apsw.Connection) -> None:
        """Wrap it."""
        self._connection = connection

    def execute(self, statement: str, values: Sequence[Cell] = ()) -> Iterator[tuple[Cell, ...]]:
        """Run one statement and iterate its rows."""
        try:
            found = self._connection.execute(statement, tuple(values))
        except VIEW_ERRORS as error:
            raise _view_error(error) from error
        return _rows(found)

    def stream(self, statement: str, values: Sequence[Cell] = ()) -> Iterator[tuple[Cell, ...]]:
        """Run one statement; SQLite reads a row when it is asked for."""
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

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Every statement in the block sees the same rows."""
        self.execute("BEGIN")
        try:
            yield
        finally:
            self.execute("ROLLBACK")

    def changed(self) -> int:
        """A number that changes when another connection has committed."""
        try:
            return int(self._connection.execute("PRAGMA data_version").get)
        except VIEW_ERRORS as error:
            raise _view_error(error) from error

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Interrupt what runs in the block once the time is up; then raises TimeoutError."""
        until = time.monotonic() + seconds
        self._connection.set_progress_handler(lambda: time.monotonic() > until, STEPS_BETWEEN_LOOKS)
        try:
            yield
        except apsw.InterruptError as error:
            raise TimeoutError from error
        finally:
            self._connection.set_progress_handler(None)

    def close(self) -> None:
        """Close it."""
        self._connection.close()


def _rows(found: Iterator[tuple[Cell, ...]]) -> Iterator[tuple[Cell, ...]]:
    """Iterate rows, each of which may lie in a page that cannot be read."""
    try:
        yield from found
    except VIEW_ERRORS as error:
        raise _view_error(error) from error


def _view_error(error: apsw.Error) -> Exception:
    """Return what an error of SQLite means for a database that can be built anew."""
    if isinstance(error, DISK_ERRORS):
        return OSError(str(error))
    if isinstance(error, DAMAGE_ERRORS) or NO_TABLE in str(error):
        return DatabaseDamaged(str(error))
    return error


class SqliteDatabases:
    """Opens databases of views (``protocols.Databases``): WAL, synchronous NORMAL, they can be rebuilt (E9)."""

    def write(self, path: Path) -> Connection:
        """Open for writing, creating it if needed; SQLite checkpoints it by itself."""
        try:
            connection = open_writer(path, "NORMAL")
        except DAMAGE_ERRORS as error:
            raise DatabaseDamaged(str(error)) from error
        connection.pragma("wal_autocheckpoint", 1_000)
        connection.set_busy_timeout(VIEWS_BUSY_MS)
        return SqliteViewConnection(connection)

    def scrub(self, path: Path, seconds: float) -> None:
        """Rewrite a database and empty its WAL: erased text may be left between rows that a page had to move.

        A server goes on meanwhile. Raises OSError where that was not possible within ``seconds``.
        """
        scrub(path, seconds, "VACUUM")

    def read(self, path: Path) -> Connection:
        """Open read-only; the file must exist."""
        return SqliteViewConnection(open_reader(path))


def scrub(path: Path, seconds: float, *statements: str) -> None:
    """Run statements on a database and empty its WAL, from which they leave nothing in the files.

    A reader with an old snapshot keeps the WAL. Each attempt is short, because nobody can write during one. Raises
    OSError where ``seconds`` were not enough.
    """
    until = time.monotonic() + seconds
    try:
        with closing(open_writer(path, "FULL")) as connection:
            connection.set_busy_timeout(TRY_MS)
            for statement in statements:
                _retried(partial(connection.execute, statement), until)
            _retried(partial(connection.wal_checkpoint, mode=apsw.SQLITE_CHECKPOINT_TRUNCATE), until)
    except apsw.BusyError:
        raise TimeoutError(f"other processes used {path.name} without a pause of {seconds:g} s") from None
    except apsw.Error as error:
        raise OSError(f"{path.name}: {error}") from error


def _retried(attempt: Callable[[], object], until: float) -> None:
    """Repeat what fails because others are in the way. Raises BusyError once the time is up."""
    while True:
        try:
            attempt()
            return
        except apsw.BusyError:
            if time.monotonic() >= until:
                raise
        time.sleep(TRY_MS / 1_000)


def check_library() -> str:
    """The version of SQLite. Raises ConfigError for one that may lose a log."""
    found = apsw.sqlite_lib_version()
    if tuple(int(part) for part in found.split(".")) < SQLITE_VERSION_MIN:
        raise ConfigError(f"SQLite {found} can corrupt a WAL; 3.51.3 or newer is needed: update apsw")
    return found


def check_directory(directory: Path) -> None:
    """Make a state directory where there is none. Raises ConfigError for one that cannot be used."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(f"ATHENA_STATE_DIR: cannot create {directory}: {error.strerror}") from error
    if not os.access(directory, os.W_OK):
        raise ConfigError(f"ATHENA_STATE_DIR: {directory} is not writable")
    kind = file_system(directory)
    if kind in NETWORK_FILE_SYSTEMS:
        raise ConfigError(f"ATHENA_STATE_DIR: {directory} is on {kind}; SQLite needs a local file system")


def check_regular(path: Path, place: str) -> None:
    """Raise ConfigError for what is there and no regular file, nor a link to one: opening it might never return."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise ConfigError(f"{place}: {path} is a link to nothing") from None
        return
    except OSError as error:
        raise ConfigError(f"{place}: cannot read {path}: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise ConfigError(f"{place}: {path} is not a regular file")


def check_presence(path: Path) -> None:
    """Refuse to begin a new log where another one was: SQLite would delete what is left of it, the WAL."""
    left = [name for name in ("log.db-wal", "log.anchor") if path.with_name(name).exists()]
    if left and not path.exists():
        raise ConfigError(
            f"ATHENA_STATE_DIR: {path} is missing, but {' and '.join(left)} of it are there:"
            " put it back, or delete them to begin a new log"
        )


def file_system(directory: Path) -> str:
    """The type of the file system that holds a directory, by the longest mount point above it."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return "unknown"
    place = str(directory.resolve())
    best, kind = "", "unknown"
    for line in mounts.read_text().splitlines():
        _, point, found, *_ = line.split(" ")
        inside = place == point or place.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, found
    return kind
