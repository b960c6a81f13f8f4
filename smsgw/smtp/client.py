"""Mails on their way out by Twisted's ESMTP client: several on one connection, and what became of
each recipient as a value."""

from collections import deque
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.mail.smtp import (
    ESMTPClient,
    PLAINAuthenticator,
    TLSError,
    TLSRequiredError,
    quoteaddr,
)
from twisted.python.failure import Failure

from smsgw.outward import TLS_FAILED, endpoint_to, why
from smsgw.smtp.content import stuffed
from smsgw.smtp.outcomes import Job, Mail, Outcome, Result, outcome_of, temporary
from smsgw.transport import write

ANSWER_S = 300.0  # RFC 5321 §4.5.3.2, for all but the end of the content
CONTENT_S = 600.0
_SAID = 1 << 18  # octets that a server may say to one mail; Twisted bounds no answer of many lines
_AT_ONCE = 1 << 17  # octets of content that are written as one
_PEM = b"-----END CERTIFICATE-----"
_DATA = b"DATA"


@frozen
class Place:
    """A server, and how it is spoken to.

    ``tls`` is "none", "offered" (then with any certificate: who could forge one could as well hide
    the offer, RFC 7435 §3) or "required". A password goes over TLS only, unless ``tls`` is "none"
    and ``plain_login``. ``private`` allows addresses that are not public.
    """

    host: str
    port: int = 25
    tls: str = "offered"
    tls_ca: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    plain_login: bool = False
    private: bool = False

    def context(self) -> Any:
        """What makes TLS connections; None without. Raises OSError and OpenSSL's errors."""
        if self.tls == "none":
            return None
        if self.tls == "offered":
            return CertificateOptions()
        if not self.tls_ca:
            return optionsForClientTLS(self.host)
        pieces = Path(self.tls_ca).read_bytes().split(_PEM)[:-1]
        trusted = trustRootFromCertificates([Certificate.loadPEM(one + _PEM) for one in pieces])
        return optionsForClientTLS(self.host, trustRoot=trusted)


class Trouble(Exception):
    """It did not come so far that the server could say yes or no; the text says why."""


