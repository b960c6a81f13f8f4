"""``smsgw queues``: what waits to be sent or handed over, and what was given up."""

from typing import Any

import click

from smsgw.commands.asking import Fault, ask, operator_of, utf8
from smsgw.commands.showing import json_option, print_json, show_list, time_of
from smsgw.flow.dead import Which
from smsgw.operate.dead_views import IDS, DeadView


@click.command()
@json_option
@click.pass_context
def nodes(context: click.Context, as_json: bool) -> None:
    """List the nodes that share the store; none where one gateway has it for itself."""
    show_list(
        as_json,
        ask(operator_of(context).nodes()),
        {
            "node": lambda one: str(one.number),
            "name": lambda one: one.name,
            "roles": lambda one: " ".join(one.roles),
            "version": lambda one: one.version,
            "sessions": lambda one: str(one.sessions),
            "links": lambda one: " ".join(f"{n}:{up}" for n, up in sorted(one.links.items()) if up),
            "seen": lambda one: time_of(one.seen),
        },
    )


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def queues(context: click.Context, as_json: bool) -> None:
    """List the queues that have entries; see and retry what was given up."""
    if context.invoked_subcommand is not None:
        if as_json:
            raise click.UsageError("--json goes behind the subcommand")
        return
    show_list(
        as_json,
        ask(operator_of(context).queues()),
        {
            "queue": lambda one: one.name,
            "waiting": lambda one: str(one.waiting),
            "due": lambda one: str(one.due),
            "oldest due": lambda one: time_of(one.oldest),
        },
    )


_account = click.option(
    "--account", default="", metavar="NAME", help="Those of an account.", callback=utf8
)
_queue = click.option(
    "--queue", default="", metavar="QUEUE", help="Those of a queue.", callback=utf8
)


@queues.command("dead")
@json_option
@_account
@_queue
@click.pass_context
def dead(context: click.Context, as_json: bool, account: str, queue: str) -> None:
    """List dead letters: receipts and MO that were given up."""
    operator = operator_of(context)
    found: list[DeadView] = []
    while True:
        after = found[-1].id if found else 0
        page = ask(operator.dead.page(Which((), account, queue), after))
        found += page
        if not page:
            break
    show_list(
        as_json,
        found,
        {
            "id": lambda one: str(one.id),
            "queue": lambda one: one.queue,
            "event": lambda one: one.event,
            "message": lambda one: one.message,
            "attempts": lambda one: str(one.attempts),
            "given up": lambda one: time_of(one.at),
            "reason": lambda one: one.reason,
        },
    )


def _meant(function: Any) -> Any:
    for one in (
        click.argument("ids", metavar="[ID]...", nargs=-1, type=click.IntRange(1, (1 << 63) - 1)),
        click.option("--all", "every", is_flag=True, help="All there are."),
        _queue,
        _account,
        json_option,
    ):
        function = one(function)
    return function


@queues.command("retry")
@_meant
@click.pass_context
def retry(context: click.Context, /, as_json: bool, **which: Any) -> None:
    """Put dead letters back to their queues, as if they had never been tried."""
    _told(as_json, ask(operator_of(context).dead.put_back(_which(**which))), "put back")


@queues.command("drop")
@_meant
@click.pass_context
def drop(context: click.Context, /, as_json: bool, **which: Any) -> None:
    """Remove dead letters."""
    _told(as_json, ask(operator_of(context).dead.drop(_which(**which))), "removed")


def _which(ids: tuple[int, ...], account: str, queue: str, every: bool) -> Which:
    which = Which(tuple(dict.fromkeys(ids)), account, queue)
    if (which == Which()) is not every:
        raise click.UsageError("name IDs, --account or --queue; or --all and none of them")
    if len(which.ids) > IDS:
        raise Fault(f"{len(which.ids)} ids are too many; name {IDS} at most")
    return which


def _told(as_json: bool, count: int, what: str) -> None:
    if as_json:
        print_json({"count": count})
    else:
        click.echo(f"{count} {what}.")
    if not count:
        raise Fault("there is no such dead letter; see: smsgw queues dead")
