"""The parameters of a request as websmpp and relay take them: of the query and of the body."""

from urllib.parse import unquote_to_bytes

from smsgw.http import multipart
from smsgw.http.site import Request

FORM = b"application/x-www-form-urlencoded"
MULTIPART = b"multipart/form-data"
JSON = b"application/json"

Pairs = list[tuple[str, str]]


class Unreadable(Exception):
    """The query (``in_query``) or the body cannot be read; the text says why."""

    def __init__(self, why: str, in_query: bool = False) -> None:
        super().__init__(why)
        self.in_query = in_query


def media_type(request: Request) -> bytes:
    """The Content-Type without its parameters, in lower case; empty if there is none."""
    return request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


def of_query(request: Request) -> Pairs:
    """Name and value of each parameter of the query, in order. Raises Unreadable."""
    return _pairs(request.query_text, in_query=True) if request.query_text else []


def of_body(request: Request) -> Pairs:
    """The same of a form in the body, none if it is empty. Raises Unreadable."""
    kind = media_type(request)
    if kind == MULTIPART:
        try:
            found = multipart.pairs(request.headers[b"content-type"], request.body)
        except multipart.MultipartError as error:
            raise Unreadable(f"multipart: {error}") from None
        return [(name, one) for name, one in found if isinstance(one, str)]
    if not request.body:
        return []
    if kind not in (FORM, b""):
        raise Unreadable(f"{kind.decode('latin-1')[:60]} is not served")
    return _pairs(request.body.strip(), in_query=False)


def _pairs(octets: bytes, in_query: bool) -> Pairs:
    pairs: Pairs = []
    try:
        for piece in octets.replace(b"+", b" ").decode("utf-8").split("&"):
            if not piece:
                continue
            name, equals, value = piece.partition("=")
            if not equals:
                raise Unreadable("a piece without =", in_query)
            if "%" in piece:
                name = unquote_to_bytes(name).decode("utf-8")
                value = unquote_to_bytes(value).decode("utf-8")
            pairs.append((name, value))
    except UnicodeDecodeError:
        raise Unreadable("octets that are not UTF-8", in_query) from None
    return pairs


def differing(pairs: Pairs) -> tuple[dict[str, str], str]:
    """The parameters by name, and the first name that has two values, "" if none has."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found, ""
    found = {}
    twice = ""
    for name, value in pairs:
        if found.setdefault(name, value) != value:
            twice = twice or name
    return found, twice
