"""Health: what makes a gateway ready, and the reason when it is not."""

from typing import Any
from unittest import mock

from attrs import define
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from smsgw.operate.health import ANSWER_S, PROBE_S
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

    def test_a_store_that_is_silent_makes_it_not_ready(self) -> None:
        """Each that asks is answered within ANSWER_S, later ones at once; one write waits, however
        often it is asked; and it is ready again with the store's answer."""
        gateway = self.gateway
        gateway.journal.waiting = True
        silent = {"store": "the store does not answer"}
        asked = [Deferred.fromCoroutine(gateway.operator.ready()) for _ in range(3)]
        gateway.reactor.advance(ANSWER_S / 2)
        asked.append(Deferred.fromCoroutine(gateway.operator.health()))
        for one in asked:
            self.assertNoResult(one)
        gateway.reactor.advance(ANSWER_S / 2)
        for one in asked:
            failing = {each.name: each.detail for each in self.successResultOf(one).checks[:1]}
            assert failing == silent
        for _ in range(5):
            gateway.reactor.advance(PROBE_S)
            assert self.failing() == silent
        assert gateway.journal.line == 1
        gateway.journal.release()
        assert self.failing() == {}
        assert gateway.reactor.getDelayedCalls() == []

    def test_a_carrier_that_another_node_has_up_is_a_way_out(self) -> None:
        """A node without the role ``carriers``, or whose carriers are leased to others, takes
        messages that they send: a load balancer is to use it."""
        self.gateway.listeners.open = False  # or links would be made
        provision(self, self.gateway)
        self.gateway.listeners.open = True
        registry = mock.Mock(**{"is_up.side_effect": ["north"].__contains__})
        self.gateway.registry = registry
        assert self.failing() == {}
        registry.is_up.side_effect = [].__contains__
        assert self.failing() == {"carriers": "0 of 1 are up"}
