"""The forms of provisioning, as ``smsgw apply`` takes them, and the whole of them."""

from typing import Any

from attrs import define, field

from smsgw.provisioning.accounts import Account
from smsgw.provisioning.operators import Operator
from smsgw.provisioning.reach import EVERYWHERE, Reach
from smsgw.provisioning.routing import Carrier, Filter, Network, PriceList, Route

Form = Account | Carrier | Route | Network | PriceList | Filter | Operator
# In the order in which they may be made: what names another comes after it.
KINDS: dict[str, type[Form]] = {
    "network": Network,
    "price_list": PriceList,
    "carrier": Carrier,
    "account": Account,
    "route": Route,
    "filter": Filter,
    "operator": Operator,
}


@define
class Provisioning:
    """All that is provisioned, by name."""

    accounts: dict[str, Account] = field(factory=dict)
    carriers: dict[str, Carrier] = field(factory=dict)
    routes: dict[str, Route] = field(factory=dict)
    networks: dict[str, Network] = field(factory=dict)
    price_lists: dict[str, PriceList] = field(factory=dict)
    filters: dict[str, Filter] = field(factory=dict)
    operators: dict[str, Operator] = field(factory=dict)
    version: int = field(default=0, eq=False)
    # (kind, name) -> the version that brought the form as it is
    versions: dict[tuple[str, str], int] = field(factory=dict, eq=False, repr=False)
    # Where callbacks and posts of what is added may go; the configuration's, so not stored.
    reach: Reach = field(default=EVERYWHERE, eq=False, repr=False)

    def of(self, kind: str) -> dict[str, Any]:
        """The dictionary of ``kind``, one of KINDS."""
        found: dict[str, Any] = getattr(self, f"{kind}s")
        return found
