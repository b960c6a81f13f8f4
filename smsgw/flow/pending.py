"""Pending: finds messages that no carrier has been given yet, and cancels them.

Comes from: an edge (``submitted`` for SMPP, ``http/rest.py``), or an operator. Goes on to:
``settle``, which ends what is cancelled; ``replace`` changes what is found here.

Theory of operation. A message is pending as long as each of its parts has an entry of a carrier's
queue that no link has taken and that was never sent. Who changes it reads its entries and, in the
turn of the reactor in which they arrive, claims them (``EmbeddedQueues.claim``): from then on no
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

from smsgw import codes
from smsgw.flow.decide import Outcome
from smsgw.flow.settle import Settlement
from smsgw.identities import Identities
from smsgw.message import Direction, Message, MessageState
from smsgw.queues import Entry, Kind, Transaction
from smsgw.queues.embedded import EmbeddedQueues
from smsgw.refusals import Reason, Refusal
from smsgw.rules.tables import Tables
from smsgw.store import records, schema
from smsgw.store.journal import Journal, StoreFailed
from smsgw.store.records import Records
from smsgw.text import numbers

_log = Logger()

_NEAR = 3 << 21  # ids of three milliseconds: those of one message are allotted in one go
_LATEST = (1 << 63) - 1  # the highest id that the store can hold
_CHUNK = 5_000  # entries of the queue that are searched before the journal does something else
_TOGETHER = 500  # messages cancelled in one transaction
FIELDS = [one.name for one in fields(Message)]

Rows = list[schema.QueueRow]


class Pending:
    """Looks messages up, and cancels those that are pending."""

    def __init__(
        self,
        tables: Callable[[], Tables],
        queues: EmbeddedQueues,
        journal: Journal,
        known: Records,
        identities: Identities,
        settlement: Settlement,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``now`` gives seconds since 1970."""
        self._tables = tables
        self._queues = queues
        self._journal = journal
        self._known = known
        self._allot = identities.allot
        self._settlement = settlement
        self._now = now
        # One search at a time for each account, so that nobody keeps the journal busy.
        self._searching: dict[str, DeferredLock] = {}
        self.cancelled = 0  # for operators, since the start

    # Looking up

    async def message(self, account: str | None, id: int) -> Message | None:
        """The message with this id, None if there is none or it is not the account's (I6).

        ``account`` None is an operator's.
        """
        found = self._known.known.get(id)
        if found is None:
            read = await self._journal.run(lambda c: records.read(c, [id]))
            found = self._known.adopt(read).get(id)
        if found is None or (account is not None and found.account != account):
            return None
        return found

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

    # Cancelling

    async def cancel(
        self,
        account: str | None,
        id: int,
        fits: Callable[[Message], bool] = lambda message: True,
        action: schema.ActionRow | None = None,
    ) -> Outcome:
        """Ends a pending message as DELETED; the message, or why it stays as it is.

        ``fits`` says whether the message is the one that is meant, ``action`` what the audit keeps
        of it. The refusal is
        ``UNKNOWN_MESSAGE``, ``CANCEL_FAILED`` or ``STORE_FAILED``.
        """
        found = await self.find(account, id)
        if found is None:
            return Refusal(Reason.UNKNOWN_MESSAGE)
        message, rows = found
        if not fits(message):
            return Refusal(Reason.CANCEL_FAILED, "another source or destination")
        entries = self.claim(message, rows)
        if entries is None:
            return Refusal(Reason.CANCEL_FAILED, "it is not pending any more")
        stored = await self._delete([(message, entries)], [action] if action else [])
        return Refusal(Reason.STORE_FAILED) if not stored else message

    async def cancel_all(
        self, account: str, sources: Collection[str], destination: str, service_type: str
    ) -> int | Refusal:
        """Cancels all pending messages of the account from one of ``sources`` to ``destination``;
        how many there were."""
        async with self.turn(account):
            found = await self.addressed(account, sources, destination)
            done = 0
            for start in range(0, len(found), _TOGETHER):
                ids = [id for one in found[start : start + _TOGETHER] for id in one]
                claimed = []
                for message, rows in await self.fresh(ids):
                    if message.service_type == service_type:
                        entries = self.claim(message, rows)
                        if entries is not None:
                            claimed.append((message, entries))
                if claimed and not await self._delete(claimed):
                    return Refusal(Reason.STORE_FAILED)
                done += len(claimed)
        return done

    async def _delete(
        self,
        claimed: Sequence[tuple[Message, list[Entry]]],
        actions: Sequence[schema.ActionRow] = (),
    ) -> bool:
        """Ends messages of which all entries are claimed; False if the store does not take it."""
        now = int(self._now() * 1000)
        transaction = Transaction()
        before = [Before(message) for message, _ in claimed]
        transaction.changes.actions += actions
        transaction.settled = [entry for _, entries in claimed for entry in entries]
        state, error = MessageState.DELETED, codes.MESSAGE_DELETED
        try:
            for entry in transaction.settled:
                carrier = entry.queue.partition(":")[2]
                self._settlement.failed(entry, carrier, state, error, "", transaction, now)
            await self._queues.commit(transaction)
        except Exception as failed:
            self.undo(before, transaction)
            if not isinstance(failed, StoreFailed):
                raise
            _log.error("cancel: not stored: {why}", why=failed)
            return False
        self._settlement.credit(transaction)
        self.cancelled += len(claimed)
        return True

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

    def claim(self, message: Message, rows: Rows) -> list[Entry] | None:
        """The message's entries, which no consumer gets from now on; None if it is not pending."""
        if not self.whole(message, rows):
            return None
        claimed: list[Entry] = []
        for row in rows:
            entry = self._queues.claim(row, message)
            if entry is None:
                self._queues.release(claimed)
                return None
            claimed.append(entry)
        return claimed

    def undo(self, before: Iterable["Before"], transaction: Transaction) -> None:
        """The store did not take the transaction: messages and entries are as before."""
        for one in before:
            one.restore()
        self._queues.release(transaction.settled)

    async def find(self, account: str | None, id: int) -> tuple[Message, Rows] | None:
        """A message that was sent or is to be sent, with those of its entries that wait to be sent;
        None if there is no such message, or it is not the account's."""
        found = await self._journal.run(lambda c: _near(c, id))
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
            read = partial(_piece, after=after, until=until, condition=condition)
            after, rows = await self._journal.run(read)
            for id, message in rows:
                found.setdefault(message, []).append(id)
        return list(found.values())

    async def fresh(self, ids: Sequence[int]) -> list[tuple[Message, Rows]]:
        """Messages with those of these entries that still wait, as they are now."""
        if not ids:
            return []
        rows, messages = await self._journal.run(lambda c: _entries(c, ids))
        known = self._known.adopt(messages)
        found: dict[int, Rows] = {}
        for row in rows:
            found.setdefault(row.message, []).append(row)
        return [(known[id], waiting) for id, waiting in found.items() if id in known]

    def turn(self, account: str) -> "Turn":
        """One's turn to search among the messages of an account."""
        return Turn(self._searching.setdefault(account, DeferredLock()))


