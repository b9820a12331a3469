"""The log's database on PostgreSQL: schema, lock, inserts, reads, wake-ups (psycopg 3, READ COMMITTED).

Positions are no sequence: they are the head and one more, taken under one advisory lock for each batch, which is held
until the commit is durable. So they are dense, and nothing ever appears below a position that was read. Whatever else
is open in the cluster, however long, is in nobody's way.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import msgspec
import psycopg
from psycopg import errors as pg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import Diagnostic
from psycopg.pq.abc import PGconn

from athena_core.clock import Ids
from athena_core.decider import UNKEYED_BYTES
from athena_core.errors import NO_CONNECTIONS, ConfigError, StoreUnreachable
from athena_core.event import Guard, Position
from athena_core.log.chain import GENESIS
from athena_core.log.port import (
    FORMAT,
    KEY_CLOCK,
    MOVED_TO,
    READ_BYTES_MAX,
    ROW_BYTES_MAX,
    BoundKey,
    ErrorKinds,
    KeyRow,
    LogHead,
    SchemaReport,
    StoredGuard,
    StoredSnapshot,
    check_format,
    check_schema,
    check_still,
    guard_rows,
)
from athena_core.protocols import PublicCells, PublicRow, Row, StoredKey, row_of
from athena_core.values import PAGE_BYTES_MAX

SERVER_VERSION_MIN = 140_000
LOCK_CLASS = 0x61746865
"""The first half of all advisory locks of ours; they are the database's, so a database holds one plane."""

LOG_LOCK, SCHEMA_LOCK = 1, 2
SCHEMA = "athena"
VACUUM_RETRY_SECONDS = 0.05
VACUUM_LOCK_TIMEOUT = "200ms"
"""How long one attempt to lock a table holds up those who come after it."""

REWRITE_RETRY_SECONDS = 2.0
"""The pause after a failed attempt to rewrite a table: writers are held up for a tenth of the time at most."""

REWRITE_BYTES_MAX = 64 << 20
"""Up to which size a table is rewritten after an erasure; nobody can use it meanwhile, for about a second."""

ANCHOR = "postgres.anchor"
CHANNEL, LIVE_CHANNEL = "athena", "athena_live"
POLL_SECONDS = 0.25
"""How often the head is looked at in any case: a notification is only a hint."""

PAGE_ROWS = 500
IDLE_MAX = 4
"""How many connections are kept for whoever reads next."""

PLANS = {"enable_seqscan": "off", "jit": "off"}
"""Every statement has its index, and a session keeps the plan that it made while its tables were empty."""

WRITER_OPTIONS = {
    "client_min_messages": "warning",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "3s",
    "statement_timeout": "10s",
    **PLANS,
}
"""A writer that stands still in a transaction loses its session, and the lock, before others cease to wait for it."""

READER_OPTIONS = {"statement_timeout": "10s", "default_transaction_read_only": "on", **PLANS}
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
"""What PostgreSQL or a pooler answers where a limit on connections is reached."""
READ_ONLY = re.compile("server is in hot standby mode|session is read-only")
"""How libpq says that a server is not the one that may write."""
PRIMARY = {"any": "primary", "primary": "primary", "read-write": "read-write"}
"""The values of ``target_session_attrs`` that leave the primary among the hosts of a URL, and what libpq is given."""
WAIT_FOR_STANDBY = "SyncRepWaitForLSN"
"""The function of the server that warns, in whatever language, that a commit is there and may not be replicated."""
DURABLE_COMMITS = frozenset({"on", "local", "remote_write", "remote_apply"})

