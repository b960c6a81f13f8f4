"""A broker that is kept connected: as a service, over several hosts, with back-off.

Hosts are tried in their order, one after the other with little delay; when all have failed, a
longer one follows, which doubles up to ``LONGEST_S``. A connection counts once it is *prepared*:
logged in, and whatever its user wants declared and subscribed. (Twisted's ``ClientService`` would
take a connection that is lost while it is being prepared for the loss of the one after it.)
"""

from collections.abc import Awaitable, Callable, Sequence
from random import random as unseeded
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw.amqp.address import Address
from smsgw.amqp.connection import Connection
from smsgw.amqp.errors import AmqpError, ConnectionLost

BETWEEN_HOSTS_S = 0.1
SHORTEST_S = 0.5
LONGEST_S = 30.0


class BrokerClient(Service):
    """Keeps one connection to a broker open while it runs."""

    log = Logger()

    def __init__(
        self,
        address: Address,
        reactor: Any,
        prepare: Callable[[Connection], Awaitable[None]],
        lost: Callable[[AmqpError], None] = lambda reason: None,
        random: Callable[[], float] = unseeded,
        endpoints: Sequence[tuple[str, IStreamClientEndpoint]] = (),
    ) -> None:
        """``prepare`` makes a new connection fit for use; if it fails, the connection is closed and
        another is tried. ``lost`` is told when a prepared one is gone. ``random`` gives numbers
        from 0 to 1; ``endpoints`` take the place of the address's.
        """
        self.connection: Connection | None = None  # while one is prepared
        self.reason = "not started"  # why there is none, for operators; "" while there is
        self._login = address.login
        self._reactor = reactor
        self._prepare = prepare
        self._lost = lost
        self._random = random
        self._endpoints = list(endpoints) or address.endpoints(reactor)
        self._next = 0  # of them
        self._loop: Deferred[None] | None = None
        self._waiting: list[Deferred[Connection]] = []

    def startService(self) -> None:
        """Begin to connect, and keep at it."""
        super().startService()  # type: ignore[no-untyped-call]
        self.reason = "connecting"
        self._loop = Deferred.fromCoroutine(self._keep_connected())
        self._loop.addErrback(self._broken)

    def stopService(self) -> "Deferred[None]":
        """Say goodbye and stay down; fires when the connection is closed."""
        super().stopService()  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self._stop())

    def when_connected(self) -> "Deferred[Connection]":
        """Fires with a prepared connection, now or later; fails if the service stops before."""
        if self.connection is not None:
            return succeed(self.connection)
        if not self.running:
            return fail(ConnectionLost("the service is stopped"))
        waiting: Deferred[Connection] = Deferred()
        self._waiting.append(waiting)
        return waiting

    async def _stop(self) -> None:
        loop, self._loop = self._loop, None
        if loop is None:
            return
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.errback(ConnectionLost("the service is stopped"))
        connection = self.connection
        if connection is not None:
            await connection.close()
            await connection.disconnected.wait()
        else:
            loop.cancel()
        await loop
        self.reason = "stopped"

    async def _keep_connected(self) -> None:
        failures = 0
        while self.running:
            name, endpoint = self._endpoints[self._next % len(self._endpoints)]
            self._next += 1
            made: list[Connection] = []
            try:
                connection = await self._attempt(endpoint, made)
            except CancelledError:
                self._abandon(made, ConnectionLost("the service is stopped"))
                return
            except Exception as error:
                why = error if isinstance(error, AmqpError) else ConnectionLost(_text(error))
                self._abandon(made, why)
                if not isinstance(error, AmqpError | ConnectError):
                    self.log.failure("{name}: the connection could not be prepared", name=name)
                self._tell(f"{name}: {why}")
                failures += 1
            else:
                failures = 0
                await self._serve(name, connection)
            if self.running:
                try:
                    await deferLater(self._reactor, self._delay(failures))
                except CancelledError:
                    return

    async def _attempt(self, endpoint: IStreamClientEndpoint, made: list[Connection]) -> Connection:
        factory = Factory.forProtocol(lambda: Connection(self._login, self._reactor))
        factory.noisy = False
        connection = cast(Connection, await endpoint.connect(factory))
        made.append(connection)
        await connection.open()
        await self._prepare(connection)
        if connection.reason is not None:
            raise connection.reason
        return connection

    async def _serve(self, name: str, connection: Connection) -> None:
        ended = connection.when_ended()
        self.connection = connection
        self.reason = ""
        self.log.info("broker {name}: connected", name=name)
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(connection)
        reason = await ended
        self.connection = None
        if self.running:
            self._tell(f"{name}: {reason}")
        self._lost(reason)

    def _delay(self, failures: int) -> float:
        """Seconds until the next attempt, after so many failed ones."""
        rounds, rest = divmod(failures, len(self._endpoints))
        if rest or not failures:
            return BETWEEN_HOSTS_S
        longest = min(LONGEST_S, SHORTEST_S * float(2 ** min(rounds - 1, 16)))
        return longest * (0.5 + self._random() / 2)

    def _tell(self, reason: str) -> None:
        """Once for each reason, however often it is met."""
        if reason != self.reason:
            self.log.warn("broker {reason}", reason=reason)
        self.reason = reason

    def _abandon(self, made: list[Connection], reason: AmqpError) -> None:
        for connection in made:
            connection.end(reason)

    def _broken(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self.log.failure("the broker is no longer kept connected", failure)


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__
