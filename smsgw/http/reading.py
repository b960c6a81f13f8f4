"""Reads requests of HTTP/1.1, within limits.

The C parser (llhttp by httptools) calls ``on_...`` for what it finds. Whatever can be refused is
refused as soon as it is seen, by ``RequestError``, which goes through the parser. A body that
is an upload (multipart, of a path that takes large ones) goes to a file.
"""

from typing import Protocol

from attrs import frozen
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from smsgw.http.site import BODY_LIMIT, Request, Route, Site
from smsgw.http.uploads import Uploads
from smsgw.http.wire import RequestError, fault
from smsgw.smtp.spool import Spool

SLICE = 8192  # octets given to the parser at a time
IDLE, HEAD, BODY = range(3)  # what of a request has come
_MULTIPART = b"multipart/form-data"


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


class Taker(Protocol):
    """Who takes the requests that are read."""

    def request_begun(self) -> None:
        """The first octet of a request has come."""

    def request_read(self, request: Request, keep: bool) -> None:
        """A request is complete; ``keep``: the client may send another one after it."""


class RequestReader:
    """What has come of the request that is being read on a connection."""

    def __init__(self, site: Site, limits: Limits, uploads: Uploads, taker: Taker) -> None:
        self.peer = ""  # the client's address
        self.secure = False  # it came by TLS
        self.stage = IDLE
        self.spool: Spool | None = None  # the body, if it is an upload
        self.flush_due = False  # the spool has something for its file
        self.silent = 0  # octets since the request began, or since the last piece of its body
        self.continue_due = False  # the client waits to be asked for the body
        # The head of an upload about which nobody has been asked yet.
        self.applying: Request | None = None
        self._site = site
        self._limits = limits
        self._uploads = uploads
        self._taker = taker
        self._parser = HttpRequestParser(self)
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_size = 0
        self._method = b""
        self._body: bytes | bytearray = b""
        self._body_limit = SLICE
        self._last_read = False  # the client may send no request after it

    @property
    def version(self) -> str:
        """Of HTTP, of the request that was read last: "1.0" or "1.1"."""
        version: str = self._parser.get_http_version()
        return version

    def feed(self, data: bytes) -> None:
        """Takes what came, to the end of the last request that the client may send. Raises
        ``RequestError``."""
        while data and not self._last_read:
            try:
                self._parser.feed_data(data)
                return
            except HttpParserUpgrade as upgrade:
                # An offer to go on in another protocol may be ignored (RFC 9110 §7.8).
                data = data[upgrade.args[0] :]
            except HttpParserError as error:
                if self._last_read:  # it is about octets after that
                    return
                raise fault(error) from None

    def route(self) -> Route:
        """What is to answer the request that is being read."""
        return self._site.under(self._headers).find(Request("", self._url, {}).path)

    def forget(self) -> None:
        """The upload is not needed any more."""
        if self.spool is not None:
            self._uploads.end(self.peer, self.spool)
            self.spool = None

    def close(self) -> None:
        """Nothing more comes."""
        del self._parser  # it refers back to this object

    # --- The parser calls these.

    def on_message_begin(self) -> None:
        """Parser: the first octet of a request."""
        self.stage = HEAD
        self._url = b""
        self._headers = {}
        self._head_size = 0
        self.silent = 0
        self._taker.request_begun()

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
        if self.stage == BODY:
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
        if not self._url.startswith(b"/") and b"://" in self._url:
            # The host of a target in absolute form goes before the header (RFC 9112 §3.2.2).
            headers[b"host"] = self._url.partition(b"://")[2].partition(b"/")[0]
        self._method = parser.get_method()
        self.stage = BODY
        self._body = b""
        self._body_limit = SLICE  # no path's limit is lower; a larger body has it looked up
        self.silent = 0
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
        if (length is None or int(length) > BODY_LIMIT) and self._is_upload():
            self.applying = self.request()
        if b"expect" in headers and version == "1.1":
            if headers[b"expect"].lower() != b"100-continue":
                raise RequestError(417)
            self.continue_due = True

    def on_body(self, data: bytes) -> None:
        """Parser: a piece of the body."""
        if self.spool is not None:
            self.flush_due = self.spool.add(data) or self.flush_due
            if self.spool.size > self._body_limit:
                raise RequestError(413)
            self.silent = 0
            return
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
        if size > BODY_LIMIT and self._is_upload():
            self.spool = self._uploads.begin(self.peer)
            self.spool.add(bytes(self._body))
            self._body = b""
        self.silent = 0

    def on_message_complete(self) -> None:
        """Parser: the end of a request."""
        spool, self.spool = self.spool, None
        if spool is not None and not spool.in_file:
            self._body = spool.read()
            self._uploads.end(self.peer, spool)
            spool = None
        request = self.request(bytes(self._body), spool)
        self._body = b""
        self.flush_due = False
        self.stage = IDLE
        self.continue_due = False
        self.applying = None
        keep = self._parser.should_keep_alive()
        self._last_read = not keep
        self._taker.request_read(request, keep)

    def request(self, body: bytes = b"", spool: Spool | None = None) -> Request:
        """The request that is being read, of which there is the head, with this body."""
        method = self._method
        head_only = method == b"HEAD"
        return Request(
            "GET" if head_only else method.decode("ascii"),
            self._url,
            self._headers,
            body,
            self.peer,
            self.secure,
            head_only,
            spool,
        )

    def _limit_of_path(self) -> int:
        route = self.route()
        return route.upload_limit if self._is_upload() else route.body_limit

    def _is_upload(self) -> bool:
        """Whether its body may be large, and then goes to a file."""
        kind = self._headers.get(b"content-type", b"").lower()
        return kind.startswith(_MULTIPART) and self.route().upload_limit > 0
