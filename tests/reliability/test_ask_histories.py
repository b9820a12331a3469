"""Made-up histories of runs that ask people keep every promise.

Verify accepts every commit, and the guards of each run are what its state says. An ask is answered once, in time and
for its own hash. A call is made at most once, as it was allowed. Every open run can still end, and then holds nothing.
"""

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.scale import sized
from tests.support.asking_plane import AskingPlane

Move = Callable[[AskingPlane, int], None]

MOVES: tuple[Move, ...] = (
    *[AskingPlane.step] * 12,
    *[AskingPlane.start] * 3,
    *[AskingPlane.answer] * 6,
    *[AskingPlane.claim] * 2,
    *[AskingPlane.lift] * 3,
    *[AskingPlane.revoke] * 2,
    *[AskingPlane.tick] * 2,
    AskingPlane.answer_again,
    AskingPlane.answer_wrongly,
    AskingPlane.cancel,
    AskingPlane.crash,
    AskingPlane.expire,
    AskingPlane.halt,
    AskingPlane.leave,
    AskingPlane.limit,
    AskingPlane.obey,
    AskingPlane.take_over,
    AskingPlane.time_out,
)
HISTORIES = st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 2**16)), min_size=20, max_size=60)
MANY = settings(deadline=None, suppress_health_check=list(HealthCheck))


def play(history: list[tuple[Move, int]]) -> AskingPlane:
    plane = AskingPlane()
    for move, pick in history:
        move(plane, pick)
    plane.finish()
    return plane


@settings(MANY, max_examples=200)
@given(HISTORIES)
def test_a_history_of_asks_keeps_every_promise(history: list[tuple[Move, int]]) -> None:
    play(history)


@pytest.mark.heavy
@pytest.mark.timeout(1_800)
def test_many_histories_of_asks_keep_every_promise() -> None:
    seen: Counter[str] = Counter()

    @settings(MANY, max_examples=sized(800, 1_000, 20_000))
    @given(HISTORIES)
    def check(history: list[tuple[Move, int]]) -> None:
        plane = play(history)
        seen.update(row.type for row in plane.world.rows)
        seen.update(plane.refusals)

    check()
    print(*(f"{count:9,} {name}" for name, count in seen.most_common()), sep="\n")
    assert not {"run.asked", "run.answered", "run.paused", "run.requeued", "run.resumed", "run.crashed"} - set(seen)
    assert not {"halt.started", "halt.lifted", "HALTED"} - set(seen)
    assert not {"ASK_DECIDED", "ASK_EXPIRED", "ASK_ENDED", "ASK_CHANGED", "permission-rule.revoked"} - set(seen)