TABLES = (
    """CREATE TABLE meta (name text COLLATE "C" PRIMARY KEY, value text NOT NULL)""",
    """CREATE TABLE log (
        position bigint PRIMARY KEY, stream text COLLATE "C" NOT NULL, version bigint NOT NULL,
        type text COLLATE "C" NOT NULL, schema_version bigint NOT NULL, recorded_at bigint NOT NULL,
        command_id text COLLATE "C" NOT NULL, correlation text COLLATE "C" NOT NULL, causation bigint,
        actor text COLLATE "C" NOT NULL, session_id text COLLATE "C", run_id text COLLATE "C", data bytea NOT NULL,
        extra bytea, data_hash bytea NOT NULL, text_hash bytea, chain bytea NOT NULL, text bytea
    )""",
    """CREATE UNIQUE INDEX log_stream ON log (stream, version)""",
    """CREATE INDEX log_session ON log (session_id, position) WHERE session_id IS NOT NULL""",
    """CREATE TABLE command (
        key_hash bytea PRIMARY KEY, fingerprint bytea NOT NULL, recorded_at bigint NOT NULL,
        first_position bigint NOT NULL, count bigint NOT NULL, subject text COLLATE "C", answer bytea
    )""",
    """CREATE INDEX command_age ON command (recorded_at)""",
    """CREATE TABLE guard (
        kind text COLLATE "C" NOT NULL, key text COLLATE "C" NOT NULL, value text NOT NULL, position bigint NOT NULL,
        PRIMARY KEY (kind, key)
    )""",
    """CREATE TABLE checkpoint (name text COLLATE "C" PRIMARY KEY, position bigint NOT NULL)""",
    """CREATE TABLE executor (
        name text PRIMARY KEY, number bigint NOT NULL UNIQUE, count bigint NOT NULL, about bytea NOT NULL,
        counted_at timestamptz NOT NULL
    )""",
    """CREATE TABLE views (name text PRIMARY KEY, generation text NOT NULL)""",
)
SELECT_SCHEMA = """
    WITH ours AS (SELECT * FROM pg_class WHERE relnamespace = %(schema)s::regnamespace),
    columns AS (
        SELECT attrelid, attnum, attname || ' ' || format_type(atttypid, atttypmod)
            || CASE WHEN attcollation IN (0, 100) THEN '' ELSE ' COLLATE ' || collname END
            || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
            || CASE WHEN atthasdef OR attidentity <> '' OR attgenerated <> '' THEN ' computed' ELSE '' END AS words
        FROM pg_attribute LEFT JOIN pg_collation ON pg_collation.oid = attcollation
        WHERE attnum > 0 AND NOT attisdropped
    )
    SELECT CASE WHEN relkind = 'r' AND relpersistence = 'p' AND NOT relrowsecurity THEN 'table'
            WHEN relkind IN ('v', 'm') THEN 'view'
            WHEN relkind = 'r' THEN 'unlogged or guarded table' ELSE 'relation' END, relname,
        '(' || (SELECT string_agg(words, ', ' ORDER BY attnum) FROM columns WHERE attrelid = ours.oid) || ')'
    FROM ours WHERE relkind NOT IN ('i', 'I', 't')
    UNION ALL SELECT CASE WHEN indisunique THEN 'unique ' ELSE '' END || 'index', relname, indrelid::regclass || ' ('
            || CASE WHEN indexprs IS NULL THEN (
                SELECT string_agg(attname, ', ' ORDER BY place) FROM pg_attribute,
                unnest(indkey) WITH ORDINALITY AS keys (number, place) WHERE attrelid = indrelid AND attnum = number
            ) ELSE 'expressions' END || ')' || coalesce(' WHERE ' || pg_get_expr(indpred, indrelid), '')
            || CASE WHEN indisvalid THEN '' ELSE ' invalid' END
    FROM pg_index JOIN ours ON ours.oid = indexrelid
    UNION ALL SELECT 'trigger', tgname, tgrelid::regclass::text
    FROM pg_trigger JOIN ours ON ours.oid = tgrelid WHERE NOT tgisinternal
    UNION ALL SELECT 'rule', rulename, ev_class::regclass::text
    FROM pg_rewrite JOIN ours ON ours.oid = ev_class WHERE rulename <> '_RETURN'
    UNION ALL SELECT 'policy', polname, polrelid::regclass::text FROM pg_policy JOIN ours ON ours.oid = polrelid
    UNION ALL SELECT 'constraint', conname, conrelid::regclass::text
    FROM pg_constraint JOIN ours ON ours.oid = conrelid WHERE contype NOT IN ('p', 'u', 'n')
    UNION ALL SELECT 'heir', inhrelid::regclass::text, inhparent::regclass::text
    FROM pg_inherits JOIN ours ON ours.oid = inhparent
    UNION ALL SELECT 'function', proname, pg_get_function_identity_arguments(oid)
    FROM pg_proc WHERE pronamespace = %(schema)s::regnamespace
    UNION ALL SELECT 'operator', oprname, oid::regoperator::text
    FROM pg_operator WHERE oprnamespace = %(schema)s::regnamespace
"""
"""Kind, name and words of all that the schema of a log holds."""

READ_TABLES = ("meta", "log", "command", "guard", "checkpoint")
SHAPES = {
    "meta": ("table", "(name text COLLATE C NOT NULL, value text NOT NULL)"),
    "meta_pkey": ("unique index", "meta (name)"),
    "log": (
        "table",
        "(position bigint NOT NULL, stream text COLLATE C NOT NULL, version bigint NOT NULL,"
        " type text COLLATE C NOT NULL, schema_version bigint NOT NULL, recorded_at bigint NOT NULL,"
        " command_id text COLLATE C NOT NULL, correlation text COLLATE C NOT NULL, causation bigint,"
        " actor text COLLATE C NOT NULL, session_id text COLLATE C, run_id text COLLATE C, data bytea NOT NULL,"
        " extra bytea, data_hash bytea NOT NULL, text_hash bytea, chain bytea NOT NULL, text bytea)",
    ),
    "log_pkey": ("unique index", "log (position)"),
    "log_stream": ("unique index", "log (stream, version)"),
    "log_session": ("index", "log (session_id, position) WHERE (session_id IS NOT NULL)"),
    "command": (
        "table",
        "(key_hash bytea NOT NULL, fingerprint bytea NOT NULL, recorded_at bigint NOT NULL,"
        " first_position bigint NOT NULL, count bigint NOT NULL, subject text COLLATE C, answer bytea)",
    ),
    "command_pkey": ("unique index", "command (key_hash)"),
    "command_age": ("index", "command (recorded_at)"),
    "guard": (
        "table",
        "(kind text COLLATE C NOT NULL, key text COLLATE C NOT NULL, value text NOT NULL, position bigint NOT NULL)",
    ),
    "guard_pkey": ("unique index", "guard (kind, key)"),
    "checkpoint": ("table", "(name text COLLATE C NOT NULL, position bigint NOT NULL)"),
    "checkpoint_pkey": ("unique index", "checkpoint (name)"),
    "executor": (
        "table",
        "(name text NOT NULL, number bigint NOT NULL, count bigint NOT NULL, about bytea NOT NULL,"
        " counted_at timestamp with time zone NOT NULL)",
    ),
    "executor_pkey": ("unique index", "executor (name)"),
    "executor_number_key": ("unique index", "executor (number)"),
    "views": ("table", "(name text NOT NULL, generation text NOT NULL)"),
    "views_pkey": ("unique index", "views (name)"),
    "stored": (
        "table",
        "(purpose text COLLATE C NOT NULL, originator_id text COLLATE C NOT NULL, originator_version bigint NOT NULL,"
        " topic text NOT NULL, state bytea NOT NULL)",
    ),
    "stored_pkey": ("unique index", "stored (purpose, originator_id, originator_version)"),
}
"""What ``TABLES`` and ``CREATE_STORED`` create, as ``SELECT_SCHEMA`` shows it."""

