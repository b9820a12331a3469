"""Histograms of measured values."""

from bisect import bisect_left


class Histogram:
    """Counts of values by upper bound (inclusive, ascending) and above the last. One thread writes, any may read."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value
