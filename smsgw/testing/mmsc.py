"""A scriptable MMSC: an SMTP server that takes multimedia messages by MM4, and says of them what
its script says: responses, delivery reports, read replies, errors, nothing.

It is built on Twisted's SMTP server and client as they are, and on ``smsgw.mm4``.
"""

import time
from collections import deque
from collections.abc import Callable
from io import BytesIO
from itertools import count
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.protocol import ServerFactory
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.mail.smtp import (
    ESMTP,
    Address,
    ESMTPSenderFactory,
    SMTPClientError,
    SMTPServerError,
)
from twisted.python.failure import Failure

from smsgw.mm4 import headers, mime
from smsgw.mm4.mime import Content
from smsgw.mm4.pdus import (
    DeliveryReportReq,
    ForwardReq,
    Pdu,
    ReadReplyReq,
    Response,
    answer,
)
from smsgw.mm4.words import ReadStatus, RequestStatus, Status

_log = Logger()

SIZE = 5_242_880  # octets of a mail
_SEEN = 100_000  # messages of which a repeat is known


@define
class MmscScript:
    """What the MMSC does with each message; times are seconds."""

    domain: str = "mms.example.net"
    # SMTP codes for the next mails, in order; then 250.
    codes: list[int] = field(factory=list)
    # The status of the responses that are asked for; None: no response ever comes.
    response: RequestStatus | None = RequestStatus.OK
    response_s: float = 0.0
    # Delivery reports for messages that ask for them, in order, so long after the response.
    reports: list[Status] = field(factory=lambda: [Status.RETRIEVED])
    report_s: float = 0.0
    read: bool = False  # a read reply too, for messages that ask for it
    eight_bit: bool = True  # it offers 8BITMIME
    # What the gateway does not take now is said again after so long, until it does; 0: never again.
    retry_s: float = 0.0


@define
class Received:
    """A message that came: its PDU, its parts, the recipient of the envelope, the octets."""

    pdu: ForwardReq
    content: Content
    recipient: str
    mail: bytes


class _Body:
    """Gathers the lines of one mail (``twisted.mail.smtp.IMessage``)."""

    def __init__(self, mmsc: "Mmsc", recipient: str) -> None:
        self._mmsc = mmsc
        self._recipient = recipient
        self._lines: list[bytes] = []
        self._size = 0

    def lineReceived(self, line: bytes) -> None:
        """Twisted: a line. Raises SMTPServerError for one too many."""
        self._size += len(line) + 2
        if self._size > SIZE:
            self._lines.clear()
            raise SMTPServerError(552, b"5.3.4 more than SIZE")
        self._lines.append(line)

    def eomReceived(self) -> Deferred[None]:
        """Twisted: all of it has come."""
        self._lines.append(b"")
        self._mmsc.came(b"\r\n".join(self._lines), self._recipient)
        return succeed(None)

    def connectionLost(self) -> None:
        """Twisted: it will not come whole."""


class _Session(ESMTP):
    """One connection from the gateway."""

    factory: "Mmsc"

    def extensions(self) -> dict[bytes, Any]:
        """Twisted: what EHLO offers."""
        found: dict[bytes, Any] = {b"SIZE": [b"%d" % SIZE]}
        if self.factory.script.eight_bit:
            found[b"8BITMIME"] = None
        return found

    def receivedHeader(self, helo: Any, origin: Any, recipients: Any) -> bytes:
        """Twisted: the line that is put before a mail."""
        line = b"Received: from %s by %s"
        return line % (helo[0], self.factory.script.domain.encode())

    def validateFrom(self, helo: Any, origin: Address) -> Any:
        """Twisted: anybody may send."""
        return origin

    def validateTo(self, user: Any) -> Callable[[], _Body]:
        """Twisted: anybody is here."""
        mmsc, recipient = self.factory, str(user.dest)
        return lambda: _Body(mmsc, recipient)

    def _messageHandled(self, resultList: Any) -> None:
        code = self.factory.said.popleft() if self.factory.said else 250
        self.sendCode(code, b"as the script says")  # type: ignore[no-untyped-call]


