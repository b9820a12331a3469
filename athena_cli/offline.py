"""The state directory as commands read it without a server: the log read-only, and the views beside it."""

from pathlib import Path
from typing import NamedTuple

from athena_core.clock import SystemClock
from athena_core.domain import EVENTS
from athena_core.errors import ConfigError, CursorInvalid
from athena_core.settings import Settings
from athena_core.signal import Signal
from athena_core.store.codec import Codec
from athena_core.store.log import Anchor, read_anchor
from athena_core.store.sqlite import SELECT_META, SqliteDatabases, SqliteReader, ViewConnection, open_reader
from projections import ALL
from projections.cursor import parse_cursor, resolve
from projections.feed import position_before
from projections.generation import Files
from projections.views import Views


class StateDirectory(NamedTuple):
    """A state directory that holds a log."""

    directory: Path
    meta: dict[str, str]

    @property
    def log(self) -> Path:
        """The log's file."""
        return self.directory / "log.db"

    @property
    def anchor(self) -> Anchor | None:
        """What the anchor says."""
        return read_anchor(self.directory / "log.anchor")

    def reader(self) -> SqliteReader:
        """A new reader of the log."""
        return SqliteReader(self.log, self.meta["log_id"])

    def views(self) -> Views:
        """The views, which nobody in this process keeps."""
        views = self.directory / "views"
        views.mkdir(exist_ok=True, mode=0o700)
        return Views(Files(views, SqliteDatabases()), self.reader, Codec(EVENTS).decode, SystemClock(), ALL, Signal())


def state_directory(settings: Settings) -> StateDirectory:
    """The state directory. Raises ConfigError if there is no log in it."""
    path = settings.state_dir / "log.db"
    if not path.is_file():
        raise ConfigError(f"ATHENA_STATE_DIR: {settings.state_dir} holds no log")
    try:
        connection = ViewConnection(open_reader(path))
        try:
            meta = {name: _only(connection, name) for name in ("log_id", "format")}
        finally:
            connection.close()
    except Exception as error:  # whatever the database says
        raise ConfigError(f"ATHENA_STATE_DIR: cannot read {path}: {error}") from error
    return StateDirectory(settings.state_dir, meta)


def place_of(text: str, reader: SqliteReader) -> int:
    """A position, or the position of an event by its id, or the last one before a time. Raises AthenaError."""
    try:
        return resolve(parse_cursor(text), reader)
    except CursorInvalid:
        return position_before(text, reader)


def _only(connection: ViewConnection, name: str) -> str:
    return "".join(str(value) for (value,) in connection.execute(SELECT_META, (name,)))
