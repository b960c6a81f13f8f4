"""Sinks: an HTTP server and a mail server that keep what they are sent and answer as they are
told.

They take callbacks and mail of a gateway in tests, on loopback at any free port::

    sink = HttpSink(reactor)
    url = f"http://127.0.0.1:{await sink.start()}/in"
    sink.answers = [503, 200]     # the first request, and all others
    await sink.when(lambda: len(sink.requests) == 2)
    await sink.stop()
"""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl

from attrs import define, field
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.endpoints import SSL4ServerEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.mail.imap4 import PLAINCredentials
from twisted.mail.smtp import (
    ESMTP,
    IMessage,
    IMessageDelivery,
    SMTPServerError,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from smsgw.testing.peer import Watch


class _Sink:
    """What listens on loopback and counts its connections."""

    def __init__(self, reactor: Any) -> None:
        self.connections = 0
        self.open: set[Any] = set()
        self._reactor = reactor
        self._watch = Watch()
        self._port: IListeningPort | None = None

    def when(self, condition: Callable[[], bool]) -> Deferred[None]:
        """Fires once ``condition`` is true; it is looked at whenever something comes."""
        return self._watch.when(condition)

    async def start(self, tls: Any = None, port: int = 0) -> int:
        """Listens, with TLS if a context factory is given; the port."""
        if tls is None:
            endpoint: Any = TCP4ServerEndpoint(self._reactor, port, interface="127.0.0.1")
        else:
            endpoint = SSL4ServerEndpoint(self._reactor, port, tls, interface="127.0.0.1")
        factory: Any = Factory.forProtocol(self._protocol)
        factory.noisy = False
        listening = await endpoint.listen(factory)
        self._port = listening
        return int(listening.getHost().port)

    async def stop(self) -> None:
        """Closes everything."""
        if self._port is not None:
            await maybeDeferred(self._port.stopListening)
            self._port = None
        for one in list(self.open):
            one.transport.abortConnection()
        await self.when(lambda: not self.open)

    def came(self, connection: Any) -> None:
        """A connection was made."""
        self.connections += 1
        self.open.add(connection)
        self._watch.check()

    def went(self, connection: Any) -> None:
        """It is over."""
        self.open.discard(connection)
        self._watch.check()

    def _protocol(self) -> Any:
        raise NotImplementedError


# HTTP.


@define
class Received:
    """One request as it came; header names are in lower case."""

    method: str
    target: str  # of the request line, as it stands there
    headers: dict[str, str]
    body: bytes
    head: bytes  # request line and headers in octets

    @property
    def fields(self) -> dict[str, str]:
        """The form of the body, or of the query if there is no body."""
        form = self.body.decode() or self.target.partition("?")[2]
        return dict(parse_qsl(form, keep_blank_values=True))


@define
class Answer:
    """What is sent back. With ``stall`` the body that its length promises does not come."""

    status: int = 200
    body: bytes = b""
    headers: list[tuple[str, str]] = field(factory=list)
    stall: bool = False


SILENCE = Answer(0)  # no answer at all
NONSENSE = Answer(-1)  # octets that are none


class _Request(Protocol):
    def __init__(self, sink: "HttpSink") -> None:
        self._sink = sink
        self._octets = b""

    def connectionMade(self) -> None:
        """Twisted."""
        self._sink.came(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted."""
        self._sink.went(self)

    def dataReceived(self, data: bytes) -> None:
        """Twisted."""
        self._octets += data
        while b"\r\n\r\n" in self._octets:
            head, _, rest = self._octets.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines[1:])
            }
            length = int(headers.get("content-length", "0"))
            if len(rest) < length:
                return
            self._octets = rest[length:]
            method, target, _ = lines[0].split(" ")
            self._answer(self._sink.take(Received(method, target, headers, rest[:length], head)))

    def _answer(self, answer: Answer) -> None:
        if answer.status == 0:
            return
        transport: Any = self.transport
        if answer.status < 0:
            transport.write(b"what is not HTTP\r\n\r\n")
            return
        more = "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
        length = len(answer.body) + answer.stall
        head = f"HTTP/1.1 {answer.status} Said\r\nContent-Length: {length}\r\n{more}\r\n"
        transport.write(head.encode() + answer.body)


class HttpSink(_Sink):
    """Keeps HTTP requests in ``requests``.

    ``answers`` are statuses, ``Answer`` or functions of the request: one for each request, and the
    last of them for all that follow.
    """

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor)
        self.requests: list[Received] = []
        self.answers: Sequence[int | Answer | Callable[[Received], Answer]] = [200]

    def take(self, request: Received) -> Answer:
        """Keeps ``request``; what to answer."""
        said = self.answers[min(len(self.requests), len(self.answers) - 1)]
        self.requests.append(request)
        if isinstance(said, int):
            said = Answer(said)
        answer = said if isinstance(said, Answer) else said(request)
        self._watch.check()
        return answer

    def _protocol(self) -> _Request:
        return _Request(self)


# Mail.


@define
class Mail:
    """One mail as it came: envelope, and the octets after DATA with CR LF."""

    sender: str
    recipients: list[str]
    octets: bytes
    tls: bool
    user: str  # of AUTH, "" without


@implementer(IMessageDelivery)
class _Delivery:
    def __init__(self, sink: "MailSink", user: str) -> None:
        self.sink = sink
        self.user = user
        self.sender = ""
        self.recipients: list[str] = []
        self.server: Any = None

    def receivedHeader(self, helo: Any, origin: Any, recipients: Any) -> bytes:
        """Twisted: it adds none."""
        return b""

    def validateFrom(self, helo: Any, origin: Any) -> Any:
        """Twisted: MAIL."""
        self.sink.refused("MAIL")
        self.sender, self.recipients = str(origin), []
        return origin

    def validateTo(self, user: Any) -> Any:
        """Twisted: RCPT."""
        self.sink.refused("RCPT")
        self.recipients.append(str(user.dest))
        return lambda: _Content(self)


@implementer(IMessage)
class _Content:
    def __init__(self, delivery: _Delivery) -> None:
        self._delivery = delivery
        self._lines: list[bytes] = []

    def lineReceived(self, line: bytes) -> None:
        """Twisted."""
        self._delivery.sink.refused("DATA")
        self._lines.append(line)

    def eomReceived(self) -> Deferred[None]:
        """Twisted: the end of DATA."""
        delivery = self._delivery
        octets = b"".join(line + b"\r\n" for line in self._lines)
        tls = bool(delivery.server.startedTLS)
        mail = Mail(delivery.sender, delivery.recipients, octets, tls, delivery.user)
        delivery.sink.take(mail)
        return succeed(None)

    def connectionLost(self) -> None:
        """Twisted."""


class _Server(ESMTP):
    delivery: Any
    portal: Any

    def __init__(self, sink: "MailSink") -> None:
        super().__init__({b"PLAIN": PLAINCredentials}, sink.tls)  # type: ignore[no-untyped-call]
        self.sink = sink
        self.host = b"sink.example.com"
        self.portal = sink.portal
        self.delivery = _Delivery(sink, "")

    def connectionMade(self) -> None:
        """Twisted."""
        self.sink.came(self)
        if self.sink.greeting:
            transport: Any = self.transport
            transport.write(self.sink.greeting)
        elif not self.sink.silent:
            super().connectionMade()  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted."""
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        self.sink.went(self)

    def validateFrom(self, helo: Any, origin: Any) -> Any:
        """Twisted: MAIL; a login has put another delivery in place."""
        self.delivery.server = self
        return super().validateFrom(helo, origin)  # type: ignore[no-untyped-call]


@implementer(IRealm)
class _Realm:
    def __init__(self, sink: "MailSink") -> None:
        self._sink = sink

    def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:
        """Twisted."""
        delivery = _Delivery(self._sink, avatarId.decode())
        return IMessageDelivery, delivery, lambda: None


class MailSink(_Sink):
    """Keeps mail in ``mails``; the server is Twisted's own.

    ``refuse`` says which command ("MAIL", "RCPT", "DATA") is answered with which code; ``silent``
    sends no greeting, ``greeting`` is sent in place of the usual one. With ``tls``, a context
    factory, STARTTLS is offered; ``users`` are those of AUTH, offered over TLS.
    """

    def __init__(self, reactor: Any, tls: Any = None, users: dict[str, str] | None = None) -> None:
        super().__init__(reactor)
        self.mails: list[Mail] = []
        self.refuse: dict[str, int] = {}
        self.silent = False
        self.greeting = b""
        self.tls = tls
        accounts = {name.encode(): word.encode() for name, word in (users or {}).items()}
        checker = InMemoryUsernamePasswordDatabaseDontUse()
        checker.users = accounts
        self.portal = Portal(_Realm(self), [checker])

    def take(self, mail: Mail) -> None:
        """Keeps ``mail``."""
        self.mails.append(mail)
        self._watch.check()

    def refused(self, command: str) -> None:
        """Raises what refuses ``command``, if it is to be."""
        code = self.refuse.get(command)
        if code is not None:
            # Twisted wants octets for DATA and a text for the others.
            raise SMTPServerError(code, b"not wanted" if command == "DATA" else "not wanted")

    def _protocol(self) -> _Server:
        return _Server(self)
