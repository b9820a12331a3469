"""Snapshots of foreign applications beside a log, in their own table."""

from collections.abc import Sequence
from typing import Any

from athena_core.log.port import StoredSnapshot
from athena_core.log.postgres.schema import LOCK, SCHEMA_LOCK
from athena_core.log.postgres.session import ERROR_KINDS, SCHEMA, PostgresSession
from athena_core.log.postgres.statements import SQL

CREATE_STORED = (
    "CREATE TABLE IF NOT EXISTS stored ("
    'purpose text COLLATE "C", originator_id text COLLATE "C", originator_version bigint,'
    " topic text NOT NULL, state bytea NOT NULL, PRIMARY KEY (purpose, originator_id, originator_version))"
)


class PostgresSnapshotStore:
    """The snapshots of foreign applications beside a log, in their own table."""

    troubles = ERROR_KINDS

    def __init__(self, url: str, purpose: str) -> None:
        """Create the table if missing."""
        self._purpose = purpose
        self._session = PostgresSession(url, {})
        connection = self._session.connection()
        with connection.transaction():
            connection.execute(LOCK, (SCHEMA_LOCK,))
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            connection.execute(CREATE_STORED)

    def put(self, rows: Sequence[StoredSnapshot]) -> None:
        """Store all rows or none."""
        connection = self._session.connection()
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(SQL.insert_stored, [(self._purpose, *row) for row in rows])

    def part(self, owner: str, after: int, until: int, limit: int, *, backwards: bool) -> list[StoredSnapshot]:
        """Return at most ``limit`` snapshots of an owner with ``after < version <= until``, from either end."""
        statement = SQL.stored_backwards if backwards else SQL.stored
        found: list[Any] = self._session.read(statement, (self._purpose, owner, after, until, limit))
        return found

    def close(self) -> None:
        self._session.close()
