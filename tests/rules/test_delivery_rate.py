"""Delivery rates: what share of their messages carriers deliver, as receipts tell."""

from hypothesis import given
from hypothesis import strategies as st

from smsgw.rules.delivery_rate import DeliveryRates

HOUR = 3600.0


class Watch:
    """The time, as a test sets it."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def counted(rates: DeliveryRates, delivered: int, failed: int) -> None:
    """So many receipts of north."""
    for n in range(delivered + failed):
        rates.count("north", n < delivered)


def test_a_carrier_that_few_receipts_tell_of_delivers_all() -> None:
    """So that it gets tried: with fewer than twenty, whatever they say."""
    rates = DeliveryRates(Watch())
    assert rates.of("north") == 1.0
    counted(rates, 0, 18)
    assert rates.of("north") == 1.0
    counted(rates, 0, 2)
    assert rates.of("north") == 0.0
    assert rates.of("south") == 1.0


def test_the_rate_is_the_share_that_was_delivered() -> None:
    """Of each carrier by itself."""
    rates = DeliveryRates(Watch())
    for _ in range(100):
        counted(rates, 3, 1)
    assert abs(rates.of("north") - 0.75) < 0.01
    assert rates.carriers() == ["north"]


def test_what_is_long_ago_counts_little() -> None:
    """By receipts: two thousand good ones outweigh all bad ones before."""
    rates = DeliveryRates(Watch())
    counted(rates, 0, 5_000)
    counted(rates, 2_000, 0)
    assert rates.of("north") > 0.97


def test_by_time_too() -> None:
    """Of a carrier without receipts nothing is known after some hours."""
    watch = Watch()
    rates = DeliveryRates(watch)
    counted(rates, 0, 1_000)
    watch.now += HOUR
    assert rates.of("north") == 0.0
    counted(rates, 30, 0)
    assert rates.of("north") > 0.4
    watch.now += 2 * HOUR
    assert rates.of("north") == 1.0


@given(st.lists(st.tuples(st.booleans(), st.floats(-HOUR, HOUR))))
def test_a_rate_is_a_share_whatever_the_clock_does(receipts: list[tuple[bool, float]]) -> None:
    """Also one that is set back."""
    watch = Watch()
    rates = DeliveryRates(watch)
    for delivered, step in receipts:
        watch.now += step
        rates.count("north", delivered)
        assert 0.0 <= rates.of("north") <= 1.0
