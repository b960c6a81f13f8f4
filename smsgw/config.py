"""The configuration file ``etc/smsgw.toml`` as attrs classes.

Every fault names the file, the line and the key.
"""

import re
from pathlib import Path as FilePath
from typing import Any

from attrs import define, field

from smsgw.dialects import UNSERVED, Aaisp, Aerialink, Ams, Aql, Link
from smsgw.provisioning.values import network
from smsgw.toml import (
    Reader,
    Wrong,
    choice,
    custom,
    dotted,
    flag,
    form,
    forms,
    integer,
    list_of,
    secret,
    shown,
    text,
)
from smsgw.toml_lines import Path

ROLES = ("smpp", "http", "smtp", "carriers", "handover", "scheduler")
PROFILES = ("standard", "websmpp", "link")
# What customers may speak over HTTP; the names are those of a login's ``interfaces``.
HTTP_DIALECTS = ("rest", "sms.cgi", "websmpp", "relay")
DEFAULT = "etc/smsgw.toml"  # the file that is read if none is named
_ENDPOINTS = ("tcp", "tcp6", "ssl", "unix", "systemd")


class ConfigError(Exception):
    """A configuration that cannot be used; ``lines`` has one line for each fault."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def checked_endpoint(value: Any) -> str:
    """``value`` if it is a Twisted endpoint string to listen on. Raises Wrong."""
    if isinstance(value, str) and value.startswith("haproxy:"):
        # Allow-lists would be asked about the proxy, and let everybody in (I6).
        raise Wrong(
            f"{shown(value)}: the PROXY protocol is a matter of [[smpp.listen]], by proxy = true; "
            'the endpoint must be like "tcp:2775"'
        )
    if (
        not isinstance(value, str)
        or not value.isprintable()
        or value.partition(":")[0] not in _ENDPOINTS
        or ":" not in value
    ):
        raise Wrong(
            f'{shown(value)} is no endpoint; it must be a Twisted endpoint such as "tcp:2775" '
            'or "tcp:8081:interface=127.0.0.1"'
        )
    kind, _, rest = value.partition(":")
    port = rest.partition(":")[0]
    if kind in ("tcp", "tcp6", "ssl") and not (port.isdecimal() and int(port) <= 65_535):
        raise Wrong(
            f'{shown(value)} has no port; it must begin like "{kind}:2775", 0 = any free one'
        )
    if kind == "unix" and not port:
        raise Wrong(f'{shown(value)} has no path; it must begin like "unix:var/admin.sock"')
    return value


def _store_url(value: Any) -> str:
    if isinstance(value, str) and value.isprintable():
        if value.startswith("sqlite:///") and len(value) > len("sqlite:///"):
            return value
        if value.startswith("postgresql"):
            raise Wrong(
                f"{shown(value)}: PostgreSQL is not served by this release; "
                'it must be like "sqlite:///var/smsgw.db"'
            )
    raise Wrong(
        f"{shown(value)} is not a store; it must be like "
        '"sqlite:///var/smsgw.db" (four slashes for an absolute path)'
    )


def _broker_url(value: Any) -> str:
    if value == "embedded:":
        return "embedded:"
    if isinstance(value, str) and value.startswith(("amqp:", "amqps:")):
        raise Wrong(
            f'{shown(value)}: a broker is not served by this release; it must be "embedded:"'
        )
    raise Wrong(f'{shown(value)} is no broker; it must be "embedded:"')


def _public_url(value: Any) -> str:
    if (
        not isinstance(value, str)
        or not value.isprintable()
        or not value.startswith(("http://", "https://"))
        or value.endswith("/")
    ):
        raise Wrong(
            f'{shown(value)} is not allowed; it must be like "https://sms.example.com", '
            "without a slash at the end"
        )
    return value


def _host(value: Any) -> str:
    form = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]"
    if not isinstance(value, str) or not re.fullmatch(form, value):
        raise Wrong(
            f'{shown(value)} is no host; it must be a name such as "sms.example.com", without port'
        )
    return value.lower()


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Wrong(f"{shown(value)} is not allowed; it must be a table")
    return value


def _relay(value: Any) -> str:
    form = r"(?P<host>[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})"
    found = re.fullmatch(form, value) if isinstance(value, str) else None
    if found is None or not 0 < int(found["port"]) <= 65_535:
        raise Wrong(
            f'{shown(value)} is no relay; it must be host and port, such as "mail.example.com:25"'
        )
    return str(value)


_DOMAIN = text(
    253, r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", 'a domain such as "sms.example.com"'
)
_LISTEN = list_of(custom(checked_endpoint), right='a list of endpoints such as ["tcp:8080"]')
_FREE = custom(_table)


@define
class Node:
    """Which node this is, and what it does."""

    name: str = field(
        default="a",
        metadata=text(32, r"[A-Za-z0-9_-]+", "1 to 32 letters, digits, - and _"),
    )
    # 0 to 63, unique over nodes: part of every message id.
    number: int = field(default=0, metadata=integer(0, 63))
    roles: list[str] = field(
        factory=lambda: list(ROLES),
        metadata=list_of(choice(*ROLES), least=1, right="a list of one role at least"),
    )


@define
class Store:
    """Where everything is kept."""

    url: str = field(default="sqlite:///var/smsgw.db", metadata=custom(_store_url))

    @property
    def path(self) -> FilePath:
        """The file of an SQLite store."""
        return FilePath(self.url.removeprefix("sqlite:///"))


@define
class QueueSettings:
    """Bounds of what waits."""

    # Message parts that may wait for one carrier, 0 = any number; more are refused.
    limit: int = field(default=1_000_000, metadata=integer(0, 1_000_000_000))


@define
class Broker:
    """What carries the queues."""

    url: str = field(default="embedded:", metadata=custom(_broker_url))


@define
class SmppListener:
    """One SMPP listener and the profile of its sessions."""

    endpoint: str = field(metadata=custom(checked_endpoint))
    profile: str = field(default="standard", metadata=choice(*PROFILES))
    # "auto": a connection has TLS if its first octet says so; "always": it must have it.
    tls: str = field(default="off", metadata=choice("off", "auto", "always"))
    certificate: str = field(default="", metadata=text(1000))
    private_key: str = field(default="", metadata=text(1000))  # "": in the same file
    # Who signs the certificates of clients; with it, clients are asked for one.
    client_ca: str = field(default="", metadata=text(1000))
    client_certificate: str = field(default="optional", metadata=choice("optional", "required"))
    # Each connection begins with a PROXY header, and comes from one of these addresses.
    proxy: bool = field(default=False, metadata=flag())
    proxy_from: list[str] = field(factory=list, metadata=list_of(custom(network)))


@define
class Smpp:
    """SMPP for customers."""

    listen: list[SmppListener] = field(
        factory=lambda: [SmppListener("tcp:2775")], metadata=forms(SmppListener)
    )
    # system_id of the gateway in bind responses.
    system_id: str = field(
        default="smsgw", metadata=text(15, r"[!-~]+", "1 to 15 ASCII characters without blanks")
    )


@define
class HttpSite:
    """Dialects that are shown under hosts of their own, on endpoints of their own, or both."""

    dialects: list[str] = field(
        metadata=list_of(
            choice(*HTTP_DIALECTS), least=1, right='a list of dialects such as ["sms.cgi"]'
        )
    )
    # None: those of http.listen, for requests to one of ``hosts``.
    listen: list[str] = field(factory=list, metadata=_LISTEN)
    # In the Host header, without port; none: all.
    hosts: list[str] = field(factory=list, metadata=list_of(custom(_host)))


@define
class Http:
    """HTTP for customers (``listen``, ``site``) and for operators (``admin``)."""

    listen: list[str] = field(factory=lambda: ["tcp:8080"], metadata=_LISTEN)
    admin: list[str] = field(
        factory=lambda: ["unix:var/admin.sock:mode=600", "tcp:8081:interface=127.0.0.1"],
        metadata=_LISTEN,
    )
    # What is served on ``listen``; others on the listeners of a ``site`` only.
    dialects: list[str] = field(
        factory=lambda: list(HTTP_DIALECTS), metadata=list_of(choice(*HTTP_DIALECTS))
    )
    site: list[HttpSite] = field(factory=list, metadata=forms(HttpSite))
    # Base of the links that are handed out; empty: none are.
    public_url: str = field(default="", metadata=custom(_public_url))


@define
class Domains:
    """The mail domains of this gateway."""

    sms: str = field(default="", metadata=_DOMAIN)  # the right side of senders of e-mail
    mm4: str = field(default="", metadata=_DOMAIN)


@define
class Smtp:
    """Mail: what is sent goes to ``relay``. Mail and MM4 from customers and MMSCs, by ``listen``,
    are served by a later release."""

    listen: list[str] = field(factory=lambda: ["tcp:2525"], metadata=_LISTEN)
    domains: Domains = field(factory=Domains, metadata=form(Domains))
    # host:port of the smarthost; empty: the mail exchangers of the recipient's domain.
    relay: str = field(default="", metadata=custom(_relay))
    # STARTTLS towards the relay: never, if it is offered, or always and with a valid certificate.
    relay_tls: str = field(default="offered", metadata=choice("none", "offered", "required"))
    # AUTH towards the relay; it is used over TLS only.
    relay_username: str = field(default="", metadata=text(255))
    relay_password: str = field(default="", repr=False, metadata=secret(255))
    certificate: str = field(default="", metadata=text(1000))
    private_key: str = field(default="", metadata=text(1000))


@define
class Log:
    """The log, which goes where twistd's does."""

    level: str = field(
        default="info", metadata=choice("debug", "info", "warn", "error", "critical")
    )
    format: str = field(default="text", metadata=choice("text", "json"))


