"""Former: which carriers had a part before, and what they said of it.

Comes from: ``settle``, when a carrier could not deliver a part and the next one gets it. Goes on
to: ``settle`` again, when one of them delivered the part after all.
"""

from attrs import evolve

from smsgw.message import FORMER, Acknowledgement, Message, MessageState
from smsgw.queues import Entry
from smsgw.store.records import FINAL_STATES


def part_row(message: Message, number: int) -> tuple[object, ...]:
    """The row of the ``part`` table for a part, or for a number of ``Message.former``."""
    a = (message.former if number >= FORMER else message.acknowledged).get(number)
    if a is None:
        # It waits for a carrier again.
        return message.id, number, "", "", 0, int(MessageState.ENROUTE)
    return message.id, number, a.carrier, a.carrier_id, a.at, int(a.state)


def of_part(message: Message, part: int) -> dict[int, Acknowledgement]:
    """What carriers acknowledged that had the part before, by their numbers."""
    return {n: a for n, a in message.former.items() if n % FORMER == part}


def put_aside(message: Message, part: int) -> list[tuple[object, ...]]:
    """The carrier that has the part is now one that had it; the rows that say so."""
    number = part + FORMER * (len(of_part(message, part)) + 1)
    message.former = {**message.former, number: message.acknowledged.pop(part)}
    return [part_row(message, number), part_row(message, part)]


def delivered_late(message: Message, part: int, carrier: str) -> list[tuple[object, ...]]:
    """A former carrier has delivered the part after all; the rows that say so."""
    for number, one in of_part(message, part).items():
        if one.carrier == carrier:
            delivered = evolve(one, state=int(MessageState.DELIVERED))
            message.former = {**message.former, number: delivered}
            return [part_row(message, number)]
    return []


def delivered_before(entry: Entry) -> Acknowledgement | None:
    """What a former carrier acknowledged and delivered of the entry's part; None if none did."""
    for one in of_part(entry.message, entry.part).values():
        if one.state == MessageState.DELIVERED:
            return one
    return None


def ended(entry: Entry) -> bool:
    """True if there is nothing to send any more, though the entry is not settled: the store failed
    at the answer, took the receipt that came next, and a crash lost the answer; or a former carrier
    has delivered it after all."""
    message = entry.message
    if message.state in FINAL_STATES:
        return True
    part = message.acknowledged.get(entry.part)
    if part is not None and part.state in FINAL_STATES:
        return True
    return bool(message.former) and delivered_before(entry) is not None
