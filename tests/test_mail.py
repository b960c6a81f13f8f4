"""E-mail by a relay and by MX: delivery to real servers on loopback, and what they answer."""

from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.ssl import CertificateOptions
from twisted.names import dns
from twisted.names.error import DNSNameError, DNSServerError
from twisted.trial.unittest import TestCase

from smsgw.config import Config, Domains, Smtp
from smsgw.flow.targets import DELIVERED, FAILED, REFUSED, Told
from smsgw.mail import Mail
from smsgw.message import MessageState
from smsgw.provisioning.targets import Target
from smsgw.testing.sinks import MailSink
from tests.deliveries import ALICE, body, delivery, mo, mt, opened
from tests.outside import World, certificate

DOMAIN = "sms.example.com"


class Exchangers:
    """A resolver of MX records."""

    def __init__(self, *hosts: tuple[int, str]) -> None:
        self.hosts = hosts
        self.fault: Exception | None = None

    def lookupMailExchange(self, domain: str) -> Deferred[Any]:
        """Twisted."""
        if self.fault is not None:
            return fail(self.fault)
        found = [
            dns.RRHeader(domain, dns.MX, payload=dns.Record_MX(preference, host))
            for preference, host in self.hosts
        ]
        return succeed((found, [], []))


@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")
class MailCase(TestCase):
    """A mail server on loopback, in a world where mail goes there."""

    timeout = 20

    async def begin(self, tls: bool = False, users: dict[str, str] | None = None) -> int:
        """Starts the server."""
        self.world = World(
            {
                "127.0.0.1": [["127.0.0.1"]],
                "www.example.com": [["127.0.0.1"]],
                "mx.example.com": [["203.0.114.7"]],
                "example.com": [["203.0.114.8"]],
                "inside.example.com": [["10.0.0.1"]],
            },
            all_local=True,
        )
        self.sink = sink = MailSink(self.world, certificate().options() if tls else None, users)
        port = await sink.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(sink.stop()))
        return port

    def mail(self, resolver: Any = None, port: int = 0, **smtp: Any) -> Mail:
        """One that sends to the relay of ``smtp``, or to exchangers."""
        config = Config(smtp=Smtp(domains=Domains(sms=DOMAIN), **smtp))
        return Mail(config, self.world, resolver, port)

    def told(self, mail: Mail, *given: Any, **account: Any) -> Deferred[Told]:
        """Delivers, and lets the world go on for a second."""
        told = mail.deliver(delivery(*(given or (mo(), ALICE)), **account))
        self.world.clock.advance(1)
        return told


