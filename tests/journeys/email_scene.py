"""A gateway that takes e-mail on loopback: SMSC, MMSC, mail server and customers around it."""

import re
import smtplib
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from smsgw.config import Config, Domains, Http, Media, Smpp, SmppListener, Smtp
from smsgw.dialects import Aaisp, Aerialink, Mm4
from smsgw.service import Gateway
from smsgw.testing.script import SmscScript
from smsgw.testing.sinks import Mail, MailSink
from smsgw.text import coding
from tests.deliveries import opened
from tests.folders import temporary_folder
from tests.integration.scene import HANDSET, NUMBER, SECRET, Scene, carrier
from tests.journals import a_store
from tests.journeys.mm4_scene import Mmsc
from tests.running import free_ports

SMS = "sms.example.com"
MMS = "mms.example.com"
ALICE = "alice@example.org"
OTHER = "447700900124"
OUT = "447700900125"  # opted out
REPORT = r"multipart/report; report-type=delivery-status;"


def local(port: int) -> str:
    """An endpoint."""
    return f"tcp:{port}:interface=127.0.0.1"


def letter(text: str = "Hello", sender: str = ALICE, **fields: str) -> EmailMessage:
    """An ordinary mail; ``fields`` have ``_`` for ``-``."""
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = f"{HANDSET}@{SMS}"
    mail["Subject"] = "A subject"
    mail["Message-ID"] = "<m1@example.org>"
    for name, value in fields.items():
        mail[name.replace("_", "-")] = value
    mail.set_content(text)
    return mail


class EmailCase(Scene):
    """An SMSC, an MMSC, a mail server that the gateway relays to, and a customer with a login."""

    timeout = 60
    world: tuple[str, ...] = ()

    async def begin(self, script: SmscScript | None = None, **settings: Any) -> None:
        """Starts all of them."""
        self.smpp_port, self.http_port, self.admin_port, self.mail_port = free_ports(4)
        relay = await self.relay()
        self.mmsc = Mmsc("mms.example.net")
        await self.mmsc.start(self)
        self.config = Config(
            smpp=Smpp(listen=[SmppListener(local(self.smpp_port))]),
            http=Http(listen=[local(self.http_port)], admin=[local(self.admin_port)]),
            media=Media(folder=f"{temporary_folder(self)}/media"),
            mm4=Mm4(allow_plain_auth=True),
            aerialink=Aerialink(**{"allow_plain_http": "loopback", **settings}),
            aaisp=Aaisp(),
            smtp=Smtp(
                listen=[local(self.mail_port)],
                domains=Domains(mm4=MMS, sms=SMS),
                relay=f"127.0.0.1:{relay}",
                reply_from=list(self.world),
            ),
        )
        self.gateway = Gateway(self.config, a_store(self), reactor)
        self.gateway.startService()
        self.addCleanup(self.gateway.stopService)
        await self.gateway.ready
        self.north = await self.smsc(script)
        await self.apply(self.provisioned())
        await self.north.smsc.bound()

    async def relay(self) -> int:
        """Starts the mail server that the gateway relays to; its port."""
        self.sink = MailSink(reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.sink.stop()))
        return await self.sink.start()

    def provisioned(self) -> str:
        """What is provisioned."""
        return f"""
{carrier("north", self.north.port)}
[[carrier]]
name = "mmsc"
kind = "mm4"
host = "127.0.0.1"
port = {self.mmsc.port}
domain = "mms.example.net"
tls = "none"
ack = false
allow = ["192.0.2.1"]
[[route]]
name = "mms"
prefixes = [""]
kinds = ["mms"]
carriers = ["mmsc"]
[[route]]
name = "sms"
prefixes = ["44"]
kinds = ["sms"]
carriers = ["north"]
[[account]]
name = "acme"
senders = ["ACME", "{NUMBER}"]
sender = "ACME"
[[account.credential]]
kind = "smtp"
username = "acme"
password = "{SECRET}"
allow = ["127.0.0.1"]
[[account.credential]]
kind = "http"
username = "acme"
password = "{SECRET}"
allow = ["127.0.0.1"]
[[account.number]]
address = "{NUMBER}"
targets = ["{ALICE}"]
[[account]]
name = "other"
[[account.credential]]
kind = "smtp"
username = "other"
password = "{SECRET}"
allow = ["127.0.0.1"]
"""

    def send(
        self,
        mail: EmailMessage | bytes,
        *to: str,
        login: str = "acme",
        sender: str = ALICE,
        options: str = "",
        ret: str = "",
    ) -> "Deferred[tuple[list[str], str]]":
        """Mails to the gateway: the answers to RCPT that refuse, and that to the content."""
        octets = mail if isinstance(mail, bytes) else mail.as_bytes(policy=SMTP)

        def talk() -> tuple[list[str], str]:
            with smtplib.SMTP("127.0.0.1", self.mail_port, "client.example.org") as client:
                client.ehlo()
                if login:
                    client.login(login, SECRET)
                client.docmd(f"MAIL FROM:<{sender}>{ret}")
                refused = []
                for one in to or (f"{HANDSET}@{SMS}",):
                    code, text = client.docmd(f"RCPT TO:<{one}>{options}")
                    if code != 250:
                        refused.append(f"{code} {text.decode()}")
                if len(refused) == len(to or (1,)):
                    return refused, ""
                code, text = client.data(octets)
                return refused, f"{code} {text.decode()}"

        return deferToThread(talk)

    async def accepted(self, *given: Any, **more: Any) -> str:
        """The GUID of a mail to one recipient that is accepted."""
        refused, answer = await self.send(*given, **more)
        found = re.fullmatch(r"250 2\.0\.0 ([0-9a-f-]{36}) 10", answer)
        assert found, (refused, answer)
        return found[1]

    async def text(self, n: int = 0) -> tuple[str, str, str]:
        """Source, destination and text of a message at the SMSC."""
        await self.north.smsc.arrived(n + 1)
        pdu = self.north.smsc.submits[n]
        said = coding.decode(pdu.data_coding, pdu.short_message) or ""
        return pdu.source_addr.decode(), pdu.destination_addr.decode(), said

    async def mailed(self, count: int = 1) -> list[Mail]:
        """What the mail server got, once it is so much."""
        await self.sink.when(lambda: len(self.sink.mails) >= count)
        return self.sink.mails

    async def mo(self, text: str = "Are you there?", source: str = HANDSET) -> EmailMessage:
        """An MO, as it is mailed."""
        before = len(self.sink.mails)
        self.north.smsc.mobile_originated(source, NUMBER, text)
        return opened((await self.mailed(before + 1))[-1].octets)

    async def opt_out(self, number: str = OUT) -> None:
        """The handset wants nothing more."""
        await self.mo("STOP", number)


def status(mail: Mail) -> tuple[EmailMessage, dict[str, str]]:
    """A report and the fields about its recipient, those about the mail included."""
    assert mail.sender in ("", "<>")
    report = opened(mail.octets)
    assert report.get_content_type() == "multipart/report"
    assert report.get_param("report-type") == "delivery-status"
    assert report["Auto-Submitted"] == "auto-replied"
    _, second, _ = report.iter_parts()
    found: dict[str, str] = {}
    for block in second.get_payload():
        found |= {name: str(value) for name, value in block.items()}
    return report, found
