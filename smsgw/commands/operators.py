"""``smsgw token``: who may use the admin API by TCP."""

import secrets
from hashlib import sha256

import click

from smsgw.commands.asking import Fault, Silent, ask, operator_of, say_all, user, utf8
from smsgw.provisioning.operators import ROLES


@click.command()
@click.option(
    "--role", type=click.Choice(ROLES), default="viewer", show_default=True, help="What it may."
)
@click.option("--apply", "at_once", is_flag=True, help="Provision the operator at once.")
@click.argument("name", callback=utf8)
@click.pass_context
def token(context: click.Context, role: str, at_once: bool, name: str) -> None:
    """Make a token of the admin API for the operator NAME, and print it this once.

    An operator of this name that is there already gets the new token in place of its own.
    """
    made = secrets.token_urlsafe(32)
    digest = sha256(made.encode()).hexdigest()
    text = f'[[operator]]\nname = {_quoted(name)}\nrole = "{role}"\ntoken_hash = "{digest}"\n'
    if not at_once:
        click.echo(made)
        click.echo(f"\n{text}", nl=False)
        return
    operator = operator_of(context)
    applied = ask(operator.apply(text, "token", False, False, user()))
    if applied.errors:
        say_all(applied.errors)
        raise Silent
    click.echo(made)
    click.echo(f"Applied: version {applied.version}.", err=True)


def _quoted(name: str) -> str:
    if not name.isprintable() or any(one in name for one in '"\\'):
        raise Fault("the name must be 1 to 64 letters, digits, dots, - and _")
    return f'"{name}"'
