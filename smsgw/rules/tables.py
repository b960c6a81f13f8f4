"""What the operator provisioned, compiled for the hot path: one immutable set of tables, replaced
as a whole."""

from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from random import random

from smsgw.codes import STANDARD, CarrierCodes
from smsgw.provisioning import Account, Carrier, Credential, Provisioning, Route
from smsgw.rules import content
from smsgw.rules.delivery_rate import DeliveryRates
from smsgw.rules.numbers import NumberTable
from smsgw.rules.pools import Pool
from smsgw.rules.price import PriceTable
from smsgw.rules.routes import RouteTable
from smsgw.rules.tree import NEVER, Standing, standing
from smsgw.rules.windows import SendHours

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
        chance: Callable[[], float] = random,
        rates: DeliveryRates | None = None,
    ) -> None:
        """``chance`` gives numbers in [0, 1) for choices among routes; ``rates`` is what carriers
        deliver, and outlives the tables."""
        self.version = version
        self.provisioning = provisioning
        self.accounts: dict[str, Account] = dict(provisioning.accounts)
        self.carriers: dict[str, Carrier] = dict(provisioning.carriers)
        self._codes = {
            name: CarrierCodes.of(carrier.errors) for name, carrier in self.carriers.items()
        }
        # (kind, username) -> the account and the credential
        self.credentials: dict[tuple[str, str], tuple[Account, Credential, AllowList]] = {}
        # Access key -> the same, for those that have one.
        self.access_keys: dict[str, tuple[Account, Credential, AllowList]] = {}
        self.numbers = NumberTable(self.accounts.values())
        # What an account may send from; None = anything.
        self.senders: dict[str, frozenset[str] | None] = {}
        for account in self.accounts.values():
            for credential in account.credential:
                entry = (account, credential, AllowList(credential.allow))
                self.credentials[credential.kind, credential.username] = entry
                if credential.access_key:
                    self.access_keys[credential.access_key] = entry
            own = {number.address for number in account.number}
            own.update(sender for pool in account.pool for sender in pool.senders)
            own |= {account.sender} - {""}
            self.senders[account.name] = (
                frozenset(account.senders) | own if account.senders else None
            )
        # Of every account: itself, its parent and so on, and what holds because of them.
        self.standing: dict[str, Standing] = {
            account.name: standing(account, self.accounts) for account in self.accounts.values()
        }
        self.lineage: dict[str, tuple[Account, ...]] = {
            name: one.lineage for name, one in self.standing.items()
        }
        # True if some account has a last day.
        self.any_expires = any(one.expires_at < NEVER for one in self.standing.values())
        # Only of accounts that have such: the name of a pool -> its senders; hours of destinations.
        self.pools: dict[str, dict[str, Pool]] = {
            account.name: {pool.name: Pool(pool.senders) for pool in account.pool}
            for account in self.accounts.values()
            if account.pool
        }
        self.send_hours: dict[str, SendHours] = {
            account.name: SendHours(account.send_hours)
            for account in self.accounts.values()
            if account.send_hours
        }
        # Only of logins that may not send as everything that their account may: what they may.
        self.limited: dict[tuple[str, str], frozenset[str]] = {
            key: frozenset(credential.numbers)
            for key, (_, credential, _) in self.credentials.items()
            if credential.numbers
        }
        # Accounts with a price list of their own or of an ancestor; the others pay what routes say.
        self.prices: dict[str, PriceTable] = _prices(provisioning, self.lineage)
        # Group -> the accounts that are in it.
        self.groups: dict[str, set[str]] = {}
        for account in self.accounts.values():
            for group in account.groups:
                self.groups.setdefault(group, set()).add(account.name)
        # Carriers that get long messages with references of 16 bits.
        self.wide = frozenset(one.name for one in self.carriers.values() if one.long == "udh16")
        # None if there is no filter of content.
        self.content = content.compiled(provisioning.filters.values(), self.groups)
        self.rates = rates or DeliveryRates()
        # Carriers that take multimedia messages, and nothing else.
        self.mm4 = frozenset(one.name for one in self.carriers.values() if one.kind == "mm4")
        every = list(provisioning.routes.values())
        for_sms = [one for one in every if not self.mm4.issuperset(one.carriers)]
        for_mms = [one for one in every if one.mms == "link" or self.mm4 & set(one.carriers)]
        self.routes: RouteTable[Route] = RouteTable(for_sms, chance, self.groups, self.rates.of)
        self.mms_routes: RouteTable[Route] = RouteTable(for_mms, chance, self.groups, self.rates.of)

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


def _prices(
    provisioning: Provisioning, lineages: Mapping[str, Sequence[Account]]
) -> dict[str, PriceTable]:
    compiled: dict[str, PriceTable] = {}
    result: dict[str, PriceTable] = {}
    for account, lineage in lineages.items():
        name = next((one.price_list for one in lineage if one.price_list), "")
        form = provisioning.price_lists.get(name)
        if form is None:
            continue
        if name not in compiled:
            compiled[name] = PriceTable(form, provisioning.networks.values())
        result[account] = compiled[name]
    return result
