"""A gateway that speaks MM4 on loopback, and MMSCs of carriers and customers around it."""

import smtplib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.threads import deferToThread
from twisted.mail import smtp
from zope.interface import implementer

from smsgw.config import Config, Domains, Http, Media, Smpp, SmppListener, Smtp
from smsgw.dialects import Mm4
from smsgw.mm4 import headers, mime, pdus
from smsgw.mm4.headers import Mail
from smsgw.mm4.mime import Content, Part
from smsgw.mm4.pdus import ForwardReq, Pdu
from smsgw.mm4.words import RequestStatus
from smsgw.service import Gateway
from smsgw.smtp.client import Mail as SmtpMail
from smsgw.smtp.client import Place, send_once
from smsgw.testing.peer import Watch
from tests.folders import temporary_folder
from tests.integration.scene import Scene
from tests.journals import a_store
from tests.running import free_ports

OURS = "mms.example.com"
SYSTEM = f"system-user@{OURS}"
CARRIER_DOMAIN = "mms.example.net"
CARRIER_SYSTEM = f"system-user@{CARRIER_DOMAIN}"
CUSTOMER_DOMAIN = "mms.example.org"
CUSTOMER_SYSTEM = f"system-user@{CUSTOMER_DOMAIN}"
SECRET = "secret12"
NUMBER = "447700900000"
HANDSET = "447700900123"
OTHER = "447700900124"
THIRD = "447700900125"
GIF = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c000000000100010000020144003b"
)
AT = 1_773_483_302_000


def at(number: str, domain: str) -> str:
    """A number's mailbox at an MMSC."""
    return f"+{number}/TYPE=PLMN@{domain}"


@define
class Got:
    """A mail that an MMSC was brought."""

    sender: str
    recipients: list[str]
    octets: bytes
    mail: Mail

    @property
    def pdu(self) -> Any:
        """What it is."""
        return self.mail.pdu

    @property
    def parts(self) -> list[Part]:
        """Its content."""
        return mime.parse(self.octets, self.mail.fields, self.mail.body).parts


def _read(octets: bytes) -> Mail:
    try:
        return headers.read(octets)
    except headers.Corrupt:
        # The response to a request without transaction id has none either.
        return headers.read(b"X-Mms-Transaction-ID: none\r\n" + octets)


@implementer(smtp.IMessage)
class _Incoming:
    def __init__(self, mmsc: "Mmsc", sender: str) -> None:
        self.mmsc, self.sender, self.lines = mmsc, sender, list[bytes]()
        self.recipients: list[str] = []

    def lineReceived(self, line: bytes) -> None:
        self.lines.append(line)

    def eomReceived(self) -> Deferred[None]:
        octets = b"".join(line + b"\r\n" for line in self.lines)
        self.mmsc.got(Got(self.sender, self.recipients, octets, _read(octets)))
        return succeed(None)

    def connectionLost(self) -> None:
        self.lines.clear()


@implementer(smtp.IMessageDelivery)
class _Delivery:
    def __init__(self, mmsc: "Mmsc") -> None:
        self.mmsc, self.sender = mmsc, ""

    def receivedHeader(self, helo: Any, origin: Any, recipients: Any) -> bytes:
        return b""

    def validateFrom(self, helo: Any, origin: Any) -> Any:
        self.sender = str(origin)
        return origin

    def validateTo(self, user: Any) -> Callable[[], Any]:
        incoming = _Incoming(self.mmsc, self.sender)
        incoming.recipients.append(str(user.dest))
        return lambda: incoming


class _Protocol(smtp.ESMTP):
    def __init__(self, mmsc: "Mmsc") -> None:
        super().__init__()
        self.delivery = _Delivery(mmsc)


