"""Time and ids: times survive a round trip; ids are unique across threads and processes."""

import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_core.clock import ALPHABET, JUMP_MS, POOL_BYTES, STEP_MS, SystemClock, SystemIds, iso, milliseconds
from tests.support.machine import DAY, MINUTE, YEAR, Machine

ULID = re.compile(r"run_[0-7][0-9A-HJKMNP-TV-Z]{25}")
FORKED = """
import os
from athena_core.clock import SystemIds
ids = SystemIds()
ids.trace()
child = os.fork()
if child:
    os.waitpid(child, 0)
print(ids.trace())
"""


@given(st.integers(0, 253_402_300_799_999))
def test_a_time_is_read_back_as_it_was_written(instant: int) -> None:
    assert milliseconds(iso(instant), absolute=True) == instant


@pytest.mark.parametrize(
    "text", ["2026-01-31T12:00:00Z", "2026-01-31t13:00+01:00", "2026-01-31 12:00", "2026-01-31T06:30:00.000-0530"]
)
def test_many_spellings_of_one_instant(text: str) -> None:
    assert iso(milliseconds(text)) == "2026-01-31T12:00:00.000Z"


@pytest.mark.parametrize(
    "text", ["", "now", "2026-02-30", "2026-01-31T25:00Z", "1767225600", "2026-W05", "２０２６-01-01"]
)
def test_an_invalid_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        milliseconds(text)


@pytest.mark.parametrize("text", ["2026-01-31", "2026-01-31T12:00"])
def test_a_wall_time_is_not_an_instant(text: str) -> None:
    assert milliseconds(text) > 0
    with pytest.raises(ValueError):
        milliseconds(text, absolute=True)


def test_an_id_has_its_prefix_and_26_digits() -> None:
    ids = SystemIds()
    assert all(ULID.fullmatch(ids.new("run")) for _ in range(500))


def test_the_time_of_an_id_is_in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: (1_767_225_600_001 * 1_000_000) + 999_999)
    digits = SystemIds().new("run")[4:14]
    number = 0
    for digit in digits:
        number = number * 32 + ALPHABET.index(digit)
    assert number == 1_767_225_600_001


def test_every_random_digit_takes_every_value() -> None:
    ids = SystemIds()
    made = [ids.new("run")[14:] for _ in range(2_000)]
    assert all({one[place] for one in made} == set(ALPHABET) for place in range(16))


def test_a_trace_id_is_a_random_uuid() -> None:
    ids = SystemIds()
    made = [UUID(ids.trace()) for _ in range(500)]
    assert {one.version for one in made} == {4}
    assert {str(one)[19] for one in made} == set("89ab")


def test_threads_never_share_random_bytes() -> None:
    ids, each = SystemIds(), 4 * POOL_BYTES
    with ThreadPoolExecutor(4) as pool:
        drawn = [salt for salts in pool.map(lambda _: [ids.salt(16) for _ in range(each)], range(4)) for salt in salts]
    assert len(set(drawn)) == 4 * each
    assert all(len(salt) == 16 for salt in drawn)


def test_a_salt_has_the_length_that_was_asked_for() -> None:
    assert [len(SystemIds().salt(size)) for size in (1, 8, 16, 40)] == [1, 8, 16, 40]


def test_a_forked_process_draws_bytes_of_its_own() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, check=True, timeout=60)
    first, second = done.stdout.split()
    assert first != second


# The machine's clock


@pytest.mark.parametrize("jump", [JUMP_MS + 1, DAY, YEAR])
def test_a_jump_ahead_is_left_out_until_the_clock_kept_step_for_ten_minutes(machine: Machine, jump: int) -> None:
    before = machine.clock.now()
    assert machine.jump(jump) == before
    assert machine.clock.ahead == jump
    assert machine.go(STEP_MS - 1) == before + STEP_MS - 1
    assert machine.go(1) == machine.wall == before + STEP_MS + jump
    assert machine.clock.ahead == 0


@pytest.mark.parametrize("back", [1, MINUTE, DAY, YEAR])
def test_a_clock_that_was_set_back_is_used_as_it_is_and_may_return_without_a_jump(machine: Machine, back: int) -> None:
    before = machine.clock.now()
    assert machine.jump(-back) == before - back
    assert machine.go(MINUTE) == machine.wall
    assert machine.jump(back) == machine.wall == before + MINUTE
    assert machine.clock.ahead == 0


def test_a_clock_that_stays_back_is_where_the_next_jump_is_measured_from(machine: Machine) -> None:
    machine.jump(-DAY)
    machine.go(STEP_MS)
    behind = machine.wall
    assert machine.jump(DAY) == behind
    assert machine.clock.ahead == DAY


def test_neither_a_suspend_nor_a_slightly_fast_clock_is_a_jump(machine: Machine) -> None:
    assert machine.go(60 * DAY) == machine.wall
    for _ in range(100):
        machine.go(MINUTE)
        assert machine.jump(MINUTE) == machine.wall
    assert machine.clock.ahead == 0


def test_a_jump_that_goes_on_jumping_begins_its_ten_minutes_anew(machine: Machine) -> None:
    before = machine.clock.now()
    machine.jump(DAY)
    machine.go(STEP_MS - 1)
    machine.jump(DAY)
    assert machine.go(STEP_MS - 1) == before + 2 * (STEP_MS - 1)
    assert machine.go(1) == machine.wall


@pytest.mark.parametrize("wander", [-JUMP_MS, JUMP_MS])
def test_a_jump_that_then_wanders_by_five_minutes_keeps_its_ten_minutes(machine: Machine, wander: int) -> None:
    machine.jump(DAY)
    machine.go(STEP_MS - 1)
    machine.jump(wander)
    assert machine.clock.ahead == DAY + wander
    assert machine.go(1) == machine.wall


def test_a_jump_is_over_when_the_clock_comes_back_and_is_accepted_only_as_it_is(machine: Machine) -> None:
    before = machine.clock.now()
    machine.jump(YEAR)
    machine.clock.accept(before)  # another machine's clock
    assert machine.clock.now() == before
    machine.jump(-YEAR)
    assert (machine.clock.now(), machine.clock.ahead) == (before, 0)
    machine.jump(YEAR)
    machine.clock.accept(machine.wall - MINUTE)  # it was read a moment ago
    assert (machine.clock.now(), machine.clock.ahead) == (machine.wall, 0)


@pytest.mark.parametrize("stop", [MINUTE, DAY])
def test_a_process_that_is_stopped_between_two_looks_at_clocks_sees_no_jump(machine: Machine, stop: int) -> None:
    looks = iter(range(100))

    def wall() -> int:
        if next(looks) == 1:  # the first was at the start
            machine.wall += stop
            machine.boot += stop
        return machine.wall

    clock = SystemClock(wall, lambda: machine.boot)
    assert clock.now() == machine.wall
    assert clock.now() == machine.wall
    assert clock.ahead == 0
