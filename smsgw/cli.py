"""The command line ``smsgw``.

It talks to the running gateway over its admin socket, or opens the store if none runs.
"""

import click

from smsgw import config as configuration
from smsgw.commands.accounts import accounts, balance, statement, topup
from smsgw.commands.carriers import carriers, simulate
from smsgw.commands.lists import list_group, lists
from smsgw.commands.messages import cancel, send, status
from smsgw.commands.move import migrate_store
from smsgw.commands.operators import token
from smsgw.commands.provision import apply, hash_password_command
from smsgw.commands.queues import nodes, queues
from smsgw.commands.routes import route
from smsgw.commands.sessions import sessions
from smsgw.commands.trace import trace
from smsgw.commands.watch import audit, health


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


for _one in (
    apply,
    send,
    status,
    cancel,
    accounts,
    balance,
    topup,
    statement,
    carriers,
    queues,
    nodes,
    sessions,
    lists,
    list_group,
    route,
    hash_password_command,
    token,
    audit,
    health,
    trace,
    simulate,
    migrate_store,
):
    main.add_command(_one)


if __name__ == "__main__":
    main()
