"""The size of workspaces on disk, and the bound of all of them together."""

import stat
import time
from pathlib import Path

from athena_core.errors import WorkspaceDiskFull
from athena_core.services.workspaces.trees import Identity, Stop, identity, in_thread, walk

MEASURE_SECONDS_MAX = 60.0
FRESH_SECONDS = 10.0
BLOCK_BYTES = 512
"""Size of a block in the status of a file. An entry counts at least one, because it takes an inode."""


class DiskUsage:
    """The disk usage of all workspaces of this machine."""

    def __init__(self, directory: Path, bytes_max: int) -> None:
        """Measure the directory of the workspaces, which need not exist."""
        self._directory = directory
        self.bytes_max = bytes_max
        self._measured: tuple[float, int] | None = None

    async def used(self, *, fresh: bool = False) -> int:
        """Return the bytes that all workspaces use, at most ten seconds ago unless ``fresh``."""
        if fresh or self._measured is None or time.monotonic() - self._measured[0] > FRESH_SECONDS:
            bytes_used = await size_of(self._directory)
            self._measured = time.monotonic(), bytes_used
        return self._measured[1]

    async def room(self) -> int:
        """Return the bytes that are left below the bound. Raise WorkspaceDiskFull if there are none."""
        used = await self.used()
        if used >= self.bytes_max:
            used = await self.used(fresh=True)
        if used >= self.bytes_max:
            raise full(used, self.bytes_max)
        return self.bytes_max - used


async def size_of(path: Path) -> int:
    """Return the bytes that a tree uses on disk, 0 if it does not exist.

    Raise Overloaded after 60 s, or OSError if it changes too much meanwhile.
    """
    return await in_thread("measuring a workspace", MEASURE_SECONDS_MAX, lambda stop: measure(path, stop))


def measure(path: Path, stop: Stop) -> int:
    """Return the bytes that a tree uses on disk. It blocks. What cannot be read counts as empty."""
    total = 0
    linked: set[Identity] = set()
    try:
        for entry in walk(path, stop):
            if entry.moment != "found":
                continue
            entry.enter = True
            status = entry.status
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                if identity(status) in linked:
                    continue
                linked.add(identity(status))
            total += max(status.st_blocks, 1) * BLOCK_BYTES
    except FileNotFoundError:
        return total
    return total


def full(used: int, bytes_max: int) -> WorkspaceDiskFull:
    """Return the error of a bound that is reached."""
    return WorkspaceDiskFull(
        f"The workspaces use {used} bytes of {bytes_max} (ATHENA_WORKSPACES_BYTES_MAX)."
        " Clean some (`athena workspaces clean`), then retry."
    )
