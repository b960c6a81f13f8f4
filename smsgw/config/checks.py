"""What keys of the configuration file need, or leave no room for, in one another."""

from smsgw.config.sections import ROLES, Config, Http, HttpSite
from smsgw.toml import Reader, shown
from smsgw.toml.lines import Path


def check(config: Config, reader: Reader) -> None:
    """Tells the reader of all such faults."""
    _check_listeners(config, reader)
    _check_smpp(config, reader)
    _check_http(config, reader)
    _check_smtp(config, reader)
    _check_roles(config, reader)


def without_effect(config: Config, reader: Reader) -> list[str]:
    """What the file says of edges that the node does not have."""
    return [
        f"{reader.where((edge, 'listen'))}: {edge}.listen has no effect: node.roles has no {edge}"
        for edge in ROLES[:3]
        if edge not in config.node.roles and reader.table.get(edge, {}).get("listen")
    ]


def _check_roles(config: Config, reader: Reader) -> None:
    """What no edge does has to be done by some node, and one alone has no others."""
    missing = [role for role in ROLES[3:] if role not in config.node.roles]
    if missing and not config.shared:
        reader.fault(
            ("node", "roles"),
            f"without {' and '.join(missing)} it needs other nodes: a store.url on PostgreSQL and "
            "a broker.url of RabbitMQ",
        )


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


def _check_http(config: Config, reader: Reader) -> None:
    """Keys of HTTP listeners behind proxies that need one another."""
    listeners: list[tuple[Path, Http | HttpSite]] = [(("http",), config.http)]
    listeners += [(("http", "site", n), site) for n, site in enumerate(config.http.site)]
    for path, one in listeners:
        if one.proxy != bool(one.proxy_from):
            reader.fault((*path, "proxy"), "needs proxy_from, the addresses of the proxies")
        if one.proxy and not one.listen:
            reader.fault((*path, "proxy"), "has no effect without listen")
        for n, endpoint in enumerate(one.listen):
            if one.proxy and endpoint.startswith("ssl:"):
                reader.fault(
                    (*path, "listen", n),
                    "a PROXY header comes before TLS; let the proxy end TLS, and use a tcp: one",
                )


def _check_smtp(config: Config, reader: Reader) -> None:
    """Keys of the listeners for mail that need one another."""
    smtp = config.smtp
    secure = [n for n, endpoint in enumerate(smtp.listen) if endpoint.startswith("ssl:")]
    if smtp.client_ca and not smtp.certificate and not secure:
        reader.fault(("smtp", "client_ca"), "has no effect without certificate or an ssl: endpoint")
    if smtp.proxy != bool(smtp.proxy_from):
        reader.fault(("smtp", "proxy"), "needs proxy_from, the addresses of the proxies")
    for n in secure if smtp.proxy else ():
        reader.fault(
            ("smtp", "listen", n),
            "a PROXY header comes before TLS; let clients use STARTTLS, and use a tcp: one",
        )


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
    calls: list[tuple[Path, str]] = [
        (("smpp", "outbind_listen", n), endpoint)
        for n, endpoint in enumerate(config.smpp.outbind_listen)
    ]
    seen: set[str] = set()
    mail: list[tuple[Path, str]] = [
        (("smtp", "listen", n), endpoint) for n, endpoint in enumerate(config.smtp.listen)
    ]
    for path, endpoint in smpp + calls + rest + own + mail:
        kind, port = endpoint.split(":")[:2]
        if endpoint in seen and not (kind in ("tcp", "tcp6", "ssl") and port == "0"):
            reader.fault(
                path, f"{shown(endpoint)} is taken by another listener; each needs its own"
            )
        seen.add(endpoint)
