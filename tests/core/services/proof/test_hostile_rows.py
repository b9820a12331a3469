"""Rows that no release of Athena wrote: the verification names each and continues after it."""

from pathlib import Path
from typing import Any

import apsw
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from athena_core.clock import CountingIds, FixedClock
from athena_core.event import Position
from athena_core.log.chain import GENESIS, LEAF_COLUMNS, digest, link
from athena_core.log.engine import open_archive, open_store
from athena_core.log.port import READ_BYTES_MAX, ROW_BYTES_MAX
from athena_core.log.sqlite.reader import READ_ROWS, SqliteReader
from athena_core.protocols import Row, row_of
from athena_core.services.proof import verify as verifying
from athena_core.services.proof.pages import UNREADABLE_MAX
from tests.scale import some_quick
from tests.support.forged_log import CODEC, FILLER, Forge, Plain, run_to_the_end, whole_lives

DEEP = b"[" * 5_000_000
ROWS = {
    "deep payload": Plain("directive.created", 1, DEEP),
    "deep payload of the future": Plain("dream.dreamt", 1, DEEP),
    "deep member": Plain("dream.dreamt", 1, b'{"a":' + b'{"a":' * 100_000),
    "deep payload of an old shape": Plain("run.failed", 1, DEEP),
    "deep text": Plain("directive.created", 1, b'{"directiveId":"d"}', None, DEEP),
    "deep extra": Plain("directive.created", 1, b"{}", DEEP),
    "deep decision time": Plain("dream.dreamt", 1, b"{}", b'{"a":' + DEEP + b',"decidedAt":1}'),
    "payload that is no object": Plain("dream.dreamt", 1, b"[]"),
    "payload that is no JSON": Plain("dream.dreamt", 1, b'{"a":'),
    "payload that is not UTF-8": Plain("dream.dreamt", 1, b'{"a":"\xff"}'),
    "extra that is no object": Plain("dream.dreamt", 1, b"{}", b"[1]"),
    "extra that is no object beside a known type": Plain("AUTHZ_MODE_ACTIVE", 1, b'{"mode":"off"}', b"[1]"),
    "decision time that is none": Plain("dream.dreamt", 1, b"{}", b'{"decidedAt":"now"}'),
    "a newer shape": Plain("AUTHZ_MODE_ACTIVE", 9, b'{"mode":"off"}'),
}


@pytest.mark.parametrize("case", some_quick(ROWS, 3))
def test_a_row_that_cannot_be_decoded_is_named_and_the_next_ones_are_looked_at(case: str, forge: Forge) -> None:
    forge.add("plane", FILLER)
    forge.add("thing_1", ROWS[case])
    forge.add("plane", FILLER)
    forge.add("plane", FILLER, skip=1)
    report = forge.report()
    assert report.head == 4
    assert [(one.rule, one.position) for one in report.violations] == [("decodable", 2), ("versions", 4)]
    assert all(len(one.reason) < 1_000 for one in report.violations)


@pytest.mark.heavy
def test_rows_in_a_database_are_named_too(tmp_path: Path, database: str) -> None:
    store = open_store(tmp_path, database, CountingIds())
    rows: list[Row] = []
    for position, found in enumerate(ROWS.values(), start=1):
        hashes = (digest(found.data), None if found.text is None else digest(found.text))
        row = row_of(
            (position, f"thing_{position}", 1, found.type, found.schema_version, 1_000, f"cmd_{position}", "trace")
            + (None, "ada", None, None, found.data, found.extra, *hashes, b"", found.text)
        )
        previous = rows[-1].chain if rows else GENESIS
        rows.append(row._replace(chain=link(previous, row[:LEAF_COLUMNS])))
    with store.exclusive():
        store.insert(rows)
    store.close()
    archive = open_archive(tmp_path, database)
    reader = archive.reader()
    *_, last = verifying.verify(reader, CODEC, FixedClock(), meta=archive.meta, keys=reader.keys())
    reader.close()
    archive.close()
    assert last.report is not None
    named = {one.position for one in last.report.violations if one.rule == "decodable"}
    assert named == set(range(1, len(ROWS) + 1))


