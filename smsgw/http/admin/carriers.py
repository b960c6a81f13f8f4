"""The admin API's endpoints of carriers and the routes to them."""

import msgspec

from smsgw.http.admin.endpoints import Call, Endpoint, accepted
from smsgw.operate.node_views import CarrierView
from smsgw.operate.operator import RouteView


class RouteTrial(msgspec.Struct):
    """A message that is not sent, to see where it would go."""

    source: str = msgspec.field(name="from")
    destination: str = msgspec.field(name="to")
    text: str = ""
    account: str = ""


async def _carriers(call: Call) -> list[CarrierView]:
    return await call.operator.carriers()


async def _route(call: Call) -> RouteView:
    asked: RouteTrial = call.body
    found = await call.operator.route(asked.account, asked.source, asked.destination, asked.text)
    return accepted(found, found.error)


ENDPOINTS = [
    Endpoint(
        "GET",
        "/admin/carriers",
        "viewer",
        "All carriers and how their links are",
        list[CarrierView],
        _carriers,
    ),
    Endpoint(
        "POST",
        "/admin/route",
        "viewer",
        "Where a message would go; nothing is sent",
        RouteView,
        _route,
        asked=RouteTrial,
        faults={422: RouteView},
    ),
]
