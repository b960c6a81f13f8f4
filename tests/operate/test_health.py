"""Health: what makes a gateway ready, and the reason when it is not."""

from typing import Any

from attrs import define
from twisted.trial.unittest import TestCase

from smsgw.operate.health import PROBE_S
from tests.operate.gateways import a_gateway, provision, result


@define
class ALink:
    """What is seen of a link."""

    up: bool


@define
class ASide:
    """A carrier's side with its links."""

    links: list[ALink]


class ReadyTests(TestCase):
    def setUp(self) -> None:
        self.gateway: Any = a_gateway(self)
        self.gateway.listeners.open = True

    def failing(self) -> dict[str, str]:
        """The checks that fail now, with their reasons."""
        health = result(self, self.gateway.operator.ready())
        return {one.name: one.detail for one in health.checks if not one.ok}

    def test_an_empty_gateway_is_ready(self) -> None:
        """No carrier is provisioned, so none is missing."""
        assert self.failing() == {}

    def test_a_carrier_must_be_up(self) -> None:
        """One link of one carrier is enough."""
        self.gateway.listeners.open = False  # or links would be made
        provision(self, self.gateway)
        self.gateway.listeners.open = True
        assert self.failing() == {"carriers": "0 of 1 are up"}
        self.gateway.carriers.sides["north"] = ASide([ALink(False), ALink(True)])
        assert self.failing() == {}

    def test_all_must_listen(self) -> None:
        """From the start on, until it stops."""
        self.gateway.listeners.open = False
        assert self.failing() == {"listeners": "not all listen"}

    def test_a_gateway_that_stops_is_not_ready(self) -> None:
        """It takes no more messages."""
        self.gateway.acceptance.draining = True
        assert self.failing() == {"accepting": "shutting down"}

    def test_a_store_that_cannot_be_written_is_found_out(self) -> None:
        """Though nothing else is written; when it can be again, that is found out as well."""
        self.gateway.journal.broken = "disk full"
        assert self.failing() == {"store": "disk full"}
        self.gateway.journal.broken = ""
        self.gateway.reactor.advance(PROBE_S)
        assert self.failing() == {}

    def test_the_store_is_tried_seldom(self) -> None:
        """However often it is asked about."""
        before = self.gateway.journal.transactions
        for _ in range(10):
            self.failing()
        assert self.gateway.journal.transactions == before + 1
