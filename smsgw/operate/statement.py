"""Statements: an account's ledger page by page, and what it spent by cost centre.

Of a message that was sent as *private* an itemised statement shows neither destination nor id: all
of a day with the same cost centre are one row, with their number and their sum (spec/aaisp.md
A-R20). Days are those of UTC.
"""

from collections.abc import AsyncIterator

from attrs import evolve
from sqlalchemy import Connection

from smsgw.operate.account_views import CostView, LedgerView
from smsgw.operate.operator import Operator
from smsgw.rules import money
from smsgw.rules.money import Entry
from smsgw.store import ledger

PAGE = 1_000  # entries that are read at once
PRIVATE = "private"  # reason of a row that stands for a day's private messages
DAY_MS = 24 * 3600_000

_OF_MESSAGES = (Entry.CHARGE, Entry.REFUND)
_Day = tuple[int, str]


class NoAccount(Exception):
    """There is no account of this name."""


def read(
    connection: Connection, account: str, since: int, until: int, after: int
) -> list[LedgerView] | None:
    """A page of the account's ledger, None if there is no such account.

    A row for private messages stands where the last of them on the page is; messages of its day on
    the next page make another one there.
    """
    if ledger.balance(connection, account) is None:
        return None
    currency = ledger.currency(connection, account)
    rows: dict[int | _Day, LedgerView] = {}
    for item in ledger.entries(connection, account, since, until, after, PAGE):
        view = _view(item, currency)
        if item.private:
            day = _day(view)
            rows[day] = _together(rows.pop(day, None), view)
        else:
            rows[item.id] = view
    return list(rows.values())


async def pages(
    operator: Operator, account: str, since: int, until: int
) -> AsyncIterator[list[LedgerView]]:
    """The whole statement, in lists of rows, one list at least; a day's private messages are one
    row at its end. Raises NoAccount."""
    waiting: dict[_Day, LedgerView] = {}
    after = 0
    while True:
        page = await operator.statement(account, since, until, after)
        if page is None:
            raise NoAccount(account)
        rows: list[LedgerView] = []
        for one in page:
            if waiting:
                start = one.at - one.at % DAY_MS
                for day in [day for day in waiting if day[0] < start]:
                    rows.append(waiting.pop(day))
            if one.reason == PRIVATE:
                waiting[_day(one)] = _together(waiting.get(_day(one)), one)
            else:
                rows.append(one)
        if not page:
            yield list(waiting.values())
            return
        yield rows
        after = page[-1].id


async def by_costcentre(operator: Operator, account: str, since: int, until: int) -> list[CostView]:
    """What the account's messages cost by cost centre, less what was given back; private ones
    count. Raises NoAccount."""
    found: dict[str, CostView] = {}
    amounts: dict[str, int] = {}
    names = {_name(reason) for reason in _OF_MESSAGES} | {PRIVATE}
    async for page in pages(operator, account, since, until):
        for one in page:
            if one.reason not in names:
                continue
            cost = found.setdefault(one.costcentre, CostView(one.costcentre, one.currency))
            cost.messages += one.messages
            cost.parts += one.parts
            amounts[one.costcentre] = amounts.get(one.costcentre, 0) + money.amount(one.amount)
    for costcentre, cost in found.items():
        cost.amount = money.shown(amounts[costcentre])
    return sorted(found.values(), key=lambda cost: cost.costcentre)


def _name(reason: int) -> str:
    return Entry(reason).name.lower().replace("_", "-")


def _view(item: ledger.Item, currency: str) -> LedgerView:
    view = LedgerView(item.id, item.at, money.shown(item.amount), _name(item.reason))
    view.currency = currency
    if item.reason == Entry.CHARGE:
        view.messages, view.parts = 1, item.parts
    elif item.reason == Entry.REFUND:
        # Its message was counted when it was charged.
        view.parts = -item.parts
    view.costcentre = item.costcentre
    if item.private:
        view.at -= item.at % DAY_MS
        view.reason = PRIVATE
        return view
    view.message = "" if item.message is None else str(item.message)
    view.text = item.text
    view.account, view.destination = item.sender, item.destination
    return view


def _day(view: LedgerView) -> _Day:
    return view.at - view.at % DAY_MS, view.costcentre


def _together(before: LedgerView | None, view: LedgerView) -> LedgerView:
    """Two rows for private messages as one."""
    if before is None:
        return view
    return evolve(
        view,
        amount=money.shown(money.amount(before.amount) + money.amount(view.amount)),
        messages=before.messages + view.messages,
        parts=before.parts + view.parts,
    )