@pytest.mark.heavy
def test_rows_of_an_absurd_size_in_a_database_are_named(tmp_path: Path, database: str) -> None:
    store = open_store(tmp_path, database, CountingIds())
    rows: list[Row] = []
    for position in range(1, 100):
        cells = (position, "dream_1", position, "dream.dreamt", 1, 1_000, "cmd_1", "trace", None, "ada", None, None)
        row = row_of((*cells, b"{}", None, digest(b"{}"), None, b"", None))
        previous = rows[-1].chain if rows else GENESIS
        rows.append(row._replace(chain=link(previous, row[:LEAF_COLUMNS])))
    with store.exclusive():
        store.insert(rows)
    store.close()
    with psycopg.connect(database, autocommit=True) as session:
        for position, column in enumerate(("data", "text"), start=3):
            change = f"UPDATE athena.log SET {column} = repeat('x', {ROW_BYTES_MAX + 1})::bytea"
            session.execute(f"{change} WHERE position = {position}".encode())
        session.execute("UPDATE athena.log SET text = repeat('x', 1000000)::bytea WHERE position > 10")
    archive = open_archive(tmp_path, database)
    reader = archive.reader()
    page = reader.rows(10, 1_000)
    *_, last = verifying.verify(reader, CODEC, FixedClock(), meta=archive.meta)
    reader.close()
    archive.close()
    assert len(page) == READ_BYTES_MAX // 1_000_002
    assert last.report is not None
    assert [one.position for one in last.report.violations if one.rule == "chain"][:3] == [3, 4, 11]
    assert last.report.head == 99


class TooLarge(SqliteReader):
    """A database in which one row is larger than any that may be read."""

    large: frozenset[Position] = frozenset({3})

    def rows(self, after: Position, limit: int, until: Position | None = None) -> list[Row]:
        found = super().rows(after, limit, until)
        if self.large.intersection(row.position for row in found):
            raise apsw.TooBigError("string or blob too big")
        return found


def test_a_row_of_an_absurd_size_is_named_and_the_next_ones_are_looked_at(forge: Forge) -> None:
    forge.add("plane", *[FILLER] * 5)
    forge.add("plane", FILLER, skip=1)
    reader = TooLarge(forge.store.path, forge.store.log_id)
    report = run_to_the_end(reader, forge)
    reader.close()
    assert [(one.rule, one.position) for one in report.violations] == [
        ("readable", 3),
        ("versions", 4),
        ("versions", 6),
    ]
    assert (report.head, report.chain) == (6, forge.chain.hex())


def test_a_pass_ends_where_nothing_can_be_read(forge: Forge) -> None:
    forge.add("plane", *[FILLER] * (UNREADABLE_MAX + 5))
    reader = TooLarge(forge.store.path, forge.store.log_id)
    reader.large = frozenset(range(1, 100))
    report = run_to_the_end(reader, forge)
    reader.close()
    assert report.violations[0].rule == "readable"
    assert (report.head, report.violation_count) == (UNREADABLE_MAX, UNREADABLE_MAX)


@pytest.mark.heavy
def test_a_page_of_large_rows_ends_early_and_none_is_left_out(forge: Forge) -> None:
    forge.add("plane", *[FILLER] * 100)
    forge.execute("UPDATE log SET text = zeroblob(1000000)")
    reader = SqliteReader(forge.store.path, forge.store.log_id)
    page = reader.rows(0, 1_000)
    rest = reader.rows(page[-1].position, 1_000)
    reader.close()
    assert [row.position for row in (*page, *rest)] == list(range(1, 101))
    assert len(page) <= READ_BYTES_MAX // 1_000_000 + READ_ROWS
    assert run_to_the_end(SqliteReader(forge.store.path, forge.store.log_id), forge).head == 100


CELLS: st.SearchStrategy[Any] = (
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=8) | st.binary(max_size=8)
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(column=st.sampled_from(Row._fields[1:]), position=st.integers(1, 12), cell=CELLS)
def test_no_cell_of_any_type_or_size_ends_the_pass(forge: Forge, column: str, position: Position, cell: Any) -> None:
    if not forge.position:
        whole_lives(forge)

    class Changed(SqliteReader):
        def rows(self, after: Position, limit: int, until: Position | None = None) -> list[Row]:
            found = super().rows(after, limit, until)
            return [row._replace(**{column: cell}) if row.position == position else row for row in found]

    reader = Changed(forge.store.path, forge.store.log_id)
    report = run_to_the_end(reader, forge)
    changed = getattr(reader.row(position), column) != cell
    reader.close()
    assert report.ok != changed or column == "text"
