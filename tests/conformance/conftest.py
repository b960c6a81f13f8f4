"""What the conformance tests share: a running gateway with one account, one number, one carrier."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.running import GatewayProcess, SmscProcess

PROVISIONING = """\
[[account]]
name = "acme"

[[account.credential]]
kind = "smpp"
username = "acme"
password = "secret12"
allow = ["127.0.0.0/8"]
binds = 4
window = 50

[[account.credential]]
kind = "smpp"
username = "acmedata"
password = "secret12"
allow = ["127.0.0.0/8"]
window = 50
deliver = "data_sm"

[[account.number]]
address = "447700900000"
targets = ["smpp"]

[[carrier]]
name = "simulated"
kind = "simulator"

[[route]]
name = "default"
prefixes = [""]
carriers = ["simulated"]
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway in a process of its own, provisioned with the built-in simulated carrier."""
    with GatewayProcess(tmp_path_factory.mktemp("gateway")) as running:
        running.apply(PROVISIONING)
        yield running


@pytest.fixture
def mobile(gateway: GatewayProcess, tmp_path: Path) -> Iterator[Callable[[str, str], None]]:
    """Brings one text from a handset, through a second carrier, to the account's number.

    Called with the handset's number and the text.
    """
    with ExitStack() as stack:

        def bring(source: str, text: str) -> None:
            smsc = SmscProcess(
                tmp_path,
                'mo_rate = 100\nmo_count = 1\nmo_to = "447700900000"\n'
                f'mo_from = "{source}"\nmo_text = "{text}"\n',
            )
            stack.enter_context(smsc)
            gateway.apply(smsc.carrier("handsets"))

        yield bring
