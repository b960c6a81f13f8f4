"""What is common to connections outward; the checks of addresses are shown where they are used."""

import socket
import threading
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import DNSLookupError
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smsgw.outward import NameThreads, UnderWay, endpoint_to, why


class Names(TestCase):
    """The threads of look-ups."""

    timeout = 20

    async def test_slow_names_keep_nothing_else_waiting(self) -> None:
        """Though every look-up hangs, the reactor's own threads are free (I5)."""
        hangs = threading.Event()
        self.addCleanup(hangs.set)

        def getaddrinfo(*_: Any) -> Any:
            hangs.wait()
            raise socket.gaierror

        names = NameThreads(reactor, getaddrinfo)
        before = reactor.nameResolver  # type: ignore[attr-defined]
        self.addCleanup(names.stop)
        names.start()
        asked = [
            endpoint_to(reactor, f"slow{n}.example.com", 80, False).connect(None) for n in range(50)
        ]
        assert await deferToThread(lambda: "free") == "free"
        hangs.set()
        for one in asked:
            await one.addErrback(lambda failure: None)
        names.stop()
        assert reactor.nameResolver is before  # type: ignore[attr-defined]

    async def test_a_slow_name_takes_one_thread(self) -> None:
        """However many connect to it, another name is looked up meanwhile (I5)."""
        hangs = threading.Event()
        self.addCleanup(hangs.set)
        asked: list[str] = []

        def getaddrinfo(host: str, *_: Any) -> Any:
            asked.append(host)
            if host == "slow.example.com":
                hangs.wait()
            raise socket.gaierror

        names = NameThreads(reactor, getaddrinfo)
        self.addCleanup(names.stop)
        names.start()
        slow = [
            endpoint_to(reactor, "slow.example.com", 80, False).connect(None) for _ in range(500)
        ]
        fast = endpoint_to(reactor, "fast.example.com", 80, False).connect(None)
        with pytest.raises(DNSLookupError):
            await fast
        hangs.set()
        for one in slow:
            with pytest.raises(DNSLookupError):
                await one
        assert sorted(asked) == ["fast.example.com", "slow.example.com"]
        # What has ended is looked up anew.
        with pytest.raises(DNSLookupError):
            await endpoint_to(reactor, "slow.example.com", 80, False).connect(None)
        assert len(asked) == 3


class Stopping(SynchronousTestCase):
    """What is under way at a stop."""

    def test_stop_waits_for_all(self) -> None:
        """And no longer than for them."""
        clock = Clock()
        under_way, ends = UnderWay(clock), [Deferred[str](), Deferred[str]()]

        async def one(end: Deferred[str]) -> str:
            return await end

        results = [under_way.run(one(end)) for end in ends]
        stopped = under_way.stop()
        ends[0].callback("a")
        self.assertNoResult(stopped)
        ends[1].callback("b")
        self.successResultOf(stopped)
        assert [self.successResultOf(one) for one in results] == ["a", "b"]
        assert not clock.getDelayedCalls()

    def test_stop_has_an_end(self) -> None:
        """What takes longer than ten seconds is cancelled."""
        clock = Clock()
        under_way: UnderWay = UnderWay(clock)

        async def never() -> None:
            await Deferred[None]()

        result = under_way.run(never())
        stopped = under_way.stop()
        clock.advance(10)
        self.successResultOf(stopped)
        self.failureResultOf(result, CancelledError)

    def test_nothing_to_wait_for(self) -> None:
        """It stops at once, also a second time."""
        under_way = UnderWay(Clock())
        self.successResultOf(under_way.stop())
        self.successResultOf(under_way.stop())


def test_faults_of_ours_have_no_words() -> None:
    """They are not taken for the network's."""
    assert why(ZeroDivisionError()) == ""
