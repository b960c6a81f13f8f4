"""The service that keeps a broker connected, without a socket."""

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionDone
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from smsgw.amqp.address import parse_address
from smsgw.amqp.client import BETWEEN_HOSTS_S, LONGEST_S, SHORTEST_S, BrokerClient
from smsgw.amqp.errors import ConnectionLost
from tests.amqp.recorded import RECORDED
from tests.amqp.wires import Transport, outcome


@implementer(IStreamClientEndpoint)
class Host:
    """Refuses, or connects in memory."""

    def __init__(self, clock, attempts, name):
        self.clock, self.attempts, self.name = clock, attempts, name
        self.up = False
        self.connections = []

    def connect(self, factory):
        self.attempts.append((self.clock.seconds(), self.name))
        done = Deferred()
        if not self.up:
            done.errback(ConnectError(string="refused"))
            return done
        connection = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 5672))
        transport = Transport()
        transport.protocol = connection
        connection.makeConnection(transport)
        self.connections.append(connection)
        done.callback(connection)
        return done


class Net:
    """A client with two hosts."""

    def __init__(self, prepare=None):
        self.clock = Clock()
        self.attempts = []
        self.hosts = [Host(self.clock, self.attempts, name) for name in ("one", "two")]
        self.lost = []

        async def nothing(connection):
            pass

        self.client = BrokerClient(
            parse_address("amqp://one,two"),
            self.clock,
            prepare or nothing,
            self.lost.append,
            random=lambda: 1.0,
            endpoints=[(host.name, host) for host in self.hosts],
        )

    def serve(self, host, number=-1):
        """The broker finishes the handshake."""
        self.hosts[host].connections[number].dataReceived(RECORDED["handshake"])


def test_hosts_are_tried_in_turn_with_growing_rounds():
    """Little delay between hosts, one that doubles between rounds, bounded."""
    net = Net()
    net.client.startService()
    for _ in range(40_000):
        net.clock.advance(0.01)
    names = [name for _, name in net.attempts]
    assert names[:4] == ["one", "two", "one", "two"]
    gaps = [b - a for (a, _), (b, _) in zip(net.attempts, net.attempts[1:], strict=False)]
    between, rounds = gaps[::2], gaps[1::2]
    assert all(abs(gap - BETWEEN_HOSTS_S) < 0.02 for gap in between)
    wanted = [min(LONGEST_S, SHORTEST_S * 2**n) for n in range(len(rounds))]
    assert all(abs(a - b) < 0.02 for a, b in zip(rounds, wanted, strict=True))
    assert net.client.reason.endswith("refused.")
    assert outcome(net.client.stopService()) == [None]
    assert net.clock.getDelayedCalls() == []


def test_a_connection_counts_once_it_is_prepared():
    """Whoever waits gets it then, and its loss is told to the owner, once."""
    prepared = Deferred()

    async def prepare(connection):
        await prepared

    net = Net(prepare)
    net.hosts[0].up = True
    net.client.startService()
    waiting = outcome(net.client.when_connected())
    net.serve(0)
    assert net.client.connection is None
    assert not waiting
    prepared.callback(None)
    (connection,) = net.hosts[0].connections
    assert waiting == [connection]
    assert net.client.reason == ""
    connection.connectionLost(Failure(ConnectionDone()))
    assert [type(one) for one in net.lost] == [ConnectionLost]
    assert net.client.connection is None
    net.clock.advance(BETWEEN_HOSTS_S)
    assert [name for _, name in net.attempts] == ["one", "two"]


def test_a_connection_lost_while_it_is_prepared_is_made_again():
    """The owner is told of no loss, as it never had it."""
    calls = []

    async def prepare(connection):
        calls.append(connection)
        if len(calls) == 1:
            await connection.channel_for()

    net = Net(prepare)
    for host in net.hosts:
        host.up = True
    net.client.startService()
    net.serve(0)
    net.hosts[0].connections[0].connectionLost(Failure(ConnectionDone()))
    assert net.lost == []
    net.clock.advance(BETWEEN_HOSTS_S)
    net.serve(1)
    assert net.client.connection is net.hosts[1].connections[0]
    assert len(calls) == 2


def test_stopping_while_a_connection_is_prepared_closes_it():
    """Nothing is left behind: no socket, no timer, nobody who waits."""

    async def prepare(connection):
        await Deferred()

    net = Net(prepare)
    net.hosts[0].up = True
    net.client.startService()
    waiting = outcome(net.client.when_connected())
    net.serve(0)
    assert outcome(net.client.stopService()) == [None]
    assert isinstance(waiting[0], ConnectionLost)
    assert not net.hosts[0].connections[0].transport.connected
    net.clock.advance(10)
    assert net.clock.getDelayedCalls() == []
    assert isinstance(outcome(net.client.when_connected())[0], ConnectionLost)


def test_stopping_says_goodbye():
    """The broker is told, and its answer awaited; no attempt follows."""
    net = Net()
    net.hosts[0].up = True
    net.client.startService()
    net.serve(0)
    stopped = outcome(net.client.stopService())
    assert not stopped
    net.hosts[0].connections[0].dataReceived(RECORDED["close"])
    assert stopped == [None]
    net.clock.advance(100)
    assert len(net.attempts) == 1
    assert net.client.reason == "stopped"
