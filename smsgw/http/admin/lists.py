"""The admin API's endpoints of lists of numbers."""

import msgspec

from smsgw.http.admin.endpoints import Call, Endpoint, Fault, Refused, accepted
from smsgw.operate.list_views import ListView, MemberView, NumbersChanged


class Whose(msgspec.Struct):
    """``account`` whose lists are meant: "" the operator's own; left out: all."""

    account: str | None = None


class NewList(msgspec.Struct):
    """A list to make; ``account`` "" is the operator, ``source`` is for type "optout" only."""

    name: str
    type: str
    account: str = ""
    source: str = ""


class Renamed(msgspec.Struct):
    """A new name."""

    name: str


class Numbers(msgspec.Struct):
    """Numbers as people write them, 1,000 at most."""

    numbers: list[str]


class Page(msgspec.Struct):
    """Members after the number ``after``."""

    after: str = ""


def _id(call: Call) -> str:
    return call.names["id"]


def _unknown(call: Call) -> Refused:
    return Refused(404, f"no list {_id(call)[:40]}")


async def _lists(call: Call) -> list[ListView]:
    return await call.operator.lists.all(call.query.account)


async def _make(call: Call) -> ListView:
    asked: NewList = call.body
    made = await call.operator.lists.make(asked.account, asked.name, asked.type, asked.source)
    return accepted(made, made.error)


async def _rename(call: Call) -> ListView:
    asked: Renamed = call.body
    found = await call.operator.lists.rename(_id(call), asked.name)
    if found is None:
        raise _unknown(call)
    return accepted(found, found.error)


async def _delete(call: Call) -> ListView:
    found = await call.operator.lists.delete(_id(call))
    if found is None:
        raise _unknown(call)
    return accepted(found, found.error)


async def _members(call: Call) -> list[MemberView]:
    found = await call.operator.lists.members(_id(call), call.query.after)
    if found is None:
        raise _unknown(call)
    return found


async def _add(call: Call) -> NumbersChanged:
    asked: Numbers = call.body
    return _changed(call, await call.operator.lists.add(_id(call), asked.numbers))


async def _remove(call: Call) -> NumbersChanged:
    asked: Numbers = call.body
    return _changed(call, await call.operator.lists.remove(_id(call), asked.numbers))


def _changed(call: Call, changed: NumbersChanged | None) -> NumbersChanged:
    if changed is None:
        raise _unknown(call)
    return accepted(changed, changed.error)


ENDPOINTS = [
    Endpoint(
        "GET",
        "/admin/lists",
        "viewer",
        "Lists of numbers, with their sizes",
        list[ListView],
        _lists,
        query=Whose,
    ),
    Endpoint(
        "POST",
        "/admin/lists",
        "operator",
        "Make a list",
        ListView,
        _make,
        asked=NewList,
        status=201,
        faults={422: ListView},
    ),
    Endpoint(
        "POST",
        "/admin/lists/{id}",
        "operator",
        "Rename a list",
        ListView,
        _rename,
        asked=Renamed,
        faults={404: Fault, 422: ListView},
    ),
    Endpoint(
        "DELETE",
        "/admin/lists/{id}",
        "operator",
        "Delete a list with its members",
        ListView,
        _delete,
        faults={404: Fault, 422: ListView},
    ),
    Endpoint(
        "GET",
        "/admin/lists/{id}/members",
        "viewer",
        "Members in the order of their digits, 1,000 at most",
        list[MemberView],
        _members,
        query=Page,
        faults={404: Fault},
    ),
    Endpoint(
        "POST",
        "/admin/lists/{id}/members",
        "operator",
        "Add members, 1,000 at most",
        NumbersChanged,
        _add,
        asked=Numbers,
        faults={404: Fault, 422: NumbersChanged},
    ),
    Endpoint(
        "POST",
        "/admin/lists/{id}/members/delete",
        "operator",
        "Remove members, 1,000 at most",
        NumbersChanged,
        _remove,
        asked=Numbers,
        faults={404: Fault, 422: NumbersChanged},
    ),
]
