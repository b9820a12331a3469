"""Tests of the alarm of schedules: it rings when it is due, and again after a failure."""

import anyio

from athena_core.clock import SystemClock
from athena_core.services.schedules.timer import Alarm
from athena_core.system.problems import Problems


async def test_an_alarm_whose_call_failed_rings_again() -> None:
    rung, again = list[str](), anyio.Event()

    def ring() -> None:
        rung.append("ring")
        if len(rung) == 1:
            raise OSError("the first call fails")
        again.set()

    clock = SystemClock()
    alarm = Alarm(ring, clock, Problems(clock))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(alarm.serve)
        alarm.set(clock.now())
        with anyio.fail_after(30):
            await again.wait()
        tasks.cancel_scope.cancel()
    assert rung == ["ring", "ring"]
