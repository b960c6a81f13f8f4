"""One HTTP/1.1 connection on Twisted: its limits and its timeouts.

How a connection works. What comes goes to the ``RequestReader``; a request that is complete goes to
the end of ``_waiting``. ``_serve`` takes one after the other, asks
the site, and writes each answer with one write before it takes the next (RFC 9112 §9.3.2: answers
in order, and no POST beside another).

Memory is bounded: a connection keeps at most one request that is being read, those of one slice of
8 kB that wait, and one read of the socket that is not parsed yet. Reading pauses while
``WAITING_MARK`` requests wait, and nothing is served while the client does not read its answers.
An upload (a multipart body of a path that takes large ones) goes to a file, which is written on a
thread; meanwhile nothing is parsed.

Time is counted by the server's sweep, once a second for all connections, so that a request costs
no timer. A connection has one deadline; what it means follows from where it stands (``overdue``).
"""

from collections import deque
from typing import Any
from typing import Protocol as Interface

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IHalfCloseableDescriptor,
    IPushProducer,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from smsgw.http.reading import BODY, HEAD, IDLE, SLICE, Limits, RequestReader
from smsgw.http.site import (
    Refuse,
    Request,
    Response,
    Site,
    Stream,
    access_log,
    log,
    plain_refusal,
)
from smsgw.http.uploads import Uploads
from smsgw.http.wire import CONTINUE, RequestError, host_of, octets, stream_head
from smsgw.smtp.spool import Spool
from smsgw.transport import write

WAITING_MARK = 8  # requests that wait; reading pauses at it
_NEVER = float("inf")


class Server(Interface):
    """What a connection knows of its server."""

    site: Site
    limits: Limits
    now: float  # seconds, counted by the sweep
    date: bytes  # the Date header, with the line break before it
    draining: bool
    access: bool  # write an access log
    uploads: Uploads

    def opened(self, connection: "HttpConnection") -> None:
        """The connection is open."""

    def closed(self, connection: "HttpConnection") -> None:
        """The connection is closed."""


