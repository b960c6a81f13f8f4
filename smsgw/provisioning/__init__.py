"""Provisioning: accounts, carriers, routes and what goes with them; reading their file and telling
what it changes."""

from smsgw.provisioning.accounts import Account, Credential, Number
from smsgw.provisioning.diff import Change, diff
from smsgw.provisioning.forms import Provisioning
from smsgw.provisioning.parse import ProvisioningError, parse
from smsgw.provisioning.routing import Carrier, Route

__all__ = [
    "Account",
    "Carrier",
    "Change",
    "Credential",
    "Number",
    "Provisioning",
    "ProvisioningError",
    "Route",
    "diff",
    "parse",
]
