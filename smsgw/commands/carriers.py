"""``smsgw carriers`` and ``simulate``: the other side of the gateway."""

import click

from smsgw.commands.asking import ask, operator_of
from smsgw.commands.showing import json_option, show_list, time_of


@click.command()
@json_option
@click.pass_context
def carriers(context: click.Context, as_json: bool) -> None:
    """List the carriers and how their links are."""
    show_list(
        as_json,
        ask(operator_of(context).carriers()),
        {
            "carrier": lambda one: one.name,
            "kind": lambda one: one.kind,
            "peer": lambda one: one.peer,
            "state": lambda one: one.state,
            "links": lambda one: f"{one.links_up}/{one.links}",
            "since": lambda one: time_of(one.since),
            "outstanding": lambda one: f"{one.outstanding}/{one.window}",
            "waiting": lambda one: str(one.waiting),
            "reason": lambda one: one.reason or one.last,
        },
    )


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def simulate(arguments: tuple[str, ...]) -> None:
    """Run a simulated SMSC (--mm4: MMSC) for a carrier; "smsgw simulate --help" shows more."""
    # Imported here because it brings the reactor, which no other command needs.
    if "--mm4" in arguments:
        from smsgw.testing.simulated_mmsc import main as run
    else:
        from smsgw.testing.smsc import main as run

    run([one for one in arguments if one != "--mm4"])
