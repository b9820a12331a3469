"""The file lock: one process holds it at a time, and it is free as soon as its holder ends."""

import fcntl
import os
from pathlib import Path

from athena_core.system.private_file import DIRECTORY_MODE, FILE_MODE


class FileLock:
    """An exclusive ``flock`` on a file, which is never deleted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """True if this object holds the lock."""
        return self._descriptor is not None

    def acquire(self) -> bool:
        """Try to take the lock without waiting. Return True if this object holds it now."""
        if self._descriptor is not None:
            return True
        # the directory may have been moved away with the lock
        self._path.parent.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Release the lock if it is held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
