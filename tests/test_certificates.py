"""TLS of listeners: files that are renewed, chains, and endpoint strings."""

import contextlib
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from smsgw.certificates import BadEndpoint, Certificates, endpoint_of
from tests.folders import temporary_folder
from tests.outside import certificate, fresh_certificate, pem


def shown(certificates: Certificates) -> list[bytes]:
    """The chain that a client is shown by a new connection, in PEM form."""
    factory = SimpleNamespace(wrappedFactory=Factory())
    server = certificates.serverConnectionForTLS(SimpleNamespace(factory=factory))
    server.set_accept_state()
    client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
    client.set_connect_state()
    for _ in range(4):
        for one, other in ((client, server), (server, client)):
            with contextlib.suppress(SSL.WantReadError):
                one.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(1 << 16))
    assert client.get_protocol_version_name() == "TLSv1.3"
    chain = client.get_peer_cert_chain(as_cryptography=True) or []
    return [one.public_bytes(Encoding.PEM) for one in chain]


def handshake(certificates: Certificates, newest: int) -> str:
    """What a client that speaks up to a version of TLS comes to, "" if the server refuses it."""
    factory = SimpleNamespace(wrappedFactory=Factory())
    server = certificates.serverConnectionForTLS(SimpleNamespace(factory=factory))
    server.set_accept_state()
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_cipher_list(b"ALL:@SECLEVEL=0")
    context.set_min_proto_version(SSL.TLS1_VERSION)
    context.set_max_proto_version(newest)
    client = SSL.Connection(context, None)
    client.set_connect_state()
    for _ in range(4):
        for one, other in ((client, server), (server, client)):
            try:
                one.do_handshake()
            except SSL.WantReadError:
                pass
            except SSL.Error:
                return ""
            with contextlib.suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(1 << 16))
    return client.get_protocol_version_name()


def first(octets: bytes) -> bytes:
    """The first certificate of PEM octets."""
    end = b"-----END CERTIFICATE-----\n"
    return octets[: octets.index(end) + len(end)]


class CertificateTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A key and a certificate in one file."""
        self.folder = Path(temporary_folder(self))
        self.own = self.folder / "own.pem"
        self.own.write_bytes(pem(certificate()))

    def test_versions_before_1_2_are_refused(self) -> None:
        """``spec/mm4.md`` section 7: TLS 1.2 or later, whatever the client would put up with."""
        certificates = Certificates(str(self.own))
        assert handshake(certificates, SSL.TLS1_1_VERSION) == ""
        assert handshake(certificates, SSL.TLS1_2_VERSION) == "TLSv1.2"
        assert handshake(certificates, SSL.TLS1_3_VERSION) == "TLSv1.3"

    def test_a_connection_has_what_the_files_say_when_it_is_made(self) -> None:
        """Written anew, or put in the place of the old one."""
        certificates = Certificates(str(self.own))
        assert shown(certificates) == [first(pem(certificate()))]
        renewed = pem(fresh_certificate())
        self.own.write_bytes(renewed)
        assert shown(certificates) == [first(renewed)]
        again = pem(fresh_certificate())
        other = self.folder / "new.pem"
        other.write_bytes(again)
        os.replace(other, self.own)
        assert shown(certificates) == [first(again)]

    def test_files_that_do_not_fit_change_nothing(self) -> None:
        """A missing file, half a file, a certificate of another key: the old one stays."""
        key, cert = self.folder / "key.pem", self.folder / "cert.pem"
        key.write_bytes(pem(certificate()))
        cert.write_bytes(pem(certificate()))
        certificates = Certificates(str(key), str(cert))
        before = shown(certificates)
        for octets in (b"", b"-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n"):
            cert.write_bytes(octets)
            assert shown(certificates) == before
        renewed = pem(fresh_certificate())
        cert.write_bytes(renewed)  # and its key is not there yet
        assert shown(certificates) == before
        key.unlink()
        assert shown(certificates) == before
        key.write_bytes(renewed)
        assert shown(certificates) == [first(renewed)]

    def test_what_follows_the_certificate_is_its_chain(self) -> None:
        """In its own file, as ACME clients write it, or in another."""
        above = pem(fresh_certificate())
        cert, chain = self.folder / "full.pem", self.folder / "chain.pem"
        cert.write_bytes(first(pem(certificate())) + first(above))
        both = [first(pem(certificate())), first(above)]
        assert shown(Certificates(str(self.own), str(cert))) == both
        chain.write_bytes(first(above))
        assert shown(Certificates(str(self.own), "", str(chain))) == both

    def test_an_endpoint_string_names_the_files(self) -> None:
        """A colon in a name is escaped; other endpoints are Twisted's own."""
        odd = self.folder / "a:b.pem"
        odd.write_bytes(pem(certificate()))
        reactor: Any = MemoryReactor()
        name = str(odd).replace(":", r"\:")
        endpoint = endpoint_of(reactor, f"ssl:8443:privateKey={name}:interface=127.0.0.1")
        endpoint.listen(Factory())
        [(port, _, _, backlog, interface)] = reactor.sslServers
        assert (port, backlog, interface) == (8443, 50, "127.0.0.1")
        endpoint_of(reactor, "tcp:1").listen(Factory())
        assert reactor.tcpServers[0][0] == 1


@pytest.mark.parametrize(
    ("endpoint", "why"),
    [
        ("ssl:443", "privateKey is missing"),
        ("ssl:443:certKey=x", "privateKey is missing"),
        ("ssl:443:privatekey=x", "privatekey=x is none of"),
        ("ssl:443:x", "x is none of"),
    ],
)
def test_an_endpoint_that_cannot_listen(endpoint: str, why: str) -> None:
    """The fault says what is missing, or what could be meant."""
    with pytest.raises(BadEndpoint, match=why):
        endpoint_of(MemoryReactor(), endpoint)
