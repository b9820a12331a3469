"""Tests of several processes that write one log."""

from contextlib import ExitStack
from itertools import groupby
from pathlib import Path

import pytest

from tests.core.store.others import other
from tests.core.store.pots import new_log, rows

EVENTS = 500


def test_two_processes_take_turns_and_see_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new_log(tmp_path).close()  # so that neither has to create it
    with ExitStack() as stack:
        names = ("pot_a", "pot_b")
        processes = [
            stack.enter_context(other("append", tmp_path, mine, theirs, EVENTS))
            for mine, theirs in (names, names[::-1])
        ]
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        seen = [int(process.stdout.read()) for process in processes if process.stdout is not None]
    streams = [row.stream for row in rows(tmp_path)]  # dense, in order and in one chain, or this raises
    assert [streams.count(name) for name in names] == [EVENTS, EVENTS]
    both = streams[: min(len(streams) - 1 - streams[::-1].index(name) for name in names)]
    turns = [len(list(run)) for _, run in groupby(both[both.index("pot_b" if both[0] == "pot_a" else "pot_a") :])]
    with capsys.disabled():
        print(f"\n{len(turns)} turns; the longest {max(turns)} commits; each saw the other change {seen} times")
    assert len(turns) > EVENTS / 5
    assert max(turns) < EVENTS / 5
    assert min(seen) > EVENTS / 10


def test_what_one_process_holds_another_waits_for(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    with other("hold", tmp_path):
        assert not log.store._lock.try_acquire()
    assert log.store._lock.try_acquire()
    log.store._lock.release()
    log.close()
