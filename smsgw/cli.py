"""The command line ``smsgw``.

It talks to the running gateway over its admin socket, or opens the store if none runs.
"""

import asyncio
import csv
import getpass
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy.exc import SQLAlchemyError

from smsgw import config as configuration
from smsgw.codes import describe
from smsgw.operate.offline import OfflineOperator
from smsgw.operate.operator import (
    Applied,
    BalanceView,
    MessageView,
    Operator,
    RouteView,
    Unavailable,
)
from smsgw.operate.remote import NotRunning, RemoteOperator, admin_endpoint
from smsgw.operate.views import parse_id
from smsgw.store.secrets import hash_password
from smsgw.toml import visible

T = TypeVar("T")


class Fault(click.ClickException):
    """What stops a command: one line that names the remedy; the exit status is 1."""

    def show(self, file: Any = None) -> None:
        """Write the line to stderr."""
        click.echo(visible(f"smsgw: {self.message}"), err=True)


class _Silent(click.exceptions.Exit):
    """Ends with status 1; what is wrong has been said."""

    def __init__(self) -> None:
        super().__init__(1)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="smsgw")
@click.option(
    "-c",
    "--config",
    "path",
    metavar="FILE",
    help=f"Configuration file; {configuration.DEFAULT} by default, which may be absent.",
)
@click.pass_context
def main(context: click.Context, path: str | None) -> None:
    """Operate an smsgw gateway."""
    context.obj = path


def _config(context: click.Context) -> configuration.Config:
    try:
        return configuration.find(context.obj)
    except configuration.ConfigError as error:
        _say_all(error.lines)
        raise _Silent from None


def _operator(context: click.Context) -> Operator:
    """The running gateway, or the store if nobody listens on its admin endpoint."""
    config = _config(context)
    endpoint = admin_endpoint(config.http.admin)
    if endpoint is not None:
        remote = RemoteOperator(endpoint)
        try:
            remote.ping()
        except NotRunning:
            pass
        except Unavailable as error:
            raise Fault(str(error)) from None
        else:
            return remote
    offline = OfflineOperator(config)
    context.call_on_close(offline.close)
    return offline


