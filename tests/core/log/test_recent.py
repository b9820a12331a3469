"""Tests of recent rows: a follower gets every row once and in order, from memory where possible."""

from pathlib import Path
from random import Random

import pytest

from athena_core.log.recent import BYTES_MAX, RecentReader, RecentRows
from athena_core.log.writer import Log
from athena_core.protocols import Row
from tests.core.log.pots import commit, erase, fill, new_log


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return new_log(tmp_path)


def from_memory(log: Log, after: int, limit: int = 1_000) -> list[int]:
    """Return the positions of the rows that come from memory."""
    return [row.position for row in log.recent.after(after, limit)]


def test_rows_in_memory_equal_the_stored_ones(log: Log) -> None:
    commit(log, fill(), fill(label="said"))
    commit(log, fill())
    assert log.recent.after(0, 1_000) == log.store.rows(0, 1_000)


@pytest.mark.parametrize("seed", range(5))
def test_a_follower_has_each_row_once_from_every_writer(tmp_path: Path, seed: int) -> None:
    mine, theirs, random = new_log(tmp_path), new_log(tmp_path), Random(seed)
    reader, seen, remembered = mine.recent_reader(), list[Row](), 0
    for _ in range(60):
        writer = random.choice((mine, mine, mine, theirs))
        commit(writer, *[fill(label="said")] * random.randint(1, 4))
        if random.random() < 0.4:
            after, limit = len(seen), random.randint(1, 9)
            remembered += len(from_memory(mine, after, limit))
            page = reader.rows(after, limit)
            assert page
            seen += page
    while page := reader.rows(len(seen), 7):
        seen += page
    assert seen == mine.store.rows(0, 1_000)
    assert remembered
    reader.close()


def test_rows_taken_from_memory_leave_it(log: Log) -> None:
    for _ in range(3):
        commit(log, fill(), fill())
    assert from_memory(log, 0, 3) == [1, 2, 3]
    assert from_memory(log, 3) == [4, 5, 6]
    assert from_memory(log, 0) == []
    assert from_memory(log, 2) == [3, 4, 5, 6]  # the rest of a commit that was not taken as a whole
    assert from_memory(log, 6) == from_memory(log, 2) == []


def test_no_row_after_a_gap_follows_the_rows_before_it(tmp_path: Path) -> None:
    mine, theirs = new_log(tmp_path), new_log(tmp_path)
    commit(mine, fill())
    commit(theirs, fill())
    commit(mine, fill())
    assert from_memory(mine, 0) == []
    assert from_memory(mine, 2) == [3]


def test_after_an_erasure_texts_are_read_from_the_database(log: Log) -> None:
    commit(log, fill(label="secret"))
    commit(log, erase(1))
    assert from_memory(log, 0) == []
    reader = log.recent_reader()
    assert [row.text for row in reader.rows(0, 10)] == [None]
    reader.close()


def test_a_page_with_an_end_comes_from_memory(log: Log) -> None:
    """The views read pages that end with a block."""
    commit(log, fill(), fill(), fill())
    stored = log.store.reader()
    reader = RecentReader(stored, log.recent)
    stored.close()  # from now on it answers nothing
    assert [row.position for row in reader.rows(0, 10, 2)] == [1, 2]
    assert [row.position for row in reader.rows(2, 10, 2**62)] == [3]


def test_no_row_lies_behind_an_end_that_is_before_the_begin(log: Log) -> None:
    commit(log, fill(), fill(), fill())
    commit(log, *[fill()] * 9)
    reader = log.recent_reader()
    assert reader.rows(3, 10, 3) == reader.rows(3, 10, 1) == []
    reader.close()


def test_only_so_much_is_kept(log: Log) -> None:
    commit(log, fill(), fill(), fill())
    one, two, three = log.store.rows(0, 3)
    recent = RecentRows()
    recent.put([one], BYTES_MAX // 3)
    recent.put([two], BYTES_MAX // 3)
    assert recent.after(0, 10) == [one, two]
    recent.put([three], BYTES_MAX // 2)
    assert recent.after(0, 10) == []
    assert recent.after(1, 10) == [two, three]
    recent.clear()
    assert recent.after(1, 10) == []
