"""The admin API's endpoints of messages."""

import msgspec

from smsgw.http.admin.endpoints import Call, Endpoint, Fault, Refused, accepted
from smsgw.operate.operator import MessageView, Sent


class Submission(msgspec.Struct):
    """A message to accept as if the account had sent it."""

    account: str
    source: str = msgspec.field(name="from")
    destination: str = msgspec.field(name="to")
    text: str
    receipt: bool = False


class Cancellation(msgspec.Struct):
    """Nothing more is to be said."""


async def _send(call: Call) -> Sent:
    asked: Submission = call.body
    sent = await call.operator.send(
        asked.account, asked.source, asked.destination, asked.text, asked.receipt
    )
    return accepted(sent, sent.error)


async def _message(call: Call) -> MessageView:
    found = await call.operator.message(call.names["id"])
    if found is None:
        raise Refused(404, f"no message {call.names['id'][:40]}")
    return found


async def _cancel(call: Call) -> Sent:
    sent = await call.operator.cancel(call.names["id"])
    return accepted(sent, sent.error)


ENDPOINTS = [
    Endpoint(
        "POST",
        "/admin/messages",
        "operator",
        "Send a message as if an account had",
        Sent,
        _send,
        asked=Submission,
        status=201,
        faults={422: Sent},
    ),
    Endpoint(
        "GET",
        "/admin/messages/{id}",
        "viewer",
        "A message by its id: decimal, UUID form, or 32 hex digits",
        MessageView,
        _message,
        faults={404: Fault},
    ),
    Endpoint(
        "POST",
        "/admin/messages/{id}/cancel",
        "operator",
        "Cancel a message that no carrier has been given yet",
        Sent,
        _cancel,
        asked=Cancellation,
        faults={422: Sent},
    ),
]
