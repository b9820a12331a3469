"""PostgreSQL sessions: connecting, timeouts, and the errors of lost connections."""

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any, TypeAlias

import psycopg
from psycopg import errors as pg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from athena_core.errors import NO_CONNECTIONS, ConfigError, StoreUnreachable
from athena_core.log.port import ErrorKinds

SERVER_VERSION_MIN = 140_000
LOCK_CLASS = 0x61746865
"""The class of all advisory locks. Locks belong to the database, so a database holds only one plane."""
SCHEMA = "athena"

PLANS = {"enable_seqscan": "off", "jit": "off"}
"""Planner settings. Every statement has an index, and a plan made for empty tables must not scan full ones."""
PATIENCE: dict[str, str | int] = {
    "application_name": "athena",
    "connect_timeout": 3,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
DURABLE = {"fsync": "on", "full_page_writes": "on"}
TOO_MANY = re.compile("too many connections|too many clients|connection slots|no more connections|query_wait_timeout")
"""Errors of PostgreSQL or a pooler at the connection limit."""
READ_ONLY = re.compile("server is in hot standby mode|session is read-only")
"""Errors of libpq about a read-only server."""
PRIMARY = {"any": "primary", "primary": "primary", "read-write": "read-write"}
"""The allowed values of ``target_session_attrs`` in the URL, and the values passed to libpq."""
DURABLE_COMMITS = frozenset({"on", "local", "remote_write", "remote_apply"})


STANDBY = "the database is a standby or read-only; Athena needs the primary"

ERROR_KINDS: ErrorKinds = (
    ((psycopg.IntegrityError,), "IntegrityError"),
    ((psycopg.DataError, UnicodeError, OverflowError), "DataError"),
    ((StoreUnreachable, psycopg.OperationalError), "OperationalError"),
    ((psycopg.InterfaceError,), "InterfaceError"),
    ((psycopg.Error,), "DatabaseError"),
)

StatementValues: TypeAlias = Sequence[Any]


class PostgresSession:
    """One connection to the database. After a loss, the next statement opens a new one."""

    def __init__(self, url: str, options: dict[str, str], *, durable: bool = False) -> None:
        """Connect at the first statement. ``options`` are settings of the session.

        A ``durable`` session writes a log: each server it connects to must pass ``check_server``.
        """
        self._url = url
        self._durable = durable
        self._options = options
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._pid: int | None = None
        self.pinned = False
        """True in a transaction, when a lost connection must not be replaced."""
        self._over = False
        self._connecting = threading.Lock()

    def connection(self) -> psycopg.Connection[tuple[Any, ...]]:
        """The connection. Raise StoreUnreachable or ConfigError."""
        if self._over:
            raise psycopg.InterfaceError("it was closed")
        with self._connecting:  # threads that share a session would each connect, and only the last be closed
            if self._connection is None or (self._connection.closed and not self.pinned):
                self._connection = self._connected()
                if self._over:  # another thread closed it meanwhile
                    self._connection.close()
                    raise psycopg.InterfaceError("it was closed")
                self._pid = session_pid(self._connection)
            return self._connection

    def _connected(self) -> psycopg.Connection[tuple[Any, ...]]:
        connection = connect(self._url, self._options)
        if self._durable:
            try:
                check_server(connection)
            except BaseException:
                connection.close()
                raise
        return connection

    def read(self, statement: str, values: StatementValues | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a statement in its own transaction. Retry once if the connection was lost."""
        if self._over:
            raise psycopg.InterfaceError("it was closed")
        used = self._connection is not None and not self._connection.closed
        with connection_errors():
            try:
                return self._read(statement, values)
            except psycopg.Error:
                if self.pinned or not used or not self.lost:
                    raise
                return self._read(statement, values)

    def _read(self, statement: str, values: StatementValues | Mapping[str, Any]) -> list[tuple[Any, ...]]:
        with self.connection().cursor(binary=True) as cursor:
            return cursor.execute(statement, values).fetchall()

    @property
    def lost(self) -> bool:
        """True if the connection was lost."""
        return self._connection is not None and self._connection.closed

    @property
    def session_pid(self) -> int | None:
        """The process id of the server session, if connected."""
        return None if self._connection is None or self._connection.closed else self._pid

    def close(self) -> None:
        self._over = True
        if self._connection is not None:
            self._connection.close()

    def __del__(self) -> None:
        self.close()  # eventsourcing runners do not close their views


CLOSED = PostgresSession("", {})
CLOSED.close()


def conninfo(url: str) -> str:
    """Return a connection string that selects the primary among the hosts of a URL. Raise ConfigError.

    Hosts that are down or standbys are skipped, so the next connection finds a new primary.
    """
    wanted = str(conninfo_to_dict(url).get("target_session_attrs") or "any")
    if wanted not in PRIMARY:
        raise ConfigError(
            f"ATHENA_DATABASE_URL: target_session_attrs={wanted} may select a read-only server, but Athena needs the"
            f" primary. Remove it, or use {' or '.join(sorted(PRIMARY))}."
        )
    return make_conninfo(url, target_session_attrs=PRIMARY[wanted], **PATIENCE)


def connect(url: str, options: Mapping[str, str]) -> psycopg.Connection[tuple[Any, ...]]:
    """Connect to the primary; ``options`` are settings of the session. Raise StoreUnreachable or ConfigError.

    The settings are sent in a statement. Poolers reject or drop startup parameters, and libpq takes a read-only session
    for a standby.
    """
    with connection_errors():
        connection = psycopg.connect(conninfo(url), autocommit=True, prepare_threshold=2)
        try:
            if session_pid(connection) != connection.info.backend_pid:  # a pooler reports its own pid
                check_pooler(url)
            settings = {"search_path": SCHEMA, **options}.items()
            calls = ", ".join(["set_config(%s, %s, false)"] * len(settings))
            (standby, *_) = connection.execute(
                f"SELECT pg_is_in_recovery(), {calls}".encode(), [word for setting in settings for word in setting]
            ).fetchone() or (None,)
            if standby is not False:  # a pooler may have cached the state before a failover
                raise StoreUnreachable(STANDBY)
        except BaseException:
            connection.close()
            raise
    return connection


def session_pid(connection: psycopg.Connection[tuple[Any, ...]]) -> int:
    """Return the process id of the session that serves a connection now."""
    found = connection.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    assert found is not None
    return int(found[0])


@lru_cache(maxsize=16)
def check_pooler(url: str) -> None:
    """Raise ConfigError if a pooler in transaction mode is in use. The result of a success is cached.

    Two open connections with their own sessions answer 1, 2, 2, 1. A pooler that lends its last session answers 1, 1;
    one that rotates sessions never answers 2, 2 and then 1. Nothing is written.
    """
    with ExitStack() as stack:
        one, two = (stack.enter_context(psycopg.connect(conninfo(url), autocommit=True)) for _ in range(2))
        first, second, *again = map(session_pid, (one, two, two, one))
    if first == second or again != [second, first]:
        raise ConfigError(
            "ATHENA_DATABASE_URL: a pooler in transaction mode is in front of the database, but locks and notifications"
            " need dedicated sessions. Use a pool in session mode (pgbouncer: pool_mode = session), or connect to"
            " PostgreSQL directly. Nothing was written."
        )


@contextmanager
def connection_errors() -> Iterator[None]:
    """Translate lost or failed connections to StoreUnreachable."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError, pg.IdleInTransactionSessionTimeout) as error:
        if isinstance(error, pg.LockNotAvailable | pg.QueryCanceled | pg.DiskFull):
            raise
        if TOO_MANY.search(str(error)):
            raise StoreUnreachable(f"{NO_CONNECTIONS}: {error_text(error)}") from error
        if len(READ_ONLY.findall(error_text(error))) == max(
            1, error_text(error).count("host: ")
        ):  # no host is a primary
            raise StoreUnreachable(f"{STANDBY}: {error_text(error)}") from error
        raise StoreUnreachable(f"the database cannot be reached: {error_text(error)}") from error


def error_text(error: BaseException) -> str:
    """Return the first line of an error, or one line per host. It contains no password."""
    lines = str(error).strip().splitlines() or [""]
    return "; ".join(line.removeprefix("- ") for line in lines if line.startswith("- host: ")) or lines[0]


def check_server(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Raise ConfigError if a server is too old or may lose acknowledged writes."""
    version = connection.info.server_version
    if version < SERVER_VERSION_MIN:
        raise ConfigError(f"ATHENA_DATABASE_URL: PostgreSQL {version // 10_000} is too old; 14 or newer is needed")
    # With SQL_ASCII, queries return bytes instead of text.
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise ConfigError(f"ATHENA_DATABASE_URL: the database has encoding {encoding}; create it with ENCODING 'UTF8'")
    for name, wanted in DURABLE.items():
        found = scalar(connection.execute("SELECT current_setting(%s)", (name,)).fetchone())
        if found != wanted:
            raise ConfigError(
                f"ATHENA_DATABASE_URL: {name} is {found}, not {wanted}: acknowledged writes could be lost; "
                f"set it to {wanted}"
            )
    commits = scalar(connection.execute("SELECT current_setting('synchronous_commit')").fetchone())
    if commits not in DURABLE_COMMITS:
        raise ConfigError(
            f"ATHENA_DATABASE_URL: synchronous_commit is {commits}: acknowledged writes could be lost; set it to on"
        )


def scalar(row: tuple[Any, ...] | None) -> str | None:
    """Return the first cell of a row, or None without a row."""
    return None if row is None else row[0]