@define
class Config:
    """The whole configuration file; every default is sensible, so the file may be absent."""

    node: Node = field(factory=Node, metadata=form(Node))
    store: Store = field(factory=Store, metadata=form(Store))
    broker: Broker = field(factory=Broker, metadata=form(Broker))
    queues: QueueSettings = field(factory=QueueSettings, metadata=form(QueueSettings))
    smpp: Smpp = field(factory=Smpp, metadata=form(Smpp))
    http: Http = field(factory=Http, metadata=form(Http))
    smtp: Smtp = field(factory=Smtp, metadata=form(Smtp))
    log: Log = field(factory=Log, metadata=form(Log))
    aerialink: Aerialink = field(factory=Aerialink, metadata=form(Aerialink))
    link: Link = field(factory=Link, metadata=form(Link))
    ams: Ams = field(factory=Ams, metadata=form(Ams))
    aql: Aql = field(factory=Aql, metadata=form(Aql))
    aaisp: Aaisp = field(factory=Aaisp, metadata=form(Aaisp))
    mm4: dict[str, Any] = field(factory=dict, metadata=_FREE)
    # What the operator should know about this file, one line each; for the log at start.
    notices: list[str] = field(factory=list, eq=False)


def find(named: str | None) -> Config:
    """The configuration of a command: in the file that its ``-c`` names, else in ``DEFAULT``.

    Only the latter may be absent: a mistyped name must not start a gateway with all defaults.
    Raises ConfigError.
    """
    if named is None:
        return load(DEFAULT)
    try:
        FilePath(named).stat()
    except FileNotFoundError:
        raise ConfigError([f"{named}: no such file; name an existing one with -c"]) from None
    except OSError:
        pass  # load tells it
    return load(named)


