"""Deadlines: each key has one, and those that are over come once, the earliest first."""

import asyncio
import math
from contextlib import closing

import pytest

from athena_core.services.deadlines import Alarm, Deadlines


def test_the_earliest_deadlines_come_first_and_once() -> None:
    deadlines = Deadlines()
    assert deadlines.first() is None
    for key, at in (("late", 30), ("early", 10), ("middle", 20)):
        deadlines.set(key, at)
    assert deadlines.first() == 10
    assert deadlines.pop(20) == ["early", "middle"]
    assert deadlines.pop(29) == []
    assert (deadlines.pop(math.inf), deadlines.first()) == (["late"], None)


def test_a_deadline_is_replaced_or_removed_and_advanced_only_to_an_earlier_time() -> None:
    deadlines = Deadlines()
    deadlines.set("a", 10)
    deadlines.set("a", 30)
    assert deadlines.pop(29) == []
    deadlines.advance("a", 40)
    assert deadlines.first() == 30
    deadlines.advance("a", 20)
    assert deadlines.first() == 20
    deadlines.set("a", None)
    deadlines.advance("b", 50)
    assert deadlines.pop(math.inf) == ["b"]


def test_an_alarm_that_is_closed_while_it_rings_reports_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def ring_and_close(turns: int) -> None:
        loop = asyncio.get_running_loop()
        with closing(Alarm()) as alarm:
            alarm.set("soon", 1, lambda: None)
            await asyncio.sleep(0)
            due = loop.time() + 0.003
            while loop.time() < due:  # so that it rings in one of the next turns of the loop
                pass
            for _ in range(turns):
                await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)

    for turns in range(6):
        asyncio.run(ring_and_close(turns))
    assert caplog.text == ""
