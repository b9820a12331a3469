"""Locks between the processes on a state directory: files with ``flock`` on them."""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path

from athena_core.log.port import ABOUT_BYTES_MAX, ExecutorHeartbeat, RegisteredExecutor

COUNTER_BYTES = 8


class ProcessLock:
    """An advisory lock between processes: one open file, ``flock`` on it. Released when the process ends."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        """Open the file; without ``create`` raise FileNotFoundError where there is none."""
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)

    @classmethod
    def own(cls, path: Path) -> "ProcessLock":
        """Return a held lock on the file that has this name; others may delete files that are not locked."""
        while True:
            lock = cls(path)
            if lock.try_acquire() and path.exists() and path.stat().st_ino == os.fstat(lock._file).st_ino:
                return lock
            lock.close()

    def acquire(self) -> None:
        """Wait for it (a blocked thread can only be freed by the holder)."""
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def try_acquire(self) -> bool:
        """Take it if it is free. Return True if it was."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Give it up."""
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give it up and close the file."""
        os.close(self._file)


class FileLeaderLock:
    """A lock on a file that is named first and opened when it is taken (``protocols.LeaderLock``)."""

    def __init__(self, path: Path) -> None:
        """Name the file."""
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
        """Let go, if held."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


class FileExecutorRegistry:
    """The executors of a state directory: a locked file for each (``port.ExecutorRegistry``).

    It holds the counter, then the description of the executor.
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

        It is one write of one block, blanks behind the JSON. The block is taken at the start, so that no later write
        needs space, and readers find whole JSON.
        """
        written = counter.to_bytes(COUNTER_BYTES, "big") + about.ljust(ABOUT_BYTES_MAX)
        if os.pwrite(self._file, written, 0) < len(written):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))

    def heartbeat(self, executor: str) -> ExecutorHeartbeat | None:
        """Return the heartbeat of another executor, or None if it left in order and deleted its file."""
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
        """Return all executors, with those that are lost and not forgotten yet."""
        found: list[RegisteredExecutor] = []
        for path in sorted(self._directory.glob("exe_*.lock")):
            with suppress(FileNotFoundError):
                about, counted_at = path.read_bytes()[COUNTER_BYTES:], path.stat().st_mtime_ns // 1_000_000
                found.append(RegisteredExecutor(path.stem, about, counted_at, self._free(path)))
        return found

    def forget(self, kept: set[str]) -> None:
        """Forget executors whose locks are free, except ``kept``."""
        for path in self._directory.glob("exe_*.lock"):
            if path.stem != self.executor and path.stem not in kept:
                with suppress(FileNotFoundError):
                    if self._free(path):
                        path.unlink()

    def alone(self) -> bool:
        """Return True if no other executor is registered."""
        try:
            return sum(1 for _ in self._directory.iterdir()) == 1
        except OSError:  # unknown; to gather commits is only a saving
            return False

    def leave(self) -> None:
        """Leave in order."""
        self._path.unlink(missing_ok=True)
        os.close(self._file)
        self._lock.close()
