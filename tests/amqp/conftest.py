"""The broker that the tests of one worker share, started when the first of them asks for it."""

from collections.abc import Iterator

import pytest

from tests.amqp.rabbitmq import RabbitMq, installed


@pytest.fixture(scope="session")
def broker() -> Iterator[RabbitMq]:
    if not installed():
        pytest.skip("rabbitmq-server is not installed")
    found = RabbitMq()
    try:
        found.start()
        yield found
    finally:
        found.remove()
