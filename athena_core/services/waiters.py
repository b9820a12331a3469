"""Waiters: callers that wait for something about a key, such as the end of a run."""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar


class OneShot:
    """Something that happens at most once. One task may wait for it, at a third of the cost of ``asyncio.Event``."""

    __slots__ = ("_waiter", "happened")

    def __init__(self) -> None:
        self.happened = False
        self._waiter: asyncio.Future[None] | None = None

    def happen(self) -> None:
        """Mark it as happened, and wake the waiting task."""
        self.happened = True
        if self._waiter is not None:
            self._wake()

    async def within(self, seconds: float) -> bool:
        """Wait at most ``seconds``. Return True if it happened."""
        if not self.happened:
            loop = asyncio.get_running_loop()
            waiter = self._waiter = loop.create_future()
            timer = loop.call_later(seconds, self._wake)
            try:
                await waiter
            finally:
                timer.cancel()
        return self.happened

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


K = TypeVar("K", bound=Hashable)
W = TypeVar("W", bound=OneShot)


class Waiters(Generic[K, W]):
    """The waiters of each key."""

    def __init__(self, make: Callable[[], W]) -> None:
        """Make waiters with ``make``: ``OneShot``, or a subclass that carries more data to the waiting task."""
        self._make = make
        self._by_key: dict[K, list[W]] = {}

    def of(self, key: K) -> Sequence[W]:
        """Return the waiters of a key."""
        return self._by_key.get(key, ())

    def wake(self, key: K) -> None:
        """Mark the event of a key's waiters as happened, and wake them."""
        for waiter in self.of(key):
            waiter.happen()

    def wait(self, key: K) -> "Registration[K, W]":
        """Register a new waiter for the length of a ``with`` block. Enter it before the thing can happen."""
        return Registration(self._by_key, key, self._make())


class Registration(Generic[K, W]):
    """A waiter that is registered while its context is open."""

    __slots__ = ("_by_key", "_key", "_waiter")

    def __init__(self, by_key: dict[K, list[W]], key: K, waiter: W) -> None:
        self._by_key = by_key
        self._key = key
        self._waiter = waiter

    def __enter__(self) -> W:
        self._by_key.setdefault(self._key, []).append(self._waiter)
        return self._waiter

    def __exit__(self, *error: object) -> None:
        others = self._by_key[self._key]
        others.remove(self._waiter)
        if not others:
            del self._by_key[self._key]