def load(path: str | FilePath | None = None) -> Config:
    """The configuration in the file ``path``; all defaults if it is None or no such file is there.

    Raises ConfigError with all faults of the file.
    """
    if path is None:
        return Config()
    try:
        content = FilePath(path).read_text("utf-8")
    except FileNotFoundError:
        return Config()
    except UnicodeDecodeError:
        raise ConfigError([f"{path}:1: TOML: not UTF-8; save the file as UTF-8"]) from None
    except OSError as error:
        raise ConfigError([f"{path}:1: file: {error.strerror}; make it readable"]) from None
    return parse(content, str(path))


def parse(content: str, file: str = "smsgw.toml") -> Config:
    """The configuration in ``content``.

    ``file`` is the name that faults show. Raises ConfigError.
    """
    reader = Reader(content, file)
    config = reader.build(Config, reader.table) or Config()
    _check_listeners(config, reader)
    _check_smpp(config, reader)
    if reader.lines:
        raise ConfigError(reader.lines)
    config.notices = _without_effect(config, reader)
    return config


def _without_effect(config: Config, reader: Reader) -> list[str]:
    """What the file says of things that this release does not serve."""
    paths: list[Path] = [(name,) for name in UNSERVED if name in reader.table]
    smtp = reader.table.get("smtp", {})
    paths += [("smtp", key) for key in ("listen", "certificate", "private_key") if key in smtp]
    if config.http.public_url:
        paths.append(("http", "public_url"))
    if set(config.node.roles) != set(ROLES):
        paths.append(("node", "roles"))
    return [
        f"{reader.where(path)}: {dotted(path)}: not served by this release; it has no effect"
        for path in paths
    ]


