"""The memory of processes with all that they started, from one reading of /proc."""

import os
from collections.abc import Collection
from contextlib import suppress

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
PARENT, RSS = 1, 21
"""Fields of /proc/PID/stat, counted from the state."""


def tree_bytes(roots: Collection[int]) -> dict[int, int]:
    """Return the resident memory of each process and its descendants, in bytes. Blocks.

    It is 0 on systems without /proc. Pages that several processes share count for each of them.
    """
    parents, sizes = _processes()
    found = dict.fromkeys(roots, 0)
    for pid, size in sizes.items():
        above: int | None = pid
        seen = set[int]()
        while above is not None and above not in found and above not in seen:
            seen.add(above)  # pids are used again while they are read
            above = parents.get(above)
        if above in found:
            found[above] += size
    return found


def _processes() -> tuple[dict[int, int], dict[int, int]]:
    """Return the parent and the resident bytes of every process."""
    parents, sizes = dict[int, int](), dict[int, int]()
    with suppress(OSError), os.scandir("/proc") as entries:
        for name in (entry.name for entry in entries):
            if not name.isdecimal():
                continue
            with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - hundreds of them
                fields = file.read().rpartition(b") ")[2].split()
                parents[int(name)], sizes[int(name)] = int(fields[PARENT]), int(fields[RSS]) * PAGE_BYTES
    return parents, sizes
