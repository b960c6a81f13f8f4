"""A gateway that listens for mail: endpoints, STARTTLS, media store, and its stop."""

import smtplib
import socket
import ssl
from pathlib import Path

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from smsgw.config import Config, Domains, Http, Media, Smpp, Smtp
from smsgw.dialects import Mm4
from smsgw.service import CannotStart, Gateway
from smsgw.smtp import replies
from smsgw.smtp.envelope import Envelope
from smsgw.smtp.replies import Reply
from smsgw.store.journal import Changes
from smsgw.store.media import MediaRow
from tests.folders import temporary_folder
from tests.journals import a_store
from tests.outside import certificate, pem
from tests.running import free_ports
from tests.smtp.wire import NUMBER
from tests.test_preface import version_1, version_2

PROVISIONED = """
[[carrier]]
name = "mmsc"
kind = "mm4"
domain = "mms.example.net"
allow = ["127.0.0.1"]
"""


class ListeningCase(TestCase):
    """On loopback."""

    timeout = 60

    def config(self, **smtp: object) -> Config:
        """That of a gateway that listens for mail only."""
        self.folder = Path(temporary_folder(self))
        (self.port,) = free_ports(1)
        return Config(
            smpp=Smpp(listen=[]),
            http=Http(listen=[], admin=[]),
            media=Media(folder=str(self.folder / "media")),
            mm4=Mm4(),
            smtp=Smtp(
                listen=[f"tcp:{self.port}:interface=127.0.0.1"],
                domains=Domains(mm4="MMS.example.com", sms="sms.example.com"),
                **smtp,
            ),
        )

    async def receive(self, envelope: Envelope) -> Reply:
        """Keeps the content as media, and the reference with it."""
        digest = await self.gateway.media.put(envelope.content.read())
        row = MediaRow(len(self.kept) + 1, digest, envelope.content.size, 10**14)
        await self.gateway.journal.commit(Changes(media=[row]))
        self.kept.append(digest)
        return Reply(250, "2.0.0", digest)

    async def begin(self, config: Config) -> None:
        """Starts the gateway."""
        self.kept: list[str] = []
        self.gateway = Gateway(config, a_store(self), reactor)
        self.gateway.receive_mail = lambda envelope: Deferred.fromCoroutine(self.receive(envelope))
        self.gateway.refused_recipient = lambda peer, to: (
            None if to.local.startswith("+") else replies.NO_SUCH_USER
        )
        self.gateway.startService()
        await self.gateway.ready
        await self.gateway.apply(PROVISIONED, "p.toml", False, False, "test")


class Listening(ListeningCase):
    """What it takes, and how it ends."""

    async def test_mail_becomes_media(self) -> None:
        """Over STARTTLS with the configured certificate; the file is there when 250 is said."""
        config = self.config()
        config.smtp.certificate = str(self.folder / "pem")
        (self.folder / "pem").write_bytes(pem(certificate()))
        await self.begin(config)
        self.addCleanup(self.gateway.stopService)

        def send() -> tuple[int, bytes]:
            context = ssl.create_default_context(cadata=pem(certificate()).decode())
            context.check_hostname = False
            with smtplib.SMTP("127.0.0.1", self.port, "mms.example.net") as client:
                client.starttls(context=context)
                client.ehlo()
                client.mail("system-user@mms.example.net")
                assert client.rcpt("x@sms.example.com")[0] == 550
                client.rcpt(NUMBER)
                return client.data(b"Subject: x\r\n\r\nhello\r\n")

        code, said = await deferToThread(send)
        assert code == 250
        digest = said.split()[-1].decode()
        path = self.folder / "media" / digest[:2] / digest
        assert path.read_bytes().endswith(b"Subject: x\r\n\r\nhello\r\n")
        assert await self.gateway.media.get(digest) == path.read_bytes()

    async def test_stop_ends_idle_clients(self) -> None:
        """421 4.3.2, and then the port is free."""
        await self.begin(self.config())

        def connect() -> smtplib.SMTP:
            client = smtplib.SMTP("127.0.0.1", self.port)
            client.ehlo("x")
            return client

        client = await deferToThread(connect)
        await self.gateway.stopService()
        code, said = await deferToThread(client.getreply)
        assert (code, said) == (421, b"4.3.2 The service is shutting down")
        client.close()

    async def test_what_cannot_be_used_is_told_in_one_line(self) -> None:
        """A certificate that is none, a folder that cannot be made."""
        config = self.config()
        config.smtp.certificate = str(self.folder / "absent")
        with pytest.raises(CannotStart, match=r"smtp\.certificate: .*mend certificate"):
            await self.begin(config)
        await self.gateway.stopService()
        config = self.config()
        (self.folder / "media").write_text("")
        with pytest.raises(CannotStart, match=r"media: .*mend media\.folder"):
            await self.begin(config)
        await self.gateway.stopService()


