"""The database of the log on PostgreSQL: lock, inserts, commits (psycopg 3, READ COMMITTED).

Positions do not come from a sequence. Each batch continues from the head under an advisory lock that it holds until the
commit is durable. So positions are dense, and no row ever appears below a position that was read. Long transactions
elsewhere in the cluster block nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import errors as pg
from psycopg.errors import Diagnostic

from athena_core.clock import Ids
from athena_core.decider import UNKEYED_BYTES
from athena_core.errors import ConfigError, StoreUnreachable
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
from athena_core.log.postgres.notify import CHANNEL, PostgresChannel, PostgresCommitNotifier
from athena_core.log.postgres.reader import ANCHOR, PostgresReader, PostgresReads, ReaderPool
from athena_core.log.postgres.schema import (
    CREATE_TOKEN_USE,
    LOCK,
    LOG_LOCK,
    SCHEMA_LOCK,
    TABLES,
    TYPES,
    check_unmade,
    schema_of,
    unnest,
)
from athena_core.log.postgres.session import (
    ERROR_KINDS,
    PLANS,
    SCHEMA,
    PostgresSession,
    StatementValues,
    connection_errors,
    error_text,
    scalar,
)
from athena_core.log.postgres.statements import SQL
from athena_core.log.postgres.vacuum import vacuum
from athena_core.log.sql.statements import COLUMNS, KEY_COLUMNS
from athena_core.protocols import Row

WRITER_OPTIONS = {
    "client_min_messages": "warning",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "3s",
    "statement_timeout": "10s",
    **PLANS,
}
"""Settings of the session. A writer that hangs in a transaction loses its lock before other writers time out."""
WAIT_FOR_STANDBY = "SyncRepWaitForLSN"
"""The server function that warns, in any language, that a commit is stored but perhaps not replicated."""
TOUCH_META = "UPDATE meta SET value = value WHERE name = 'log_id'"
SELECT_FORMAT_AND_KEY_CLOCK = "SELECT name, value FROM meta WHERE name IN ('format', 'key_clock')"
INSERT_ROWS = f"INSERT INTO log ({COLUMNS}) SELECT * FROM {unnest(*(TYPES.get(name, 'text') for name in Row._fields))}"
SELECT_BOUND = (
    "SELECT key_hash, fingerprint, command.recorded_at, first_position, count, subject, answer,"
    " coalesce(log.recorded_at, 0), extra"
    " FROM command LEFT JOIN log ON position = first_position + count - 1 WHERE key_hash = ANY(%b::bytea[])"
)
PUT_KEYS = (
    f"INSERT INTO command ({KEY_COLUMNS})"
    f" SELECT * FROM {unnest('bytea', 'bytea', 'bigint', 'bigint', 'bigint', 'text', 'bytea')}"
    " ON CONFLICT (key_hash) DO UPDATE SET fingerprint = excluded.fingerprint, recorded_at = excluded.recorded_at,"
    " first_position = excluded.first_position, count = excluded.count, subject = excluded.subject,"
    " answer = excluded.answer"
)
EXPIRE_KEYS = (  # ordered, or the server scans the whole table
    "DELETE FROM command WHERE key_hash = ANY (ARRAY("
    "SELECT key_hash FROM command WHERE recorded_at < %s ORDER BY recorded_at LIMIT 1000))"
)
PUT_GUARDS = (
    f"INSERT INTO guard (kind, key, value, position) SELECT * FROM {unnest('text', 'text', 'text', 'bigint')}"
    " ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value, position = excluded.position"
)
DELETE_GUARDS = (
    f"DELETE FROM guard USING {unnest('text', 'text')} AS gone (kind, key)"
    " WHERE guard.kind = gone.kind AND guard.key = gone.key"
)
DROP_UNKEYED = f"""
    DELETE FROM command WHERE length(fingerprint) = {UNKEYED_BYTES} AND EXISTS (
        SELECT 1 FROM unnest(%s::bigint[]) AS erased (value)
        WHERE value BETWEEN first_position AND first_position + count - 1)
