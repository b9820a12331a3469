"""Copies of a log file, row by row, and the repair that writes such a copy over the log."""

import os
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import apsw

from athena_core.event import Position, Value
from athena_core.log.sqlite.connection import BUSY_MS, distrust, open_writer
from athena_core.log.sqlite.locks import ProcessLock
from athena_core.log.sqlite.schema import SCHEMA
from athena_core.log.sqlite.statements import SQL
from athena_core.system import private_file

STEP_EVENTS = 1_000
COPY_EVENTS = "INSERT INTO log SELECT * FROM origin.log WHERE position > ? ORDER BY position LIMIT ?"
OTHERS = "SELECT name FROM origin.sqlite_schema WHERE type = 'table' AND name <> 'log' AND name NOT LIKE 'sqlite%'"
COPY_TABLE = "INSERT INTO main.{0} SELECT * FROM origin.{0} NOT INDEXED WHERE true"
"""Without a condition SQLite would copy the pages of the table and its indexes, also damaged ones."""

REDACTED = "SELECT EXISTS (SELECT 1 FROM log WHERE position > ? AND type = 'payload.redacted')"
ERASE = "UPDATE log SET text = NULL WHERE position IN (SELECT position FROM origin.log WHERE text IS NULL)"


class BackupProgress(Value):
    """The progress of a copy, in events."""

    position: Position
    head: Position
    events_per_second: int = 0


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


def write_draft(source: Path, draft: Path) -> Iterator[BackupProgress]:
    """Copy a log, with keys, guards and checkpoints as of its last event, to a draft.

    Others may write meanwhile. Events are read in short steps, because the WAL grows during a long read. Only tables
    are read, and the draft has new indexes. Raise apsw.Error if a table is damaged.
    """
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
                copy.execute(COPY_TABLE.format(table))
            if copy.execute(REDACTED, (began,)).get:
                copy.execute(ERASE)
    yield BackupProgress(position=position, head=max(position, began))


def repair(place: Path) -> None:
    """Rebuild a log file from the rows of its tables, in one transaction, beside processes that use it.

    ``REINDEX`` cannot do this, because it reads the damaged index to free its pages. So the rows are copied to a draft,
    and its pages then replace the pages of the log. An interruption leaves the log as it was. Raise apsw.Error if a
    table is damaged.
    """
    draft = place.with_name(place.name + ".part")
    with closing(ProcessLock(place.with_name("log.lock"))) as lock:
        lock.acquire()
        try:
            for _ in write_draft(place, draft):
                pass
            with closing(open_writer(place, "FULL")) as log, closing(apsw.Connection(str(draft))) as copy:
                with log.backup("main", copy, "main") as pages:
                    while not pages.done:
                        pages.step()
                with suppress(apsw.BusyError):  # a reader; the next writer does it
                    log.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        finally:
            draft.unlink(missing_ok=True)
