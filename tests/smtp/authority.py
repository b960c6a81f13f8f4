"""Certificates that an authority of the test signs, in PEM files."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


class Authority:
    """One that signs; its own certificate is ``ca``."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = _named(name)
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        self._own = self._sign(self._subject, self._key, constraints)
        self.ca = folder / f"{name}.pem"
        self.ca.write_bytes(self._own.public_bytes(Encoding.PEM))

    def sign(self, name: str, host: str = "") -> Path:
        """Certificate and key of ``name`` in one file; for the host ``host``, if that is given."""
        key = ec.generate_private_key(ec.SECP256R1())
        more = [x509.SubjectAlternativeName([x509.DNSName(host)])] if host else []
        signed = self._sign(_named(name), key, *more)
        file = self._folder / f"{self.ca.stem}-{name}.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(signed.public_bytes(Encoding.PEM) + private)
        return file

    def _sign(self, subject: x509.Name, key: Any, *extensions: Any) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .issuer_name(self._subject)
            .subject_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )
        for one in extensions:
            builder = builder.add_extension(one, critical=isinstance(one, x509.BasicConstraints))
        return builder.sign(self._key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