def _check_smpp(config: Config, reader: Reader) -> None:
    """Keys of an SMPP listener that need one another."""
    for n, one in enumerate(config.smpp.listen):
        path: Path = ("smpp", "listen", n)
        if one.tls == "off":
            for key in ("certificate", "private_key", "client_ca"):
                if getattr(one, key):
                    reader.fault((*path, key), 'has no effect without tls = "auto" or "always"')
        elif not one.certificate:
            reader.fault((*path, "tls"), "needs certificate, a file in PEM format")
        if one.endpoint.startswith("ssl:") and (one.tls != "off" or one.proxy):
            reader.fault(
                (*path, "endpoint"),
                'an ssl: endpoint has TLS of its own; use a tcp: one, with tls = "always"',
            )
        if one.client_certificate == "required" and not (one.client_ca and one.tls == "always"):
            reader.fault(
                (*path, "client_certificate"),
                'needs client_ca, whose certificates sign those of clients, and tls = "always"',
            )
        if one.proxy != bool(one.proxy_from):
            reader.fault((*path, "proxy"), "needs proxy_from, the addresses of the proxies")


def _check_listeners(config: Config, reader: Reader) -> None:
    """Two listeners on one endpoint: the second could not start."""
    smpp: list[tuple[Path, str]] = [
        (("smpp", "listen", n, "endpoint"), one.endpoint)
        for n, one in enumerate(config.smpp.listen)
    ]
    rest: list[tuple[Path, str]] = [
        (("http", key, n), endpoint)
        for key in ("listen", "admin")
        for n, endpoint in enumerate(getattr(config.http, key))
    ]
    own: list[tuple[Path, str]] = [
        (("http", "site", n, "listen", m), endpoint)
        for n, site in enumerate(config.http.site)
        for m, endpoint in enumerate(site.listen)
    ]
    hosts: set[str] = set()
    for n, site in enumerate(config.http.site):
        if not site.listen and not site.hosts:
            reader.fault(
                ("http", "site", n),
                "has neither hosts nor listen, which would be http.listen; it needs one of them",
            )
        for m, host in enumerate(site.hosts if not site.listen else []):
            if host in hosts:
                reader.fault(("http", "site", n, "hosts", m), f"{shown(host)} is there twice")
            hosts.add(host)
    seen: set[str] = set()
    for path, endpoint in smpp + rest + own:
        kind, port = endpoint.split(":")[:2]
        if endpoint in seen and not (kind in ("tcp", "tcp6", "ssl") and port == "0"):
            reader.fault(
                path, f"{shown(endpoint)} is taken by another listener; each needs its own"
            )
        seen.add(endpoint)
