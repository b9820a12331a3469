"""Timers: the one mechanism by which work that time makes due is found."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

from athena_core.system.problems import LOOPS, Problems


class Timer:
    """Looks for due work at an interval, whatever happens: a wake-up only makes it look earlier.

    The interval is measured on the monotonic clock, so a wall clock that is set delays no look. Each look compares
    recorded deadlines with the clock, and the next one repeats what failed. So no work depends on one wake-up.
    """

    def __init__(
        self, loop: str, seconds: float, look: Callable[[], Awaitable[bool | None]], problems: Problems
    ) -> None:
        """Name one of ``problems.LOOPS``. ``look`` returns False while work is left that has failed before."""
        assert loop in LOOPS, loop
        self.loop = loop
        self.seconds = seconds
        self._look = look
        self._problems = problems
        self.woken = asyncio.Event()
        """Set until the next look begins, if one is wanted now."""

    def wake(self) -> None:
        """Look now, or at the start."""
        self.woken.set()

    async def serve(self) -> NoReturn:
        """Look until cancelled, also after failures."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.call_later(self.seconds, self.woken.set)
            try:
                await self.woken.wait()
            finally:
                due.cancel()
            self.woken.clear()
            try:
                done = await self._look()
            except Exception as error:
                self._problems.report(self.loop, error)
            else:
                if done is not False:
                    self._problems.recovered(self.loop)