class Relay(MailCase):
    """By the operator's relay."""

    async def test_message(self) -> None:
        """Envelope and letter as they left; the relay may be at a private address."""
        port = await self.begin()
        assert await self.told(self.mail(relay=f"127.0.0.1:{port}")) == Told(DELIVERED, "SMTP 250")
        [got] = self.sink.mails
        assert (got.sender, got.recipients) == ("sms@sms.example.com", [ALICE])
        assert body(got.octets).endswith("\r\n\r\nGrüße\r\n") or body(got.octets).endswith(
            "\n\nGrüße\n"
        )
        assert (got.tls, got.user) == (False, "")
        await self.sink.when(lambda: not self.sink.open)

    async def test_dots_arrive(self) -> None:
        """A line of one dot is no end, wherever in a long text it is."""
        port = await self.begin()
        text = "x\n.\n..\n.y\n" * 4000
        message = mo(text=text)
        sending = self.mail(relay=f"127.0.0.1:{port}")
        assert (await self.told(sending, message, "!" + ALICE)).result == DELIVERED
        [got] = self.sink.mails
        assert body(got.octets).replace("\r\n", "\n") == text

    async def test_relay_letter(self) -> None:
        """Of a number whose method is email."""
        port = await self.begin()
        target = Target("email", ALICE, dialect="aql")
        await self.told(self.mail(relay=f"127.0.0.1:{port}"), mo(), target)
        assert opened(self.sink.mails[0].octets)["X-SMS-Id"] == "9000017"

    async def test_what_answers_mean(self) -> None:
        """5yz to the mail is for good, 4yz is tried again (ruling 17)."""
        port = await self.begin()
        for command in ("MAIL", "RCPT", "DATA"):
            for code, result in ((550, REFUSED), (552, REFUSED), (450, FAILED), (421, FAILED)):
                self.sink.refuse = {command: code}
                told = await self.told(self.mail(relay=f"127.0.0.1:{port}"))
                assert told == Told(result, f"SMTP {code}"), command
        assert self.sink.mails == []

    async def test_no_connection(self) -> None:
        """It is tried again."""
        port = await self.begin()
        await self.sink.stop()
        told = await self.told(self.mail(relay=f"127.0.0.1:{port}"))
        assert told == Told(FAILED, "connection refused")

    async def test_silence(self) -> None:
        """A server that says nothing has two minutes in all."""
        port = await self.begin()
        self.sink.silent = True
        told = self.mail(relay=f"127.0.0.1:{port}").deliver(delivery(mo(), ALICE))
        await self.sink.when(lambda: self.sink.connections == 1)
        self.world.clock.advance(120)
        assert (await told).result == FAILED  # the connection may be new at this end
        await self.sink.when(lambda: not self.sink.open)

    async def test_a_server_that_does_not_stop_is_left(self) -> None:
        """A greeting of ever more lines would fill the memory; it is tried again."""
        port = await self.begin()
        self.sink.greeting = b"220-and more\r\n" * 50_000
        assert await self.told(self.mail(relay=f"127.0.0.1:{port}")) == Told(FAILED, "no SMTP")
        await self.sink.when(lambda: not self.sink.open)

    async def test_tls_if_it_is_offered(self) -> None:
        """Any certificate will do, as no certificate would."""
        port = await self.begin(tls=True)
        assert (await self.told(self.mail(relay=f"127.0.0.1:{port}"))).result == DELIVERED
        assert (await self.told(self.mail(relay=f"127.0.0.1:{port}", relay_tls="none"))).result
        assert [one.tls for one in self.sink.mails] == [True, False]

    async def test_required_tls_is_verified(self) -> None:
        """Without TLS, or with a certificate that is not trusted, nothing is sent."""
        port = await self.begin(tls=True)
        told = await self.told(self.mail(relay=f"www.example.com:{port}", relay_tls="required"))
        assert told == Told(FAILED, "TLS failed")
        port = await self.begin()
        told = await self.told(self.mail(relay=f"127.0.0.1:{port}", relay_tls="required"))
        assert told == Told(FAILED, "the relay offers no TLS")
        assert self.sink.mails == []

    async def test_login(self) -> None:
        """Over TLS only; a wrong password is no refusal of the mail."""
        port = await self.begin(tls=True, users={"smsgw": "secret"})
        given = {"relay": f"127.0.0.1:{port}", "relay_username": "smsgw"}
        told = await self.told(self.mail(**given, relay_password="secret"))
        assert told.result == DELIVERED
        assert self.sink.mails[0].user == "smsgw"
        told = await self.told(self.mail(**given, relay_password="wrong"))
        assert told == Told(FAILED, "SMTP 535")
        told = await self.told(self.mail(**given, relay_password="secret", relay_tls="none"))
        assert told == Told(FAILED, "the relay offers no TLS, which the login needs")


