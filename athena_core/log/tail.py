"""The tail: delivers every row to its handlers in the event loop, soon after any process has committed it."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from itertools import compress

import anyio

from athena_core.event import Position
from athena_core.log.chain import GENESIS
from athena_core.log.submission import CommitNotice, CommitSubscriber
from athena_core.log.writer import Log
from athena_core.protocols import Row

RowsHandler = Callable[[Sequence[Row]], None]

PAGE_EVENTS = 500


class Tail:
    """The one subscriber to the log in this process. Handlers must be quick and must not raise.

    Rows of this process's own commits are delivered after the waiting callers have continued. For example, the executor
    that leases a run knows of the lease before a cancel of that run arrives.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._reader = log.reader()
        self.position: Position = self._reader.head()
        first = self._reader.row(self.position)
        self._chain = first.chain if first else GENESIS
        self.recorded_at = first.recorded_at if first else 0
        """The time of the row at ``position``, in milliseconds since 1970."""
        self._commits_seen = 0
        self._handlers: list[tuple[RowsHandler, frozenset[str] | None]] = []
        self._broken: asyncio.Future[None] | None = None

    @property
    def takes_part(self) -> bool:
        """True if this process has committed anything."""
        return self._log.commits > 0

    @property
    def caught_up(self) -> bool:
        """True if all rows known to be committed are delivered."""
        return self.position >= self._log.signal.position

    def subscribe(self, handler: RowsHandler, types: frozenset[str] | None = None) -> None:
        """Call ``handler`` with every page of new rows in order; with ``types``, only with rows of these types."""
        self._handlers.append((handler, types))

    async def follow(self) -> None:
        """Deliver commits of this process until cancelled. Raise the error of a handler."""
        loop = asyncio.get_running_loop()
        self._broken = loop.create_future()
        self._commits_seen = self._log.commits
        self._log.subscriber = CommitSubscriber(loop, self._on_commit)
        try:
            await self._broken
        finally:
            self._log.subscriber = None

    async def watch(self) -> None:
        """Deliver commits of other processes until cancelled."""
        notifier = self._log.store.notifier()
        try:
            while True:
                before, found = self.position, self._refreshed()
                while self.position > before and not self.caught_up:
                    before = self.position
                    await anyio.sleep(0)  # let requests run between pages
                    self._refreshed()
                await notifier.pause(found=found)
        finally:
            await notifier.close()

    def _refreshed(self) -> bool:
        try:
            found = self.refresh(pages_max=1)
        except (*self._log.store.lost, *self._log.store.damaged) as error:
            self._log.problems.report("log.watch", error)
            return False
        self._log.problems.recovered("log.watch")
        return found

    def refresh(self, pages_max: int = sys.maxsize) -> bool:
        """Deliver commits of other processes, at most ``pages_max`` pages. Return True if anything is new.

        End the process if the log lost delivered rows.
        """
        head = self._reader.head()
        if head < self.position and not self._log.check_follows(self.position, self._chain, head, ()):
            return False
        found = head > self._log.signal.position
        if found:
            self._log.signal.advance(head)
        if self._commits_seen == self._log.commits:  # else the results of the head may not be delivered yet
            self._read(head, pages_max)
        return found

    def _on_commit(self, notice: CommitNotice) -> None:
        try:
            self._commits_seen = notice.commit
            if notice.rows and notice.rows[0].position == self.position + 1:
                self._deliver(notice.rows)
            else:
                self._read_on(notice.head)
        except Exception as error:
            self._end(error)

    def _read_on(self, head: Position) -> None:
        """Deliver stored rows up to a head, one page per iteration of the event loop."""
        before = self.position
        try:
            self._read(head, 1)
        except Exception as error:
            self._end(error)
            return
        if before < self.position < head:
            asyncio.get_running_loop().call_soon(self._read_on, head)

    def _end(self, error: Exception) -> None:
        """End ``follow`` with the error of a handler."""
        if self._broken is not None and not self._broken.done():
            self._broken.set_exception(error)

    def _read(self, head: Position, pages_max: int) -> None:
        """Deliver stored rows up to a head. If it is unreachable or damaged, the next refresh does it."""
        while self.position < head and pages_max > 0:
            pages_max -= 1
            try:
                rows = self._reader.rows(self.position, PAGE_EVENTS, head)
            except self._log.store.lost:
                return
            except self._log.store.damaged as error:
                self._log.problems.report("log.pages", error)
                return
            if not self._log.check_follows(self.position, self._chain, head, rows):
                return
            self._deliver(rows)

    def _deliver(self, rows: Sequence[Row]) -> None:
        last = rows[-1]
        self.position, self._chain, self.recorded_at = last.position, last.chain, last.recorded_at
        present = frozenset(kinds := [row.type for row in rows])  # few types, and most handlers want none of them
        for handler, types in self._handlers:
            if types is None:
                handler(rows)
            elif not types.isdisjoint(present):
                handler(list(compress(rows, map(types.__contains__, kinds))))

    def close(self) -> None:
        self._reader.close()