def _ask(question: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(question)
    except Unavailable as error:
        raise Fault(str(error)) from None
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise Fault(f"store: {cause}; if a gateway is running, check http.admin") from None


def _say_all(lines: Sequence[str]) -> None:
    for line in lines:
        click.echo(visible(line), err=True)


def _utf8(_context: click.Context, parameter: click.Parameter, value: str) -> str:
    """What is sent on must be text: an argument in another encoding has surrogates in it."""
    if value != _displayed(value):
        raise Fault(f"{parameter.human_readable_name} is not UTF-8; use a UTF-8 terminal")
    return value


def _displayed(text: str) -> str:
    """``text`` with what is not UTF-8 in it escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@main.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--yes", is_flag=True, help="Apply without asking.")
@click.option("--prune", is_flag=True, help="Delete what FILE does not have.")
@click.option("--dry-run", is_flag=True, help="Show the changes only.")
@click.pass_context
def apply(context: click.Context, file: str, yes: bool, prune: bool, dry_run: bool) -> None:
    """Provision the accounts, carriers and routes of FILE ("-" is standard input)."""
    text = _text_of(file)
    name = "standard input" if file == "-" else _displayed(file)
    operator = _operator(context)
    who = _user()
    planned = _applied(operator.apply(text, name, prune, True, who))
    if not planned.changes:
        click.echo("No changes.")
        return
    for line in planned.changes:
        click.secho(line, fg={"+": "green", "-": "red"}.get(line[0], "yellow"))
    if dry_run:
        return
    if not yes:
        if not _interactive():
            raise Fault("nothing applied: nobody to ask; run it again with --yes")
        if not click.confirm("Apply these changes?"):
            raise Fault("nothing applied: you said no")
    done = _applied(operator.apply(text, name, prune, False, who))
    click.echo(f"Applied: version {done.version}.")


def _interactive() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _user() -> str:
    """Who the audit says it was."""
    try:
        return _displayed(os.environ.get("SUDO_USER") or getpass.getuser())
    except (KeyError, OSError):
        # A container's user may have no name.
        return f"uid {os.getuid()}"


def _text_of(file: str) -> str:
    try:
        if file == "-":
            return sys.stdin.buffer.read().decode("utf-8")
        return Path(file).read_text("utf-8")
    except OSError as error:
        raise Fault(f"{file}: {error.strerror}; name a file that can be read") from None
    except UnicodeDecodeError:
        raise Fault(f"{file}: not UTF-8; save the file as UTF-8") from None


def _applied(question: Coroutine[Any, Any, Applied]) -> Applied:
    applied = _ask(question)
    if applied.errors:
        _say_all(applied.errors)
        raise _Silent
    return applied


@main.command()
@click.option(
    "--account", required=True, metavar="NAME", help="Account that sends it.", callback=_utf8
)
@click.option("--receipt", is_flag=True, help="Ask for a delivery receipt.")
@click.argument("source", metavar="FROM", callback=_utf8)
@click.argument("destination", metavar="TO", callback=_utf8)
@click.argument("text", callback=_utf8)
@click.pass_context
def send(
    context: click.Context, account: str, receipt: bool, source: str, destination: str, text: str
) -> None:
    """Send TEXT as if NAME had; prints the message's id."""
    sent = _ask(_operator(context).send(account, source, destination, text, receipt))
    if sent.error:
        raise Fault(f"not accepted: {sent.error}")
    click.echo(sent.id)


@main.command()
@_json_option
@click.argument("message_id", metavar="MESSAGE-ID")
@click.pass_context
def status(context: click.Context, as_json: bool, message_id: str) -> None:
    """Show a message by its id: decimal, GUID, or 32 hex digits."""
    operator = _operator(context)
    # What cannot be an id is not asked for: it might not even be text.
    found = None if parse_id(message_id) is None else _ask(operator.message(message_id))
    if found is None:
        what = message_id or '""'
        raise Fault(f"no message {what}; give the id as decimal, GUID or 32 hex digits")
    if as_json:
        _print_json(found)
        return
    _show_lines(_message_lines(found))


def _show_lines(lines: list[tuple[str, str]]) -> None:
    table = _table()
    table.show_header = False
    for label, value in lines:
        if value:
            table.add_row(Text(label), Text(value))
    _console().print(table)


def _message_lines(found: MessageView) -> list[tuple[str, str]]:
    return [
        ("id", found.id),
        ("guid", found.guid),
        ("state", found.state),
        ("error", f"{found.error} ({describe(found.error).text})" if found.error else ""),
        ("network error", found.network_error),
        ("direction", found.direction),
        ("account", found.account),
        ("from", found.source),
        ("to", found.destination),
        ("parts", str(found.parts)),
        ("route", found.route),
        ("carrier", found.carrier),
        ("carrier ids", ", ".join(found.carrier_ids)),
        ("accepted", _time(found.accepted_at)),
        ("at carrier", _time(found.carrier_at)),
        ("done", _time(found.done_at)),
        ("waits in", ", ".join(found.queued)),
        ("interface", found.interface),
        ("reference", found.client_reference),
    ]


@main.command()
@_json_option
@click.pass_context
def accounts(context: click.Context, as_json: bool) -> None:
    """List the accounts."""
    _list(
        as_json,
        _ask(_operator(context).accounts()),
        {
            "account": lambda one: one.name,
            "state": lambda one: "suspended" if one.suspended else "active",
            "logins": lambda one: ", ".join(one.logins),
            "numbers": lambda one: ", ".join(one.numbers),
            "balance": lambda one: one.balance or "",
            "rate": lambda one: f"{one.rate:g}/s" if one.rate else "unlimited",
            "sessions": lambda one: str(one.sessions),
            "waiting": lambda one: str(one.waiting),
        },
    )


@main.command()
@_json_option
@click.argument("account", callback=_utf8)
@click.pass_context
def balance(context: click.Context, as_json: bool, account: str) -> None:
    """Show what ACCOUNT has; below 0 is what it owes."""
    found = _balance(_operator(context).balance(account))
    if as_json:
        _print_json(found)
    else:
        click.echo(found.balance)


@main.command()
@click.option("--text", default="", metavar="T", help="What it is for.", callback=_utf8)
@click.argument("account", callback=_utf8)
@click.argument("amount", callback=_utf8)
@click.pass_context
def topup(context: click.Context, text: str, account: str, amount: str) -> None:
    """Add AMOUNT to the balance of ACCOUNT; prints what it has then."""
    text = text or f"by {_user()}"
    click.echo(_balance(_operator(context).top_up(account, amount, text)).balance)


def _balance(question: Coroutine[Any, Any, BalanceView]) -> BalanceView:
    found = _ask(question)
    if found.error:
        raise Fault(found.error)
    return found


_DAY_MS = 24 * 3600_000
_day = click.DateTime(["%Y-%m-%d"])


@main.command()
@click.option("--from", "first", type=_day, metavar="D", help="First day (UTC), as 2026-01-31.")
@click.option("--to", "last", type=_day, metavar="D", help="Last day (UTC).")
@click.argument("account", callback=_utf8)
@click.pass_context
def statement(
    context: click.Context, first: datetime | None, last: datetime | None, account: str
) -> None:
    """Write the ledger of ACCOUNT as CSV."""
    operator = _operator(context)
    since = _day_ms(first) if first else 0
    until = _day_ms(last) + _DAY_MS if last else 1 << 62
    out = csv.writer(sys.stdout, lineterminator="\n")
    after = 0
    while True:
        page = _ask(operator.statement(account, since, until, after))
        if page is None:
            raise Fault(f"there is no account {account}; see: smsgw accounts")
        if not after:
            out.writerow(["time", "reason", "amount", "message", "text"])
        if not page:
            return
        for one in page:
            out.writerow([_time(one.at), one.reason, one.amount, one.message, one.text])
        after = page[-1].id


def _day_ms(day: datetime) -> int:
    return max(0, int(day.replace(tzinfo=UTC).timestamp()) * 1000)


@main.command()
@_json_option
@click.pass_context
def carriers(context: click.Context, as_json: bool) -> None:
    """List the carriers and how their links are."""
    _list(
        as_json,
        _ask(_operator(context).carriers()),
        {
            "carrier": lambda one: one.name,
            "kind": lambda one: one.kind,
            "peer": lambda one: one.peer,
            "state": lambda one: one.state,
            "links": lambda one: f"{one.links_up}/{one.links}",
            "since": lambda one: _time(one.since),
            "outstanding": lambda one: f"{one.outstanding}/{one.window}",
            "waiting": lambda one: str(one.waiting),
            "reason": lambda one: one.reason,
        },
    )


@main.command()
@_json_option
@click.pass_context
def queues(context: click.Context, as_json: bool) -> None:
    """List the queues that have entries."""
    _list(
        as_json,
        _ask(_operator(context).queues()),
        {
            "queue": lambda one: one.name,
            "waiting": lambda one: str(one.waiting),
            "due": lambda one: str(one.due),
            "oldest due": lambda one: _time(one.oldest),
        },
    )


@main.group()
def route() -> None:
    """See where messages go."""


@route.command("test")
@_json_option
@click.option("--account", default="", metavar="NAME", help="Account that sends.", callback=_utf8)
@click.argument("source", metavar="FROM", callback=_utf8)
@click.argument("destination", metavar="TO", callback=_utf8)
@click.argument("text", callback=_utf8)
@click.pass_context
def route_test(
    context: click.Context, as_json: bool, account: str, source: str, destination: str, text: str
) -> None:
    """Show which route TEXT would take and why; nothing is sent."""
    found = _ask(_operator(context).route(account, source, destination, text))
    if as_json:
        _print_json(found)
    elif found.route or found.passed_over or not found.error:
        _show_lines(_route_lines(found))
    if found.error:
        if as_json:
            raise _Silent
        raise Fault(f"it would be refused: {found.error}")


def _route_lines(found: RouteView) -> list[tuple[str, str]]:
    why = [f'prefix "{found.prefix}", priority {found.priority}']
    if found.filters:
        why.append(f"filters {', '.join(found.filters)}")
    if found.rivals:
        why.append(f"{found.select} among {', '.join([found.route, *found.rivals])}")
    links = {True: " (up)", False: " (down)", None: ""}
    return [
        ("route", found.route),
        ("because of", "; ".join(why) if found.route else ""),
        ("passed over", ", ".join(found.passed_over)),
        ("carriers", ", ".join(f"{one.name}{links[one.up]}" for one in found.carriers)),
        ("from", found.source),
        ("to", found.destination),
        ("parts", f"{found.parts} {found.coding}"),
        ("price", found.price),
    ]


@main.command("hash-password")
def hash_password_command() -> None:
    """Print the password_hash of a password, which is asked for or read from standard input."""
    try:
        if sys.stdin.isatty():
            password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        else:
            password = sys.stdin.buffer.readline().decode("utf-8").rstrip("\r\n")
        hashed = hash_password(password) if password else ""
    except UnicodeError:
        raise Fault("the password is not UTF-8; use a UTF-8 terminal") from None
    if not hashed:
        raise Fault("no password; write it to standard input")
    click.echo(hashed)


@main.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def simulate(arguments: tuple[str, ...]) -> None:
    """Run a simulated SMSC to connect a carrier to; "smsgw simulate --help" shows its options."""
    # Imported here because it brings the reactor, which no other command needs.
    from smsgw.testing.smsc import main as run

    run(list(arguments))


def _list(as_json: bool, rows: Sequence[Any], columns: dict[str, Callable[[Any], str]]) -> None:
    if as_json:
        _print_json(rows)
        return
    table = _table()
    for name in columns:
        table.add_column(name)
    for row in rows:
        # Text, not markup: what peers said may have brackets.
        table.add_row(*(Text(show(row)) for show in columns.values()))
    if rows:
        _console().print(table)
    else:
        click.echo("None.")


def _table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")


def _console() -> Console:
    """Standard output; wide where it is a file or a pipe, so that nothing is folded there."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 500)


def _print_json(value: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value)).decode())


def _time(at_ms: int) -> str:
    if not at_ms:
        return ""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


if __name__ == "__main__":
    main()
