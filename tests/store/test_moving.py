"""Moving a store to another one: everything arrives as it was, or nothing does."""

from typing import Any

import pytest
from sqlalchemy import Boolean, Engine, LargeBinary, String, Table, insert, select
from twisted.trial.unittest import TestCase

from smsgw.identities import first_of
from smsgw.store import schema
from smsgw.store.database import close_store, open_store
from smsgw.store.moving import CannotMove, move
from tests import postgresql
from tests.folders import temporary_folder

_TEXTS = ["", "acme", 'q"uo\\te{},', "ÆØÅ €\n", "NULL"]
_AT = 1_790_000_000_000  # ms since 1970
_MONEY = {"balance", "ledger"}


def _value(column: Any, table: str, n: int) -> Any:
    if (table, column.name) in {("message", "id"), ("part", "message")}:
        return first_of(_AT + n * 40_000_000) + n  # over several days
    if column.nullable and n % 3 == 2:
        return None
    if isinstance(column.type, Boolean):
        return n % 2 == 0
    if isinstance(column.type, LargeBinary):
        return bytes([0, n % 256, 255, 34, 92])
    if isinstance(column.type, String):
        return f"{_TEXTS[n % len(_TEXTS)]}{n if column.primary_key else ''}"
    return n + 1


def _fill(engine: Engine, rows: int) -> None:
    """Rows in every table; each ledger entry is of an account of its own."""
    with engine.begin() as connection:
        for table in schema.metadata.sorted_tables:
            if table.name in _MONEY or table is schema.commit_mark:
                continue
            values = [
                {c.name: _value(c, table.name, n) for c in table.columns} for n in range(rows)
            ]
            for one in values:
                if table is schema.number_list:
                    one["name"] += str(one["id"])
            connection.execute(insert(table), values)
        for n in range(rows):
            money = schema.LedgerRow(n + 1, f"a{n}", _AT, n - 3, 1, None, "top-up")
            connection.execute(insert(schema.ledger).values(money._asdict()))
            connection.execute(
                insert(schema.balance).values(account=f"a{n}", amount=n - 3, credit_limit=None)
            )


def _rows(engine: Engine, table: Table) -> list[tuple[Any, ...]]:
    with engine.begin() as connection:
        query = select(table).order_by(*table.primary_key.columns)
        return [tuple(row) for row in connection.execute(query)]


class MovingTests(TestCase):
    def setUp(self) -> None:
        self.old = self.sqlite()
        self.new = postgresql.a_store(self)

    def sqlite(self) -> Engine:
        engine = open_store(f"sqlite:///{temporary_folder(self)}/smsgw.db")
        self.addCleanup(close_store, engine)
        return engine

    def test_every_row_arrives_as_it_was(self) -> None:
        """There, and back again to another SQLite store, and every table is the same."""
        _fill(self.old, 30)
        told: list[tuple[str, int, int]] = []
        moved = move(self.old, self.new, lambda *progress: told.append(progress))
        again = self.sqlite()
        move(self.new, again, lambda *_: None)
        for table in schema.metadata.sorted_tables:
            if table is not schema.commit_mark:
                assert moved.rows[table.name] == 30
                assert (table.name, 30, 30) in told
                assert _rows(self.new, table) == _rows(self.old, table), table.name
                assert _rows(again, table) == _rows(self.old, table), table.name
        assert moved.money == sum(n - 3 for n in range(30))

    def test_nothing_is_moved_where_the_money_does_not_add_up(self) -> None:
        """I8: a balance that is not the sum of its ledger stops it, and the other store is as empty
        as before."""
        _fill(self.old, 4)
        with self.old.begin() as connection:
            row = schema.LedgerRow(99, "a1", _AT, 5, 1, None, "")
            connection.execute(insert(schema.ledger).values(row._asdict()))
        with pytest.raises(CannotMove, match="ledger of a1"):
            move(self.old, self.new, lambda *_: None)
        assert all(_rows(self.new, table) == [] for table in schema.metadata.sorted_tables)

    def test_a_store_with_rows_is_not_written_over(self) -> None:
        """The store that is moved to must be empty."""
        _fill(self.old, 1)
        move(self.old, self.new, lambda *_: None)
        with pytest.raises(CannotMove, match="not empty"):
            move(self.old, self.new, lambda *_: None)
