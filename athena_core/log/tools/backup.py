"""Backup of a log while others write to it, and restore."""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import apsw

from athena_core.errors import ConfigError
from athena_core.event import Position, Value
from athena_core.log.anchor import Anchor, read_anchor, write_anchor
from athena_core.log.chain import GENESIS
from athena_core.log.port import check_schema
from athena_core.log.sqlite.connection import BUSY_MS, distrust, open_reader
from athena_core.log.sqlite.files import check_regular
from athena_core.log.sqlite.locks import ProcessLock
from athena_core.log.sqlite.reader import SqliteReader
from athena_core.log.sqlite.schema import SCHEMA, schema_of
from athena_core.log.sqlite.statements import SQL
from athena_core.system import private_file

NAME = "log.db"
STEP_EVENTS = 1_000
COPY_EVENTS = "INSERT INTO log SELECT * FROM origin.log WHERE position > ? ORDER BY position LIMIT ?"
OTHERS = "SELECT name FROM origin.sqlite_schema WHERE type = 'table' AND name <> 'log' AND name NOT LIKE 'sqlite%'"
REDACTED = "SELECT EXISTS (SELECT 1 FROM log WHERE position > ? AND type = 'payload.redacted')"
ERASE = "UPDATE log SET text = NULL WHERE position IN (SELECT position FROM origin.log WHERE text IS NULL)"


class BackupProgress(Value):
    """The progress of a copy, in events."""

    position: Position
    head: Position
    events_per_second: int = 0


def copy_log(source: Path, target: Path) -> Iterator[BackupProgress]:
    """Copy a log, with keys, guards and checkpoints as of its last event, to one new, synced file.

    Others may write meanwhile. Events are read in short steps, because the WAL grows during a long read. Only the owner
    may read the file. Raise ConfigError if the file exists, OSError if it cannot be created.
    """
    if target.exists():
        raise ConfigError(f"{target} already exists; a backup never replaces a file")
    draft = target.with_name(target.name + ".part")
    with closing(open_draft(draft)) as copy:
        copy.execute("ATTACH ? AS origin", (f"{source.absolute().as_uri()}?mode=ro",))
        began, position = copy.execute("SELECT max(position) FROM origin.log").get or 0, 0
        copy.execute(COPY_EVENTS, (0, STEP_EVENTS))
        while copy.changes() == STEP_EVENTS:
            position = int(copy.execute(SQL.position).get)
            yield BackupProgress(position=position, head=max(position, began))
            copy.execute(COPY_EVENTS, (position, STEP_EVENTS))
        with copy:  # one read: the last events, and everything that changes
            copy.execute(COPY_EVENTS, (copy.execute(SQL.position).get or 0, -1))
            for (table,) in copy.execute(OTHERS).fetchall():
                copy.execute(f"INSERT INTO main.{table} SELECT * FROM origin.{table}")
            if copy.execute(REDACTED, (began,)).get:
                copy.execute(ERASE)
    _replace(draft, target)
    yield BackupProgress(position=position, head=max(position, began))


def _replace(draft: Path, target: Path) -> None:
    """Put a complete draft in the place of a file, durably."""
    private_file.sync(draft)
    draft.replace(target)
    private_file.sync(target.parent)


def open_draft(path: Path) -> apsw.Connection:
    """Create an empty log in a new, private file. It has no journal, so sync it as a whole before its use."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, private_file.FILE_MODE))
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI)
    for name, value in (("journal_mode", "OFF"), ("synchronous", "OFF"), ("secure_delete", "ON")):
        connection.pragma(name, value)
    distrust(connection)
    connection.set_busy_timeout(BUSY_MS)
    for statement in SCHEMA:
        connection.execute(statement)
    return connection


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
        if place.exists():
            kept = _set_aside(place, directory / "log.anchor")
        forks = _prepare_anchor(directory / "log.anchor", source, meta["log_id"])
        draft = place.with_name(NAME + ".part")
        private_file.create(draft)
        shutil.copyfile(source, draft)
        draft.chmod(0o600)
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
        """Release the lock."""
        self._lock.close()


def _set_aside(place: Path, anchor: Path) -> str:
    """Rename a log and its WAL. The new name and the anchor record its last position."""
    last = _anchor(place)
    with suppress(ConfigError):  # an unreadable anchor is left for the operator
        known = read_anchor(anchor)
        if last.position and (known is None or known.position < last.position or known.log_id != last.log_id):
            write_anchor(anchor, last)
    number = 0
    while (aside := place.with_name(f"log-{last.position}{f'-{number}' if number else ''}.db")).exists():
        number += 1
    for suffix in ("-wal", "-shm", ""):  # the WAL first: without it, the log would lack its end
        part = place.with_name(place.name + suffix)
        if part.exists():
            part.replace(aside.with_name(aside.name + suffix))
    return str(aside)