class BehindProxy(ListeningCase):
    """``[smtp] proxy``: HAProxy tells who the client is."""

    async def setting(self, proxies: str = "127.0.0.1") -> None:
        """Starts it; the carrier connects from an address that only the proxy knows."""
        config = self.config(proxy=True, proxy_from=[proxies])
        config.smtp.certificate = str(self.folder / "pem")
        (self.folder / "pem").write_bytes(pem(certificate()))
        await self.begin(config)
        self.addCleanup(self.gateway.stopService)
        behind = PROVISIONED.replace("127.0.0.1", "192.0.2.77")
        await self.gateway.apply(behind, "p.toml", False, False, "test")

    def through(self, header: bytes) -> smtplib.SMTP:
        """A client behind a proxy that sends ``header`` first."""

        class Client(smtplib.SMTP):
            def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
                made = socket.create_connection((host, port), timeout)
                made.sendall(header)
                return made

        return Client("127.0.0.1", self.port, "mms.example.net", timeout=20)

    async def test_client_is_known_by_the_address_that_the_proxy_tells(self) -> None:
        """Versions 1 and 2; STARTTLS after it; the Received line has the client's address."""
        await self.setting()
        seen: list[str] = []

        async def receive(envelope: Envelope) -> Reply:
            seen.append(envelope.address)
            return await self.receive(envelope)

        [server] = self.gateway.listeners.smtp
        server.receive = lambda envelope: Deferred.fromCoroutine(receive(envelope))

        def send(header: bytes) -> int:
            context = ssl.create_default_context(cadata=pem(certificate()).decode())
            context.check_hostname = False
            with self.through(header) as client:
                client.starttls(context=context)
                client.ehlo()
                client.mail("system-user@mms.example.net")
                client.rcpt(NUMBER)
                return client.data(b"Subject: x\r\n\r\nhello\r\n")[0]

        for header in (version_1("192.0.2.77"), version_2("192.0.2.77")):
            assert await deferToThread(send, header) == 250
        assert seen == ["192.0.2.77"] * 2
        octets = await self.gateway.media.get(self.kept[0])
        assert b"([192.0.2.77])" in octets.partition(b"\r\n")[0]

    async def test_stranger_behind_the_proxy_gets_no_greeting(self) -> None:
        """554 5.7.1: it is not the proxy's address that counts."""
        await self.setting()

        def greeting() -> int:
            try:
                with self.through(version_1("198.51.100.1")):
                    return 220
            except smtplib.SMTPConnectError as refused:
                return refused.smtp_code

        assert await deferToThread(greeting) == 554

    async def test_who_is_no_proxy_is_closed_without_an_octet(self) -> None:
        """So nobody can say that he is somebody else."""
        await self.setting("192.0.2.1")

        def talk() -> bytes:
            with socket.create_connection(("127.0.0.1", self.port), 20) as made:
                try:
                    made.sendall(version_1("192.0.2.77"))
                    return made.recv(100)
                except ConnectionError:
                    return b""

        assert await deferToThread(talk) == b""
