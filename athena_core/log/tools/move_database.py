"""Both ends of a move in a database of PostgreSQL (``move.Origin`` and ``move.Target``)."""

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
from athena_core.log.postgres.schema import LOG_LOCK, SCHEMA_LOCK, TABLES, TYPES, check_unmade, schema_of
from athena_core.log.postgres.session import LOCK_CLASS, SCHEMA, PostgresSession, check_server
from athena_core.log.postgres.statements import SQL
from athena_core.log.tools.move import Cells, MovedTable

META = "SELECT name, value FROM meta"
TAKE = f"SELECT pg_advisory_lock({LOCK_CLASS}, %s)"
OPTIONS = {"lock_timeout": "5s"}
"""The session of a move that was killed ends soon, but not at once."""

SELECT_LEFT = r"SELECT nspname FROM pg_namespace WHERE nspname ~ '^athena(_views_\d+|_scratch)?$'"
KINDS = TYPES | {
    "key_hash": "bytea",
    "fingerprint": "bytea",
    "first_position": "bigint",
    "count": "bigint",
    "answer": "bytea",
}
SECRETS = frozenset({"password", "sslpassword", "passfile"})


def without_secrets(url: str) -> str:
    """The URL of a database as it may be shown."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    query = [pair for pair in parse_qsl(parts.query) if pair[0] not in SECRETS]
    shown = f"{parts.scheme}://{user.partition(':')[0]}{at}{host}{parts.path}"
    return shown + (f"?{urlencode(query, safe='/')}" if query else "")


class DatabaseMoveEnd:
    """A log in a database, and the session that keeps others from it."""

    def __init__(self, url: str, directory: Path, setting: str) -> None:
        """Be alone in the database. Raises ConfigError."""
        self.place = without_secrets(url)
        self.anchor = directory / ANCHOR
        self._setting = setting
        self._session = PostgresSession(url, OPTIONS)
        with self._config_errors():
            check_server(self._session.connection())
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
        """Say what is wrong with the database as something to be set right; then there is nothing to close."""
        try:
            yield
        except pg.LockNotAvailable as error:
            self.close()
            raise ConfigError(f"{self._setting}: a process is writing to the database; stop it first") from error
        except (psycopg.Error, StoreUnreachable) as error:
            self.close()
            said = str(error).strip().partition("\n")[0]
            raise ConfigError(f"{self._setting}: cannot use the database: {said}") from error
        except ConfigError:
            self.close()
            raise

    def page(self, table: MovedTable, after: Cells) -> Sequence[Cells]:
        """Rows of a table in the order of its key, after one."""
        with self._config_errors():
            return self._read(table.page("%b"), after)

    def size(self, table: MovedTable) -> int:
        """Return the number of rows of a table."""
        with self._config_errors():
            return int(self._read(f"SELECT count(*) FROM {table.name}")[0][0])

    def check(self) -> None:
        """Raise ConfigError if a process is at work on the log."""
        with self._config_errors():
            if self.present and self._read(SELECT_RUNNING):
                raise ConfigError(f"{self._setting}: a process is at work on the database; stop it first")

    def close(self) -> None:
        """Let others in; what was not committed is gone."""
        self._session.close()


class DatabaseMoveSource(DatabaseMoveEnd):
    """A log in a database that is to leave it."""

    def __init__(self, url: str, directory: Path) -> None:
        """Open it. Raises ConfigError where there is none, or where a process is at work."""
        super().__init__(url, directory, "ATHENA_DATABASE_URL")
        if not self.present:
            self.close()
            raise ConfigError("ATHENA_DATABASE_URL: the database holds no log")

    def retire(self, place: str) -> None:
        """Refuse every later start, and say where the log is now."""
        with self._config_errors():
            self._session.connection().execute(SQL.put_meta, (MOVED_TO, place))


class DatabaseMoveTarget(DatabaseMoveEnd):
    """A database without a log; the log is written in one transaction."""

    def __init__(self, url: str, directory: Path) -> None:
        """Look what is there. Raises ConfigError where it cannot be used, or where a process is at work."""
        super().__init__(url, directory, "--to")
        self.occupied = self.present
        with self._config_errors():
            left = [] if self.occupied else self._read(SELECT_LEFT)
            if left:
                raise ConfigError(f"--to: the database holds {left[0][0]}, left of another log; drop that schema first")

    def begin(self, described: Mapping[str, str]) -> None:
        """Make an empty log with the description of another, in a transaction."""
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
        """Add rows."""
        columns = ", ".join(table.columns)
        statement = f"COPY {table.name} ({columns}) FROM STDIN (FORMAT BINARY)".encode()
        with self._config_errors(), self._session.connection().cursor().copy(statement) as copying:
            copying.set_types([KINDS.get(name, "text") for name in table.columns])
            for row in rows:
                copying.write_row(row)

    def reader(self) -> PostgresReader:
        """A reader of what is there, through the session that writes it."""
        return PostgresReader(self.meta["log_id"], self._session, lambda: None)

    def commit(self) -> None:
        """Make durable what arrived, and let it be seen."""
        if self.occupied:
            return
        with self._config_errors():
            connection = self._session.connection()
            connection.execute("ANALYZE log, command, guard")
            connection.execute("COMMIT")
            self._session.pinned = False
