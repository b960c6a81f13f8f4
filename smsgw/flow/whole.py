"""Whole: long messages for a carrier that takes them in one piece, in message_payload.

Comes from: ``send``, with the entries of a link. Goes on to: ``settle`` by ``send``: the answer to
the one submit_sm is the answer to every part.

The parts of a message keep an entry each, so that failover, prices and states are the same with
every carrier. The first one brings the whole message; the others ride with it, which needs them to
come to the same carrier together: so they do to the first of the message's carriers, and to the
next ones if all before it were such.
"""

from attrs import define, field

from smsgw.flow.settle import Settlement
from smsgw.message import Acknowledgement, Message
from smsgw.provisioning import Carrier
from smsgw.queues import Entry
from smsgw.rules.tables import Tables


def rides(message: Message, carrier: Carrier, tables: Tables) -> bool:
    """True if ``carrier`` gets the message in one piece."""
    if len(message.parts) < 2 or carrier.long != "payload" or carrier.name not in message.carriers:
        return False
    before = message.carriers[: message.carriers.index(carrier.name)]
    forms = [tables.carriers.get(name) for name in before]
    return all(form is not None and form.long == "payload" for form in forms)


@define(eq=False)
class Wholes:
    """Of one carrier: messages that are outstanding in one piece, and what rides with them."""

    settlement: Settlement
    _riding: dict[int, list[Entry]] = field(factory=dict)

    def board(self, entries: list[Entry], carrier: Carrier) -> tuple[list[Entry], list[Entry]]:
        """Of what a link is given: what it is to send, and of that, which in one piece.

        The rest rides, or is settled with what has been sent.
        """
        tables = self.settlement.tables()
        sent: list[Entry] = []
        whole: list[Entry] = []
        late: list[tuple[Entry, Acknowledgement]] = []
        for entry in entries:
            message = entry.message
            if not rides(message, carrier, tables):
                sent.append(entry)
            elif entry.part == 0:
                self._riding.setdefault(message.id, [])
                sent.append(entry)
                whole.append(entry)
            elif message.id in self._riding:
                self._riding[message.id].append(entry)
            else:
                first = message.acknowledged.get(0)
                if first is not None and first.carrier == carrier.name:
                    late.append((entry, first))
                else:
                    sent.append(entry)  # its message was not sent in one piece
        if late:
            self._settle_late(late)
        return sent, whole

    def _settle_late(self, late: list[tuple[Entry, Acknowledgement]]) -> None:
        for entry, _ in late:
            entry.gone = True
        self.settlement.ride(late)

    @property
    def any(self) -> bool:
        """True if something rides."""
        return bool(self._riding)

    def alight(self, entry: Entry) -> list[Entry]:
        """What rode with an entry that has been answered."""
        return self._riding.pop(entry.message.id, []) if entry.part == 0 else []
