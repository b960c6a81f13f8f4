"""A scriptable SMSC: an ordinary SMPP server on a socket that misbehaves as its script says.

``Smsc`` is the server's factory, ``SimulatedCarrier`` listens on loopback with it, ``main`` is
``smsgw simulate``.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import click
from twisted.internet import task
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort

from smsgw.config import checked_endpoint
from smsgw.testing.script import Plan, SmscScript, read
from smsgw.testing.smsc_server import Counts, Smsc
from smsgw.toml import Wrong, visible

__all__ = ["Counts", "Plan", "SimulatedCarrier", "Smsc", "SmscScript", "main", "read", "run"]

ENDPOINT = "tcp:2776:interface=127.0.0.1"


class SimulatedCarrier:
    """A simulated SMSC that listens on loopback."""

    def __init__(self, script: SmscScript, reactor: object, keep: int = 0) -> None:
        """``keep``: how many submit_sm stay to be looked at."""
        self._reactor = reactor
        self.smsc = Smsc(script, reactor, keep)  # type: ignore[arg-type]
        self.port = 0  # while it listens
        self._listening: IListeningPort | None = None

    def start(self, port: int = 0) -> "Deferred[int]":
        """Listen on 127.0.0.1; fires with the port, fails with ``CannotListenError``."""
        listening = maybeDeferred(
            self._reactor.listenTCP,  # type: ignore[attr-defined]
            port,
            self.smsc,
            interface="127.0.0.1",
        )
        return listening.addCallback(self._started)

    def _started(self, port: IListeningPort) -> int:
        self._listening = port
        self.port = int(port.getHost().port)  # type: ignore[attr-defined]
        return self.port

    def stop(self) -> "Deferred[None]":
        """Stop listening and end all connections; fires when the port is free."""
        self.smsc.stop()
        port, self._listening, self.port = self._listening, None, 0
        if port is None:
            return succeed(None)
        return maybeDeferred(port.stopListening).addCallback(lambda _: None)


def run(
    script: SmscScript,
    endpoint: str = ENDPOINT,
    system_id: str = "",
    password: str = "",
    every_s: float = 10.0,
) -> None:
    """Serve ``script`` on a Twisted endpoint until SIGINT; tells where it listens, then its counts.

    ``system_id`` and ``password`` go before those of ``script``; empty = those of ``script``.
    Raises ``SystemExit`` when it ends.
    """
    script = attrs.evolve(
        script, system_id=system_id or script.system_id, password=password or script.password
    )

    async def serve(reactor: Any) -> None:
        smsc = Smsc(script, reactor, keep=0)
        where = await listen(smsc, endpoint, reactor)
        who = f"system_id {script.system_id}" if script.system_id else "any system_id"
        click.echo(f"simulated SMSC on {where}, {who}; Ctrl-C ends it")
        told = attrs.evolve(smsc.counts)
        while True:
            await task.deferLater(reactor, every_s)
            if smsc.counts != told:
                told = attrs.evolve(smsc.counts)
                counts = attrs.asdict(told).items()
                click.echo(", ".join(f"{n} {name.replace('_', ' ')}" for name, n in counts if n))

    task.react(lambda reactor: Deferred.fromCoroutine(serve(reactor)))


async def listen(smsc: Smsc, endpoint: str, reactor: Any) -> str:
    """Listens with ``smsc`` on a Twisted endpoint; where that is, for people.

    Raises ``SystemExit`` with one line if it cannot.
    """
    try:
        port = await serverFromString(reactor, endpoint).listen(smsc)
    except Exception as error:  # each kind of endpoint has its own
        why = getattr(error, "socketError", None) or error
        sys.exit(
            visible(f"smsgw simulate: cannot listen on {endpoint}: {why}; choose another --listen")
        )
    where: Any = port.getHost()
    if isinstance(where, IPv4Address | IPv6Address):
        return f"{where.host} port {where.port}"
    return endpoint


def main(arguments: Sequence[str]) -> None:
    """``smsgw simulate`` with the command line ``arguments``; one option for each setting."""
    command = click.Command(
        "simulate",
        callback=_simulate,
        params=[
            click.Option(
                ["--listen"],
                default=ENDPOINT,
                metavar="ENDPOINT",
                show_default=True,
                help="Twisted endpoint, for instance tcp:2776.",
            ),
            click.Option(
                ["--script"],
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                help="TOML file with any of the settings below (_ for -); options go before it.",
            ),
            *[_option(field) for field in attrs.fields(SmscScript) if "help" in field.metadata],
        ],
        help="Run a simulated SMSC to connect a carrier to. Times are in seconds, shares 0 to 1.",
        epilog='With --mm4 it is a simulated MMSC: "smsgw simulate --mm4 --help".',
    )
    command.main(list(arguments), prog_name="smsgw simulate")


def _option(field: "attrs.Attribute[Any]") -> click.Option:
    default = field.default
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        default = {}
    option = "--" + field.name.replace("_", "-")
    if isinstance(default, bool):
        option += "/--no-" + option[2:]
    kind = bool if isinstance(default, bool) else str
    shown = f" [{default}]" if default not in ("", {}, False, True) else ""
    return click.Option([option], type=kind, default=None, help=field.metadata["help"] + shown)


def _simulate(listen: str, script: "Path | None", **settings: Any) -> None:
    fields = attrs.fields_dict(SmscScript)
    given = {
        name: _typed(fields[name].default, value)
        for name, value in settings.items()
        if value is not None
    }
    try:
        checked_endpoint(listen)
    except Wrong as wrong:
        raise click.ClickException(f"--listen: {wrong}") from None
    try:
        content = script.read_text("utf-8") if script else ""
        built = read(content, str(script) if script else "command line", given)
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    run(built, listen)


def _typed(default: object, value: Any) -> Any:
    """An option's text as TOML would give it; what cannot be converted is left for the check."""
    if isinstance(value, bool) or isinstance(default, str):
        return value
    if not isinstance(default, int | float):
        pairs = (pair.partition("=") for pair in value.split(","))
        return {key.strip(): _number(share) for key, _, share in pairs}
    return _number(value)


def _number(value: str) -> "int | float | str":
    try:
        return int(value, 0)
    except ValueError:
        pass
    try:
        return float(value)
    except ValueError:
        return value
