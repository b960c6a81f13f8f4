"""What commands share: whom they ask, and the faults that end them."""

import asyncio
import getpass
import os
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import click
from sqlalchemy.exc import SQLAlchemyError

from smsgw import config as configuration
from smsgw.operate.offline import OfflineOperator
from smsgw.operate.operator import Operator, Unavailable
from smsgw.operate.remote import NotRunning, RemoteOperator, admin_endpoint
from smsgw.toml import visible

T = TypeVar("T")
TOKEN = "SMSGW_TOKEN"  # noqa: S105  # the variable with an operator's token, for a TCP endpoint


class Fault(click.ClickException):
    """What stops a command: one line that names the remedy; the exit status is 1."""

    def show(self, file: Any = None) -> None:
        """Write the line to stderr."""
        click.echo(visible(f"smsgw: {self.message}"), err=True)


class Silent(click.exceptions.Exit):
    """Ends with status 1; what is wrong has been said."""

    def __init__(self) -> None:
        super().__init__(1)


def config_of(context: click.Context) -> configuration.Config:
    """The configuration that ``-c`` names; its faults are told and end the command."""
    try:
        return configuration.find(context.obj)
    except configuration.ConfigError as error:
        say_all(error.lines)
        raise Silent from None


def operator_of(context: click.Context) -> Operator:
    """The running gateway, or the store if nobody listens on its admin endpoint."""
    config = config_of(context)
    endpoint = admin_endpoint(config.http.admin)
    if endpoint is not None:
        remote = RemoteOperator(endpoint, os.environ.get(TOKEN, ""))
        try:
            remote.ping()
        except NotRunning:
            pass
        except Unavailable as error:
            raise Fault(str(error)) from None
        else:
            return remote.by(user())
    offline = OfflineOperator(config)
    context.call_on_close(offline.close)
    return offline.by(user())


def ask(question: Coroutine[Any, Any, T]) -> T:
    """The operator's answer; what it cannot have ends the command with a Fault."""
    try:
        return asyncio.run(question)
    except Unavailable as error:
        raise Fault(str(error)) from None
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise Fault(f"store: {cause}; if a gateway is running, check http.admin") from None


def say_all(lines: Sequence[str]) -> None:
    """Write lines to stderr."""
    for line in lines:
        click.echo(visible(line), err=True)


def utf8(_context: click.Context, parameter: click.Parameter, value: str) -> str:
    """What is sent on must be text: an argument in another encoding has surrogates in it."""
    if value != displayed(value):
        raise Fault(f"{parameter.human_readable_name} is not UTF-8; use a UTF-8 terminal")
    return value


def displayed(text: str) -> str:
    """``text`` with what is not UTF-8 in it escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def user() -> str:
    """Who the audit says it was."""
    try:
        return displayed(os.environ.get("SUDO_USER") or getpass.getuser())
    except (KeyError, OSError):
        # A container's user may have no name.
        return f"uid {os.getuid()}"
