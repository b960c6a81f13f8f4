"""Two journals on one store on PostgreSQL, as those of two nodes are."""

from itertools import cycle
from random import Random

import pytest
from sqlalchemy import Connection, func, insert, select
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.trial.unittest import TestCase

from smsgw.message import MessageState
from smsgw.rules.money import Entry
from smsgw.store import ledger, lines, schema, writers
from smsgw.store.database import StoreUnusable
from smsgw.store.journal import Changes, EndedBefore, Journal, Overdrawn, TakenBefore
from tests import postgresql
from tests.store.test_journal import inserting

ACCOUNTS = ("a", "b", "c", "d")


class TwoNodesTests(TestCase):
    """Both write as fast as they can."""

    timeout = 60

    def setUp(self) -> None:
        self.url = postgresql.a_database(self)
        self.journals = [self.journal(name) for name in ("one", "two")]

    def journal(self, owner: str) -> Journal:
        engine = postgresql.opened(self, self.url, owner)
        journal = Journal(engine, reactor)
        journal.start()
        self.addCleanup(journal.stop)
        return journal

    async def test_i8_only_one_spends_the_last_credit(self) -> None:
        """I8: whoever charges whichever accounts in whatever order, no balance falls below its
        limit, each is the sum of its ledger, and nobody waits for the other for ever."""
        first = self.journals[0]
        await first.run(
            lambda c: c.execute(
                insert(schema.balance),
                [{"account": one, "amount": 0, "credit_limit": 700} for one in ACCOUNTS],
            )
        )
        random = Random(7)
        told: list[str] = []

        def charges(id: int) -> Changes:
            changes = Changes(new=True)
            for number, account in enumerate(random.sample(ACCOUNTS, 3)):
                row = schema.LedgerRow(id * 10 + number, account, 1, -1, Entry.CHARGE, None, "")
                changes.ledger.append(row)
            return changes

        waiting = []
        for id, journal in zip(range(1, 1_601), cycle(self.journals), strict=False):
            done = journal.commit(charges(id))
            done.addCallbacks(
                lambda _: told.append("stored"), lambda f: told.append(f.trap(Overdrawn).__name__)
            )
            waiting.append(done)
        await gatherResults(waiting)
        balances = await first.run(ledger.balances)
        c = schema.ledger.c
        sums = select(c.account, func.sum(c.amount)).group_by(c.account)
        found = await first.run(lambda connection: dict(connection.execute(sums).all()))
        assert balances == {name: int(amount) for name, amount in found.items()}
        assert min(balances.values()) >= -700
        assert -sum(balances.values()) == 3 * told.count("stored")
        assert told.count("Overdrawn") == 1_600 - told.count("stored") > 0

    async def test_i3_only_one_ends_a_message(self) -> None:
        """I3: of two nodes that end a message at once one is told that it had ended, and stores
        nothing of what was to follow; what is ended in the same transactions is not harmed."""
        one, two = self.journals
        for id in range(1, 41):
            await one.commit(inserting(id))
        told: list[str] = []
        waiting = []
        for id in range(1, 41):
            for number, journal in enumerate(self.journals):
                state = MessageState.DELIVERED if number else MessageState.UNDELIVERABLE
                changes = Changes(ended=[(id, int(state), number, "", 1)])
                changes.dead.append((2 * id + number, "account:a", 1, id, 0, 0, 1, "ended"))
                done = journal.commit(changes)
                done.addCallbacks(
                    lambda _: told.append("ended"),
                    lambda f: told.append(f.trap(EndedBefore).__name__),
                )
                waiting.append(done)
        await gatherResults(waiting)
        assert (told.count("ended"), told.count("EndedBefore")) == (40, 40)
        m, d = schema.message.c, schema.dead.c
        rows = select(m.error, d.id - 2 * d.message).join(schema.dead, d.message == m.id)
        stored = await two.run(lambda c: c.execute(rows).all())
        assert len(stored) == 40
        assert all(error == number for error, number in stored)

    async def test_only_one_takes_an_early_receipt(self) -> None:
        """Who takes one that is gone is told so, and stores nothing; one that is given up need not
        be there: each node that knew it gives it up."""
        one, two = self.journals
        await one.commit(Changes(early_receipts=[("north", "a0", 1, b"")]))
        taking = {"early_taken": [("north", "a0")]}
        await one.commit(Changes(**taking, early_receipts=[("north", "one", 1, b"")]))
        late = two.commit(Changes(**taking, early_receipts=[("north", "two", 1, b"")]))
        with pytest.raises(TakenBefore):
            await late
        await two.commit(
            Changes(early_matched=[("north", "a0")], early_receipts=[("", "", 1, b"")])
        )
        rows = select(schema.early_receipt.c.carrier_id)
        assert await two.run(lambda c: set(c.execute(rows).scalars())) == {"one", ""}

    async def test_only_one_takes_a_part(self) -> None:
        """Who takes one that is gone is told so, and stores nothing; where no other node takes any,
        one need not be there: the store may have failed when it came."""
        one, two = self.journals
        await one.commit(Changes(segments=[(1, "north", b""), (2, "north", b"")]))
        await one.commit(Changes(segments_taken=[1, 2], segments=[(3, "north", b"")]))
        with pytest.raises(EndedBefore):
            await two.commit(Changes(segments_taken=[3, 2], segments=[(4, "north", b"")]))
        await two.commit(Changes(segments_done=[2], segments=[(5, "north", b"")]))
        rows = select(schema.segment.c.id)
        assert await two.run(lambda c: set(c.execute(rows).scalars())) == {3, 5}

    async def test_what_one_commits_the_other_reads(self) -> None:
        """A commit that was told of is there for every node, also for what is read beside."""
        one, two = self.journals
        for id in range(1, 30):
            await one.commit(inserting(id))
            query = select(func.count()).select_from(schema.message)
            assert await two.view(lambda c: c.execute(query).scalar_one()) == id

    async def test_a_view_sees_what_was_handed_in_before(self) -> None:
        """Read your writes: nothing has to be awaited between the two."""
        one = self.journals[0]
        query = select(func.count()).select_from(schema.message)
        for id in range(1, 30):
            done = one.commit(inserting(id))
            assert await one.view(lambda c: c.execute(query).scalar_one()) == id
            await done

    async def test_a_circle_of_locks_is_undone_and_tried_again(self) -> None:
        """What the server takes back because of another's locks is done once more, and once."""
        from psycopg.errors import DeadlockDetected

        tries: list[int] = []

        def work(connection: Connection) -> None:
            writer = writers.of(connection)

            def rows() -> None:
                tries.append(1)
                writer.insert(schema.dead, [(1, "account:a", 1, 1, 0, 0, 1, "expired")])
                if len(tries) == 1:
                    raise DeadlockDetected

            writer.write(rows)

        with self.journals[0]._engine.connect() as connection:
            work(connection)
        query = select(func.count()).select_from(schema.dead)
        assert await self.journals[1].run(lambda c: c.execute(query).scalar_one()) == 1
        assert len(tries) == 2

    def test_two_of_one_name_are_refused(self) -> None:
        """The second is told in one line."""
        held = postgresql.opened(self, self.url, "same")
        line = lines.of(held)
        line.open()
        try:
            with pytest.raises(StoreUnusable, match="in use by another smsgw"):
                postgresql.opened(self, self.url, "same")
        finally:
            line.close()
