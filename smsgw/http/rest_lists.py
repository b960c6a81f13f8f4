"""The Lists resource of the REST API: contacts, opt-outs, blocks of an account (``spec`` 4.4)."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from smsgw import identities
from smsgw.flow.lists import Lists as ListsInForce
from smsgw.flow.lists import Runner
from smsgw.http import rest_codes
from smsgw.http.render import iso
from smsgw.http.rest_bodies import (
    ParameterError,
    integer,
    needed,
    read_body,
    read_query,
    text_of,
)
from smsgw.http.rest_documents import (
    Done,
    ListAnswer,
    ListsAnswer,
    Member,
    MemberResult,
    MemberResults,
    Members,
    MembersChanged,
    MembersFound,
    NumberList,
    OneList,
    SomeLists,
)
from smsgw.http.rest_front import Asked, Endpoint, Front, Parameter
from smsgw.http.rest_messages import CURSOR, MAX_ROWS, MOST_ROWS, ROWS
from smsgw.http.site import Answer, Response
from smsgw.operate.list_views import ListView, NumbersChanged
from smsgw.operate.lists import Keeping
from smsgw.provisioning import Account
from smsgw.refusals import Reason
from smsgw.store import lists as store
from smsgw.store.lists import TYPES

MOST_NUMBERS = 1_000  # of one request
LONGEST_NAME = 64
_LONGEST_SOURCE = 20
START_ROW = Parameter(
    "startRow",
    {"type": "integer", "minimum": 1, "maximum": 1_000_000, "default": 1},
    "The first row that is shown, where no cursor is given.",
)


class Lists:
    """``/v4/lists``."""

    def __init__(
        self,
        front: Front,
        runner: Runner,
        lists: ListsInForce,
        allot: Callable[[], int],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._front = front
        self._runner = runner
        self._lists = lists
        self._allot = allot
        self._now = now

    def endpoints(self) -> list[Endpoint]:
        """What can be asked here."""
        one = "/lists/{listId}"
        rows = (START_ROW, MAX_ROWS, CURSOR)

        def on(
            method: str,
            path: str,
            summary: str,
            ask: Callable[[Asked], Answer],
            answer: Any,
            parameters: tuple[Parameter, ...] = (),
            body: str = "",
            faults: tuple[int, ...] = (404,),
        ) -> Endpoint:
            taken = (*faults, 400, 413, 415) if body else faults
            return Endpoint(method, path, "lists", summary, ask, answer, parameters, body, taken)

        deleted = "Delete a list with its members"
        return [
            on("GET", "/lists", "Lists of the account", self.all, ListsAnswer, rows, faults=(400,)),
            on("POST", "/lists", "Make a list", self.make, ListAnswer, (), "list", (409,)),
            on("GET", one, "A list", self.show, ListAnswer),
            on("POST", one, "Rename a list", self.rename, ListAnswer, (), "rename", (404, 409)),
            on("DELETE", one, deleted, self.delete, Done),
            on("POST", one + "/delete", deleted, self.delete, Done),
            on(
                "GET",
                one + "/members",
                "Members in the order of their digits",
                self.members,
                Members,
                rows,
                faults=(400, 404),
            ),
            on(
                "POST",
                one + "/members",
                "Add members",
                self.add,
                MembersChanged,
                (),
                "numbers",
            ),
            on(
                "POST",
                one + "/members/delete",
                "Remove members",
                self.remove,
                MembersChanged,
                (),
                "numbers",
            ),
            on(
                "DELETE",
                one + "/members/{number}",
                "Remove one member",
                self.remove_one,
                MembersChanged,
            ),
        ]

    # --- Lists.

    async def all(self, asked: Asked) -> Response:
        """``GET /v4/lists``."""
        keeping = self._keeping(asked)
        parameters = read_query(asked.request)
        rows = integer(parameters, "maxRows", 1, MOST_ROWS) or ROWS
        start = (integer(parameters, "startRow", 1, 1_000_000) or 1) - 1
        if text_of(parameters, "cursor"):
            start = integer(parameters, "cursor", 0, 10**9) or 0
        found = await keeping.all(asked.login.account)
        page = [_shown(one) for one in found[start : start + rows]]
        more = str(start + rows) if len(found) > start + rows else None
        return self._front.document(asked, ListsAnswer(SomeLists(page), more))

    async def make(self, asked: Asked) -> Response:
        """``POST /v4/lists``."""
        keeping = self._keeping(asked)
        parameters = read_body(asked.request)
        name, type = _name(parameters), needed(parameters, "type")
        source = text_of(parameters, "source").strip().removeprefix("+")
        if type not in TYPES:
            raise ParameterError(Reason.PARAMETER_INVALID, f"type ({', '.join(TYPES)})")
        if source and (type != "optout" or len(source) > _LONGEST_SOURCE):
            raise ParameterError(
                Reason.PARAMETER_INVALID, f"source (of type optout, {_LONGEST_SOURCE} characters)"
            )
        if not source.isprintable():
            raise ParameterError(Reason.PARAMETER_INVALID, "source")
        made = await keeping.make(asked.login.account, name, type, source)
        if made.error:
            return self._front.refused(asked, Reason.CONFLICT, made.error)
        return self._one(asked, made)

    async def show(self, asked: Asked) -> Response:
        """``GET /v4/lists/{listId}``."""
        found = await self._found(asked)
        sizes = await self._runner.run(lambda c: store.sizes(c, [found.id]))
        return self._one(asked, _view(found, sizes.get(found.id, 0)))

    async def rename(self, asked: Asked) -> Response:
        """``POST /v4/lists/{listId}``."""
        keeping = self._keeping(asked)
        found = await self._found(asked)
        name = _name(read_body(asked.request))
        if found.built_in:
            return self._front.refused(asked, Reason.PERMISSION_DENIED, "a built-in list")
        done = await keeping.rename(str(found.id), name)
        if done is None:
            return self._front.refused(asked, Reason.UNKNOWN_LIST)
        if done.error:
            return self._front.refused(asked, Reason.CONFLICT, done.error)
        sizes = await self._runner.run(lambda c: store.sizes(c, [found.id]))
        done.size = sizes.get(found.id, 0)
        return self._one(asked, done)

    async def delete(self, asked: Asked) -> Response:
        """``DELETE /v4/lists/{listId}``, ``POST`` of its ``/delete``."""
        keeping = self._keeping(asked)
        found = await self._found(asked)
        if found.built_in:
            return self._front.refused(asked, Reason.PERMISSION_DENIED, "a built-in list")
        if await keeping.delete(str(found.id)) is None:
            return self._front.refused(asked, Reason.UNKNOWN_LIST)
        return self._front.document(asked, Done(rest_codes.ACCEPTED))

    # --- Members.

    async def members(self, asked: Asked) -> Response:
        """``GET /v4/lists/{listId}/members``."""
        self._keeping(asked)
        found = await self._found(asked)
        parameters = read_query(asked.request)
        rows = integer(parameters, "maxRows", 1, MOST_ROWS) or ROWS
        skip = (integer(parameters, "startRow", 1, 1_000_000) or 1) - 1
        after = text_of(parameters, "cursor")
        if after:
            skip = 0
        page = await self._runner.run(lambda c: store.page(c, found.id, after, rows + 1, skip))
        shown = [Member(number, iso(added), origin) for number, added, origin in page[:rows]]
        more = shown[-1].number if len(page) > rows else None
        return self._front.document(asked, Members(MembersFound(shown), more))

    async def add(self, asked: Asked) -> Response:
        """``POST /v4/lists/{listId}/members``."""
        keeping = self._keeping(asked)
        found = await self._found(asked)
        return self._changed(asked, await keeping.add(str(found.id), _numbers(asked)))

    async def remove(self, asked: Asked) -> Response:
        """``POST /v4/lists/{listId}/members/delete``."""
        keeping = self._keeping(asked)
        found = await self._found(asked)
        return self._changed(asked, await keeping.remove(str(found.id), _numbers(asked)))

    async def remove_one(self, asked: Asked) -> Response:
        """``DELETE /v4/lists/{listId}/members/{number}``."""
        keeping = self._keeping(asked)
        found = await self._found(asked)
        changed = await keeping.remove(str(found.id), [asked.names["number"]])
        if changed is not None and changed.numbers[0].result != "removed":
            return self._front.refused(asked, Reason.UNKNOWN_LIST, asked.names["number"][:40])
        return self._changed(asked, changed)

    def _changed(self, asked: Asked, changed: NumbersChanged | None) -> Response:
        if changed is None:
            return self._front.refused(asked, Reason.UNKNOWN_LIST)
        results = [MemberResult(one.number, one.result) for one in changed.numbers]
        document = MembersChanged(rest_codes.ACCEPTED, MemberResults(results))
        return self._front.document(asked, document)

    # --- Whose.

    def _keeping(self, asked: Asked) -> Keeping:
        """Changes lists in the name of who asks. Raises ParameterError if the account has none."""
        login = asked.login
        if not self._front.customer(login.account).settings.lists:
            raise ParameterError(Reason.NOT_ENABLED, "lists")
        return Keeping(
            self._runner,
            self._lists,
            self._accounts,
            self._allot,
            f"http {login.credential}",
            self._now,
            origin="api",
        )

    def _accounts(self) -> Mapping[str, Account]:
        return self._front.tables().accounts

    async def _found(self, asked: Asked) -> store.NumberList:
        """The account's list of the path. Raises ParameterError if it has no such list (I6)."""
        id, kind = identities.from_guid(asked.names["listId"]) or (0, identities.RECEIPT)
        found = None
        if kind == identities.MESSAGE:
            found = await self._runner.run(lambda c: store.by_id(c, id))
        if found is None or found.account != asked.login.account:
            raise ParameterError(Reason.UNKNOWN_LIST)
        return found

    def _one(self, asked: Asked, view: ListView) -> Response:
        document = ListAnswer(rest_codes.ACCEPTED, OneList(_shown(view)))
        return self._front.document(asked, document)


