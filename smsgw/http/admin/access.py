"""Who asks the admin API, and what they may.

The unix socket's mode says who may use it, so whoever comes by it may do everything. By TCP a
request needs the token of a provisioned operator, except on a loopback listener while no operator
is provisioned at all. Against web pages in an operator's browser such a request must ask by
address or as localhost.
"""

import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from hmac import compare_digest
from ipaddress import ip_address
from urllib.parse import unquote

from smsgw.http.site import UNIX, Request
from smsgw.provisioning.operators import ROLES, Operator

FAILURES = 20  # wrong tokens of one address in FAILURES_S, then it is told to wait
FAILURES_S = 60.0
_ADDRESSES = 10_000
# In which a command tells on whose behalf it asks, where no token does.
WHO = b"smsgw-who"
WHO_LENGTH = 64


class NotAllowed(Exception):
    """A request that may not be answered; the text says what to do."""

    def __init__(self, status: int, said: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(said)
        self.status = status
        self.headers = headers


class Access:
    """Checks the requests of one listener."""

    def __init__(
        self,
        operators: Callable[[], Mapping[str, Operator]],
        loopback: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``operators`` are those provisioned now, ``loopback`` says that only this machine can
        reach the listener."""
        self._operators = operators
        self.loopback = loopback
        self._now = now
        self._failures: dict[str, tuple[float, int]] = {}
        self.failed = 0

    @property
    def bare(self) -> bool:
        """True while no token is asked for."""
        return self.loopback and not self._operators()

    def check(self, request: Request, role: str) -> str:
        """The name of who asks; raises NotAllowed if they may not what takes ``role``.

        ``role`` "" is what everybody may.
        """
        if not role:
            return request.peer
        given = request.headers.get(b"authorization", b"")
        if given:
            return self._by_token(request.peer, given, role)
        if request.peer == UNIX:
            return _said_to_be(request)
        if not self.bare or not _is_loopback(request.peer):
            remedy = (
                "add Authorization: Bearer TOKEN"
                if self._operators()
                else "make an operator with: smsgw token NAME --role admin --apply"
            )
            raise NotAllowed(
                401, f"a token is needed; {remedy}", (b"WWW-Authenticate", b'Bearer realm="smsgw"')
            )
        if not _addressed_plainly(request):
            raise NotAllowed(
                421, "ask the admin API by address or as localhost, not by another name"
            )
        return _said_to_be(request)

    def may(self, request: Request, role: str) -> bool:
        """True if who asks may also do what takes ``role``; for requests that ``check`` passed."""
        try:
            self.check(request, role)
        except NotAllowed:
            return False
        return True

    def _by_token(self, peer: str, given: bytes, role: str) -> str:
        scheme, _, token = given.partition(b" ")
        digest = sha256(token.strip()).hexdigest()
        found = None
        # All are compared, so that the time tells nothing.
        for operator in self._operators().values():
            if compare_digest(operator.token_hash, digest):
                found = operator
        if found is None or scheme.lower() != b"bearer":
            self._count(peer)
            raise NotAllowed(
                401,
                "the token is not known; it must be Authorization: Bearer TOKEN, with a token "
                "of an operator that is provisioned",
                (b"WWW-Authenticate", b'Bearer realm="smsgw", error="invalid_token"'),
            )
        if ROLES.index(found.role) < ROLES.index(role):
            raise NotAllowed(
                403, f"{found.name} is a {found.role}; this takes the role {role} at least"
            )
        return found.name

    def _count(self, peer: str) -> None:
        """Counts wrong tokens of one address within a minute; a right one is never held up."""
        self.failed += 1
        now = self._now()
        since, count = self._failures.pop(peer, (now, 0))
        if now - since >= FAILURES_S:
            since, count = now, 0
        self._failures[peer] = (since, count + 1)
        while len(self._failures) > _ADDRESSES:
            del self._failures[next(iter(self._failures))]
        if count >= FAILURES:
            wait = int(since + FAILURES_S - now) + 1
            raise NotAllowed(
                429,
                f"too many wrong tokens from {peer}; try again in {wait} s",
                (b"Retry-After", str(wait).encode()),
            )


def _said_to_be(request: Request) -> str:
    """Who a command without a token says it is, for the audit."""
    name = unquote(request.headers.get(WHO, b"").decode("latin-1"))[:WHO_LENGTH]
    return name if name and name.isprintable() else request.peer


def _is_loopback(peer: str) -> bool:
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _addressed_plainly(request: Request) -> bool:
    """False for a name that a foreign web page may have pointed to this machine (DNS rebinding)."""
    host = request.headers.get(b"host", b"localhost").decode("latin-1")
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        ip_address(name)
    except ValueError:
        return name.lower() in ("localhost", "")
    return True
