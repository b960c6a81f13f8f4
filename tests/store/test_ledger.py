"""The ledger in the store: it comes to a store of before, and balances are opened once."""

import sqlite3
from pathlib import Path

from sqlalchemy import text

from smsgw.rules.money import Entry
from smsgw.store import ledger, provision
from smsgw.store.database import close_store, open_store

ACCOUNTS = """
[[account]]
name = "acme"
balance = "12.3400"
[[account]]
name = "later"
"""


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
        old.execute("DROP TABLE balance")
        for table in ("ledger", "usage", "number_list", "list_member", "dead"):
            old.execute(f"DROP TABLE {table}")
        old.execute("UPDATE alembic_version SET version_num = '0001'")
    old.close()
    engine = open_store(url)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).all() == [
            ("0003",)
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
