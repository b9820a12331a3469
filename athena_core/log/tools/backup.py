"""Backup of a log while others write to it, and restore."""

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import apsw

from athena_core.errors import ConfigError
from athena_core.event import Position, Value
from athena_core.log.anchor import Anchor, read_anchor, write_anchor
from athena_core.log.chain import GENESIS
from athena_core.log.port import MOVED_TO, check_schema
from athena_core.log.sqlite.connection import open_reader
from athena_core.log.sqlite.copies import BackupProgress, write_draft
from athena_core.log.sqlite.files import check_regular
from athena_core.log.sqlite.locks import ProcessLock
from athena_core.log.sqlite.reader import SqliteReader
from athena_core.log.sqlite.schema import schema_of
from athena_core.log.sqlite.statements import SQL
from athena_core.system import private_file

NAME = "log.db"


def copy_log(source: Path, target: Path) -> Iterator[BackupProgress]:
    """Copy a log to one new, synced file (``write_draft``).

    Only the owner may read the file. Raise ConfigError if the file exists, OSError if it cannot be created.
    """
    if target.exists():
        raise ConfigError(f"{target} already exists; a backup never replaces a file")
    draft = target.with_name(target.name + ".part")
    yield from write_draft(source, draft)
    _replace(draft, target)


def _replace(draft: Path, target: Path) -> None:
    """Put a complete draft in the place of a file, durably."""
    private_file.sync(draft)
    draft.replace(target)
    private_file.sync(target.parent)


def open_log_file(path: Path) -> tuple[SqliteReader, dict[str, str]]:
    """Return a reader of a log file, and its description. Raise ConfigError if the file is not a log."""
    check_regular(path, "the log")
    try:
        with closing(open_reader(path)) as connection:
            schema = schema_of(connection)
            if not schema.readable:
                check_schema(schema, str(path))
            meta = {name: str(connection.execute(SQL.meta, (name,)).get or "") for name in ("log_id", "format")}
    except apsw.Error as error:
        raise ConfigError(f"{path} is not a log: {error}") from error
    if not meta["log_id"]:
        raise ConfigError(f"{path} is not a log: it has no id")
    return SqliteReader(path, meta["log_id"]), meta


class RestoredLog(Value):
    """A restored log; ``forks`` is True if the replaced log holds events that it lacks."""

    log_id: str
    position: Position
    forks: bool
    kept: str | None = None


def restore_log(source: Path, directory: Path) -> RestoredLog:
    """Replace the log of a directory with a copy, and keep the old log under another name.

    Views stay; views of another history are rebuilt. Raise ConfigError while a process uses the directory.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with closing(DirectoryLock(directory)):
        reader, meta = open_log_file(source)
        with closing(reader):
            check_schema(reader.schema(), str(source))
            head = reader.head()
        place, kept = directory / NAME, None
        draft = place.with_name(NAME + ".part")
        for _ in write_draft(source, draft):
            pass
        with closing(apsw.Connection(str(draft))) as copy:
            copy.execute("DELETE FROM meta WHERE name = ?", (MOVED_TO,))  # it is in use here again
        if place.exists():
            kept = _set_aside(place, directory / "log.anchor")
        forks = _prepare_anchor(directory / "log.anchor", source, meta["log_id"])
        _replace(draft, place)
    return RestoredLog(log_id=meta["log_id"], position=head, forks=forks, kept=kept)


def _anchor(place: Path, position: Position | None = None) -> Anchor:
    """Return the anchor of a row of a log file, by default of the last one; at position 0 if the row is missing."""
    reader, meta = open_log_file(place)
    with closing(reader):
        row = reader.row(reader.head() if position is None else position)
    position, chain = (row.position, row.chain) if row is not None else (0, GENESIS)
    return Anchor(log_id=meta["log_id"], position=position, chain=chain.hex())


def _prepare_anchor(path: Path, source: Path, log_id: str) -> bool:
    """Return True if the next start will reject the copy; else write an anchor that matches it.

    An unreadable anchor is left for the operator. The anchor of another log is kept under another name.
    """
    try:
        anchor = read_anchor(path)
    except ConfigError:
        return True
    if anchor is not None and anchor.log_id == log_id:
        return anchor.position > 0 and _anchor(source, anchor.position).chain != anchor.chain
    if anchor is not None:
        path.replace(path.with_name(f"{anchor.log_id}.anchor"))
    write_anchor(path, _anchor(source))
    return False


class DirectoryLock:
    """Locks a state directory against all other processes. Raise ConfigError if one uses it."""

    def __init__(self, directory: Path) -> None:
        """Take the lock of the log, if no process uses it."""
        self._directory = directory
        self.check()
        self._lock = ProcessLock(directory / "log.lock")
        if not self._lock.try_acquire():
            self._lock.close()
            raise ConfigError("ATHENA_STATE_DIR: a process is writing to the log; stop it first")
        private_file.close_to_others(directory)

    def check(self) -> None:
        """Raise ConfigError if a process uses the directory."""
        for path in private_file.matching(self._directory / "executors", "*.lock"):
            with closing(ProcessLock(path, create=False)) as lock:
                if not lock.try_acquire():
                    raise ConfigError(f"ATHENA_STATE_DIR: a process is using {self._directory}; stop it first")

    def close(self) -> None:
        self._lock.close()


def _set_aside(place: Path, anchor: Path) -> str:
    """Rename a log and its WAL. The new name and the anchor record its last position, if it can be read."""
    name = "damaged"
    with suppress(ConfigError, apsw.Error):  # an unreadable anchor is left for the operator
        last = _anchor(place)
        name = str(last.position)
        known = read_anchor(anchor)
        if last.position and (known is None or known.position < last.position or known.log_id != last.log_id):
            write_anchor(anchor, last)
    number = 0
    while (aside := place.with_name(f"log-{name}{f'-{number}' if number else ''}.db")).exists():
        number += 1
    for suffix in ("-wal", "-shm", ""):  # the WAL first: without it, the log would lack its end
        part = place.with_name(place.name + suffix)
        if part.exists():
            part.replace(aside.with_name(aside.name + suffix))
    return str(aside)
