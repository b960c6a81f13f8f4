"""Dead: ends handovers, and keeps those that were given up, so that they can be looked at and put
back.

Comes from: ``handover``, ``deliver`` and ``expiry`` with what became of an entry. Goes on to:
``settle``, which ends the message; or back to the entry's queue, when an operator says so.
"""

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen
from sqlalchemy import Connection, and_, delete, func, or_, select

from smsgw import codes
from smsgw.flow.targets import (
    HANDOVER_MS,
    MO_MS,
    REPORT_MS,
    account_queue,
    is_callback,
    is_target_queue,
    targets_of,
)
from smsgw.message import Acknowledgement, Message, MessageState
from smsgw.provisioning.targets import is_relay, masked
from smsgw.queues import Entry, Kind, Queues, Transaction
from smsgw.store import records, schema
from smsgw.store.journal import Changes, Journal, StoreFailed, write
from smsgw.store.records import Records

if TYPE_CHECKING:
    from smsgw.flow.settle import Settlement

KEPT_MS = 30 * 24 * 3600_000  # how long dead letters are kept
REASON = 200  # characters of why, at most
PAGE = 500  # dead letters that are read and changed at once
_NAME = 64  # characters of a target's name in the row of its outcome

_DELIVERED, _EXPIRED = MessageState.DELIVERED, MessageState.EXPIRED
_REJECTED, _ENROUTE = MessageState.REJECTED, MessageState.ENROUTE


def end(
    settlement: "Settlement",
    entry: Entry,
    state: MessageState,
    why: str,
    transaction: Transaction,
    now: int,
    error: int = 0,
) -> None:
    """The handover of ``entry`` is over.

    ``state`` says how (ruling 17): DELIVERED, REJECTED (refused for good), EXPIRED (given up); the
    latter two leave a dead letter with the reason ``why``. An MO ends with the last of its targets.
    ``error`` is the code of an MO that comes to nothing, if it is not that of ``state``.
    """
    transaction.settled.append(entry)
    message = entry.message
    if state is not _DELIVERED:
        letter = schema.DeadRow(
            entry.id,
            entry.queue,
            entry.kind,
            message.id,
            entry.part,
            entry.attempts,
            now,
            masked(why)[:REASON],
        )
        transaction.changes.dead.append(letter)
        if entry.kind == Kind.MO and message.targets and is_relay(message.targets[entry.part]):
            settlement.notify(entry, transaction, now)
    if entry.kind != Kind.MO or MessageState(message.state).final:
        return
    ends = [state]
    if len(message.targets) > 1:
        name = masked(message.targets[entry.part])[:_NAME]
        message.acknowledged[entry.part] = Acknowledgement(name, "", now, state)
        transaction.changes.parts.append((message.id, entry.part, name, "", now, int(state)))
        if not _all_ended(message):
            return
        ends = [MessageState(a.state) for a in message.acknowledged.values()]
    _close(settlement, message, ends, transaction, now, error)


def _all_ended(message: Message) -> bool:
    """True if an MO with several targets has come to its end at each of them."""
    ends = message.acknowledged.values()
    return len(ends) == len(message.targets) and all(a.state != _ENROUTE for a in ends)


def _close(
    settlement: "Settlement",
    message: Message,
    ends: Iterable[MessageState],
    transaction: Transaction,
    now: int,
    error: int = 0,
) -> None:
    best = next(s for s in (_DELIVERED, _EXPIRED, _REJECTED) if s in ends)
    if best is not _DELIVERED:
        expired = best is _EXPIRED
        message.error = error or (codes.VALIDITY_OVER if expired else codes.REJECTED_BY_NEXT_HOP)
    settlement.close(message, best, transaction, now)


@frozen
class Which:
    """Which dead letters are meant: those that all of this holds for, all of them if it is empty.

    ``queue`` is a name as operators see it, without what may be secret in its URL.
    """

    ids: tuple[int, ...] = ()
    account: str = ""
    queue: str = ""

    def read(self, connection: Connection, after: int, limit: int) -> list[schema.DeadRow]:
        """The first of those with an id above ``after``, the oldest first."""
        c = schema.dead.c
        conditions = [c.id > after]
        if self.ids:
            conditions.append(c.id.in_(self.ids))
        if self.account:
            # Not by their names: reports make a queue for every host that messages named.
            targets = targets_of(self.account)
            theirs = func.substr(c.queue, 1, len(targets)) == targets
            conditions.append(or_(c.queue == account_queue(self.account), theirs))
        if self.queue:
            named = masked(self.queue)
            names = [q for q in _queues(connection) if masked(q) == named]
            conditions.append(c.queue.in_(names))
        query = select(schema.dead).where(and_(*conditions)).order_by(c.id).limit(limit)
        return [schema.DeadRow(*row) for row in connection.execute(query)]


def _queues(connection: Connection) -> list[str]:
    return list(connection.execute(select(schema.dead.c.queue).distinct()).scalars())


def remove_before(connection: Connection, at: int, limit: int) -> int:
    """Removes dead letters that were given up before ``at`` (ms); how many there were, ``limit`` at
    most."""
    c = schema.dead.c
    ids = list(connection.execute(select(c.id).where(c.at < at).limit(limit)).scalars())
    if ids:
        connection.execute(delete(schema.dead).where(c.id.in_(ids)))
    return len(ids)


