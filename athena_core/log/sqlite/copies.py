"""Copies of a log file, row by row, and the repair that writes such a copy over the log."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import apsw

from athena_core.event import Guard, Position, Value
from athena_core.log.port import guard_rows
from athena_core.log.sqlite.connection import BUSY_MS, distrust, open_writer
from athena_core.log.sqlite.locks import ProcessLock
from athena_core.log.sqlite.schema import SCHEMA
from athena_core.log.sqlite.statements import SQL
from athena_core.system import private_file

STEP_EVENTS = 1_000
COPY_EVENTS = "INSERT INTO log SELECT * FROM origin.log WHERE position > ? ORDER BY position LIMIT ?"
OTHERS = "SELECT name FROM origin.sqlite_schema WHERE type = 'table' AND name <> 'log' AND name NOT LIKE 'sqlite%'"
KEY_DESCENDING = "SELECT group_concat(name || ' DESC', ', ') FROM pragma_table_info(?) WHERE pk"
REDACTED = "SELECT EXISTS (SELECT 1 FROM log WHERE position > ? AND type = 'payload.redacted')"
ERASE = "UPDATE log SET text = NULL WHERE position IN (SELECT position FROM origin.log WHERE text IS NULL)"
SALVAGED = frozenset({"checkpoint", "command", "guard", "token_use"})
"""The tables of which a repair keeps the readable rows. A log that lacks a row of ``meta`` or ``log`` is incomplete."""


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


def write_draft(source: Path, draft: Path, salvaged: frozenset[str] = frozenset()) -> Iterator[BackupProgress]:
    """Copy a log, with keys, guards and checkpoints as of its last event, to a draft.

    Others may write meanwhile. Events are read in short steps, because the WAL grows during a long read. Only tables
    are read, and the draft has new indexes. Of damaged tables in ``salvaged``, the readable rows are copied. Raise
    apsw.Error for damage elsewhere.
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
                if table not in salvaged:
                    _copy_rows(copy, str(table))
            if copy.execute(REDACTED, (began,)).get:
                copy.execute(ERASE)
        for table in salvaged:  # outside of the transaction: damage ends all writes of one
            for order in ("", " ORDER BY " + str(copy.execute(KEY_DESCENDING, (table,)).get)):
                with suppress(apsw.CorruptError):  # rows before and behind a damaged page are found from both ends
                    _copy_rows(copy, table, order)
    yield BackupProgress(position=position, head=max(position, began))


def _copy_rows(copy: apsw.Connection, table: str, order: str = "") -> None:
    """Copy the rows of a small table that the draft lacks."""
    columns = copy.execute("SELECT count(*) FROM pragma_table_info(?)", (table,)).get
    insert = f"INSERT OR IGNORE INTO main.{table} VALUES ({', '.join('?' * columns)})"
    copy.executemany(insert, copy.execute(f"SELECT * FROM origin.{table}{order}"))


def replace_guards(draft: Path, changes: Sequence[tuple[Guard, Position]]) -> None:
    """Replace the guards of a draft with those that result from all changes of a log."""
    with closing(apsw.Connection(str(draft))) as copy, copy:
        copy.execute("DELETE FROM guard")
        copy.executemany("INSERT INTO guard (kind, key, value, position) VALUES (?, ?, ?, ?)", guard_rows(changes)[1])


def repair(
    place: Path, salvaged: frozenset[str] = frozenset(), complete: Callable[[Path], object] | None = None
) -> None:
    """Rebuild a log file from the rows of its tables, in one transaction, beside processes that use it.

    ``REINDEX`` cannot do this, because it reads the damaged index to free its pages. So the rows are copied to a draft,
    which ``complete`` may change, and its pages then replace the pages of the log. An interruption leaves the
    log as it was. Raise apsw.Error if a row of the log cannot be read.
    """
    draft = place.with_name(place.name + ".part")
    with closing(ProcessLock(place.with_name("log.lock"))) as lock:
        lock.acquire()
        try:
            for _ in write_draft(place, draft, salvaged):
                pass
            if complete is not None:
                complete(draft)
            with closing(open_writer(place, "FULL")) as log, closing(apsw.Connection(str(draft))) as copy:
                with log.backup("main", copy, "main") as pages:
                    while not pages.done:
                        pages.step()
                with suppress(apsw.BusyError):  # a reader; the next writer does it
                    log.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        finally:
            draft.unlink(missing_ok=True)