class Exchange(MailCase):
    """Without a relay: by the mail exchangers of the recipient's domain."""

    async def test_in_the_order_of_their_preference(self) -> None:
        """The next is tried where one cannot be reached (RFC 5321 §5.1)."""
        port = await self.begin()
        hosts = Exchangers((20, "mx.example.com"), (10, "nowhere.example.com"))
        assert (await self.told(self.mail(hosts, port))).result == DELIVERED
        assert self.world.nameResolver.asked == ["nowhere.example.com", "mx.example.com"]

    async def test_refusal_of_one_ends_it(self) -> None:
        """What one says holds for all."""
        port = await self.begin()
        self.sink.refuse = {"RCPT": 550}
        hosts = Exchangers((10, "mx.example.com"), (20, "example.com"))
        assert await self.told(self.mail(hosts, port)) == Told(REFUSED, "SMTP 550")
        assert self.sink.connections == 1

    async def test_domain_without_exchangers(self) -> None:
        """Its own address is one (RFC 5321 §5.1)."""
        port = await self.begin()
        hosts = Exchangers()
        hosts.fault = DNSNameError()
        for resolver in (Exchangers(), hosts):
            assert (await self.told(self.mail(resolver, port))).result == DELIVERED
        assert self.world.connected == ["203.0.114.8"] * 2

    async def test_domain_that_takes_no_mail(self) -> None:
        """A null MX is a refusal (RFC 7505)."""
        await self.begin()
        told = await self.told(self.mail(Exchangers((0, ""))))
        assert told == Told(REFUSED, "the domain takes no mail")

    async def test_name_server_that_fails(self) -> None:
        """It is tried again."""
        await self.begin()
        hosts = Exchangers()
        hosts.fault = DNSServerError()
        assert await self.told(self.mail(hosts)) == Told(FAILED, "no mail exchanger")

    async def test_exchanger_inside_is_not_connected_to(self) -> None:
        """A customer's domain does not lead into the operator's network (I6)."""
        port = await self.begin()
        hosts = Exchangers((10, "inside.example.com"))
        told = await self.told(self.mail(hosts, port))
        assert told == Told(FAILED, "address not allowed")
        assert self.world.connected == []

    async def test_broken_tls_is_done_without(self) -> None:
        """A mail in clear is better than none where TLS is only offered."""
        port = await self.begin(tls=True)
        self.sink.tls = CertificateOptions()  # without a certificate it agrees with nobody
        told = await self.told(self.mail(Exchangers((10, "mx.example.com")), port))
        assert told.result == DELIVERED
        assert [one.tls for one in self.sink.mails] == [False]
        assert self.sink.connections == 2


class Reports(MailCase):
    """Delivery reports by e-mail (A-D41)."""

    async def report(self, message: Any, event: str = "receipt", **settings: Any) -> Told:
        """Delivers one to ALICE."""
        port = await self.begin()
        mail = self.mail(relay=f"127.0.0.1:{port}")
        return await self.told(mail, message, ALICE, event, settings=settings)

    async def test_final_report(self) -> None:
        """Subject with the word, body with code, times, id and text, from the null sender."""
        assert (await self.report(mt())).result == DELIVERED
        [got] = self.sink.mails
        assert got.sender == ""
        sent = opened(got.octets)
        assert sent["Subject"] == "SMS to 447700900123: Delivered"
        assert sent.get_content().replace("\r\n", "\n") == (
            "Code: 1 (Delivered)\nFrom: 441632960123\nTo: 447700900123\nId: 7300113\n"
            "Accepted: 2026-03-14 10:15:02\nDelivered: 2026-03-14 10:15:09\n\nHello world\n"
        )

    async def test_words(self) -> None:
        """Of the other codes."""
        for message, word in (
            (mt(MessageState.UNDELIVERABLE), "Rejected"),
            (mt(MessageState.REJECTED, taken=False), "Rejected by SMSC"),
        ):
            await self.report(message)
            assert opened(self.sink.mails[0].octets)["Subject"].endswith(f": {word}")

    async def test_progress_is_mailed_on_request_only(self) -> None:
        """aaisp.mail_progress, of the configuration or of the account (A-D41)."""
        under_way = mt(MessageState.ENROUTE)
        assert await self.report(under_way, "progress") == Told(DELIVERED, "not mailed")
        assert self.sink.mails == []
        await self.report(under_way, "progress", aaisp={"mail_progress": True})
        [got] = self.sink.mails
        assert opened(got.octets)["Subject"] == "SMS to 447700900123: Accepted by SMSC"
