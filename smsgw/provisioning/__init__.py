"""Provisioning: accounts, carriers and routes; reading their file and telling what it changes."""

from smsgw.provisioning.diff import Change, diff
from smsgw.provisioning.forms import Account, Carrier, Credential, Number, Provisioning, Route
from smsgw.provisioning.parse import ProvisioningError, parse

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
