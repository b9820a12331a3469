"""The clock of keys: processes on several machines, whose dates are wrong and which start, idle and stop at will."""

from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_core.clock import FixedClock
from athena_core.log.key_clock import KEPT_MS, LOOK_SECONDS, SLACK_MS, KeyClock
from tests.support.machine import DAY, HOUR, MINUTE, YEAR

LOOK_MS = int(LOOK_SECONDS * 1_000)
BINDS_MS = DAY + KEPT_MS


class MachineClock(FixedClock):
    """The clocks of a process: a date that may be wrong, and the boot clock of its machine."""

    def __init__(self, world: "World", machine: int, wrong: int) -> None:
        super().__init__()
        self._world, self._wrong = world, wrong
        self.boot_id = f"machine {machine}"
        self._started = machine * HOUR

    def now(self) -> int:
        return self.time + self._world.time + self._wrong

    def elapsed(self) -> float:
        return (self._started + self._world.time) / 1_000


@dataclass
class World:
    """A log in files, or in a database (``shared``) whose processes read its stamp, and the real time."""

    shared: bool = True
    time: int = 0
    stamp: str | None = None
    keys: list[tuple[int, int]] = field(default_factory=list)
    """When each key was bound: in real time, and by the clock of keys."""
    processes: dict[int, KeyClock] = field(default_factory=dict)
    asleep: set[int] = field(default_factory=set)

    def start(self, number: int, machine: int, wrong: int = 0) -> None:
        self.asleep.discard(number)
        self.processes[number] = KeyClock(MachineClock(self, machine, wrong))

    def look(self) -> None:
        if self.stamp is not None and self.shared:
            for number, process in self.processes.items():
                if number not in self.asleep:
                    process.look(self.stamp)

    def go(self, milliseconds: int) -> None:
        """Let time pass. Each running process looks once a minute."""
        self.look()
        self.time += max(milliseconds - LOOK_MS, 0)
        self.look()
        self.time += min(milliseconds, LOOK_MS)

    def commit(self, number: int, *, binds: bool = True) -> int:
        """Commit in a process. Return the time of the keys at that commit."""
        time = self.processes[number].look(self.stamp)
        if binds:
            self.keys.append((self.time, time))
        self.stamp = self.processes[number].stamp(self.stamp, time, binds=binds) or self.stamp
        return time

    def check(self, time: int) -> None:
        """Fail if a binding key would not be found."""
        times = [bound_at for _, bound_at in self.keys]
        assert all(one >= newest - KEPT_MS for one, newest in zip(times, accumulate(times, max), strict=True))
        for really, bound_at in self.keys:
            if self.time - really <= DAY:
                assert time - bound_at <= BINDS_MS, (self.time - really, time - bound_at)


Deed = tuple[Literal["start", "commit", "write", "stop"], int, int, int]
spans = st.sampled_from((0, 1_000, 9 * MINUTE, 11 * MINUTE, HOUR, 23 * HOUR, 80 * HOUR))
dates = st.sampled_from((0, HOUR, -HOUR, DAY, -DAY, YEAR, -YEAR))
deeds = st.tuples(
    st.sampled_from(("start", "commit", "commit", "commit", "write", "stop")), st.integers(0, 3), dates, spans
)


@settings(max_examples=150, deadline=None)
@given(st.lists(deeds, max_size=40))
def test_a_key_of_the_last_day_binds_whatever_date_any_server_believes(story: list[Deed]) -> None:
    world = World()
    for deed, number, wrong, span in story:
        if deed == "start" or number not in world.processes:
            world.start(number, machine=number % 3, wrong=wrong)
        if deed == "stop":
            world.asleep.symmetric_difference_update({number})
        elif number not in world.asleep:
            world.check(world.commit(number, binds=deed != "write"))
        world.go(span)


def test_a_process_that_was_stopped_for_days_takes_no_key_of_others_for_old() -> None:
    world = World()
    for number in range(2):
        world.start(number, machine=number)
    world.commit(0)
    world.go(MINUTE)
    world.asleep.add(0)
    world.go(80 * HOUR)
    world.start(2, machine=2)
    world.commit(2)
    world.check(world.commit(0))


def test_keys_expire_while_servers_on_several_machines_take_turns() -> None:
    for every in (1_000, HOUR, 20 * HOUR):
        world = World()
        for number in range(3):
            world.start(number, machine=number, wrong=number * YEAR)
        begun = world.commit(0)
        count = 50 * HOUR // every if every > 1_000 else 1_000
        for turn in range(count):
            world.go(every)
            time = world.commit(turn % 3)
        assert time - begun > world.time * 0.9 - LOOK_MS, every


def test_a_server_that_binds_no_keys_lets_keys_of_others_expire() -> None:
    world = World()
    world.start(0, machine=0)
    world.start(9, machine=9)
    world.go(MINUTE)
    begun = world.commit(0)
    for number in range(1, 9):  # a command each time, on a machine of its own
        for _ in range(12):
            world.go(HOUR // 2)
            world.commit(9, binds=False)
        world.start(number, machine=number)
        time = world.commit(number)
    assert time - begun > BINDS_MS


def test_a_process_reads_the_time_of_its_machine_also_after_a_pause_of_all() -> None:
    world = World()
    world.start(0, machine=0)
    begun = world.commit(0)
    world.processes.clear()
    world.go(30 * HOUR)
    world.start(1, machine=0, wrong=-YEAR)
    assert world.commit(1) - begun == 30 * HOUR


@pytest.mark.parametrize("shared", [True, False])
def test_a_log_that_changes_its_machine_keeps_its_keys_whatever_date_the_last_one_believed(shared: bool) -> None:
    """The log was moved, restored or copied, or its machine was restarted."""
    world = World(shared=shared)
    world.start(0, machine=0, wrong=-YEAR)
    begun = world.commit(0)
    world.processes.clear()
    world.go(MINUTE)
    world.start(1, machine=1)
    assert 0 <= world.commit(1) - begun <= MINUTE
    world.go(BINDS_MS)
    assert world.commit(1) - begun >= BINDS_MS, "it expires by what the new machine measures"


def test_a_log_of_an_older_release_is_at_its_date_or_its_newest_key() -> None:
    clock = FixedClock()
    assert KeyClock(clock).look(None, 5) == clock.now()
    assert KeyClock(clock).look(None, clock.now() + YEAR) == clock.now() + YEAR
    assert KeyClock(clock).look("damaged") == clock.now()


def test_a_stamp_is_stored_only_when_others_need_it() -> None:
    world = World()
    world.start(0, machine=0)
    assert world.processes[0].stamp(None, 1, binds=False) is None
    world.commit(0)
    first = world.stamp
    world.go(SLACK_MS - 1)
    world.commit(0)
    assert world.stamp == first
    world.go(1)
    world.commit(0, binds=False)
    assert world.stamp != first
