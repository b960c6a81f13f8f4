"""Replies: mails the responses and reports of MM4 to their peers, again and again until they are
taken or their time is over.

Comes from: whatever commits what they tell, with the mail in the same transaction (I1, I3).
Goes on to: ``exchange``, which has the connections.

Each peer has a line of its own, so that a slow one holds up no other (I5). What waits is in the
store; of each line a bounded number is in memory too, and mails for later are in the store only.
Of several nodes each mails what it has put, and what one had that ended (I2).
"""

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from attrs import define, field
from sqlalchemy import Connection, and_, func, select, update
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw.flow.exchange import Exchange
from smsgw.identities import Identities
from smsgw.queues import Transaction
from smsgw.rules.tables import Tables
from smsgw.smtp.client import Mail, Outcome, Result
from smsgw.smtp.outgoing import Outgoing
from smsgw.store import schema
from smsgw.store.changes import Changes, StoreFailed
from smsgw.store.journal import Journal

_log = Logger()

LASTS_MS = 72 * 3600_000  # how long a mail is tried (spec/mm4.md §4)
RETRY_S = (60, 300, 900, 1800, 3600)
WINDOW = 16  # mails under way to one peer
RESIDENT = 1_000  # mails of one peer in memory
_AGAIN_S = 1.0  # until a store that failed is asked again


class MailRow(NamedTuple):
    """A row of ``mm4_mail``; times are ms since 1970 UTC."""

    id: int
    peer: str
    due: int
    attempts: int
    expires_at: int
    recipient: str
    content: bytes
    node: int


@define(eq=False)
class _Line:
    """What waits for one peer."""

    peer: str
    ready: deque[MailRow] = field(factory=deque)
    held: set[int] = field(factory=set)  # ready or under way, or sent and not removed yet
    under_way: int = 0
    behind: bool = False  # the store has more than is ready
    paging: bool = False
    timer: Any = None


