"""The plane of the simulator: fixed and kept histories, and a planted bug that they must find."""

import pytest

from tests.scale import sized
from tests.simulation.command import SECONDS_MAX, check_histories, check_kept_histories, simulate

pytestmark = pytest.mark.timeout(SECONDS_MAX)


@pytest.mark.long("whole servers play about one history in a second of CPU")
@pytest.mark.parametrize("count", [6, pytest.param(sized(6, 12, 4_000), marks=pytest.mark.heavy)])
def test_histories_keep_the_promises(count: int) -> None:
    check_histories("plane", count)


def test_kept_histories_keep_the_promises() -> None:
    check_kept_histories("plane")


@pytest.mark.heavy
def test_a_planted_bug_is_found() -> None:
    played = simulate("fixed", "--count", "12", "--planted", "a question of anybody")
    assert played.returncode == 1, played.stdout + played.stderr
    assert "who answers" in played.stdout
