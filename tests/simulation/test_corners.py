"""The corners of the simulator but MCP's: fixed and kept histories, and planted bugs that they must find."""

import pytest

from tests.scale import sized
from tests.simulation.command import SECONDS_MAX, check_histories, check_kept_histories, check_planted_bug
from tests.simulation.kept import kept_histories

pytestmark = pytest.mark.timeout(SECONDS_MAX)


@pytest.mark.parametrize(
    ("world", "count"),
    [
        ("gateway", 200),
        ("asks", 200),
        ("tokens", 200),
        pytest.param("gateway", sized(200, 600, 40_000), marks=pytest.mark.heavy),
        pytest.param("agents", sized(200, 600, 40_000), marks=pytest.mark.heavy),
        pytest.param("asks", sized(200, 600, 100_000), marks=pytest.mark.heavy),
        pytest.param("tokens", sized(200, 600, 200_000), marks=pytest.mark.heavy),
    ],
)
def test_histories_keep_the_promises(world: str, count: int) -> None:
    check_histories(world, count)


@pytest.mark.parametrize("world", sorted({one.world for one in kept_histories()} - {"plane", "mcp"}))
def test_kept_histories_keep_the_promises(world: str) -> None:
    check_kept_histories(world)


@pytest.mark.parametrize(
    ("world", "bug"),
    [
        ("asks", "a rule lives too long"),
        pytest.param("gateway", "a silent vendor is waited for", marks=pytest.mark.heavy),
        pytest.param("agents", "a run is parked while its agent still works", marks=pytest.mark.heavy),
        pytest.param("tokens", "a scope is lost", marks=pytest.mark.heavy),
    ],
)
def test_a_planted_bug_is_found_and_shrunk(world: str, bug: str) -> None:
    check_planted_bug(world, bug)
