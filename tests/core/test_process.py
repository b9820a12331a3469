"""Tests of child processes: a command that is cancelled while it starts."""

import asyncio
import os
import select
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import uvloop

from athena_core.process import MARK, CannotStart, Child, Mark, environment

DEATH_MILLISECONDS = 10_000


def all_die(mark: Mark) -> bool:
    """Whether the marked processes end by themselves (a signal may be on its way)."""
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            handle = os.pidfd_open(int(place.name))
            try:
                if f"{MARK}={mark.environment[MARK]}".encode() in (place / "environ").read_bytes():
                    death = select.poll()
                    death.register(handle, select.POLLIN)
                    if not death.poll(DEATH_MILLISECONDS):
                        return False
            finally:
                os.close(handle)
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("turns", range(8))
def test_a_command_that_is_cancelled_while_it_starts_is_gone(
    turns: int, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    mark = Mark()

    async def cancel() -> None:
        start = asyncio.create_task(
            Child.start(("/bin/sh", "-c", "sleep 1000 & sleep 1000"), environment() | mark.environment)
        )
        for _ in range(turns):
            await asyncio.sleep(0)
        if not start.cancel():  # it was quicker
            await (await start).end()
        with suppress(asyncio.CancelledError):
            await start
        assert all_die(mark)

    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(cancel())
    finally:
        mark.end_all()


async def test_a_command_that_cannot_start_says_why() -> None:
    with pytest.raises(CannotStart, match="No such file or directory"):
        await Child.start(("/no/such/command",), {})


def test_a_mark_ends_nothing_that_does_not_carry_it() -> None:
    Mark().end_all()  # among others this very process, and its parents
    assert Mark().environment != Mark().environment
