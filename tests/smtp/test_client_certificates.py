"""mm4.md §7 (c): clients that are known by the certificate they show over TLS."""

import smtplib
import ssl
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from smsgw.config import Config, ConfigError, parse
from smsgw.doors import Doors
from smsgw.provisioning import ProvisioningError
from smsgw.provisioning import parse as provision
from smsgw.smtp import replies
from smsgw.smtp.grammar import Sender
from smsgw.smtp.peers import Peer, Peers
from smsgw.smtp.replies import Reply
from smsgw.store.secrets import hash_password
from tests.running import free_ports
from tests.smtp.authority import Authority
from tests.smtp.test_listening import ListeningCase
from tests.smtp.wire import NUMBER, PASSWORD, at_once, provisioned

HASH = hash_password(PASSWORD)
ANYWHERE = 'allow = ["*"]'
CARRIER = """
[[carrier]]
name = "{name}"
kind = "mm4"
domain = "{domain}"
{more}
"""
CUSTOMER = """
[[account]]
name = "{name}"
[[account.credential]]
kind = "{kind}"
username = "{name}"
password_hash = "{hash}"
{more}
"""


def carrier(name: str, domain: str, more: str = "") -> str:
    """One of kind mm4."""
    return CARRIER.format(name=name, domain=domain, more=more)


def customer(name: str, more: str = "", kind: str = "smtp") -> str:
    """One login."""
    return CUSTOMER.format(name=name, kind=kind, hash=HASH, more=more)


def peers(*text: str) -> Peers:
    """With what is provisioned."""
    tables = provisioned("".join(text))
    return Peers(lambda: tables, Doors(lambda: tables, run=at_once))


def who(found: Peer | Reply) -> str | Reply:
    """The carrier's or account's name."""
    if isinstance(found, Reply):
        return found
    return found.login.account if found.login is not None else found.carrier


ALL = (
    carrier("plain", "mms.example.net", 'allow = ["192.0.2.1"]'),
    carrier("sealed", "mms.example.net", f'{ANYWHERE}\ncertificate = "mmsc.example.net"'),
    customer("acme", f'identify = "certificate"\ncertificate = "acme client"\n{ANYWHERE}'),
    customer("both", f'certificate = "both client"\n{ANYWHERE}'),
)


@pytest.mark.parametrize(
    ("address", "names", "expected"),
    [
        ("192.0.2.1", [], "plain"),
        ("192.0.2.9", [], replies.LOGIN_FIRST),
        ("192.0.2.9", ["mmsc.example.net"], "sealed"),
        ("192.0.2.1", ["mmsc.example.net"], "sealed"),
        ("192.0.2.9", ["acme client"], "acme"),
        ("192.0.2.1", ["acme client"], "acme"),
        ("192.0.2.9", ["both client"], replies.LOGIN_FIRST),
        ("192.0.2.9", ["stranger"], replies.LOGIN_FIRST),
        ("192.0.2.1", ["stranger"], "plain"),
    ],
)
def test_who_mails_is_said_by_the_certificate(
    address: str, names: Sequence[str], expected: str | Reply
) -> None:
    """It says more than the address; whoever has one provisioned is not known without it."""
    found = peers(*ALL).choose(address, Sender("system-user@mms.example.net"), names)
    assert who(found) == expected


def test_certificate_does_not_make_an_address_its_own() -> None:
    """Ruling 21: carriers use addresses of their domain."""
    sealed = peers(ALL[1])
    found = sealed.choose("192.0.2.1", Sender("x@mms.example.org"), ["mmsc.example.net"])
    assert found == replies.NOT_YOUR_ADDRESS


@pytest.mark.parametrize("kind", ["smtp", "smpp"])
def test_login_with_a_certificate_needs_it(kind: str) -> None:
    """AUTH and certificate, of logins made for SMPP too; and it is looked at again at each mail."""
    found = peers(customer("both", f'certificate = "both client"\n{ANYWHERE}', kind))

    def login(*names: str) -> Peer | Reply:
        asked = Deferred.fromCoroutine(found.login("both", PASSWORD, "192.0.2.1", names))
        result: list[Any] = []
        asked.addBoth(result.append)
        return result[0]  # type: ignore[no-any-return]

    assert login() == login("other") == replies.WRONG_LOGIN
    peer = login("both client")
    assert isinstance(peer, Peer)
    assert who(peer) == "both"
    assert found.still(peer, ["both client"])
    assert not found.still(peer, [])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (carrier("c", "d.example", 'certificate = "x"'), "given without allow"),
        (customer("c", 'identify = "certificate"'), '"certificate" needs certificate'),
        (
            customer("c", 'identify = "address"\nallow = ["192.0.2.1"]\ncertificate = "x"'),
            '"address" is not enough',
        ),
        (customer("c", 'certificate = "sha256:12"'), "64 hex digits"),
        (customer("c", 'certificate = "x"', "http"), "only a login of kind smpp or smtp"),
    ],
)
def test_certificates_that_cannot_be_provisioned(text: str, why: str) -> None:
    """The fault says what is missing."""
    with pytest.raises(ProvisioningError, match=why):
        provision(text, "p.toml")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('client_ca = "x"', "smtp.client_ca: has no effect without certificate"),
        ("proxy = true", "smtp.proxy: needs proxy_from"),
        ('proxy_from = ["10.0.0.1"]', "smtp.proxy: needs proxy_from"),
        (
            'proxy = true\nproxy_from = ["10.0.0.1"]\nlisten = ["ssl:2465:privateKey=k"]',
            "a PROXY header comes before TLS",
        ),
    ],
)
def test_configuration_that_fits_nothing(text: str, why: str) -> None:
    """Keys that need one another."""
    with pytest.raises(ConfigError, match=why):
        parse(f"[smtp]\n{text}")


