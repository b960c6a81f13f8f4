"""One SMTP connection without its commands.

Theory of operation. Octets gather in ``_octets`` and are taken from there a line at a time, or
after DATA as they come. While a step waits (a password is checked, a spool written, a mail stored)
nothing more is taken, and the transport is paused: so pipelined commands are answered in their
order and a client's memory here is bounded. Answers to commands that came together go together.
Answers that the client does not read pause it as well.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.mail.smtp import COMMAND, DATA, ESMTP
from twisted.python.failure import Failure

from smsgw.smtp import replies
from smsgw.smtp.replies import Reply
from smsgw.smtp.spool import Spool
from smsgw.transport import write

if TYPE_CHECKING:
    from smsgw.smtp.server import SmtpServerFactory

_log = Logger()

IDLE_S = 300  # RFC 5321 §4.5.3.2.7
ERRORS = 10
_LINE = 2_048  # octets of a command; of an AUTH response RFC 4954 §4 asks for 12,288
_AUTH_LINE = 12_288
_AHEAD = 16_384  # octets that are read from a client that does not read its answers
_AT_ONCE = 4_096  # octets of answers that are written as one
_ABORT_S = 10.0  # for the last answer to go out


class SmtpLine(ESMTP):
    """The connection of one client: its octets, answers and timers."""

    factory: "SmtpServerFactory"

    def __init__(self, factory: "SmtpServerFactory", address: str = "") -> None:
        """``address`` is the client's; "": that of the transport."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.factory = factory
        self._idle: Any = self  # Twisted's TimeoutMixin, which has no types
        self.address = address
        self.secure = False
        self.closing = False
        self.busy = False  # a step is under way
        self._octets = b""
        self._answers = b""  # not written yet
        self._going = False
        self._choked = False
        self._errors = 0
        self._spool: Spool | None = None
        self._data_timer: Any = None
        self._abort_timer: Any = None
        self._prompt: tuple[str, str] | None = None  # of AUTH: mechanism, and what was answered

    def connectionMade(self) -> None:
        """Twisted."""
        transport: Any = self.transport
        factory = self.factory
        address = self.address or str(getattr(transport.getPeer(), "host", ""))
        self.address = address.partition("%")[0]
        self.secure = ISSLTransport.providedBy(transport)
        factory.opened(self)
        no_delay = getattr(transport, "setTcpNoDelay", None)
        if no_delay is not None:
            no_delay(True)
        transport.registerProducer(self, True)
        self._idle.setTimeout(IDLE_S)
        refusal = factory.greeting_refusal(self.address)
        if refusal is not None:
            factory.log_refusal(self.address, refusal)
            self._close(refusal)
            return
        self._say(Reply(220, "", f"{factory.host} ESMTP"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted."""
        self.closing = True
        self._idle.setTimeout(None)
        self._stop_data_timer()
        if self._abort_timer is not None and self._abort_timer.active():
            self._abort_timer.cancel()
        if not self.busy:
            self._drop_spool()
        self.factory.closed(self)

    def callLater(self, period: float, func: Callable[[], object]) -> Any:
        """Twisted: its timers."""
        return self.factory.clock.callLater(period, func)

    def timeoutConnection(self) -> None:
        """Twisted: nothing came for too long."""
        self._close(replies.TIMEOUT)

    def pauseProducing(self) -> None:
        """Twisted: the client does not read its answers."""
        self._choked = True
        self._flow()

    def resumeProducing(self) -> None:
        """Twisted: it has read them."""
        self._choked = False
        self._flow()
        self._go()

    def stopProducing(self) -> None:
        """Twisted: the connection is over."""

    def dataReceived(self, data: bytes) -> None:
        """Twisted."""
        self._octets += data
        self._go()
        if self._choked or self.busy:
            self._flow()

    def leave(self) -> None:
        """The service stops: closes now, or after the mail under way."""
        if not self.busy and self.mode != DATA and not self.closing:
            self._close(replies.SHUTTING_DOWN)

    def _go(self) -> None:
        if self._going:
            return
        self._going = True
        try:
            while self._octets and not (self.busy or self.closing or self._choked):
                if self.mode == DATA:
                    self._take_content()
                elif not self._take_line():
                    break
        finally:
            self._going = False
            self._flush()
        if self.closing:
            self._octets = b""

    def _take_line(self) -> bool:
        """True if a line was there."""
        line, end, rest = self._octets.partition(b"\n")
        most = _LINE if self._prompt is None else _AUTH_LINE
        if len(line) > most:
            # What a line of this length begins is not looked for: the client is out of step.
            self._close(replies.LINE_TOO_LONG)
            return False
        if not end:
            return False
        self._octets = rest
        self._idle.resetTimeout()
        if not line.endswith(b"\r") or b"\r" in line[:-1] or b"\0" in line:
            self._say(replies.SYNTAX)
        elif self._prompt is not None:
            self._auth_step(line[:-1])
        else:
            self.state_COMMAND(line[:-1])
        return True

    def _flow(self) -> None:
        transport: Any = self.transport
        if self.closing or transport is None:
            return
        # TLS says so as well while it is being set up, and then must be read on.
        if self.busy or (self._choked and len(self._octets) >= _AHEAD):
            transport.pauseProducing()
        else:
            transport.resumeProducing()

    def _await(
        self, step: Deferred[Any], then: Callable[[Any], None], silent: bool = False
    ) -> None:
        """Takes nothing more until ``step`` is over; a fault of it is told as a local error. A
        client that will be ``silent`` meanwhile is paused only if it is not."""
        self.busy = True
        self._idle.setTimeout(None)

        def over(result: Any) -> None:
            self.busy = False
            if isinstance(result, Failure):
                _log.failure("SMTP {peer}", result, peer=self.address)
                self._drop_spool()
                self.mode = COMMAND
                result = replies.LOCAL_ERROR
                self._stop_data_timer()
                after: Callable[[Any], None] = self._say
            else:
                after = then
            if self.closing:
                self._drop_spool()
                return
            self._idle.setTimeout(IDLE_S)
            after(result)
            self._flow()
            self._go()

        if step.called:
            step.addBoth(over)
        else:
            if self._octets or not silent:
                self._flow()
            step.addBoth(over)

    def _say(self, reply: Reply) -> None:
        if self.closing:
            return
        self._write(reply.octets + b"\r\n")
        if reply.code >= 400:
            self.factory.refusals[reply.code] += 1
        if reply.code >= 500:
            self._errors += 1
            if self._errors >= ERRORS:
                self._close(replies.TOO_MANY_ERRORS)

    def _write(self, octets: bytes) -> None:
        self._answers += octets
        if not self._going or len(self._answers) >= _AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        """Writes the answers that were held back for others to go with them."""
        if self._answers and self.transport is not None:
            answers, self._answers = self._answers, b""
            write(self.transport, answers)

    def _close(self, reply: Reply) -> None:
        if self.closing:
            return
        transport: Any = self.transport
        self.closing = True
        self._idle.setTimeout(None)
        self._write(reply.octets + b"\r\n")
        self._flush()
        if reply.code >= 400:
            self.factory.refusals[reply.code] += 1
        transport.unregisterProducer()
        transport.loseConnection()
        self._abort_timer = self.factory.clock.callLater(_ABORT_S, transport.abortConnection)
        self._stop_data_timer()
        if not self.busy:
            self._drop_spool()

    def state_COMMAND(self, line: bytes) -> None:
        """Twisted: one command."""
        raise NotImplementedError

    def _auth_step(self, line: bytes) -> None:
        """An answer to a prompt of AUTH."""
        raise NotImplementedError

    def _take_content(self) -> None:
        """Takes what came after DATA."""
        raise NotImplementedError

    def _drop_spool(self) -> None:
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def _stop_data_timer(self) -> None:
        if self._data_timer is not None and self._data_timer.active():
            self._data_timer.cancel()
        self._data_timer = None
