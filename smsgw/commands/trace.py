"""``smsgw trace``: the PDUs of live SMPP sessions, for people and for Wireshark."""

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from typing import BinaryIO

import click
import msgspec

from smsgw.commands.asking import Fault, ask, operator_of, utf8
from smsgw.operate.operator import Unavailable
from smsgw.operate.remote import RemoteOperator
from smsgw.operate.wire_views import LONGEST_S, SECONDS, WireView
from smsgw.smpp.pcap import Connection, Pcap
from smsgw.toml import visible


@click.command()
@click.argument("name", callback=utf8)
@click.option(
    "--kind",
    type=click.Choice(["account", "carrier"]),
    default=None,
    help="Which it is, if there are both of this name.",
)
@click.option(
    "--seconds",
    type=click.IntRange(1, LONGEST_S),
    default=SECONDS,
    show_default=True,
    metavar="N",
    help="How long.",
)
@click.option("--text", is_flag=True, help="With the texts of messages.")
@click.option(
    "--pcap",
    type=click.File("wb", lazy=False),
    metavar="FILE",
    help="Also write a file that Wireshark opens.",
)
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each PDU.")
@click.pass_context
def trace(
    context: click.Context,
    name: str,
    kind: str | None,
    seconds: int,
    text: bool,
    pcap: BinaryIO | None,
    as_json: bool,
) -> None:
    """Show the SMPP PDUs of an account's or a carrier's sessions as they pass.

    Passwords are masked, and texts without --text. Ends after N seconds, or with Ctrl-C.
    """
    operator = operator_of(context)
    if not isinstance(operator, RemoteOperator):
        raise Fault("the gateway is not running; start it with: twistd -n smsgw")
    lost = 0
    with ExitStack() as stack:
        writer = _Writer(pcap) if pcap is not None else None
        if pcap is not None:
            stack.callback(pcap.close)
        try:
            for one in _watched(operator, name, kind or "", seconds, text):
                lost += one.lost
                if writer is not None:
                    writer.write(one)
                line = msgspec.json.encode(one).decode() if as_json else visible(line_of(one))
                click.echo(line)
        except KeyboardInterrupt:
            pass
        except Unavailable as error:
            raise Fault(str(error)) from None
    if lost:
        click.echo(f"smsgw: {lost} PDUs were lost, there were too many at a time", err=True)


def _watched(
    operator: RemoteOperator, name: str, kind: str, seconds: int, text: bool
) -> Iterator[WireView]:
    """What is to be seen, once the gateway copies."""
    found = operator.watch(name, kind, seconds, text)
    click.echo(f"watching {name} for {seconds} s", err=True)
    # The traffic of other nodes is not seen; whoever looks for it is to know where it is.
    with suppress(Fault):
        there = _elsewhere(operator, name, kind)
        if there:
            click.echo(f"smsgw: it has sessions at {', '.join(there)}: trace there", err=True)
    return found


def _elsewhere(operator: RemoteOperator, name: str, kind: str) -> list[str]:
    """Other nodes that have sessions of an account, or links to a carrier."""
    sessions = operator.sessions
    known = ask(sessions.page(name, "", "")) if kind != "carrier" else []
    if kind == "carrier" or not (kind or known):
        known = ask(sessions.page("", name, ""))
    return sorted({f"node {one.node} ({one.node_name})" for one in known if not one.here})


def line_of(one: WireView) -> str:
    """One PDU or event as people read it."""
    if one.lost:
        return f"... {one.lost} lost"
    at = datetime.fromtimestamp(one.at / 1000, UTC)
    head = f"{at:%H:%M:%S}.{one.at % 1000:03d} #{one.connection} {one.peer}"
    if one.event:
        return f"{head} {one.event}"
    words = [head, "<-" if one.sent else "->", one.pdu, str(one.sequence)]
    if one.status:
        words.append(one.status)
    words += [f"{name}={_value(value)}" for name, value in one.fields.items() if value != ""]
    if one.fault:
        words.append(f"cannot be read: {one.fault}")
    return " ".join(words)


def _value(value: object) -> str:
    return msgspec.json.encode(value).decode()


class _Writer:
    """Puts PDUs into a pcap file, each into its connection."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._pcap = Pcap(file)
        self._connections: dict[int, Connection] = {}

    def write(self, one: WireView) -> None:
        """One line of the trace, if it has a PDU."""
        if not one.octets:
            return
        connection = self._connections.get(one.connection)
        if connection is None:
            # The gateway's own address does not matter, and is left out.
            client, server = (one.peer, "") if one.serving else ("", one.peer)
            connection = self._pcap.connection(client, server)
            self._connections[one.connection] = connection
        octets = bytes.fromhex(one.octets)
        connection.pdu(octets, one.at / 1000, by_client=one.serving != one.sent)
        self._file.flush()  # Wireshark may be looking already
