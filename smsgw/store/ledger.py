"""The ledger and the balances that it adds up to, for what is not on the hot path (the journal
writes charges and refunds)."""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, insert, select, text

from smsgw.provisioning import Account
from smsgw.rules.money import Entry, amount
from smsgw.store import schema

_ADD = text(
    "INSERT INTO balance (account, amount) VALUES (:account, :amount) "
    "ON CONFLICT (account) DO UPDATE SET amount = balance.amount + excluded.amount"
)
_LIMIT = text(
    "INSERT INTO balance (account, amount, credit_limit) VALUES (:account, 0, :credit_limit) "
    "ON CONFLICT (account) DO UPDATE SET credit_limit = excluded.credit_limit"
)
# The words of the partial index ledger_opening, by which it is found.
_OPENED = text("SELECT 1 FROM ledger WHERE account = :account AND reason = 0")


def credit_limit(account: Account) -> int | None:
    """By how much the balance may fall below 0; None for a postpaid account, where nothing is
    checked."""
    return None if account.balance is None else amount(account.credit_limit)


def enter(connection: Connection, rows: Sequence[schema.LedgerRow]) -> None:
    """Writes entries and adds them to the balances, in the caller's transaction."""
    for row in rows:
        connection.execute(insert(schema.ledger).values(row))
        connection.execute(_ADD, {"account": row.account, "amount": row.amount})


def provisioned(
    connection: Connection, account: Account, at: int, allot: Callable[[], int]
) -> None:
    """Keeps an account's credit limit, and opens its balance if it is prepaid for the first time.

    In the caller's transaction. ``at`` is milliseconds since 1970, ``allot`` gives the entry's id.
    """
    limits = {"account": account.name, "credit_limit": credit_limit(account)}
    connection.execute(_LIMIT, limits)
    if account.balance is None:
        return
    if connection.execute(_OPENED, {"account": account.name}).first() is None:
        opening = amount(account.balance)
        row = schema.LedgerRow(allot(), account.name, at, opening, Entry.OPENING, None, "")
        enter(connection, [row])


def balances(connection: Connection) -> dict[str, int]:
    """The balance of every account that has one, in ten-thousandths."""
    b = schema.balance.c
    return {row.account: row.amount for row in connection.execute(select(b.account, b.amount))}


def balance(connection: Connection, account: str) -> tuple[int, int | None] | None:
    """Balance and credit limit (None: postpaid) of an account, None if there is no such account."""
    b = schema.balance.c
    query = select(b.amount, b.credit_limit).where(b.account == account)
    row = connection.execute(query).first()
    return None if row is None else (row.amount, row.credit_limit)


def entries(
    connection: Connection, account: str, since: int, until: int, after: int, limit: int
) -> list[schema.LedgerRow]:
    """An account's entries with ``since`` <= at < ``until`` (ms), by id, those with an id above
    ``after``; ``limit`` at most."""
    c = schema.ledger.c
    query = (
        select(schema.ledger)
        .where(c.account == account, c.id > after, c.at >= since, c.at < until)
        .order_by(c.id)
        .limit(limit)
    )
    return [schema.LedgerRow(*row) for row in connection.execute(query)]
