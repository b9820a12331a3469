"""Concurrent callers of an expensive read share it, and each gets a result as new as its own position."""

import asyncio

import pytest

from athena_api.plane import ControlPlane
from athena_api.single_flight import SingleFlight
from athena_core.errors import NotCaughtUp
from projections import ALL
from tests.support.api import PATIENCE_SECONDS

CALLERS = 20


class Reads:
    """A read that ends when the test releases it, and returns its number."""

    def __init__(self) -> None:
        self.begun = 0
        self.release = asyncio.Semaphore(0)
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        await self.release.acquire()
        if self.error is not None:
            raise self.error
        return number


async def turns() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_concurrent_callers_at_one_position_share_one_read() -> None:
    reads = Reads()
    flight = SingleFlight(reads)
    callers = [asyncio.create_task(flight.result(7)) for _ in range(CALLERS)]
    await turns()
    late = asyncio.create_task(flight.result(7))
    await turns()
    reads.release.release()
    assert await asyncio.gather(*callers, late) == [1] * (CALLERS + 1)
    assert reads.begun == 1


async def test_a_caller_of_a_later_position_gets_a_read_that_began_after_it() -> None:
    reads = Reads()
    flight = SingleFlight(reads)
    first = asyncio.create_task(flight.result(7))
    await turns()
    later = [asyncio.create_task(flight.result(8 + number)) for number in range(CALLERS)]
    await turns()
    assert reads.begun == 1, "one at a time"
    reads.release.release()
    assert await first == 1
    await turns()
    assert reads.begun == 2
    joined = asyncio.create_task(flight.result(8))
    reads.release.release()
    assert await asyncio.gather(*later, joined) == [2] * (CALLERS + 1)


async def test_a_caller_who_leaves_does_not_end_the_read_of_the_others() -> None:
    reads = Reads()
    flight = SingleFlight(reads)
    leaver, stayer = (asyncio.create_task(flight.result(1)) for _ in range(2))
    await turns()
    leaver.cancel()
    await turns()
    reads.release.release()
    assert await stayer == 1
    assert leaver.cancelled()


async def test_a_read_that_fails_fails_for_its_callers_and_the_next_one_is_tried() -> None:
    reads = Reads()
    flight = SingleFlight(reads)
    reads.error = NotCaughtUp("no views")
    reads.release.release()
    with pytest.raises(NotCaughtUp):
        await flight.result(1)
    reads.error = None
    reads.release.release()
    assert await flight.result(1) == 2


async def test_the_digests_of_the_views_are_scanned_once_for_all_who_ask_together(
    parts: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    await parts.views_reader.wait(tuple(projection.name for projection in ALL), 1, PATIENCE_SECONDS)
    scans = 0
    open_reader = parts.log.reader

    def counted() -> object:
        nonlocal scans
        scans += 1
        return open_reader()

    monkeypatch.setattr(parts.log, "reader", counted)
    found = await asyncio.gather(*(parts.digests.result(1) for _ in range(CALLERS)))
    assert scans == 1
    assert all(one is found[0] for one in found)