def _view(one: store.NumberList, size: int) -> ListView:
    return ListView(
        id=str(one.id),
        name=one.name,
        type=one.type,
        source=one.source,
        size=size,
        created=one.created,
        updated=one.updated,
    )


def _shown(one: ListView) -> NumberList:
    return NumberList(
        list_id=identities.to_guid(int(one.id)),
        name=one.name,
        type=one.type,
        source=one.source or None,
        size=one.size,
        created=iso(one.created),
        updated=iso(one.updated),
    )


def _name(parameters: Mapping[str, Any]) -> str:
    name = needed(parameters, "name")
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise ParameterError(
            Reason.PARAMETER_INVALID, f"name (at most {LONGEST_NAME} printable characters)"
        )
    return name


def _numbers(asked: Asked) -> list[str]:
    """The numbers of a body: a text with commas, or in JSON a list."""
    parameters = read_body(asked.request)
    given = parameters.get("numbers")
    if isinstance(given, list):
        if not all(isinstance(one, str) for one in given):
            raise ParameterError(Reason.PARAMETER_INVALID, "numbers")
        found = [one.strip() for one in given]
    else:
        found = [one.strip() for one in needed(parameters, "numbers").split(",")]
    found = [one for one in found if one]
    if not found:
        raise ParameterError(Reason.PARAMETER_MISSING, "numbers")
    if len(found) > MOST_NUMBERS:
        raise ParameterError(
            Reason.PARAMETER_INVALID, f"numbers ({len(found)}, at most {MOST_NUMBERS})"
        )
    return found
