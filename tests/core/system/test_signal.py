"""The signal: no waiter for a position misses it."""

import threading

import anyio
import pytest

from athena_core.system.signal import Signal


async def test_a_waiter_wakes_when_its_position_is_reached() -> None:
    signal = Signal()
    woken: list[int] = []

    async def wait(position: int) -> None:
        await signal.wait(position)
        woken.append(position)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait, 2)
        tasks.start_soon(wait, 1)
        await anyio.wait_all_tasks_blocked()
        threading.Thread(target=signal.advance, args=(1,)).start()
        await signal.wait(1)
        await anyio.wait_all_tasks_blocked()
        assert woken == [1]
        signal.advance(5)
    assert woken == [1, 2]


async def test_a_position_already_reached_is_not_waited_for() -> None:
    await Signal(7).wait(7)


async def test_a_position_never_goes_back() -> None:
    signal = Signal(7)
    signal.advance(3)
    assert signal.position == 7


async def test_a_cancelled_waiter_leaves_nothing_behind() -> None:
    signal = Signal()
    with anyio.move_on_after(0):
        await signal.wait(1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(signal.wait, 1)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert signal._waiters == []


@pytest.mark.parametrize("act", ["advance", "nudge"])
def test_a_blocked_thread_wakes(act: str) -> None:
    signal, reached = Signal(), threading.Event()
    results: list[bool] = []

    def block() -> None:
        reached.set()
        results.append(signal.wait_in_thread(1, 60))

    thread = threading.Thread(target=block)
    thread.start()
    reached.wait()
    while thread.is_alive():  # a nudge before the wait began wakes nothing
        signal.advance(1) if act == "advance" else signal.nudge()
        thread.join(0.001)
    assert results == [act == "advance"]
