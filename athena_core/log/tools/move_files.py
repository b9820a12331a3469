"""Both ends of a move in a state directory (``move.Origin`` and ``move.Target``)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import apsw

from athena_core.errors import ConfigError
from athena_core.log.port import MOVED_TO, check_schema
from athena_core.log.sqlite.connection import check_library, open_reader, open_writer
from athena_core.log.sqlite.files import check_directory, check_presence, check_regular
from athena_core.log.sqlite.reader import SqliteReader
from athena_core.log.sqlite.schema import SCHEMA, schema_of
from athena_core.log.sqlite.statements import SQL
from athena_core.log.tools.backup import DirectoryLock
from athena_core.log.tools.move import Cells, MovedTable
from athena_core.system import private_file

META = "SELECT name, value FROM meta"


class FileMoveEnd:
    """A log file, and the lock that keeps others from it."""

    def __init__(self, directory: Path) -> None:
        """Be alone in the directory. Raises ConfigError."""
        self.place = str(directory.absolute())
        self.anchor = directory / "log.anchor"
        self.path = directory / "log.db"
        self._alone = DirectoryLock(directory)
        self._connection: apsw.Connection | None = None

    @property
    def connection(self) -> apsw.Connection:
        """The one that reads, and in a draft also writes."""
        assert self._connection is not None
        return self._connection

    def _described(self) -> Mapping[str, str]:
        try:
            check_schema(schema_of(self.connection), str(self.path))
            return {str(name): str(value) for name, value in self.connection.execute(META)}
        except apsw.Error as error:
            raise ConfigError(f"{self.path} is no log: {error}") from error

    def page(self, table: MovedTable, after: Cells) -> Sequence[Cells]:
        """Rows of a table in the order of its key, after one."""
        return cast("Sequence[Cells]", self.connection.execute(table.page("?"), after).fetchall())

    def size(self, table: MovedTable) -> int:
        """Return the number of rows of a table."""
        return int(self.connection.execute(f"SELECT count(*) FROM {table.name}").get)

    def check(self) -> None:
        """Raise ConfigError if a process is at work in the directory."""
        self._alone.check()

    def close(self) -> None:
        """Let others in."""
        if self._connection is not None:
            self._connection.close()
        self._alone.close()


class FileMoveSource(FileMoveEnd):
    """A log in a state directory that is to leave it."""

    def __init__(self, directory: Path) -> None:
        """Open it. Raises ConfigError where there is none, or where a process is at work."""
        check_regular(directory / "log.db", "ATHENA_STATE_DIR")
        if not (directory / "log.db").exists():
            raise ConfigError(f"ATHENA_STATE_DIR: {directory} holds no log")
        super().__init__(directory)
        try:
            self._connection = open_reader(self.path)
            self.meta = self._described()
        except BaseException:
            self.close()
            raise

    def retire(self, place: str) -> None:
        """Refuse every later start, and say where the log is now."""
        writing = open_writer(self.path, "FULL")
        try:
            writing.execute(SQL.put_meta, (MOVED_TO, place))
        finally:
            writing.close()


class FileMoveTarget(FileMoveEnd):
    """A state directory without a log; the log is written beside its place and renamed."""

    def __init__(self, directory: Path) -> None:
        """Look what is there. Raises ConfigError where the directory cannot be used, or where a process is at work."""
        check_library()
        check_directory(directory)
        check_regular(directory / "log.db", "--to")
        check_presence(directory / "log.db")
        super().__init__(directory)
        self.occupied = self.path.exists()
        self.meta: Mapping[str, str] = {}
        self._draft = self.path.with_name(self.path.name + ".part")
        try:
            if self.occupied:
                self._connection = open_reader(self.path)
                self.meta = self._described()
        except BaseException:
            self.close()
            raise

    def begin(self, described: Mapping[str, str]) -> None:
        """Make an empty log with the description of another, in a file of another name: it needs no journal."""
        self._draft.unlink(missing_ok=True)
        private_file.create(self._draft)
        self._connection = connection = apsw.Connection(str(self._draft))
        connection.pragma("journal_mode", "OFF")
        connection.pragma("synchronous", "OFF")  # it is synced as a whole, before it gets its name
        for statement in SCHEMA:
            connection.execute(statement)
        self.meta = described
        connection.executemany(SQL.insert_meta, self.meta.items())

    def put(self, table: MovedTable, rows: Sequence[Cells]) -> None:
        """Add rows. Raises OSError where there is no space."""
        marks = ", ".join("?" * len(table.columns))
        statement = f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({marks})"
        try:
            with self.connection:
                self.connection.executemany(statement, rows)
        except (apsw.FullError, apsw.IOError) as error:
            raise OSError(str(error)) from error

    def reader(self) -> SqliteReader:
        """A reader of what is there."""
        return SqliteReader(self.path if self.occupied else self._draft, self.meta["log_id"])

    def commit(self) -> None:
        """Make durable what arrived, and give it its name."""
        if self.occupied:
            return
        self.connection.close()
        private_file.sync(self._draft)
        self._draft.replace(self.path)
        private_file.sync(self.path.parent)

    def close(self) -> None:
        """Let others in; a draft is gone."""
        super().close()
        self._draft.unlink(missing_ok=True)
