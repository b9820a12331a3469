"""The environment of this process, hidden from other processes: Linux shows the first one in ``/proc/PID/environ``."""

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

ENV_START, ENV_END = 49, 50  # fields of /proc/PID/stat, counted from 0
COMM_END = b") "
FIELDS_BEFORE = 2  # pid and comm


def hide() -> None:
    """Move the variables to the heap, then overwrite the block that ``/proc/PID/environ`` shows, also to root.

    For programs; call it first, before a library keeps a pointer into the block. Every variable keeps its value.
    """
    if sys.platform != "linux":
        return
    start, end = _block()
    for name, value in list(os.environ.items()):  # unset first: libc may keep the place of an equal value
        os.unsetenv(name)
        os.putenv(name, value)
    if 0 < start < end:
        ctypes.memset(start, 0, end - start)


def remove(names: Iterable[str]) -> None:
    """Remove variables, so that no child can inherit them."""
    import posix  # noqa: PLC0415  (os copies this dictionary at its import, and leaves it)

    for name in names:
        os.environ.pop(name, None)
        posix.environ.pop(os.fsencode(name), None)


def _block() -> tuple[int, int]:
    """Return the addresses of the initial environment; 0 where the kernel does not show them."""
    try:
        stat = Path("/proc/self/stat").read_bytes()
    except OSError:
        return 0, 0
    fields = stat.rpartition(COMM_END)[2].split()
    return int(fields[ENV_START - FIELDS_BEFORE]), int(fields[ENV_END - FIELDS_BEFORE])