SNAPSHOT_TABLES = frozenset({"stored", "stored_pkey"})
"""What is there only once a foreign application has stored something."""

TYPES = {
    "position": "bigint",
    "version": "bigint",
    "schema_version": "bigint",
    "recorded_at": "bigint",
    "causation": "bigint",
    "data": "bytea",
    "extra": "bytea",
    "data_hash": "bytea",
    "text_hash": "bytea",
    "chain": "bytea",
    "text": "bytea",
}
COLUMNS = ", ".join(Row._fields)


def unnest(*types: str) -> str:
    """Rows out of arrays, one for each column."""
    return f"unnest({', '.join(f'%b::{kind}[]' for kind in types)})"


STANDBY = "the database is a standby or read-only; the plane is served from the primary only"
SELECT_STRAY = (
    "SELECT relnamespace::regnamespace::text FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid"
    " WHERE relname = 'log' AND relkind = 'r' AND attname = 'text_hash'"
)
SELECT_META = "SELECT value FROM meta WHERE name = %s"
TOUCH_META = "UPDATE meta SET value = value WHERE name = 'log_id'"
INSERT_META = "INSERT INTO meta (name, value) VALUES (%s, %s)"
SELECT_FORMAT_AND_KEY_CLOCK = "SELECT name, value FROM meta WHERE name IN ('format', 'key_clock')"
PUT_META = "INSERT INTO meta (name, value) VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
RAISE_FORMAT = "UPDATE meta SET value = %s WHERE name = 'format'"
INSERT_ROWS = f"INSERT INTO log ({COLUMNS}) SELECT * FROM {unnest(*(TYPES.get(name, 'text') for name in Row._fields))}"
SELECT_HEAD = "SELECT position, recorded_at, chain FROM log ORDER BY position DESC LIMIT 1"
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
KEY_COLUMNS = "key_hash, fingerprint, recorded_at, first_position, count, subject, answer"
SELECT_BOUND = (
    "SELECT key_hash, fingerprint, command.recorded_at, first_position, count, subject, answer,"
    " coalesce(log.recorded_at, 0), extra"
    " FROM command LEFT JOIN log ON position = first_position + count - 1 WHERE key_hash = ANY(%b::bytea[])"
)
SELECT_NEWEST_KEY = "SELECT max(recorded_at) FROM command"
SELECT_KEYS = (
    "SELECT key_hash, first_position, first_position + count - 1, recorded_at, subject FROM command"
    " WHERE key_hash > %b::bytea ORDER BY key_hash LIMIT %s"
)
PUT_KEYS = (
    f"INSERT INTO command ({KEY_COLUMNS})"
    f" SELECT * FROM {unnest('bytea', 'bytea', 'bigint', 'bigint', 'bigint', 'text', 'bytea')}"
    " ON CONFLICT (key_hash) DO UPDATE SET fingerprint = excluded.fingerprint, recorded_at = excluded.recorded_at,"
    " first_position = excluded.first_position, count = excluded.count, subject = excluded.subject,"
    " answer = excluded.answer"
)
EXPIRE_KEYS = (  # in order, or the server reads the whole table in the hope of a thousand
    "DELETE FROM command WHERE key_hash = ANY (ARRAY("
    "SELECT key_hash FROM command WHERE recorded_at < %s ORDER BY recorded_at LIMIT 1000))"
)
SELECT_GUARDS = "SELECT kind, key, value FROM guard ORDER BY position, kind, key"
SELECT_GUARDS_OF = "SELECT kind, key, value FROM guard WHERE kind = ANY(%s) ORDER BY position, kind, key"
PUT_GUARDS = (
    f"INSERT INTO guard (kind, key, value, position) SELECT * FROM {unnest('text', 'text', 'text', 'bigint')}"
    " ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value, position = excluded.position"
)
DELETE_GUARDS = (
    f"DELETE FROM guard USING {unnest('text', 'text')} AS gone (kind, key)"
    " WHERE guard.kind = gone.kind AND guard.key = gone.key"
)
SELECT_CHECKPOINT = "SELECT position FROM checkpoint WHERE name = %s"
PUT_CHECKPOINT = (
    "INSERT INTO checkpoint (name, position) VALUES (%s, %s)"
    " ON CONFLICT (name) DO UPDATE SET position = excluded.position WHERE checkpoint.position < excluded.position"
    " RETURNING position"
)
ERASE_TEXT = "UPDATE log SET text = NULL WHERE position = %s"
ANY_UNKEYED = f"SELECT EXISTS (SELECT 1 FROM command WHERE length(fingerprint) = {UNKEYED_BYTES})"
DROP_UNKEYED = f"""
    DELETE FROM command WHERE length(fingerprint) = {UNKEYED_BYTES} AND EXISTS (
        SELECT 1 FROM unnest(%s::bigint[]) AS erased (value)
        WHERE value BETWEEN first_position AND first_position + count - 1)
"""
SELECT_TABLES = """
    SELECT tablename, pg_total_relation_size(format('%%I.%%I', schemaname, tablename)::regclass)
    FROM pg_tables WHERE schemaname = %s
"""
SELECT_OLDER = """
    SELECT 'the transaction of process ' || pid FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND age(backend_xmin) > age(%(horizon)s::text::xid)
    UNION ALL
    SELECT 'the replication slot ' || slot_name FROM pg_replication_slots WHERE age(xmin) > age(%(horizon)s::text::xid)
    UNION ALL
    SELECT 'the prepared transaction ' || gid FROM pg_prepared_xacts
    WHERE age(transaction) > age(%(horizon)s::text::xid)
    LIMIT 1
"""
"""Who may still read rows that were replaced before a transaction id."""

