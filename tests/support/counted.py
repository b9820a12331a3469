"""The work of Python as a count, which does not depend on the speed of the machine."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def lines(action: Callable[[], object]) -> int:
    """Return the number of lines that an action executes; a loop counts each turn."""
    count = 0

    def see(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return see

    before = sys.gettrace()
    sys.settrace(see)
    try:
        action()
    finally:
        sys.settrace(before)
    return count
