"""Waiters: a waiter for a key is woken once and leaves nothing behind."""

import anyio

from athena_core.services.waiters import OneShot, Waiters
from tests.support.api import PATIENCE_SECONDS


async def test_all_waiters_of_a_key_are_woken_and_leave() -> None:
    waiters = Waiters[str, OneShot](OneShot)
    results: list[bool] = []

    async def wait(key: str, seconds: float) -> None:
        with waiters.wait(key) as waiter:
            results.append(await waiter.within(seconds))

    with anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as tasks:
            for key, seconds in (("one", 60), ("one", 60), ("two", 0)):
                tasks.start_soon(wait, key, seconds)
            await anyio.wait_all_tasks_blocked()
            assert len(waiters.of("one")) == 2
            waiters.wake("one")
    assert sorted(results) == [False, True, True]
    assert not waiters.of("one") and not waiters.of("two")


async def test_an_event_before_the_wait_is_not_missed() -> None:
    waiters = Waiters[str, OneShot](OneShot)
    with waiters.wait("one") as waiter:
        waiters.wake("one")
        assert await waiter.within(0)


async def test_a_waiter_that_is_cancelled_leaves() -> None:
    waiters = Waiters[str, OneShot](OneShot)
    with anyio.move_on_after(0.01), waiters.wait("one") as waiter:
        await waiter.within(60)
    assert not waiters.of("one")