@define(eq=False)
class Mmsc:
    """An MMSC: what it was brought, in order; ``answers`` says what it does about a request."""

    domain: str
    port: int = 0
    mails: list[Got] = field(factory=list)
    watch: Watch = field(factory=Watch)
    # The status of the response to a forward, None for silence.
    answers: Callable[[Got], RequestStatus | None] = lambda got: RequestStatus.OK
    say: "Callable[[bytes, str], Deferred[Any]] | None" = None  # sends a mail to the gateway
    under_way: set[Deferred[Any]] = field(factory=set)  # its responses

    async def start(self, case: Any) -> None:
        """Listens."""
        factory = smtp.SMTPFactory()
        factory.noisy = False
        factory.protocol = lambda: _Protocol(self)
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        listening = await endpoint.listen(factory)
        self.port = listening.getHost().port
        case.addCleanup(listening.stopListening)
        case.addCleanup(lambda: gatherResults(list(self.under_way)))

    def got(self, got: Got) -> None:
        """A mail has come."""
        self.mails.append(got)
        if isinstance(got.pdu, ForwardReq) and got.pdu.wants_answer and self.say is not None:
            status = self.answers(got)
            if status is not None:
                response = pdus.answer(
                    got.pdu,
                    status,
                    sender=f"system-user@{self.domain}",
                    date=AT,
                    mail_id=f"res-{len(self.mails)}@{self.domain}",
                    text="refused here",
                )
                saying = self.say(headers.write(response), SYSTEM)
                self.under_way.add(saying)
                saying.addBoth(lambda _: self.under_way.discard(saying))
        self.watch.check()

    def of(self, kind: type[Pdu]) -> list[Got]:
        """Those of one type."""
        return [one for one in self.mails if isinstance(one.pdu, kind)]

    async def until(self, kind: type[Pdu], count: int = 1) -> list[Got]:
        """Those of one type, once there are so many."""
        await self.watch.when(lambda: len(self.of(kind)) >= count)
        return self.of(kind)


def forward(sender: str, domain: str, *to: str, **fields: Any) -> ForwardReq:
    """A request for these numbers at our domain."""
    given: dict[str, Any] = {
        "from_": at(sender, domain),
        "to": [at(one, OURS) for one in to],
        "sender": f"system-user@{domain}",
        "originator_system": f"system-user@{domain}",
        "date": AT,
        "mail_id": f"mail-1@{domain}",
        "transaction_id": "tr-1",
        "message_id": f"mm-1@{domain}",
        "subject": "Holiday",
        "ack_request": True,
        "forward_counter": 1,
    }
    return ForwardReq(**{**given, **fields})


def content(text: str = "Greetings", picture: bytes = GIF) -> Content:
    """A picture and a text."""
    return Content(
        [
            Part("image/gif", "photo.gif", "photo", "photo.gif", picture),
            Part("text/plain", "text.txt", "text", "text.txt", text.encode(), "utf-8"),
        ]
    )


def written(pdu: ForwardReq, parts: Content | None = None) -> bytes:
    """The whole mail of a request."""
    body = mime.write(parts or content())
    return headers.write(pdu, body.content_type) + body.octets


def response(octets: bytes) -> Any:
    """The PDU of a mail."""
    return headers.read(octets).pdu


