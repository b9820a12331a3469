"""Executors: who is alive, by the lock that each holds and the heartbeat that it writes into the lock's file.

A lock is free as soon as its process has ended, however that came; a process that stands still keeps its lock but
stops counting. A process that leaves in order takes its file with it.
"""

import os
from contextlib import suppress
from pathlib import Path

from athena_core.clock import Clock
from athena_core.domain.run import Loss
from athena_core.store.sqlite import Lock

SWEEP_SECONDS = 0.5
FROZEN_SECONDS = 30.0
HEARTBEATS = 6
"""How often an executor counts in the time after which it would be taken for frozen."""

COUNTER_BYTES = 8


class Watched:
    """What is known of somebody else's counter: its value, and for how long it was seen unchanged."""

    def __init__(self, counter: bytes, at: float) -> None:
        """It was looked at for the first time, at ``at`` seconds of our own clock."""
        self.counter = counter
        self.looked_at = at
        self.still_seconds = 0.0


class Executors:
    """The executors of one state directory, as one of them sees them."""

    def __init__(self, directory: Path, executor: str, clock: Clock, frozen_seconds: float = FROZEN_SECONDS) -> None:
        """Become one of them: take the lock of ``executor`` below ``directory``."""
        self._directory = directory / "executors"
        self._directory.mkdir(exist_ok=True, mode=0o700)
        self.executor = executor
        self._clock = clock
        self._frozen_seconds = frozen_seconds
        self._watched: dict[str, Watched] = {}
        self._path = self._directory / f"{executor}.lock"
        self._lock = Lock.own(self._path)
        self._file = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        self._count = 0
        self._counted_at = clock.monotonic()

    def beat(self) -> None:
        """Count, if it is time to."""
        now = self._clock.monotonic()
        if now - self._counted_at >= self._frozen_seconds / HEARTBEATS:
            self._count += 1
            self._counted_at = now
            os.pwrite(self._file, self._count.to_bytes(COUNTER_BYTES, "big"), 0)

    def loss(self, executor: str) -> Loss | None:
        """How an executor lost its runs, if it did; asked once in a while, this is also how its counter is watched."""
        if executor == self.executor:
            return None
        path = self._directory / f"{executor}.lock"
        try:
            counter = path.read_bytes()
            free = self._free(path)
        except FileNotFoundError:
            return "left"
        if free:
            return "dead" if path.exists() else "left"
        return "frozen" if self._still(executor, counter) >= self._frozen_seconds else None

    def _still(self, executor: str, counter: bytes) -> float:
        """For how many seconds a counter was seen unchanged; while we ourselves stood still, nobody looked."""
        now = self._clock.monotonic()
        known = self._watched.get(executor)
        if known is None or known.counter != counter:
            known = self._watched[executor] = Watched(counter, now)
        known.still_seconds += min(now - known.looked_at, 2 * SWEEP_SECONDS)
        known.looked_at = now
        return known.still_seconds

    def _free(self, path: Path) -> bool:
        """Whether nobody holds a lock. Raises FileNotFoundError."""
        lock = Lock(path, create=False)
        try:
            return lock.try_acquire()
        finally:
            lock.close()

    def tidy(self, leased: set[str]) -> None:
        """Forget executors that are dead and hold nothing."""
        present = {path.stem: path for path in self._directory.glob("exe_*.lock")}
        for executor, path in present.items():
            if executor != self.executor and executor not in leased:
                with suppress(FileNotFoundError):
                    if self._free(path):
                        path.unlink()
        for executor in self._watched.keys() - leased:
            del self._watched[executor]

    def alone(self) -> bool:
        """Whether no other process is attached to the state directory."""
        return sum(1 for _ in self._directory.iterdir()) == 1

    def close(self) -> None:
        """Leave in order: whatever is still leased here may be taken."""
        self._path.unlink(missing_ok=True)
        os.close(self._file)
        self._lock.close()
