"""What the integration tests share: a gateway in a process of its own."""

from collections.abc import Iterator

import pytest

from tests.running import GatewayProcess


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A running gateway with an empty store; each test provisions what it needs."""
    with GatewayProcess(tmp_path_factory.mktemp("gateway")) as running:
        yield running
