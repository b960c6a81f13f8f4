"""Reports about messages that targets have not taken yet, or never will (E-D17, E-D18 of
``spec/aerialink.md``)."""

from collections.abc import Sequence

from attrs import frozen
from sqlalchemy import Connection, func, select, text

from smsgw.store import schema

# As the index of these entries has it: the store uses it for nothing else.
_TO_TARGETS = text("queue >= 'target:' AND queue < 'target;'")
_REPORTS = (2, 3)  # queues.Kind: RECEIPT and PROGRESS


@frozen
class Outstanding:
    """How often reports about a message were tried in vain, and when the next try is due (ms since
    1970 UTC), 0 if there is none."""

    tries: int = 0
    next_at: int = 0


def of_message(connection: Connection, message: int) -> Outstanding:
    """The reports of one message; those that were given up count as well."""
    q, d = schema.queue.c, schema.dead.c
    waiting = connection.execute(
        select(func.max(q.attempts), func.min(q.due)).where(
            q.message == message, _TO_TARGETS, q.kind.in_(_REPORTS)
        )
    ).one()
    if waiting[0]:
        return Outstanding(waiting[0], waiting[1])
    dead = connection.execute(
        select(func.max(d.attempts)).where(d.message == message, d.kind.in_(_REPORTS))
    ).scalar()
    return Outstanding(dead or 0)


def given_up(connection: Connection, messages: Sequence[int]) -> set[int]:
    """Which of these messages have a report or a delivery that was given up."""
    d = schema.dead.c
    query = select(d.message).where(d.message.in_(list(messages))).distinct()
    return set(connection.execute(query).scalars())
