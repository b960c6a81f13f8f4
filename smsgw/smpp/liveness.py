"""Whether the peer of a session is still there: when to ask by enquire_link, and when to give
up.
"""

from enum import Enum
from math import inf

from smsgw.smpp.events import Timers


class Verdict(Enum):
    """What is due."""

    ALIVE = "alive"
    ASK = "ask"  # send an enquire_link
    IDLE = "idle"  # nothing of substance for too long: unbind
    DEAD = "dead"


class Liveness:
    """The keep-alive and inactivity clocks of one bound session (E-D25, L-D3, L-D4; ruling 3).

    Silence is the time without any PDU of the peer. Activity is every PDU of either side but our
    own enquire_link and its answer; so a peer that only answers is alive, but idle.
    """

    def __init__(self, timers: Timers, now: float) -> None:
        self.heard = now
        self.active = now
        self.asked = 0  # sequence of the enquire_link that is out, 0 = none
        self._asked_at = 0.0
        self._misses = 0
        self._timers = timers

    def restart(self, now: float) -> None:
        """Begin to measure."""
        self.heard = self.active = now

    def due(self) -> float:
        """When ``look`` is next worth while."""
        timers = self._timers
        due = self.active + timers.idle_s if timers.idle_s else inf
        if self.asked:
            return min(due, self._asked_at + timers.response_s)
        if timers.enquire_after_s:
            return min(due, self.heard + timers.enquire_after_s)
        return due

    def look(self, now: float) -> Verdict:
        """What is due at ``now``."""
        timers = self._timers
        if timers.idle_s and now >= self.active + timers.idle_s:
            return Verdict.IDLE
        if self.asked:
            if now < self._asked_at + timers.response_s:
                return Verdict.ALIVE
            self.asked = 0
            if self.heard <= self._asked_at:
                self._misses += 1
                return Verdict.DEAD if self._misses >= timers.enquire_misses else Verdict.ASK
            self._misses = 0  # it does not answer, but it speaks: silence is what is measured
        if timers.enquire_after_s and now >= self.heard + timers.enquire_after_s:
            return Verdict.ASK
        return Verdict.ALIVE

    def ask(self, sequence: int, now: float) -> None:
        """An enquire_link was sent."""
        self.asked = sequence
        self._asked_at = now

    def answered(self) -> None:
        """It was answered."""
        self.asked = 0
        self._misses = 0
