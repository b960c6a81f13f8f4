"""Route: chooses who takes a message, and who takes it when that one will not.

Comes from: ``accept`` with a message checked and coded; ``settle`` when a carrier refused.
Goes on to: the queue of the chosen carrier, for ``send``.
"""

from collections.abc import Callable

from smsgw.message import Message
from smsgw.provisioning import Route
from smsgw.queues import Entry, Kind
from smsgw.rules.tables import Tables

_SEND = int(Kind.SEND)


def choose(message: Message, tables: Tables) -> Route | None:
    """The route for the message, None if there is none that takes its kind."""
    routes = tables.routes if message.kind == "sms" else tables.mms_routes
    return routes.match(message.destination, message)


def able(chosen: Route, message: Message, tables: Tables) -> list[str]:
    """The carriers of the route that can take the message; an MMS may go to the others only as a
    link, if the route says so and none of its carriers takes it as it is."""
    if not tables.mm4:
        return chosen.carriers
    multimedia = message.kind == "mms"
    names = [name for name in chosen.carriers if (name in tables.mm4) == multimedia]
    return names or chosen.carriers


def carriers(
    chosen: Route, message: Message, is_up: Callable[[str], bool], tables: Tables
) -> list[str]:
    """The carriers that are to be tried, in order: those of the route, but first the first one that
    has a link up (``failover_down``)."""
    names = able(chosen, message, tables)
    # What goes out later goes when nobody knows yet who will be up.
    if len(names) == 1 or not chosen.failover_down or message.schedule_at > message.accepted_at:
        return names
    first = next((name for name in names if is_up(name)), names[0])
    return names if first == names[0] else [first, *(name for name in names if name != first)]


def carrier_queue(carrier: str) -> str:
    """Name of the queue of what waits for a carrier."""
    return "carrier:" + carrier


def entries(message: Message, first_id: int, due: int) -> list[Entry]:
    """One entry for each part, for the route's first carrier; ids from ``first_id`` on."""
    carrier = message.carriers[0]
    queue = carrier_queue(carrier)
    until = waits_until(message, carrier, due) if message.queue_ms else message.expires_at
    if len(message.parts) == 1:
        return [Entry(first_id, queue, due, _SEND, message, 0, 0, until)]
    return [
        Entry(first_id + n, queue, due, _SEND, message, n, 0, until)
        for n in range(len(message.parts))
    ]


def waits_until(message: Message, carrier: str, since: int) -> int:
    """Until when the message waits for ``carrier`` (ms): as long as it is valid, or before the
    route's last carrier for its ``queue_time_s``, counted from ``since``."""
    if message.queue_ms and carrier != message.carriers[-1]:
        return min(message.expires_at, since + message.queue_ms)
    return message.expires_at


def next_carrier(message: Message, refused_by: str, tables: Tables) -> str | None:
    """The carrier after ``refused_by`` in the message's route that still exists, None if it was the
    last."""
    names = message.carriers
    after = names.index(refused_by) + 1 if refused_by in names else len(names)
    return next((name for name in names[after:] if name in tables.carriers), None)
