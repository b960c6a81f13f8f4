"""The ledger and the balances that it adds up to, for what is not on the hot path (the journal
writes charges and refunds)."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, insert, select, text

from smsgw.identities import first_of
from smsgw.provisioning import Account
from smsgw.provisioning.parents import LEVELS
from smsgw.rules.money import Entry, amount
from smsgw.store import records, schema

_AHEAD_MS = 24 * 3600_000  # by which ids may be ahead of a clock that was set back
_LATEST = (1 << 63) - 1

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


def balances(connection: Connection, of: Collection[str] | None = None) -> dict[str, int]:
    """The balance of every account that has one, in ten-thousandths; of a few accounts with
    ``of``."""
    b = schema.balance.c
    query = select(b.account, b.amount)
    if of is not None:
        query = query.where(b.account.in_(of))
    return {row.account: row.amount for row in connection.execute(query)}


def balance(connection: Connection, account: str) -> tuple[int, int | None] | None:
    """Balance and credit limit (None: postpaid) of an account, None if there is no such account."""
    b = schema.balance.c
    query = select(b.amount, b.credit_limit).where(b.account == account)
    row = connection.execute(query).first()
    return None if row is None else (row.amount, row.credit_limit)


class Item(NamedTuple):
    """An entry of the ledger and what a statement shows of its message."""

    id: int
    at: int
    amount: int
    reason: int
    message: int | None
    text: str
    sender: str  # the account that sent the message: the payer may be its parent
    destination: str
    costcentre: str
    private: bool
    parts: int  # of the message, charged or given back


def entries(
    connection: Connection, account: str, since: int, until: int, after: int, limit: int
) -> list[Item]:
    """An account's entries with ``since`` <= at < ``until`` (ms), by id, those with an id above
    ``after``; ``limit`` at most."""
    c, m = schema.ledger.c, schema.message.c
    # Beyond it there is nothing, and no time or id that the store could compare.
    since, until, after = min(since, _LATEST), min(until, _LATEST), min(after, _LATEST)
    # The ids bound what the index has to be searched for; they may run ahead of the clock.
    above = min(max(after, first_of(since - _AHEAD_MS) - 1), _LATEST)
    below = min(first_of(until + _AHEAD_MS), _LATEST)
    query = (
        select(
            *(c.id, c.at, c.amount, c.reason, c.message, c.text),
            *(m.account, m.destination, m.parts, m.content),
        )
        .join_from(schema.ledger, schema.message, m.id == c.message, isouter=True)
        .where(c.account == account, c.id > above, c.id < below, c.at >= since, c.at < until)
        .order_by(c.id)
        .limit(limit)
    )
    return [_item(row) for row in connection.execute(query)]


def _item(row: Any) -> Item:
    entry = (row.id, row.at, row.amount, row.reason, row.message, row.text)
    if row.content is None:
        # A message that is not kept any more may have been private.
        return Item(*entry, "", "", "", row.message is not None, 0)
    of = records.billing(row.content)
    # A refund may be of some of the parts only.
    parts = abs(row.amount) // of.charged if of.charged else row.parts
    return Item(*entry, row.account, row.destination, of.costcentre, of.private, parts)


def currency(connection: Connection, account: str) -> str:
    """The currency of an account or of the nearest one above it that has one; "" if there is
    none."""
    p = schema.provision.c
    for _ in range(LEVELS):
        query = select(p.document).where(p.kind == "account", p.name == account)
        document = connection.execute(query).scalar()
        if document is None:
            break
        form = msgspec.json.decode(document, type=Account)
        if form.currency:
            return form.currency
        account = form.parent
    return ""