@implementer(IPushProducer)
class HttpConnection(Protocol):
    """One client's connection; a producer, so that the transport tells it when nobody reads."""

    def __init__(self, server: Server, peer: str = "") -> None:
        """``peer`` is the client's address, "": that of the connection."""
        self._server = server
        self._site = server.site
        self._limits = server.limits
        self._reader = RequestReader(server.site, server.limits, server.uploads, self)
        # Any: what stream transports share (TCP, TLS, unix) has no interface of its own.
        self._wire: Any = None
        self._secure = False
        self._peer = peer
        self._flushing = False  # an upload is written to its file, or is not admitted yet
        # Requests read, each with whether the connection stays open after it. A Response is the
        # last word, to a request that could not be read.
        self._waiting: deque[tuple[Request, bool] | Response] = deque()
        self._unfinished: Request | None = None  # what the last word is about, if that is known
        self._current: tuple[Request, bool] | None = None
        self._serving = False
        self._stream: Stream | None = None  # that is being written
        self._chunked = True
        self._unparsed = b""
        self._deaf = False  # nothing more is read from this client
        self._ended = False  # nothing more is written to it
        self._unread = False  # it was ended with input on its way
        self._paused = False
        self._choked = False
        self.deadline = _NEVER

    # --- Twisted calls these.

    def connectionMade(self) -> None:
        """Twisted: the client is there."""
        self._wire = self.transport
        wire = self._wire
        self._secure = self._reader.secure = ISSLTransport.providedBy(wire)
        if ITCPTransport.providedBy(wire):
            wire.setTcpNoDelay(True)
        self._peer = self._reader.peer = self._peer or host_of(wire.getPeer())
        wire.registerProducer(self, True)
        self._server.opened(self)
        self.deadline = self._server.now + self._limits.idle_s

    def dataReceived(self, data: bytes) -> None:
        """Twisted: the client sent something."""
        if self._deaf:
            return
        if self._unparsed or self._flushing or len(data) > SLICE:
            self._unparsed += data
            self._serve()
        else:
            self._feed(data)
            if self._waiting and self._current is None:
                self._serve()
        busy = self._unparsed or self._flushing or len(self._waiting) >= WAITING_MARK
        if busy and not self._paused:
            self._paused = True
            self._wire.pauseProducing()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Twisted: the client is gone. An answer that is still due is thrown away when it comes."""
        self._deaf = self._ended = True
        self.deadline = _NEVER
        self._forget()
        self._end_stream()
        self._reader.close()
        self._server.closed(self)

    def pauseProducing(self) -> None:
        """Twisted: the client does not read its answers."""
        self._choked = True
        if not self._ended:
            self.deadline = self._server.now + self._limits.unread_s

    def resumeProducing(self) -> None:
        """Twisted: the client has read them."""
        self._choked = False
        if not self._ended:
            self._await_client()
            self._pump()
            self._serve()

    def stopProducing(self) -> None:
        """Twisted: the connection is lost; ``connectionLost`` does what is due."""

    # --- The reader calls these.

    def request_begun(self) -> None:
        """The first octet of a request."""
        if self._current is None:
            self.deadline = self._server.now + self._limits.receive_s

    def request_read(self, request: Request, keep: bool) -> None:
        """A request is complete; ``keep``: the connection stays open after it."""
        if not keep:
            self._deaf = True
        self._waiting.append((request, keep))

    # --- Reading.

    def _feed(self, data: bytes) -> None:
        """Gives ``data`` to the reader."""
        reader = self._reader
        try:
            reader.feed(data)
        except RequestError as reason:
            self._refuse(reason)
            return
        if reader.flush_due and reader.spool is not None and not self._deaf:
            self._flush(reader.spool)
        elif reader.applying is not None and not self._deaf:
            self._apply(reader.applying)
        if reader.stage != IDLE:
            self._incomplete(len(data))

    def _apply(self, request: Request) -> None:
        """Asks whether an upload may come, of which there is the head; meanwhile nothing is
        parsed."""
        self._reader.applying = None
        admit = self._reader.route().admit
        answer: Any = None
        try:
            answer = admit(request) if admit is not None else None
        except Exception:  # whatever it raises is answered with 500
            answer = Failure()
        if isinstance(answer, Deferred):
            self._flushing = True
            answer.addBoth(self._applied, request)
        else:
            self._admitted(answer, request)

    def _applied(self, answer: Response | Failure | None, request: Request) -> None:
        self._flushing = False
        if self._ended:
            self._forget()
            return
        self._admitted(answer, request)
        if self._reader.continue_due and self._current is None and not self._waiting:
            self._say_continue()
        self._serve()

    def _admitted(self, answer: Response | Failure | None, request: Request) -> None:
        if isinstance(answer, Failure):
            log.failure("upload", answer)
            self._refuse(RequestError(500))
        elif answer is not None:
            self._turn_away(answer, request)

    def _flush(self, spool: Spool) -> None:
        """Writes to the file what came for it; meanwhile nothing is parsed."""
        self._reader.flush_due = False
        self._flushing = True
        self._server.uploads.run(spool.flush).addBoth(self._flushed)

    def _flushed(self, result: object) -> None:
        self._flushing = False
        if self._ended:
            self._forget()
            return
        if isinstance(result, Failure):
            log.error("upload: {why}", why=result.getErrorMessage())
            self._refuse(RequestError(503))
        self._serve()

    def _forget(self) -> None:
        """Nothing that came is answered any more."""
        self._unparsed = b""
        for item in self._waiting:
            if not isinstance(item, Response):
                self._let_go(item[0])
        self._waiting.clear()
        # What is being written to the file is waited for.
        if not self._flushing:
            self._reader.forget()

    def _let_go(self, request: Request) -> None:
        """The request is over, and so is the file of its body."""
        spool, request.spool = request.spool, None
        if spool is not None:
            self._server.uploads.end(self._peer, spool)

    def _incomplete(self, size: int) -> None:
        """``size`` octets of a request came and more must follow."""
        # What the parser itself keeps of it (a long header, a long trailer) is bounded here.
        reader = self._reader
        reader.silent += size
        if reader.silent > self._limits.head + self._limits.target + SLICE:
            self._refuse(RequestError(431 if reader.stage == HEAD else 400))
        elif reader.stage == BODY and self._current is None and not self._waiting:
            if reader.continue_due and not self._flushing:
                self._say_continue()
            # A large body may take its time as long as it comes with some speed.
            limits = self._limits
            self.deadline = min(
                self.deadline + size / limits.receive_rate, self._server.now + limits.receive_s
            )

    def _say_continue(self) -> None:
        self._reader.continue_due = False
        self._wire.write(CONTINUE)

    def _refuse(self, reason: RequestError) -> None:
        """End the connection with an answer to a request that cannot be read to its end."""
        refuse: Refuse = plain_refusal
        request: Request | None = None
        if self._reader.stage == BODY:
            refuse = self._reader.route().refuse
            request = self._reader.request()
        self._turn_away(refuse(reason.status, reason.text), request)

    def _turn_away(self, response: Response, request: Request | None) -> None:
        """End the connection with this answer to a request that is not read to its end; None if
        not even its head was."""
        if request is not None:
            request.dialect = self._reader.route().dialect
        self._unfinished = request
        self._reader.stage = IDLE
        self._deaf = self._unread = True
        self._unparsed = b""
        self._waiting.append(response)

    # --- Answering.

    def _serve(self) -> None:
        """Answer what waits, read on from what is not parsed, until one of them has to wait."""
        if self._serving:
            return
        self._serving = True
        while self._may_serve():
            if self._waiting:
                item = self._waiting.popleft()
                if type(item) is Response:
                    self._write(item, self._unfinished, False)
                    self._end()
                    break
                self._current = item
                self.deadline = _NEVER
                result = self._site.answer(item[0])
                if type(result) is Response:
                    self._finish(result)
                else:
                    result.addCallback(self._finish)
            elif self._unparsed:
                data, self._unparsed = self._unparsed[:SLICE], self._unparsed[SLICE:]
                self._feed(data)
            else:
                break
        self._serving = False
        if self._ended:
            return
        busy = self._unparsed or self._flushing or len(self._waiting) >= WAITING_MARK
        if self._paused and not busy:
            self._paused = False
            self._wire.resumeProducing()

    def _may_serve(self) -> bool:
        return self._current is None and not self._choked and not self._ended and not self._flushing

    def _finish(self, response: Response) -> None:
        """Write the answer to the current request."""
        assert self._current is not None
        request, keep = self._current
        self._let_go(request)
        if response.stream is not None:
            self._begin(response, response.stream, request)
            return
        self._current = None
        if self._ended:
            return
        keep = keep and not self._server.draining
        self._write(response, request, keep)
        if not keep:
            self._end()
            return
        self._await_client()
        if self._reader.continue_due and not self._waiting and not self._flushing:
            self._say_continue()
        if not self._serving and (self._waiting or self._unparsed or self._paused):
            self._serve()

    def _begin(self, response: Response, stream: Stream, request: Request) -> None:
        """Write the head of a stream, and what there is of it."""
        self._stream = stream
        if self._ended:
            self._end_stream()
            return
        self._deaf = True
        version = self._reader.version
        self._chunked = version != "1.0" and response.length is None
        write(self._wire, stream_head(response, self._chunked, self._server.date))
        self._site.answered[request.dialect, response.status] += 1
        if request.head_only:
            self._end_stream()
            self._end()
        else:
            self._pump()

    def _pump(self) -> None:
        """Write what there is of the stream, as long as the client reads it."""
        while self._stream is not None and not self._choked:
            piece = self._stream.pull(self._pump)
            if piece is None:
                self._finish_stream()
            elif piece:
                write(self._wire, b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece)
            else:
                break

    def _finish_stream(self) -> None:
        self._end_stream()
        if self._chunked:
            write(self._wire, b"0\r\n\r\n")
        self._end()

    def _end_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.stop()
            self._current = None

    def _await_client(self) -> None:
        """Set the deadline for what the client has to do next, unless it is our turn."""
        if self._current is not None:
            self.deadline = _NEVER
        elif not self._choked:
            limits = self._limits
            wait = limits.idle_s if self._reader.stage == IDLE else limits.receive_s
            self.deadline = self._server.now + wait

    def _write(self, response: Response, request: Request | None, keep: bool) -> None:
        """One write for head and body."""
        server = self._server
        write(self._wire, octets(response, request, keep, server.date))
        dialect = request.dialect if request is not None else ""
        self._site.answered[dialect, response.status] += 1
        if server.access and request is not None:
            access_log.info(
                "%s %s %s %d %d",
                self._peer,
                request.method,
                request.path,
                response.status,
                len(response.body),
            )

    # --- Ending.

    def _end(self) -> None:
        """Close when everything is written, and so that the client can read it."""
        wire = self._wire
        self._deaf = self._ended = True
        self._forget()
        limits = self._limits
        self.deadline = self._server.now + (limits.linger_s if self._unread else limits.unread_s)
        wire.unregisterProducer()
        if self._paused:
            self._paused = False
            wire.resumeProducing()
        # To close a socket with unread input resets it, and the answer may be lost (RFC 9112 §9.6).
        # TLS is closed by both ends in turn, so there it is the same.
        half = self._unread and not self._secure and IHalfCloseableDescriptor.providedBy(wire)
        if half:
            wire.loseWriteConnection()
        else:
            wire.loseConnection()

    def overdue(self) -> None:
        """The factory's sweep: the deadline is over."""
        if self._ended or self._choked:
            self.deadline = _NEVER
            self._wire.abortConnection()
        elif self._reader.stage == IDLE:
            self._end()
        else:
            self._refuse(RequestError(408))
            self._serve()

    def wind_up(self) -> None:
        """End now if no request is under way, else after the answer to it."""
        if self._stream is not None:
            self._finish_stream()
        if (
            not self._ended
            and self._current is None
            and self._reader.stage == IDLE
            and not self._waiting
        ):
            self._end()

    def abort(self) -> None:
        """End at once."""
        self._wire.abortConnection()
