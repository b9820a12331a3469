"""Sharing of one expensive read between concurrent callers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from athena_core.event import Position

T = TypeVar("T")


class SharedRead(Generic[T]):
    """A read in progress, and the log position at which it began."""

    __slots__ = ("position", "task")

    def __init__(self, task: "asyncio.Task[T]", position: Position) -> None:
        self.task = task
        self.position = position


class SingleFlight(Generic[T]):
    """A read that runs at most once at a time.

    A caller joins the read in progress if that began at the caller's position or later. All other callers share the
    next one, so no caller waits for more than two reads.
    """

    def __init__(self, read: Callable[[], Awaitable[T]]) -> None:
        self._read = read
        self._current: SharedRead[T] | None = None
        self._next: asyncio.Task[T] | None = None
        self._position: Position = 0

    async def result(self, position: Position) -> T:
        """Return a result that reflects this position. Raise the error of the read."""
        current = self._current
        if current is not None and not current.task.done() and current.position >= position:
            task = current.task
        else:
            self._position = max(self._position, position)
            if self._next is None:
                self._next = asyncio.create_task(self._follow(current))
                self._next.add_done_callback(_retrieve)
            task = self._next
        return await asyncio.shield(task)  # shield: a caller that is cancelled must not cancel the read of the others

    async def _follow(self, before: SharedRead[T] | None) -> T:
        if before is not None and not before.task.done():
            await asyncio.wait((before.task,))
        task, self._next = self._next, None
        assert task is not None
        self._current = SharedRead(task, self._position)
        return await self._read()


def _retrieve(task: "asyncio.Task[T]") -> None:
    """Retrieve the error, which asyncio would otherwise report if all callers have left."""
    if not task.cancelled():
        task.exception()
