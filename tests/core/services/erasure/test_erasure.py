"""The passes over the files after an erasure: their waiters and their pauses."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from athena_core.clock import FixedClock
from athena_core.services.erasure.erasure import REST_PARTS, Erasure, TextTrace


class Passes(Erasure):
    """Counted erasure passes; each takes time on the clock and leaves a given remainder."""

    def __init__(self) -> None:
        self.time = FixedClock()
        nothing = cast("Any", None)
        super().__init__(Path("/nowhere"), nothing, nothing, nothing, nothing, self.time, nothing)
        self.passes = 0
        self.leaves: list[TextTrace] = []
        self.began, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def _due(self) -> bool:
        return True

    def _run(self, seconds: float) -> Iterator[TextTrace]:
        self.passes += 1
        self.began.set()
        assert self.go_on.wait(60)
        self.time.advance(2_000)
        yield from self.leaves


@pytest.fixture
def passes() -> Passes:
    return Passes()


async def test_a_pass_is_followed_by_a_rest_that_others_wait_for(passes: Passes) -> None:
    assert await passes.scrub(1.0, 1) == ()
    (left,) = await passes.scrub(1.0, 2)
    assert (left.place, passes.passes) == ("views", 1)
    assert f"possible in {2 * REST_PARTS} s" in left.reason
    passes.time.advance(2_000 * REST_PARTS - 10)
    assert await passes.scrub(1.0, 3) == (), "what is left of the rest is waited for"
    assert passes.passes == 2


async def test_a_pass_that_left_something_is_tried_again_at_once(passes: Passes) -> None:
    passes.leaves = [TextTrace(place="log", reason="a reader", remedy="again")]
    assert await passes.scrub(1.0, 1) == tuple(passes.leaves)
    passes.leaves = []
    assert await passes.scrub(1.0, 1) == ()
    assert passes.passes == 2


async def test_waiting_erasures_share_the_next_pass_and_never_the_current_one(passes: Passes) -> None:
    """A text that was erased during a pass may be behind its reading position."""
    passes.leaves = [TextTrace(place="log", reason="a reader", remedy="again")]  # no rest after it
    passes.go_on.clear()
    first = asyncio.create_task(passes.scrub(1.0, 1))
    await asyncio.to_thread(passes.began.wait, 60)
    others = [asyncio.create_task(passes.scrub(1.0, 2)) for _ in range(3)]
    await asyncio.sleep(0)
    passes.go_on.set()
    await asyncio.gather(first, *others)
    assert passes.passes == 2
