"""Retries: the one policy of servers, executors and the CLI for when something is tried again."""

from typing import NamedTuple

DOUBLINGS_MAX = 16


class Backoff(NamedTuple):
    """Delays that begin with ``first`` seconds and double up to ``most``."""

    first: float
    most: float

    def after(self, failures: int) -> float:
        """Return the delay in seconds after a number of failures in a row, at least 1."""
        return min(self.first * 2.0 ** min(failures - 1, DOUBLINGS_MAX), self.most)


LOG = Backoff(0.05, 5.0)
"""While the log cannot take a transaction."""

REQUEST = Backoff(0.2, 5.0)
"""Between calls of a model, and between requests of the CLI to a server that does not answer.

Multiply it by a random fraction, so that clients do not come back together.
"""
