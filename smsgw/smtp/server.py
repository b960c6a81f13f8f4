"""The SMTP server: Twisted's ESMTP, with every answer of ``replies`` and the rules of
``spec/mm4.md`` section 7. See ``line`` and ``connection``."""

import time
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import ServerFactory
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from smsgw.smtp import replies
from smsgw.smtp.connection import SmtpConnection
from smsgw.smtp.envelope import Envelope, Receive
from smsgw.smtp.grammar import Recipient
from smsgw.smtp.line import SmtpLine
from smsgw.smtp.peers import Peer, Peers
from smsgw.smtp.replies import Reply

_log = Logger()

MAX_SIZE = 5_242_880  # ruling 22
PEER_CONNECTIONS = 10
CONNECTIONS = 1_000


class SmtpServerFactory(ServerFactory):
    """All SMTP connections of the gateway."""

    noisy = False

    def __init__(
        self,
        peers: Peers,
        receive: Receive,
        refused_recipient: Callable[[Peer, Recipient], Reply | None],
        *,
        host: str,
        domains: set[str],
        clock: Any,
        spool: Path | None = None,
        tls: Any = None,
        asks_certificate: bool = False,
        allow_plain_auth: bool = False,
        max_size: int = MAX_SIZE,
        connections: int = CONNECTIONS,
        peer_connections: int = PEER_CONNECTIONS,
        overloaded: Callable[[], bool] = lambda: False,
        now: Callable[[], float] = time.time,
        run: Callable[[Callable[[], Any]], Deferred[Any]] = deferToThread,
    ) -> None:
        """``host`` greets; mail is taken for ``domains`` (lower case), and ``refused_recipient``
        says what else is wrong with a recipient. ``receive`` gets what has come whole and fires
        with the answer. ``tls`` is what makes server connections for STARTTLS;
        ``asks_certificate`` says that clients are asked for theirs, there or by the endpoint.
        ``run`` runs what blocks."""
        self.peers = peers
        self.receive = receive
        self.refused_recipient = refused_recipient
        self.host = host
        self.domains = domains
        self.clock = clock
        self.spool = spool
        self.tls = tls
        self.asks_certificate = asks_certificate
        self.allow_plain_auth = allow_plain_auth
        self.max_size = max_size
        self.overloaded = overloaded
        self.now = now
        self.run = run
        self.draining = False
        self.opened_ever = self.accepted = self.failed_logins = 0
        self.refusals: Counter[int] = Counter()  # answers of 4yz and 5yz
        self.connections: set[SmtpLine] = set()
        self._most = connections
        self._peer_most = peer_connections
        self._by_address: Counter[str] = Counter()
        self._ids = count(1)
        self._started = f"{int(now() * 1000):x}"
        self._empty: Deferred[None] | None = None

    def buildProtocol(self, addr: Any) -> Any:
        """Twisted. ``addr`` is the client's, which a proxy may have told."""
        return SmtpConnection(self, str(getattr(addr, "host", "")))

    def next_id(self) -> str:
        """A name for one more mail."""
        return f"{self._started}.{next(self._ids):x}"

    def greeting_refusal(self, address: str) -> Reply | None:
        """Why a client gets no greeting; None if it does."""
        if self.draining:
            return replies.SHUTTING_DOWN
        if len(self.connections) > self._most or self.overloaded():
            return replies.OVERLOADED
        if self._by_address[address] > self._peer_most:
            return replies.TOO_MANY_CONNECTIONS
        return None if self.peers.may_connect(address) else replies.NOT_ALLOWED

    def log_refusal(self, address: str, reply: Reply) -> None:
        """Tells the operator."""
        _log.info("SMTP {peer}: {reply}", peer=address, reply=reply.octets.decode())

    def told(self, envelope: Envelope, reply: Reply) -> None:
        """A mail that came whole has been answered."""
        if reply.good:
            self.accepted += 1
        else:
            _log.info(
                "SMTP {peer}: mail {id} of {who}: {reply}",
                peer=envelope.address,
                id=envelope.id,
                who=envelope.peer.name,
                reply=reply.octets.decode(),
            )

    def opened(self, connection: SmtpLine) -> None:
        """A connection is there."""
        self.connections.add(connection)
        self.opened_ever += 1
        self._by_address[connection.address] += 1

    def closed(self, connection: SmtpLine) -> None:
        """It is over."""
        self.connections.discard(connection)
        self._by_address[connection.address] -= 1
        if not self._by_address[connection.address]:
            del self._by_address[connection.address]
        if self._empty is not None and not self.connections:
            empty, self._empty = self._empty, None
            empty.callback(None)

    async def drain(self, seconds: float) -> None:
        """Ends the connections, each when the mail under way is answered, all after ``seconds``."""
        self.draining = True
        for one in list(self.connections):
            one.leave()
        if not self.connections:
            return
        empty: Deferred[None] = Deferred()
        self._empty = empty
        late = self.clock.callLater(seconds, self._abort)
        await empty
        if late.active():
            late.cancel()

    def _abort(self) -> None:
        for one in list(self.connections):
            transport: Any = one.transport
            transport.abortConnection()


__all__ = ["Envelope", "Receive", "SmtpServerFactory"]
