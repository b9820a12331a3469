"""Executors: living, killed, stopped and gone ones, and their files."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from athena_core.clock import FixedClock
from athena_core.log.sqlite.locks import FileExecutorRegistry
from athena_core.services.execution.liveness import (
    FROZEN_SECONDS,
    HEARTBEATS,
    SWEEP_SECONDS,
    UNSERVED_SECONDS,
    Executors,
    ProcessInfo,
)
from athena_core.services.runs.agent_room import AgentRoom
from athena_core.system.problems import LOOPS, MESSAGE_CHARS_MAX, Problem

ABOUT = ProcessInfo(kind="worker", host="vm", pid=7, providers=("mock",), concurrency=2, since=0)
BLOCK_BYTES = 4_096
SWEEP_MS = round(SWEEP_SECONDS * 1000)
SWEEPS_UNTIL_FROZEN = round(FROZEN_SECONDS / SWEEP_SECONDS)


class Other:
    """Another process attached to the state directory."""

    def __init__(self, directory: Path, name: str, clock: FixedClock) -> None:
        self.registry = FileExecutorRegistry(directory, name, b"")
        self.executors = Executors(self.registry, clock)
        self.name = name
        self._gone = False

    def die(self) -> None:
        """End as a killed process does: the lock is free, the file stays."""
        self._gone = True
        os.close(self.registry._file)
        self.registry._lock.close()

    def leave(self) -> None:
        if not self._gone:
            self._gone = True
            self.executors.close()


Join = Callable[[str], Other]


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def join(tmp_path: Path, clock: FixedClock) -> Iterator[Join]:
    joined: list[Other] = []

    def become(name: str) -> Other:
        joined.append(Other(tmp_path, f"exe_{name}", clock))
        return joined[-1]

    yield become
    for other in joined:
        other.leave()


@pytest.fixture
def ours(join: Join) -> Executors:
    return join("ours").executors


def files(directory: Path) -> set[str]:
    return {path.stem for path in (directory / "executors").iterdir()}


def test_a_process_with_its_lock_is_alive_and_none_reports_itself_lost(ours: Executors, join: Join) -> None:
    other = join("other")
    assert ours.loss(other.name) is None
    assert ours.loss(ours.executor) is None


def test_a_process_that_was_killed_is_dead_at_once(ours: Executors, join: Join) -> None:
    other = join("other")
    other.die()
    assert ours.loss(other.name) == "dead"


def test_a_process_that_ended_in_order_has_left(ours: Executors, join: Join) -> None:
    other = join("other")
    other.leave()
    assert ours.loss(other.name) == "left"
    assert ours.loss("exe_never") == "left"


def test_a_look_at_another_executor_leaves_its_lock_free(
    ours: Executors, join: Join, tmp_path: Path, clock: FixedClock
) -> None:
    other = join("other")
    other.die()
    ours.loss(other.name)
    again = Executors(FileExecutorRegistry(tmp_path, other.name, b""), clock)
    assert ours.loss(other.name) is None
    again.close()


def test_a_process_that_counts_no_more_is_frozen_after_the_time_and_not_before(
    ours: Executors, join: Join, clock: FixedClock
) -> None:
    other = join("other")
    assert ours.loss(other.name) is None
    for _ in range(SWEEPS_UNTIL_FROZEN - 1):
        clock.advance(SWEEP_MS)
        assert ours.loss(other.name) is None
    clock.advance(SWEEP_MS)
    assert ours.loss(other.name) == "frozen"


def test_a_process_that_counts_is_never_frozen(ours: Executors, join: Join, clock: FixedClock, tmp_path: Path) -> None:
    other = join("other")
    counters = set()
    for _ in range(4 * SWEEPS_UNTIL_FROZEN):
        clock.advance(SWEEP_MS)
        other.executors.beat(ABOUT)
        counters.add((tmp_path / "executors" / f"{other.name}.lock").read_bytes())
        assert ours.loss(other.name) is None
    assert 4 * HEARTBEATS <= len(counters) <= 4 * HEARTBEATS + 1, "a write is not needed every time"


def test_a_failing_loop_is_shown_with_its_process_until_it_works(
    ours: Executors, join: Join, clock: FixedClock
) -> None:
    other = join("other")
    failing = Problem(loop="runner.claim", since=1, message="OSError at log.py:7: No space left", count=3)
    for problems in ((failing, replace(failing, loop="log.anchor")), (), (failing,)):
        clock.advance(round(FROZEN_SECONDS * 1000 / HEARTBEATS))
        other.executors.beat(replace(ABOUT, problems=problems))
        (shown,) = [one for one in ours.processes() if one.executor == other.name]
        assert shown.about.problems == problems


def test_many_long_problems_are_cut_to_one_block_that_a_full_disk_cannot_tear(
    ours: Executors, join: Join, clock: FixedClock, tmp_path: Path
) -> None:
    other = join("other")
    path = tmp_path / "executors" / f"{other.name}.lock"
    size, blocks = path.stat().st_size, path.stat().st_blocks
    assert size == BLOCK_BYTES
    long = tuple(Problem(loop=loop, since=1, message='"é' * (MESSAGE_CHARS_MAX // 2), count=9) for loop in LOOPS)
    clock.advance(round(FROZEN_SECONDS * 1000 / HEARTBEATS))
    other.executors.beat(replace(ABOUT, problems=long))
    assert (path.stat().st_size, path.stat().st_blocks) == (size, blocks), "it takes no space that may be gone"
    (shown,) = [one for one in ours.processes() if one.executor == other.name]
    assert [problem.loop for problem in shown.about.problems] == list(LOOPS)


def test_a_heartbeat_of_which_a_part_was_written_is_an_error(
    join: Join, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = join("other")
    clock.advance(round(FROZEN_SECONDS * 1000 / HEARTBEATS))
    monkeypatch.setattr(os, "pwrite", lambda file, data, offset: len(data) - 1)
    with pytest.raises(OSError, match="No space left"):
        other.executors.beat(ABOUT)


def test_a_frozen_process_that_goes_on_is_alive_again(ours: Executors, join: Join, clock: FixedClock) -> None:
    other = join("other")
    for _ in range(SWEEPS_UNTIL_FROZEN + 1):
        verdict = ours.loss(other.name)
        clock.advance(SWEEP_MS)
    assert verdict == "frozen"
    other.executors.beat(ABOUT)
    assert ours.loss(other.name) is None


def test_a_process_that_was_stopped_itself_freezes_no_other(ours: Executors, join: Join, clock: FixedClock) -> None:
    other = join("other")
    for _ in range(SWEEPS_UNTIL_FROZEN // 2 - 1):  # each long sleep counts for as much as two looks
        assert ours.loss(other.name) is None
        clock.advance(round(10 * FROZEN_SECONDS * 1000))
    assert ours.loss(other.name) is None


def test_the_files_of_dead_processes_are_removed_once_their_runs_are_taken(
    ours: Executors, join: Join, tmp_path: Path
) -> None:
    alive, dead, owing = join("alive"), join("dead"), join("owing")
    dead.die()
    owing.die()
    ours.tidy({owing.name})
    assert files(tmp_path) == {ours.executor, alive.name, owing.name}
    assert ours.loss(owing.name) == "dead"
    ours.tidy(set())
    assert files(tmp_path) == {ours.executor, alive.name}


def test_nothing_else_in_the_directory_is_touched(ours: Executors, tmp_path: Path) -> None:
    (tmp_path / "executors" / "notes.lock").write_text("mine")
    ours.tidy(set())
    assert files(tmp_path) == {ours.executor, "notes"}


def test_a_counter_is_forgotten_with_the_last_run(ours: Executors, join: Join, clock: FixedClock) -> None:
    other = join("other")
    for _ in range(SWEEPS_UNTIL_FROZEN + 1):
        verdict = ours.loss(other.name)
        clock.advance(SWEEP_MS)
    assert verdict == "frozen"
    ours.tidy(set())
    assert ours.loss(other.name) is None, "it is watched anew"


def test_a_process_is_alone_until_another_one_comes(ours: Executors, join: Join) -> None:
    assert ours.alone()
    other = join("other")
    assert not ours.alone()
    other.leave()
    assert ours.alone()


# Outside agents


def test_an_agent_that_no_executor_has_for_minutes_is_given_up(ours: Executors, join: Join, clock: FixedClock) -> None:
    other = join("other")

    def look(agents: tuple[str, ...] | None, *wanted: str | None) -> frozenset[str]:
        for executors in (ours, other.executors):
            clock.advance(round(FROZEN_SECONDS * 1000))
            executors.beat(replace(ABOUT, agents=agents if executors is ours else ()))
        ours.processes()
        ours.look_for_agents(wanted)
        return ours.given_up

    def wait() -> None:
        clock.advance(round(UNSERVED_SECONDS * 1000))

    assert not look(("codex",), "codex", "gemini", None)
    wait()
    assert look(("codex",), "codex", "gemini", None) == {"gemini"}
    assert not look(("codex", "gemini"), "gemini"), "it was registered meanwhile"
    assert not look(("codex",), "gemini"), "the time begins anew"
    wait()
    assert not look(("codex",)), "no run wants it any more"
    look((), "gemini")
    wait()
    assert not look(None, "gemini"), "an executor of an older release may have it"


def test_the_longest_description_has_agents_and_problems(tmp_path: Path) -> None:
    room = AgentRoom(frozenset(f"agent-{number:025}" for number in range(50)))
    assert room.shown is not None
    registry = FileExecutorRegistry(tmp_path, "exe_1", b"")
    executors = Executors(registry, clock := FixedClock())
    clock.advance(round(FROZEN_SECONDS * 1000))
    problems = tuple(Problem(loop=loop, since=0, message="x" * MESSAGE_CHARS_MAX, count=1) for loop in LOOPS)
    executors.beat(replace(ABOUT, agents=room.shown, problems=problems))
    (process,) = executors.processes()
    assert process.about.agents == room.shown
    executors.close()
