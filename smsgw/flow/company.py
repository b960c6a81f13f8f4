"""Company: the parts of a long message that an ESME cut itself take one way.

Comes from: ``decide``, for each message that calls itself a part. Goes on to: back to it, with the
route and the carriers that the parts before it have.
"""

from collections import OrderedDict
from typing import NamedTuple

from smsgw.flow import route
from smsgw.message import Message
from smsgw.provisioning import Route
from smsgw.rules.tables import Tables
from smsgw.text import parts

KEPT_MS = 3600_000  # how long a way is remembered
_MOST = 20_000  # ways


class _Way(NamedTuple):
    since: int
    route: str
    carriers: list[str]


Key = tuple[str, str, str, int, int]


class Company:
    """The ways of parts, by what their headers and addresses have in common."""

    def __init__(self) -> None:
        self._ways: OrderedDict[Key, _Way] = OrderedDict()

    def key(self, message: Message) -> Key | None:
        """What joins the message with others, None if it is no part."""
        place = parts.concat(message.parts[0]) if len(message.parts) == 1 else None
        if place is None or place[1] < 2:
            return None
        return message.account, message.source, message.destination, place[0], place[1]

    def way(
        self, key: Key, message: Message, tables: Tables, now_ms: int
    ) -> tuple[Route, list[str]] | None:
        """The route and the carriers, in order, of the parts before ``message``, which has this
        key; None if none is known, or if it is not provisioned so any more."""
        way = self._ways.get(key)
        if way is None or now_ms - way.since >= KEPT_MS:
            return None
        chosen = tables.provisioning.routes.get(way.route)
        if chosen is None or sorted(route.able(chosen, message, tables)) != sorted(way.carriers):
            return None
        return chosen, way.carriers

    def went(self, key: Key, message: Message, now_ms: int) -> None:
        """The message takes its way; the others with its key follow."""
        if key in self._ways:
            del self._ways[key]  # the newest is the last
        self._ways[key] = _Way(now_ms, message.route, message.carriers)
        if len(self._ways) > _MOST:
            self._ways.popitem(last=False)
