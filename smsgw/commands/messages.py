"""``smsgw send`` and ``status``: one message."""

import click

from smsgw.codes import describe
from smsgw.commands.asking import Fault, Silent, ask, operator_of, say_all, utf8
from smsgw.commands.showing import json_option, print_json, show_lines, time_of
from smsgw.operate.operator import MessageView
from smsgw.operate.views import parse_id


@click.command()
@click.option(
    "--account", required=True, metavar="NAME", help="Account that sends it.", callback=utf8
)
@click.option("--receipt", is_flag=True, help="Ask for a delivery receipt.")
@click.argument("source", metavar="FROM", callback=utf8)
@click.argument("destination", metavar="TO", callback=utf8)
@click.argument("text", callback=utf8)
@click.pass_context
def send(
    context: click.Context, account: str, receipt: bool, source: str, destination: str, text: str
) -> None:
    """Send TEXT as if NAME had; prints the message's id."""
    sent = ask(operator_of(context).send(account, source, destination, text, receipt))
    if sent.error:
        raise Fault(f"not accepted: {sent.error}")
    click.echo(sent.id)


@click.command()
@json_option
@click.argument("message_id", metavar="MESSAGE-ID")
@click.pass_context
def status(context: click.Context, as_json: bool, message_id: str) -> None:
    """Show a message by its id (decimal, GUID, 32 hex digits), or each that has a common id."""
    operator = operator_of(context)
    # What cannot be an id is not asked for: it might not even be text.
    found = None if parse_id(message_id) is None else ask(operator.message(message_id))
    if found is None:
        what = message_id or '""'
        raise Fault(f"no message {what}; give the id as decimal, GUID or 32 hex digits")
    if as_json:
        print_json(found)
        return
    show_lines(_message_lines(found))


@click.command()
@click.argument("message_ids", metavar="MESSAGE-ID...", nargs=-1, required=True)
@click.pass_context
def cancel(context: click.Context, message_ids: tuple[str, ...]) -> None:
    """Cancel messages that no carrier has been given yet; prints the ids of those cancelled. The
    common id of a request stands for all of its messages."""
    operator = operator_of(context)
    failed = False
    for message_id in message_ids:
        error = "no such message; give the id as decimal, GUID or 32 hex digits"
        if parse_id(message_id) is not None:
            done = ask(operator.cancel(message_id))
            error = done.error
            if done.left:
                error = f"{done.left} of its {done.messages + done.left} messages are not pending"
            if not done.error:
                click.echo(message_id)
        if error:
            failed = True
            say_all([f"smsgw: {message_id}: not cancelled: {error}"])
    if failed:
        raise Silent


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
        ("media", ", ".join(found.media)),
        ("route", found.route),
        ("carrier", found.carrier),
        ("carrier ids", ", ".join(found.carrier_ids)),
        ("accepted", time_of(found.accepted_at)),
        ("at carrier", time_of(found.carrier_at)),
        ("done", time_of(found.done_at)),
        ("read", time_of(found.read_at)),
        ("waits in", ", ".join(found.queued)),
        ("interface", found.interface),
        ("reference", found.client_reference),
        *(("with" if n else "together", one) for n, one in enumerate(found.messages)),
    ]
