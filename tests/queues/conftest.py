"""The RabbitMQ that the tests of one worker share."""

from tests.amqp.conftest import broker

__all__ = ["broker"]
