"""The admin API's endpoints of what waits, and of what was given up."""

import msgspec
from attrs import define

from smsgw.flow.dead import Which
from smsgw.http.admin.endpoints import Call, Endpoint, Refused
from smsgw.operate.dead_views import IDS, DeadView
from smsgw.operate.node_views import NodeView
from smsgw.operate.operator import QueueView


class Page(msgspec.Struct):
    """Dead letters of an account, of a queue, or all; those with an id above ``after``."""

    account: str = ""
    queue: str = ""
    after: int = 0


class Letters(msgspec.Struct):
    """Which dead letters are meant: these ids (500 at most), those of an account, of a queue; or
    all, where ``all`` says so."""

    ids: list[int] = []
    account: str = ""
    queue: str = ""
    all: bool = False


@define
class Count:
    """How many there were."""

    count: int


async def _queues(call: Call) -> list[QueueView]:
    return await call.operator.queues()


async def _nodes(call: Call) -> list[NodeView]:
    return await call.operator.nodes()


async def _dead(call: Call) -> list[DeadView]:
    asked: Page = call.query
    if not 0 <= asked.after < 1 << 63:
        raise Refused(400, "after: it must be the id of a dead letter")
    return await call.operator.dead.page(Which((), asked.account, asked.queue), asked.after)


async def _retry(call: Call) -> Count:
    return Count(await call.operator.dead.put_back(_which(call)))


async def _drop(call: Call) -> Count:
    return Count(await call.operator.dead.drop(_which(call)))


def _which(call: Call) -> Which:
    asked: Letters = call.body
    if len(asked.ids) > IDS or any(not 0 < id < 1 << 63 for id in asked.ids):
        raise Refused(400, f"ids: they must be ids of dead letters, {IDS} at most")
    which = Which(tuple(asked.ids), asked.account, asked.queue)
    if (which == Which()) is not asked.all:
        raise Refused(400, "say which: ids, account, queue; or all = true and none of them")
    return which


ENDPOINTS = [
    Endpoint(
        "GET",
        "/admin/queues",
        "viewer",
        "The queues that have entries",
        list[QueueView],
        _queues,
    ),
    Endpoint(
        "GET",
        "/admin/nodes",
        "viewer",
        "The nodes that share the store",
        list[NodeView],
        _nodes,
    ),
    Endpoint(
        "GET",
        "/admin/dead",
        "viewer",
        "A page of dead letters: deliveries and handovers that were given up",
        list[DeadView],
        _dead,
        query=Page,
    ),
    Endpoint(
        "POST",
        "/admin/dead/retry",
        "operator",
        "Put dead letters back to their queues",
        Count,
        _retry,
        asked=Letters,
    ),
    Endpoint(
        "POST",
        "/admin/dead/drop",
        "operator",
        "Remove dead letters",
        Count,
        _drop,
        asked=Letters,
    ),
]
