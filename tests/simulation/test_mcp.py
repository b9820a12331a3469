"""The MCP corner of the simulator: fixed and kept histories, and a planted bug that they must find."""

import pytest

import tests.simulation.mcp as corner
from tests.scale import sized
from tests.simulation.command import SECONDS_MAX, check_histories, check_kept_histories, check_planted_bug
from tests.simulation.histories import play_here

pytestmark = pytest.mark.timeout(SECONDS_MAX)


@pytest.mark.parametrize("count", [200, pytest.param(sized(200, 600, 100_000), marks=pytest.mark.heavy)])
def test_histories_keep_the_promises(count: int) -> None:
    check_histories("mcp", count)


def test_kept_histories_keep_the_promises() -> None:
    check_kept_histories("mcp")


def test_a_planted_bug_is_found_and_shrunk() -> None:
    check_planted_bug("mcp", "no-deadline")


def test_a_history_is_the_same_again() -> None:
    for number in range(5):
        assert play_here(corner, f"same.{number}").digest == play_here(corner, f"same.{number}").digest
