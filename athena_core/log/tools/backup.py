"""Copies of a log: taken while others write to it, and put back in its place."""

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
    """Copy a log as it is at one moment, with keys, guards and checkpoints, into one new file that is synced.

    Others may write meanwhile: one read transaction sees them all or not. Nobody but its owner may read the file,
    as no one else may enter the directory of the log. Raises ConfigError if the file exists, OSError if it cannot be
    made.
    """
    if target.exists():
        raise ConfigError(f"{target} exists; a backup never replaces a file")
    draft = target.with_name(target.name + ".part")
    draft.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    reading = open_reader(source)
    try:
        reading.execute("BEGIN")  # what is committed from now on belongs to the next backup
        reading.execute("SELECT count(*) FROM meta").fetchall()
        writing = apsw.Connection(str(draft))
        distrust(writing)
        try:
            with writing.backup("main", reading, "main") as backup:
                while not backup.done:
                    backup.step(PAGES_A_STEP)
                    yield BackupProgress(position=backup.page_count - backup.remaining, head=backup.page_count)
            writing.pragma("journal_mode", "DELETE")  # one file, that needs no WAL beside it
        finally:
            writing.close()
    finally:
        reading.close()
    private_file.sync(draft)
    draft.replace(target)
    private_file.sync(target.parent)


def open_log_file(path: Path) -> tuple[SqliteReader, dict[str, str]]:
    """A reader of a log, and its meta. Raises ConfigError for a file that is none."""
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
        raise ConfigError(f"{path} is no log: {error}") from error
    if not meta["log_id"]:
        raise ConfigError(f"{path} is no log: it has no id")
    return SqliteReader(path, meta["log_id"]), meta


class RestoredLog(Value):
    """A log that was put in place: ``forks`` is True if the log that was there had gone further."""

    log_id: str
    position: Position
    forks: bool
    kept: str | None = None


def restore_log(source: Path, directory: Path) -> RestoredLog:
    """Put a copy of a log in its place; what was there is kept beside it under another name.

    Views are left as they are: what does not fit this log is rebuilt. Raises ConfigError while a process uses the
    directory.
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
    """Return True if the next start will refuse a copy; else leave an anchor that fits it, before the copy is there.

    What cannot be read is left for the operator to judge. The anchor of another log is kept under another name.
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
    """Return True if a log holds the row of an anchor."""
    reader, _ = open_log_file(place)
    try:
        row = reader.row(anchor.position) if anchor.position else None
        return not anchor.position or (row is not None and row.chain.hex() == anchor.chain)
    finally:
        reader.close()


class DirectoryLock:
    """Holds a state directory against every other process. Raises ConfigError where one is at work."""

    def __init__(self, directory: Path) -> None:
        """Take the lock of the log, once no process uses it."""
        self._directory = directory
        self.check()
        self._lock = ProcessLock(directory / "log.lock")
        if not self._lock.try_acquire():
            self._lock.close()
            raise ConfigError("ATHENA_STATE_DIR: a process is writing to the log; stop it first")
        private_file.close_to_others(directory)

    def check(self) -> None:
        """Raise ConfigError if a process is at work."""
        executors = self._directory / "executors"
        for path in executors.glob("*.lock") if executors.is_dir() else ():
            lock = ProcessLock(path, create=False)
            try:
                if not lock.try_acquire():
                    raise ConfigError(f"ATHENA_STATE_DIR: a process is at work in {self._directory}; stop it first")
            finally:
                lock.close()

    def close(self) -> None:
        """Let go of it."""
        self._lock.close()


def _set_aside(place: Path, anchor: Path) -> str:
    """Rename a log with its WAL; the name, and the anchor, say how far it went."""
    reader, meta = open_log_file(place)
    head = reader.head()
    row = reader.row(head) if head else None
    reader.close()
    with suppress(ConfigError):  # an anchor that cannot be read is left for the operator to judge
        known = read_anchor(anchor)
        if row is not None and (known is None or known.position < head or known.log_id != meta["log_id"]):
            write_anchor(anchor, Anchor(log_id=meta["log_id"], position=head, chain=row.chain.hex()))
    number = 0
    while (aside := place.with_name(f"log-{head}{f'-{number}' if number else ''}.db")).exists():
        number += 1
    for suffix in ("-wal", "-shm", ""):  # the WAL first: a log without it would lack its end
        part = place.with_name(place.name + suffix)
        if part.exists():
            part.replace(aside.with_name(aside.name + suffix))
    return str(aside)
