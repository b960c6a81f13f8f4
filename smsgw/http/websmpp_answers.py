"""The answers of websmpp: one line of text, or JSON (``spec/ams-websmpp.md`` 2.6, W-D6, W-D26)."""

from typing import Any

import msgspec

from smsgw.http.site import PLAIN_TEXT, Response
from smsgw.http.websmpp_asked import Asked
from smsgw.message import Message, MessageState
from smsgw.refusals import Reason, Refusal

JSON = "application/json"
_encode_json = msgspec.json.Encoder().encode

# W-R30.
TEXTS = {
    "HTTP01": "Invalid HTTP URL Format",
    "HTTP02": "Invalid query string",
    "HTTP03": "Message Submission Failed",
    "HTTP04": "Invalid Password",
    "HTTP05": "Invalid System ID",
    "HTTP06": "Invalid Sender ID",
    "HTTP07": "Invalid Type",
    "HTTP08": "Invalid Message ID",
    "HTTP09": "Invalid Destination Address",
    "HTTP10": "Invalid number of messages",
    "HTTP11": "Requested service is unavailable",
    "HTTP12": "Submit Failed",
    "HTTP13": "Query request failed",
    "HTTP14": "Bind failed",
    "HTTP15": "Not Authorized for the request",
    "HTTP16": "Invalid Request",
    "HTTP17": "Invalid Message Length",
    "HTTP18": "INSUFFICIENT CREDITS/BALANCE",
    "HTTP19": "Invalid DATA CODING SCHEME",
    "HTTP20": "Invalid ESM",
    "HTTP21": "Invalid HEADER",
    "HTTP22": "Invalid Schedule Time",
    "HTTP23": "Routing Error",
    "HTTP24": "Exceeded number of Destination",
    "HTTP25": "No Record Found",
    "HTTP26": "Account Expired",
}


class Answers:
    """Writes errors as the settings say."""

    def __init__(self, status_errors: bool) -> None:
        """``status_errors``: they have an HTTP status of their own (``ams.http_status_errors``)."""
        self._status_errors = status_errors

    def error(self, refusal: Refusal, asked: Asked | None = None) -> Response:
        """A refusal in the form that was asked for."""
        answer = refusal.reason.answer
        code = answer.websmpp
        status = 200
        if refusal.reason is Reason.SHUTTING_DOWN:
            status = 503
        elif self._status_errors:
            status = answer.http if answer.http >= 400 else 400
        if asked is not None and asked.as_json:
            body = {"status": "ERROR", "code": code, "message": TEXTS[code]}
            return json({"response": body} if asked.campaign else body, status)
        return Response(status, f"ERROR - {code} --> {TEXTS[code]}".encode(), PLAIN_TEXT)


def json(document: dict[str, Any], status: int = 200) -> Response:
    """``document`` as an answer."""
    return Response(status, _encode_json(document), JSON)


def word(message: Message) -> str:
    """The word of websmsstatus for a message (W-D28, W-D29)."""
    state = MessageState(message.state)
    if not state.final and len(message.parts) > 1:
        ended = [MessageState(one.state) for one in message.acknowledged.values()]
        bad = [one for one in ended if one.final and one is not MessageState.DELIVERED]
        if bad:
            state = bad[0]
    if state in (MessageState.ENROUTE, MessageState.SCHEDULED):
        return "ACCEPTD" if message.carrier_at else "ATES"
    if state is MessageState.UNDELIVERABLE and not message.carrier:
        return MessageState.REJECTED.stat  # no carrier took it
    if state is MessageState.SKIPPED:
        return MessageState.UNDELIVERABLE.stat
    return state.stat
