"""Locks between processes on a state directory, with ``flock``."""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path

from athena_core.log.port import ABOUT_BYTES_MAX, ExecutorHeartbeat, RegisteredExecutor
from athena_core.system.private_file import matching

COUNTER_BYTES = 8


class ProcessLock:
    """An advisory lock between processes: ``flock`` on an open file. Released when the process ends."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        """Open the file. Without ``create``, raise FileNotFoundError if it is missing."""
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)

    @classmethod
    def own(cls, path: Path) -> "ProcessLock":
        """Return a held lock on the file at ``path``. Retry if another process deletes the file first."""
        while True:
            lock = cls(path)
            if lock.try_acquire() and path.exists() and path.stat().st_ino == os.fstat(lock._file).st_ino:
                return lock
            lock.close()

    def acquire(self) -> None:
        """Wait for the lock. The wait cannot be cancelled."""
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def try_acquire(self) -> bool:
        """Take the lock if it is free. Return True if taken."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Release the lock and close the file."""
        os.close(self._file)


class FileLeaderLock:
    """A leader lock on a file (``protocols.LeaderLock``). The file is opened when the lock is taken."""

    def __init__(self, path: Path) -> None:
        """Use the file at ``path``."""
        self._path = path
        self._lock: ProcessLock | None = None

    @property
    def held(self) -> bool:
        """True if this object holds the lock."""
        return self._lock is not None

    def acquire(self) -> bool:
        """Try to take the lock, without waiting. Return True if this object holds it now."""
        if self._lock is None:
            lock = ProcessLock(self._path)
            if lock.try_acquire():
                self._lock = lock
            else:
                lock.close()
        return self._lock is not None

    def release(self) -> None:
        """Release the lock, if held."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


class FileExecutorRegistry:
    """The executors of a state directory (``port.ExecutorRegistry``), with a locked file for each.

    The file holds the counter, then the description.
    """

    def __init__(self, directory: Path, executor: str, about: bytes) -> None:
        """Take the lock of ``executor`` below ``directory``."""
        self.executor = executor
        self._directory = directory / "executors"
        self._directory.mkdir(exist_ok=True, mode=0o700)
        self._path = self._directory / f"{executor}.lock"
        self._lock = ProcessLock.own(self._path)
        self._file = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        self.beat(0, about)

    def beat(self, counter: int, about: bytes) -> None:
        """Write the counter and the description, JSON of at most ``ABOUT_BYTES_MAX`` bytes. Raise OSError.

        One write of one block, padded with blanks. The block is allocated at the start, so later writes need no space,
        and readers always find complete JSON.
        """
        written = counter.to_bytes(COUNTER_BYTES, "big") + about.ljust(ABOUT_BYTES_MAX)
        if os.pwrite(self._file, written, 0) < len(written):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))

    def heartbeat(self, executor: str) -> ExecutorHeartbeat | None:
        """Return the heartbeat of another executor, or None if it has deregistered and deleted its file."""
        path = self._directory / f"{executor}.lock"
        try:
            count = int.from_bytes(path.read_bytes()[:COUNTER_BYTES], "big")
            free = self._free(path)
        except FileNotFoundError:
            return None
        return ExecutorHeartbeat(count, free) if not free or path.exists() else None

    def _free(self, path: Path) -> bool:
        """Return True if a lock is free. Raise FileNotFoundError."""
        lock = ProcessLock(path, create=False)
        try:
            return lock.try_acquire()
        finally:
            lock.close()

    def registered(self) -> list[RegisteredExecutor]:
        """Return all registered executors, including lost ones until they are forgotten."""
        found: list[RegisteredExecutor] = []
        for path in matching(self._directory, "exe_*.lock"):
            with suppress(FileNotFoundError):
                about, counted_at = path.read_bytes()[COUNTER_BYTES:], path.stat().st_mtime_ns // 1_000_000
                found.append(RegisteredExecutor(path.stem, about, counted_at, self._free(path)))
        return found

    def forget(self, kept: set[str]) -> None:
        """Forget executors whose locks are free, except ``kept``."""
        for path in matching(self._directory, "exe_*.lock"):
            if path.stem != self.executor and path.stem not in kept:
                with suppress(FileNotFoundError):
                    if self._free(path):
                        path.unlink()

    def alone(self) -> bool:
        """Return True if no other executor is registered."""
        try:
            return sum(1 for _ in self._directory.iterdir()) == 1
        except OSError:  # unknown; the answer only affects batching
            return False

    def leave(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._file)
        self._lock.close()
