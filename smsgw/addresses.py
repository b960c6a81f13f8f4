"""Which internet addresses customers may have the gateway connect to (design section 10, I6)."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

_GLOBAL_UNICAST = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")  # an IPv4 address as an IPv6-only network sees it (RFC 6052)
_TEREDO = ip_network("2001::/32")
# Names of the machine itself, which need no resolving to be known.
_LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})


def is_public(address: str) -> bool:
    """Whether ``address`` (IPv4 or IPv6) is one host of the public internet.

    False for private, shared (CGNAT), loopback, link-local, unique local, multicast, unspecified
    and reserved ones, for IPv6 forms of such IPv4 addresses, and for what is no address.
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv4Address):
        return found.is_global and not found.is_multicast
    inner = _inner(found)
    if inner is not None:
        return inner.is_global and not inner.is_multicast
    return found in _GLOBAL_UNICAST and found not in _TEREDO and found.is_global


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that ``address`` leads to, if it is a form of one."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def url_fault(url: str) -> str:
    """Why callbacks may not go to ``url`` as it is written; "" if nothing forbids it.

    It looks at addresses and names of this machine only. What another name means is looked at when
    it is connected to, and each time again.
    """
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    if not host:
        return "has no host"
    return host_fault(host)


def host_fault(host: str) -> str:
    """As ``url_fault``, of a host name or address."""
    name = host.strip("[]").rstrip(".").lower()
    if name in _LOCAL_NAMES or name.endswith(".localhost"):
        return "is this machine"
    address = _literal(name)
    if address and not is_public(address):
        return "is not an address of the public internet"
    return ""


def _literal(name: str) -> str:
    """The address that ``name`` is, "" for a name that must be resolved."""
    try:
        return str(ip_address(name.partition("%")[0]))
    except ValueError:
        pass
    try:
        # The forms that connect(2) takes as well: 2130706433, 0x7f.1, 127.1.
        return socket.inet_ntoa(socket.inet_aton(name))
    except (OSError, ValueError):
        return ""
