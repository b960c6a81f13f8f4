"""Pending: looks messages up, and claims those that no carrier has been given yet.

Comes from: an edge (``submitted`` for SMPP, ``http/rest.py``), or an operator.
Goes on to: ``cancel`` and ``replace``, which end or change what is claimed here.

Theory of operation. A message is pending as long as each of its parts has an entry of a carrier's
queue that no link has taken and that was never sent. Who changes it reads its entries and, in the
turn of the reactor in which they arrive, claims them (``Queues.claim``): from then on no
link gets them, so a message is never both sent and deleted. One transaction then settles them with
all that follows; if the store does not take it, everything is as it was, and the entries go back.

The entries of a message are found by their ids, which follow its own. Only those that went to
another carrier have later ones; for these, and for messages that are named by their addresses, the
queue is searched, in pieces between which the journal does its other work.
"""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any

from attrs import fields
from sqlalchemy import ColumnElement, Connection, and_, select
from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from smsgw.flow import waiting
from smsgw.flow.passed import PassedOn
from smsgw.flow.turns import Turn
from smsgw.flow.waiting import Rows
from smsgw.identities import Identities
from smsgw.message import Direction, Message, MessageState
from smsgw.queues import Entry, Queues, Transaction
from smsgw.refusals import Reason
from smsgw.rules.tables import Tables
from smsgw.store import batches, records, schema
from smsgw.store.journal import Journal
from smsgw.store.records import Records
from smsgw.text import numbers

_log = Logger()

_ALIASES = 0xFFFFFFFF
_AHEAD_MS = 60_000  # by which they may be ahead of the clock: more than 1,000 a second were given
_ALIAS_CHUNK = 1_000
_LAST_SEARCHED = 100_000  # of an account's messages, for its last ones of one source
FIELDS = [one.name for one in fields(Message)]


