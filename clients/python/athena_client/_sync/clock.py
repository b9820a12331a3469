# Generated from ../_async/clock.py by `python -m docs.generate`; do not edit.
"""Time and random values of a client: the only module that waits, measures time or draws random bytes."""

import os
import time


class Clock:
    """The clock of a client. Tests pass one of their own."""

    def now(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def fraction(self) -> float:
        """Return a random number of at least 0 and less than 1."""
        return int.from_bytes(os.urandom(4), "big") / (1 << 32)

    def key(self) -> str:
        """Return a new idempotency key: 32 random hexadecimal digits."""
        return os.urandom(16).hex()
