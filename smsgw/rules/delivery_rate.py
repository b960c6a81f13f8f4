"""How well carriers deliver: of the last final receipts of each, the share that say delivered.

A receipt counts for less with each that comes after it, and with its age: for an eighth after 1,000
others, for a sixteenth after an hour. So a carrier that nothing is sent to is unknown again after
an hour or so.
"""

import time
from collections.abc import Callable

from attrs import define

# With less than what is left of 20 receipts of the last minutes a carrier counts as if it delivered
# all, so that it gets tried.
LEAST = 18.0
_RECEIPTS = 500  # by one part in so many each receipt makes those before it lighter
_HALF_LIFE_S = 900.0


@define
class _Counted:
    at: float  # seconds since 1970
    delivered: float = 0.0
    all: float = 0.0


class DeliveryRates:
    """The delivery rates of all carriers, since the start of the gateway."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        """``now`` gives seconds since 1970."""
        self._now = now
        self._counted: dict[str, _Counted] = {}

    def count(self, carrier: str, delivered: bool) -> None:
        """A final receipt has come from the carrier."""
        now = self._now()
        counted = self._counted.get(carrier)
        if counted is None:
            counted = self._counted[carrier] = _Counted(now)
        kept = _aged(counted, now) * (1 - 1 / _RECEIPTS)
        counted.at = now
        counted.delivered = counted.delivered * kept + delivered
        counted.all = counted.all * kept + 1

    def of(self, carrier: str) -> float:
        """The share that the carrier delivered, 0 to 1; 1 if too few receipts tell."""
        counted = self._counted.get(carrier)
        if counted is None or counted.all * _aged(counted, self._now()) < LEAST:
            return 1.0
        return counted.delivered / counted.all

    def carriers(self) -> list[str]:
        """The carriers that receipts have come from."""
        return list(self._counted)


def _aged(counted: _Counted, now: float) -> float:
    """By how much less than at the last receipt those until then count now."""
    age = now - counted.at
    # A clock that was set back makes nothing younger.
    return 0.5 ** (age / _HALF_LIFE_S) if age > 0 else 1.0
