"""Tests of the simulator itself: its table of coverage is complete, and a seed gives one log."""

import re
from collections import Counter

import pytest

from tests.simulation.__main__ import WORLDS
from tests.simulation.command import SECONDS_MAX, simulate
from tests.simulation.coverage import NAMES, declared
from tests.support.tree import ROOT

pytestmark = pytest.mark.timeout(SECONDS_MAX)


def test_the_table_of_coverage_is_complete() -> None:
    table = declared()
    names = Counter(name for found in table.values() for name in found)
    assert set(names) == NAMES, f"declare where these are reached, or why not: {set(names) ^ NAMES}"
    assert not [name for name, times in names.items() if times > 1]
    reasons = [heading for heading in table if heading not in WORLDS]
    assert all(list(ROOT.glob(path)) for heading in reasons for path in re.findall(r"tests/[\w/.]+", heading))


def test_a_seed_gives_the_same_log_in_another_process() -> None:
    first, second = (simulate("same.1", "--digest").stdout for _ in range(2))
    assert re.fullmatch(r"[0-9a-f]{16}\n", first)
    assert first == second
