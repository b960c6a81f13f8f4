"""Moves a store to another one, of whatever kind: all rows of all tables, or none.

It is one transaction of the store that is written, whose rows are counted and whose money is added
up before it is committed; the store that is read stays as it is.
"""

from collections.abc import Callable, Iterator

from attrs import frozen
from sqlalchemy import Connection, Engine, Table, func, select

from smsgw.store import partitions, schema, writers
from smsgw.store.statements import Row

ROWS = 2_000  # that are written at once

# Of connections of the store itself.
_LEFT_OUT = {schema.commit_mark.name}


class CannotMove(Exception):
    """Nothing was moved; the text says why, in one line."""


@frozen
class Moved:
    """What was moved."""

    rows: dict[str, int]  # by table
    money: int  # the sum of all ledgers, in ten-thousandths


def move(source: Engine, target: Engine, told: Callable[[str, int, int], None]) -> Moved:
    """Moves everything. ``told`` is called with a table, how many of its rows are moved, and how
    many it has. Raises ``CannotMove``, and what the stores say."""
    with source.connect() as old, target.connect() as new, old.begin(), new.begin():
        for table in _tables():
            if new.execute(select(func.count()).select_from(table)).scalar_one():
                raise CannotMove(
                    f"the store to move to is not empty: {table.name} has rows; name an empty one"
                )
        if partitions.partitioned(new):
            partitions.make(new, _days(old))
        rows = {table.name: _copy(old, new, table, told) for table in _tables()}
        return Moved(rows, _money(old, new))


def _tables() -> list[Table]:
    return [table for table in schema.metadata.sorted_tables if table.name not in _LEFT_OUT]


def _days(connection: Connection) -> list[int]:
    """The days of which there are messages."""
    length = partitions.ids_of(0)[1]
    day = schema.message.c.id.op("/")(length)
    return sorted(int(one) for one in connection.execute(select(day).distinct()).scalars())


def _copy(
    old: Connection, new: Connection, table: Table, told: Callable[[str, int, int], None]
) -> int:
    count = select(func.count()).select_from(table)
    total = int(old.execute(count).scalar_one())
    moved = 0
    writer = writers.of(new)
    for rows in _pages(old, table):
        writer.insert(table, rows)
        moved += len(rows)
        told(table.name, moved, total)
    there = int(new.execute(count).scalar_one())
    if not moved == there == total:
        raise CannotMove(f"{table.name}: {total} rows are {there} after the move; nothing is moved")
    return total


def _pages(connection: Connection, table: Table) -> Iterator[list[Row]]:
    # In the order of the key, so that the other store fills its pages one after the other.
    query = select(table).order_by(*table.primary_key.columns)
    result = connection.execute(query.execution_options(yield_per=ROWS))
    for page in result.partitions():
        yield [tuple(row) for row in page]


def _money(old: Connection, new: Connection) -> int:
    """Checks that every account has what it had, and that it is the sum of its ledger (I8)."""
    b, entry = schema.balance.c, schema.ledger.c
    balances = select(b.account, b.amount, b.credit_limit).order_by(b.account)
    before = [tuple(row) for row in old.execute(balances)]
    after = [tuple(row) for row in new.execute(balances)]
    sums: dict[str, int] = {}
    for account, amount in new.execute(
        select(entry.account, func.sum(entry.amount)).group_by(entry.account)
    ):
        sums[account] = int(amount)
    if before != after:
        raise CannotMove("the balances differ after the move; nothing is moved")
    for account, amount, _ in after:
        if sums.pop(account, 0) != amount:
            raise CannotMove(f"the ledger of {account} does not add up to its balance")
    if any(sums.values()):
        raise CannotMove(f"there is a ledger without a balance: {', '.join(sorted(sums))}")
    return sum(row[1] for row in after)