SELECT_HOLDERS = f"""
    SELECT locked.pid FROM pg_locks locked JOIN pg_stat_activity USING (pid)
    JOIN pg_database ON pg_database.oid = locked.database AND pg_database.datname = current_database()
    WHERE locked.relation = %(table)s::text::regclass AND locked.granted AND pid <> pg_backend_pid()
    AND coalesce(xact_start < clock_timestamp() - interval '{VACUUM_LOCK_TIMEOUT}', TRUE) LIMIT 1
"""
"""Who holds a lock on a table for so long that an attempt to lock it would probably fail, too."""

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
CREATE_STORED = (
    "CREATE TABLE IF NOT EXISTS stored ("
    'purpose text COLLATE "C", originator_id text COLLATE "C", originator_version bigint,'
    " topic text NOT NULL, state bytea NOT NULL, PRIMARY KEY (purpose, originator_id, originator_version))"
)
INSERT_STORED = (
    "INSERT INTO stored (purpose, originator_id, originator_version, topic, state) VALUES (%s, %s, %s, %s, %b)"
)
SELECT_STORED = (
    "SELECT originator_id, originator_version, topic, state FROM stored WHERE purpose = %s AND originator_id = %s"
    " AND originator_version > %s AND originator_version <= %s ORDER BY originator_version LIMIT %s"
)
SELECT_STORED_BACKWARDS = SELECT_STORED.replace("ORDER BY originator_version", "ORDER BY originator_version DESC")

ERROR_KINDS: ErrorKinds = (
    ((psycopg.IntegrityError,), "IntegrityError"),
    ((psycopg.DataError, UnicodeError, OverflowError), "DataError"),
    ((StoreUnreachable, psycopg.OperationalError), "OperationalError"),
    ((psycopg.InterfaceError,), "InterfaceError"),
    ((psycopg.Error,), "DatabaseError"),
)
LOCK = f"SELECT pg_advisory_xact_lock({LOCK_CLASS}, %s)"
NOTIFY = "SELECT pg_notify(%s, %s)"
INSERT_NOTHING = f"INSERT INTO log ({COLUMNS}) SELECT {COLUMNS} FROM log WHERE FALSE"
WORK_MEM_BYTES_MIN = 64 << 10
TAKE_SPACE = (
    "WITH filler AS MATERIALIZED (SELECT repeat('x', 1024) FROM generate_series(1, %s)) SELECT count(*) FROM filler"
)
TELL = "SELECT pg_notify(%s, told) FROM unnest(%s::text[]) WITH ORDINALITY AS texts (told, place) ORDER BY place"
BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"

StatementValues: TypeAlias = Sequence[Any]

_from_json = msgspec.json.Decoder(tuple[str | int, ...]).decode


