"""The journal: group commit, all or nothing, one bad change harms no other."""

import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, func, insert, select, text, update
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.epollreactor import EPollReactor
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from smsgw.message import Message
from smsgw.reactor import _Direct, direct
from smsgw.rules.money import Entry
from smsgw.store import ledger, lines, records, schema
from smsgw.store.database import StoreUnusable, close_store, open_store
from smsgw.store.journal import Changes, Journal, Overdrawn, StoreFailed, _Pending, together
from tests import postgresql
from tests.folders import temporary_folder


def a_message(id: int) -> Message:
    return Message(
        source="447700900000",
        destination="447700900123",
        parts=[b"Hello"],
        account="acme",
        id=id,
        accepted_at=1_000,
        expires_at=2_000,
        carriers=["north"],
        client_reference="A-17",
        tlvs=[(0x0204, b"\0\1")],
    )


def inserting(*ids: int) -> Changes:
    changes = Changes()
    for id in ids:
        changes.messages.append(records.row(a_message(id), 3_000))
        changes.entries.append((id, "carrier:north", 1_000, 0, id, 0, 0, 2_000))
    return changes


def charging(id: int, amount: int, account: str = "acme") -> Changes:
    """A message, and what it adds to a balance."""
    changes = inserting(id)
    changes.ledger.append(schema.LedgerRow(1000 + id, account, 1_000, amount, Entry.CHARGE, id, ""))
    return changes


