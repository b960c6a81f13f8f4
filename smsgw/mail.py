"""E-mail: brings messages and reports to mailboxes, by the operator's relay or by MX.

One connection, one mail. What the receiving server says decides: 2yz it is delivered, 5yz it is
refused for good, anything else is tried again (ruling 17).
"""

import socket
from collections.abc import Sequence
from datetime import datetime
from io import BytesIO
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.ssl import CertificateOptions, optionsForClientTLS
from twisted.mail.smtp import (
    Address,
    ESMTPClient,
    PLAINAuthenticator,
    TLSError,
    TLSRequiredError,
)
from twisted.names import client, dns
from twisted.names.error import DNSNameError, DomainError
from twisted.python.failure import Failure

from smsgw.config import Config
from smsgw.flow.targets import DELIVERED, FAILED, REFUSED, Delivery, Told
from smsgw.outward import TLS_FAILED, UnderWay, endpoint_to, why
from smsgw.provisioning.targets import masked
from smsgw.text import reports
from smsgw.text.letters import Letter, message_letter, notice_letter, relay_letter, report_letter
from smsgw.text.reading import read

_SMTP = 25
_COMMAND_S = 30  # how long a server may take for one answer
_WHOLE_S = 120.0  # and all of it
_EXCHANGERS = 5  # of a domain, that are tried
_SAID = 1 << 18  # octets that a server may send; Twisted bounds no answer of many lines


dns.DNSDatagramProtocol.noisy = False  # a line in the log for each question


class _Refusal(Exception):
    """The server said no to the mail with this reply code."""

    def __init__(self, code: int, text: str = "") -> None:
        super().__init__(text or f"SMTP {code}")
        self.code = code


class _Trouble(Exception):
    """It did not come so far that the server could say yes or no; the text says why."""


class _Whole(BytesIO):
    """A file that is read at once: a line's first dot is doubled only if the line break before it
    was read with it."""

    def read(self, size: int | None = -1) -> bytes:
        """All of it."""
        return super().read()