class PostgresSession:
    """One connection to the database. Where it is lost, the next statement gets a new one."""

    def __init__(self, url: str, options: dict[str, str]) -> None:
        """Connect at the first statement; ``options`` are settings of its sessions."""
        self._url = url
        self._options = options
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._pid: int | None = None
        self.pinned = False
        """Whether it is in a transaction, which a new connection could not go on with."""
        self._over = False

    def connection(self) -> psycopg.Connection[tuple[Any, ...]]:
        """The connection. Raises StoreUnreachable."""
        if self._over:
            raise psycopg.InterfaceError("it was closed")
        if self._connection is None or (self._connection.closed and not self.pinned):
            self._connection = connect(self._url, self._options)
            self._pid = session_pid(self._connection)
        return self._connection

    def read(self, statement: str, values: StatementValues | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """What a statement finds, in a transaction of its own; asked again once where the connection was lost."""
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
        """Whether there was a connection that is over."""
        return self._connection is not None and self._connection.closed

    @property
    def session_pid(self) -> int | None:
        """Which session it has, if any."""
        return None if self._connection is None or self._connection.closed else self._pid

    def close(self) -> None:
        """Close it for good."""
        self._over = True
        if self._connection is not None:
            self._connection.close()

    def __del__(self) -> None:
        self.close()  # eventsourcing's runners leave their views open


CLOSED = PostgresSession("", {})
CLOSED.close()


def conninfo(url: str) -> str:
    """Return a connection string that leads to the primary among the hosts of a URL. Raise ConfigError.

    A host that is down or a standby is passed over, so a new primary is found at the next connection.
    """
    wanted = str(conninfo_to_dict(url).get("target_session_attrs") or "any")
    if wanted not in PRIMARY:
        raise ConfigError(
            f"ATHENA_DATABASE_URL: target_session_attrs={wanted} asks for a server that may not write; the plane is"
            f" served from the primary only: leave it out, or use {' or '.join(sorted(PRIMARY))}"
        )
    return make_conninfo(url, target_session_attrs=PRIMARY[wanted], **PATIENCE)


def connect(url: str, options: Mapping[str, str]) -> psycopg.Connection[tuple[Any, ...]]:
    """Connect to the primary; ``options`` are settings of the session. Raise StoreUnreachable or ConfigError.

    The settings follow in a statement: as parameters of the start, poolers refuse or drop them, and libpq takes a
    session that only reads for one of a standby.
    """
    with connection_errors():
        connection = psycopg.connect(conninfo(url), autocommit=True, prepare_threshold=2)
        try:
            if session_pid(connection) != connection.info.backend_pid:  # what a pooler says of itself
                check_pooler(url)
            settings = {"search_path": SCHEMA, **options}.items()
            calls = ", ".join(["set_config(%s, %s, false)"] * len(settings))
            (standby, *_) = connection.execute(
                f"SELECT pg_is_in_recovery(), {calls}".encode(), [word for setting in settings for word in setting]
            ).fetchone() or (None,)
            if standby is not False:  # a pooler may answer from what it knew before a failover
                raise StoreUnreachable(STANDBY)
        except BaseException:
            connection.close()
            raise
    return connection


def session_pid(connection: psycopg.Connection[tuple[Any, ...]]) -> int:
    """Return which session serves a connection at this moment."""
    found = connection.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    assert found is not None
    return int(found[0])


@lru_cache(maxsize=16)
def check_pooler(url: str) -> None:
    """Raise ConfigError if a pooler lends sessions for single transactions. Once it passed, it is not repeated.

    Nothing is written. Two connections are open together, so with sessions of their own they answer 1, 2, 2, 1. A
    pooler that lends the session used last answers 1, 1, and one that takes turns never 2, 2 and 1 again.
    """
    with ExitStack() as stack:
        one, two = (stack.enter_context(psycopg.connect(conninfo(url), autocommit=True)) for _ in range(2))
        first, second, *again = map(session_pid, (one, two, two, one))
    if first == second or again != [second, first]:
        raise ConfigError(
            "ATHENA_DATABASE_URL: a pooler in transaction mode is in front of the database, but locks and notifications"
            " need sessions of their own: use a pool in session mode (pgbouncer: pool_mode = session), or connect to"
            " PostgreSQL itself; nothing was written"
        )


def check_unmade(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Raise ConfigError if a database without a log of ours holds the tables of one in a schema that is not ours."""
    found = connection.execute(SELECT_STRAY).fetchone()
    if found is not None:
        raise ConfigError(
            f"ATHENA_DATABASE_URL: schema {found[0]} holds the tables of a log, left there by a start of release 0.1"
            f" through a pooler in transaction mode; drop them, or move them to schema {SCHEMA}"
            " (docs/postgresql.md, Poolers), then start again"
        )


@contextmanager
def connection_errors() -> Iterator[None]:
    """Turn a connection that was lost, or is not to be had, into ``StoreUnreachable``."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError, pg.IdleInTransactionSessionTimeout) as error:
        if isinstance(error, pg.LockNotAvailable | pg.QueryCanceled | pg.DiskFull):
            raise
        if TOO_MANY.search(str(error)):
            raise StoreUnreachable(f"{NO_CONNECTIONS}: {_said(error)}") from error
        if len(READ_ONLY.findall(_said(error))) == max(1, _said(error).count("host: ")):  # no host is the primary
            raise StoreUnreachable(f"{STANDBY}: {_said(error)}") from error
        raise StoreUnreachable(f"the database cannot be reached: {_said(error)}") from error


def _said(error: BaseException) -> str:
    """The first line of what an error says, or what each host of a URL said; no password is among it."""
    lines = str(error).strip().splitlines() or [""]
    return "; ".join(line.removeprefix("- ") for line in lines if line.startswith("- host: ")) or lines[0]


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


def schema_of(line: PostgresSession) -> SchemaReport:
    """Compare the schema of a log with ``SHAPES``. Raises psycopg.Error."""
    found: dict[str, list[tuple[str, str]]] = {}
    for kind, name, words in line.read(SELECT_SCHEMA, {"schema": SCHEMA}):
        found.setdefault(str(name), []).append((str(kind), str(words)))
    strays = [
        f"{'a changed' if name in SHAPES else 'an unknown'} {kind}, {name}"
        + ("" if kind.endswith("table") else f", on {words}")
        for name, shapes in sorted(found.items())
        for kind, words in shapes
        if SHAPES.get(name) != (kind, words)
    ]
    strays += [f"no {SHAPES[name][0]} {name}" for name in sorted(SHAPES.keys() - SNAPSHOT_TABLES - found.keys())]
    kinds = {kind for shapes in found.values() for kind, _ in shapes}
    tables = all(found.get(name) == [SHAPES[name]] for name in READ_TABLES)
    return SchemaReport(tuple(sorted(strays)), tables and kinds.isdisjoint({"function", "operator", "heir"}))


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


class PostgresSnapshotStore:
    """Keeps what foreign applications put beside a log, in a table of its own."""

    troubles = ERROR_KINDS

    def __init__(self, url: str, purpose: str) -> None:
        """Create the table where it is missing."""
        self._purpose = purpose
        self._line = PostgresSession(url, {})
        connection = self._line.connection()
        with connection.transaction():
            connection.execute(LOCK, (SCHEMA_LOCK,))
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            connection.execute(CREATE_STORED)

    def put(self, rows: Sequence[StoredSnapshot]) -> None:
        """Store all or none."""
        connection = self._line.connection()
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(INSERT_STORED, [(self._purpose, *row) for row in rows])

    def part(self, owner: str, after: int, until: int, limit: int, *, backwards: bool) -> list[StoredSnapshot]:
        """At most ``limit`` of one owner's with ``after < version <= until``, from one end or the other."""
        statement = SELECT_STORED_BACKWARDS if backwards else SELECT_STORED
        found: list[Any] = self._line.read(statement, (self._purpose, owner, after, until, limit))
        return found

    def close(self) -> None:
        """Close it."""
        self._line.close()


class PostgresCommitNotifier:
    """Listens for the notification of a commit, and rings from time to time in any case."""

    def __init__(self, url: str, own: Callable[[], int | None]) -> None:
        """Connect at the first pause; ``own`` tells which session's commits are no news here."""
        self._url = url
        self._own = own
        self._connection: psycopg.AsyncConnection[tuple[Any, ...]] | None = None

    async def pause(self, *, news: bool) -> None:
        """Wait for a commit of another process, or a quarter of a second.

        The driver's own way asks the server to stop where the wait is cancelled, and complains if it may not wait for
        that.
        """
        try:
            server = (await self._listening()).pgconn
            with anyio.move_on_after(POLL_SECONDS):
                while self._only_own(server):
                    await anyio.wait_readable(server.socket)
        except psycopg.Error:
            await self.close()
            await anyio.sleep(POLL_SECONDS)

    def _only_own(self, server: PGconn) -> bool:
        """Take what was told; whether it came from nobody but this process."""
        server.consume_input()
        told = set()
        while notify := server.notifies():
            told.add(notify.be_pid)
        return told <= {self._own()}

    async def _listening(self) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        if self._connection is None:
            self._connection = await psycopg.AsyncConnection.connect(conninfo(self._url), autocommit=True)
            await self._connection.execute(f"LISTEN {CHANNEL}")
        return self._connection

    async def close(self) -> None:
        """Stop listening."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                await connection.close()


class PostgresChannel:
    """Notifications that carry texts: one session tells, another one hears."""

    def __init__(self, url: str) -> None:
        """Connect by need."""
        self._where = conninfo(url)
        self._telling: psycopg.AsyncConnection[tuple[Any, ...]] | None = None
        self._ours: int | None = None
        self._hearing: psycopg.AsyncConnection[tuple[Any, ...]] | None = None

    async def send(self, texts: Sequence[str]) -> None:
        """Tell the others, in order. Raises StoreUnreachable."""
        with connection_errors():
            if self._telling is None or self._telling.closed:
                self._telling = await psycopg.AsyncConnection.connect(self._where, autocommit=True)
                ((self._ours,),) = await (await self._telling.execute("SELECT pg_backend_pid()")).fetchall()
            await self._telling.execute(TELL, (LIVE_CHANNEL, list(texts)))

    async def receive(self) -> list[str]:
        """Wait for what others tell. Raises StoreUnreachable."""
        with connection_errors():
            if self._hearing is None or self._hearing.closed:
                self._hearing = await psycopg.AsyncConnection.connect(self._where, autocommit=True)
                await self._hearing.execute(f"LISTEN {LIVE_CHANNEL}")
            heard = [told async for told in self._hearing.notifies(stop_after=1)]  # with it comes all that is there
        return [told.payload for told in heard if told.pid != self._ours]

    async def close(self) -> None:
        """Close both sessions."""
        for connection in (self._telling, self._hearing):
            if connection is not None:
                with suppress(psycopg.Error):
                    await connection.close()


class PostgresStore(PostgresReads):
    """One log in a database, with the one writing connection of the process. Writing needs ``exclusive``."""

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
        """Open or create the log; ``directory`` is where this machine keeps its anchor. Raises ConfigError."""
        self.url = url
        self.anchor = directory / ANCHOR
        self._line = PostgresSession(url, WRITER_OPTIONS)
        self._lines = ReaderPool(url)
        self._writes: list[tuple[str, StatementValues]] = []
        self._unkeyed: bool | None = None
        self._head: LogHead | None = None
        self._meta: dict[str, str] = {}
        self._expected: dict[bytes, BoundKey | None] = {}
        try:
            check_server(self._line.connection())
            self.log_id = self._prepare(ids)
        except (psycopg.Error, StoreUnreachable) as error:
            self.close()
            raise ConfigError(f"ATHENA_DATABASE_URL: cannot use the database: {_said(error)}") from error
        except ConfigError:
            self.close()
            raise

    def _prepare(self, ids: Ids) -> str:
        """Create the tables, or check the format of those that are there; return the log's id."""
        connection = self._line.connection()
        with connection.transaction():
            connection.execute(LOCK, (SCHEMA_LOCK,))
            if connection.execute("SELECT to_regclass('meta')").fetchone() == (None,):
                check_unmade(connection)
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
                for statement in TABLES:
                    connection.execute(statement)
                for pair in (("log_id", ids.salt(8).hex()), ("format", str(FORMAT))):
                    connection.execute(INSERT_META, pair)
            check_schema(schema_of(self._line), "ATHENA_DATABASE_URL: the log")
            names = ("format", "log_id", MOVED_TO)
            meta = {name: _value(connection.execute(SELECT_META, (name,)).fetchone()) for name in names}
        self.format = check_format(meta["format"], "ATHENA_DATABASE_URL: the log")
        if meta[MOVED_TO] is not None:
            raise ConfigError(
                f"ATHENA_DATABASE_URL: the log of this database was moved to {meta[MOVED_TO]}; use it there"
            )
        return str(meta["log_id"])

    def reader(self) -> PostgresReader:
        """A new reader."""
        return PostgresReader(self.log_id, *self._lines.take())

    @property
    def name(self) -> str:
        """What tells this log from others on this machine."""
        return self.url

    def bell(self) -> PostgresCommitNotifier:
        """A new bell."""
        return PostgresCommitNotifier(self.url, lambda: self._line.session_pid)

    def channel(self) -> PostgresChannel:
        """A new channel."""
        return PostgresChannel(self.url)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """A write transaction alone in the world: committed at the end of the block, rolled back if it raises.

        The lock is a statement before the one that reads the head: one statement would read what was there before it
        waited. What is written goes to the server with the commit, all at once. Raise StoreMoved if a newer release has
        raised the format.
        """
        with connection_errors():
            connection = self._line.connection()
            self._line.pinned = True
            try:
                with connection.pipeline():
                    connection.execute(BEGIN)
                    connection.execute(LOCK, (LOG_LOCK,))
                    cursor = connection.cursor(binary=True)
                    cursor.execute(SELECT_HEAD)
                    found = connection.execute(SELECT_FORMAT_AND_KEY_CLOCK)
                self._head = cursor.fetchone() or (0, 0, GENESIS)
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
                self._line.pinned = False
                self._head = None
                self._writes.clear()
                self._expected.clear()

    def raise_format(self) -> None:
        """Set the format to that of this release."""
        self._writes.append((RAISE_FORMAT, (str(FORMAT),)))

    @contextmanager
    def _replicated(self, connection: psycopg.Connection[tuple[Any, ...]]) -> Iterator[None]:
        """Raise StoreUnreachable if the server ceased to wait for a synchronous standby: then it only warns."""
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
        """Write a row as it is: the commit waits for the standby only if it wrote, and then for earlier ones, too."""
        self._writes.append((TOUCH_META, ()))

    def _roll_back(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        """Leave a transaction; a connection that cannot even do that is over."""
        if connection.closed:
            return
        try:
            connection.execute("ROLLBACK")
        except psycopg.Error:
            connection.close()

    def head(self) -> LogHead:
        """Position, time and chain of the last row."""
        if self._head is not None:
            return self._head
        found = self._line.read(SELECT_HEAD)
        return (found[0][0], found[0][1], found[0][2]) if found else (0, 0, GENESIS)

    def snapshot(self) -> tuple[LogHead, list[StoredGuard]]:
        """The head and the guards of one moment."""
        with connection_errors():
            connection = self._line.connection()
            self._line.pinned = True
            try:
                connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                return self.head(), self.guards()
            finally:
                self._line.pinned = False
                self._roll_back(connection)

    def expect(self, hashes: Sequence[bytes]) -> None:
        """Look these keys up at once."""
        if hashes:
            found = {row[0]: BoundKey._make(row[1:]) for row in self._line.read(SELECT_BOUND, (list(hashes),))}
            self._expected = {hash_: found.get(hash_) for hash_ in hashes}

    def key(self, key_hash: bytes) -> BoundKey | None:
        """What is stored under a key."""
        if key_hash in self._expected:
            return self._expected[key_hash]
        found = self._line.read(SELECT_BOUND, ([key_hash],))
        return BoundKey._make(found[0][1:]) if found else None

    def insert(self, rows: Sequence[Row]) -> None:
        """Add rows at the positions they carry, and tell everybody."""
        if rows:
            self._writes.append((INSERT_ROWS, list(map(list, zip(*rows, strict=True)))))
            self._writes.append((NOTIFY, (CHANNEL, str(rows[-1][0]))))

    def put_keys(self, keys: Sequence[KeyRow]) -> None:
        """Bind keys."""
        if keys:
            self._writes.append((PUT_KEYS, list(map(list, zip(*keys, strict=True)))))

    def expire_keys(self, before: int) -> None:
        """Forget up to a thousand keys that were bound before a time on the clock of keys."""
        self._writes.append((EXPIRE_KEYS, (before,)))

    def newest_key(self) -> int:
        """Return the time of the newest key, 0 without one."""
        return int(self._line.read(SELECT_NEWEST_KEY)[0][0] or 0)

    def key_stamp(self) -> str | None:
        """Return the stored stamp of the clock of keys, inside ``exclusive``."""
        return self._meta.get(KEY_CLOCK)

    def put_key_stamp(self, stamp: str) -> None:
        """Store the stamp of the clock of keys."""
        self._writes.append((PUT_META, (KEY_CLOCK, stamp)))

    def put_guards(self, changes: Sequence[tuple[Guard, Position]]) -> None:
        """Apply guard changes in order."""
        gone, put = guard_rows(changes)
        if gone:
            self._writes.append((DELETE_GUARDS, list(map(list, zip(*gone, strict=True)))))
        if put:
            self._writes.append((PUT_GUARDS, list(map(list, zip(*put, strict=True)))))

    def put_checkpoint(self, name: str, position: Position) -> bool:
        """Move a checkpoint forward; tell whether it moved."""
        return self._line.connection().execute(PUT_CHECKPOINT, (name, position)).fetchone() is not None

    def erase_text(self, position: Position) -> None:
        """Erase the text of one row; what it was leaves the files of the database with the next VACUUM."""
        self._writes.append((ERASE_TEXT, (position,)))

    def rehearse(self, size: int) -> None:
        """Take space where the tables are, in a temporary file that the server gives up at once.

        It costs no WAL, no transaction id and no row of the catalog, so an idle database goes on to archive nothing.
        The bytes come beyond those that the query may keep in memory.
        """
        connection = self._line.connection()
        with connection.pipeline():
            connection.execute(INSERT_NOTHING)  # refused where a row would be
            connection.execute("SET LOCAL work_mem = 64")
            connection.execute("SET LOCAL temp_tablespaces = ''")
            connection.execute(TAKE_SPACE, ((WORK_MEM_BYTES_MIN + size) // 1024,))

    def drop_unkeyed(self, positions: Sequence[Position]) -> None:
        """Forget the keys with a plain hash of their input, if they led to one of these positions.

        They are looked for once: this release binds none.
        """
        if self._unkeyed is None:
            self._unkeyed = bool(self._line.read(ANY_UNKEYED)[0][0])
        if not self._unkeyed:
            return
        self._writes.append((DROP_UNKEYED, (list(positions),)))

    def checkpoint_wal(self, truncate: bool) -> None:
        """The server sees to it."""

    def scrub(self, seconds: float) -> None:
        """Delete the snapshots, which may repeat erased text, and vacuum the log (``vacuum``)."""
        vacuum(self.url, SCHEMA, seconds, "stored")

    def check_place(self) -> None:
        """Another database behind the same URL is noticed by its head."""

    def close(self) -> None:
        """Close the writing connection, and those that read."""
        self._line.close()
        self._lines.close()


def vacuum(url: str, schema: str, seconds: float, *emptied: str) -> None:
    """Vacuum the tables of a schema once no transaction can see erased rows; delete all rows of some of them before.

    Tables up to ``REWRITE_BYTES_MAX`` are rewritten. In larger ones free space of pages holds remains until PostgreSQL
    reuses it, or ``VACUUM FULL`` rewrites them. Raises TimeoutError where a transaction is open or a table in use for
    longer than ``seconds``, OSError where there is no space.
    """
    until = time.monotonic() + seconds
    with connection_errors(), connect(url, {"lock_timeout": VACUUM_LOCK_TIMEOUT}) as connection:
        tables = {str(name): int(size) for name, size in connection.execute(SELECT_TABLES, (schema,)).fetchall()}
        for name in set(tables).intersection(emptied):
            connection.execute(f"DELETE FROM {schema}.{name}".encode())
        horizon = _value(connection.execute("SELECT pg_current_xact_id()::xid::text").fetchone())
        while holder := connection.execute(SELECT_OLDER, {"horizon": horizon}).fetchone():
            if time.monotonic() >= until:
                raise TimeoutError(f"{holder[0]} kept old rows of the database for longer than {seconds:g} s")
            time.sleep(VACUUM_RETRY_SECONDS)
        try:
            for table, size in tables.items():
                _vacuum(connection, f"{schema}.{table}", until, full=size <= REWRITE_BYTES_MAX)
        except pg.LockNotAvailable:
            raise TimeoutError(f"{table} of the database was in use for longer than {seconds:g} s") from None
        except pg.DiskFull as error:
            raise OSError(_said(error)) from error


def _vacuum(connection: psycopg.Connection[tuple[Any, ...]], table: str, until: float, *, full: bool) -> None:
    """Vacuum a table; try again while others use it. Raises LockNotAvailable once the time is up.

    ``full`` rewrites it. Writers queue behind that attempt, so none is made while somebody holds the table for long.
    """
    while True:
        pause = VACUUM_RETRY_SECONDS
        if not full or connection.execute(SELECT_HOLDERS.encode(), {"table": table}).fetchone() is None:
            try:
                connection.execute(f"VACUUM {'FULL ' * full}{table}".encode())
                return
            except pg.LockNotAvailable:
                pause = REWRITE_RETRY_SECONDS if full else VACUUM_RETRY_SECONDS
        left = until - time.monotonic()
        if left <= 0:
            raise pg.LockNotAvailable(table)
        time.sleep(min(pause, left))


def check_server(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Raise ConfigError for a server that may lose what it acknowledged, or is too old."""
    version = connection.info.server_version
    if version < SERVER_VERSION_MIN:
        raise ConfigError(f"ATHENA_DATABASE_URL: PostgreSQL {version // 10_000} is too old; 14 or newer is needed")
    encoding = connection.info.parameter_status("server_encoding")  # of SQL_ASCII a query answers bytes, not text
    if encoding != "UTF8":
        raise ConfigError(f"ATHENA_DATABASE_URL: the database is encoded as {encoding}; make it with ENCODING 'UTF8'")
    for name, wanted in DURABLE.items():
        found = _value(connection.execute("SELECT current_setting(%s)", (name,)).fetchone())
        if found != wanted:
            raise ConfigError(
                f"ATHENA_DATABASE_URL: {name} is {found}, not {wanted}: acknowledged writes could be lost"
            )
    commits = _value(connection.execute("SELECT current_setting('synchronous_commit')").fetchone())
    if commits not in DURABLE_COMMITS:
        raise ConfigError(f"ATHENA_DATABASE_URL: synchronous_commit is {commits}: acknowledged writes could be lost")


def _value(row: tuple[Any, ...] | None) -> str | None:
    return None if row is None else row[0]
