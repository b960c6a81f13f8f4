"""All of it made, wired together, started and stopped in the right order: one Twisted service."""

from smsgw.listeners import CannotStart
from smsgw.provisioning import ProvisioningError
from smsgw.service.gateway import Gateway

__all__ = ["CannotStart", "Gateway", "ProvisioningError"]
