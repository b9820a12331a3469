"""The size of workspaces on disk, and the bound of all of them together."""

import stat
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import anyio

from athena_core.errors import WorkspaceDiskFull
from athena_core.services.workspaces.recording import CACHE_NAME
from athena_core.services.workspaces.snapshots import GIT
from athena_core.system.box.trees import Identity, Stop, identity, in_thread, walk

MEASURE_SECONDS_MAX = 60.0
BLOCK_BYTES = 512
"""Size of a block in the status of a file. An entry counts at least one, because it takes an inode."""

FileTimes: TypeAlias = tuple[int, int, int]


class DiskUsage:
    """The disk usage of all workspaces of this machine.

    A workspace is measured again after each of its snapshots: at the beginning and the end of a run. What a run writes
    meanwhile counts at its end.
    """

    def __init__(self, directory: Path, bytes_max: int) -> None:
        """Measure the directory of the workspaces, which need not exist."""
        self._directory = directory
        self.bytes_max = bytes_max
        self._sizes: dict[str, tuple[FileTimes, int]] = {}
        self._measuring = anyio.Lock()

    async def used(self) -> int:
        """Return the bytes that all workspaces use. Raise Overloaded after 60 s, or OSError."""
        async with self._measuring:
            return await in_thread("measuring the workspaces", MEASURE_SECONDS_MAX, self._measure)

    async def room(self) -> int:
        """Return the bytes that are left below the bound. Raise WorkspaceDiskFull if there are none."""
        used = await self.used()
        if used >= self.bytes_max:
            raise full(used, self.bytes_max)
        return self.bytes_max - used

    def _measure(self, stop: Stop) -> int:
        try:
            names = sorted(path.name for path in self._directory.iterdir())
        except FileNotFoundError:
            return 0
        self._sizes = {name: size for name, size in self._sizes.items() if name in names}
        total = 0
        for name in names:
            times, known = _snapshot_times(self._directory / name), self._sizes.get(name)
            if times is not None and known is not None and known[0] == times:
                total += known[1]
                continue
            size = measure(self._directory / name, stop)
            total += size
            if times is not None:
                self._sizes[name] = times, size
        return total


def _snapshot_times(workspace: Path) -> FileTimes | None:
    """Return what changes with each snapshot of a workspace, None before the first one."""
    with suppress(OSError):
        status = (workspace / GIT / CACHE_NAME).stat()
        return status.st_mtime_ns, status.st_ctime_ns, status.st_ino
    return None


async def size_of(path: Path) -> int:
    """Return the bytes that a tree uses on disk, 0 if it does not exist.

    Raise Overloaded after 60 s, or OSError if it changes too much meanwhile.
    """
    return await in_thread("measuring a workspace", MEASURE_SECONDS_MAX, lambda stop: measure(path, stop))


def measure(path: Path, stop: Stop) -> int:
    """Return the bytes that a tree uses on disk. It blocks. What cannot be read counts as empty."""
    total = 0
    linked: set[Identity] = set()
    with suppress(FileNotFoundError, NotADirectoryError):
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
    return total


def full(used: int, bytes_max: int) -> WorkspaceDiskFull:
    """Return the error of a bound that is reached."""
    return WorkspaceDiskFull(
        f"The workspaces use {used} bytes of {bytes_max} (ATHENA_WORKSPACES_BYTES_MAX)."
        " Clean some (`athena workspaces clean`), then retry."
    )
