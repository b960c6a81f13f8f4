"""swaks and Postfix on real sockets: as clients of the gateway, and as its next hop; TLS both
ways."""

import os
import shutil
import smtplib
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from twisted.internet import reactor as real
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import SSL4ServerEndpoint, TCP4ServerEndpoint
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from smsgw.certificates import Certificates
from smsgw.doors import Doors
from smsgw.smtp.client import Mail, Place, Result
from smsgw.smtp.envelope import Envelope
from smsgw.smtp.outgoing import Outgoing
from smsgw.smtp.peers import Peers
from smsgw.smtp.replies import Reply
from smsgw.smtp.server import SmtpServerFactory
from smsgw.store.secrets import hash_password
from smsgw.testing.peer import Watch
from tests import postfix
from tests.folders import temporary_folder
from tests.outside import certificate, pem
from tests.smtp.wire import NUMBER, PASSWORD, at_once, provisioned, refused

PROVISIONED = f"""
[[carrier]]
name = "mmsc"
kind = "mm4"
domain = "mms.example.net"
allow = ["127.0.0.1"]
[[account]]
name = "acme"
[[account.credential]]
kind = "smtp"
username = "acme"
password_hash = "{hash_password(PASSWORD)}"
allow = ["127.0.0.1"]
"""


@define
class Box:
    """Keeps what comes."""

    mails: list[tuple[Envelope, bytes]] = field(factory=list)
    watch: Watch = field(factory=Watch)

    def receive(self, envelope: Envelope) -> Deferred[Reply]:
        """See ``SmtpServerFactory``."""
        self.mails.append((envelope, envelope.content.read()))
        self.watch.check()
        return succeed(Reply(250, "2.0.0", f"kept as {len(self.mails)}"))


class RealCase(TestCase):
    """A server on loopback, with STARTTLS and with TLS from the first octet."""

    timeout = 60

    async def begin(self) -> None:
        """Starts it."""
        self.folder = Path(temporary_folder(self))
        (self.folder / "pem").write_bytes(pem(certificate()))
        tls = Certificates(str(self.folder / "pem"))
        tables = provisioned(PROVISIONED)
        self.box = Box()
        self.factory = SmtpServerFactory(
            Peers(lambda: tables, Doors(lambda: tables, run=at_once)),
            self.box.receive,
            refused,
            host="mms.example.com",
            domains={"mms.example.com"},
            clock=real,
            tls=tls,
        )
        plain = TCP4ServerEndpoint(real, 0, interface="127.0.0.1")
        secure = SSL4ServerEndpoint(real, 0, tls, interface="127.0.0.1")
        self.ports = []
        for endpoint in (plain, secure):
            listening = await endpoint.listen(self.factory)
            self.addCleanup(listening.stopListening)
            self.ports.append(listening.getHost().port)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.factory.drain(5)))

    def run_tool(self, *command: str, given: bytes = b"") -> Deferred[Any]:
        """Runs a program on a thread."""
        return deferToThread(
            subprocess.run, command, input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )


@pytest.mark.skipif(shutil.which("swaks") is None, reason="swaks is not installed")
class Swaks(RealCase):
    """The Swiss Army knife of SMTP."""

    async def swaks(self, *options: str, port: int = 0) -> str:
        """What it said and heard."""
        place = ["--server", "127.0.0.1", "--port", str(self.ports[port])]
        envelope = ["--to", NUMBER.removeprefix("+"), "--ehlo", "mms.example.net"]
        done = await self.run_tool("swaks", *place, *envelope, *options)
        return str(done.stdout.decode())

    async def test_carrier_by_address(self) -> None:
        """In clear, with pipelining."""
        await self.begin()
        said = await self.swaks("--from", "system-user@mms.example.net", "--pipeline")
        assert "250 2.0.0 kept as 1" in said, said
        [(envelope, content)] = self.box.mails
        assert (envelope.peer.carrier, envelope.tls) == ("mmsc", False)
        assert b"\r\nX-Mailer: swaks" in content

    async def test_customer_by_login_over_starttls_and_tls(self) -> None:
        """AUTH PLAIN and LOGIN, DSN parameters; 2525 and 2465."""
        await self.begin()
        login = ["--from", "me@anywhere.example", "-au", "acme", "-ap", PASSWORD]
        for n, options in enumerate((["--tls", "-a", "PLAIN"], ["--tlsc", "-a", "LOGIN"])):
            said = await self.swaks(*login, *options, port=n)
            assert f"250 2.0.0 kept as {n + 1}" in said, said
            envelope, content = self.box.mails[n]
            assert envelope.peer.login is not None
            assert (envelope.peer.login.account, envelope.tls) == ("acme", True)
            assert b"with ESMTPSA id" in content

    async def test_wrong_password(self) -> None:
        """535 5.7.8, nothing is taken."""
        await self.begin()
        said = await self.swaks("--from", "a@b.example", "--tls", "-au", "acme", "-ap", "wrong")
        assert "535 5.7.8" in said
        assert self.box.mails == []


