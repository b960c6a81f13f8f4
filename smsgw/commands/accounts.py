"""``smsgw accounts``, ``balance``, ``topup`` and ``statement``: customers and their money."""

import csv
import sys
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

import click

from smsgw.commands.asking import Fault, ask, operator_of, user, utf8
from smsgw.commands.showing import json_option, print_json, show_list, time_of
from smsgw.operate import statement as statements
from smsgw.operate.account_views import AccountView, BalanceView
from smsgw.operate.operator import Operator
from smsgw.text.sheets import cell


@click.command()
@json_option
@click.pass_context
def accounts(context: click.Context, as_json: bool) -> None:
    """List the accounts."""
    show_list(
        as_json,
        ask(operator_of(context).accounts()),
        {
            "account": lambda one: one.name,
            "parent": lambda one: one.parent,
            "state": _state,
            "logins": lambda one: ", ".join(one.logins),
            "numbers": lambda one: ", ".join(one.numbers),
            "balance": lambda one: f"{one.balance} {one.currency}" if one.balance else "",
            "rate": lambda one: f"{one.rate:g}/s" if one.rate else "unlimited",
            "sessions": lambda one: f"{one.sessions} {one.outbind}".rstrip(),
            "waiting": lambda one: str(one.waiting),
        },
    )


def _state(one: AccountView) -> str:
    return "suspended" if one.suspended else "expired" if one.expired else "active"


@click.command()
@json_option
@click.argument("account", callback=utf8)
@click.pass_context
def balance(context: click.Context, as_json: bool, account: str) -> None:
    """Show what ACCOUNT has; below 0 is what it owes."""
    found = _balance(operator_of(context).balance(account))
    if as_json:
        print_json(found)
    else:
        click.echo(_amount(found))


@click.command()
@click.option("--text", default="", metavar="T", help="What it is for.", callback=utf8)
@click.option("--correct", is_flag=True, help="Take AMOUNT off; --text must say why.")
@click.argument("account", callback=utf8)
@click.argument("amount", callback=utf8)
@click.pass_context
def topup(context: click.Context, text: str, correct: bool, account: str, amount: str) -> None:
    """Add AMOUNT to the balance of ACCOUNT; prints what it has then."""
    if not correct:
        text = text or f"by {user()}"
    click.echo(_amount(_balance(operator_of(context).top_up(account, amount, text, correct))))


def _amount(found: BalanceView) -> str:
    return f"{found.balance} {found.currency}".rstrip()


def _balance(question: Coroutine[Any, Any, BalanceView]) -> BalanceView:
    found = ask(question)
    if found.error:
        raise Fault(found.error)
    return found


# The titles of a statement's columns.
_ENTRY = (
    *("time", "reason", "amount", "message", "text", "currency"),
    *("account", "destination", "costcentre", "parts"),
)
_COST = ("costcentre", "currency", "messages", "parts", "amount")
_day = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.option("--from", "first", type=_day, metavar="D", help="First day (UTC), as 2026-01-31.")
@click.option("--to", "last", type=_day, metavar="D", help="Last day (UTC).")
@click.option("--by", type=click.Choice(["costcentre"]), help="Sums instead of entries.")
@click.argument("account", callback=utf8)
@click.pass_context
def statement(
    context: click.Context,
    first: datetime | None,
    last: datetime | None,
    by: str | None,
    account: str,
) -> None:
    """Write the ledger of ACCOUNT as CSV."""
    since = _day_ms(first) if first else 0
    until = _day_ms(last) + statements.DAY_MS if last else 1 << 62
    write = _write_sums if by else _write_entries
    try:
        ask(write(operator_of(context), account, since, until))
    except statements.NoAccount:
        raise Fault(f"there is no account {account}; see: smsgw accounts") from None


async def _write_entries(operator: Operator, account: str, since: int, until: int) -> None:
    out = csv.writer(sys.stdout, lineterminator="\n")
    titles = True
    async for page in statements.pages(operator, account, since, until):
        if titles:
            out.writerow(_ENTRY)
            titles = False
        for one in page:
            private = one.reason == statements.PRIVATE
            out.writerow(
                [
                    time_of(one.at).partition(" ")[0] if private else time_of(one.at),
                    one.reason,
                    one.amount,
                    one.message,
                    f"messages: {one.messages}" if private else cell(one.text),
                    one.currency,
                    cell(one.account),
                    one.destination,
                    cell(one.costcentre),
                    one.parts or "",
                ]
            )


async def _write_sums(operator: Operator, account: str, since: int, until: int) -> None:
    costs = await statements.by_costcentre(operator, account, since, until)
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(_COST)
    for one in costs:
        out.writerow([cell(one.costcentre), one.currency, one.messages, one.parts, one.amount])


def _day_ms(day: datetime) -> int:
    return max(0, int(day.replace(tzinfo=UTC).timestamp()) * 1000)
