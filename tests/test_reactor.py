"""What the gateway asks of the reactor: a clock that never steps, and no detour."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.base import ReactorBase
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import LoopingCall
from twisted.logger import capturedLogs
from twisted.python import log
from twisted.python.failure import Failure

from smsgw.reactor import before_waiting, direct, steady
from tests.running import free_ports


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
    steady(reactor)
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


class Peer(Protocol):
    """Keeps what comes, and says how it ended."""

    then: Callable[[bytes], object] = staticmethod(lambda octets: None)

    def __init__(self) -> None:
        self.octets = b""
        self.ended = ""
        self.at_end: Callable[[], object] = lambda: None

    def dataReceived(self, data: bytes) -> None:
        """Keeps it, and does what the test wants done then."""
        self.octets += data
        self.then(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Keeps why."""
        self.ended = reason.type.__name__ if reason.type is not None else "?"
        self.at_end()


class Running:
    """An epoll reactor that is turned by hand, with a listener."""

    def __init__(self) -> None:
        # Not the one of the tests.
        self.reactor: Any = EPollReactor()
        direct(self.reactor)
        self.served: list[Peer] = []
        (self.port,) = free_ports(1)
        factory = Factory()
        factory.buildProtocol = lambda addr: self._built(self.served)  # type: ignore[method-assign]
        self.listener = self.reactor.listenTCP(self.port, factory, interface="127.0.0.1")

    def _built(self, kept: list[Peer]) -> Peer:
        kept.append(Peer())
        return kept[-1]

    def connected(self, count: int) -> list[Peer]:
        """So many clients, which are connected; ``served`` are their other ends, in order."""
        clients: list[Peer] = []
        for n in range(count):
            factory = ClientFactory()
            factory.noisy = False
            factory.buildProtocol = lambda addr: self._built(clients)  # type: ignore[method-assign]
            self.reactor.connectTCP("127.0.0.1", self.port, factory)
            self.turn(lambda n=n: len(self.served) > n and len(clients) > n)
        return clients

    def turn(self, until: Callable[[], object]) -> None:
        """Turns of the reactor until something is so."""
        end = time.monotonic() + 20
        while not until():
            assert time.monotonic() < end
            self.reactor.iterate(0.05)

    def stop(self) -> None:
        """Closes everything."""
        self.reactor.removeAll()
        self.reactor._poller.close()


@pytest.fixture
def running() -> Iterator[Running]:
    """A reactor with a listener."""
    one = Running()
    yield one
    one.stop()


