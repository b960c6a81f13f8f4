"""Figures: histograms count every value once, in the bucket of its bound."""

from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from smsgw.figures import SECONDS, Histogram

BOUNDS = st.lists(st.floats(0, 100), min_size=1, max_size=8, unique=True).map(sorted)


@given(BOUNDS, st.lists(st.floats(0, 200)))
def test_a_value_counts_in_the_first_bucket_that_holds_it(
    bounds: list[float], values: list[float]
) -> None:
    """Up to and with its bound; above all bounds in the last one."""
    figures = Histogram(bounds)
    for value in values:
        figures.add(value)
    assert sum(figures.counts) == len(values)
    for n, bound in enumerate(bounds):
        assert sum(figures.counts[: n + 1]) == sum(value <= bound for value in values)
    assert figures.sum == sum(values)


def test_bounds_rise() -> None:
    """As bisection needs it."""
    assert [bisect_left(SECONDS, one) for one in SECONDS] == list(range(len(SECONDS)))