class Pending:
    """Looks messages up, and claims those that are pending."""

    def __init__(
        self,
        tables: Callable[[], Tables],
        queues: Queues,
        journal: Journal,
        known: Records,
        identities: Identities,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``now`` gives seconds since 1970."""
        self._tables = tables
        self._queues = queues
        self._journal = journal
        self._known = known
        self._allot = identities.allot
        self._now = now
        # One search at a time for each account, so that nobody keeps the journal busy.
        self._searching: dict[str, DeferredLock] = {}
        # Asks carriers about what they have; None: nobody is asked.
        self.passed: PassedOn | None = None
        # True if other nodes bring messages further, too: what is known here may be old.
        self.shared = False

    # Looking up

    async def message(self, account: str | None, id: int) -> Message | None:
        """The message with this id, None if there is none or it is not the account's (I6).

        ``account`` None is an operator's.
        """
        found = self._known.known.get(id)
        if found is None or self.shared:
            read = await self._journal.run(lambda c: records.read(c, [id]))
            found = next(map(self._known.refresh, read), None)
        if found is None or (account is not None and found.account != account):
            return None
        return found

    async def batch(self, account: str | None, id: int) -> list[Message]:
        """The messages that the id of a request stands for, none if there is no such request of the
        account (I6).

        ``account`` None is an operator's.
        """
        found = await self._journal.run(lambda c: batches.read(c, id))
        if found is None or (account is not None and found.account != account):
            return []
        known = self._known.adopt(found.messages)
        return [known[one.id] for one in found.messages]

    async def received(self, account: str, number: str, after: int, limit: int) -> list[Message]:
        """MO of the account to a number of its own with ids above ``after``, at most ``limit``, the
        first of them first."""
        read = partial(records.received, account=account, number=number, after=after, limit=limit)
        return await self._journal.run(read)

    async def by_alias(self, account: str, alias: int) -> int:
        """The id of the account's message that a 3.3 session knows by this number, 0 if none."""
        c = schema.alias.c
        query = select(c.message).where(c.account == account, c.alias == alias)
        return await self._journal.run(lambda connection: connection.execute(query).scalar()) or 0

    async def last_aliases(self, account: str, sources: Collection[str], count: int) -> list[int]:
        """The numbers by which 3.3 sessions know the account's newest messages from one of
        ``sources``, the newest first, ``count`` at most of its last ``_LAST_SEARCHED``."""
        # They are given in the order of time, and begin again after seven weeks.
        newest = (int(self._now() * 1000) + _AHEAD_MS) & _ALIASES
        found: list[tuple[int, int]] = []
        searched = 0
        async with self.turn(account):
            for most, least in ((newest, 0), (_ALIASES, newest + 1)):
                while most >= least and len(found) < count and searched < _LAST_SEARCHED:
                    read = partial(_aliases, account=account, least=least, most=most)
                    rows = await self._journal.run(read)
                    found += [(id, alias) for alias, id, source in rows if source in sources]
                    searched += len(rows)
                    most = rows[-1][0] - 1 if len(rows) == _ALIAS_CHUNK else least - 1
        return [alias for _, alias in sorted(found[:count], reverse=True)]

    def senders(self, account: str, text: str, ton: int) -> frozenset[str]:
        """What the source of a message is if this is what its submitter wrote there."""
        tables = self._tables()
        form = tables.accounts.get(account)
        if form is None:
            return frozenset()
        asked = text or form.sender
        pool = tables.pools.get(account, {}).get(asked)
        if pool is not None:
            return frozenset(pool.senders)
        source = numbers.detect_source(asked, ton if text else numbers.UNKNOWN, form.country)
        return frozenset() if isinstance(source, Reason) else frozenset({source[0]})

    # What is pending

    def whole(self, message: Message, rows: Rows) -> bool:
        """True if no carrier has been given any part of the message, and all of them wait."""
        return not (
            message.state != MessageState.ENROUTE
            or message.direction != Direction.MT
            or message.acknowledged
            or message.former
            or len(rows) != len(message.parts)
            or any(row.attempts for row in rows)
        )

    async def claim(self, message: Message, rows: Rows) -> list[Entry] | None:
        """The message's entries, which no consumer gets from now on; None if it is not pending."""
        if not self.whole(message, rows):
            return None
        claimed = await self._queues.claim([(row, message) for row in rows])
        if len(claimed) < len(rows):
            self._queues.release(claimed)
            return None
        return claimed

    def undo(self, before: Iterable["Before"], transaction: Transaction) -> None:
        """The store did not take the transaction: messages and entries are as before."""
        for one in before:
            one.restore()
        self._queues.release(transaction.settled)

    async def find(self, account: str | None, id: int) -> tuple[Message, Rows] | None:
        """A message that was sent or is to be sent, with those of its entries that wait to be sent;
        None if there is no such message, or it is not the account's."""
        found = await self._journal.run(lambda c: waiting.near(c, id))
        message = self._known.adopt(found[0]).get(id)
        if message is None or message.direction != Direction.MT:
            return None
        if account is not None and message.account != account:
            return None
        rows = found[1]
        if (
            MessageState(message.state).final
            or message.acknowledged
            or len(rows) == len(message.parts)
        ):
            return message, rows
        # Another carrier's queue has it.
        async with self.turn(message.account):
            entries = await self._search(schema.queue.c.message == id)
            ids = [one for several in entries for one in several]
            for pair in await self.fresh(ids):
                return pair
        return message, []

    async def addressed(
        self, account: str, sources: Collection[str], destination: str
    ) -> list[list[int]]:
        """The entries of all messages of the account from one of ``sources`` to ``destination``
        that are to be sent: ids, together for each message. To be called in the account's turn."""
        m = schema.message.c
        return await self._search(
            and_(m.account == account, m.destination == destination, m.source.in_(list(sources)))
        )

    async def _search(self, condition: ColumnElement[bool]) -> list[list[int]]:
        """The entries to be sent whose message meets the condition: ids, together for each
        message."""
        until = self._allot()  # what is put later is not meant
        found: dict[int, list[int]] = {}
        after = 0
        while after < until:
            read = partial(waiting.piece, after=after, until=until, condition=condition)
            after, rows = await self._journal.run(read)
            for id, message in rows:
                found.setdefault(message, []).append(id)
        return list(found.values())

    async def fresh(self, ids: Sequence[int]) -> list[tuple[Message, Rows]]:
        """Messages with those of these entries that still wait, as they are now."""
        if not ids:
            return []
        rows, messages = await self._journal.run(lambda c: waiting.entries(c, ids))
        known = self._known.adopt(messages)
        found: dict[int, Rows] = {}
        for row in rows:
            found.setdefault(row.message, []).append(row)
        return [(known[id], own) for id, own in found.items() if id in known]

    def turn(self, account: str) -> Turn:
        """One's turn to search among the messages of an account."""
        return Turn(self._searching.setdefault(account, DeferredLock()))


class Before:
    """A message as it was, to be so again if the store does not take what was made of it."""

    def __init__(self, message: Message) -> None:
        self._message = message
        self._values: list[Any] = [getattr(message, name) for name in FIELDS]
        self._acknowledged = dict(message.acknowledged)

    def restore(self) -> None:
        """It is so again."""
        for name, value in zip(FIELDS, self._values, strict=True):
            setattr(self._message, name, value)
        self._message.acknowledged = self._acknowledged


def _aliases(
    connection: Connection, account: str, least: int, most: int
) -> list[tuple[int, int, str]]:
    """Some of the account's numbers from ``most`` down to ``least``, with the id that each stands
    for, of a message or of a submit_multi, and its source."""
    a, m = schema.alias.c, schema.message.c
    query = (
        select(a.alias, a.message, m.source)
        .join(schema.message, m.id == a.message, isouter=True)
        .where(a.account == account, a.alias >= least, a.alias <= most)
        .order_by(a.alias.desc())
        .limit(_ALIAS_CHUNK)
    )
    rows = list(connection.execute(query))
    sources = batches.sources(connection, [row.message for row in rows if row.source is None])
    return [
        (row.alias, row.message, sources.get(row.message, "") if row.source is None else row.source)
        for row in rows
    ]
