"""Queues: what waits to be sent to a carrier or handed over to an account. One contract, two homes.

A queue entry is put by the same transaction as the state it follows from (I3), with a due time and
an attempt count, and lives until the transaction that settles it. ``embedded.py`` dispatches from
the store in this process; with ``broker.py`` RabbitMQ says which entries are to be done next.
"""

from collections.abc import Callable, Iterable, Sequence, Set
from enum import IntEnum
from typing import Protocol

from attrs import define, field
from twisted.internet.defer import Deferred

from smsgw.message import Message
from smsgw.store.journal import Changes
from smsgw.store.schema import QueueRow


class Kind(IntEnum):
    """What is to be done with an entry's message."""

    SEND = 0  # one part, to a carrier
    MO = 1  # to its account
    RECEIPT = 2  # that the message has reached a final state, to its account
    PROGRESS = 3  # that the carrier has it (intermediate receipt), to its account
    NOTICE = 4  # that an MO was given up, to the mailbox of its account
    READ = 5  # that the recipient has read it, to its account


class Place(IntEnum):
    """Where an entry is (column ``place``)."""

    STORE = 0  # of queues in the store; these never look at it
    LATER = 1  # in the store until it is due
    HANDED = 2  # the broker has it, or will have it by the outbox


@define(eq=False)
class Entry:
    """One thing to do. Times are milliseconds since 1970 UTC."""

    id: int
    queue: str
    due: int
    kind: int
    message: Message
    part: int = 0
    attempts: int = 0
    expires_at: int = 0
    # True from the moment a consumer has it; on the way back it is False again.
    taken: bool = False
    # True once settled or expired: what still refers to it must let go.
    gone: bool = False

    def row(self) -> tuple[object, ...]:
        """Values of the ``queue`` table's columns, in order."""
        return (
            self.id,
            self.queue,
            self.due,
            # The driver takes an enum's member for an unknown type, which costs 20 times as much.
            int(self.kind),
            self.message.id,
            self.part,
            self.attempts,
            self.expires_at,
        )


class Consumer(Protocol):
    """A link or session that takes entries of a queue."""

    @property
    def room(self) -> int:
        """How many entries it can take now."""

    def take(self, entries: list[Entry]) -> None:
        """Entries to do, ``room`` at most. Each is settled or postponed some time later."""


@define
class Transaction:
    """What one step of the journey changes: rows, and queue entries put, settled or postponed."""

    changes: Changes = field(factory=Changes)
    put: list[Entry] = field(factory=list)
    settled: list[Entry] = field(factory=list)
    postponed: list[Entry] = field(factory=list)
    # Called once it is durable, with what is to follow at once.
    after: list[Callable[[], None]] = field(factory=list)

    def settle(self, entry: Entry) -> None:
        """The entry is done."""
        self.settled.append(entry)

    def postpone(self, entry: Entry, due: int, failed: bool = True) -> None:
        """The entry is tried again, not before ``due`` (ms); ``failed`` counts as an attempt."""
        entry.due = due
        entry.attempts += failed
        self.postponed.append(entry)

    def unwritten(self) -> None:
        """Undoes what a failed ``Queues.commit`` added to the changes, so that it can be called
        again."""
        self.changes.entries.clear()
        self.changes.settled.clear()
        self.changes.postponed.clear()
        self.changes.placed.clear()
        self.changes.replaced.clear()
        self.changes.outbox.clear()


class Queues(Protocol):
    """The contract of both homes."""

    # How many entries a queue may have, 0: any number.
    limit: Callable[[str], int]
    # Gives a queue that comes to be its consumer, None if somebody is to subscribe.
    attend: Callable[[str], Consumer | None]

    @property
    def full(self) -> Set[str]:
        """Names of the queues that hold as many entries as they may, or more."""

    def commit(self, transaction: Transaction) -> Deferred[None]:
        """Makes the transaction durable, then lets its entries take effect. Fails if nothing was
        stored."""

    def subscribe(self, queue: str, consumer: Consumer) -> None:
        """From now on the consumer gets entries of the queue."""

    def unsubscribe(self, queue: str, consumer: Consumer) -> None:
        """The consumer gets no more entries; those it has are still to be settled or postponed."""

    def pump(self, queue: str) -> None:
        """A consumer of the queue has room again."""

    def give_back(self, batch: list[Entry]) -> None:
        """A consumer broke on these: they are tried again later, and hold up no other."""

    async def claim(self, wanted: Sequence[tuple[QueueRow, Message]]) -> list[Entry]:
        """Entries for somebody who is no consumer, who settles or releases them; those are left out
        that are taken.

        The rows were read by the journal, and nothing has been awaited since; where other nodes
        have the same store, it is asked once more. A consumer does not get the entries any more:
        what is left of them in a line is skipped, and what brings them again finds them held.
        Raises ``StoreFailed``, and then nothing is claimed.
        """

    def release(self, entries: Iterable[Entry]) -> None:
        """What was claimed goes back to its queue as it was."""

    def held(self, entry_id: int, queue: str) -> Entry | None:
        """The entry in memory with this id, if there is one."""

    def hurry(self, queue: str) -> None:
        """What waits in a queue for a later time is due now."""

    def waiting(self, queue: str) -> int:
        """How many entries the queue has, due or not."""

    def resident(self) -> dict[str, tuple[int, int, bool]]:
        """For operators, by queue: entries ready, entries taken by consumers, whether more are
        elsewhere: in the store, or with the broker."""

    def review_limits(self) -> None:
        """The limits may be others now."""

    async def load(self) -> None:
        """Learns what the store holds, and begins to give it out."""

    def stop(self) -> None:
        """No entry is given out any more."""
