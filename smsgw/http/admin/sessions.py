"""The admin API's endpoints of sessions: bound ESMEs and links to carriers."""

import msgspec

from smsgw.http.admin.endpoints import Call, Endpoint, Fault, Refused
from smsgw.operate.node_views import SessionView


class Page(msgspec.Struct):
    """Sessions of an account, of a carrier, or all; those after the one with the id ``after``."""

    account: str = ""
    carrier: str = ""
    after: str = ""


class Which(msgspec.Struct):
    """A session, by its id."""

    id: str


async def _sessions(call: Call) -> list[SessionView]:
    asked: Page = call.query
    return await call.operator.sessions.page(asked.account, asked.carrier, asked.after)


async def _end(call: Call) -> SessionView:
    asked: Which = call.body
    ended = await call.operator.sessions.end(asked.id)
    if ended is None:
        raise Refused(404, "no session with this id is bound; see: smsgw sessions")
    return ended


ENDPOINTS = [
    Endpoint(
        "GET",
        "/admin/sessions",
        "viewer",
        "A page of bound ESMEs and links to carriers, of all nodes",
        list[SessionView],
        _sessions,
        query=Page,
    ),
    Endpoint(
        "POST",
        "/admin/sessions/end",
        "operator",
        "Unbind a session, at whichever node; a link binds again",
        SessionView,
        _end,
        asked=Which,
        faults={404: Fault},
    ),
]