class OnSockets(ListeningCase):
    """A gateway with STARTTLS and with TLS from the first octet, and clients of real TLS."""

    async def setting(self) -> None:
        """Starts it."""
        config: Config = self.config()
        self.authority = Authority(self.folder)
        server = self.authority.sign("gateway", "localhost")
        config.smtp.certificate = str(server)
        config.smtp.client_ca = str(self.authority.ca)
        (self.secure,) = free_ports(1)
        listen = f"ssl:{self.secure}:privateKey={server}:interface=127.0.0.1"
        config.smtp.listen.append(listen)
        await self.begin(config)
        self.addCleanup(self.gateway.stopService)
        print_of = self.fingerprint(self.authority.sign("acme"))
        text = carrier("sealed", "mms.example.net", f'{ANYWHERE}\ncertificate = "mmsc"') + customer(
            "acme", f'identify = "certificate"\ncertificate = "{print_of}"\n{ANYWHERE}'
        )
        await self.gateway.apply(text, "p.toml", True, False, "test")

    def fingerprint(self, file: Path) -> str:
        """As openssl prints it."""
        der = ssl.PEM_cert_to_DER_cert(file.read_text().partition("-----BEGIN PRIVATE")[0])
        return f"sha256:{sha256(der).hexdigest()}"

    def context(self, shown: Path | None) -> ssl.SSLContext:
        """A client's, which shows a certificate."""
        context = ssl.create_default_context(cafile=str(self.authority.ca))
        if shown is not None:
            context.load_cert_chain(shown)
        return context

    def mailing(self, client: smtplib.SMTP, sender: str) -> int:
        """The answer to MAIL, or to the whole mail if that is taken."""
        client.ehlo("x")
        code = client.mail(sender)[0]
        if code == 250:
            client.rcpt(NUMBER)
            code = client.data(b"Subject: x\r\n\r\nhello\r\n")[0]
        return code

    def over_starttls(self, shown: Path | None) -> Callable[[str], int]:
        """Mails so."""

        def send(sender: str) -> int:
            with smtplib.SMTP("localhost", self.port, "x") as client:
                client.starttls(context=self.context(shown))
                return self.mailing(client, sender)

        return send

    def over_tls(self, shown: Path | None) -> Callable[[str], int]:
        """Mails so."""

        def send(sender: str) -> int:
            context = self.context(shown)
            with smtplib.SMTP_SSL("localhost", self.secure, "x", context=context) as client:
                return self.mailing(client, sender)

        return send

    async def test_certificate_is_the_login(self) -> None:
        """Of a carrier by common name, of a customer by fingerprint; by STARTTLS and by TLS."""
        await self.setting()
        mmsc, acme = self.authority.sign("mmsc"), self.folder / "authority-acme.pem"
        for way in (self.over_starttls, self.over_tls):
            assert await deferToThread(way(mmsc), "system-user@mms.example.net") == 250
            assert await deferToThread(way(mmsc), "x@elsewhere.example") == 553
            assert await deferToThread(way(acme), "x@elsewhere.example") == 250
            for nobody in (None, self.authority.sign("other"), self.authority.sign("acme2")):
                assert await deferToThread(way(nobody), "x@mms.example.net") == 530
        assert len(self.kept) == 4

    async def test_certificate_of_another_authority_ends_the_handshake(self) -> None:
        """Though it has the right name."""
        await self.setting()
        forged = Authority(self.folder, "forger").sign("mmsc")
        for way in (self.over_starttls, self.over_tls):
            sending = deferToThread(way(forged), "system-user@mms.example.net")
            fault = await sending.addErrback(lambda failure: failure.value)
            assert isinstance(fault, ssl.SSLError | smtplib.SMTPException | OSError), fault
        assert self.kept == []

    async def test_in_clear_it_is_not_known(self) -> None:
        """530: no certificate, no carrier."""
        await self.setting()

        def send() -> int:
            with smtplib.SMTP("localhost", self.port, "x") as client:
                return self.mailing(client, "system-user@mms.example.net")

        assert await deferToThread(send) == 530
