"""Where a broker is: URLs of the form that RabbitMQ's clients share, with several hosts if need be.

``amqp://user:password@one:5672,two:5672/vhost?heartbeat=10``; ``amqps`` is TLS with the broker's
certificate verified. Names of the query are those of RabbitMQ's URI specification.
"""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from attrs import define, evolve, field
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import (
    Certificate,
    PrivateCertificate,
    optionsForClientTLS,
    trustRootFromCertificates,
)

from smsgw.amqp.frames import MAX_BODY

_CONNECT_S = 10.0
_MARK = b"-----END CERTIFICATE-----"


class BadAddress(ValueError):
    """A URL that means no broker; the text says why, without the password."""


@define(frozen=True)
class Login:
    """Who connects, and how the connection is to be."""

    user: str = "guest"
    password: str = "guest"  # noqa: S105 - the one that a fresh broker has for its own machine
    vhost: str = "/"
    mechanism: str = "PLAIN"  # or EXTERNAL: by the certificate that TLS has shown
    heartbeat: int = 10  # seconds, 0 = as the broker wants
    max_frame: int = 131_072
    max_body: int = MAX_BODY
    handshake_s: float = 15.0
    name: str = ""  # shown by the broker's tools

    @property
    def response(self) -> bytes:
        """What the mechanism sends."""
        if self.mechanism == "EXTERNAL":
            return b""
        return b"\0" + self.user.encode() + b"\0" + self.password.encode()


@define(frozen=True)
class Address:
    """Hosts that are nodes of one broker, how to reach them, and who logs in."""

    hosts: tuple[tuple[str, int], ...]
    login: Login
    tls: bool = False
    ca: str = ""  # file of certificates that may sign the broker's; "" = those of the system
    certificate: str = ""  # file of our own certificate, with the key if ``key`` is ""
    key: str = ""
    server_name: str = ""  # that the certificate must have; "" = the host
    connect_s: float = field(default=_CONNECT_S)

    def endpoints(self, reactor: Any) -> list[tuple[str, IStreamClientEndpoint]]:
        """One for each host, with its name for operators. Raises what its files raise."""
        return [
            (f"{host}:{port}", self._endpoint(reactor, host, port)) for host, port in self.hosts
        ]

    def _endpoint(self, reactor: Any, host: str, port: int) -> IStreamClientEndpoint:
        plain = HostnameEndpoint(reactor, host, port, timeout=self.connect_s)
        if not self.tls:
            return plain
        given: dict[str, Any] = {}
        if self.ca:
            pieces = Path(self.ca).read_bytes().split(_MARK)[:-1]
            if not pieces:
                raise BadAddress(f"{self.ca}: no certificate in PEM format")
            given["trustRoot"] = trustRootFromCertificates(
                [Certificate.loadPEM(piece + _MARK) for piece in pieces]
            )
        if self.certificate:
            pem = Path(self.certificate).read_bytes()
            if self.key:
                pem += b"\n" + Path(self.key).read_bytes()
            given["clientCertificate"] = PrivateCertificate.loadPEM(pem)
        return wrapClientTLS(optionsForClientTLS(self.server_name or host, **given), plain)


def parse_address(url: str) -> Address:
    """Raises ``BadAddress``."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BadAddress(str(error)) from None
    if parts.scheme not in ("amqp", "amqps"):
        raise BadAddress("a broker's URL begins with amqp:// or amqps://")
    tls = parts.scheme == "amqps"
    credentials, at, hosts = parts.netloc.rpartition("@")
    user, colon, password = credentials.partition(":")
    login = Login(vhost=unquote(parts.path[1:]) or "/")
    if at:
        login = evolve(login, user=unquote(user), password=unquote(password) if colon else "")
    found = Address(
        tuple(_host(one, 5671 if tls else 5672) for one in hosts.split(",")), login, tls
    )
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        found = _option(found, name, value)
    if found.login.mechanism == "EXTERNAL" and not found.certificate:
        raise BadAddress("auth_mechanism=external needs amqps:// and certfile")
    if len(found.login.vhost.encode()) > 255:
        raise BadAddress("the virtual host is longer than 255 octets")
    return found


def _host(text: str, default: int) -> tuple[str, int]:
    bracket, _, after = text.rpartition("]")
    if bracket.startswith("["):
        host, port = bracket[1:], after
        if port and not port.startswith(":"):
            raise BadAddress(f"{text!r} is no host")
        port = port[1:]
    else:
        host, _, port = text.partition(":")
    if not host:
        raise BadAddress("a host is missing")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise BadAddress(f"{port!r} is no port")
    return host, int(port) if port else default


def _option(address: Address, name: str, value: str) -> Address:
    files = {"cacertfile": "ca", "certfile": "certificate", "keyfile": "key"}
    if name in files or name == "server_name_indication":
        if not address.tls:
            raise BadAddress(f"{name} is for amqps://")
        changed: dict[str, Any] = {files.get(name, "server_name"): value}
        return evolve(address, **changed)
    if name == "verify":
        if value != "verify_peer":
            raise BadAddress("verify can only be verify_peer: the broker's certificate is checked")
        return address
    if name == "heartbeat":
        return evolve(address, login=evolve(address.login, heartbeat=_number(name, value, 65535)))
    if name == "connection_timeout":  # milliseconds
        return evolve(address, connect_s=_number(name, value, 3_600_000) / 1000)
    if name == "auth_mechanism":
        if value.upper() not in ("PLAIN", "EXTERNAL"):
            raise BadAddress("auth_mechanism is plain or external")
        return evolve(address, login=evolve(address.login, mechanism=value.upper()))
    raise BadAddress(f"{name} is not known")


def _number(name: str, value: str, most: int) -> int:
    if not (value.isascii() and value.isdigit() and int(value) <= most):
        raise BadAddress(f"{name} is a number up to {most}")
    return int(value)
