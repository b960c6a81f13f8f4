"""What is in flight on a session: our requests without an answer, and the peer's."""

from collections.abc import Sequence
from math import inf

from smsgw.smpp.constants import MAX_SEQUENCE
from smsgw.smpp.events import Answer, MisuseError
from smsgw.smpp.pdu import Pdu


class Outgoing:
    """Our requests that wait for an answer, oldest first.

    All have the same time to be answered in, and time never goes back; so the oldest is the first
    that is due, and none needs a timer.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        # By sequence number: context, class of the response, when the answer is due.
        self.entries: dict[int, tuple[object, type[Pdu], float]] = {}

    def due(self) -> float:
        """When the oldest is due; infinite if there is none."""
        for _, _, deadline in self.entries.values():
            return deadline
        return inf

    def expire(self, now: float) -> list[Answer]:
        """Give up those that are due."""
        late: list[Answer] = []
        while self.entries:
            sequence, (context, _, deadline) = next(iter(self.entries.items()))
            if deadline > now:
                break
            del self.entries[sequence]
            late.append((context, None))
        return late

    def give_up(self) -> list[Answer]:
        """Give up all."""
        lost: list[Answer] = [(context, None) for context, _, _ in self.entries.values()]
        self.entries.clear()
        return lost


class Incoming:
    """The peer's requests that wait for our answer.

    A peer may use a sequence number again before it is answered; that is its own confusion, and
    each of them gets its answer.
    """

    def __init__(self, size: int) -> None:
        """``size`` 0 = unbounded."""
        self.size = size or MAX_SEQUENCE
        self.count = 0
        self.owed: dict[int, int] = {}  # how many, by sequence number

    def settle(self, pdus: Sequence[Pdu]) -> None:
        """They are answered; ``MisuseError``, and no change, if one of them does not wait."""
        owed = self.owed
        for place, pdu in enumerate(pdus):
            count = owed.pop(pdu.sequence, 0)
            if count > 1:
                owed[pdu.sequence] = count - 1
            elif not count:
                for done in pdus[:place]:
                    owed[done.sequence] = owed.get(done.sequence, 0) + 1
                raise MisuseError(f"no request {pdu.sequence} waits for an answer")
        self.count -= len(pdus)

    def clear(self) -> None:
        """None of them will be answered."""
        self.owed.clear()
        self.count = 0
