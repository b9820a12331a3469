"""Python's garbage collector, set for processes that hold much for long or make much at once."""

import ctypes
import gc
import os
from pathlib import Path

THRESHOLDS = (50_000, 20, 50)
"""After how many new objects the youngest are looked at, and after how many such looks older ones.

Cached states are many and live long, and the rows of a page all live until it is written: to look at them as often as
Python does by itself is a tenth of the work of both a server and a replay, and most of a server's slowest answers.
"""

GROWTH_BYTES_MIN = 32 << 20
GROWTH_PARTS = 4
"""A look at everything is due once the process grew by a quarter, and by 32 MiB."""
STATM = Path("/proc/self/statm")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def tune_gc() -> None:
    """Leave what there is to itself, and look at new objects less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


class GcTuner:
    """Full collections of garbage, between requests, once the process has grown.

    With these thresholds Python never looks at the oldest objects, so the memory of a peak would not come back.
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
    """Return the memory of this process that is in RAM."""
    return int(STATM.read_bytes().split()[1]) * PAGE_BYTES


def release_memory() -> None:
    """Return free memory of the allocator to the system, where the C library is one that can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