def test_octets_come_by_way_of_epoll_alone(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No context of Twisted's old log is made for an event."""
    [client] = running.connected(1)
    monkeypatch.setattr("twisted.python.log.callWithLogger", None)
    assert client.transport is not None
    client.transport.write(b"hello")
    running.turn(lambda: running.served[0].octets == b"hello")
    client.transport.loseConnection()
    running.turn(lambda: running.served[0].ended)
    assert running.served[0].ended == "ConnectionDone"


def test_what_a_connection_raises_ends_that_connection(running: Running) -> None:
    """It is logged, and the others go on."""
    clients = running.connected(2)

    def fault(octets: bytes) -> None:
        raise ZeroDivisionError("on purpose")

    running.served[0].then = fault  # type: ignore[method-assign]
    events: list[dict[str, Any]] = []
    log.addObserver(events.append)
    try:
        for client in clients:
            assert client.transport is not None
            client.transport.write(b"hello")
        running.turn(lambda: clients[0].ended and running.served[1].octets)
    finally:
        log.removeObserver(events.append)
    assert running.served[0].ended == "ZeroDivisionError"
    assert not running.served[1].ended
    assert [one["failure"].type for one in events if one["isError"]] == [ZeroDivisionError]


def test_what_an_end_raises_holds_up_no_other(running: Running) -> None:
    """It is logged, and no turn of the reactor is broken off."""
    clients = running.connected(2)

    def fault() -> None:
        raise ZeroDivisionError("on purpose")

    for one in running.served:
        one.at_end = fault
    with capturedLogs() as events:
        for client in clients:
            assert client.transport is not None
            client.transport.abortConnection()
        running.turn(lambda: all(one.ended for one in running.served))  # which raises nothing
    assert [one.ended for one in running.served] == ["ConnectionLost", "ConnectionLost"]
    assert [one["log_failure"].type for one in events] == [ZeroDivisionError] * 2


def test_one_that_another_has_ended_in_the_same_turn_gets_no_event(running: Running) -> None:
    """Epoll had told of both already."""
    clients = running.connected(2)
    first, second = running.served
    for one, other in ((first, second), (second, first)):
        one.then = lambda _, other=other: other.transport.abortConnection()  # type: ignore[misc]
    for client in clients:
        assert client.transport is not None
        client.transport.write(b"hello")
    running.turn(lambda: first.ended or second.ended)
    assert sorted([first.octets, second.octets]) == [b"", b"hello"]


def test_what_comes_before_waiting_is_called_in_each_turn(running: Running) -> None:
    """Also in those that bring nothing."""
    asked: list[bool] = []
    assert before_waiting(running.reactor, lambda last: bool(asked.append(last)))
    running.reactor.iterate(0)
    running.reactor.iterate(0)
    assert asked == [False, False]


class Poller:
    """A reactor's epoll, of which the test says what it tells; it keeps how long it was to wait."""

    def __init__(self, reactor: Any) -> None:
        self._poller, reactor._poller = reactor._poller, self
        self.told: list[list[tuple[int, int]]] = []  # of each poll; nothing after them
        self.waits: list[float] = []

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        """As epoll's."""
        self.waits.append(timeout)
        return self.told.pop(0) if self.told else []

    def __getattr__(self, name: str) -> Any:
        """Everything else is epoll's own."""
        return getattr(self._poller, name)


@pytest.mark.parametrize(
    ("told", "timeout", "asked", "waits"),
    [
        ([], 0.5, [False, True], [0, 0.5]),  # nothing else to do
        ([], None, [False, True], [0, -1]),
        ([[(999, 1)]], 0.5, [False], [0]),  # events
        ([], 0, [False], [0]),  # a timer is due
    ],
)
def test_it_may_have_the_reactor_look_for_events_first(
    running: Running,
    told: list[list[tuple[int, int]]],
    timeout: float | None,
    asked: list[bool],
    waits: list[float],
) -> None:
    """It is asked again when there is nothing else to do, and in the next turn when there is."""
    poller = Poller(running.reactor)
    poller.told = told
    calls: list[bool] = []

    def look_first(nothing_else: bool) -> bool:
        calls.append(nothing_else)
        return not nothing_else

    before_waiting(running.reactor, look_first)
    running.reactor.doIteration(timeout)
    assert calls == asked
    assert poller.waits == waits


def test_without_that_the_reactor_waits_at_once(running: Running) -> None:
    """As long as it may."""
    poller = Poller(running.reactor)
    before_waiting(running.reactor, lambda nothing_else: False)
    running.reactor.doIteration(0.5)
    assert poller.waits == [0.5]


def test_a_reactor_that_is_direct_already_stays_so(running: Running) -> None:
    """What is called before it waits is called from now on, too."""
    asked: list[bool] = []
    before_waiting(running.reactor, lambda last: bool(asked.append(last)))
    direct(running.reactor)
    running.reactor.iterate(0)
    assert asked == [False]


def test_one_that_fails_before_waiting_is_logged(running: Running) -> None:
    """The others are called, and the reactor goes on."""
    asked: list[bool] = []

    def fault(last: bool) -> bool:
        raise ZeroDivisionError("on purpose")

    before_waiting(running.reactor, fault)
    before_waiting(running.reactor, lambda last: bool(asked.append(last)))
    with capturedLogs() as events:
        running.reactor.iterate(0)
    assert asked == [False]
    assert [one["log_failure"].type for one in events] == [ZeroDivisionError]


def test_any_other_reactor_stays_as_it_is() -> None:
    """It polls in its own way, and calls nothing before."""
    reactor = SelectReactor()
    direct(reactor)
    assert "doIteration" not in vars(reactor)
    assert not before_waiting(reactor, lambda last: False)
    reactor.removeAll()
