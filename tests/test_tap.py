"""What ``twistd smsgw`` does to its process before anything starts."""

import resource
import time

import pytest
from twisted.internet.base import ReactorBase
from twisted.internet.task import LoopingCall

from smsgw import tap


class Reactor(ReactorBase):
    """Only the time of a reactor."""

    def installWaker(self) -> None:
        """It need not be woken."""


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How far the wall clock has been set from where it was, in one item."""
    step = [0.0]
    monkeypatch.setattr(ReactorBase, "seconds", staticmethod(lambda: time.time() + step[0]))
    return step


@pytest.mark.parametrize("step", [86_400.0, -86_400.0])
def test_a_step_of_the_wall_clock_moves_no_call(
    wall: list[float], step: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is due because the clock was set, and nothing is due later: no timeout lies (I2)."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    reactor = Reactor()
    tap.steady(reactor)
    calls: list[str] = []
    looping = LoopingCall(calls.append, "loop")
    looping.clock = reactor
    looping.start(30, now=False)
    reactor.callLater(20, calls.append, "once")
    wall[0] = step
    now[0] = 1019.0
    reactor.runUntilCurrent()
    assert calls == []
    assert reactor.timeout() == 1.0
    now[0] = 1031.0
    reactor.runUntilCurrent()
    assert calls == ["once", "loop"]
    looping.stop()


def test_as_many_descriptors_as_the_hard_limit_allows() -> None:
    """The soft limit is raised: each connection takes a descriptor."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = before
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
        tap.raise_descriptor_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_limit_that_is_not_granted_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway starts all the same."""

    def refused(*_: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refused)
    tap.raise_descriptor_limit()
