"""The gateway of a node: what one part does not do keeps nothing else from ending."""

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from smsgw.service.gateway import _PART_S, Gateway


class StopTests(SynchronousTestCase):
    """How a part is stopped."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.gateway: Any = SimpleNamespace(reactor=self.clock)

    def stopped(self, stop: Any) -> "Deferred[None]":
        return Deferred.fromCoroutine(Gateway._ended(self.gateway, "part", stop))

    def test_a_part_that_comes_to_no_end_is_left_behind(self) -> None:
        """The process ends within a bounded time."""
        done = self.stopped(Deferred)
        self.clock.advance(_PART_S - 1)
        self.assertNoResult(done)
        self.clock.advance(1)
        assert self.successResultOf(done) is None

    def test_a_part_that_fails_is_logged_and_left_behind(self) -> None:
        """At once, whether it fails before its first wait or later."""

        def broken() -> None:
            raise ValueError("broken")

        async def broken_later() -> None:
            broken()

        for stop in (broken, broken_later):
            assert self.successResultOf(self.stopped(stop)) is None
            assert len(self.flushLoggedErrors(ValueError)) == 1
