"""The tail: hands every row to its listeners in the event loop, soon after any process committed it."""

from collections.abc import Callable, Sequence

import anyio

from athena_core.event import Position
from athena_core.protocols import Row
from athena_core.store.log import Log

Listener = Callable[[Sequence[Row]], None]

PAGE_EVENTS = 500
POLL_SECONDS_MIN = 0.002
POLL_SECONDS_MAX = 0.05


class Tail:
    """One subscriber for everything in this process that follows the log; listeners must be quick and not raise."""

    def __init__(self, log: Log) -> None:
        """Begin at the head."""
        self._log = log
        self._reader = log.reader()
        self._watcher = log.reader()
        self.position: Position = self._reader.head()
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> None:
        """Call a function with every page of new rows, in order."""
        self._listeners.append(listener)

    async def follow(self) -> None:
        """Read what is new and hand it on, for ever."""
        while True:
            await self._log.signal.wait(self.position + 1)
            rows = self._reader.rows(self.position, PAGE_EVENTS)
            if rows:
                self.position = rows[-1].position
                for listener in self._listeners:
                    listener(rows)

    async def watch(self) -> None:
        """Notice what other processes commit, for ever: poll often while they do, seldom while they do not."""
        delay = POLL_SECONDS_MIN
        while True:
            await anyio.sleep(delay)
            head = self._watcher.head()
            if head > self._log.signal.position:
                self._log.signal.advance(head)
                delay = POLL_SECONDS_MIN
            else:
                delay = min(delay * 1.5, POLL_SECONDS_MAX)

    def close(self) -> None:
        """Close the connections."""
        self._reader.close()
        self._watcher.close()