class SmtpLink(ESMTPClient):
    """One connection. Whenever it is ready it asks ``next_job``; without one it is idle until
    ``take``."""

    debug = False

    def __init__(
        self,
        place: Place,
        identity: str,
        clock: Any,
        next_job: Callable[["SmtpLink"], Job | None],
        gone: Callable[["SmtpLink", Job | None, str], None],
        answer_s: float = ANSWER_S,
        context: Any = None,
    ) -> None:
        """``identity`` is said with EHLO. ``gone`` is called once, with the job that was not done
        and why, when the connection is over."""
        super().__init__(place.password.encode(), context, identity.encode())  # type: ignore[no-untyped-call]
        self._untyped: Any = self
        self._place = place
        self._clock = clock
        self._next_job = next_job
        self._gone: Callable[[SmtpLink, Job | None, str], None] | None = gone
        self._answer_s = answer_s
        self.timeout: Any = answer_s
        self._login = bool(place.username)
        self._job: Job | None = None
        self._why = ""
        self._said = 0
        self._features: dict[bytes, bytes] = {}
        self._content = b""
        self._ahead: deque[bytes] = deque()  # lines that were written before it was their turn
        self.idle = False
        self.mails = 0
        self.requireTransportSecurity = place.tls == "required"
        if self._login:
            self._untyped.registerAuthenticator(PLAINAuthenticator(place.username.encode()))  # type: ignore[no-untyped-call]

    def __setattr__(self, name: str, value: object) -> None:
        """Twisted's looks for a name that it has given up, each time."""
        object.__setattr__(self, name, value)

    def connectionMade(self) -> None:
        """Twisted."""
        # The end of a content would wait for the peer's delayed acknowledgement of the rest.
        no_delay = getattr(self.transport, "setTcpNoDelay", None)
        if no_delay is not None:
            no_delay(True)
        super().connectionMade()  # type: ignore[no-untyped-call]

    def callLater(self, period: float, func: Callable[[], object]) -> Any:
        """Twisted: its timers."""
        return self._clock.callLater(period, func)

    def dataReceived(self, data: bytes) -> None:
        """Twisted: a server that does not stop is left."""
        self._said += len(data)
        if self._said > _SAID:
            self._why = self._why or "no SMTP"
            self.abort()
        else:
            super().dataReceived(data)  # type: ignore[no-untyped-call]

    def esmtpState_serverConfig(self, code: Any, resp: Any) -> None:
        """Twisted: the answer to EHLO."""
        self._features = {
            words[0].upper(): b" ".join(words[1:])
            for words in (line.split() for line in resp.splitlines()[1:])
            if words
        }
        super().esmtpState_serverConfig(code, resp)  # type: ignore[no-untyped-call]

    def smtpState_helo(self, code: Any, resp: Any) -> None:
        """Twisted: EHLO was refused. It would say HELO as often as that is refused."""
        super().smtpState_helo(code, resp)  # type: ignore[no-untyped-call]
        self._failresponse = self._untyped.smtpConnectionFailed

    def authenticate(self, code: Any, resp: Any, items: Any) -> None:
        """Twisted: a password goes over TLS only."""
        if self._login and not self._tlsMode and not self._place.plain_login:
            self.sendError(Trouble("the relay offers no TLS, which the login needs"))
            return
        self.requireAuthentication = self._login
        super().authenticate(code, resp, items)  # type: ignore[no-untyped-call]

    def smtpState_from(self, code: Any, resp: Any) -> None:
        """Twisted: ready for a mail."""
        self._said = 0
        self._untyped.setTimeout(self._answer_s)
        while True:
            job = self._next_job(self)
            if job is None:
                self._rest()
                return
            refusal = self._refusal(job.mail)
            if refusal is None:
                break
            job.end_all(refusal)
        self._begin(job)

    def take(self, job: Job) -> None:
        """Sends it, on an idle connection."""
        self.idle = False
        self._untyped.setTimeout(self._answer_s)
        refusal = self._refusal(job.mail)
        if refusal is None:
            self._begin(job)
        else:
            job.end_all(refusal)
            self.smtpState_from(0, b"")

    def quit(self) -> None:
        """Ends an idle connection politely."""
        self.idle = False
        self._untyped.setTimeout(10.0)
        self._untyped._disconnectFromServer()

    def abort(self) -> None:
        """Ends it at once."""
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()

    def _rest(self) -> None:
        self.idle = True
        self._untyped.setTimeout(None)
        # Whatever is said now says that it closes.
        self._expected: Any = ()
        self._failresponse: Any = lambda code, resp: self.abort()

    def _refusal(self, mail: Mail) -> Outcome | None:
        """Why it need not be sent, after what the server has said of itself."""
        for address in (mail.sender, *mail.recipients):
            if not address.isascii() or not address.isprintable() or set(address) & set("<> "):
                return outcome_of(553, "an address that SMTP cannot carry")
        content = mail.content
        if not content.isascii() and b"8BITMIME" not in self._features:
            if mail.seven_bit is None:
                return outcome_of(554, "the server takes no 8-bit mail")
            content = mail.seven_bit()
        limit = self._features.get(b"SIZE", b"")
        if limit.isdigit() and 0 < int(limit) < len(content):
            why_not = outcome_of(552, f"larger than the {int(limit)} octets that the server takes")
            return evolve(why_not, limit=int(limit))
        self._content = content
        return None

    def _begin(self, job: Job) -> None:
        self._job = job
        self.mails += 1
        self._from: Any = job.mail.sender
        line = b"MAIL FROM:<" + job.mail.sender.encode() + b">"
        if b"SIZE" in self._features:
            line += b" SIZE=%d" % len(self._content)
        if not self._content.isascii():
            line += b" BODY=8BITMIME"
        self._expected = [250]
        self._okresponse: Any = self._untyped.smtpState_to
        self._failresponse = self._untyped.smtpTransferFailed
        self._ahead.clear()
        if b"PIPELINING" not in self._features:
            self.sendLine(line)
            return
        more = [*(b"RCPT TO:" + _quoted(one) for one in job.mail.recipients), _DATA]
        self._write(b"\r\n".join((line, *more, b"")))
        self._ahead.extend(more)

    def sendLine(self, line: bytes) -> None:
        """Twisted: what was written ahead is not said twice."""
        if self._ahead and line == self._ahead[0]:
            self._ahead.popleft()
        else:
            self._write(line + b"\r\n")

    def _write(self, octets: bytes) -> None:
        if self.transport is not None:
            write(self.transport, octets)

    def lineReceived(self, line: bytes) -> None:
        """Twisted: an answer."""
        if self._job is not None:
            self._job.answered = True
        super().lineReceived(line)  # type: ignore[no-untyped-call]

    def getMailTo(self) -> list[str]:
        """Twisted."""
        assert self._job is not None
        return list(self._job.mail.recipients)

    def smtpState_data(self, code: Any, resp: Any) -> None:
        """Twisted: the server waits for the content."""
        if len(self._content) > _AT_ONCE:
            super().smtpState_data(code, resp)  # type: ignore[no-untyped-call]
            return
        self._write(stuffed(self._content) + b".\r\n")
        self._written()

    def getMailData(self) -> BytesIO:
        """Twisted: dots are doubled here already."""
        return BytesIO(stuffed(self._content))

    def transformChunk(self, chunk: bytes) -> bytes:
        """Twisted: it would take lines without CR, and undouble nothing between chunks."""
        self._untyped.resetTimeout()
        return chunk

    def finishedFileTransfer(self, lastsent: Any) -> None:
        """Twisted: all of it is written."""
        self.sendLine(b".")
        self._written()

    def _written(self) -> None:
        self._content = b""
        self._untyped.setTimeout(CONTENT_S)
        self._expected = range(200, 300)
        self._okresponse = self._taken

    def _taken(self, code: int, resp: Any) -> None:
        """The content is taken, which ends the transaction without RSET (RFC 5321 §4.1.1.4)."""
        self._tell(code, resp)
        self.smtpState_from(code, resp)

    def smtpState_msgSent(self, code: int, resp: Any) -> None:
        """Twisted: the mail is refused. What was said ahead is still answered."""
        self._tell(code, resp)
        if not self._ahead:
            super().smtpState_msgSent(code, resp)  # type: ignore[no-untyped-call]
            return
        self._expected = range(1000)
        self._okresponse = self._pass_over

    def _pass_over(self, code: int, resp: Any) -> None:
        """An answer to what was said ahead of a refusal."""
        line = self._ahead.popleft()
        if self._ahead:
            return
        if line == _DATA and code == 354:
            # A mail for nobody, which there must be an end of (RFC 2920 §3.1).
            self._okresponse = self.smtpState_msgSent
            self.sendLine(b".")
        else:
            self.smtpState_msgSent(code, resp)

    def _tell(self, code: int, resp: Any) -> None:
        if self._from is not None:
            self.sentMail(code, resp, 0, self._untyped.toAddressesResult, None)
        self._untyped.toAddressesResult = []
        self._from = None

    def sentMail(self, code: int, resp: Any, numOk: int, addresses: Any, log: Any) -> None:
        """Twisted: the transaction is over. ``addresses`` has the answers to RCPT."""
        job, self._job = self._job, None
        self._content = b""
        if job is None:
            return
        whole = outcome_of(code, resp)
        outcomes = dict.fromkeys(job.mail.recipients, whole)
        for address, its_code, its_text in addresses:
            its = outcome_of(its_code, its_text)
            if its.result != Result.DELIVERED:
                outcomes[address] = its
        if code == 421:
            self._why = "SMTP 421"
        job.end(outcomes)

    def sendError(self, exc: Exception) -> None:
        """Twisted: it cannot go on. A refusal of the greeting, of TLS or of the login is not one of
        the mail."""
        code = getattr(exc, "code", 0)
        if isinstance(exc, Trouble):
            words = str(exc)
        elif isinstance(exc, TLSRequiredError):
            words = "the relay offers no TLS"
        elif isinstance(exc, TLSError):
            words = TLS_FAILED
        else:
            words = f"SMTP {code}" if code > 0 else why(exc) or "no SMTP"
        self._why = self._why or words
        super().sendError(exc)  # type: ignore[no-untyped-call]
        self._over()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted."""
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        if not self._why:
            self._why = (reason.value and why(reason.value)) or "connection lost"
        self._over()

    def _over(self) -> None:
        self.idle = False
        self._ahead.clear()
        gone, self._gone = self._gone, None
        job, self._job = self._job, None
        if gone is not None:
            gone(self, job, self._why)


def _quoted(address: str) -> bytes:
    quoted: bytes = quoteaddr(address)
    return quoted


def connect(reactor: Any, place: Place, make: Callable[[Any], SmtpLink]) -> Deferred[SmtpLink]:
    """Connects to ``place`` with what ``make`` makes of a TLS context; fails as endpoints do."""
    context = place.context()
    endpoint = endpoint_to(reactor, place.host, place.port, private=place.private)
    factory: Any = Factory.forProtocol(lambda: make(context))
    factory.noisy = False  # two lines in the log for each connection
    connected: Deferred[SmtpLink] = endpoint.connect(factory)
    return connected


async def send_once(
    reactor: Any, place: Place, identity: str, mail: Mail, answer_s: float = ANSWER_S
) -> dict[str, Outcome]:
    """Sends one mail on a connection of its own. Raises ``Trouble`` and what endpoints raise;
    cancelling closes the connection."""
    job = Job(mail)
    ended: Deferred[dict[str, Outcome]] = Deferred(lambda _: link.abort())
    waiting = [job]

    def next_job(link: SmtpLink) -> Job | None:
        if waiting:
            return waiting.pop()
        link.quit()
        return None

    def gone(_: SmtpLink, left: Job | None, words: str) -> None:
        if not ended.called:
            ended.errback(Trouble(words))

    job.done.addCallback(lambda outcomes: None if ended.called else ended.callback(outcomes))
    link = await connect(
        reactor,
        place,
        lambda context: SmtpLink(place, identity, reactor, next_job, gone, answer_s, context),
    )
    return await ended


__all__ = [
    "ANSWER_S",
    "Job",
    "Mail",
    "Outcome",
    "Place",
    "Result",
    "SmtpLink",
    "Trouble",
    "connect",
    "outcome_of",
    "send_once",
    "temporary",
]
