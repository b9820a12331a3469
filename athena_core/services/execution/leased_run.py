"""A run that is executed here: its lease, its time, and the means to stop or park it."""

import asyncio
import math

import anyio

from athena_core.clock import Clock
from athena_core.services.waiters import OneShot


class LeasedRun:
    """A run under a lease of this process. Its time stands while it waits for a person."""

    def __init__(self, token: int, *, parks: bool = False) -> None:
        """Take the token of its lease. With ``parks`` the run is parked as soon as it waits for a person."""
        self.token = token
        self.due = math.inf
        """When its timeout expires, in seconds of the boot clock."""
        self.scope = anyio.CancelScope()
        self.working = True
        self.stopped = False
        self.over = OneShot()
        self.parks = parks
        self.woken = OneShot()
        """Happens when an ask of the run is answered, and when the run has to be parked. Replaced for each wait."""

    def stop(self) -> None:
        """Stop the work before the timeout."""
        self.stopped = True
        self.scope.cancel()

    def park(self) -> None:
        """Park the run now if it waits for a person, otherwise as soon as it does."""
        self.parks = True
        self.woken.happen()


class RunTime:
    """The time of a run: it runs while the run is executed, but not while it waits for a person."""

    def __init__(self, clock: Clock, held: LeasedRun, timeout_ms: int, took_ms: int) -> None:
        """Begin with ``took_ms`` of the run's time, which stands until ``go``."""
        self._clock = clock
        self._held = held
        self._timeout_ms = timeout_ms
        self._took_ms = took_ms
        self._since: float | None = None

    @property
    def elapsed_ms(self) -> int:
        """The time that the run has taken, in milliseconds."""
        ran = 0.0 if self._since is None else self._clock.elapsed() - self._since
        return self._took_ms + round(ran * 1000)

    def go(self) -> None:
        """Let the time run. The run is stopped at its timeout."""
        if self._since is not None:
            return
        self._since = self._clock.elapsed()
        left = (self._timeout_ms - self._took_ms) / 1000
        self._held.due = self._since + left
        self._held.scope.deadline = asyncio.get_running_loop().time() + left

    def stand(self) -> None:
        self._took_ms, self._since = self.elapsed_ms, None
        self._held.due = self._held.scope.deadline = math.inf
