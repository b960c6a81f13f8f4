"""Money as whole numbers of ten-thousandths of the currency's unit, which add up exactly (I8)."""

from decimal import Decimal
from enum import IntEnum
from functools import lru_cache

PLACES = 4  # after the point
_SCALE = 10**PLACES


class Entry(IntEnum):
    """Why an amount is in the ledger."""

    OPENING = 0  # the balance of an account when it is first made prepaid
    TOP_UP = 1
    CHARGE = 2  # negative: a message was accepted
    REFUND = 3  # a message, or parts of it, came to nothing
    CORRECTION = 4  # negative: an operator takes back what was topped up by mistake


@lru_cache(4096)
def amount(text: str) -> int:
    """The ten-thousandths of a decimal such as "0.0100", "" being 0.

    ValueError for what is no number, or is finer than that.
    """
    if not text:
        return 0
    try:
        scaled = Decimal(text) * _SCALE
        whole = int(scaled)
    except (ArithmeticError, ValueError) as error:
        raise ValueError(f"{text!r} is no amount of money") from error
    if whole != scaled:
        raise ValueError(f"{text!r} has more than {PLACES} digits after the point")
    return whole


def shown(value: int) -> str:
    """``value`` ten-thousandths as a decimal with two digits after the point, or as many as it
    takes."""
    units, rest = divmod(abs(value), _SCALE)
    digits = f"{rest:0{PLACES}d}"
    return f"{'-' if value < 0 else ''}{units}.{digits[:2]}{digits[2:].rstrip('0')}"
