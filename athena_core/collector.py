"""Python's garbage collector, set for processes that hold much for long or make much at once."""

import gc

THRESHOLDS = (50_000, 20, 50)
"""After how many new objects the youngest are looked at, and after how many such looks older ones.

Cached states are many and live long, and the rows of a page all live until it is written: to look at them as often as
Python does by itself is a tenth of the work of both a server and a replay, and most of a server's slowest answers.
"""


def calm() -> None:
    """Leave what there is to itself, and look at new objects less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
