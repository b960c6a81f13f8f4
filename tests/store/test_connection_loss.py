"""What the journal does when its connection to PostgreSQL is lost: what was under way is told of
exactly, the rest is refused, and it goes on by itself."""

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from smsgw.store.journal import Changes, Journal, StoreFailed
from tests import postgresql
from tests.passing import Passing
from tests.store.test_journal import inserting


class ConnectionLossTests(TestCase):
    """A journal whose connection goes through something that can cut it."""

    timeout = 60

    async def journal_by(self, passing: Passing) -> Journal:
        self.url = postgresql.a_database(self)
        passing.to = postgresql.server().port
        await passing.start()
        self.addCleanup(passing.stop)
        by = self.url.replace(f":{passing.to}/", f":{passing.port}/")
        # Not on the reactor's thread, on which the relay is.
        engine = await deferToThread(postgresql.opened, self, by)
        journal = Journal(engine, reactor)
        journal.start()
        self.addCleanup(journal.stop)
        await journal.run(lambda _: None)
        return journal

    def ids(self) -> set[int]:
        name = self.url.rpartition("/")[2]
        return {int(str(row[0])) for row in postgresql.server().sql("SELECT id FROM message", name)}

    async def until(self, passing: Passing, journal: Journal) -> None:
        """Returns when the journal commits again."""
        for _ in range(1_000):
            try:
                await journal.commit(Changes())
            except StoreFailed:
                await passing.turn()
            else:
                return
        raise AssertionError(journal.failing)

    async def test_a_commit_whose_answer_is_lost_is_told_of_as_done(self) -> None:
        """The server has committed, and only its answer did not come: it succeeds, and is there
        once."""
        passing = Passing()
        journal = await self.journal_by(passing)
        passing.swallow_answers()
        done = journal.commit(inserting(1))
        while self.ids() != {1}:
            await passing.turn()
        passing.cut()
        passing.serve()
        await done
        assert self.ids() == {1}

    async def test_a_commit_that_never_arrived_fails(self) -> None:
        """What the server has not got is told of as not stored, and it is not."""
        passing = Passing()
        journal = await self.journal_by(passing)
        passing.swallow_requests()
        done = journal.commit(inserting(1))
        await passing.swallowed
        passing.cut()
        passing.serve()
        await self.assertFailure(done, StoreFailed)
        assert self.ids() == set()

    async def test_what_arrives_late_is_not_done_any_more(self) -> None:
        """A transaction that was told of as not stored cannot be committed afterwards: its
        connection is over."""
        passing = Passing()
        journal = await self.journal_by(passing)
        passing.hold_requests()
        done = journal.commit(inserting(1))
        await passing.swallowed
        passing.cut_here()
        passing.serve()
        await self.assertFailure(done, StoreFailed)
        await passing.deliver_late()
        await journal.commit(inserting(2))
        assert self.ids() == {2}

    async def test_a_connection_that_is_over_commits_nothing(self) -> None:
        """Whoever took the store over has said so in ``commit_mark``."""
        passing = Passing()
        journal = await self.journal_by(passing)
        name = self.url.rpartition("/")[2]
        postgresql.server().sql("UPDATE commit_mark SET over = true", name)
        await self.assertFailure(journal.commit(inserting(1)), StoreFailed)
        await self.until(passing, journal)
        assert self.ids() == set()

    async def test_while_nobody_answers_changes_are_refused(self) -> None:
        """With the reason in ``failing``; what was under way when it began is told of when the
        server is there again, and the journal goes on by itself."""
        passing = Passing()
        journal = await self.journal_by(passing)
        passing.refuse()
        under_way = journal.commit(inserting(1))
        await self.assertFailure(journal.run(lambda _: None), StoreFailed)
        await self.assertFailure(journal.commit(inserting(2)), StoreFailed)
        assert journal.failing
        assert not under_way.called
        passing.serve()
        await self.assertFailure(under_way, StoreFailed)
        await self.until(passing, journal)
        assert journal.failing == ""
        await journal.commit(inserting(3))
        assert self.ids() == {3}

    async def test_a_server_that_ends_connections_loses_nothing(self) -> None:
        """Wherever the connection is ended, what succeeded is there and what failed is not."""
        passing = Passing()
        journal = await self.journal_by(passing)
        answers: dict[int, Any] = {}

        def keep(id: int) -> Callable[[Any], None]:
            return lambda result: answers.__setitem__(id, result)

        waiting: list[Deferred[None]] = []
        for id in range(1, 301):
            waiting.append(journal.commit(inserting(id)).addBoth(keep(id)))
            if id % 10 == 0:
                if id % 50 == 0:
                    passing.cut()
                await passing.turn()
        await gatherResults(waiting)
        stored = {id for id, result in answers.items() if result is None}
        assert self.ids() == stored
        await self.until(passing, journal)
        assert len(stored) > 0
