"""Who mails to the gateway: carriers by address or login, customers by login or address (rulings
21, 22), and both by certificate.

Whoever has a certificate provisioned must show it, however else it is known.
"""

from collections.abc import Callable, Sequence

from attrs import frozen

from smsgw.doors import Doors
from smsgw.login import Login
from smsgw.provisioning import Carrier, Credential
from smsgw.refusals import Reason, Refusal
from smsgw.rules.tables import AllowList, Tables
from smsgw.smtp import replies
from smsgw.smtp.grammar import Sender
from smsgw.smtp.replies import Reply

# The kinds of logins that AUTH takes: those made for it, key and secret, system id and password.
_KINDS = ("smtp", "http", "smpp")
_INTERFACES = ("smtp", "mm4")


@frozen
class Peer:
    """A carrier (then ``domain`` is its own), a customer (``login``), or a mail server that brings
    replies from the world (``world``)."""

    carrier: str = ""
    login: Login | None = None
    domain: str = ""
    tls_required: bool = False
    proof: str = ""  # hash of the password that a customer has proved
    world: bool = False

    @property
    def name(self) -> str:
        """As the log has it."""
        if self.login is not None:
            return f"{self.login.account}/{self.login.credential}"
        return self.carrier or "(the world)"

    def owns(self, sender: Sender) -> bool:
        """True if it may send as this: carriers as addresses of their domain or nobody, customers
        as anybody."""
        here = sender.domain
        return (
            not self.domain or not here or here == self.domain or here.endswith(f".{self.domain}")
        )


class Peers:
    """Finds out who a client is."""

    def __init__(
        self, tables: Callable[[], Tables], doors: Doors, world: Sequence[str] = ()
    ) -> None:
        """``world``: addresses of mail servers that may bring replies of anybody."""
        self._world = AllowList(list(world))
        self._tables = tables
        self._doors = doors
        self._compiled: tuple[Tables, list[tuple[Carrier, AllowList]]] | None = None

    def may_connect(self, address: str) -> bool:
        """True if the address is in some list, so that it gets a greeting."""
        return (
            any(allow.allows(address) for _, allow in self._carriers())
            or any(self._doors.allowed(kind, address) for kind in _KINDS)
            or self._world.allows(address)
        )

    def choose(self, address: str, sender: Sender, names: Sequence[str] = ()) -> Peer | Reply:
        """Who mails from the address without a login, by the sender where several could.

        ``names`` are those of the certificate it has shown: they say more than the address. A
        sender that none of the carriers at this address owns is a refusal, unless a customer is
        there too.
        """
        carriers = [
            one for one, allow in self._carriers() if allow.allows(address) and _shown(one, names)
        ]
        owners = [one for one in map(_peer, carriers) if one.owns(sender)]
        customers = self._doors.by_address("smtp", address, names)
        if names:
            certified = {one.name for one in carriers if one.certificate}
            owners = [one for one in owners if one.carrier in certified] or owners
            known = [one for one in customers if one.certificate]
            if known and not certified.intersection(one.carrier for one in owners):
                owners = []
            customers = known or customers
        if len(owners) == 1:
            return owners[0]
        if not owners and len(customers) == 1:
            return Peer(login=customers[0], proof=self._doors.proof(customers[0]))
        if not owners and not customers and self._world.allows(address):
            return Peer(world=True)
        if carriers and not owners and not customers:
            return replies.NOT_YOUR_ADDRESS
        return replies.LOGIN_FIRST

    async def login(
        self, username: str, password: str, address: str, names: Sequence[str] = ()
    ) -> Peer | Reply:
        """Who has logged in, or why not; it may take a slow check. ``names`` are those of the
        certificate that was shown."""
        for carrier, allow in self._carriers():
            if username and carrier.username == username:
                if not allow.allows(address):
                    return replies.WRONG_LOGIN
                fault = self._doors.proves(carrier.password, password, address)
                if fault is not None:
                    return _refused(fault)
                return _peer(carrier) if _shown(carrier, names) else replies.WRONG_LOGIN
        known = self._tables().credentials
        kind = next((one for one in _KINDS if (one, username) in known), _KINDS[0])
        found = await self._doors.login(kind, username, password, address)
        if isinstance(found, Refusal):
            return _refused(found)
        if not any(found.may("send", one) for one in _INTERFACES) or not _shown(found, names):
            return replies.WRONG_LOGIN
        return Peer(login=found, proof=self._doors.proof(found))

    def still(self, peer: Peer, names: Sequence[str] = ()) -> bool:
        """True if it is still who it was: not removed, suspended, expired, nor its password changed
        or another certificate asked for."""
        tables = self._tables()
        if peer.login is None:
            carrier = tables.carriers.get(peer.carrier)
            return carrier is not None and _shown(carrier, names)
        known = tables.credentials.get((peer.login.kind, peer.login.credential))
        return (
            known is not None
            and _shown(known[1], names)
            and self._doors.proof(peer.login) == peer.proof
            and self._doors.stands(peer.login)
        )

    def _carriers(self) -> Sequence[tuple[Carrier, AllowList]]:
        tables = self._tables()
        if self._compiled is None or self._compiled[0] is not tables:
            found = [one for one in tables.carriers.values() if one.kind == "mm4"]
            self._compiled = tables, [(one, AllowList(one.allow)) for one in found]
        return self._compiled[1]


def _shown(of: Carrier | Credential | Login, names: Sequence[str]) -> bool:
    """True if the certificate that it must show, if any, is the one that was shown."""
    return not of.certificate or of.certificate in names


def _peer(carrier: Carrier) -> Peer:
    return Peer(carrier.name, None, carrier.domain.lower(), carrier.tls == "required")


def _refused(refusal: Refusal) -> Reply:
    # What is wrong with a login is not told to who may be guessing; only that guessing is over.
    if refusal.reason == Reason.TOO_MANY_LOGINS:
        return replies.NO_LOGIN_NOW
    return replies.WRONG_LOGIN
