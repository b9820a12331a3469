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
from athena_core.log.sqlite.connection import distrust, open_reader
from athena_core.log.sqlite.files import check_regular
from athena_core.log.sqlite.locks import ProcessLock
from athena_core.log.sqlite.reader import SqliteReader
from athena_core.log.sqlite.schema import schema_of
from athena_core.log.sqlite.statements import SQL
from athena_core.system import private_file

PAGES_A_STEP = 1_024
NAME = "log.db"


class BackupProgress(Value):
    """The progress of a copy, in pages of the database."""

    position: int
    head: int
    events_per_second: int = 0


def copy_log(source: Path, target: Path) -> Iterator[BackupProgress]:
    """Copy a consistent snapshot of a log, with keys, guards and checkpoints, to one new, synced file.

    Others may write meanwhile, because the copy reads in one transaction. Only the owner may read the file. Raise
    ConfigError if the file exists, OSError if it cannot be created.
    """
    if target.exists():
        raise ConfigError(f"{target} already exists; a backup never replaces a file")
    draft = target.with_name(target.name + ".part")
    draft.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    reading = open_reader(source)
    try:
        reading.execute("BEGIN")  # later commits belong to the next backup
        reading.execute("SELECT count(*) FROM meta").fetchall()
        writing = apsw.Connection(str(draft))
        distrust(writing)
        try:
            with writing.backup("main", reading, "main") as backup:
                while not backup.done:
                    backup.step(PAGES_A_STEP)
                    yield BackupProgress(position=backup.page_count - backup.remaining, head=backup.page_count)
            writing.pragma("journal_mode", "DELETE")  # a single file without a WAL
        finally:
            writing.close()
    finally:
        reading.close()
    private_file.sync(draft)
    draft.replace(target)
    private_file.sync(target.parent)


def open_log_file(path: Path) -> tuple[SqliteReader, dict[str, str]]:
    """Return a reader of a log file, and its description. Raise ConfigError if the file is not a log."""
    check_regular(path, "the log")
    try:
        connection = open_reader(path)
        try:
            schema = schema_of(connection)
            if not schema.readable:
                check_schema(schema, str(path))
            meta = {name: str(connection.execute(SQL.meta, (name,)).get or "") for name in ("log_id", "format")}
        finally:
            connection.close()
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
        try:
            check_schema(reader.schema(), str(source))
            head = reader.head()
        finally:
            reader.close()
        place, kept = directory / NAME, None
        if place.exists():
            kept = _set_aside(place, directory / "log.anchor")
        forks = _prepare_anchor(directory / "log.anchor", source, meta["log_id"])
        draft = place.with_name(NAME + ".part")
        private_file.create(draft)
        shutil.copyfile(source, draft)
        draft.chmod(0o600)
        private_file.sync(draft)
        draft.replace(place)
        private_file.sync(directory)
    return RestoredLog(log_id=meta["log_id"], position=head, forks=forks, kept=kept)


def _prepare_anchor(path: Path, source: Path, log_id: str) -> bool:
    """Return True if the next start will reject the copy; else write an anchor that matches it.

    An unreadable anchor is left for the operator. The anchor of another log is kept under another name.
    """
    try:
        anchor = read_anchor(path)
    except ConfigError:
        return True
    if anchor is not None and anchor.log_id == log_id:
        return not _vouched(source, anchor)
    if anchor is not None:
        path.replace(path.with_name(f"{anchor.log_id}.anchor"))
    reader, _ = open_log_file(source)
    try:
        head = reader.head()
        row = reader.row(head) if head else None
    finally:
        reader.close()
    write_anchor(path, Anchor(log_id=log_id, position=head, chain=(row.chain if row else GENESIS).hex()))
    return False


def _vouched(place: Path, anchor: Anchor) -> bool:
    """Return True if a log contains the row of an anchor."""
    reader, _ = open_log_file(place)
    try:
        row = reader.row(anchor.position) if anchor.position else None
        return not anchor.position or (row is not None and row.chain.hex() == anchor.chain)
    finally:
        reader.close()


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
            lock = ProcessLock(path, create=False)
            try:
                if not lock.try_acquire():
                    raise ConfigError(f"ATHENA_STATE_DIR: a process is using {self._directory}; stop it first")
            finally:
                lock.close()

    def close(self) -> None:
        """Release the lock."""
        self._lock.close()


def _set_aside(place: Path, anchor: Path) -> str:
    """Rename a log and its WAL. The new name and the anchor record its last position."""
    reader, meta = open_log_file(place)
    head = reader.head()
    row = reader.row(head) if head else None
    reader.close()
    with suppress(ConfigError):  # an unreadable anchor is left for the operator
        known = read_anchor(anchor)
        if row is not None and (known is None or known.position < head or known.log_id != meta["log_id"]):
            write_anchor(anchor, Anchor(log_id=meta["log_id"], position=head, chain=row.chain.hex()))
    number = 0
    while (aside := place.with_name(f"log-{head}{f'-{number}' if number else ''}.db")).exists():
        number += 1
    for suffix in ("-wal", "-shm", ""):  # the WAL first: without it, the log would lack its end
        part = place.with_name(place.name + suffix)
        if part.exists():
            part.replace(aside.with_name(aside.name + suffix))
    return str(aside)
