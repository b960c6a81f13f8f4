"""The admin API's endpoints of the wire view, whose answers go on as long as somebody watches."""

from typing import Annotated

import msgspec

from smsgw.http.admin.endpoints import Call, Endpoint, Fault, Refused
from smsgw.http.site import Response
from smsgw.operate.operator import Unknown
from smsgw.operate.wire_views import LONGEST_S, SECONDS, WireView

LINES = "application/x-ndjson"


class What(msgspec.Struct):
    """What is to be watched, and how long."""

    name: str = ""
    kind: str = ""  # "account" or "carrier", where the name is both
    seconds: Annotated[int, msgspec.Meta(ge=1, le=LONGEST_S)] = SECONDS


async def _trace(call: Call) -> Response:
    return await _begun(call, text=False)


async def _with_texts(call: Call) -> Response:
    return await _begun(call, text=True)


async def _begun(call: Call, text: bool) -> Response:
    what: What = call.query
    try:
        stream = await call.operator.trace(what.name, what.kind, what.seconds, text)
    except Unknown as unknown:
        raise Refused(404, str(unknown)) from None
    return Response(200, content_type=LINES, stream=stream)


ENDPOINTS = [
    Endpoint(
        "GET",
        "/admin/trace",
        "operator",
        "SMPP PDUs of an account's or a carrier's sessions as they pass, a line of JSON for each; "
        "passwords and texts are masked",
        WireView,
        _trace,
        query=What,
        faults={404: Fault},
        content=LINES,
    ),
    Endpoint(
        "GET",
        "/admin/trace/text",
        "admin",
        "The same with the texts of messages",
        WireView,
        _with_texts,
        query=What,
        faults={404: Fault},
        content=LINES,
    ),
]
