"""An SMTP server on a clock and a transport in memory, with the peers of a test."""

from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from smsgw.doors import Doors
from smsgw.provisioning import Provisioning, parse
from smsgw.rules.tables import Tables
from smsgw.smtp import replies
from smsgw.smtp.connection import SmtpConnection
from smsgw.smtp.grammar import Recipient
from smsgw.smtp.peers import Peer, Peers
from smsgw.smtp.replies import Reply
from smsgw.smtp.server import Envelope, SmtpServerFactory
from smsgw.store.secrets import hash_password

HOST = "mms.example.com"
CARRIER = "192.0.2.10"
CUSTOMER = "198.51.100.7"
BY_ADDRESS = "198.51.100.8"
STRANGER = "203.0.113.9"
PASSWORD = "s3cret-word"
NUMBER = "+447700900123/TYPE=PLMN@mms.example.com"
FROM = "system-user@mms.example.net"

PROVISIONED = f"""
[[carrier]]
name = "mmsc"
kind = "mm4"
domain = "mms.example.net"
allow = ["{CARRIER}", "192.0.2.11"]
username = "mmsc"
password = "carrier-word"
[[carrier]]
name = "other"
kind = "mm4"
domain = "mms.example.org"
allow = ["192.0.2.11"]
[[carrier]]
name = "strict"
kind = "mm4"
domain = "mms.example.edu"
allow = ["192.0.2.12"]
tls = "required"
[[account]]
name = "acme"
[[account.credential]]
kind = "smtp"
username = "acme"
password_hash = "{hash_password(PASSWORD)}"
allow = ["{CUSTOMER}"]
[[account.credential]]
kind = "smtp"
username = "here"
password_hash = "{hash_password(PASSWORD)}"
identify = "address"
allow = ["{BY_ADDRESS}"]
"""


def provisioned(text: str = PROVISIONED) -> Tables:
    """Tables of what ``text`` provisions."""
    found: Provisioning = parse(text, "p.toml")
    return Tables(found)


@define
class Mailbox:
    """A ``receive`` that keeps what comes, and answers as it is told."""

    mails: list[tuple[Envelope, bytes]] = field(factory=list)
    answer: Any = field(factory=lambda: Reply(250, "2.0.0", "kept"))

    def receive(self, envelope: Envelope) -> Deferred[Reply]:
        """See ``SmtpServerFactory``."""
        self.mails.append((envelope, envelope.content.read()))
        given = self.answer
        return maybeDeferred(given) if callable(given) else succeed(given)


def refused(peer: Peer, recipient: Recipient) -> Reply | None:
    """Whoever is called "nobody" is not known here."""
    return replies.NO_SUCH_USER if recipient.local == "nobody" else None


def at_once(function: Callable[[], Any]) -> Deferred[Any]:
    """What takes long, at once."""
    return maybeDeferred(function)


class Server:
    """A server and its clients."""

    def __init__(self, **more: Any) -> None:
        self.clock = Clock()
        self.clock.advance(1_770_000_000)
        self.tables = more.pop("tables", None) or provisioned()
        self.box = Mailbox()
        self.doors = Doors(lambda: self.tables, now=self.clock.seconds, run=at_once)
        more.setdefault("allow_plain_auth", True)
        more.setdefault("run", at_once)
        self.factory = SmtpServerFactory(
            Peers(lambda: self.tables, self.doors, more.pop("world", ())),
            self.box.receive,
            refused,
            host=HOST,
            domains={"mms.example.com", "sms.example.com"},
            clock=self.clock,
            now=self.clock.seconds,
            **more,
        )

    def connect(self, address: str = CARRIER) -> "Client":
        """One more client."""
        return Client(self.factory, address)


class Client:
    """A client that says what it is told, and has what was answered."""

    def __init__(self, factory: SmtpServerFactory, address: str) -> None:
        self.transport = StringTransport(peerAddress=IPv4Address("TCP", address, 50_000))
        self.protocol: SmtpConnection = factory.buildProtocol(None)
        self.protocol.makeConnection(self.transport)
        self.greeting = self.answer()

    def answer(self) -> str:
        """What was answered since it was last asked, lines with a line feed each."""
        said = self.transport.value().decode()
        self.transport.clear()
        return said.replace("\r\n", "\n").removesuffix("\n")

    def send(self, octets: bytes) -> str:
        """Sends octets as they are; the answer."""
        self.protocol.dataReceived(octets)
        return self.answer()

    def say(self, *lines: str) -> str:
        """Sends lines in one go; the answers."""
        return self.send("".join(f"{line}\r\n" for line in lines).encode())

    def begin(self, recipient: str = NUMBER, sender: str = FROM) -> str:
        """Everything up to DATA; its answer."""
        self.say("EHLO mms.example.net", f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>")
        return self.say("DATA")

    @property
    def closed(self) -> bool:
        """True if the server has closed."""
        return bool(self.transport.disconnecting or self.transport.disconnected)
