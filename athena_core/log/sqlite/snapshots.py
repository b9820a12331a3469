"""Snapshots of foreign applications beside a log, in their own file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from athena_core.log.port import StoredSnapshot
from athena_core.log.sqlite.connection import ERROR_KINDS, open_writer
from athena_core.log.sqlite.statements import SQL

CREATE_STORED = (
    "CREATE TABLE IF NOT EXISTS stored ("
    "purpose TEXT NOT NULL, originator_id TEXT NOT NULL, originator_version INTEGER NOT NULL,"
    " topic TEXT NOT NULL, state BLOB NOT NULL, PRIMARY KEY (purpose, originator_id, originator_version)"
    ") STRICT, WITHOUT ROWID"
)


class SqliteSnapshotStore:
    """The snapshots of foreign applications beside a log, in their own file."""

    troubles = ERROR_KINDS

    def __init__(self, path: Path, purpose: str) -> None:
        """Open or create the file."""
        self._purpose = purpose
        self._connection = open_writer(path, "FULL")
        self._connection.pragma("wal_autocheckpoint", 1_000)
        self._connection.execute(CREATE_STORED)

    def put(self, rows: Sequence[StoredSnapshot]) -> None:
        """Store all rows or none."""
        with self._connection:
            self._connection.executemany(SQL.insert_stored, [(self._purpose, *row) for row in rows])

    def part(self, owner: str, after: int, until: int, limit: int, *, backwards: bool) -> list[StoredSnapshot]:
        """Return at most ``limit`` snapshots of an owner with ``after < version <= until``, from either end."""
        statement = SQL.stored_backwards if backwards else SQL.stored
        found: list[Any] = self._connection.execute(statement, (self._purpose, owner, after, until, limit)).fetchall()
        return found

    def close(self) -> None:
        self._connection.close()
