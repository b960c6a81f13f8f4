"""Values of the configuration file that have a form of their own: endpoints, URLs, hosts."""

import re
from typing import Any

from smsgw import s3
from smsgw.amqp.address import BadAddress, parse_address
from smsgw.toml import Wrong, custom, list_of, shown, text

_ENDPOINTS = ("tcp", "tcp6", "ssl", "unix", "systemd")


def checked_endpoint(value: Any) -> str:
    """``value`` if it is a Twisted endpoint string to listen on. Raises Wrong."""
    if isinstance(value, str) and value.startswith("haproxy:"):
        # Allow-lists would be asked about the proxy, and let everybody in (I6).
        raise Wrong(
            f"{shown(value)}: the PROXY protocol is a matter of [[smpp.listen]], [http] and "
            '[[http.site]], by proxy = true; the endpoint must be like "tcp:2775"'
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


def store_url(value: Any) -> str:
    """``value`` if it is a store: a file of SQLite, or a database of PostgreSQL. Raises Wrong."""
    if isinstance(value, str) and value.isprintable():
        if value.startswith("sqlite:///") and len(value) > len("sqlite:///"):
            return value
        if re.fullmatch(r"postgresql(\+psycopg)?://.*/[^/?]+(\?.*)?", value):
            return value
        if value.startswith("postgresql"):
            # Not shown whole: there may be a password in it.
            raise Wrong(
                "this is not a store on PostgreSQL; it must be like "
                '"postgresql+psycopg://smsgw@db.example.com/smsgw"'
            )
    raise Wrong(
        f"{shown(value)} is not a store; it must be like "
        '"sqlite:///var/smsgw.db" (four slashes for an absolute path) or '
        '"postgresql+psycopg://smsgw@db.example.com/smsgw"'
    )


def broker_url(value: Any) -> str:
    """``value`` if it is "embedded:" or the URL of a RabbitMQ. Raises Wrong."""
    if value == "embedded:":
        return "embedded:"
    # A URL is not shown: there may be a password in it.
    if not isinstance(value, str) or not value.startswith(("amqp:", "amqps:")):
        raise Wrong(
            'is no broker; it must be "embedded:" or like "amqp://user:password@host/vhost"'
        )
    try:
        parse_address(value)
    except BadAddress as fault:
        raise Wrong(f"is no broker's URL: {fault}") from None
    return value


def public_url(value: Any) -> str:
    """``value`` if it is the base of links that are handed out. Raises Wrong."""
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


def host(value: Any) -> str:
    """``value`` if it is a name as in a Host header, in small letters. Raises Wrong."""
    form = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]"
    if not isinstance(value, str) or not re.fullmatch(form, value):
        raise Wrong(
            f'{shown(value)} is no host; it must be a name such as "sms.example.com", without port'
        )
    return value.lower()


def media_url(value: Any) -> str:
    """``value`` if it is a bucket of an S3-compatible store. Raises Wrong."""
    try:
        s3.parse(str(value))
    except s3.Unusable as fault:
        raise Wrong(f"{shown(value)} is no bucket; {fault}") from None
    return str(value)


def relay(value: Any) -> str:
    """``value`` if it is host and port of a mail server. Raises Wrong."""
    form = r"(?P<host>[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})"
    found = re.fullmatch(form, value) if isinstance(value, str) else None
    if found is None or not 0 < int(found["port"]) <= 65_535:
        raise Wrong(
            f'{shown(value)} is no relay; it must be host and port, such as "mail.example.com:25"'
        )
    return str(value)


DOMAIN = text(253, r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", 'a domain such as "sms.example.com"')
LISTEN = list_of(custom(checked_endpoint), right='a list of endpoints such as ["tcp:8080"]')
