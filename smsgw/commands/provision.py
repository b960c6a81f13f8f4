"""``smsgw apply`` and ``hash-password``: what changes the provisioning, and what goes into it."""

import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from smsgw.commands.asking import Fault, Silent, ask, displayed, operator_of, say_all, user
from smsgw.operate.operator import Applied
from smsgw.store.secrets import hash_password


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--yes", is_flag=True, help="Apply without asking.")
@click.option("--prune", is_flag=True, help="Delete what FILE does not have.")
@click.option("--dry-run", is_flag=True, help="Show the changes only.")
@click.pass_context
def apply(context: click.Context, file: str, yes: bool, prune: bool, dry_run: bool) -> None:
    """Provision the accounts, carriers and routes of FILE ("-" is standard input)."""
    text = _text_of(file)
    name = "standard input" if file == "-" else displayed(file)
    operator = operator_of(context)
    who = user()
    planned = _applied(operator.apply(text, name, prune, True, who))
    if not planned.changes:
        click.echo("No changes.")
        return
    for line in planned.changes:
        click.secho(line, fg={"+": "green", "-": "red"}.get(line[0], "yellow"))
    if dry_run:
        return
    if not yes:
        if not interactive():
            raise Fault("nothing applied: nobody to ask; run it again with --yes")
        if not click.confirm("Apply these changes?"):
            raise Fault("nothing applied: you said no")
    done = _applied(operator.apply(text, name, prune, False, who))
    click.echo(f"Applied: version {done.version}.")


def interactive() -> bool:
    """True if somebody is there to be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


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
    applied = ask(question)
    if applied.errors:
        say_all(applied.errors)
        raise Silent
    return applied


@click.command("hash-password")
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
