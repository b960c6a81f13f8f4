"""Who uses what in a provisioning, so that nothing goes that something else needs."""

from collections.abc import Iterator, Sequence

from attrs import frozen

from smsgw.provisioning.diff import Change
from smsgw.provisioning.forms import KINDS, Provisioning
from smsgw.provisioning.parse import ProvisioningError


@frozen
class Use:
    """``key`` of one form names another: a carrier, an account, a price list, or a network by its
    codes ("234-10", or "234" for any of its country)."""

    kind: str
    name: str
    key: str
    of_kind: str
    of_name: str


class InUse(ProvisioningError):
    """A change would take away what something else uses; ``uses`` tells what does."""

    def __init__(self, uses: Sequence[Use]) -> None:
        lines = [
            f"{one.of_kind} {one.of_name}: {one.kind} {one.name} uses it ({one.key}); "
            "change that first"
            for one in uses
        ]
        super().__init__(lines)
        self.uses = uses


def uses(provisioning: Provisioning) -> Iterator[Use]:
    """Everything that one form says of another."""
    for account in provisioning.accounts.values():
        if account.parent:
            yield Use("account", account.name, "parent", "account", account.parent)
        if account.price_list:
            yield Use("account", account.name, "price_list", "price_list", account.price_list)
    for route in provisioning.routes.values():
        for name in route.carriers:
            yield Use("route", route.name, "carriers", "carrier", name)
        for name in route.accounts:
            yield Use("route", route.name, "accounts", "account", name)
    for filter in provisioning.filters.values():
        for name in filter.accounts:
            yield Use("filter", filter.name, "accounts", "account", name)
    for prices in provisioning.price_lists.values():
        for price in prices.price:
            if price.mcc:
                codes = f"{price.mcc}-{price.mnc}" if price.mnc else price.mcc
                yield Use("price_list", prices.name, "price", "network", codes)


def check(old: Provisioning, changes: Sequence[Change]) -> None:
    """Raises InUse if something would be missing after ``changes`` that is there in ``old``."""
    if not any(_takes_away(one) for one in changes):
        return
    new = Provisioning()
    for kind in KINDS:
        new.of(kind).update(old.of(kind))
    for change in changes:
        table = new.of(change.kind)
        if change.after is None:
            table.pop(change.name, None)
        else:
            table[change.name] = change.after
    before, after = _there(old), _there(new)
    gone = before - after
    # The same use may stand there several times (prices of one network).
    missing = dict.fromkeys(one for one in uses(new) if (one.of_kind, one.of_name) in gone)
    if missing:
        raise InUse(list(missing))


def _takes_away(change: Change) -> bool:
    return change.after is None or (change.kind == "network" and change.before is not None)


def _there(provisioning: Provisioning) -> set[tuple[str, str]]:
    found = {(kind, name) for kind in KINDS for name in provisioning.of(kind)}
    networks = provisioning.networks.values()
    found |= {("network", f"{one.mcc}-{one.mnc}") for one in networks}
    return found | {("network", one.mcc) for one in networks}
