"""The commands of an SMTP session (``spec/mm4.md`` section 7).

A mail ends in the factory's ``receive``, whose reply is the answer to its content: so "250" is said
only when the mail is stored (I1).
"""

import base64
import binascii
from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import ITLSTransport
from twisted.logger import Logger
from twisted.mail.smtp import COMMAND, DATA
from twisted.python.failure import Failure

from smsgw.certificates import names_of
from smsgw.smtp import grammar, replies
from smsgw.smtp.content import DataReader
from smsgw.smtp.envelope import Envelope
from smsgw.smtp.grammar import Recipient, Sender
from smsgw.smtp.line import SmtpLine
from smsgw.smtp.peers import Peer
from smsgw.smtp.replies import Reply
from smsgw.smtp.spool import Spool

if TYPE_CHECKING:
    from smsgw.smtp.server import SmtpServerFactory

_log = Logger()

DATA_S = 600.0  # from "354" to the end of the content
RECIPIENTS = 100
_LOGIN = "LOGIN"
_NOT_SERVED = frozenset({"EXPN", "TURN", "ETRN", "BDAT", "HELP"})


class SmtpConnection(SmtpLine):
    """One client."""

    def __init__(self, factory: "SmtpServerFactory", address: str = "") -> None:
        super().__init__(factory, address)
        self._name = ""  # of EHLO or HELO
        self._extended = False
        self._peer: Peer | None = None  # that has logged in
        self._shown: tuple[str, ...] | None = None  # names of its certificate, once looked at
        self._mail_peer: Peer | None = None
        self._sender: Sender | None = None
        self._recipients: list[Recipient] = []
        self._reader = DataReader(0)
        self._received_id = ""
        self._commands: dict[bytes, Callable[[str], None]] = {
            b"EHLO": self.do_EHLO,
            b"HELO": self.do_HELO,
            b"MAIL": self.do_MAIL,
            b"RCPT": self.do_RCPT,
            b"DATA": self.do_DATA,
            b"RSET": self.do_RSET,
            b"NOOP": self.do_NOOP,
            b"QUIT": self.do_QUIT,
            b"AUTH": self.do_AUTH,
            b"STARTTLS": self.do_STARTTLS,
            b"VRFY": self.do_VRFY,
        }

    def state_COMMAND(self, line: bytes) -> None:
        """Twisted: one command."""
        verb, _, argument = line.partition(b" ")
        command = self._commands.get(verb.upper())
        if not line.isascii() or not line.strip():
            self._say(replies.SYNTAX)
        elif command is None:
            known = verb.decode("ascii").upper() in _NOT_SERVED
            self._say(replies.NOT_SERVED if known else replies.UNKNOWN)
        else:
            command(argument.decode("ascii").strip(" "))

    def do_EHLO(self, rest: str) -> None:
        """EHLO."""
        if self._introduced(rest, extended=True):
            lines = [self.factory.host, *self._offers()]
            last = len(lines) - 1
            text = "".join(
                f"250{' ' if n == last else '-'}{one}\r\n" for n, one in enumerate(lines)
            )
            self._write(text.encode())

    def do_HELO(self, rest: str) -> None:
        """HELO."""
        if self._introduced(rest, extended=False):
            self._say(Reply(250, "", self.factory.host))

    def _introduced(self, name: str, extended: bool) -> bool:
        if not grammar.helo(name):
            self._say(replies.NEEDS_NAME)
            return False
        self._name, self._extended = name, extended
        self._forget_mail()
        return True

    def _offers(self) -> list[str]:
        offers = [f"SIZE {self.factory.max_size}", "8BITMIME", "PIPELINING", "ENHANCEDSTATUSCODES"]
        if self._may_start_tls():
            offers.append("STARTTLS")
        if self._may_log_in() and self._peer is None:
            offers.append("AUTH PLAIN LOGIN")
        if self._peer is not None:
            offers.append("DSN")
        return offers

    def _may_start_tls(self) -> bool:
        able = self.factory.tls is not None and ITLSTransport.providedBy(self.transport)
        return able and not self.secure

    def _may_log_in(self) -> bool:
        return self.secure or self.factory.allow_plain_auth

    def do_STARTTLS(self, rest: str) -> None:
        """STARTTLS (RFC 3207): what was said before is forgotten."""
        if rest:
            self._say(replies.NO_ARGUMENT)
        elif self.secure:
            self._say(replies.ORDER)
        elif not self._may_start_tls():
            self._say(replies.NO_TLS)
        elif self._octets:
            # Whoever injects it must not have it taken for what came encrypted.
            self._close(replies.AFTER_STARTTLS)
        else:
            transport: Any = self.transport
            self._say(replies.START_TLS)
            self._flush()
            self._forget_mail()
            self._name, self._peer = "", None
            self.secure = True
            transport.startTLS(self.factory.tls)

    def do_AUTH(self, rest: str) -> None:
        """AUTH PLAIN, AUTH LOGIN (RFC 4954)."""
        mechanism, _, initial = rest.partition(" ")
        mechanism = mechanism.upper()
        if not self._extended or self._peer is not None or self._sender is not None:
            self._say(replies.ORDER)
        elif not self._may_log_in():
            self._say(replies.TLS_FOR_LOGIN)
        elif mechanism not in ("PLAIN", _LOGIN):
            self._say(replies.MECHANISM)
        else:
            self._prompt = mechanism, ""
            if initial:
                self._auth_step(b"" if initial == "=" else initial.encode())
            else:
                self._ask("" if mechanism == "PLAIN" else "Username:")

    def _ask(self, words: str) -> None:
        self._say(Reply(334, "", base64.b64encode(words.encode()).decode()))

    def _auth_step(self, line: bytes) -> None:
        assert self._prompt is not None
        (mechanism, username), self._prompt = self._prompt, None
        if line == b"*":
            self._say(replies.LOGIN_CANCELLED)
            return
        try:
            answer = base64.b64decode(line, validate=True).decode()
        except (binascii.Error, ValueError):
            self._say(replies.BAD_BASE64)
            return
        if mechanism == "PLAIN":
            pieces = answer.split("\0")
            if len(pieces) != 3 or pieces[0] not in ("", pieces[1]):
                self._say(replies.WRONG_LOGIN)
                return
            username, answer = pieces[1:]
        elif not username:
            if not answer:
                self._say(replies.WRONG_LOGIN)
                return
            self._prompt = mechanism, answer
            self._ask("Password:")
            return
        asked = self.factory.peers.login(username, answer, self.address, self._names())
        self._await(Deferred.fromCoroutine(asked), self._logged_in)

    def _logged_in(self, found: Peer | Reply) -> None:
        if isinstance(found, Peer):
            self._peer = found
            self._say(replies.LOGGED_IN)
            return
        self.factory.failed_logins += 1
        self.factory.log_refusal(self.address, found)
        self._say(found)

    def _names(self) -> tuple[str, ...]:
        """Of the certificate that the client has shown."""
        if not self.secure or not self.factory.asks_certificate:
            return ()
        if self._shown is None:
            self._shown = names_of(self.transport)
        return self._shown

    def do_MAIL(self, rest: str) -> None:
        """MAIL FROM."""
        if not self._name or self._sender is not None:
            self._say(replies.ORDER)
            return
        sender = grammar.mail(rest, dsn=True)
        if isinstance(sender, Reply):
            self._say(sender)
            return
        peer: Peer | Reply
        if self._peer is None:
            peer = self.factory.peers.choose(self.address, sender, self._names())
        elif not self.factory.peers.still(self._peer, self._names()):
            peer, self._peer = replies.LOGIN_FIRST, None
        else:
            peer = self._peer if self._peer.owns(sender) else replies.NOT_YOUR_ADDRESS
        if isinstance(peer, Reply):
            self._say(peer)
        elif peer.tls_required and not self.secure:
            self._say(replies.TLS_FIRST)
        elif sender.size > self.factory.max_size:
            self._say(replies.TOO_LARGE)
        else:
            self._mail_peer, self._sender = peer, sender
            self._say(replies.SENDER_OK)

    def do_RCPT(self, rest: str) -> None:
        """RCPT TO."""
        if self._sender is None or self._mail_peer is None:
            self._say(replies.ORDER)
            return
        recipient = grammar.rcpt(rest, dsn=True)
        if isinstance(recipient, Reply):
            self._say(recipient)
        elif len(self._recipients) >= RECIPIENTS:
            self._say(replies.TOO_MANY_RECIPIENTS)
        elif recipient.domain not in self.factory.domains:
            self._say(replies.NO_RELAY)
        else:
            refusal = self.factory.refused_recipient(self._mail_peer, recipient)
            if refusal is None:
                self._recipients.append(recipient)
            self._say(refusal or replies.RECIPIENT_OK)

    def do_DATA(self, rest: str) -> None:
        """DATA."""
        if rest:
            self._say(replies.NO_ARGUMENT)
        elif self._sender is None:
            self._say(replies.ORDER)
        elif not self._recipients:
            self._say(replies.NO_RECIPIENT)
        elif self.factory.overloaded():
            self._say(replies.DATA_OVERLOADED)
        else:
            self._reader = DataReader(self.factory.max_size)
            self._spool = Spool(self.factory.spool)
            self._received_id = self.factory.next_id()
            self._spool.add(self._received_line())
            self.mode = DATA
            self._data_timer = self.factory.clock.callLater(DATA_S, self._close, replies.TIMEOUT)
            self._say(replies.GO_AHEAD)

    def do_RSET(self, rest: str) -> None:
        """RSET."""
        if rest:
            self._say(replies.NO_ARGUMENT)
            return
        self._forget_mail()
        self._say(replies.OK)

    def do_NOOP(self, rest: str) -> None:
        """NOOP."""
        self._say(replies.OK)

    def do_QUIT(self, rest: str) -> None:
        """QUIT."""
        if rest:
            self._say(replies.NO_ARGUMENT)
        else:
            self._close(replies.BYE)

    def do_VRFY(self, rest: str) -> None:
        """VRFY: who is here is not told."""
        self._say(replies.VRFY if rest else replies.NEEDS_NAME)

    def _forget_mail(self) -> None:
        self._sender = self._mail_peer = None
        self._recipients = []

    # Content.

    def _received_line(self) -> bytes:
        protocol = f"ESMTP{'S' * self.secure}{'A' * (self._peer is not None)}"
        by = f"by {self.factory.host} with {protocol if self._extended else 'SMTP'}"
        date = formatdate(self.factory.now())
        return (
            f"Received: from {self._name} ([{self.address}])\r\n"
            f"\t{by} id {self._received_id}; {date}\r\n"
        ).encode()

    def _take_content(self) -> None:
        self._idle.resetTimeout()
        octets, self._octets = self._octets, b""
        reader, spool = self._reader, self._spool
        content = reader.feed(octets)
        if reader.fault is not None:
            self._drop_spool()
            if not reader.over and reader.taken > 2 * self.factory.max_size:
                self._close(reader.fault)  # it may not go on for ever
        elif content and spool is not None and spool.add(content):
            self._octets = reader.rest
            self._await(self.factory.run(spool.flush).addErrback(self._unspooled), self._flushed)
            return
        if reader.over:
            self._octets = reader.rest
            self._content_over()

    def _unspooled(self, failure: Failure) -> None:
        # What follows is content all the same, and never a command.
        _log.error(
            "SMTP {peer}: mail {id}: it cannot be spooled: {why}",
            peer=self.address,
            id=self._received_id,
            why=failure.getErrorMessage(),
        )
        self._drop_spool()
        self._reader.give_up(replies.of_failure(failure.value))

    def _flushed(self, _: None) -> None:
        if self._reader.over:
            self._content_over()

    def _content_over(self) -> None:
        self.mode = COMMAND
        self._stop_data_timer()
        spool, self._spool = self._spool, None
        sender, peer, recipients = self._sender, self._mail_peer, self._recipients
        self._forget_mail()
        fault = self._reader.fault
        if fault is not None or spool is None or sender is None or peer is None:
            fault = fault or replies.LOCAL_ERROR
            _log.info(
                "SMTP {peer}: mail {id}: {reply}",
                peer=self.address,
                id=self._received_id,
                reply=fault.octets.decode(),
            )
            self._answered(fault)
            return
        now = int(self.factory.now() * 1000)
        envelope = Envelope(
            self._received_id,
            peer,
            self.address,
            self._name,
            self.secure,
            sender,
            recipients,
            spool,
            now,
        )

        def received(result: Any) -> Any:
            spool.close()
            if isinstance(result, Failure):
                _log.failure("SMTP {peer}: mail {id}", result, peer=self.address, id=envelope.id)
                result = replies.of_failure(result.value)
            self.factory.told(envelope, result)
            return result

        receiving = maybeDeferred(self.factory.receive, envelope).addBoth(received)
        self._await(receiving, self._answered, silent=True)

    def _answered(self, reply: Reply) -> None:
        if reply.good:
            self._errors = 0
        self._say(reply)
        if self.factory.draining and not self.closing:
            self._close(replies.SHUTTING_DOWN)
