"""Money as whole numbers: exact both ways, and nothing is rounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.rules.money import amount, shown


@given(st.integers(-(10**16), 10**16))
def test_what_is_shown_is_read_again(value: int) -> None:
    """Shown and read, an amount is the same."""
    assert amount(shown(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0.00"), (1, "0.0001"), (-100, "-0.01"), (12_345_600, "1234.56"), (-15_050, "-1.505")],
)
def test_an_amount_has_two_digits_or_as_many_as_it_takes(value: int, text: str) -> None:
    """As people write money, without losing a ten-thousandth."""
    assert shown(value) == text


@pytest.mark.parametrize("text", ["0.00001", "one", "NaN", "Infinity", "1e-9"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    """Nothing is rounded silently."""
    with pytest.raises(ValueError, match=text):
        amount(text)


def test_nothing_is_zero() -> None:
    """A message without a price costs nothing."""
    assert amount("") == 0
