"""HTTP/1.1 in octets: how a response is written, and what a parser's fault is answered with."""

from http import HTTPStatus
from ipaddress import ip_address

from httptools import HttpParserCallbackError, HttpParserError, HttpParserInvalidMethodError
from twisted.internet.interfaces import IAddress

from smsgw.http.site import UNIX, Request, Response

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class RequestError(Exception):
    """Raised inside the parser's callbacks to end the connection with a status."""

    def __init__(self, status: int, text: str = "") -> None:
        self.status = status
        self.text = text or HTTPStatus(status).phrase


def fault(error: HttpParserError) -> RequestError:
    """What to answer to octets that the parser did not take."""
    if isinstance(error, HttpParserCallbackError) and isinstance(error.__context__, RequestError):
        return error.__context__
    if isinstance(error, HttpParserInvalidMethodError):
        return RequestError(501)
    text = str(error)
    if text == "Invalid HTTP version":
        return RequestError(505)
    return RequestError(400, f"Bad Request: {text}")


_heads: dict[tuple[int, str], bytes] = {}  # of the few pairs of status and type that resources use


def _first_lines(status: int, content_type: str) -> bytes:
    head = _heads.get((status, content_type))
    if head is None:
        try:
            phrase = HTTPStatus(status).phrase
        except ValueError:
            phrase = ""
        text = f"HTTP/1.1 {status} {phrase}\r\nContent-Type: {content_type}\r\nContent-Length: "
        head = text.encode()
        if len(_heads) < 1000:
            _heads[status, content_type] = head
    return head


def octets(response: Response, request: Request | None, keep: bool, date: bytes) -> bytes:
    """A whole response. ``date`` is the Date header with the line break before it.

    ``request`` is None if it could not be read to its end; ``keep`` says that the connection stays
    open.
    """
    status = response.status
    body = response.body
    end = b""
    if response.headers:
        end = b"".join([b"\r\n%b: %b" % header for header in response.headers])
    if not keep:
        end += b"\r\nConnection: close"
    elif request is not None and request.headers.get(b"connection", b"").lower() == b"keep-alive":
        end += b"\r\nConnection: keep-alive"  # an HTTP/1.0 client needs to be told
    if status == 204 or status == 304:
        line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()
        return b"%b%b%b\r\n\r\n" % (line, date, end)
    size = len(body)
    if request is not None and request.head_only:
        body = b""
    first = _first_lines(status, response.content_type)
    return b"%b%d%b%b\r\n\r\n%b" % (first, size, date, end, body)


def stream_head(response: Response, chunked: bool, date: bytes) -> bytes:
    """All of a response with a stream but the body, which has a length, is sent in chunks, or ends
    the connection.
    """
    fields = [(b"Content-Type", response.content_type.encode()), *response.headers]
    if response.length is not None:
        fields.append((b"Content-Length", b"%d" % response.length))
    elif chunked:
        fields.append((b"Transfer-Encoding", b"chunked"))
    status = f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}".encode()
    head = b"".join([b"\r\n%b: %b" % one for one in fields])
    return b"%b%b%b\r\nConnection: close\r\n\r\n" % (status, date, head)


def host_of(address: IAddress) -> str:
    """The peer's address as text, ``UNIX`` for a unix socket; IPv4 in IPv6 form becomes IPv4."""
    host = getattr(address, "host", None)
    if host is None:
        return UNIX
    if ":" in host:
        mapped = ip_address(host.partition("%")[0])
        four = getattr(mapped, "ipv4_mapped", None)
        return str(four or mapped)
    return str(host)
