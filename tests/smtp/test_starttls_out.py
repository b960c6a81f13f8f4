"""mm4.md §7: STARTTLS towards an MMSC or relay whose certificate is verified, on real sockets."""

from pathlib import Path
from typing import Any

from twisted.internet import reactor as real
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.trial.unittest import TestCase

from smsgw.certificates import Certificates
from smsgw.doors import Doors
from smsgw.outward import TLS_FAILED
from smsgw.smtp.client import Mail, Outcome, Place, Result
from smsgw.smtp.outgoing import Outgoing
from smsgw.smtp.peers import Peers
from smsgw.smtp.server import SmtpServerFactory
from tests.folders import temporary_folder
from tests.smtp.authority import Authority
from tests.smtp.test_real_peers import PROVISIONED, Box
from tests.smtp.wire import NUMBER, PASSWORD, at_once, provisioned, refused

SENDER = "system-user@mms.example.net"
CONTENT = b"Subject: x\r\n\r\nhello\r\n"


class VerifiedStarttls(TestCase):
    """A server whose certificate is signed by an authority, and clients that trust one."""

    timeout = 30

    async def begin(self, host: str = "localhost", tls: bool = True) -> None:
        """Starts a server with a certificate for ``host``."""
        self.folder = Path(temporary_folder(self))
        self.authority = Authority(self.folder)
        tables = provisioned(PROVISIONED)
        self.box = Box()
        self.factory = SmtpServerFactory(
            Peers(lambda: tables, Doors(lambda: tables, run=at_once)),
            self.box.receive,
            refused,
            host="mms.example.com",
            domains={"mms.example.com"},
            clock=real,
            tls=Certificates(str(self.authority.sign("mmsc", host))) if tls else None,
        )
        endpoint = TCP4ServerEndpoint(real, 0, interface="127.0.0.1")
        listening = await endpoint.listen(self.factory)
        self.addCleanup(listening.stopListening)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.factory.drain(5)))
        self.port = listening.getHost().port

    async def send(self, **more: Any) -> Outcome:
        """What becomes of one mail where TLS is required."""
        given = {"tls": "required", "tls_ca": str(self.authority.ca), "private": True}
        place = Place("localhost", self.port, **{**given, **more})

        async def found() -> list[Place]:
            return [place]

        pool = Outgoing(real, found, "mms.example.net")
        self.addCleanup(pool.stop)
        return (await pool.send(Mail(SENDER, [NUMBER], CONTENT)))[NUMBER]

    async def test_right_certificate(self) -> None:
        """Mailed, over TLS, and with a login that crosses no wire in clear."""
        await self.begin()
        told = await self.send(username="acme", password=PASSWORD)
        assert told.result == Result.DELIVERED
        [(envelope, content)] = self.box.mails
        assert envelope.tls
        assert envelope.peer.login is not None
        assert content.endswith(CONTENT)

    async def test_certificate_of_another_authority(self) -> None:
        """Tried again later, with the reason; nothing is said to a server that proves nothing."""
        await self.begin()
        other = Authority(self.folder, "other")
        told = await self.send(tls_ca=str(other.ca), username="acme", password=PASSWORD)
        assert told == Outcome(Result.TEMPORARY, 0, TLS_FAILED)
        assert self.box.mails == []
        assert self.factory.failed_logins == 0

    async def test_certificate_of_another_host(self) -> None:
        """Signed by the right authority, for another name."""
        await self.begin(host="mmsc.example.org")
        assert await self.send() == Outcome(Result.TEMPORARY, 0, TLS_FAILED)
        assert self.box.mails == []

    async def test_system_does_not_trust_the_test_authority(self) -> None:
        """Without ``tls_ca`` the certificates of the system count."""
        await self.begin()
        assert await self.send(tls_ca="") == Outcome(Result.TEMPORARY, 0, TLS_FAILED)

    async def test_offered_takes_any_certificate(self) -> None:
        """RFC 7435: encrypted to whoever answers is better than in clear."""
        await self.begin(host="mmsc.example.org")
        told = await self.send(tls="offered", tls_ca="")
        assert told.result == Result.DELIVERED
        assert self.box.mails[0][0].tls

    async def test_required_and_not_offered(self) -> None:
        """A server without STARTTLS gets nothing, whoever took the offer away."""
        await self.begin(tls=False)
        told = await self.send()
        assert (told.result, told.text) == (Result.TEMPORARY, "the relay offers no TLS")
        assert self.box.mails == []
