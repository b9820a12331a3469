"""The living agents of an executor: their memory, and the runs that are parked for it."""

from contextlib import ExitStack

import pytest

from athena_core.clock import FixedClock
from athena_core.services.execution.outside.live_agents import HELD_SECONDS_LEAST, SETTLED_SECONDS, LiveAgents
from athena_core.services.runs.agent_room import EXPECTED_BYTES

MIB = 1 << 20


class Asks:
    """The asks of a run."""

    def __init__(self, held_since: float | None = None) -> None:
        self.held_since = held_since
        self.parked = False

    def park(self) -> None:
        self.parked = True


class Executor:
    """Living agents at a time that is set by hand. The pid of a process is the number of its run."""

    def __init__(self, bytes_max: int | None = 1_000 * MIB) -> None:
        self.clock = FixedClock()
        self.names = frozenset({"codex", "gemini"})
        self.live = LiveAgents(self.clock, lambda: self.names, bytes_max)
        self.ends = dict[int, ExitStack]()
        self.asks = dict[int, Asks]()

    def start(self, number: int, agent: str = "codex", held_for: float | None = None) -> None:
        self.asks[number] = Asks(None if held_for is None else self.clock.monotonic() - held_for)
        self.ends[number] = ExitStack()
        self.ends[number].enter_context(self.live.living(agent, f"run_{number}", "s", self.asks[number], number))

    def end(self, number: int) -> None:
        self.ends.pop(number).close()

    def settle(self) -> None:
        self.clock.advance(round(SETTLED_SECONDS * 1_000))

    def measure(self, **mib: int) -> None:
        self.live.measured({int(name[1:]): size * MIB for name, size in mib.items()})

    @property
    def parked(self) -> list[int]:
        return [number for number, asks in self.asks.items() if asks.parked]


@pytest.fixture
def at() -> Executor:
    return Executor()


def test_a_new_process_counts_as_expected_and_a_settled_one_as_measured(at: Executor) -> None:
    at.start(1)
    assert at.live.room().taken == {"run_1": EXPECTED_BYTES}
    at.measure(_1=10)
    assert at.live.room().taken == {"run_1": EXPECTED_BYTES}
    at.measure(_1=600)
    assert at.live.room().taken == {"run_1": 600 * MIB}
    at.settle()
    at.measure(_1=10)
    assert at.live.room().taken == {"run_1": 10 * MIB}
    assert at.live.memory_bytes == 10 * MIB


def test_the_next_process_is_expected_to_take_what_the_last_one_took_at_its_start(at: Executor) -> None:
    at.start(1)
    at.measure(_1=90)
    at.measure(_1=70)
    assert at.live.room().expected == {}, "it may not have started"
    at.settle()
    at.measure(_1=5_000)
    assert at.live.room().expected == {"codex": 90 * MIB}, "what its tools take later is of this run"
    at.start(2)
    at.start(3, "gemini")
    assert at.live.room().taken["run_2"] == 90 * MIB
    assert at.live.room().taken["run_3"] == EXPECTED_BYTES
    at.measure(_2=200)
    assert at.live.room().expected == {"codex": 200 * MIB}, "at once, so that no more are started than fit"
    at.measure(_2=100)
    at.end(1)
    at.end(2)
    at.start(4, held_for=0)
    at.measure(_4=60)
    at.measure(_4=50)
    at.end(4)
    assert at.live.room().expected == {"codex": 60 * MIB}
    assert list(at.live.room().taken) == ["run_3"]


def test_a_quick_process_may_raise_the_expectation_and_never_lowers_it(at: Executor) -> None:
    for number, size, held_for, expected in (
        *((1, 10, None, None), (2, 20, 0.0, 20)),
        *((3, 30, None, 30), (4, 10, None, 30), (5, 10, 0.0, 10)),
    ):
        at.start(number, held_for=held_for)
        at.measure(**{f"_{number}": size})
        at.end(number)
        assert at.live.room().expected == ({} if expected is None else {"codex": expected * MIB})


def test_the_room_is_the_same_object_until_something_changes(at: Executor) -> None:
    at.start(1)
    at.settle()
    at.measure(_1=10)
    before = at.live.room()
    at.measure(_1=10)
    assert at.live.room() is before
    at.names = frozenset({"codex"})
    assert at.live.room().names == {"codex"}


def test_a_run_that_starts_its_process_again_has_one(at: Executor) -> None:
    at.start(1)
    again = ExitStack()
    again.enter_context(at.live.living("codex", "run_1", "s", Asks(), 7))
    at.end(1)
    assert [one.pid for one in at.live] == [7]
    again.close()
    assert len(at.live) == 0


def test_loads_are_by_agent(at: Executor) -> None:
    at.start(1)
    at.start(2)
    at.start(3, "removed from the file")
    at.measure(_1=1, _2=2, _3=4)
    assert at.live.loads() == {"codex": (2, 3 * MIB), "gemini": (0, 0), "removed from the file": (1, 4 * MIB)}


# Parking


def test_above_the_limit_those_that_waited_longest_are_parked_until_it_holds(at: Executor) -> None:
    for number, held_for in enumerate((None, 3, 9, 0.5, 5), 1):
        at.start(number, held_for=held_for)
    at.measure(_1=300, _2=300, _3=300, _4=300, _5=300)
    assert at.live.make_room(wanted=False) == ["run_3", "run_5"]
    assert at.parked == [3, 5]


def test_above_the_limit_also_those_that_just_began_to_wait_are_parked(at: Executor) -> None:
    at.start(1, held_for=0)
    at.start(2)
    at.measure(_1=500, _2=600)
    assert at.live.make_room(wanted=False) == ["run_1"]


def test_below_the_limit_one_is_parked_if_others_wait_for_memory(at: Executor) -> None:
    for number in (1, 2):
        at.start(number, held_for=HELD_SECONDS_LEAST + number)
    at.measure(_1=300, _2=300)
    assert at.live.make_room(wanted=False) == []
    assert at.live.make_room(wanted=True) == ["run_2"]


def test_a_person_has_a_moment_to_answer_before_a_run_is_parked_for_others(at: Executor) -> None:
    at.start(1, held_for=HELD_SECONDS_LEAST / 2)
    assert at.live.make_room(wanted=True) == []


def test_without_a_limit_none_is_parked() -> None:
    free = Executor(None)
    free.start(1, held_for=9)
    free.measure(_1=90_000)
    assert free.live.make_room(wanted=True) == []
