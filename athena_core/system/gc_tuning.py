"""Tuning of Python's garbage collector for processes with many long-lived objects."""

import ctypes
import gc
import os
from pathlib import Path

THRESHOLDS = (50_000, 20, 50)
"""Thresholds of the three generations of the collector.

Cached states are many and live long, and the rows of a page all live until the page is written. With Python's default
thresholds, collections take a tenth of the time of a server and of a replay, and cause most of a server's slowest
answers.
"""

GROWTH_BYTES_MIN = 32 << 20
GROWTH_PARTS = 4
"""A full collection is due once the process has grown by a quarter, and by 32 MiB."""
STATM = Path("/proc/self/statm")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def tune_gc() -> None:
    """Exclude present objects from collections, and collect new ones less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


class GcTuner:
    """The trigger of full collections: between requests, once the process has grown.

    With these thresholds Python never collects the oldest objects, so memory used at a peak would not be freed.
    """

    def __init__(self) -> None:
        """Start from the present size."""
        self._resident = resident_bytes()

    def collect(self, *, idle: bool) -> bool:
        """Collect and return memory to the system if that is due. Return True if it was.

        A busy server waits until it has doubled in size, because a collection holds up every request.
        """
        parts = GROWTH_PARTS if idle else 1
        try:
            if resident_bytes() - self._resident < max(self._resident // parts, GROWTH_BYTES_MIN):
                return False
            gc.collect()
            release_memory()
            self._resident = resident_bytes()
        except OSError:  # no file descriptor is left
            return False
        return True


def resident_bytes() -> int:
    """Return the resident memory of this process in bytes."""
    return int(STATM.read_bytes().split()[1]) * PAGE_BYTES


def release_memory() -> None:
    """Return free memory of the allocator to the system, if the C library supports it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
