"""TLS of listeners: an ``ssl:`` endpoint whose certificate may be renewed while it listens."""

import os
import re
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet.endpoints import SSL4ServerEndpoint, serverFromString
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, ISSLTransport
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    DiffieHellmanParameters,
)
from twisted.logger import Logger
from twisted.python.filepath import FilePath
from zope.interface import implementer

_log = Logger()

# Pieces of an endpoint string: a colon in one of them is escaped.
_PIECE = re.compile(r"(?:\\.|[^:\\])+")
_ESCAPED = re.compile(r"\\(.)")
_CERTIFICATES = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_KEYS = {"privateKey", "certKey", "extraCertChain", "dhParameters", "interface", "backlog"}


class BadEndpoint(ValueError):
    """An ``ssl:`` endpoint that cannot listen; the text says why."""


@implementer(IOpenSSLServerConnectionCreator)
class Certificates:
    """Certificate, chain and key in PEM files; a connection made after a file has changed has the
    new ones. Files that do not fit together, as in the middle of a renewal, change nothing.

    The certificates after the first one of ``certificate`` are its chain, as are those of
    ``chain``. TLS is 1.2 at least.
    """

    def __init__(
        self,
        key: str,
        certificate: str = "",
        chain: str = "",
        dh: str = "",
        client_ca: str = "",
        client_required: bool = False,
    ) -> None:
        """Paths; without ``certificate`` it is in the file of the key.

        With ``client_ca``, whose certificates sign those of clients, a client is asked for one; one
        that is not signed by them is refused, and with ``client_required`` a client without, too.
        Raises what the files raise: OSError, ValueError, ``OpenSSL.SSL.Error``.
        """
        self._files = [key, certificate or key, *([chain] if chain else [])]
        self._ca = [client_ca] if client_ca else []
        self._client_required = client_required
        self._dh = dh
        self._seen = self._stamp()
        self._options = self._load()

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """Twisted."""
        try:
            seen = self._stamp()
        except OSError:
            seen = self._seen  # it is being replaced
        if seen != self._seen:
            self._seen = seen
            try:
                self._options = self._load()
            except Exception as error:  # of several libraries
                _log.error(
                    "{file}: not taken over, the certificate stays as it was: {why}",
                    file=self._files[1],
                    why=str(error) or type(error).__name__,
                )
            else:
                _log.info("{file}: the certificate is renewed", file=self._files[1])
        connection: SSL.Connection = self._options.serverConnectionForTLS(protocol)
        return connection

    def _stamp(self) -> list[tuple[int, int, int]]:
        """What changes when a file is written, or another is put in its place."""
        found = [os.stat(name) for name in self._files + self._ca]
        return [(one.st_ino, one.st_mtime_ns, one.st_size) for one in found]

    def _load(self) -> CertificateOptions:
        key, *others = (Path(name).read_bytes() for name in self._files)
        found = _CERTIFICATES.findall(b"\n".join(others))
        if not found:
            raise ValueError("no certificate in PEM format")
        first, *chain = load_pem_x509_certificates(b"\n".join(found))
        # Of cryptography's own types, which Twisted hands on, though it does not say so.
        given: dict[str, Any] = {
            "privateKey": load_pem_private_key(key, None),
            "certificate": first,
            "extraCertChain": chain or None,
        }
        if self._dh:
            given["dhParameters"] = DiffieHellmanParameters.fromFile(FilePath(self._dh))
        for name in self._ca:
            given["verify"] = True
            given["caCerts"] = [
                Certificate.loadPEM(one).original
                for one in _CERTIFICATES.findall(Path(name).read_bytes())
            ]
            given["requireCertificate"] = self._client_required
        options = CertificateOptions(**given)
        options.getContext().check_privatekey()
        return options


def names_of(transport: Any) -> tuple[str, ...]:
    """What the certificate that the peer has shown goes by: its common names, and ``sha256:`` with
    its fingerprint in hex. Nothing if it has shown none.
    """
    secure: bool = ISSLTransport.providedBy(transport)
    handle = transport.getHandle() if secure else None
    shown = handle.get_peer_certificate(as_cryptography=True) if handle is not None else None
    if shown is None:
        return ()
    names = [str(one.value) for one in shown.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return (*names, f"sha256:{shown.fingerprint(SHA256()).hex()}")


def endpoint_of(reactor: Any, description: str, client_ca: str = "") -> Any:
    """The endpoint that a Twisted endpoint string means; an ``ssl:`` one with ``Certificates``,
    which ask clients for one that ``client_ca`` signs if that is given.

    Raises ``BadEndpoint``, what ``Certificates`` raises, and what Twisted raises.
    """
    if not description.startswith("ssl:"):
        return serverFromString(reactor, description)
    port, *more = (piece for piece in _PIECE.findall(description)[1:])
    given = {}
    for piece in more:
        name, equals, value = piece.partition("=")
        if not equals or name not in _KEYS:
            raise BadEndpoint(f"{piece} is none of {', '.join(sorted(_KEYS))}")
        given[name] = _ESCAPED.sub(r"\1", value)
    if "privateKey" not in given:
        raise BadEndpoint("privateKey is missing")
    certificates = Certificates(
        given["privateKey"],
        given.get("certKey", ""),
        given.get("extraCertChain", ""),
        given.get("dhParameters", ""),
        client_ca,
    )
    return SSL4ServerEndpoint(
        reactor,
        int(port),
        certificates,
        int(given.get("backlog", "50")),
        given.get("interface", ""),
    )
