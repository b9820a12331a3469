"""A real log in the memory file system for short histories: one file for each process, emptied before each history."""

import asyncio
import gc
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from athena_core.clock import SystemIds
from athena_core.domain import DECIDERS
from athena_core.log.sqlite.reader import SqliteReader
from athena_core.log.sqlite.store import SqliteStore
from athena_core.log.writer import Log
from tests.simulation.histories import Failure, Played, Step, digest_of
from tests.simulation.loop import Deadlock, LoopTurns, SimClock, SimIds, SimLoop
from tests.support.event_samples import CODEC

MEMORY = "/dev/shm"
COMMIT_SECONDS = 0.004
"""The mean delay of a commit."""
TABLES = ("log", "command", "guard", "checkpoint", "token_use")
_stores: dict[int, "SmallStore"] = {}
"""The store of this process."""


class KeptReader(SqliteReader):
    """A reader that stays open for the next history."""

    def close(self) -> None:
        pass


class SmallStore(SqliteStore):
    """A log file that is not on a disk, with one reader for all."""

    def __init__(self) -> None:
        place = Path(tempfile.mkdtemp(prefix="simulated-", dir=MEMORY))
        super().__init__(place, SystemIds())
        self._connection.pragma("synchronous", 0)
        self._reader = KeptReader(self.path, self.log_id)
        self._reader.head()
        shutil.rmtree(place)  # the open files stay until the process ends

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold nothing, because no other process knows the file."""
        yield

    def _check_writable(self) -> None:
        pass

    def checkpoint_wal(self, truncate: bool) -> None:
        """Do it later: the WAL of one history is small."""
        self.wal_pages = 0

    def empty(self) -> None:
        """Forget all rows."""
        self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        for table in TABLES:
            self._connection.execute(f"DELETE FROM {table}")
        self._connection.execute("DELETE FROM meta WHERE name NOT IN ('log_id', 'format')")

    def reader(self) -> SqliteReader:
        return self._reader

    def close(self) -> None:
        pass


class SmallWorld:
    """A history on such a log: its loop, clock, ids, judge and marks, and the work that it began."""

    judge: Any

    def __init__(self, seed: str, trace: Callable[[str], None] | None) -> None:
        self.loop = SimLoop(seed)
        self.clock = SimClock(self.loop)
        self.ids = SimIds(seed, self.clock)
        self.log = small_log(self.loop, self.clock, self.ids)
        self.marks: Counter[str] = Counter()
        self._trace, self.traces = trace, trace is not None
        self._tasks: set[asyncio.Task[None]] = set()

    def say(self, line: str) -> None:
        if self._trace is not None:
            self._trace(f"{self.loop.time():14.3f} {line}")

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.judge.fail("exception", repr(task.exception()))

    async def play(self, steps: Sequence[Step]) -> None:
        """Play steps, and judge their end."""
        raise NotImplementedError

    def stop(self) -> None:
        """End other work that the history began."""

    def played(self, steps: Sequence[Step]) -> Played:
        """Play steps, and leave nothing behind."""
        gc.disable()
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self.play(steps))
        except Deadlock:
            self.judge.fail("hangs", "nothing can ever happen")
        rows = [(row.recorded_at, row.stream, row.type, row.actor) for row in self.log.reader().rows(0, 10_000)]
        self.stop()
        for task in self._tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        asyncio.set_event_loop(None)
        self.loop.close()
        gc.collect(0)  # what this history left is all that is young
        gc.enable()
        return Played([Failure(*one) for one in self.judge.failures], digest_of(rows), len(steps), dict(self.marks))


def small_log(loop: SimLoop, clock: SimClock, ids: SimIds) -> Log:
    """Return an empty log whose commits happen in a loop."""
    store = _stores.get(os.getpid())
    if store is None:
        _stores.clear()
        store = _stores[os.getpid()] = SmallStore()
    store.empty()
    return opened(store, loop, clock, ids)


def opened(store: Any, loop: SimLoop, clock: SimClock, ids: SimIds) -> Log:
    """Open a log again, as another process would."""
    turns = LoopTurns(loop, COMMIT_SECONDS)
    log = Log(store, CODEC, DECIDERS, clock=clock, ids=ids, driver=turns)
    turns.start(log)  # without the anchor, which is a file of its own
    return log
