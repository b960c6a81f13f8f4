"""``smsgw sessions``: who is bound to which node, and ending that."""

import click

from smsgw.commands.asking import Fault, ask, operator_of, utf8
from smsgw.commands.showing import json_option, show_list, time_of
from smsgw.operate.node_views import SessionView


@click.group(invoke_without_command=True)
@click.option("--account", default="", metavar="NAME", help="Those of an account.", callback=utf8)
@click.option("--carrier", default="", metavar="NAME", help="Links to a carrier.", callback=utf8)
@json_option
@click.pass_context
def sessions(context: click.Context, account: str, carrier: str, as_json: bool) -> None:
    """List bound ESMEs and links to carriers, of all nodes; end one of them."""
    if context.invoked_subcommand is not None:
        if as_json or account or carrier:
            raise click.UsageError("options go behind the subcommand")
        return
    if account and carrier:
        raise click.UsageError("name --account or --carrier")
    operator = operator_of(context)
    found: list[SessionView] = []
    while page := ask(operator.sessions.page(account, carrier, found[-1].id if found else "")):
        found += page
        if page[-1].kind == "link":
            break  # ESMEs come after them, so there is none
    show_list(
        as_json,
        found,
        {
            "id": lambda one: one.id,
            "of": lambda one: f"{'carrier' if one.kind == 'link' else 'account'} {one.name}",
            "login": lambda one: one.login,
            "bind": lambda one: one.bind,
            "peer": lambda one: one.peer,
            "node": lambda one: one.node_name,
            "state": lambda one: one.state,
            "since": lambda one: time_of(one.since),
            "reason": lambda one: one.reason,
        },
    )


@sessions.command("end")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.pass_context
def end(context: click.Context, ids: tuple[str, ...]) -> None:
    """Unbind sessions, at whichever node.

    A link binds again at once, an ESME if its client does.
    """
    operator = operator_of(context)
    for id in ids:
        utf8(context, context.command.params[0], id)
        ended = ask(operator.sessions.end(id))
        if ended is None:
            raise Fault(f"no session {id} is bound; see: smsgw sessions")
        click.echo(f"{id} is ended.")
