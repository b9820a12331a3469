"""Time and ids: times are read back as they were written; ids are unlike each other in any thread and process."""

import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_core.clock import ALPHABET, POOL_BYTES, SystemIds, iso, milliseconds

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
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        milliseconds(text)


@pytest.mark.parametrize("text", ["2026-01-31", "2026-01-31T12:00"])
def test_a_wall_time_is_no_instant(text: str) -> None:
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
