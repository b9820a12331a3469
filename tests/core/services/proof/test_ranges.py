"""The chain in ranges: several processes find the same as one pass; one without an answer is an error."""

import os
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from athena_core.clock import CountingIds, FixedClock
from athena_core.errors import InternalError
from athena_core.log import chain
from athena_core.log.engine import open_archive, open_store
from athena_core.log.sqlite.reader import SqliteReader
from athena_core.protocols import Row
from athena_core.services.proof import verify as verifying
from athena_core.services.proof.ranges import (
    EVENTS_MIN,
    FLAWS_MAX,
    ChainRange,
    HelperProcesses,
    RangeProofs,
    free_cores,
    prove_range,
    split_log,
)
from athena_core.services.proof.rule import Violation
from athena_core.services.proof.verify import VerifyReport
from athena_core.system.supervisor import children
from tests.scale import some_quick
from tests.support.forged_log import CODEC, FILLER, Forge, abridged, run_to_the_end, whole_lives

EDITS = {
    "nothing": "SELECT 1",
    "an actor": "UPDATE log SET actor = 'root' WHERE position = {0}",
    "a payload": "UPDATE log SET data = x'7b7d20' WHERE position = {0}",
    "a text": "UPDATE log SET text = x'7b7d' WHERE position = {0}",
    "a text hash": "UPDATE log SET text_hash = x'00' WHERE position = {0}",
    "a chain value": "UPDATE log SET chain = zeroblob(32) WHERE position = {0}",
    "a row that is gone": "DELETE FROM log WHERE position = {0}",
    "rows that are gone": "DELETE FROM log WHERE position BETWEEN {0} AND {1}",
    "all that follow": "DELETE FROM log WHERE position > {0}",
    "swapped rows": "UPDATE log SET position = -position WHERE position IN ({0}, {1});"
    " UPDATE log SET position = CASE -position WHEN {0} THEN {1} ELSE {0} END WHERE position < 0",
}


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Forge]:
    made = Forge(tmp_path)
    whole_lives(made)
    yield made
    made.store.close()


def in_ranges(log: SqliteReader, parts: int) -> list[Violation]:
    """Return the findings of several processes, one after another."""
    head = log.head()
    return [flaw for part in split_log(log, head, parts) for flaw in prove_range(log, part).flaws]


def in_one(log: SqliteReader) -> list[Violation]:
    """Return the findings of a single pass."""
    return list(prove_range(log, ChainRange(0, log.head(), chain.GENESIS.hex())).flaws)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(st.tuples(st.sampled_from(sorted(EDITS)), st.integers(1, 60), st.integers(1, 60)), max_size=3),
    parts=st.integers(1, 12),
)
def test_ranges_find_what_one_pass_finds(forge: Forge, edits: list[tuple[str, int, int]], parts: int) -> None:
    forge.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    copy = forge.directory / "copy.db"
    shutil.copy(forge.store.path, copy)
    with closing(apsw.Connection(str(copy))) as connection:
        for name, first, second in edits:
            connection.execute(EDITS[name].format(min(first, second), max(first, second)))
    log = SqliteReader(copy, forge.store.log_id)
    assert in_ranges(log, parts) == in_one(log)
    log.close()


def reported(forge: Forge, processes: int | None) -> VerifyReport:
    """Return the report of a pass with this number of helpers."""
    helpers = None if processes is None else HelperProcesses(forge.store.path, processes=processes, events_min=1)
    reader = SqliteReader(forge.store.path, forge.store.log_id)
    try:
        *_, last = verifying.verify(reader, CODEC, FixedClock(), meta=forge.meta, keys=forge.keys, helpers=helpers)
        assert last.report is not None
        return abridged(last.report)
    finally:
        reader.close()


@pytest.mark.parametrize("edit", some_quick(["a payload", "nothing", "rows that are gone", "a chain value"], 1))
def test_processes_report_what_the_pass_does(edit: str, forge: Forge) -> None:
    middle = forge.position // 2
    forge.execute(EDITS[edit].format(middle, middle + 1))
    alone, helped = reported(forge, None), reported(forge, 2)
    assert helped.ok == alone.ok == (edit == "nothing")
    assert helped.violation_count == alone.violation_count
    assert sorted(map(str, helped.violations)) == sorted(map(str, alone.violations))
    assert (helped.head, helped.chain) == (alone.head, alone.chain)


