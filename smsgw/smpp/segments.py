"""Deliveries that are too long for one PDU of a session without TLVs: cut into segments, sent as
the window allows, and answered for as one.
"""

from collections import deque
from collections.abc import Iterable, Sequence

from attrs import define

from smsgw.smpp.codec import encode
from smsgw.smpp.pdu import DeliverSm
from smsgw.smpp.translate import segments_of

Delivery = tuple[DeliverSm, object]  # with its context
Told = tuple[object, int | None]  # a context, and the status that answers its delivery


@define(eq=False)
class _Whole:
    """What the segments of one delivery have in common; it is their context."""

    context: object
    left: int  # segments that have no answer yet
    status: int | None = 0


class Segments:
    """The deliveries of one session on their way out."""

    def __init__(self) -> None:
        self._waiting: deque[Delivery] = deque()

    def __len__(self) -> int:
        """How many PDUs wait for room in the window."""
        return len(self._waiting)

    def add(self, items: Sequence[Delivery]) -> list[object]:
        """Queue deliveries; the contexts of those that cannot be cut, and so cannot be sent.

        Raises ``ValueError`` for a PDU that cannot be encoded; then nothing of the batch is queued.
        """
        for pdu, _ in items:
            encode(pdu)  # now, when it can be told
        impossible = []
        for pdu, context in items:
            try:
                pdus = segments_of(pdu)
            except ValueError:
                impossible.append(context)
                continue
            if len(pdus) > 1:
                context = _Whole(context, len(pdus))
            self._waiting += [(each, context) for each in pdus]
        return impossible

    def take(self, room: int) -> list[Delivery]:
        """The next PDUs, as many as there is room for."""
        return [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]

    def settle(self, answers: Iterable[Told]) -> list[Told]:
        """Which deliveries these answers complete.

        One segment that is refused or not answered ends its delivery: what waits of it is not sent.
        """
        told: list[Told] = []
        for context, status in answers:
            if not isinstance(context, _Whole):
                told.append((context, status))
                continue
            context.left -= 1
            if status != 0 and context.status == 0:
                context.status = status
                kept = [item for item in self._waiting if item[1] is not context]
                context.left -= len(self._waiting) - len(kept)
                self._waiting = deque(kept)
            if not context.left:
                told.append((context.context, context.status))
        return told

    def give_up(self) -> list[Told]:
        """The session has ended, and all segments that were sent are settled: nothing of the rest
        will be sent.
        """
        contexts = {id(context): context for _, context in self._waiting}
        self._waiting.clear()
        return [
            (context.context if isinstance(context, _Whole) else context, None)
            for context in contexts.values()
        ]
