"""A websmpp request as it was asked: parameters of query, form, or campaign JSON, by lower-case
names (``spec/ams-websmpp.md`` W-D7, W-D8, F-4)."""

from typing import Any

import msgspec
from attrs import define, field

from smsgw.http import parameters
from smsgw.http.parameters import Unreadable
from smsgw.http.site import Request
from smsgw.http.websmpp_content import Refused
from smsgw.refusals import Reason

_decode_json = msgspec.json.Decoder().decode
# Names of the campaign -> those of the query.
_CAMPAIGN = {
    "username": "user",
    "password": "pass",
    "accesskey": "accesskey",
    "sender": "sid",
    "type": "type",
    "text": "text",
    "schtime": "schtime",
    "gmt": "gmt",
    "dcs": "dcs",
    "esm": "esm",
    "header": "header",
    "group": "group",
}
_COMMON, _INDIVIDUAL = "1", "2"
# Names that need not be made lower case.
_PLAIN = frozenset(
    {"user", "userid", "pass", "password", "mno", "respid", "respformat", "format"}
    | set(_CAMPAIGN.values())
)


@define
class Asked:
    """One request. ``twice`` is a parameter that has two values, "" if none has."""

    given: dict[str, str]
    twice: str = ""
    by_get: bool = True
    campaign: bool = False  # asked in the JSON of F-4, and to be answered so
    # Of a campaign: entries of ``gsm``, and the text of each if they differ.
    entries: list[str] | None = None
    texts: list[str] | None = field(default=None)

    def get(self, *names: str) -> str:
        """The first of these parameters that is not empty, without blanks around it."""
        given = self.given
        for name in names:
            if name in given and (value := given[name].strip()):
                return value
        return ""

    @property
    def as_json(self) -> bool:
        """True if the answer is to be JSON (W-D26)."""
        asked = self.given.get("respformat")
        return self.campaign or (asked is not None and asked.strip().lower() == "json")


def read(request: Request) -> Asked:
    """What a request asks. Raises Refused: HTTP01, HTTP16."""
    if request.method not in ("GET", "POST"):
        raise Refused(Reason.METHOD_NOT_ALLOWED, request.method[:20])
    try:
        pairs = parameters.of_query(request)
        if request.method == "POST":
            if parameters.media_type(request) == parameters.JSON:
                return _campaign(request.body)
            pairs += parameters.of_body(request)
    except Unreadable as error:
        raise Refused(
            Reason.NOT_FOUND if error.in_query else Reason.BAD_REQUEST, str(error)
        ) from None
    found, twice = dict(pairs), ""
    if len(found) < len(pairs) or not _PLAIN.issuperset(found):
        lower = [(name.strip().lower(), value) for name, value in pairs]
        found, twice = parameters.differing(lower)
    return Asked(found, twice, request.method == "GET")


def _campaign(body: bytes) -> Asked:
    try:
        found: Any = _decode_json(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(Reason.BAD_REQUEST, f"JSON: {error}") from None
    if isinstance(found, dict):
        found = found.get("campaign", found)
    if not isinstance(found, dict):
        raise Refused(Reason.BAD_REQUEST, "no object campaign")
    found = {key.strip().lower(): value for key, value in found.items()}
    given = {
        to: _text(found[name]) for name, to in _CAMPAIGN.items() if found.get(name) is not None
    }
    asked = Asked(given, by_get=False, campaign=True)
    form = _text(found.get("format", _COMMON))
    if form == _COMMON:
        gsm = found.get("gsm", [])
        asked.entries = [_text(one).strip() for one in (gsm if isinstance(gsm, list) else [gsm])]
    elif form == _INDIVIDUAL:
        custom = found.get("custom", [])
        if not isinstance(custom, list) or not all(isinstance(one, dict) for one in custom):
            raise Refused(Reason.BAD_REQUEST, "custom is no list of gsm and text")
        asked.entries = [_text(one.get("gsm", "")).strip() for one in custom]
        asked.texts = [_text(one.get("text", "")) for one in custom]
    else:
        raise Refused(Reason.BAD_REQUEST, "format is not 1 or 2")
    return asked


def _text(value: object) -> str:
    """A value of JSON as the query would have it."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise Refused(Reason.BAD_REQUEST, "a value that is neither text nor number")