class Turn:
    """One's turn at a lock, for ``async with``."""

    def __init__(self, lock: DeferredLock) -> None:
        self._lock = lock

    async def __aenter__(self) -> None:
        await self._lock.acquire()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # What is thrown away while it waits ends with its process: nobody goes on after it.
        if kind is not GeneratorExit:
            self._lock.release()


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


def _near(connection: Connection, id: int) -> tuple[list[Message], Rows]:
    """The message, and its entries to be sent as far as they have the ids that follow its own."""
    q = schema.queue.c
    last = min(id + _NEAR, _LATEST)
    query = select(schema.queue).where(
        q.id > id, q.id <= last, q.message == id, q.kind == Kind.SEND
    )
    rows = [schema.QueueRow(*row) for row in connection.execute(query)]
    return records.read(connection, [id]), rows


def _piece(
    connection: Connection, after: int, until: int, condition: ColumnElement[bool]
) -> tuple[int, list[tuple[int, int]]]:
    """Searches some entries with ids after ``after``: the last one searched, and ids of those found
    with their message's."""
    q, m = schema.queue.c, schema.message.c
    last = connection.execute(
        select(q.id).where(q.id > after, q.id <= until).order_by(q.id).offset(_CHUNK - 1).limit(1)
    ).scalar()
    upto = until if last is None else last
    query = (
        select(q.id, q.message)
        .join(schema.message, m.id == q.message)
        .where(q.id > after, q.id <= upto, q.kind == Kind.SEND, condition)
        .order_by(q.id)
    )
    return upto, [(row.id, row.message) for row in connection.execute(query)]


def _entries(connection: Connection, ids: Sequence[int]) -> tuple[Rows, list[Message]]:
    q = schema.queue.c
    rows: Rows = []
    for start in range(0, len(ids), 500):
        query = select(schema.queue).where(q.id.in_(ids[start : start + 500]))
        rows += [schema.QueueRow(*row) for row in connection.execute(query)]
    return rows, records.read(connection, list({row.message for row in rows}))