class Mmsc(ServerFactory):
    """One MMSC; ``received`` are the messages that came, repeats too, ``answers`` the responses to
    its reports, ``reported`` the reports that came: all of them, or the last ``keep`` of each. A
    repeat is answered, and reported no more."""

    noisy = False

    def __init__(
        self,
        script: MmscScript,
        reactor: Any,
        gateway_port: int = 0,
        now: Callable[[], float] = time.time,
        keep: int | None = None,
    ) -> None:
        """``gateway_port`` is where on 127.0.0.1 it mails what it says; 0: nowhere. One that runs
        for long needs ``keep``, or it grows."""
        self.script = script
        self.reactor = reactor
        self.gateway_port = gateway_port
        self.received: list[Received] = []
        self.answers: list[Response] = []
        self.reported: list[Pdu] = []
        self.said: deque[int] = deque()
        # Message and recipient; the one that came first is first.
        self._seen: dict[tuple[str, str], None] = {}
        self._keep = keep
        self.mails = 0  # that came, whatever became of them
        self.port = 0
        self._now = now
        self._ids = count(1)
        self._listening: Any = None
        self._connections: set[Any] = set()
        self._saying: set[Deferred[Any]] = set()
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def start(self, port: int = 0) -> Deferred[int]:
        """Listens on 127.0.0.1; fires with the port."""
        self._listening = self.reactor.listenTCP(port, self, interface="127.0.0.1")
        self.port = int(self._listening.getHost().port)
        return succeed(self.port)

    def stop(self) -> Deferred[Any]:
        """Ends all connections; fires when the port is free and nothing is being said."""
        for connection in list(self._connections):
            connection.transport.abortConnection()
        for one in list(self._saying):
            one.cancel()
        port, self._listening = self._listening, None
        closed = maybeDeferred(port.stopListening) if port is not None else succeed(None)
        return DeferredList([closed, *self._saying], consumeErrors=True)

    def buildProtocol(self, addr: Any) -> Any:
        """Twisted."""
        connection: Any = _Session()  # type: ignore[no-untyped-call]  # Twisted: not typed
        connection.factory = self
        connection.host = self.script.domain.encode()
        self._connections.add(connection)
        lost = connection.connectionLost

        def connection_lost(reason: Any) -> None:
            self._connections.discard(connection)
            lost(reason)

        connection.connectionLost = connection_lost
        return connection

    @property
    def system(self) -> str:
        """Its system address."""
        return f"system-user@{self.script.domain}"

    def came(self, octets: bytes, recipient: str) -> None:
        """A mail has come whole."""
        self.mails += 1
        if self.script.codes:
            code = self.script.codes.pop(0)
            self.said.append(code)
            if code >= 400:
                self._look()
                return
        mail = headers.read(octets)
        if isinstance(mail.pdu, ForwardReq):
            content = mime.parse(octets, mail.fields, mail.body)
            self._kept(self.received, Received(mail.pdu, content, recipient, octets))
            # After the answer to the mail, as most do; that is not waited for.
            key = mail.pdu.message_id, recipient
            self._begin(self._script(mail.pdu, recipient, repeated=key in self._seen))
            self._seen[key] = None
            if len(self._seen) > _SEEN:
                del self._seen[next(iter(self._seen))]
        elif isinstance(mail.pdu, Response):
            self._kept(self.answers, mail.pdu)
        elif mail.pdu is not None:
            self._kept(self.reported, mail.pdu)
        self._look()

    def _kept(self, several: list[Any], one: Any) -> None:
        several.append(one)
        if self._keep is not None:
            del several[: max(0, len(several) - self._keep)]

    def until(self, condition: Callable[[], bool]) -> Deferred[None]:
        """Fires when ``condition`` is true; it is looked at whenever a mail has come."""
        done: Deferred[None] = Deferred()
        self._waiting.append((condition, done))
        self._look()
        return done

    def _look(self) -> None:
        for one in [pair for pair in self._waiting if pair[0]()]:
            self._waiting.remove(one)
            one[1].callback(None)

    def _begin(self, saying: Any) -> None:
        done = Deferred.fromCoroutine(saying)
        self._saying.add(done)

        def over(result: Any) -> None:
            self._saying.discard(done)
            if isinstance(result, Failure) and self._listening is not None:
                _log.error("MMSC {name}: {why}", name=self.script.domain, why=result.value)

        done.addBoth(over)

    async def _script(self, request: ForwardReq, recipient: str, repeated: bool) -> None:
        script = self.script
        await deferLater(self.reactor, script.response_s)
        if request.wants_answer and script.response is not None:
            await self.say(
                answer(
                    request,
                    script.response,
                    sender=self.system,
                    date=int(self._now() * 1000),
                    mail_id=self._mail_id("res"),
                    text="as the script says",
                ),
                request.answer_to,
            )
        if repeated or script.response not in (None, RequestStatus.OK):
            return
        for status in script.reports if request.delivery_report else ():
            await deferLater(self.reactor, script.report_s)
            await self.report(request, recipient, status)
        if script.read and request.read_reply:
            await self.read(request, recipient)

    async def report(
        self, request: ForwardReq, recipient: str, status: Status, **more: Any
    ) -> None:
        """Says what became of a message."""
        report = DeliveryReportReq(status=status, **self._about(request, recipient), **more)
        await self.say(report, request.from_)

    async def read(self, request: ForwardReq, recipient: str) -> None:
        """Says that a message was read."""
        report = ReadReplyReq(status=ReadStatus.READ, **self._about(request, recipient))
        await self.say(report, request.from_)

    def _about(self, request: ForwardReq, recipient: str) -> dict[str, Any]:
        return {
            "transaction_id": f"dr-{next(self._ids)}",
            "message_id": request.message_id,
            "sender": self.system,
            "from_": recipient,
            "to": [request.from_],
            "date": int(self._now() * 1000),
            "mail_id": self._mail_id("dr"),
            "ack_request": True,
        }

    def _mail_id(self, kind: str) -> str:
        return f"{kind}-{next(self._ids)}@{self.script.domain}"

    async def say(self, pdu: Pdu, recipient: str) -> None:
        """Mails a PDU to the gateway. Raises what ``twisted.mail.smtp`` and connecting raise."""
        while self.gateway_port:
            try:
                await self.mail(headers.write(pdu), recipient)
            except CancelledError:
                raise
            except Exception as error:  # of several kinds, for a connection that breaks in between
                refused = isinstance(error, SMTPClientError) and 500 <= error.code < 600
                if refused or not self.script.retry_s:
                    raise
                await deferLater(self.reactor, self.script.retry_s)
            else:
                return

    async def mail(self, octets: bytes, recipient: str) -> None:
        """Mails to the gateway, once. Raises what ``say`` does."""
        octets = octets.replace(b"\r\n", b"\n")  # Twisted writes CR LF itself

        def give_up(_: Deferred[Any]) -> None:
            factory.sendFinished = True  # or it would tell a Deferred that it has let go of
            connector.disconnect()

        sent: Deferred[Any] = Deferred(give_up)
        # Without tries of its own: what goes wrong in the middle of a mail would be lost in them.
        factory = ESMTPSenderFactory(
            None,
            None,
            self.system.encode(),
            recipient.encode(),
            BytesIO(octets),
            sent,
            retries=0,
            heloFallback=True,
            requireAuthentication=False,
            requireTransportSecurity=False,
        )
        factory.domain = self.script.domain.encode()
        factory.noisy = False
        connector = self.reactor.connectTCP("127.0.0.1", self.gateway_port, factory)
        await sent