class Replies:
    """All mails that answer and report."""

    def __init__(
        self,
        tables: Callable[[], Tables],
        exchange: Exchange,
        journal: Journal,
        identities: Identities,
        clock: IReactorTime,
        now: Callable[[], float] = time.time,
        node: int = 0,
        shared: bool = False,
    ) -> None:
        """``now`` gives seconds since 1970; ``clock`` runs the timers of mails for later;
        ``shared`` if other nodes than this ``node`` have the same store."""
        self._tables = tables
        self._exchange = exchange
        self._journal = journal
        self._allot = identities.allot
        self._clock = clock
        self._now = now
        self._node = node
        self._shared = shared
        self._lines: dict[str, _Line] = {}
        self._running = False
        # For operators, since the start.
        self.sent = self.given_up = 0

    def put(self, transaction: Transaction, peer: str, recipient: str, content: bytes) -> None:
        """Has ``content`` (a whole mail) mailed to ``recipient`` of the peer, from our system
        address, once the transaction is durable."""
        now = int(self._now() * 1000)
        row = MailRow(self._allot(), peer, now, 0, now + LASTS_MS, recipient, content, self._node)
        transaction.changes.mails.append(row)
        transaction.after.append(partial(self._stored, row))

    async def start(self) -> None:
        """Goes on with what waits from before."""
        await self._journal.run(partial(_free_to, node=self._node, shared=self._shared))
        self._running = True
        await self.adopt()
        for line in list(self._lines.values()):
            self._go(line)

    async def adopt(self) -> None:
        """Goes on with what is this node's in the store, of others that ended too."""
        c, node = schema.mm4_mail.c, self._node

        def read(connection: Connection) -> list[str]:
            peers = select(c.peer).where(c.node == node).distinct()
            return list(connection.execute(peers).scalars())

        for peer in await self._journal.run(read):
            line = self._line(peer)
            line.behind = True
            self._go(line)

    def stop(self) -> None:
        """Begins no mail any more."""
        self._running = False
        for line in self._lines.values():
            _cancel(line)

    def waiting(self) -> dict[str, int]:
        """For operators, by peer: mails in memory that are not taken yet."""
        return {line.peer: len(line.held) for line in self._lines.values()}

    def _line(self, peer: str) -> _Line:
        line = self._lines.get(peer)
        if line is None:
            line = self._lines[peer] = _Line(peer)
        return line

    def _stored(self, row: MailRow) -> None:
        line = self._line(row.peer)
        if line.behind or len(line.held) >= RESIDENT:
            line.behind = True
        else:
            line.held.add(row.id)
            line.ready.append(row)
        self._go(line)

    def _go(self, line: _Line) -> None:
        if not self._running:
            return
        while line.ready and line.under_way < WINDOW:
            row = line.ready.popleft()
            if row.expires_at <= self._now() * 1000:
                self._over(line, row, "it waited too long")
                continue
            outgoing = self._exchange.of(line.peer)
            if outgoing is None:
                self._over(line, row, "the peer is no more")
                continue
            self._send(line, row, outgoing)
        if line.behind and not line.ready and not line.paging:
            self._page(line)
        elif not line.held and not line.behind and line.timer is None and not line.paging:
            self._lines.pop(line.peer, None)

    def _send(self, line: _Line, row: MailRow, outgoing: Outgoing) -> None:
        line.under_way += 1
        mail = Mail(self._exchange.system, [row.recipient], row.content)
        outgoing.send(mail).addCallback(self._answered, line, row).addErrback(
            lambda failure: _log.failure("MM4 to {peer}", failure, peer=line.peer)
        )

    def _answered(self, outcomes: dict[str, Outcome], line: _Line, row: MailRow) -> None:
        line.under_way -= 1
        outcome = outcomes[row.recipient]
        now = int(self._now() * 1000)
        if outcome.result is Result.DELIVERED:
            self.sent += 1
            self._settle(line, row, Changes(mails_done=[row.id], soon=True))
            return
        due = now + self._pause_s(line.peer, row.attempts) * 1000
        if outcome.result is Result.PERMANENT or due >= row.expires_at:
            self._over(line, row, outcome.words)
        elif self._running:
            _log.info(
                "MM4 to {peer}: not taken, again in {wait} s: {why}",
                peer=line.peer,
                wait=(due - now) // 1000,
                why=outcome.words,
            )
            changes = Changes(mails_postponed=[(row.id, due, row.attempts + 1)], soon=True)
            self._settle(line, row, changes, due)

    def _pause_s(self, peer: str, attempts: int) -> int:
        form = self._tables().carriers.get(peer.removeprefix("carrier:"))
        pauses = form.retry_s if form is not None and peer.startswith("carrier:") else RETRY_S
        return pauses[min(attempts, len(pauses) - 1)]

    def _over(self, line: _Line, row: MailRow, why: str) -> None:
        self.given_up += 1
        _log.warn("MM4 to {peer}: given up: {why}", peer=line.peer, why=why)
        self._settle(line, row, Changes(mails_done=[row.id], soon=True))

    def _settle(self, line: _Line, row: MailRow, changes: Changes, due: int = 0) -> None:
        """Writes what became of a mail, until the store takes it."""

        def stored(_: None) -> None:
            line.held.discard(row.id)
            if due:
                self._await(line, due)
            self._go(line)

        def failed(failure: Failure) -> None:
            failure.trap(StoreFailed)
            if self._running:  # else it is mailed again after a start
                self._clock.callLater(_AGAIN_S, self._settle, line, row, changes, due)

        self._journal.commit(changes).addCallbacks(stored, failed)
        if not due:
            self._go(line)

    def _await(self, line: _Line, due: int) -> None:
        """The line has something that is due then, in the store only."""
        if not self._running:
            return
        wait = max(0.0, due / 1000 - self._now())
        if line.timer is not None:
            if line.timer.getTime() <= self._clock.seconds() + wait:
                return
            _cancel(line)

        def is_due() -> None:
            line.timer = None
            line.behind = True
            self._go(line)

        # A wall clock that is set forward must not make a retry late: look once a minute.
        line.timer = self._clock.callLater(min(60.0, wait), is_due)

    def _page(self, line: _Line) -> None:
        line.paging = True
        line.behind = False
        now, node = int(self._now() * 1000), self._node
        reading = self._journal.run(
            lambda c: _read_page(c, line.peer, node, now, RESIDENT + len(line.held))
        )
        reading.addCallbacks(self._paged, self._not_read, callbackArgs=(line,), errbackArgs=(line,))

    def _paged(self, page: tuple[list[MailRow], bool, int], line: _Line) -> None:
        rows, more, soonest = page
        line.paging = False
        # Behind already: something was put while this was read.
        line.behind = line.behind or more
        for row in rows:
            if row.id not in line.held:
                line.held.add(row.id)
                line.ready.append(row)
        if soonest:
            self._await(line, soonest)
        if line.behind and not line.ready and line.held:
            return  # the end of what is under way goes on
        self._go(line)

    def _not_read(self, failure: Failure, line: _Line) -> None:
        _log.error("MM4 to {peer}: not read: {why}", peer=line.peer, why=failure.value)
        line.behind = True
        if not self._running:
            return

        def again() -> None:
            line.paging = False
            self._go(line)

        self._clock.callLater(_AGAIN_S, again)


def _cancel(line: _Line) -> None:
    if line.timer is not None and line.timer.active():
        line.timer.cancel()
    line.timer = None


def take_over_mails(connection: Connection, dead: int, node: int) -> None:
    """What a dead node had to mail is another's."""
    c = schema.mm4_mail.c
    connection.execute(update(schema.mm4_mail).where(c.node == dead).values(node=node))


def _free_to(connection: Connection, node: int, shared: bool) -> None:
    """What no node has that lives or is to be taken over is this one's: of a former number, or of
    a store that was moved."""
    c = schema.mm4_mail.c
    others = c.node != node
    if shared:
        others &= c.node.not_in(select(schema.node.c.number))
    connection.execute(update(schema.mm4_mail).where(others).values(node=node))


def _read_page(
    connection: Connection, peer: str, node: int, now: int, limit: int
) -> tuple[list[MailRow], bool, int]:
    """Mails that are due, whether there are more, and when the next later one is due."""
    c = schema.mm4_mail.c
    mine = and_(c.peer == peer, c.node == node)
    query = (
        select(schema.mm4_mail).where(and_(mine, c.due <= now)).order_by(c.due, c.id).limit(limit)
    )
    rows = [MailRow(*row) for row in connection.execute(query)]
    soonest = connection.execute(select(func.min(c.due)).where(and_(mine, c.due > now))).scalar()
    return rows, len(rows) == limit, soonest or 0
