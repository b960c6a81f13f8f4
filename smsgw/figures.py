"""Figures that parts of the gateway keep for operators, cheap enough for the hot path."""

from bisect import bisect_left
from collections.abc import Sequence

# Upper bounds of buckets: seconds of what the store does and of what waits for it, and how many go
# together.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


class Histogram:
    """How often a value fell between which bounds; one thread adds, any may read."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """``bounds`` rise; a value counts in the first bucket whose bound it does not exceed."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)  # the last: above all bounds
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Counts one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value
