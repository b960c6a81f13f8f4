"""The world outside for tests of messengers: names that resolve as they are told, time that tests
move, certificates."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.internet import reactor as real
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IHostnameResolver, IReactorPluggableNameResolver
from twisted.internet.ssl import Certificate, PrivateCertificate, trustRootFromCertificates
from twisted.internet.task import Clock
from zope.interface import implementer


@implementer(IHostnameResolver)
class Names:
    """Resolves from a table; each look-up takes the next of the name's lists of addresses."""

    def __init__(self, table: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self.table = table
        self.asked: list[str] = []

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        """Twisted."""
        receiver, name, port = resolutionReceiver, hostName, portNumber
        lists = self.table.get(name, [[]])
        addresses = lists[min(self.asked.count(name), len(lists) - 1)]
        self.asked.append(name)
        receiver.resolutionBegan(self)
        for one in addresses:
            kind = IPv6Address if ip_address(one).version == 6 else IPv4Address
            receiver.addressResolved(kind("TCP", one, port))
        receiver.resolutionComplete()
        return self


@implementer(IReactorPluggableNameResolver)
class World:
    """The reactor with the clock and the names of a test.

    ``connected`` has the addresses to which connections were asked for; ``all_local`` makes them go
    to this machine.
    """

    def __init__(
        self, names: Mapping[str, Sequence[Sequence[str]]] | None = None, all_local: bool = False
    ) -> None:
        self.clock = Clock()
        self.nameResolver = Names(names or {"127.0.0.1": [["127.0.0.1"]]})
        self.connected: list[str] = []
        self.all_local = all_local

    def callLater(self, delay: float, function: Any, *given: Any, **more: Any) -> Any:
        """Twisted."""
        return self.clock.callLater(delay, function, *given, **more)

    def seconds(self) -> float:
        """Twisted."""
        return self.clock.seconds()

    def connectTCP(self, host: str, port: int, *given: Any, **more: Any) -> Any:
        """Twisted."""
        self.connected.append(host)
        local = "127.0.0.1" if self.all_local else host
        return real.connectTCP(local, port, *given, **more)  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> Any:
        return getattr(real, name)


@cache
def certificate() -> PrivateCertificate:
    """A self-signed one for www.example.com, always the same."""
    return fresh_certificate()


def pem(certificate: PrivateCertificate) -> bytes:
    """Certificate and key in PEM form."""
    signed = certificate.original.to_cryptography().public_bytes(Encoding.PEM)
    key = certificate.privateKey.original.to_cryptography_key()
    return bytes(signed + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def fresh_certificate() -> PrivateCertificate:
    """Another one for www.example.com."""
    name = "www.example.com"
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    both = signed.public_bytes(Encoding.PEM) + key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    return PrivateCertificate.loadPEM(both)


def trust() -> Any:
    """Trust in it."""
    return trustRootFromCertificates([Certificate(certificate().original)])
