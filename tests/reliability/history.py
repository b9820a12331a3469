"""The history of a state directory for the oracle, read without the server and proved by its chain."""

from pathlib import Path

from athena_core.domain import directive, run
from athena_core.event import MARK_BYTES
from athena_core.log import chain
from athena_core.log.sqlite.connection import open_reader
from athena_core.log.sqlite.reader import SqliteReader
from athena_core.log.sqlite.statements import SQL
from athena_core.protocols import Row
from projections.engine.cursor import event_id
from tests.reliability.oracle import Entry
from tests.reliability.program import MARK
from tests.support.records import CODEC, all_rows, judge_history, stored_guards

BEGINNINGS = (directive.DirectiveCreated.TYPE, run.RunCreated.TYPE, run.RunQueued.TYPE)


def marked(mark: str) -> dict[str, str]:
    return {MARK: mark}


def opened(path: Path) -> SqliteReader:
    connection = open_reader(path)
    try:
        log_id = str(connection.execute(SQL.meta, ("log_id",)).get)
    finally:
        connection.close()
    return SqliteReader(path, log_id)


def rows_of(path: Path) -> tuple[str, list[Row]]:
    """Return the log's id and all rows of a log database. Raise chain.Broken where they do not prove themselves."""
    reader = opened(path)
    try:
        return reader.log_id, list(chain.verify(all_rows(reader)))
    finally:
        reader.close()


def entries(log_id: str, rows: list[Row]) -> list[Entry]:
    """Return rows in the form that the oracle takes."""
    return [
        Entry(row.position, event_id(log_id, row.position, row.chain[:MARK_BYTES]), row.stream, _mark(row))
        for row in rows
    ]


def history_of(state_dir: Path) -> list[Entry]:
    return entries(*rows_of(state_dir / "log.db"))


def _mark(row: Row) -> str | None:
    if row.type not in BEGINNINGS:
        return None
    event = CODEC.decode(row).event
    if isinstance(event, directive.DirectiveCreated) and event.shadow:
        return None
    if isinstance(event, run.RunCreated) and row.version > 1:
        return None  # it was queued before; the mark is there
    metadata = getattr(event, "metadata", None)
    return metadata.get(MARK) if metadata else None


def judge_log(state_dir: Path) -> list[Entry]:
    """Return the history. Fail unless it proves itself, obeys the rules and leads to the guards beside it."""
    reader = opened(state_dir / "log.db")
    try:
        rows = list(chain.verify(all_rows(reader)))
        guards = reader.guards()
        log_id = reader.log_id
    finally:
        reader.close()
    judge_history([CODEC.decode(row) for row in rows])
    assert stored_guards(rows) == guards
    return entries(log_id, rows)


def open_runs(state_dir: Path) -> list[str]:
    """Return the runs that have not ended, by the guards of the log."""
    reader = opened(state_dir / "log.db")
    try:
        return [key for kind, key, _ in reader.guards() if kind in {"slot", "waiting"}]
    finally:
        reader.close()