"""
SELECT_TOKEN_USE_RIGHTS = """
    SELECT has_schema_privilege(current_schema(), 'CREATE') AND to_regclass('token_use') IS NULL,
        coalesce(has_table_privilege(to_regclass('token_use'), 'SELECT')
            AND has_table_privilege(to_regclass('token_use'), 'INSERT')
            AND has_table_privilege(to_regclass('token_use'), 'UPDATE')
            AND has_table_privilege(to_regclass('token_use'), 'DELETE'), FALSE)
"""
"""True if the table of token uses must be created and may be, and True if it may be written."""
PUT_TOKEN_USES = (
    f"INSERT INTO token_use (token_id, used_at) SELECT * FROM {unnest('text', 'bigint')}"
    " ON CONFLICT (token_id) DO UPDATE SET used_at = excluded.used_at WHERE token_use.used_at < excluded.used_at"
)
NOTIFY = "SELECT pg_notify(%s, %s)"
INSERT_NOTHING = f"INSERT INTO log ({COLUMNS}) SELECT {COLUMNS} FROM log WHERE FALSE"
WORK_MEM_BYTES_MIN = 64 << 10
TAKE_SPACE = (
    "WITH filler AS MATERIALIZED (SELECT repeat('x', 1024) FROM generate_series(1, %s)) SELECT count(*) FROM filler"
)
BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"


class PostgresStore(PostgresReads):
    """The log in a database, with the one writing connection of the process. Writes require ``exclusive``."""

    wal_pages = 0
    remote = True
    full: tuple[type[Exception], ...] = (pg.DiskFull,)
    read_only: tuple[type[Exception], ...] = (pg.ReadOnlySqlTransaction,)
    busy: tuple[type[Exception], ...] = (pg.LockNotAvailable, pg.QueryCanceled, pg.DeadlockDetected)
    fatal: tuple[type[Exception], ...] = ()
    lost: tuple[type[Exception], ...] = (StoreUnreachable,)
    damaged: tuple[type[Exception], ...] = (pg.DataCorrupted, pg.IndexCorrupted)
    troubles = ERROR_KINDS

    def __init__(self, url: str, directory: Path, ids: Ids) -> None:
        """Open or create the log. ``directory`` holds the anchor of this machine. Raise ConfigError."""
        self.url = url
        self.anchor = directory / ANCHOR
        super().__init__(PostgresSession(url, WRITER_OPTIONS, durable=True))
        self._pool = ReaderPool(url)
        self._writes: list[tuple[str, StatementValues]] = []
        self._unkeyed: bool | None = None
        self._keeps_uses: bool | None = None
        self._head: LogHead | None = None
        self._meta: dict[str, str] = {}
        self._expected: dict[bytes, BoundKey | None] = {}
        try:
            self.log_id = self._prepare(ids)
        except (psycopg.Error, StoreUnreachable) as error:
            self.close()
            raise ConfigError(f"ATHENA_DATABASE_URL: cannot use the database: {error_text(error)}") from error
        except ConfigError:
            self.close()
            raise

    def _prepare(self, ids: Ids) -> str:
        """Create the tables, or check their schema and format. Return the log's id."""
        connection = self._session.connection()
        with connection.transaction():
            connection.execute(LOCK, (SCHEMA_LOCK,))
            if connection.execute("SELECT to_regclass('meta')").fetchone() == (None,):
                check_unmade(connection)
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
                for statement in TABLES:
                    connection.execute(statement)
                for pair in (("log_id", ids.salt(8).hex()), ("format", str(FORMAT))):
                    connection.execute(SQL.insert_meta, pair)
            check_schema(schema_of(self._session), "ATHENA_DATABASE_URL: the log")
            names = ("format", "log_id", MOVED_TO)
            meta = {name: scalar(connection.execute(SQL.meta, (name,)).fetchone()) for name in names}
        self.format = check_format(meta["format"], "ATHENA_DATABASE_URL: the log")
        if meta[MOVED_TO] is not None:
            raise ConfigError(
                f"ATHENA_DATABASE_URL: the log of this database was moved to {meta[MOVED_TO]}; use it there"
            )
        return str(meta["log_id"])

    def reader(self) -> PostgresReader:
        return PostgresReader(self.log_id, *self._pool.take())

    @property
    def name(self) -> str:
        """The name of the log, unique on this machine."""
        return self.url

    def notifier(self) -> PostgresCommitNotifier:
        return PostgresCommitNotifier(self.url, lambda: self._session.session_pid)

    def channel(self) -> PostgresChannel:
        return PostgresChannel(self.url)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the exclusive write transaction. Commit at the end of the block; roll back if it raises.

        The lock and the read of the head are separate statements: a single one would read the state before its wait for
        the lock. Writes are sent to the server together with the commit. Raise StoreMoved if a newer release has raised
        the format.
        """
        with connection_errors():
            connection = self._session.connection()
            self._session.pinned = True
            try:
                with connection.pipeline():
                    connection.execute(BEGIN)
                    connection.execute(LOCK, (LOG_LOCK,))
                    cursor = connection.cursor(binary=True)
                    cursor.execute(SQL.head)
                    found = connection.execute(SELECT_FORMAT_AND_KEY_CLOCK)
                self._head = LogHead(*cursor.fetchone() or ())
                self._meta = {str(name): str(value) for name, value in found.fetchall()}
                self.format = check_still(self._meta["format"])
                yield
                with self._replicated(connection), connection.pipeline():
                    for statement, values in self._writes:
                        connection.execute(statement, values)
                    connection.execute("COMMIT")
            except BaseException:
                self._roll_back(connection)
                raise
            finally:
                self._session.pinned = False
                self._head = None
                self._writes.clear()
                self._expected.clear()

    def raise_format(self) -> None:
        """Raise the format to the one of this release."""
        self._writes.append((SQL.raise_format, (str(FORMAT),)))

    @contextmanager
    def _replicated(self, connection: psycopg.Connection[tuple[Any, ...]]) -> Iterator[None]:
        """Raise StoreUnreachable if the server stopped waiting for a synchronous standby, of which it only warns."""
        given_up: list[str | None] = []

        def notice(diagnostic: Diagnostic) -> None:
            if diagnostic.source_function == WAIT_FOR_STANDBY:
                given_up.append(diagnostic.message_primary)

        connection.add_notice_handler(notice)
        try:
            yield
        finally:
            connection.remove_notice_handler(notice)
        if given_up:
            raise StoreUnreachable(f"no synchronous standby has confirmed the commit: {given_up[0]}")

    def confirm(self) -> None:
        """Rewrite a row unchanged, because only a commit with writes waits for a synchronous standby."""
        self._writes.append((TOUCH_META, ()))

    def _roll_back(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        """Roll a transaction back. Close the connection if that fails."""
        if connection.closed:
            return
        try:
            connection.execute("ROLLBACK")
        except psycopg.Error:
            connection.close()

    def head(self) -> LogHead:
        """Return the last row's position, time and chain."""
        if self._head is not None:
            return self._head
        found = self._session.read(SQL.head)
        return LogHead._make(found[0]) if found else LogHead()

    def snapshot(self) -> tuple[LogHead, list[StoredGuard]]:
        """Return the head and the guards in one snapshot."""
        with connection_errors():
            connection = self._session.connection()
            self._session.pinned = True
            try:
                connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                return self.head(), self.guards()
            finally:
                self._session.pinned = False
                self._roll_back(connection)

    def expect(self, hashes: Sequence[bytes]) -> None:
        """Prefetch these keys in one query."""
        if hashes:
            found = {row[0]: BoundKey._make(row[1:]) for row in self._session.read(SELECT_BOUND, (list(hashes),))}
            self._expected = {hash_: found.get(hash_) for hash_ in hashes}

    def key(self, key_hash: bytes) -> BoundKey | None:
        """Return the command stored under a key, if any."""
        if key_hash in self._expected:
            return self._expected[key_hash]
        found = self._session.read(SELECT_BOUND, ([key_hash],))
        return BoundKey._make(found[0][1:]) if found else None

    def insert(self, rows: Sequence[Row]) -> None:
        """Insert rows at their positions, and notify all processes."""
        if rows:
            self._writes.append((INSERT_ROWS, list(map(list, zip(*rows, strict=True)))))
            self._writes.append((NOTIFY, (CHANNEL, str(rows[-1][0]))))

    def put_keys(self, keys: Sequence[KeyRow]) -> None:
        if keys:
            self._writes.append((PUT_KEYS, list(map(list, zip(*keys, strict=True)))))

    def expire_keys(self, before: int) -> None:
        """Delete up to a thousand keys bound before a time on the key clock."""
        self._writes.append((EXPIRE_KEYS, (before,)))

    def newest_key(self) -> int:
        """Return the time of the newest key, 0 without one."""
        return int(self._session.read(SQL.newest_key)[0][0] or 0)

    def key_stamp(self) -> str | None:
        """Return the stored stamp of the key clock, inside ``exclusive``."""
        return self._meta.get(KEY_CLOCK)

    def put_key_stamp(self, stamp: str) -> None:
        """Store the stamp of the key clock."""
        self._writes.append((SQL.put_meta, (KEY_CLOCK, stamp)))

    def put_guards(self, changes: Sequence[tuple[Guard, Position]]) -> None:
        """Apply guard changes in order."""
        gone, put = guard_rows(changes)
        if gone:
            self._writes.append((DELETE_GUARDS, list(map(list, zip(*gone, strict=True)))))
        if put:
            self._writes.append((PUT_GUARDS, list(map(list, zip(*put, strict=True)))))

    def put_token_uses(self, uses: Mapping[str, int]) -> None:
        """Store last uses of tokens by token id, and drop old ones. An older log gets its table now.

        A role that may not create or write the table stores nothing: a last use must not stop a commit.
        """
        if not self._keeps_uses:
            creates, self._keeps_uses = self._session.read(SELECT_TOKEN_USE_RIGHTS)[0]
            if not creates and not self._keeps_uses:
                return
            if creates:
                self._writes.append((CREATE_TOKEN_USE, ()))
        self._writes.append((SQL.expire_token_uses, (max(uses.values()) - USES_KEPT_MS,)))
        self._writes.append((PUT_TOKEN_USES, (list(uses), list(uses.values()))))

    def put_checkpoint(self, name: str, position: Position) -> bool:
        """Move a checkpoint forward. Return True if it moved."""
        return self._session.connection().execute(SQL.put_checkpoint, (name, position)).fetchone() is not None

    def erase_text(self, position: Position) -> None:
        """Erase the text of one row. The next VACUUM removes it from the files of the database."""
        self._writes.append((SQL.erase_text, (position,)))

    def rehearse(self, size: int) -> None:
        """Allocate ``size`` bytes in the default tablespace, in a temporary file that the server deletes at once.

        This uses no WAL, transaction id or catalog row, so an idle database still archives nothing. The query exceeds
        its memory limit by ``size``.
        """
        connection = self._session.connection()
        with connection.pipeline():
            connection.execute(INSERT_NOTHING)  # fails if an insert would
            connection.execute("SET LOCAL work_mem = 64")
            connection.execute("SET LOCAL temp_tablespaces = ''")
            connection.execute(TAKE_SPACE, ((WORK_MEM_BYTES_MIN + size) // 1024,))

    def drop_unkeyed(self, positions: Sequence[Position]) -> None:
        """Delete keys with an unkeyed hash of their input whose events are at these positions.

        Only older releases stored such keys, so their presence is checked once.
        """
        if self._unkeyed is None:
            self._unkeyed = bool(self._session.read(SQL.any_unkeyed)[0][0])
        if not self._unkeyed:
            return
        self._writes.append((DROP_UNKEYED, (list(positions),)))

    def checkpoint_wal(self, truncate: bool) -> None:
        """Do nothing: the server checkpoints."""

    def scrub(self, seconds: float) -> None:
        """Delete the snapshots, which may repeat erased text, and vacuum the log (``vacuum``)."""
        vacuum(self.url, SCHEMA, seconds, "stored")

    def check_place(self) -> None:
        """Do nothing: another database behind the same URL is noticed by its head."""

    def close(self) -> None:
        """Close the writing connection and the pool of readers."""
        self._session.close()
        self._pool.close()
