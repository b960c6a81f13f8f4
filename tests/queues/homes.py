"""Queues on a RabbitMQ as tests make them: a store, a journal, and messages to put."""

from typing import Any
from uuid import uuid4

from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from smsgw.identities import Identities
from smsgw.message import Message
from smsgw.queues import Entry, Transaction
from smsgw.queues.broker import BrokerQueues
from smsgw.store import records
from smsgw.store.journal import Journal
from smsgw.store.records import Records
from tests.amqp.rabbitmq import RabbitMq
from tests.journals import a_store
from tests.queues.rabbits import a_wire


class Home:
    """The queues of one process."""

    def __init__(self, test: TestCase, rabbit: RabbitMq, user: str = "guest") -> None:
        self.journal = Journal(a_store(test), reactor)
        self.journal.start()
        test.addCleanup(self.journal.stop)
        self.clock = Clock()
        self.clock.rightNow = 1_000.0
        self.known = Records()
        self.wire = a_wire(rabbit, f"{uuid4().hex}.", user)
        self.queues = BrokerQueues(
            self.journal,
            self.known,
            self.clock,
            self.wire,
            Identities().allot,
            now=self.clock.seconds,
        )
        self.wire.told = self.queues
        self.wire.start()
        test.addCleanup(self._end)

    async def _end(self) -> None:
        self.queues.stop()
        await self.wire.stop()

    def put(self, queue: str, *ids: int) -> Any:
        """Puts an entry for a message of each id."""
        transaction = putting(self.known, queue, ids)
        return self.queues.commit(transaction)


def putting(known: Records, queue: str, ids: Any, due: int = 0) -> Transaction:
    """A transaction that puts an entry for a message of each id; entries have the same ids."""
    transaction = Transaction()
    for id in ids:
        message = Message("1", "2", parts=[b"x"], id=id, account="acme")
        known.known[id] = message
        transaction.changes.messages.append(records.row(message, None))
        transaction.put.append(Entry(id, queue, due, 0, message, expires_at=1 << 40))
    return transaction
