"""What the operator provisioned, compiled for the hot path: one immutable set of tables, replaced
as a whole."""

from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from smsgw.codes import STANDARD, CarrierCodes
from smsgw.provisioning import Account, Carrier, Credential, Number, Provisioning, Route
from smsgw.rules.routes import RouteTable

_ANYWHERE = "*"
_Networks = tuple[IPv4Network | IPv6Network, ...]


_PEERS = 1_000


class AllowList:
    """The addresses from which a credential may come; empty = nobody, ``*`` = anywhere."""

    def __init__(self, entries: list[str]) -> None:
        self._anywhere = _ANYWHERE in entries
        self._networks: _Networks = tuple(
            ip_network(entry, strict=False) for entry in entries if entry != _ANYWHERE
        )
        self._answers: dict[str, bool] = {}

    def allows(self, peer: str, if_empty: bool = False) -> bool:
        """True if ``peer`` (an address as text) is allowed; ``if_empty`` is what an empty list
        says.

        An IPv4 address mapped into IPv6 counts as itself; what is no address is in no list.
        """
        if self._anywhere:
            return True
        if not self._networks:
            return if_empty
        answer = self._answers.get(peer)
        if answer is None:
            # HTTP asks at every request; the same few addresses come again and again.
            if len(self._answers) >= _PEERS:
                self._answers.clear()
            answer = self._answers[peer] = self._look_up(peer)
        return answer

    def _look_up(self, peer: str) -> bool:
        try:
            address = ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(
            address.version == network.version and address in network for network in self._networks
        )


class Tables:
    """Look-ups over one version of the provisioning."""

    def __init__(
        self,
        provisioning: Provisioning,
        version: int = 0,
        chance: Callable[[], float] | None = None,
    ) -> None:
        self.version = version
        self.provisioning = provisioning
        self.accounts: dict[str, Account] = dict(provisioning.accounts)
        self.carriers: dict[str, Carrier] = dict(provisioning.carriers)
        self._codes = {
            name: CarrierCodes.of(carrier.errors) for name, carrier in self.carriers.items()
        }
        # (kind, username) -> the account and the credential
        self.credentials: dict[tuple[str, str], tuple[Account, Credential, AllowList]] = {}
        self.numbers: dict[str, tuple[Account, Number]] = {}
        # What an account may send from; None = anything.
        self.senders: dict[str, frozenset[str] | None] = {}
        for account in self.accounts.values():
            for credential in account.credential:
                entry = (account, credential, AllowList(credential.allow))
                self.credentials[credential.kind, credential.username] = entry
            for number in account.number:
                self.numbers[number.address] = (account, number)
            own = {number.address for number in account.number}
            self.senders[account.name] = (
                frozenset(account.senders) | own if account.senders else None
            )
        routes = provisioning.routes.values()
        self.routes: RouteTable[Route] = (
            RouteTable(routes, chance) if chance else RouteTable(routes)
        )

    def codes_of(self, carrier: str) -> CarrierCodes:
        """What the errors of ``carrier`` mean; the default for one that is no more."""
        return self._codes.get(carrier, STANDARD)

    def any_allows(self, kind: str, peer: str, if_empty: bool = False) -> bool:
        """True if some credential of the kind may come from ``peer`` (ruling 7)."""
        return any(
            allow.allows(peer, if_empty)
            for (of, _), (_, _, allow) in self.credentials.items()
            if of == kind
        )
