"""The schema of a log file, and the comparison of a file with it."""

from collections.abc import Mapping
from contextlib import closing
from functools import lru_cache

import apsw

from athena_core.log.port import SchemaReport

CREATE_TOKEN_USE = (
    """CREATE TABLE token_use (token_id TEXT PRIMARY KEY, used_at INTEGER NOT NULL) STRICT, WITHOUT ROWID"""
)
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
    CREATE_TOKEN_USE,
)
OPTIONAL = frozenset({"token_use"})
"""Objects that older logs lack until a token is used. PostgreSQL lists its own."""
SELECT_SCHEMA = "SELECT type, name, coalesce(tbl_name, ''), sql FROM sqlite_schema"
OWN_STATISTICS = frozenset({"sqlite_stat1", "sqlite_stat4"})
"""The tables that SQLite creates for ``ANALYZE``."""


def schema_of(connection: apsw.Connection) -> SchemaReport:
    """Compare the schema of a database with ``SCHEMA``, by the text of its statements. Raise apsw.Error."""
    expected = _expected()
    found = {str(name): (str(kind), str(table), sql) for kind, name, table, sql in connection.execute(SELECT_SCHEMA)}
    strays = [
        f"{'a changed' if name in expected else 'an unknown'} {kind}, {name}, on {table}"
        for name, (kind, table, sql) in sorted(found.items())
        if expected.get(name) != (kind, table, sql) and not (kind == "table" and name in OWN_STATISTICS)
    ]
    strays += [
        f"no {kind} {name}"
        for name, (kind, _, _) in sorted(expected.items())
        if name not in found and name not in OPTIONAL
    ]
    tables = [
        name for name, (kind, _, _) in expected.items() if kind == "table" and name not in OPTIONAL - found.keys()
    ]
    return SchemaReport(tuple(sorted(strays)), all(found.get(name) == expected[name] for name in tables))


@lru_cache(maxsize=1)
def _expected() -> Mapping[str, tuple[str, str, str | None]]:
    """Return kind, table and SQL of each object that ``SCHEMA`` creates, by name, including automatic indexes."""
    with closing(apsw.Connection(":memory:")) as connection:
        for statement in SCHEMA:
            connection.execute(statement)
        return {str(name): (str(kind), str(table), sql) for kind, name, table, sql in connection.execute(SELECT_SCHEMA)}