class _Sending(ESMTPClient):
    """One mail on its way; ``done`` fires with None, or fails with why not."""

    timeout = _COMMAND_S  # type: ignore[assignment]
    debug = False

    def __init__(self, letter: Letter, identity: str, tls: Any, login: tuple[str, str]) -> None:
        super().__init__(login[1].encode(), tls, identity.encode())  # type: ignore[no-untyped-call]
        if login[0]:
            self.registerAuthenticator(PLAINAuthenticator(login[0].encode()))  # type: ignore[no-untyped-call]
        self._login = bool(login[0])
        self._letter: Letter | None = letter
        self._recipient = letter.recipient
        self._said = 0
        self.done: Deferred[None] = Deferred(lambda _: self._leave())

    def dataReceived(self, data: bytes) -> None:
        """Twisted: a server that does not stop is left."""
        self._said += len(data)
        if self._said > _SAID:
            self._tell(_Trouble("no SMTP"))
            self._leave()
        else:
            super().dataReceived(data)  # type: ignore[no-untyped-call]

    def authenticate(self, code: Any, resp: Any, items: Any) -> None:
        """Twisted: a password goes over TLS only."""
        if self._login and not self._tlsMode:
            self.sendError(_Trouble("the relay offers no TLS, which the login needs"))
            return
        self.requireAuthentication = self._login
        super().authenticate(code, resp, items)  # type: ignore[no-untyped-call]

    def getMailFrom(self) -> Address | None:
        """Twisted: None when all is sent."""
        return None if self._letter is None else Address(self._letter.sender)

    def getMailTo(self) -> list[Address]:
        """Twisted."""
        return [Address(self._recipient)]

    def getMailData(self) -> BytesIO:
        """Twisted: it wants lines that end with a line feed alone."""
        assert self._letter is not None
        return _Whole(self._letter.octets)

    def sentMail(self, code: int, resp: Any, numOk: int, addresses: Any, log: Any) -> None:
        """Twisted: the transaction is over. ``addresses`` has the answers to RCPT."""
        self._letter = None
        if not numOk and addresses:
            code = addresses[0][1]
        if numOk and 200 <= code < 300:
            self._tell(None)
        else:
            self._tell(_Refusal(code))

    def sendError(self, exc: Exception) -> None:
        """Twisted: it cannot go on. A refusal of the greeting, of TLS or of the login is not one of
        the mail."""
        code = getattr(exc, "code", 0)
        if isinstance(exc, _Trouble):
            words = str(exc)
        elif isinstance(exc, TLSRequiredError):
            words = "the relay offers no TLS"
        elif isinstance(exc, TLSError):
            words = TLS_FAILED
        else:
            words = f"SMTP {code}" if code > 0 else why(exc) or "no SMTP"
        self._tell(_Trouble(words))
        super().sendError(exc)  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted."""
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        self._tell(_Trouble((reason.value and why(reason.value)) or "connection lost"))

    def _leave(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()

    def _tell(self, fault: Exception | None) -> None:
        if self.done.called:
            return
        if fault is None:
            self.done.callback(None)
        else:
            self.done.errback(fault)


class Mail:
    """The messenger of targets of kind "email"."""

    def __init__(
        self, config: Config, reactor: Any, resolver: Any = None, port: int = _SMTP
    ) -> None:
        """``resolver`` is a ``twisted.names`` one, None: the system's; ``port`` that of mail
        exchangers."""
        self._config = config.smtp
        self._aaisp = config.aaisp
        self._private = config.aaisp.allow_private_callbacks
        self._reactor = reactor
        self._resolver = resolver
        self._port = port
        # What is offered and fails is done without: a mail in clear is better than none.
        offered = not config.smtp.relay or config.smtp.relay_tls == "offered"
        self._modes = ("offered", "none") if offered else (config.smtp.relay_tls,)
        self._domain = config.smtp.domains.sms or socket.gethostname()
        self._under_way = UnderWay(reactor)

    def deliver(self, delivery: Delivery) -> Deferred[Told]:
        """Fires with how it went; the detail is an SMTP reply code or a few words."""
        return self._under_way.run(self._deliver(delivery))

    def stop(self) -> Deferred[None]:
        """Fires when no mail is under way any more."""
        return self._under_way.stop()

    async def _deliver(self, delivery: Delivery) -> Told:
        letter = self._letter(delivery)
        if letter is None:
            return Told(DELIVERED, "not mailed")
        asked = Deferred.fromCoroutine(self._send(letter))
        late = self._reactor.callLater(_WHOLE_S, asked.cancel)
        try:
            return await asked
        finally:
            if late.active():
                late.cancel()

    def _letter(self, delivery: Delivery) -> Letter | None:
        message, target, account = delivery.message, delivery.target, delivery.account
        reading = read(message, account.time_zone)
        kind = "mo" if delivery.event == "mo" else "report"
        name = f"{kind}.{message.id}.{delivery.entry_id}"
        if delivery.event == "mo" and target.dialect == "aql":
            return relay_letter(reading, target.address, message.id, name, self._domain)
        if delivery.event == "mo":
            return message_letter(reading, target.address, target.prefix, name, self._domain)
        if delivery.event == "notice":
            name = f"notice.{message.id}.{delivery.entry_id}"
            place = masked(message.targets[delivery.part])
            return notice_letter(reading, place, target.address, message.id, name, self._domain)
        code = delivery.part or reports.code_of(delivery.event, message)
        settings = self._aaisp.for_account(account.settings.get("aaisp", {}))
        if code in (reports.ACCEPTED, reports.BUFFERED) and not settings.mail_progress:
            return None
        last = message.done_at or message.carrier_at or message.accepted_at
        done = datetime.fromtimestamp(last / 1000, reading.at.tzinfo)
        return report_letter(code, reading, message.id, done, target.address, name, self._domain)

    async def _send(self, letter: Letter) -> Told:
        detail = "no mail exchanger"
        try:
            for host, port in await self._places(letter.recipient):
                for tls in self._modes:
                    try:
                        await self._connect(letter, host, port, tls)
                        return Told(DELIVERED, "SMTP 250")
                    except (CancelledError, _Refusal):
                        raise
                    except Exception as fault:
                        detail = why(fault) or str(fault)
                    if detail != TLS_FAILED:
                        break
        except CancelledError as fault:
            detail = why(fault)
        except _Refusal as refusal:
            return Told(REFUSED if refusal.code >= 500 else FAILED, str(refusal))
        return Told(FAILED, detail)

    async def _places(self, recipient: str) -> Sequence[tuple[str, int]]:
        """Where mail for ``recipient`` is taken, in the order to try (RFC 5321 §5.1)."""
        if self._config.relay:
            host, _, port = self._config.relay.rpartition(":")
            return [(host.strip("[]"), int(port))]
        domain = recipient.rpartition("@")[2]
        try:
            answers, _, _ = await (self._resolver or client).lookupMailExchange(domain)
        except DNSNameError:
            answers = []  # connecting tells that there is no such host
        except DomainError:
            return []
        found = sorted(
            (one.payload.preference, str(one.payload.name)) for one in answers if one.type == dns.MX
        )
        if not found:
            return [(domain, self._port)]
        if not found[0][1].strip("."):
            raise _Refusal(556, "the domain takes no mail")  # RFC 7505
        return [(name, self._port) for _, name in found[:_EXCHANGERS]]

    async def _connect(self, letter: Letter, host: str, port: int, tls: str) -> None:
        relayed = bool(self._config.relay)
        login = (self._config.relay_username, self._config.relay_password) if relayed else ("", "")
        context: Any = None
        if tls == "required":
            context = optionsForClientTLS(host)
        elif tls == "offered":
            # Whoever could forge a certificate could as well hide the offer (RFC 7435 §3).
            context = CertificateOptions()
        sending = _Sending(letter, self._domain, context, login)
        sending.requireTransportSecurity = tls == "required"
        endpoint = endpoint_to(self._reactor, host, port, private=relayed or self._private)
        await endpoint.connect(Factory.forProtocol(lambda: sending))
        await sending.done