def revive(
    letters: Iterable[schema.DeadRow], messages: dict[int, Message], now: int
) -> Transaction:
    """The transaction that puts dead letters back, as if they had never been tried.

    The MO of one is on its way again. Of a letter whose message is gone nothing comes.
    """
    transaction = Transaction()
    changes = transaction.changes
    for letter in letters:
        changes.raised.append(letter.id)
        message = messages.get(letter.message)
        if message is None:
            continue
        # Under the same id, so that who got it after all knows it again.
        entry = Entry(letter.id, letter.queue, now, letter.kind, message, letter.part)
        entry.expires_at = now + _lasts_ms(letter)
        transaction.put.append(entry)
        if letter.kind == Kind.MO:
            message.state = int(_ENROUTE)
            changes.moved.append((message.id, message.state))
            outcome = message.acknowledged.get(letter.part)
            if outcome is not None:
                outcome.state = int(_ENROUTE)
                row = (message.id, letter.part, outcome.carrier, "", outcome.at, outcome.state)
                changes.parts.append(row)
    return transaction


def _lasts_ms(letter: schema.DeadRow) -> int:
    if not is_target_queue(letter.queue) or is_callback(letter.queue):
        return HANDOVER_MS
    return MO_MS if letter.kind == Kind.MO else REPORT_MS


class DeadLetters:
    """The dead letters of a running gateway."""

    def __init__(
        self,
        journal: Journal,
        queues: Queues,
        known: Records,
        settlement: "Settlement",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._settlement = settlement
        self._journal = journal
        self._queues = queues
        self._known = known
        self._now = now
        # Those that are being put back: who asks at the same time must not put them back twice.
        self._rising: set[int] = set()
        self.reopened = 0  # how often any were put back

    async def put_back(self, which: Which, action: schema.ActionRow) -> int:
        """Puts them back to their queues; how many. ``action`` is for the audit.

        Raises ``StoreFailed``; those put back before stay so.
        """
        count = after = 0
        while True:
            letters, messages = await self._journal.run(partial(_page, which=which, after=after))
            if not letters:
                return count
            after = letters[-1].id
            letters = [one for one in letters if one.id not in self._rising]
            if not letters:
                continue
            known = self._known.adopt(messages)
            before = [
                _Before.of(known[one.message], one.part)
                for one in letters
                if one.kind == Kind.MO and one.message in known
            ]
            transaction = revive(letters, known, int(self._now() * 1000))
            if not count:
                transaction.changes.actions.append(action)
            ids = {one.id for one in letters}
            self._rising |= ids
            self.reopened += 1
            try:
                await self._queues.commit(transaction)
            except StoreFailed:
                for each in before:
                    each.restore()
                self._close_ended({one.message.id: one.message for one in before})
                raise
            finally:
                self._rising -= ids
            count += len(letters)

    def _close_ended(self, messages: dict[int, Message]) -> None:
        """What the other targets did not end, because these were thought to be tried again."""
        now = int(self._now() * 1000)
        transaction = Transaction()
        for message in messages.values():
            if message.state == _ENROUTE and message.targets and _all_ended(message):
                ends = [MessageState(a.state) for a in message.acknowledged.values()]
                _close(self._settlement, message, ends, transaction, now)
        if transaction.changes.closed:
            self._settlement.persist(transaction)

    async def drop(self, which: Which, action: schema.ActionRow) -> int:
        """Removes them; how many. Raises ``StoreFailed``."""
        count = after = 0
        while True:
            letters = (await self._journal.run(partial(_page, which=which, after=after)))[0]
            if not letters:
                return count
            after = letters[-1].id
            changes = Changes(raised=[one.id for one in letters])
            if not count:
                changes.actions.append(action)
            await self._journal.commit(changes)
            count += len(letters)


@frozen
class _Before:
    """What putting back a letter changes of its MO, to undo it if the store does not take it.

    Other targets of the MO may come to their ends meanwhile, and that stays.
    """

    message: Message
    state: int
    outcome: Acknowledgement | None
    ended: int

    @classmethod
    def of(cls, message: Message, part: int) -> "_Before":
        outcome = message.acknowledged.get(part)
        return cls(message, message.state, outcome, outcome.state if outcome is not None else 0)

    def restore(self) -> None:
        self.message.state = self.state
        if self.outcome is not None:
            self.outcome.state = self.ended


def _page(
    connection: Connection, which: Which, after: int
) -> tuple[list[schema.DeadRow], list[Message]]:
    letters = which.read(connection, after, PAGE)
    return letters, records.read(connection, list({one.message for one in letters}))


def change_offline(
    connection: Connection, which: Which, drop: bool, action: schema.ActionRow, now: int
) -> int:
    """Puts dead letters back, or drops them, in a store that no gateway has open; how many."""
    count = after = 0
    while True:
        with connection.begin():
            letters, messages = _page(connection, which, after)
        if not letters:
            return count
        after = letters[-1].id
        transaction = revive(letters, {} if drop else {m.id: m for m in messages}, now)
        changes = transaction.changes
        changes.entries.extend([entry.row() for entry in transaction.put])
        if not count:
            changes.actions.append(action)
        write(connection, [changes])
        count += len(letters)
