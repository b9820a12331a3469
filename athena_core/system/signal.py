"""The signal: wakes threads and tasks that wait for a position."""

import asyncio
import threading
from typing import TypeAlias

from athena_core.event import Position

Waiter: TypeAlias = tuple[Position, asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class Signal:
    """A growing position and its waiters. Safe from any thread. Each event loop is woken once per advance."""

    def __init__(self, position: Position = 0) -> None:
        self.position = position
        self._condition = threading.Condition()
        self._waiters: list[Waiter] = []

    def advance(self, position: Position) -> None:
        """Wake all waiters for ``position`` or less."""
        with self._condition:
            if position <= self.position:
                return
            self.position = position
            self._condition.notify_all()
            due = [waiter for waiter in self._waiters if waiter[0] <= position]
            if due:
                self._waiters = [waiter for waiter in self._waiters if waiter[0] > position]
        loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        for _, loop, future in due:
            loops.setdefault(loop, []).append(future)
        for loop, futures in loops.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_wake, futures)

    async def wait(self, position: Position) -> None:
        """Return once the position is reached."""
        if self.position >= position:
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        waiter = (position, loop, future)
        with self._condition:
            if self.position >= position:
                return
            self._waiters.append(waiter)
        try:
            await future
        finally:
            if not future.done() or future.cancelled():
                with self._condition:
                    if waiter in self._waiters:
                        self._waiters.remove(waiter)

    def wait_in_thread(self, position: Position, timeout: float) -> bool:
        """Block until the position is reached, a nudge, or ``timeout`` seconds. Return True if it is reached."""
        with self._condition:
            if self.position < position:
                self._condition.wait(timeout)
            return self.position >= position

    def nudge(self) -> None:
        """Wake blocked threads without a new position, for a stop or an impatient reader."""
        with self._condition:
            self._condition.notify_all()


def _wake(futures: list["asyncio.Future[None]"]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
