"""One HTTP/1.1 connection on Twisted: its limits and its timeouts.

How a connection works. The C parser (llhttp by httptools) calls ``on_...`` for what it finds; a
request that is complete goes to the end of ``_waiting``. ``_serve`` takes one after the other, asks
the site, and writes each answer with one write before it takes the next (RFC 9112 §9.3.2: answers
in order, and no POST beside another).

Memory is bounded: a connection keeps at most one request that is being read, those of one slice of
8 kB that wait, and one read of the socket that is not parsed yet. Reading pauses while
``WAITING_MARK`` requests wait, and nothing is served while the client does not read its answers.

Time is counted by the server's sweep, once a second for all connections, so that a request costs
no timer. A connection has one deadline; what it means follows from where it stands (``overdue``).
"""

from collections import deque
from typing import Any
from typing import Protocol as Interface

from attrs import frozen
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from twisted.internet.interfaces import (
    IHalfCloseableDescriptor,
    IPushProducer,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from smsgw.http.site import (
    Refuse,
    Request,
    Response,
    Route,
    Site,
    Stream,
    access_log,
    plain_refusal,
)
from smsgw.http.wire import CONTINUE, RequestError, fault, host_of, octets, stream_head
from smsgw.transport import write

SLICE = 8192  # octets given to the parser at a time
WAITING_MARK = 8  # requests that wait; reading pauses at it
_NEVER = float("inf")
_IDLE, _HEAD, _BODY = range(3)  # what of a request has come


@frozen
class Limits:
    """Bounds of one server; sizes in octets, times in seconds (E-D7, design section 10)."""

    head: int = 16_384
    target: int = 16_384  # W-D10 of spec/ams-websmpp.md
    receive_s: float = 30.0
    # A body may take longer than receive_s if it comes at this speed (octets a second).
    receive_rate: int = 16_384
    idle_s: float = 60.0
    # How long a client may leave an answer unread, and how long a closed connection may linger.
    unread_s: float = 30.0
    linger_s: float = 5.0
    connections: int = 5_000


class Server(Interface):
    """What a connection knows of its server."""

    site: Site
    limits: Limits
    now: float  # seconds, counted by the sweep
    date: bytes  # the Date header, with the line break before it
    draining: bool
    access: bool  # write an access log

    def opened(self, connection: "HttpConnection") -> None:
        """The connection is open."""

    def closed(self, connection: "HttpConnection") -> None:
        """The connection is closed."""


@implementer(IPushProducer)
class HttpConnection(Protocol):
    """One client's connection; a producer, so that the transport tells it when nobody reads."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._site = server.site
        self._limits = server.limits
        self._parser = HttpRequestParser(self)
        # Any: what stream transports share (TCP, TLS, unix) has no interface of its own.
        self._wire: Any = None
        self._secure = False
        self._peer = ""
        # The request that is being read.
        self._stage = _IDLE
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_size = 0
        self._method = b""
        self._body: bytes | bytearray = b""
        self._body_limit = SLICE
        self._silent = 0  # octets since the request began, or since the last piece of its body
        self._continue_due = False
        # Requests read, each with whether the connection stays open after it. A Response is the
        # last word, to a request that could not be read.
        self._waiting: deque[tuple[Request, bool] | Response] = deque()
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
        self._secure = ISSLTransport.providedBy(wire)
        if ITCPTransport.providedBy(wire):
            wire.setTcpNoDelay(True)
        self._peer = host_of(wire.getPeer())
        wire.registerProducer(self, True)
        self._server.opened(self)
        self.deadline = self._server.now + self._limits.idle_s

    def dataReceived(self, data: bytes) -> None:
        """Twisted: the client sent something."""
        if self._deaf:
            return
        if self._unparsed or len(data) > SLICE:
            self._unparsed += data
            self._serve()
        else:
            self._feed(data)
            if self._waiting and self._current is None:
                self._serve()
        if (self._unparsed or len(self._waiting) >= WAITING_MARK) and not self._paused:
            self._paused = True
            self._wire.pauseProducing()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Twisted: the client is gone. An answer that is still due is thrown away when it comes."""
        self._deaf = self._ended = True
        self.deadline = _NEVER
        self._waiting.clear()
        self._unparsed = b""
        self._end_stream()
        del self._parser  # it refers back to this object
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

    # --- The parser calls these.

    def on_message_begin(self) -> None:
        """Parser: the first octet of a request."""
        self._stage = _HEAD
        self._url = b""
        self._headers = {}
        self._head_size = 0
        self._silent = 0
        if self._current is None:
            self.deadline = self._server.now + self._limits.receive_s

    def on_url(self, url: bytes) -> None:
        """Parser: a piece of the request target."""
        self._url = self._url + url if self._url else url
        if len(self._url) > self._limits.target:
            raise RequestError(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parser: a header, or a trailer after a chunked body, which is counted and not kept."""
        self._head_size += len(name) + len(value) + 4
        if self._head_size > self._limits.head:
            raise RequestError(431)
        if self._stage == _BODY:
            return
        name = name.lower()
        headers = self._headers
        if name in headers:
            if name == b"host":
                raise RequestError(400, "Bad Request: several Host headers")
            value = headers[name] + b", " + value
        headers[name] = value

    def on_headers_complete(self) -> None:
        """Parser: the empty line. Whatever can be refused without the body is refused here."""
        parser = self._parser
        headers = self._headers
        version = parser.get_http_version()
        if version == "1.1":
            if b"host" not in headers:
                raise RequestError(400, "Bad Request: no Host header")
        elif version != "1.0":
            raise RequestError(505)
        if b"://" in self._url and not self._url.startswith(b"/"):
            # The host of a target in absolute form goes before the header (RFC 9112 §3.2.2).
            headers[b"host"] = self._url.partition(b"://")[2].partition(b"/")[0]
        self._method = parser.get_method()
        self._stage = _BODY
        self._body = b""
        self._body_limit = SLICE  # no path's limit is lower; a larger body has it looked up
        self._silent = 0
        length = headers.get(b"content-length")
        coding = headers.get(b"transfer-encoding")
        if coding is not None and (coding.lower() != b"chunked" or version == "1.0"):
            raise RequestError(501, "Not Implemented: Transfer-Encoding")
        if parser.should_upgrade() and (
            self._method == b"CONNECT" or coding is not None or length not in (None, b"0")
        ):
            raise RequestError(501, "Not Implemented: Upgrade")
        if length is not None and len(length) > 4:
            self._body_limit = self._limit_of_path()
            if int(length) > self._body_limit:
                raise RequestError(413)
        if b"expect" in headers and version == "1.1":
            if headers[b"expect"].lower() != b"100-continue":
                raise RequestError(417)
            self._continue_due = True

    def on_body(self, data: bytes) -> None:
        """Parser: a piece of the body."""
        if not self._body:
            self._body = data
        elif type(self._body) is bytearray:
            self._body += data
        else:
            self._body = bytearray(self._body) + data
        size = len(self._body)
        if size > self._body_limit:
            self._body_limit = self._limit_of_path()
            if size > self._body_limit:
                raise RequestError(413)
        self._silent = 0

    def on_message_complete(self) -> None:
        """Parser: the end of a request."""
        method = self._method
        head_only = method == b"HEAD"
        request = Request(
            "GET" if head_only else method.decode("ascii"),
            self._url,
            self._headers,
            bytes(self._body),
            self._peer,
            self._secure,
            head_only,
        )
        self._body = b""
        self._stage = _IDLE
        self._continue_due = False
        keep = self._parser.should_keep_alive()
        if not keep:
            self._deaf = True
        self._waiting.append((request, keep))

    # --- Reading.

    def _limit_of_path(self) -> int:
        return self._route().body_limit

    def _route(self) -> Route:
        """What is to answer the request that is being read."""
        return self._site.under(self._headers).find(Request("", self._url, {}).path)

    def _feed(self, data: bytes) -> None:
        """Give ``data`` to the parser."""
        rest = data
        while rest and not self._deaf:
            try:
                self._parser.feed_data(rest)
                break
            except HttpParserUpgrade as upgrade:
                # An offer to go on in another protocol may be ignored (RFC 9110 §7.8).
                rest = rest[upgrade.args[0] :]
            except HttpParserError as error:
                if not self._deaf:  # else it is about octets after the last request
                    self._refuse(fault(error))
                return
        if self._stage != _IDLE:
            self._incomplete(len(data))

    def _incomplete(self, size: int) -> None:
        """``size`` octets of a request came and more must follow."""
        # What the parser itself keeps of it (a long header, a long trailer) is bounded here.
        self._silent += size
        if self._silent > self._limits.head + self._limits.target + SLICE:
            self._refuse(RequestError(431 if self._stage == _HEAD else 400))
        elif self._stage == _BODY and self._current is None and not self._waiting:
            if self._continue_due:
                self._say_continue()
            # A large body may take its time as long as it comes with some speed.
            limits = self._limits
            self.deadline = min(
                self.deadline + size / limits.receive_rate, self._server.now + limits.receive_s
            )

    def _say_continue(self) -> None:
        self._continue_due = False
        self._wire.write(CONTINUE)

    def _refuse(self, reason: RequestError) -> None:
        """End the connection with an answer to a request that cannot be read to its end."""
        refuse: Refuse = plain_refusal
        if self._stage == _BODY:
            refuse = self._route().refuse
        self._stage = _IDLE
        self._deaf = self._unread = True
        self._unparsed = b""
        self._waiting.append(refuse(reason.status, reason.text))

    # --- Answering.

    def _serve(self) -> None:
        """Answer what waits, read on from what is not parsed, until one of them has to wait."""
        if self._serving:
            return
        self._serving = True
        while self._current is None and not self._choked and not self._ended:
            if self._waiting:
                item = self._waiting.popleft()
                if type(item) is Response:
                    self._write(item, None, False)
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
        if self._paused and not self._unparsed and len(self._waiting) < WAITING_MARK:
            self._paused = False
            self._wire.resumeProducing()

    def _finish(self, response: Response) -> None:
        """Write the answer to the current request."""
        assert self._current is not None
        request, keep = self._current
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
        if self._continue_due and not self._waiting:
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
        self._chunked = self._parser.get_http_version() != "1.0"
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
            wait = limits.idle_s if self._stage == _IDLE else limits.receive_s
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
        self._waiting.clear()
        self._unparsed = b""
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
        elif self._stage == _IDLE:
            self._end()
        else:
            self._refuse(RequestError(408))
            self._serve()

    def wind_up(self) -> None:
        """End now if no request is under way, else after the answer to it."""
        if self._stream is not None:
            self._finish_stream()
        if not self._ended and self._current is None and self._stage == _IDLE and not self._waiting:
            self._end()

    def abort(self) -> None:
        """End at once."""
        self._wire.abortConnection()
