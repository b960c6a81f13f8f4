"""The broker that the tests of one worker share, started when the first of them asks for it."""

import pytest

from tests.amqp.rabbitmq import a_broker

broker = pytest.fixture(scope="session")(a_broker)