class JournalTests(TestCase):
    """Of a store on SQLite."""

    duplicate = "UNIQUE"  # as the store names it

    def store(self) -> Engine:
        engine = open_store(f"sqlite:///{temporary_folder(self)}/store.db")
        self.addCleanup(close_store, engine)
        return engine

    def setUp(self) -> None:
        self.engine = self.store()
        self.journal = Journal(self.engine, reactor)  # type: ignore[arg-type]
        self.journal.start()
        self.addCleanup(self.journal.stop)

    async def count(self, table: str) -> int:
        return await self.journal.run(
            lambda c: c.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
        )

    async def test_a_commit_fires_when_its_rows_are_there(self) -> None:
        """What was committed is read by the next read."""
        await self.journal.commit(inserting(1))
        assert await self.count("message") == 1
        assert await self.count("queue") == 1

    async def test_a_message_comes_back_as_it_was(self) -> None:
        """A row read is equal to the message written."""
        await self.journal.commit(inserting(7))
        [read] = await self.journal.run(lambda c: records.read(c, [7]))
        assert read == a_message(7)

    async def test_waiting_changes_share_a_transaction(self) -> None:
        """A hundred changes handed in at once are far fewer transactions."""
        await gatherResults([self.journal.commit(inserting(n)) for n in range(1, 101)])
        assert await self.count("message") == 100
        assert self.journal.transactions < 100
        assert self.journal.changes == 100

    async def test_one_bad_change_harms_no_other(self) -> None:
        """Of changes merged into one transaction only the one that cannot be stored fails."""
        await self.journal.commit(inserting(1))
        good, bad, other = (
            self.journal.commit(changes) for changes in (inserting(2), inserting(1), inserting(3))
        )
        await good
        await other
        await self.assertFailure(bad, StoreFailed)
        assert await self.count("message") == 3
        assert self.journal.failing == ""

    async def test_of_many_bad_changes_each_fails_alone(self) -> None:
        """Wherever they stand among those that are merged."""
        await self.journal.commit(inserting(*range(1, 41, 3)))
        done = [self.journal.commit(inserting(n)) for n in range(1, 41)]
        for n, one in enumerate(done, 1):
            if n % 3 == 1:
                await self.assertFailure(one, StoreFailed)
            else:
                await one
        assert await self.count("message") == 40

    async def balance(self, amount: int, credit_limit: int | None) -> None:
        row = {"account": "acme", "amount": amount, "credit_limit": credit_limit}
        await self.journal.run(lambda c: c.execute(insert(schema.balance).values(row)))

    async def amount(self) -> int:
        return await self.journal.run(lambda c: ledger.balances(c)["acme"])

    async def test_what_would_overdraw_a_balance_is_not_stored(self) -> None:
        """With its message; what comes with it in one transaction is, as far as the money goes."""
        await self.balance(250, 50)
        done = [self.journal.commit(charging(n, -100)) for n in range(1, 6)]
        others = self.journal.commit(inserting(9))
        for one in done[:3]:
            await one
        for one in done[3:]:
            await self.assertFailure(one, Overdrawn)
        await others
        assert await self.amount() == -50
        assert await self.count("message") == 4
        assert (self.journal.failures, self.journal.failing) == (0, "")

    async def test_one_account_without_money_harms_no_other(self) -> None:
        """Accounts are charged by one statement, and yet each stands alone."""
        await self.balance(0, 0)
        good = self.journal.commit(charging(1, -100, "postpaid"))
        bad = self.journal.commit(charging(2, -100))
        await good
        await self.assertFailure(bad, Overdrawn)
        assert await self.journal.run(ledger.balances) == {"acme": 0, "postpaid": -100}

    async def test_whoever_owes_more_than_he_may_gets_his_refunds(self) -> None:
        """A balance below its limit, which was lowered, may rise; a postpaid one has no limit."""
        await self.balance(-500, 0)
        await self.journal.commit(charging(1, 100))
        await self.assertFailure(self.journal.commit(charging(2, -1)), Overdrawn)
        assert await self.amount() == -400
        await self.journal.run(
            lambda c: c.execute(update(schema.balance).values(credit_limit=None))
        )
        await self.journal.commit(charging(3, -600))
        assert await self.amount() == -1_000

    async def test_a_change_is_all_or_nothing(self) -> None:
        """A change with a row that cannot be stored leaves none of its rows behind."""
        await self.journal.commit(inserting(1))
        await self.assertFailure(self.journal.commit(inserting(2, 3, 1)), StoreFailed)
        assert await self.count("message") == 1
        assert await self.count("queue") == 1

    async def test_an_update_is_undone_with_the_rest(self) -> None:
        """A statement that begins with WITH is in the transaction like any other."""
        await self.journal.commit(inserting(1))
        early = ("north", "aa", 1, None)  # the last column must not be NULL
        changes = Changes(closed=[(1, 2, 0, "", 5_000)], early_receipts=[early])
        await self.assertFailure(self.journal.commit(changes), StoreFailed)
        [read] = await self.journal.run(lambda c: records.read(c, [1]))
        assert read.state == 1

    async def test_an_entry_put_and_settled_in_one_batch_is_gone(self) -> None:
        """Statements of one transaction are ordered so that a settlement meets its entry."""
        settle = Changes(settled=[1], closed=[(1, 2, 0, "", 5_000)])
        await gatherResults([self.journal.commit(inserting(1)), self.journal.commit(settle)])
        assert await self.count("queue") == 0
        [read] = await self.journal.run(lambda c: records.read(c, [1]))
        assert (read.state, read.done_at) == (2, 5000)

    async def test_of_two_states_in_one_batch_the_last_holds(self) -> None:
        """Two updates of one message in one transaction do not race."""
        await self.journal.commit(inserting(1))
        changes = Changes(closed=[(1, 7, 224, "", 1), (1, 2, 0, "", 2)])
        await self.journal.commit(changes)
        [read] = await self.journal.run(lambda c: records.read(c, [1]))
        assert (read.state, read.error, read.done_at) == (2, 0, 2)

    async def test_an_error_keeps_no_text_of_a_message(self) -> None:
        """The reason of a failed commit names the fault, not the parameters."""
        await self.journal.commit(inserting(1))
        failure = await self.assertFailure(self.journal.commit(inserting(1)), StoreFailed)
        assert self.duplicate in str(failure)
        assert "Hello" not in str(failure)

    async def test_many_rows_are_written_in_chunks(self) -> None:
        """A change of more rows than a statement takes is stored whole."""
        await self.journal.commit(inserting(*range(1, 438)))
        await self.journal.commit(Changes(settled=list(range(1, 437))))
        assert await self.count("queue") == 1

    async def test_a_part_acknowledged_again_replaces_the_first(self) -> None:
        """A part that was sent twice is matched by the carrier's newest id."""
        await self.journal.commit(inserting(1))
        await self.journal.commit(Changes(parts=[(1, 0, "north", "aa", 5, 1)]))
        await self.journal.commit(Changes(parts=[(1, 0, "north", "bb", 6, 1)]))

        def found(connection: Connection) -> list[tuple[str, int, int]]:
            return records.by_carrier_id(connection, "north", ["aa", "bb"])

        assert await self.journal.run(found) == [("bb", 1, 0)]

    async def test_a_read_that_fails_tells_its_caller_only(self) -> None:
        """After a failed read the journal serves the next one."""
        await self.assertFailure(self.journal.run(lambda _: 1 // 0), ZeroDivisionError)
        assert await self.count("message") == 0


class PostgresqlJournalTests(JournalTests):
    """The same on PostgreSQL."""

    duplicate = "unique"

    def store(self) -> Engine:
        return postgresql.a_store(self)


def test_of_a_message_rewritten_twice_in_one_transaction_the_later_holds() -> None:
    """Its content alone, and then the whole of it: the statements run the other way round."""
    read, replaced = Changes(contents=[(7, b"read"), (8, b"read")]), Changes(rewritten=[(7, "all")])
    assert together([read, replaced]).contents == [(8, b"read")]
    assert together([replaced, read]).contents == [(7, b"read"), (8, b"read")]


class Waiting:
    """What waits for a transaction, by a clock of the test's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        self.pending = _Pending()

    def soon(self, rows: int = 1) -> Changes:
        """Changes that may wait come in."""
        return self._add(Changes(soon=True, settled=[*range(rows)]))

    def new(self) -> Changes:
        """A new message comes in."""
        return self._add(Changes(new=True))

    def _add(self, changes: Changes) -> Changes:
        self.pending.add([(changes, Deferred())])
        return changes

    def takes(self) -> list[Changes]:
        """What a transaction that is started now holds."""
        return [changes for changes, _ in self.pending.take(all=False)]

    def wait_ms(self) -> int:
        """How long nothing is started if nothing comes."""
        wait = self.pending.wait()
        assert wait is not None
        return round(wait * 1000)


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Waiting:
    """Nothing waits."""
    return Waiting(monkeypatch)


def test_what_may_wait_has_a_transaction_of_its_own_when_no_other_goes(waiting: Waiting) -> None:
    """After 5 ms; whatever comes until then goes with it."""
    first = waiting.soon()
    assert waiting.wait_ms() == 5
    waiting.now += 0.004
    second = waiting.soon()
    assert waiting.takes() == []
    waiting.now += 0.0011
    assert waiting.wait_ms() == 0
    assert waiting.takes() == [first, second]
    assert waiting.pending.wait() is None


def test_new_messages_go_before_what_may_wait_and_then_take_it_along(waiting: Waiting) -> None:
    """It costs the first of them nothing, and no transaction of its own."""
    later = waiting.soon()
    for _ in range(2):
        waiting.now += 0.001
        message = waiting.new()
        assert waiting.takes() == [message]
        assert waiting.wait_ms() == 5, "another one follows, most likely"
    waiting.now += 0.001
    message = waiting.new()
    assert waiting.takes() == [later, message]


def test_what_may_wait_waits_no_longer_than_others_go(waiting: Waiting) -> None:
    """Its own transaction is 5 ms after the last that could not take it along."""
    later = waiting.soon()
    waiting.now += 0.0024
    waiting.new()
    waiting.takes()
    waiting.now += 0.0049
    assert waiting.takes() == []
    waiting.now += 0.0002
    assert waiting.takes() == [later]


def test_many_rows_do_not_wait(waiting: Waiting) -> None:
    """Fifty: what a crash would let go out again is no more (I2)."""
    first, second = waiting.soon(rows=30), waiting.soon(rows=20)
    message = waiting.new()
    assert waiting.takes() == [first, second, message]


def test_what_may_depend_on_it_takes_what_may_wait_along(waiting: Waiting) -> None:
    """In the order in which they were handed in."""
    later = waiting.soon()
    other = waiting._add(Changes())
    assert waiting.takes() == [later, other]


class Turned:
    """As much of a reactor that is ``direct`` as the journal uses; the test is its loop."""

    def __init__(self) -> None:
        direct = _Direct(self)
        self.doIteration = direct.turn
        self.calls = direct.calls
        self.told: SimpleQueue[tuple[Any, ...]] = SimpleQueue()

    def callFromThread(self, *call: Any) -> None:
        """By the journal's thread."""
        self.told.put(call)


class HandingIn:
    """A journal on a reactor that is turned by hand."""

    def __init__(self, folder: Path) -> None:
        self.engine = open_store(f"sqlite:///{folder}/store.db")
        self.reactor = Turned()
        self.journal = Journal(self.engine, self.reactor)
        [self._call] = self.reactor.calls
        self.journal.start()
        self.fired: list[int] = []
        self._next = 0

    def stop(self) -> None:
        """Ends the thread, and closes the store."""
        done = self.journal.stop()
        while not done.called:
            self.tell()
        close_store(self.engine)

    def commit(self, count: int = 1, **more: Any) -> None:
        """So many messages, each with changes of its own."""
        for _ in range(count):
            self._next += 1
            changes = inserting(self._next)
            changes.soon = more.get("soon", False)
            done = self.journal.commit(changes)
            done.addCallback(lambda _, n=self._next: self.fired.append(n))
            done.addErrback(lambda failure: failure.trap(StoreFailed))

    def look(self) -> bool:
        """A turn begins; True: the journal would like to look for events first."""
        return self._call(False)

    def quiet(self) -> None:
        """There are none."""
        assert not self._call(True)

    def tell(self) -> None:
        """The reactor is woken by the journal."""
        function, *given = self.reactor.told.get(timeout=20)
        function(*given)

    @property
    def waits(self) -> int:
        """How many changes were not handed in."""
        return len(self.journal._gathered)


@pytest.fixture
def handing_in(tmp_path: Path) -> Iterator[HandingIn]:
    """Nothing was handed in."""
    one = HandingIn(tmp_path)
    yield one
    one.stop()


def test_a_few_changes_go_when_the_reactor_has_nothing_else_to_do(handing_in: HandingIn) -> None:
    """So those of several clients are one transaction."""
    handing_in.commit()
    assert handing_in.look(), "there may be more"
    handing_in.commit(2)
    assert handing_in.look()
    assert handing_in.waits == 3
    handing_in.quiet()
    assert handing_in.waits == 0
    handing_in.tell()
    assert handing_in.fired == [1, 2, 3]
    assert handing_in.journal.transactions == 1


def test_a_few_changes_go_after_some_turns_of_a_busy_reactor(handing_in: HandingIn) -> None:
    """However much there is to do."""
    for fired in ([1], [1, 2]):
        handing_in.commit()
        assert [handing_in.look() for _ in range(3)] == [True, True, False]
        handing_in.tell()
        assert handing_in.fired == fired


def test_many_changes_go_at_once(handing_in: HandingIn) -> None:
    """Also while others are being written."""
    for _ in range(2):
        handing_in.commit(32)
        assert not handing_in.look()
        assert handing_in.waits == 0
    while len(handing_in.fired) < 64:
        handing_in.tell()


def test_a_few_changes_wait_until_those_before_are_told_of(handing_in: HandingIn) -> None:
    """They would be in the way of each other, and go with what the answers bring."""
    handing_in.commit()
    handing_in.quiet()
    handing_in.commit()
    assert not handing_in.look()
    assert handing_in.waits == 1
    handing_in.tell()
    handing_in.commit()
    assert handing_in.look()
    handing_in.quiet()
    handing_in.tell()
    assert handing_in.fired == [1, 2, 3]
    assert handing_in.journal.transactions == 2


def test_what_may_wait_holds_up_no_other(handing_in: HandingIn) -> None:
    """It is told of at some later time."""
    handing_in.commit(soon=True)
    handing_in.quiet()
    handing_in.commit()
    handing_in.quiet()
    assert handing_in.waits == 0
    while len(handing_in.fired) < 2:
        handing_in.tell()


def test_a_lost_connection_holds_up_no_other(
    handing_in: HandingIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What became of those that were under way is told of later; others need not wait for that."""
    lost = Failure(lines.Lost(1, "on purpose"))
    monkeypatch.setattr(handing_in.journal, "_written", lambda connection, batch: lost)
    handing_in.commit()
    handing_in.quiet()
    handing_in.tell()
    monkeypatch.undo()
    assert handing_in.fired == []
    handing_in.commit()
    handing_in.quiet()
    assert handing_in.waits == 0
    handing_in.tell()
    assert handing_in.fired == [2]


def test_a_read_takes_what_has_gathered_along(handing_in: HandingIn) -> None:
    """It is to find it, whatever is being written."""
    handing_in.commit()
    handing_in.quiet()
    handing_in.commit()
    found: list[int] = []
    count = select(func.count()).select_from(schema.message)
    handing_in.journal.run(lambda c: c.execute(count).scalar_one()).addCallback(found.append)
    while not found:
        handing_in.tell()
    assert found == [2]


def test_what_is_committed_meanwhile_goes_when_the_reactor_is_woken(tmp_path: Path) -> None:
    """Of a real one, which would otherwise wait for ever."""
    engine = open_store(f"sqlite:///{tmp_path}/store.db")
    turned: Any = EPollReactor()
    direct(turned)
    journal = Journal(engine, turned)
    journal.start()
    fired: list[int] = []
    for n in range(1, 6):
        journal.commit(inserting(n)).addCallback(lambda _, n=n: fired.append(n))
        journal._before_waiting(True)  # and the others while it is being written
    late: list[bool] = []
    gave_up = turned.callLater(20, late.append, True)  # which wakes it
    while len(fired) < 5 and not late:
        turned.runUntilCurrent()
        turned.doIteration(turned.timeout())
    assert fired == [1, 2, 3, 4, 5]
    assert journal.transactions == 2
    gave_up.cancel()
    stopped = journal.stop()
    while not stopped.called:
        turned.iterate(0.05)
    close_store(engine)
    turned.removeAll()
    turned._poller.close()


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """A revision that this version does not know is told in one line, and nothing is touched."""
    url = f"sqlite:///{tmp_path}/store.db"
    engine = open_store(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    close_store(engine)
    with pytest.raises(StoreUnusable, match="newer smsgw"):
        open_store(url)


def test_a_store_is_opened_once(tmp_path: Path) -> None:
    """The tables that migrations make are those of the schema."""
    engine = open_store(f"sqlite:///{tmp_path}/store.db")
    with engine.begin() as connection:
        for table in schema.metadata.sorted_tables:
            assert connection.execute(select(table)).fetchall() == []
    close_store(engine)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("nonsense", "is no URL"),
        ("sqlite://", "a file is needed"),
        ("mysql://localhost/x", "is not served"),
        ("sqlite:////proc/version/x.db", "store.url"),
    ],
)
def test_a_store_that_cannot_be_is_told_in_one_line(url: str, why: str) -> None:
    """What is wrong with store.url is said with the key's name."""
    with pytest.raises(StoreUnusable, match=why) as error:
        open_store(url)
    assert "\n" not in str(error.value)
