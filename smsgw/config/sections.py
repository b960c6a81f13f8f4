"""The sections of the configuration file, as attrs classes with their defaults."""

import re
from pathlib import Path

from attrs import define, field

from smsgw.config.values import (
    DOMAIN,
    LISTEN,
    broker_url,
    checked_endpoint,
    host,
    media_url,
    public_url,
    relay,
    store_url,
)
from smsgw.dialects import Aaisp, Aerialink, Ams, Aql, Link, Mm4
from smsgw.provisioning.values import network
from smsgw.toml import choice, custom, flag, form, forms, integer, list_of, secret, text

ROLES = ("smpp", "http", "smtp", "carriers", "handover", "scheduler")
PROFILES = ("standard", "websmpp", "link")
# What customers may speak over HTTP; the names are those of a login's ``interfaces``.
HTTP_DIALECTS = ("rest", "sms.cgi", "websmpp", "relay")


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

    url: str = field(default="sqlite:///var/smsgw.db", metadata=custom(store_url))
    # How long messages that have ended are kept, 0 = for ever (W-D30).
    retention_days: int = field(default=30, metadata=integer(0, 36_500))

    # Of what is kept beside a store on PostgreSQL: the key of its secrets.
    folder: str = field(default="var", metadata=text(1000, r".+", "a folder"))

    @property
    def is_file(self) -> bool:
        """True for a store on SQLite."""
        return self.url.startswith("sqlite:")

    @property
    def path(self) -> Path:
        """The file of an SQLite store."""
        return Path(self.url.removeprefix("sqlite:///"))

    @property
    def shown(self) -> str:
        """The store as it is named to people, without a password."""
        if self.is_file:
            return str(self.path)
        return re.sub(r"(//[^/:@]*):[^/]*@", r"\1@", self.url)


@define
class QueueSettings:
    """Bounds of what waits."""

    # Message parts that may wait for one carrier, 0 = any number; more are refused.
    limit: int = field(default=1_000_000, metadata=integer(0, 1_000_000_000))


@define
class Broker:
    """What carries the queues."""

    # "embedded:": the store; amqp: and amqps: name a RabbitMQ.
    url: str = field(default="embedded:", repr=False, metadata=custom(broker_url))
    # Entries of queues that the broker has not got yet, before no more messages are accepted.
    outbox_limit: int = field(default=200_000, metadata=integer(1_000, 100_000_000))

    @property
    def embedded(self) -> bool:
        """True if the queues are in the store."""
        return self.url == "embedded:"


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
    # Where carriers connect that call by outbind.
    outbind_listen: list[str] = field(factory=list, metadata=LISTEN)
    # Clients may be called by outbind at addresses that are not public.
    outbind_private: bool = field(default=False, metadata=flag())
    # system_id of the gateway in bind responses, and in outbind.
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
    listen: list[str] = field(factory=list, metadata=LISTEN)
    # In the Host header, without port; none: all.
    hosts: list[str] = field(factory=list, metadata=list_of(custom(host)))
    # Each connection to ``listen`` begins with a PROXY header, and comes from one of these.
    proxy: bool = field(default=False, metadata=flag())
    proxy_from: list[str] = field(factory=list, metadata=list_of(custom(network)))


@define
class Http:
    """HTTP for customers (``listen``, ``site``) and for operators (``admin``)."""

    listen: list[str] = field(factory=lambda: ["tcp:8080"], metadata=LISTEN)
    admin: list[str] = field(
        factory=lambda: ["unix:var/admin.sock:mode=600", "tcp:8081:interface=127.0.0.1"],
        metadata=LISTEN,
    )
    # What is served on ``listen``; others on the listeners of a ``site`` only.
    dialects: list[str] = field(
        factory=lambda: list(HTTP_DIALECTS), metadata=list_of(choice(*HTTP_DIALECTS))
    )
    site: list[HttpSite] = field(factory=list, metadata=forms(HttpSite))
    # Each connection to ``listen`` begins with a PROXY header, and comes from one of these.
    proxy: bool = field(default=False, metadata=flag())
    proxy_from: list[str] = field(factory=list, metadata=list_of(custom(network)))
    # Base of the links that are handed out; empty: none are.
    public_url: str = field(default="", metadata=custom(public_url))


@define
class Domains:
    """The mail domains of this gateway."""

    sms: str = field(default="", metadata=DOMAIN)  # the right side of senders of e-mail
    mm4: str = field(default="", metadata=DOMAIN)


@define
class Smtp:
    """Mail: what is sent goes to ``relay``; mail and MM4 from customers and MMSCs come by
    ``listen``."""

    listen: list[str] = field(factory=lambda: ["tcp:2525"], metadata=LISTEN)
    domains: Domains = field(factory=Domains, metadata=form(Domains))
    # host:port of the smarthost; empty: the mail exchangers of the recipient's domain.
    relay: str = field(default="", metadata=custom(relay))
    # STARTTLS towards the relay: never, if it is offered, or always and with a valid certificate.
    relay_tls: str = field(default="offered", metadata=choice("none", "offered", "required"))
    # AUTH towards the relay; it is used over TLS only.
    relay_username: str = field(default="", metadata=text(255))
    relay_password: str = field(default="", repr=False, metadata=secret(255))
    # Of STARTTLS; without, it is not offered. A key "" is in the file of the certificate.
    certificate: str = field(default="", metadata=text(1000))
    private_key: str = field(default="", metadata=text(1000))
    # Who signs the certificates of clients; with it, clients are asked for one over TLS.
    client_ca: str = field(default="", metadata=text(1000))
    # Each connection begins with a PROXY header, and comes from one of these addresses.
    proxy: bool = field(default=False, metadata=flag())
    proxy_from: list[str] = field(factory=list, metadata=list_of(custom(network)))
    # Octets of a whole mail (ruling 22).
    max_size: int = field(default=5_242_880, metadata=integer(10_000, 104_857_600))
    # Connections at a time, in all and of one address.
    connections: int = field(default=1_000, metadata=integer(1, 100_000))
    peer_connections: int = field(default=10, metadata=integer(1, 100_000))
    # Mail servers that bring replies of the world to messages that were mailed (ruling 24): they
    # may mail to the addresses of ``Reply-To`` only.
    reply_from: list[str] = field(factory=list, metadata=list_of(custom(network)))
    # How long such an address is good for; 0: mailed messages have no ``Reply-To``.
    reply_days: int = field(default=7, metadata=integer(0, 3_650))


@define
class Media:
    """Where pictures and other media of messages are kept, and for how long."""

    # "": ``media`` beside the store.
    folder: str = field(default="", metadata=text(1000))
    # A bucket of an S3-compatible store, in place of the folder.
    url: str = field(default="", metadata=custom(media_url))
    days: int = field(default=30, metadata=integer(1, 3_650))


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
    media: Media = field(factory=Media, metadata=form(Media))
    log: Log = field(factory=Log, metadata=form(Log))
    aerialink: Aerialink = field(factory=Aerialink, metadata=form(Aerialink))
    link: Link = field(factory=Link, metadata=form(Link))
    ams: Ams = field(factory=Ams, metadata=form(Ams))
    aql: Aql = field(factory=Aql, metadata=form(Aql))
    aaisp: Aaisp = field(factory=Aaisp, metadata=form(Aaisp))
    mm4: Mm4 = field(factory=Mm4, metadata=form(Mm4))
    # What the operator should know about this file, one line each; for the log at start.
    notices: list[str] = field(factory=list, eq=False)

    @property
    def shared(self) -> bool:
        """True if other nodes may have the same store and broker."""
        return not self.broker.embedded and not self.store.is_file
