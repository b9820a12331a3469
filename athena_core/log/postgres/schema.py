"""The schema of a log in PostgreSQL, and the comparison of a database with it."""

from typing import Any

import psycopg

from athena_core.errors import ConfigError
from athena_core.log.port import SchemaReport
from athena_core.log.postgres.session import LOCK_CLASS, SCHEMA, PostgresSession

LOG_LOCK, SCHEMA_LOCK = 1, 2

CREATE_TOKEN_USE = """CREATE TABLE token_use (token_id text COLLATE "C" PRIMARY KEY, used_at bigint NOT NULL)"""
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
    CREATE_TOKEN_USE,
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
"""Kind, name and definition of every object in the schema of a log."""

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
    "token_use": ("table", "(token_id text COLLATE C NOT NULL, used_at bigint NOT NULL)"),
    "token_use_pkey": ("unique index", "token_use (token_id)"),
    "stored": (
        "table",
        "(purpose text COLLATE C NOT NULL, originator_id text COLLATE C NOT NULL, originator_version bigint NOT NULL,"
        " topic text NOT NULL, state bytea NOT NULL)",
    ),
    "stored_pkey": ("unique index", "stored (purpose, originator_id, originator_version)"),
}
"""The objects that ``TABLES`` and ``CREATE_STORED`` create, as ``SELECT_SCHEMA`` shows them."""

OPTIONAL = frozenset({"stored", "stored_pkey", "token_use", "token_use_pkey"})
"""Objects that exist only after a foreign application has stored something, or in older logs after a token was used."""

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


def unnest(*types: str) -> str:
    """Return an ``unnest`` of arrays, one per column."""
    return f"unnest({', '.join(f'%b::{kind}[]' for kind in types)})"


SELECT_STRAY = (
    "SELECT relnamespace::regnamespace::text FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid"
    " WHERE relname = 'log' AND relkind = 'r' AND attname = 'text_hash'"
)
LOCK = f"SELECT pg_advisory_xact_lock({LOCK_CLASS}, %s)"


def check_unmade(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Raise ConfigError if another schema of the database contains the tables of a log."""
    found = connection.execute(SELECT_STRAY).fetchone()
    if found is not None:
        raise ConfigError(
            f"ATHENA_DATABASE_URL: schema {found[0]} contains the tables of a log, created there by release 0.1"
            f" through a pooler in transaction mode; drop them, or move them to schema {SCHEMA}"
            " (docs/reference/postgresql.md, Poolers), then start again"
        )


def schema_of(session: PostgresSession) -> SchemaReport:
    """Compare the schema of a log with ``SHAPES``. Raises psycopg.Error."""
    found: dict[str, list[tuple[str, str]]] = {}
    for kind, name, words in session.read(SELECT_SCHEMA, {"schema": SCHEMA}):
        found.setdefault(str(name), []).append((str(kind), str(words)))
    strays = [
        f"{'a changed' if name in SHAPES else 'an unknown'} {kind}, {name}"
        + ("" if kind.endswith("table") else f", on {words}")
        for name, shapes in sorted(found.items())
        for kind, words in shapes
        if SHAPES.get(name) != (kind, words)
    ]
    strays += [f"no {SHAPES[name][0]} {name}" for name in sorted(SHAPES.keys() - OPTIONAL - found.keys())]
    kinds = {kind for shapes in found.values() for kind, _ in shapes}
    tables = all(found.get(name) == [SHAPES[name]] for name in READ_TABLES)
    return SchemaReport(tuple(sorted(strays)), tables and kinds.isdisjoint({"function", "operator", "heir"}))
