"""Tampering: changes to a log's files by a SQLite shell, a newer release or a bad disk."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw

from athena_core.clock import SystemClock, SystemIds
from athena_core.log import chain
from athena_core.log.anchor import read_anchor
from athena_core.log.sqlite.statements import SQL
from athena_core.log.sqlite.store import SqliteStore
from athena_core.protocols import Row
from athena_core.services.proof import verify
from tests.reliability.history import opened, rows_of
from tests.support.records import CODEC


def statement(state_dir: Path, *statements: tuple[str, Sequence[Any]]) -> None:
    with closing(apsw.Connection(str(state_dir / "log.db"))) as connection, connection:
        for text, values in statements:
            connection.execute(text, tuple(values))


def settled(state_dir: Path) -> None:
    """Move everything into the database file and leave the WAL empty."""
    with closing(apsw.Connection(str(state_dir / "log.db"))) as connection:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    assert not (state_dir / "log.db-wal").exists()


def append_rightly(state_dir: Path, kind: str, stream: str, data: bytes, schema_version: int = 1) -> int:
    """Append an event as a release that knows this type would: dense, chained, under the lock. Return its position."""
    store = SqliteStore(state_dir, SystemIds())
    try:
        with store.exclusive():
            position, recorded_at, previous = store.head()
            version = len(store.stream(stream)) + 1
            where = (position + 1, stream, version, kind, schema_version, max(recorded_at, SystemClock().now()))
            who = (SystemIds().new("cmd"), SystemIds().trace(), None, "newer release", None, None)
            columns = (*where, *who, data, None, chain.digest(data), None)
            store.insert([(*columns, chain.link(previous, columns), None)])
        return position + 1
    finally:
        store.close()


def findings(state_dir: Path) -> list[str]:
    reader = opened(state_dir / "log.db")
    try:
        with closing(apsw.Connection(str(state_dir / "log.db"))) as connection:
            meta = {name: str(connection.execute(SQL.meta, (name,)).get) for name in ("log_id", "format")}
        anchor = read_anchor(state_dir / "log.anchor")
        *_, last = verify.verify(reader, CODEC, SystemClock(), meta=meta, anchor=anchor)
        assert last.report is not None
        return [str(violation) for violation in last.report.violations]
    finally:
        reader.close()


def first_broken(state_dir: Path) -> int | None:
    """Return the first position that does not prove itself, if there is one."""
    try:
        rows_of(state_dir / "log.db")
    except chain.ChainBroken as broken:
        return broken.position
    return None


def flipped(value: object) -> object:
    """Return a value of the same type with one bit changed, or a value in place of NULL."""
    match value:
        case None:
            return "x"
        case int():
            return value ^ 1 << 10
        case str():
            return chr(ord(value[0]) ^ 1) + value[1:] if value else "x"
        case bytes():
            middle = len(value) // 2
            return value[:middle] + bytes([value[middle] ^ 1]) + value[middle + 1 :]
    raise TypeError(value)


def other_value(row: Row, column: str) -> object:
    """Return the value of a column after one bit of it was flipped."""
    if column == "causation" and row.causation is None:
        return 1
    if column in {"extra", "text", "text_hash"} and getattr(row, column) is None:
        return b"x"
    return flipped(getattr(row, column))
