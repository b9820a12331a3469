"""Retry delays, the same for servers, executors and the command line."""

from typing import NamedTuple

DOUBLINGS_MAX = 16


class Backoff(NamedTuple):
    """Exponential back-off: ``first`` seconds, doubled after each failure up to ``most``."""

    first: float
    most: float

    def after(self, failures: int) -> float:
        """Return the delay in seconds after ``failures`` (at least 1) consecutive failures."""
        return min(self.first * 2.0 ** min(failures - 1, DOUBLINGS_MAX), self.most)


LOG = Backoff(0.05, 5.0)
"""Delay while the log accepts no transaction."""

REQUEST = Backoff(0.2, 5.0)
"""Delay between calls of a model, and between requests of the CLI to a server that does not answer.

Multiply it by a random fraction, so that clients do not retry at the same moment.
"""
