"""The admin API's endpoints of accounts and their money."""

import msgspec

from smsgw.http.admin.endpoints import Call, Endpoint, Fault, Refused, accepted
from smsgw.operate.account_views import AccountView, BalanceView, CostView, LedgerView
from smsgw.operate.statement import NoAccount, by_costcentre

_LATEST = (1 << 63) - 1  # what the store holds


class TopUp(msgspec.Struct):
    """What is added to a balance, or taken off with ``correct``; ``amount`` is above 0."""

    account: str
    amount: str
    text: str = ""
    correct: bool = False


class Period(msgspec.Struct):
    """A page of a statement: entries from ``since`` to before ``until`` (ms since 1970 UTC), of an
    id above ``after``."""

    since: int = 0
    until: int = _LATEST
    after: int = 0


class Span(msgspec.Struct):
    """From ``since`` to before ``until`` (ms since 1970 UTC)."""

    since: int = 0
    until: int = _LATEST


async def _accounts(call: Call) -> list[AccountView]:
    return await call.operator.accounts()


async def _balance(call: Call) -> BalanceView:
    found = await call.operator.balance(call.names["account"])
    if found.error:
        raise Refused(404, found.error)
    return found


async def _top_up(call: Call) -> BalanceView:
    asked: TopUp = call.body
    found = await call.operator.top_up(asked.account, asked.amount, asked.text, asked.correct)
    return accepted(found, found.error)


async def _statement(call: Call) -> list[LedgerView]:
    name, asked = call.names["account"], call.query
    if min(asked.since, asked.until, asked.after) < 0:
        raise Refused(400, "since, until and after must be 0 or more")
    entries = await call.operator.statement(name, asked.since, asked.until, asked.after)
    if entries is None:
        raise Refused(404, f"no account {name[:40]}")
    return entries


async def _costs(call: Call) -> list[CostView]:
    name, asked = call.names["account"], call.query
    if min(asked.since, asked.until) < 0:
        raise Refused(400, "since and until must be 0 or more")
    try:
        return await by_costcentre(call.operator, name, asked.since, asked.until)
    except NoAccount:
        raise Refused(404, f"no account {name[:40]}") from None


ENDPOINTS = [
    Endpoint("GET", "/admin/accounts", "viewer", "All accounts", list[AccountView], _accounts),
    Endpoint(
        "GET",
        "/admin/balances/{account}",
        "viewer",
        "What an account has",
        BalanceView,
        _balance,
        faults={404: Fault},
    ),
    Endpoint(
        "POST",
        "/admin/topups",
        "operator",
        "Add to the balance of an account",
        BalanceView,
        _top_up,
        asked=TopUp,
        status=201,
        faults={422: BalanceView},
    ),
    Endpoint(
        "GET",
        "/admin/statements/{account}",
        "viewer",
        "A page of an account's ledger, the oldest entries first",
        list[LedgerView],
        _statement,
        query=Period,
        faults={404: Fault},
    ),
    Endpoint(
        "GET",
        "/admin/statements/{account}/costcentres",
        "viewer",
        "What an account's messages cost, by cost centre",
        list[CostView],
        _costs,
        query=Span,
        faults={404: Fault},
    ),
]
