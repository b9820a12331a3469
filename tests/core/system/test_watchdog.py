"""The watchdog: a block of the event loop is measured and named by the running code."""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
import uvloop

from athena_api.streams.sse import some_at_a_time
from athena_core.clock import FixedClock
from athena_core.system.watchdog import (
    BLOCK_SECONDS,
    IDLE_PROBES,
    IDLE_SECONDS,
    LONGEST,
    OPERATIONS_MAX,
    OTHER,
    PROBE_SECONDS,
    LoopBlock,
    Watchdog,
    name_operation,
)
from tests.support.api import PATIENCE_SECONDS

LOOKS = 100


class Seeing(Watchdog):
    """A watchdog that releases what blocks the loop once it has noticed."""

    def __init__(self, expected: str) -> None:
        super().__init__(probe_seconds=0.001, log_seconds=0.0)
        self._expected = expected
        self._seen = threading.Event()

    def _running(self) -> tuple[str, str]:
        found = super()._running()
        if found[0].endswith(self._expected):
            self._seen.set()
        return found

    def block(self) -> None:
        assert self._seen.wait(PATIENCE_SECONDS)

    async def noted(self) -> LoopBlock:
        with anyio.fail_after(PATIENCE_SECONDS):
            while True:
                for block in self.longest:
                    if block.operation.endswith(self._expected):
                        return block
                await asyncio.sleep(0.001)


@contextmanager
def watching(expected: str) -> Iterator[Seeing]:
    dog = Seeing(expected)
    dog.start()
    try:
        yield dog
    finally:
        dog.close()


async def test_a_block_is_measured_and_named_by_its_operation(caplog: pytest.LogCaptureFixture) -> None:
    with watching("listRuns") as dog, caplog.at_level(logging.WARNING):

        async def answer() -> None:
            name_operation("listRuns")
            dog.block()

        await asyncio.create_task(answer())
        block = await dog.noted()
    assert block.seconds >= BLOCK_SECONDS
    assert dog.blocks["listRuns"] == 1
    assert dog.recent_seconds() >= block.seconds
    assert any("event loop blocked for" in line and "by listRuns at" in line for line in caplog.messages)


async def test_a_task_without_an_operation_is_named_by_its_function() -> None:
    with watching("follow") as dog:

        async def follow() -> None:
            dog.block()

        await asyncio.create_task(follow())
        await dog.noted()


async def test_a_callback_is_named_by_its_function_and_line() -> None:
    with watching("some_at_a_time") as dog:
        asyncio.get_running_loop().call_soon(some_at_a_time, iter([0]), lambda _: dog.block())
        block = await dog.noted()
    assert block.place.startswith("athena_api/streams/sse.py:")


def test_only_the_longest_blocks_and_a_bounded_number_of_names_are_kept() -> None:
    dog = Watchdog(log_seconds=1_000.0)
    for number in range(2 * OPERATIONS_MAX):
        dog.note(LoopBlock(float(number), 0.0, f"operation{number}", "somewhere"))
    assert [block.seconds for block in dog.longest] == [
        2.0 * OPERATIONS_MAX - number for number in range(1, LONGEST + 1)
    ]
    assert len(dog.blocks) == OPERATIONS_MAX + 1
    assert dog.blocks[OTHER] == OPERATIONS_MAX


def test_an_idle_loop_is_looked_at_less_often_until_it_runs_again() -> None:
    looks = iter([*[True] * (IDLE_PROBES + 2), False, True])
    pauses, probes = list[float](), list[int]()

    class Scripted(Watchdog):
        def _waits(self) -> bool:
            return next(looks)

        def _probe(self) -> None:
            probes.append(len(pauses))

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == IDLE_PROBES + 4:
            dog.close()

    dog = Scripted(sleep=sleep)
    dog._run()
    assert pauses == [*[PROBE_SECONDS] * IDLE_PROBES, *[IDLE_SECONDS] * 3, PROBE_SECONDS]
    assert probes == [IDLE_PROBES + 3]


def test_a_block_is_recent_for_one_to_two_minutes() -> None:
    clock = FixedClock()
    dog = Watchdog(log_seconds=1_000.0, monotonic=clock.monotonic)
    dog.note(LoopBlock(0.5, 0.0, "operation", "somewhere"))
    for milliseconds, seconds in ((0, 0.5), (60_000, 0.5), (59_000, 0.5), (1_000, 0.0)):
        clock.advance(milliseconds)
        assert dog.recent_seconds() == seconds
    dog.note(LoopBlock(0.7, 0.0, "operation", "somewhere"))
    clock.advance(880_000)
    assert dog.recent_seconds() == 0.0, "no reader for so long that it is over"


async def test_a_loop_that_ends_ends_its_watchdog() -> None:
    def watch() -> Watchdog:
        async def begin() -> Watchdog:
            dog = Watchdog(probe_seconds=0.001)
            dog.start()
            return dog

        return asyncio.run(begin())

    dog = await asyncio.to_thread(watch)
    with anyio.fail_after(PATIENCE_SECONDS):
        while not dog._closed:
            await asyncio.sleep(0.001)


class Counting(Watchdog):
    """A watchdog that counts, and sets an event once it has looked often enough."""

    def __init__(self) -> None:
        super().__init__(probe_seconds=0.001)
        self.looks = self.probes = 0
        self.enough = asyncio.Event()

    def _waits(self) -> bool:
        self.looks += 1
        if self.looks == LOOKS and self._loop is not None:
            self._loop.call_soon_threadsafe(self.enough.set)
        return super()._waits()

    def _probe(self) -> None:
        self.probes += 1
        super()._probe()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_loop_that_waits_is_looked_at_and_not_woken(run: Callable[[Coroutine[Any, Any, Counting]], Counting]) -> None:
    async def wait() -> Counting:
        dog = Counting()
        dog.start()
        with anyio.fail_after(PATIENCE_SECONDS):
            await dog.enough.wait()
        dog.close()
        return dog

    assert run(wait()).probes <= LOOKS / 4
