"""Source and target of a move in a state directory (``move.MoveSource`` and ``move.MoveTarget``)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import apsw

from athena_core.errors import ConfigError
from athena_core.log.port import MOVED_TO, check_schema
from athena_core.log.sqlite.connection import check_library, open_reader, open_writer
from athena_core.log.sqlite.copies import open_draft
from athena_core.log.sqlite.files import check_directory, check_presence, check_regular
from athena_core.log.sqlite.reader import SqliteReader
from athena_core.log.sqlite.schema import OPTIONAL, schema_of
from athena_core.log.sqlite.statements import SQL
from athena_core.log.tools.backup import DirectoryLock
from athena_core.log.tools.move import Cells, MovedTable
from athena_core.system import private_file

META = "SELECT name, value FROM meta"


class FileMoveEnd:
    """A log file, with a lock against other processes."""

    def __init__(self, directory: Path) -> None:
        """Lock the directory. Raise ConfigError."""
        self.place = str(directory.absolute())
        self.anchor = directory / "log.anchor"
        self.path = directory / "log.db"
        self._alone = DirectoryLock(directory)
        self._connection: apsw.Connection | None = None

    @property
    def connection(self) -> apsw.Connection:
        """The open connection. A target writes through it, too."""
        assert self._connection is not None
        return self._connection

    def _described(self) -> Mapping[str, str]:
        try:
            check_schema(schema_of(self.connection), str(self.path))
            return {str(name): str(value) for name, value in self.connection.execute(META)}
        except apsw.Error as error:
            raise ConfigError(f"{self.path} is not a log: {error}") from error

    def page(self, table: MovedTable, after: Cells) -> Sequence[Cells]:
        """Return a page of rows after a key, in the order of the key."""
        if not self._holds(table):
            return ()
        return cast("Sequence[Cells]", self.connection.execute(table.page("?"), after).fetchall())

    def size(self, table: MovedTable) -> int:
        """Return the number of rows of a table; 0 if it is missing."""
        if not self._holds(table):
            return 0
        return int(self.connection.execute(f"SELECT count(*) FROM {table.name}").get)

    def _holds(self, table: MovedTable) -> bool:
        return table.name not in OPTIONAL or bool(self.connection.execute(SQL.has_token_uses).get)

    def check(self) -> None:
        """Raise ConfigError if a process uses the directory."""
        self._alone.check()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._alone.close()


class FileMoveSource(FileMoveEnd):
    """The log to move out of a state directory."""

    def __init__(self, directory: Path) -> None:
        """Open the log. Raise ConfigError if there is none, or if a process uses it."""
        check_regular(directory / "log.db", "ATHENA_STATE_DIR")
        if not (directory / "log.db").exists():
            raise ConfigError(f"ATHENA_STATE_DIR: {directory} contains no log")
        super().__init__(directory)
        try:
            self._connection = open_reader(self.path)
            self.meta = self._described()
        except BaseException:
            self.close()
            raise

    def retire(self, place: str) -> None:
        """Make every later start fail with the new place of the log."""
        writing = open_writer(self.path, "FULL")
        try:
            writing.execute(SQL.put_meta, (MOVED_TO, place))
        finally:
            writing.close()


class FileMoveTarget(FileMoveEnd):
    """The state directory to move a log to. The log is written to a draft file, then renamed."""

    def __init__(self, directory: Path) -> None:
        """Open the directory. Raise ConfigError if it cannot be used, or if a process uses it."""
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
        """Create an empty log with the description of the source in a draft file."""
        self._connection = open_draft(self._draft)
        self.meta = described
        self._connection.executemany(SQL.insert_meta, self.meta.items())

    def put(self, table: MovedTable, rows: Sequence[Cells]) -> None:
        """Insert rows. Raise OSError if the disk is full."""
        marks = ", ".join("?" * len(table.columns))
        statement = f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({marks})"
        try:
            with self.connection:
                self.connection.executemany(statement, rows)
        except (apsw.FullError, apsw.IOError) as error:
            raise OSError(str(error)) from error

    def reader(self) -> SqliteReader:
        """Open a reader of the target."""
        return SqliteReader(self.path if self.occupied else self._draft, self.meta["log_id"])

    def commit(self) -> None:
        """Sync the draft file and rename it."""
        if self.occupied:
            return
        self.connection.close()
        private_file.sync(self._draft)
        self._draft.replace(self.path)
        private_file.sync(self.path.parent)

    def close(self) -> None:
        """Release the lock and delete the draft."""
        super().close()
        self._draft.unlink(missing_ok=True)
