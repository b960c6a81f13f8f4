"""Where settings may lead: addresses inside and posts without an account are told when saved."""

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from smsgw.config import Config, Store
from smsgw.dialects import Aaisp, Aerialink, Aql
from smsgw.operate.offline import OfflineOperator
from smsgw.provisioning import Provisioning, ProvisioningError
from smsgw.provisioning.parse import parse
from smsgw.provisioning.reach import Reach
from tests.operate.gateways import a_gateway, result

NOWHERE = Reach.of(Aaisp(), Aql(), Aerialink())
FILE = """\
[[account]]
name = "acme"
callback = "https://10.0.0.1/dlr"
[[account.number]]
address = "447700900000"
targets = [
    "smpp",
    "https://www.example.com/in?",
    "*http://127.0.0.1:8080/in",
    "http://2130706433/?",
    "+@alice@social.example.com",
]
[[account.number]]
address = "447700900001"
method = "httpget"
detail = "https://www.example.com/in,http://localhost/in"
"""
FAULTS = [
    'p.toml:3: account.callback: "https://10.0.0.1/dlr" is not an address of the public internet; '
    "it must be a public address, unless the configuration has allow_private_callbacks in "
    "[aerialink]",
    'p.toml:9: account.number.targets: "http://127.0.0.1:8080/in" is not an address of the public '
    "internet; it must be a public address, unless the configuration has allow_private_callbacks "
    "in [aaisp]",
    'p.toml:10: account.number.targets: "http://2130706433/?" is not an address of the public '
    "internet; it must be a public address, unless the configuration has allow_private_callbacks "
    "in [aaisp]",
    'p.toml:11: account.number.targets: "+@alice@social.example.com" cannot be posted to; the '
    "configuration needs fediverse_base_url and fediverse_token in [aaisp]",
    'p.toml:16: account.number.detail: "http://localhost/in" is this machine; it must be a public '
    "address, unless the configuration has allow_private_callbacks in [aql]",
]


def faults(reach: Reach) -> list[str]:
    """What a file is refused for."""
    try:
        parse(FILE, "p.toml", Provisioning(reach=reach))
    except ProvisioningError as error:
        return error.lines
    return []


def test_each_fault_names_the_place_and_the_setting() -> None:
    """All at once, like other faults."""
    assert faults(NOWHERE) == FAULTS


def test_settings_take_the_faults_away() -> None:
    """Each dialect's setting those of its own callbacks."""
    toots = {"fediverse_base_url": "https://social.example.com", "fediverse_token": "t"}
    aaisp = Aaisp(allow_private_callbacks=True, **toots)  # type: ignore[arg-type]
    aql = Aql(allow_private_callbacks=True)
    aerialink = Aerialink(allow_private_callbacks=True)
    assert faults(Reach.of(aaisp, Aql(), Aerialink())) == [FAULTS[0], FAULTS[4]]
    assert faults(Reach.of(Aaisp(), aql, Aerialink())) == FAULTS[:4]
    assert faults(Reach.of(Aaisp(), Aql(), aerialink)) == FAULTS[1:]
    assert faults(Reach.of(aaisp, aql, aerialink)) == []


class Gateway(TestCase):
    """By every way that changes what is provisioned."""

    def test_running_gateway(self) -> None:
        """apply, with and without pruning, and the change of one form."""
        gateway = a_gateway(self)
        for prune in (False, True):
            applied = result(self, gateway.operator.apply(FILE, "p.toml", prune, False, "olga"))
            assert applied.errors == FAULTS
        document = {"callback": "http://127.0.0.1/"}
        changed: Any = result(self, gateway.operator.change_form("account", "acme", document))
        assert [fault.key for fault in changed.faults] == ["callback"]


@pytest.mark.parametrize("prune", [False, True])
def test_command_without_a_gateway(tmp_path: Path, prune: bool) -> None:
    """The store is opened with the same configuration, so the same holds."""
    config = Config(store=Store(f"sqlite:///{tmp_path}/smsgw.db"))
    operator = OfflineOperator(config)
    for dry_run in (True, False):
        told: Deferred[Any] = Deferred.fromCoroutine(
            operator.apply(FILE, "p.toml", prune, dry_run, "olga")
        )
        found: list[Any] = []
        told.addCallback(found.append)
        assert found[0].errors == FAULTS
    operator.close()
