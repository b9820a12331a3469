"""Access to a log and its views for commands that work without a server."""

from pathlib import Path
from typing import NamedTuple

from athena_core.clock import SystemClock
from athena_core.domain import EVENTS
from athena_core.errors import CursorInvalid
from athena_core.log.anchor import Anchor, read_anchor
from athena_core.log.codec import Codec
from athena_core.log.engine import open_archive, open_generations
from athena_core.log.port import Archive, StoreReader, check_schema
from athena_core.log.sqlite.views import SqliteDatabases
from athena_core.settings import Settings
from athena_core.system import private_file
from athena_core.system.signal import Signal
from projections import ALL
from projections.engine.cursor import parse_cursor, resolve
from projections.engine.generation import GenerationFiles
from projections.engine.views import Views
from projections.feed import position_before


class OfflineLog(NamedTuple):
    """A log in a state directory or a database."""

    directory: Path
    url: str | None
    archive: Archive

    @property
    def anchor(self) -> Anchor | None:
        """The anchor stored beside the log, or None. Raise ConfigError."""
        return read_anchor(self.archive.anchor)

    def reader(self) -> StoreReader:
        """Open a reader of the log."""
        return self.archive.reader()

    def views(self) -> Views:
        """Return the views of the log, without an updater."""
        private_file.close_to_others(self.directory)
        views = self.directory / "views"
        if self.url is None:
            views.mkdir(exist_ok=True, mode=0o700)
        generations = GenerationFiles(views, SqliteDatabases()) if self.url is None else open_generations(self.url)
        return Views(generations, self.reader, Codec(EVENTS).decode, SystemClock(), ALL, Signal())


def open_offline_log(settings: Settings, *, any_schema: bool = False) -> OfflineLog:
    """Open the log that the settings name. Raise ConfigError if it is missing, or has a foreign schema.

    ``any_schema`` accepts a foreign schema.
    """
    archive = open_archive(settings.state_dir, settings.database_url)
    if not any_schema:
        setting = "ATHENA_STATE_DIR" if settings.database_url is None else "ATHENA_DATABASE_URL"
        check_schema(archive.schema, f"{setting}: the log")
    return OfflineLog(settings.state_dir, settings.database_url, archive)


def position_of(text: str, reader: StoreReader) -> int:
    """Return the position for a position, an event id, or the last event before a time. Raise AthenaError."""
    try:
        return resolve(parse_cursor(text), reader)
    except CursorInvalid:
        return position_before(text, reader)
