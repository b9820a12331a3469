"""Tests of several processes that write one log."""

import subprocess
import threading
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path

import pytest

from athena_core.clock import SystemIds
from athena_core.log.batch import BATCH_EVENTS_MAX
from athena_core.log.sqlite.locks import ProcessLock
from athena_core.log.sqlite.store import SqliteStore
from tests.core.log.others import other
from tests.core.log.pots import new_log, rows

EVENTS = {"sqlite": 500, "postgres": 100}
TURNS_MIN, TURN_MAX = 1 / 5, 1 / 2
"""The least share of turns among all commits of SQLite, and the largest share of one process's work in one turn.

A turnstile makes processes alternate. A queue of PostgreSQL is as fair as the scheduler of the system, which no test
can assert.
"""

COMMITS = 15
FULL = {"sqlite": 3, "postgres": COMMITS // 2}
"""The most full batches in a turn: a turnstile is exact, a queue is as fair as the scheduler of the system."""

NAMES = ("pot_a", "pot_b")


def at_once(processes: "list[subprocess.Popen[str]]") -> list[str]:
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    return [process.stdout.read() for process in processes if process.stdout is not None]


def turns(streams: list[str]) -> list[int]:
    """Return the lengths of the runs of one process while both have work."""
    begin = max(streams.index(name) for name in NAMES) - 1
    end = min(len(streams) - streams[::-1].index(name) for name in NAMES)
    return [len(list(run)) for _, run in groupby(streams[begin:end])]


def test_two_processes_take_turns_and_see_each_other(
    tmp_path: Path, engine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    events = EVENTS[engine]
    new_log(tmp_path).close()  # so that neither has to create it
    with ExitStack() as stack:
        pairs = (NAMES, NAMES[::-1])
        processes = [stack.enter_context(other("append", tmp_path, *pair, events)) for pair in pairs]
        seen = [int(line) for line in at_once(processes)]
    streams = [row.stream for row in rows(tmp_path)]  # dense, in order and in one chain, or this raises
    assert [streams.count(name) for name in NAMES] == [events, events]
    runs = turns(streams)
    with capsys.disabled():
        print(f"\n{len(runs)} turns, the longest of {max(runs)} commits; they saw each other move {seen} times")
    if engine == "sqlite":
        assert len(runs) > events * TURNS_MIN
        assert max(runs) < events * TURN_MAX
        assert min(seen) > events * TURNS_MIN / 2


def test_a_process_that_never_runs_out_of_work_still_lets_the_other_in(
    tmp_path: Path, engine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    new_log(tmp_path).close()
    with ExitStack() as stack:
        at_once([stack.enter_context(other("burst", tmp_path, name, COMMITS)) for name in NAMES])
    streams = [row.stream for row in rows(tmp_path)][::BATCH_EVENTS_MAX]
    assert [streams.count(name) for name in NAMES] == [COMMITS, COMMITS]
    runs = turns(streams)
    with capsys.disabled():
        print(f"\n{len(runs)} turns of full batches, the longest of {max(runs)} commits")
    assert max(runs[1:-1], default=1) <= FULL[engine]


@pytest.mark.sqlite
def test_a_waiting_process_comes_before_the_one_that_just_had_the_lock(tmp_path: Path) -> None:
    first, second = SqliteStore(tmp_path, SystemIds()), SqliteStore(tmp_path, SystemIds())
    turnstile = ProcessLock(tmp_path / "log.turnstile")
    order: list[str] = []

    def wait() -> None:
        with second.exclusive():
            order.append("second")

    waiting = threading.Thread(target=wait)
    with first.exclusive():
        waiting.start()
        while turnstile.try_acquire():  # until the other holds it
            turnstile.release()
    with first.exclusive():
        order.append("first")
    waiting.join(timeout=30)
    assert order == ["second", "first"]


@pytest.mark.sqlite
def test_a_process_waits_for_the_lock_of_another(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, SystemIds())
    with other("hold", tmp_path):
        assert not store._lock.try_acquire()
    assert store._lock.try_acquire()
    store._lock.release()
    store.close()
