"""A real log in the memory file system for short histories: one file for each process, emptied before each history."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from athena_core.clock import SystemIds
from athena_core.domain import DECIDERS
from athena_core.log.sqlite.reader import SqliteReader
from athena_core.log.sqlite.store import SqliteStore
from athena_core.log.writer import Log
from athena_core.log.writer_threads import Turns
from tests.simulation.loop import SimClock, SimIds, SimLoop
from tests.support.event_samples import CODEC

MEMORY = "/dev/shm"
COMMIT_SECONDS = 0.004
"""The mean delay of a commit. Transactions that arrive meanwhile are one batch."""
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
        self._directory = MEMORY
        shutil.rmtree(place)  # the open files stay until the process ends

    def empty(self) -> None:
        """Forget all rows."""
        for table in TABLES:
            self._connection.execute(f"DELETE FROM {table}")
        self._connection.execute("DELETE FROM meta WHERE name NOT IN ('log_id', 'format')")

    def reader(self) -> SqliteReader:
        return self._reader

    def close(self) -> None:
        pass


class LogTurns:
    """Takes the turns of a log in the loop, each a little after it is wanted."""

    is_writer = True

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self._log: Turns | None = None
        self._due = False

    def start(self, log: Turns) -> None:
        self._log = log

    def wake(self) -> None:
        if not self._due:
            self._due = True
            self._loop.call_later(self._loop.chance.expovariate(1 / COMMIT_SECONDS), self._turn)

    def _turn(self) -> None:
        self._due = False
        assert self._log is not None
        self._log.turn(idle=False)

    def rest(self, seconds: float) -> bool:
        return True

    def close(self) -> None:
        self._turn()


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
    turns = LogTurns(loop)
    log = Log(store, CODEC, DECIDERS, clock=clock, ids=ids, driver=turns)
    turns.start(log)  # without the anchor, which is a file of its own
    return log
