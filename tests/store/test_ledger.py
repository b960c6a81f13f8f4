"""The ledger in the store: it comes to a store of before, balances are opened once, and entries are
read with their messages."""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, text
from twisted.trial.unittest import TestCase

from smsgw.identities import Identities, first_of
from smsgw.message import Message
from smsgw.rules.money import Entry
from smsgw.store import ledger, provision, records, schema
from smsgw.store.database import _scripts, close_store, open_store
from tests.journals import a_store

ACCOUNTS = """
[[account]]
name = "acme"
balance = "12.3400"
[[account]]
name = "later"
"""

FIRST = {"message", "queue", "part", "early_receipt", "provision", "audit"}  # tables of 0001


def test_a_store_of_before_gets_its_balances(tmp_path: Path) -> None:
    """Accounts that were provisioned as prepaid are opened by the migration, others are known."""
    url = f"sqlite:///{tmp_path}/store.db"
    engine = open_store(url)
    with engine.begin() as connection:
        changes = provision.prepare(provision.load(connection), ACCOUNTS, "p.toml")
        provision.apply(connection, changes, "tester", 1)
    close_store(engine)
    # As revision 0001 left it.
    with sqlite3.connect(tmp_path / "store.db") as old:
        for table in set(schema.metadata.tables) - FIRST:
            old.execute(f"DROP TABLE {table}")
        old.execute("DROP INDEX message_received")
        old.execute("DROP INDEX queue_told")
        old.execute("DROP INDEX queue_later")
        old.execute("ALTER TABLE queue DROP COLUMN place")
        old.execute("ALTER TABLE queue DROP COLUMN taken")
        old.execute("UPDATE alembic_version SET version_num = '0001'")
    old.close()
    engine = open_store(url)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).all() == [
            (_scripts().get_current_head(),)
        ]
        assert ledger.balance(connection, "acme") == (123_400, 0)
        assert ledger.balance(connection, "later") == (0, None)
        [entry] = ledger.entries(connection, "acme", 0, 1 << 62, 0, 10)
        assert (entry.amount, entry.reason) == (123_400, Entry.OPENING)
        # It is opened: applying it once more gives it nothing.
        account = provision.load(connection).accounts["acme"]
        ledger.provisioned(connection, account, 2, lambda: 1)
        assert ledger.balances(connection) == {"acme": 123_400, "later": 0}
    close_store(engine)


AT = 1_800_000_000_000


def charge(connection: Connection, id: int, at: int = AT, amount: int = -200, **of: Any) -> None:
    """A message of two parts at 0.0100 and its charge."""
    message = Message(
        source="ACME",
        destination="447700900123",
        parts=[b"a", b"b"],
        account="child",
        id=id,
        accepted_at=at,
        charged=100,
        **of,
    )
    row = dict(zip(records.MESSAGE_COLUMNS, records.row(message, None), strict=True))
    connection.execute(insert(schema.message).values(row))
    entry = schema.LedgerRow(id + 1, "acme", at, amount, Entry.CHARGE, id, "")
    ledger.enter(connection, [entry])


class EntriesTests(TestCase):
    def setUp(self) -> None:
        self.connection = a_store(self).connect()
        self.addCleanup(self.connection.close)
        self.identities = Identities(0, lambda: AT / 1000)

    def entries(self, since: int = 0, until: int = 1 << 62, after: int = 0) -> list[ledger.Item]:
        return ledger.entries(self.connection, "acme", since, until, after, 10)

    def test_an_entry_tells_of_its_message(self) -> None:
        """Whose it was, where it went, its cost centre, and how many parts were charged."""
        id = self.identities.allot()
        charge(self.connection, id, costcentre="sales", private=True)
        self.identities.allot()
        refund = schema.LedgerRow(self.identities.allot(), "acme", AT, 100, Entry.REFUND, id, "")
        topped = schema.LedgerRow(self.identities.allot(), "acme", AT, 5, Entry.TOP_UP, None, "x")
        ledger.enter(self.connection, [refund, topped])
        first, second, third = self.entries()
        assert (first.sender, first.destination) == ("child", "447700900123")
        assert (first.costcentre, first.private, first.parts) == ("sales", True, 2)
        assert (second.reason, second.message, second.parts) == (Entry.REFUND, id, 1)
        assert (third.text, third.destination, third.parts) == ("x", "", 0)

    def test_a_message_that_is_not_there_leaves_its_entry(self) -> None:
        """What was charged is told, even without its message."""
        row = schema.LedgerRow(self.identities.allot(), "acme", AT, -9, Entry.CHARGE, 7, "")
        ledger.enter(self.connection, [row])
        [entry] = self.entries()
        assert (entry.message, entry.amount, entry.destination) == (7, -9, "")

    def test_entries_are_found_by_their_time(self) -> None:
        """The end is not in it, and ids that ran ahead of the clock are found as well."""
        ahead = first_of(AT + 3600_000)
        charge(self.connection, ahead)
        charge(self.connection, ahead + 2, at=AT + 1)
        assert [entry.at for entry in self.entries()] == [AT, AT + 1]
        assert [entry.at for entry in self.entries(AT, AT + 1)] == [AT]
        assert [entry.at for entry in self.entries(AT + 1)] == [AT + 1]
        assert [entry.at for entry in self.entries(after=ahead + 1)] == [AT + 1]
        assert self.entries(0, AT) == []

    def test_numbers_that_no_store_holds_find_nothing(self) -> None:
        """They come from whoever asks; the largest time and id are no exception."""
        charge(self.connection, first_of(AT))
        for much in ((1 << 63) - 1, 1 << 63, 10**30):
            assert self.entries(since=much) == []
            assert self.entries(after=much) == []
            assert len(self.entries(until=much)) == 1

    def test_the_currency_is_that_of_the_account_or_of_one_above_it(self) -> None:
        """None where nobody has one, or is there."""
        changes = provision.prepare(provision.load(self.connection), CURRENCY, "p.toml")
        provision.apply(self.connection, changes, "tester", 1)
        found = {
            name: ledger.currency(self.connection, name)
            for name in ("pounds", "child", "acme", "nobody")
        }
        assert found == {"pounds": "GBP", "child": "GBP", "acme": "", "nobody": ""}


CURRENCY = """
[[account]]
name = "acme"
[[account]]
name = "pounds"
currency = "GBP"
[[account]]
name = "child"
parent = "pounds"
"""