class Starttls(RealCase):
    """RFC 3207, by Python's own client."""

    async def test_what_was_said_before_is_forgotten(self) -> None:
        """After STARTTLS MAIL needs EHLO again; a command sent with it ends the connection."""
        await self.begin()

        def talk() -> list[int]:
            context = ssl.create_default_context(cadata=pem(certificate()).decode())
            context.check_hostname = False
            codes = []
            with smtplib.SMTP("127.0.0.1", self.ports[0]) as client:
                client.ehlo("x")
                codes.append(client.docmd("MAIL FROM:<a@mms.example.net>")[0])
                client.starttls(context=context)
                codes.append(client.docmd("MAIL FROM:<a@mms.example.net>")[0])
                client.ehlo("x")
                codes.append(client.docmd("STARTTLS")[0])
                codes.append(client.docmd("MAIL FROM:<a@mms.example.net>")[0])
            client = smtplib.SMTP("127.0.0.1", self.ports[0])
            client.ehlo("x")
            client.send(b"STARTTLS\r\nNOOP\r\n")
            codes.append(client.getreply()[0])
            client.close()
            return codes

        assert await deferToThread(talk) == [250, 503, 503, 250, 503]

    async def test_large_mails_on_many_connections(self) -> None:
        """5 MB each at once: each arrives whole, through files."""
        await self.begin()
        line = b"x" * 76 + b"\r\n"
        content = b"Subject: large\r\n\r\n" + line * 60_000

        def send() -> None:
            with smtplib.SMTP("127.0.0.1", self.ports[0], "x") as client:
                client.sendmail("a@mms.example.net", [NUMBER], content)

        await deferToThread(send)
        sending = [deferToThread(send) for _ in range(4)]
        for one in sending:
            await one
        assert [len(got) > len(content) for _, got in self.box.mails] == [True] * 5
        assert all(got.endswith(content) for _, got in self.box.mails)
        assert all(not envelope.content.in_file for envelope, _ in self.box.mails)  # closed


TLS = """
smtpd_tls_cert_file = {folder}/pem
smtpd_tls_key_file = {folder}/pem
smtpd_tls_security_level = may
smtp_tls_security_level = encrypt
"""


@pytest.mark.skipif(
    shutil.which("postfix") is None or os.geteuid() != 0, reason="Postfix is not installed"
)
class Postfix(RealCase):
    """A private one, on a port of its own."""

    async def begin(self) -> None:
        """Starts it, and waits for its greeting."""
        await super().begin()
        tls = TLS.format(folder=self.folder)
        self.port = await postfix.start(
            self, self.folder, "mms.example.net", "mms.example.com", self.ports[0], tls
        )

    async def test_as_client(self) -> None:
        """It relays a mail to the gateway, over STARTTLS, and the gateway takes it."""
        await self.begin()

        def send() -> None:
            with smtplib.SMTP("127.0.0.1", self.port) as client:
                client.sendmail(
                    "system-user@mms.example.net", [NUMBER], "Subject: by Postfix\r\n\r\n.x\r\n"
                )

        await deferToThread(send)
        await self.box.watch.when(lambda: len(self.box.mails) == 1)
        [(envelope, content)] = self.box.mails
        assert (envelope.peer.carrier, envelope.tls) == ("mmsc", True)
        assert envelope.recipients[0].address == NUMBER
        assert (
            content.endswith(b"Subject: by Postfix\r\n\r\n.x\r\n") or b"\r\n\r\n.x\r\n" in content
        )

    async def test_as_next_hop(self) -> None:
        """It takes mails of the gateway over STARTTLS, verified, several on one connection, and
        refuses what it does not serve."""
        await self.begin()
        place = Place(
            "127.0.0.1", self.port, tls="offered", private=True, tls_ca=str(self.folder / "pem")
        )

        async def places() -> list[Place]:
            return [place]

        pool = Outgoing(real, places, "mms.example.com", connections=1)
        to, other = "+447700900123/TYPE=PLMN@mms.example.net", "a@example.org"
        for n in range(3):
            told = await pool.send(
                Mail("system-user@mms.example.com", [to, other], b"Subject: %d\r\n\r\n.x\r\n" % n)
            )
            assert told[to].result == Result.DELIVERED, told
            assert (told[other].result, told[other].code) == (Result.PERMANENT, 554)
        await pool.stop()
        box = self.folder / "mail" / "box"

        def written() -> str:
            until = time.monotonic() + 20
            while not box.exists() or box.read_text().count("Subject: ") < 3:
                assert time.monotonic() < until
                time.sleep(0.05)
            return box.read_text()

        text = await deferToThread(written)
        assert text.count("\n.x\n") == 3
        assert "with ESMTPS" in text
