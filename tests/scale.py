"""The size of the heavy tests, from ``ATHENA_TEST_SCALE``: the same tests with other numbers."""

import os
from typing import TypeVar

T = TypeVar("T")

SCALES = ("quick", "ci", "full")
SCALE = os.environ.get("ATHENA_TEST_SCALE", "quick")

if SCALE not in SCALES:
    raise ValueError(f"ATHENA_TEST_SCALE: expected one of {', '.join(SCALES)} (it is {SCALE!r})")


def sized(quick: T, ci: T, full: T) -> T:
    """The value for this scale."""
    return (quick, ci, full)[SCALES.index(SCALE)]
