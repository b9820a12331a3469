"""Source and target of a move in a PostgreSQL database (``move.MoveSource`` and ``move.MoveTarget``)."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import psycopg
from psycopg import errors as pg

from athena_core.errors import ConfigError, StoreUnreachable
from athena_core.log.port import MOVED_TO, check_schema
from athena_core.log.postgres.executor_registry import SELECT_RUNNING
from athena_core.log.postgres.reader import ANCHOR, PostgresReader
from athena_core.log.postgres.schema import (
    LOG_LOCK,
    OPTIONAL,
    SCHEMA_LOCK,
    TABLES,
    TYPES,
    check_unmade,
    schema_of,
)
from athena_core.log.postgres.session import LOCK_CLASS, SCHEMA, PostgresSession
from athena_core.log.postgres.statements import SQL
from athena_core.log.tools.move import Cells, MovedTable

META = "SELECT name, value FROM meta"
TAKE = f"SELECT pg_advisory_lock({LOCK_CLASS}, %s)"
OPTIONS = {"lock_timeout": "5s"}
"""Settings of the session. The session of a killed move may hold its locks for some seconds."""

SELECT_LEFT = r"SELECT nspname FROM pg_namespace WHERE nspname ~ '^athena(_views_\d+|_scratch)?$'"
KINDS = TYPES | {
    "key_hash": "bytea",
    "fingerprint": "bytea",
    "first_position": "bigint",
    "count": "bigint",
    "answer": "bytea",
    "used_at": "bigint",
}
SECRETS = frozenset({"password", "sslpassword", "passfile"})


def without_secrets(url: str) -> str:
    """Return the URL of a database without secrets."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    query = [pair for pair in parse_qsl(parts.query) if pair[0] not in SECRETS]
    shown = f"{parts.scheme}://{user.partition(':')[0]}{at}{host}{parts.path}"
    return shown + (f"?{urlencode(query, safe='/')}" if query else "")


class DatabaseMoveEnd:
    """A log in a database, with a session that locks out other processes."""

    def __init__(self, url: str, directory: Path, setting: str) -> None:
        """Lock the database. Raise ConfigError."""
        self.place = without_secrets(url)
        self.anchor = directory / ANCHOR
        self._setting = setting
        self._session = PostgresSession(url, OPTIONS, durable=True)
        with self._config_errors():
            for number in (SCHEMA_LOCK, LOG_LOCK):
                self._read(TAKE, (number,))
            self.present = self._read("SELECT to_regclass('meta')") != [(None,)]
            if self.present:
                check_schema(schema_of(self._session), f"{setting}: the log")
            self.meta: Mapping[str, str] = {str(name): str(value) for name, value in self._described()}
            if not self.present:
                check_unmade(self._session.connection())
            self.check()

    def _read(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._session.connection().cursor(binary=True) as cursor:
            return cursor.execute(statement.encode(), values).fetchall()

    def _described(self) -> list[tuple[Any, ...]]:
        return self._read(META) if self.present else []

    @contextmanager
    def _config_errors(self) -> Iterator[None]:
        """Translate database errors to ConfigError, and close the session."""
        try:
            yield
        except pg.LockNotAvailable as error:
            self.close()
            raise ConfigError(f"{self._setting}: a process is writing to the database; stop it first") from error
        except (psycopg.Error, StoreUnreachable) as error:
            self.close()
            reason = str(error).strip().partition("\n")[0]
            raise ConfigError(f"{self._setting}: cannot use the database: {reason}") from error
        except ConfigError:
            self.close()
            raise

    def page(self, table: MovedTable, after: Cells) -> Sequence[Cells]:
        """Return a page of rows after a key, in the order of the key."""
        with self._config_errors():
            return self._read(table.page("%b"), after) if self._holds(table) else ()

    def size(self, table: MovedTable) -> int:
        """Return the number of rows of a table; 0 if it is missing."""
        with self._config_errors():
            if not self._holds(table):
                return 0
            return int(self._read(f"SELECT count(*) FROM {table.name}")[0][0])

    def _holds(self, table: MovedTable) -> bool:
        return table.name not in OPTIONAL or bool(self._read(SQL.has_token_uses)[0][0])

    def check(self) -> None:
        """Raise ConfigError if a process uses the log."""
        with self._config_errors():
            if self.present and self._read(SELECT_RUNNING):
                raise ConfigError(f"{self._setting}: a process is using the database; stop it first")

    def close(self) -> None:
        """Release the lock. Uncommitted changes are lost."""
        self._session.close()


class DatabaseMoveSource(DatabaseMoveEnd):
    """The log to move out of a database."""

    def __init__(self, url: str, directory: Path) -> None:
        """Open the log. Raise ConfigError if there is none, or if a process uses it."""
        super().__init__(url, directory, "ATHENA_DATABASE_URL")
        if not self.present:
            self.close()
            raise ConfigError("ATHENA_DATABASE_URL: the database contains no log")

    def retire(self, place: str) -> None:
        """Make every later start fail with the new place of the log."""
        with self._config_errors():
            self._session.connection().execute(SQL.put_meta, (MOVED_TO, place))


class DatabaseMoveTarget(DatabaseMoveEnd):
    """The database to move a log to, in one transaction."""

    def __init__(self, url: str, directory: Path) -> None:
        """Open the database. Raise ConfigError if it cannot be used, or if a process uses it."""
        super().__init__(url, directory, "--to")
        self.occupied = self.present
        with self._config_errors():
            left = [] if self.occupied else self._read(SELECT_LEFT)
            if left:
                raise ConfigError(
                    f"--to: the database contains schema {left[0][0]} of another log; drop that schema first"
                )

    def begin(self, described: Mapping[str, str]) -> None:
        """Create an empty log with the description of the source, in a transaction."""
        self.meta = described
        with self._config_errors():
            connection = self._session.connection()
            connection.execute("BEGIN")
            self._session.pinned = True
            connection.execute(f"CREATE SCHEMA {SCHEMA}")
            for statement in TABLES:
                connection.execute(statement.encode())
            for pair in self.meta.items():
                connection.execute(SQL.insert_meta, pair)

    def put(self, table: MovedTable, rows: Sequence[Cells]) -> None:
        columns = ", ".join(table.columns)
        statement = f"COPY {table.name} ({columns}) FROM STDIN (FORMAT BINARY)".encode()
        with self._config_errors(), self._session.connection().cursor().copy(statement) as copying:
            copying.set_types([KINDS.get(name, "text") for name in table.columns])
            for row in rows:
                copying.write_row(row)

    def reader(self) -> PostgresReader:
        """Open a reader of the target through the writing session."""
        return PostgresReader(self.meta["log_id"], self._session, lambda: None)

    def commit(self) -> None:
        """Commit the copy: make it durable and visible."""
        if self.occupied:
            return
        with self._config_errors():
            connection = self._session.connection()
            connection.execute("ANALYZE log, command, guard")
            connection.execute("COMMIT")
            self._session.pinned = False
