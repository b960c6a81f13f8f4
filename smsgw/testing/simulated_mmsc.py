"""``smsgw simulate --mm4``: the scriptable MMSC as a program, for operators and integrators who try
a carrier of kind mm4 without one."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError

from smsgw.mm4 import content, headers, mime, types
from smsgw.mm4.headers import Corrupt
from smsgw.mm4.mime import Content, ContentFault, Part
from smsgw.mm4.pdus import DeliveryReportReq, ForwardReq, ReadReplyReq, Response
from smsgw.mm4.words import RequestStatus, Status
from smsgw.testing.mmsc import Mmsc, MmscScript
from smsgw.toml import visible

_NONE = "none"
_MO = "First bring a message: 447700900123=447700900000@(the gateway's MMS domain)."


class Telling(Mmsc):
    """An MMSC that says what it gets."""

    def came(self, octets: bytes, recipient: str) -> None:
        """A mail has come whole."""
        click.echo(visible(told(octets, recipient)))
        super().came(octets, recipient)


def told(octets: bytes, recipient: str) -> str:
    """A mail in one line, for people."""
    try:
        mail = headers.read(octets)
        pdu = mail.pdu
        if isinstance(pdu, ForwardReq):
            parts = mime.parse(octets, mail.fields, mail.body).parts
            shown = ", ".join(
                f"{one.name or one.id} {one.type} {len(one.content)}" for one in parts
            )
            subject = f" {pdu.subject!r}" if pdu.subject else ""
            return f"MMS {pdu.message_id} from {pdu.from_} to {recipient}{subject}: {shown}"
    except (Corrupt, ContentFault) as fault:
        return f"not MM4: {fault.detail}"
    if isinstance(pdu, Response):
        text = f" {pdu.status_text}" if pdu.status_text else ""
        return f"{pdu.TYPE} {pdu.transaction_id}: {pdu.status}{text}"
    if isinstance(pdu, DeliveryReportReq | ReadReplyReq):
        return f"{pdu.TYPE} of {pdu.message_id} by {pdu.from_}: {pdu.status}"
    return "a mail that is no MM4"


def request(mmsc: Mmsc, source: str, to: str, subject: str, parts: Sequence[Part]) -> bytes:
    """The mail of a message from a handset, ``source``, to a mailbox; reports are asked for."""
    domain, name = mmsc.script.domain, f"mo-{int(time.time() * 1000):x}"
    shown = content.admit(Content(list(parts))).content
    body = mime.write(shown, eight_bit=False)
    pdu = ForwardReq(
        from_=f"+{source.lstrip('+')}/TYPE=PLMN@{domain}",
        to=[to],
        sender=mmsc.system,
        originator_system=mmsc.system,
        date=int(time.time() * 1000),
        mail_id=f"{name}@{domain}",
        transaction_id=name,
        message_id=f"{name}@{domain}",
        subject=subject,
        ack_request=True,
        delivery_report=True,
        forward_counter=1,
    )
    return headers.write(pdu, body.content_type) + body.octets


def part_of(file: Path) -> Part:
    """A file as a part. Raises OSError."""
    octets = file.read_bytes()
    kind = types.of(octets) or types.OCTETS
    charset = "utf-8" if mime.is_text(kind) else ""
    return Part(kind, file.name, content=octets, charset=charset)


def main(arguments: Sequence[str]) -> None:
    """``smsgw simulate --mm4`` with the command line ``arguments``."""
    _command.main(list(arguments), prog_name="smsgw simulate --mm4")


@click.command()
@click.option("--port", default=2526, show_default=True, help="Of loopback, where it takes mail.")
@click.option("--gateway-port", default=2525, show_default=True, help="Of loopback: the gateway's.")
@click.option("--domain", default="mms.example.net", show_default=True, help="Its mail domain.")
@click.option(
    "--response",
    type=click.Choice([*(one.value for one in RequestStatus), _NONE], case_sensitive=False),
    default=RequestStatus.OK.value,
    show_default=True,
    help="Status of its responses; none: it never responds.",
)
@click.option(
    "--report",
    "reports",
    type=click.Choice([*(one.value for one in Status), _NONE], case_sensitive=False),
    multiple=True,
    default=[Status.RETRIEVED.value],
    show_default=True,
    help="Of each message that asks for it, in order; none: it never reports.",
)
@click.option("--report-s", default=1.0, show_default=True, help="Seconds before each report.")
@click.option("--read", is_flag=True, help="Read replies too, for messages that ask for them.")
@click.option("--mo", metavar="FROM=TO", help=_MO)
@click.option("--subject", default="", help="Of that message.")
@click.option(
    "--text", default="Hello from the simulated MMSC", show_default=True, help="Its text."
)
@click.option(
    "--file",
    "files",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="A picture or other file in it.",
)
def _command(
    port: int,
    gateway_port: int,
    domain: str,
    response: str,
    reports: Sequence[str],
    report_s: float,
    read: bool,
    mo: str | None,
    subject: str,
    text: str,
    files: Sequence[Path],
) -> None:
    """Run a simulated MMSC to connect a carrier of kind mm4 to."""
    script = MmscScript(
        domain,
        response=None if response == _NONE else RequestStatus(response),
        reports=[Status(one) for one in reports if one != _NONE],
        report_s=report_s,
        read=read,
        retry_s=5.0,
    )
    source, _, to = (mo or "").partition("=")
    if mo and not (source.lstrip("+").isdigit() and "@" in to):
        raise click.BadParameter("must be like 447700900123=447700900000@mms.example.com")
    parts = [Part(types.TEXT, "text.txt", content=text.encode(), charset="utf-8")] if text else []
    parts += [part_of(one) for one in files]

    async def serve(reactor: Any) -> None:
        mmsc = Telling(script, reactor, gateway_port, keep=0)
        try:
            await mmsc.start(port)
        except CannotListenError as error:
            why = error.socketError
            raise SystemExit(f"smsgw simulate: cannot listen on port {port}: {why}") from None
        click.echo(f"simulated MMSC {domain} on 127.0.0.1 port {port}; Ctrl-C ends it")
        if mo:
            octets = request(mmsc, source, to, subject, parts)
            try:
                await mmsc.mail(octets, to)
            except Exception as error:  # of several kinds, for what connections and servers do
                # Errors of SMTP have the whole dialogue after their first line.
                why = visible(str(error).partition("\n")[0])
                raise SystemExit(
                    f"smsgw simulate: not brought: {why}; a gateway must take mail on port"
                    f" {gateway_port} and have a carrier of kind mm4 with domain {domain} and"
                    " allow 127.0.0.1"
                ) from None
            click.echo(visible(f"brought: {told(octets, to)}"))
        await Deferred()

    task.react(lambda reactor: Deferred.fromCoroutine(serve(reactor)))
