"""One expensive read at a time, which concurrent callers share."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from athena_core.event import Position

T = TypeVar("T")


class SharedRead(Generic[T]):
    """A read that has begun, and the position of the log at which it began."""

    __slots__ = ("position", "task")

    def __init__(self, task: "asyncio.Task[T]", position: Position) -> None:
        """Take both."""
        self.task = task
        self.position = position


class SingleFlight(Generic[T]):
    """Runs a read at most once at a time.

    A caller joins the read in progress if that began at the caller's position or later. All other callers share the
    next one, so no caller waits for more than two reads.
    """

    def __init__(self, read: Callable[[], Awaitable[T]]) -> None:
        """Take the read."""
        self._read = read
        self._current: SharedRead[T] | None = None
        self._next: asyncio.Task[T] | None = None
        self._position: Position = 0

    async def result(self, position: Position) -> T:
        """Return a result that reflects this position; raise what the read raised."""
        current = self._current
        if current is not None and not current.task.done() and current.position >= position:
            task = current.task
        else:
            self._position = max(self._position, position)
            if self._next is None:
                self._next = asyncio.create_task(self._follow(current))
                self._next.add_done_callback(_retrieve)
            task = self._next
        return await asyncio.shield(task)  # a caller who leaves does not end it for the others

    async def _follow(self, before: SharedRead[T] | None) -> T:
        if before is not None and not before.task.done():
            await asyncio.wait((before.task,))
        task, self._next = self._next, None
        assert task is not None
        self._current = SharedRead(task, self._position)
        return await self._read()


def _retrieve(task: "asyncio.Task[T]") -> None:
    """Look at the error, because the callers may all have left."""
    if not task.cancelled():
        task.exception()