@pytest.mark.heavy
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_processes_prove_a_log_of_either_store(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url: str | None = request.getfixturevalue("database") if engine == "postgres" else None
    store = open_store(tmp_path, url, CountingIds())
    with store.exclusive():
        previous, rows = chain.GENESIS, []
        for position in range(1, 40):
            who = ("cmd_1", "trace", None, "ada", None, None)
            row = Row(position, "dream_1", position, "dream.dreamt", 1, 1, *who, b"{}", None, b"", None, b"", None)
            data_hash = chain.digest(b"{}" if position != 30 else b"[]")
            row = row._replace(data_hash=data_hash)
            previous = chain.link(previous, row[: chain.LEAF_COLUMNS])
            rows.append(row._replace(chain=previous))
        store.insert(rows)
    store.close()
    archive = open_archive(tmp_path, url)
    reader = archive.reader()
    helpers = HelperProcesses(tmp_path / "log.db", url, processes=2, events_min=1)
    *_, last = verifying.verify(reader, CODEC, FixedClock(), meta=archive.meta, helpers=helpers)
    reader.close()
    archive.close()
    assert last.report is not None
    assert [(one.rule, one.position) for one in last.report.violations] == [("chain", 30)]


def started(forge: Forge, processes: int = 2) -> RangeProofs:
    reader = SqliteReader(forge.store.path, forge.store.log_id)
    ranges = HelperProcesses(forge.store.path, processes=processes, events_min=1).start(reader, reader.head())
    reader.close()
    assert ranges is not None
    return ranges


KILLED = [sys.executable, "-I", "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]


def test_a_process_that_is_killed_is_an_error_and_no_pass(forge: Forge) -> None:
    ranges = started(forge)
    helper = ranges.processes.pop()
    helper.communicate()
    ranges.processes.append(subprocess.Popen(KILLED, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
    with pytest.raises(InternalError, match=r"positions \d+ to \d+ failed: ended with exit code -9"):
        list(ranges.proven())
    ranges.close()


def test_a_process_that_cannot_read_the_log_is_an_error(forge: Forge, tmp_path: Path) -> None:
    ranges = RangeProofs(HelperProcesses(tmp_path / "nowhere.db"), [ChainRange(0, 7, chain.GENESIS.hex())])
    with pytest.raises(InternalError, match="positions 1 to 7 failed: CantOpenError"):
        list(ranges.proven())
    ranges.close()


@pytest.mark.heavy
def test_no_process_is_left_where_the_pass_ends_early(forge: Forge) -> None:
    reader = SqliteReader(forge.store.path, forge.store.log_id)
    helpers = HelperProcesses(forge.store.path, processes=1, events_min=1)
    steps = verifying.verify(reader, CODEC, FixedClock(), meta=forge.meta, helpers=helpers)
    assert isinstance(steps, Generator)
    next(steps)
    before = set(children())
    steps.close()
    reader.close()
    assert before - set(children()), "it had a helper, and has none"


def test_rows_committed_meanwhile_are_left_for_the_next_time(forge: Forge) -> None:
    reader = SqliteReader(forge.store.path, forge.store.log_id)
    helpers = HelperProcesses(forge.store.path, processes=1, events_min=1)
    steps = verifying.verify(reader, CODEC, FixedClock(), meta=forge.meta, helpers=helpers)
    first = next(steps)
    forge.add("plane", *[FILLER] * 50)
    *_, last = steps
    reader.close()
    assert last.report is not None
    assert (abridged(last.report).ok, last.report.head, forge.position) == (True, first.head, first.head + 50)


def test_a_password_is_in_no_argument(tmp_path: Path) -> None:
    helpers = HelperProcesses(tmp_path / "log.db", "postgresql://ada:sesame@127.0.0.1:9/athena")
    ranges = RangeProofs(helpers, [ChainRange(0, 7, chain.GENESIS.hex())])
    ranges.close()
    assert "sesame" not in repr(ranges.processes[0].args)


@pytest.mark.heavy
def test_a_row_that_changed_between_two_ranges_is_noticed(forge: Forge) -> None:
    reader = SqliteReader(forge.store.path, forge.store.log_id)
    first, second = split_log(reader, reader.head(), 2)
    reader.close()
    ranges = RangeProofs(HelperProcesses(forge.store.path), [first, second._replace(chain="00" * 32)])
    _, found = ranges.proven()
    ranges.close()
    assert [(flaw.rule, flaw.position) for flaw in found.flaws[:2]] == [
        ("chain", second.after),
        ("chain", second.after + 1),
    ]


@pytest.mark.heavy
def test_flaws_are_counted_and_the_first_are_kept(forge: Forge) -> None:
    forge.add("plane", *[FILLER] * (2 * FLAWS_MAX))
    forge.execute("UPDATE log SET data_hash = zeroblob(32)")
    report = reported(forge, 1)
    assert report.violation_count >= forge.position
    assert [one.position for one in report.violations if one.rule == "chain"][:3] == [1, 2, 3]


def test_a_short_log_and_one_core_need_no_helper(forge: Forge) -> None:
    reader = SqliteReader(forge.store.path, forge.store.log_id)
    assert HelperProcesses(forge.store.path).start(reader, EVENTS_MIN - 1) is None
    assert HelperProcesses(forge.store.path, processes=0, events_min=1).start(reader, reader.head()) is None
    assert run_to_the_end(reader, forge).ok
    reader.close()
    assert free_cores() == len(os.sched_getaffinity(0)) - 1