class Mm4Case(Scene):
    """A carrier and a customer, both with an MMSC of their own; and one who has none, and comes by
    AUTH."""

    timeout = 15

    async def begin(self, more: str = "", **mm4: Any) -> None:
        """Starts all of them."""
        self.smpp_port, self.http_port, self.admin_port, self.mail_port = free_ports(4)
        self.folder = Path(temporary_folder(self))

        def local(port: int) -> str:
            return f"tcp:{port}:interface=127.0.0.1"

        config = Config(
            smpp=Smpp(listen=[SmppListener(local(self.smpp_port))]),
            http=Http(listen=[local(self.http_port)], admin=[local(self.admin_port)]),
            media=Media(folder=str(self.folder / "media")),
            mm4=Mm4(allow_plain_auth=True, **mm4),
            smtp=Smtp(
                listen=[local(self.mail_port)],
                domains=Domains(mm4=OURS, sms="sms.example.com"),
                peer_connections=100,
            ),
        )
        self.carrier = Mmsc(CARRIER_DOMAIN)
        self.customer = Mmsc(CUSTOMER_DOMAIN)
        for one, sender in ((self.carrier, ""), (self.customer, "acme")):
            await one.start(self)
            one.say = self._say_as(one.domain, sender)
        self.gateway = Gateway(self.configured(config), a_store(self), reactor)
        self.gateway.startService()
        self.addCleanup(self.gateway.stopService)
        await self.gateway.ready
        await self.apply(self.provisioned() + more)

    def configured(self, config: Config) -> Config:
        """The configuration, changed for the test."""
        return config

    def provisioned(self) -> str:
        """What is provisioned."""
        return f"""
[[carrier]]
name = "mmsc"
kind = "mm4"
host = "127.0.0.1"
port = {self.carrier.port}
domain = "{CARRIER_DOMAIN}"
tls = "none"
allow = ["127.0.0.1"]
[[route]]
name = "all"
prefixes = [""]
carriers = ["mmsc"]
price = "0.05"
[[account]]
name = "acme"
senders = ["{NUMBER}", "ACME"]
balance = "100"
{self.of_account()}
[[account.credential]]
kind = "smtp"
username = "acme"
password = "{SECRET}"
allow = ["127.0.0.0/8"]
host = "127.0.0.1"
port = {self.customer.port}
domain = "{CUSTOMER_DOMAIN}"
[[account.credential]]
kind = "smpp"
username = "acme"
password = "{SECRET}"
allow = ["127.0.0.0/8"]
[[account.credential]]
kind = "http"
username = "acme"
password = "{SECRET}"
allow = ["127.0.0.0/8"]
[[account.number]]
address = "{NUMBER}"
targets = {self.targets()}
"""

    def of_account(self) -> str:
        """More keys of the account."""
        return ""

    def targets(self) -> str:
        """Those of its number."""
        return '["mm4"]'

    def _say_as(self, domain: str, login: str) -> Callable[[bytes, str], Any]:
        def say(octets: bytes, to: str) -> Any:
            return self.mail(octets, to, sender=f"system-user@{domain}", login=login)

        return say

    async def _send(self, octets: bytes, to: tuple[str, ...], sender: str, login: str) -> Any:
        place = Place(
            "127.0.0.1",
            self.mail_port,
            tls="none",
            username=login,
            password=SECRET if login else "",
            plain_login=True,
            private=True,
        )
        return await send_once(
            reactor, place, sender.rpartition("@")[2], SmtpMail(sender, to, octets)
        )

    def mail(self, octets: bytes, *to: str, sender: str, login: str = "") -> Deferred[Any]:
        """Mails to the gateway; what became of each recipient."""
        return Deferred.fromCoroutine(self._send(octets, to, sender, login))

    async def submit(self, pdu: ForwardReq, parts: Content | None = None, *to: str) -> Any:
        """As the customer: one mail to all recipients of the request; the SMTP answers."""
        return await self.mail(
            written(pdu, parts), *(to or pdu.to), sender=CUSTOMER_SYSTEM, login="acme"
        )

    async def bring(self, pdu: ForwardReq, parts: Content | None = None, *to: str) -> Any:
        """As the carrier."""
        return await self.mail(written(pdu, parts), *(to or pdu.to), sender=CARRIER_SYSTEM)

    async def carrier_says(self, pdu: Pdu, to: str) -> Any:
        """As the carrier: a PDU without content."""
        return await self.mail(headers.write(pdu), to, sender=CARRIER_SYSTEM)

    async def customer_says(self, pdu: Pdu, to: str) -> Any:
        """As the customer: a PDU without content."""
        return await self.mail(headers.write(pdu), to, sender=CUSTOMER_SYSTEM, login="acme")

    def talk(self, *lines: str, login: bool = False) -> Deferred[list[int]]:
        """Codes of the answers to these lines, each sent after the one before was answered."""

        def run() -> list[int]:
            with smtplib.SMTP("127.0.0.1", self.mail_port, "client.example") as client:
                client.ehlo()
                if login:
                    client.login("acme", SECRET)
                return [client.docmd(line)[0] for line in lines]

        return deferToThread(run)
