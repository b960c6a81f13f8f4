"""What operators may do with lists of numbers: contacts, opt-outs and blocks.

``Keeping`` is the same for the running gateway and for the store alone: they differ in who runs
what it reads and writes.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from smsgw.flow.lists import Lists, Runner
from smsgw.operate.list_views import (
    PAGE,
    ListView,
    MemberView,
    NumbersChanged,
    NumberView,
)
from smsgw.operate.operator import Unavailable
from smsgw.provisioning import Account
from smsgw.rules.optout import key_of, member
from smsgw.store import audit, schema
from smsgw.store import lists as store
from smsgw.store.lists import OPERATOR, TYPES, NumberList

T = TypeVar("T")
_NAME = 64  # characters


class Keeping:
    """A ``ListOperator`` on the lists of a gateway, or on a store that none has open."""

    def __init__(
        self,
        runner: Runner,
        lists: Lists,
        accounts: Callable[[], Mapping[str, Account]],
        allot: Callable[[], int],
        who: str,
        now: Callable[[], float] = time.time,
        origin: str = "admin",
    ) -> None:
        """``lists`` are those in force, ``accounts`` the accounts; ``allot`` gives ids. ``who`` is
        for the audit; ``now`` gives seconds since 1970; ``origin`` is that of members who are
        added."""
        self._runner = runner
        self._lists = lists
        self._accounts = accounts
        self._allot = allot
        self._who = who
        self._now = now
        self._origin = origin

    async def all(self, account: str | None) -> list[ListView]:
        """See ListOperator."""
        # Counting a long list in the store would hold up the journal.
        held = self._lists.sizes()

        def read(connection: Connection) -> list[ListView]:
            found = store.all_lists(connection, account)
            sizes = held | store.sizes(connection, [one.id for one in found if one.id not in held])
            return [_view(one, sizes.get(one.id, 0)) for one in found]

        return await self._runner.run(read)

    async def make(self, account: str, name: str, type: str, source: str) -> ListView:
        """See ListOperator."""
        if account != OPERATOR and account not in self._accounts():
            return ListView(error=f"there is no account {account}; see: smsgw accounts")
        source = key_of(source.removeprefix("+"))
        error = _fault(name) or _type_fault(account, name, type, source)
        if error:
            return ListView(error=error)
        at = self._now_ms()
        made = NumberList(self._allot(), account, name, type, source, at, at)
        if not await self._lists.create(self._audited(made, "created"), made):
            return ListView(error=f"there is a list {name} already; choose another name")
        return _view(made)

    async def rename(self, id: str, name: str) -> ListView | None:
        """See ListOperator."""
        found = await self._find(id)
        if found is None:
            return None
        error = _fault(name)
        if found.built_in:
            error = f"{found.name} is built in; it keeps its name"
        elif store.is_built_in_name(name):
            error = f"{name} is the name of a built-in list; choose another one"
        if not error:
            at = self._now_ms()
            if await self._lists.rename(self._audited(found, f"renamed {name}"), found, name, at):
                found.name, found.updated = name, at
            else:
                error = f"there is a list {name} already; choose another name"
        return _view(found, error=error)

    async def delete(self, id: str) -> ListView | None:
        """See ListOperator."""
        found = await self._find(id)
        if found is None:
            return None
        if found.built_in:
            return _view(found, error=f"{found.name} is built in; remove its members instead")
        await self._lists.delete(self._audited(found, "deleted"), found)
        return _view(found)

    async def members(self, id: str, after: str) -> list[MemberView] | None:
        """See ListOperator."""
        found = await self._find(id)
        if found is None:
            return None
        list_id = found.id
        page = await self._runner.run(lambda c: store.page(c, list_id, after))
        return [MemberView(*one) for one in page]

    async def add(self, id: str, numbers: Sequence[str]) -> NumbersChanged | None:
        """See ListOperator."""
        return await self._change(id, numbers, True)

    async def remove(self, id: str, numbers: Sequence[str]) -> NumbersChanged | None:
        """See ListOperator."""
        return await self._change(id, numbers, False)

    async def _change(self, id: str, numbers: Sequence[str], add: bool) -> NumbersChanged | None:
        if len(numbers) > PAGE:
            return NumbersChanged(error=f"{len(numbers)} numbers; {PAGE} at most at once")
        found = await self._find(id)
        if found is None:
            return None
        account = self._accounts().get(found.account)
        country = account.country if account is not None else ""
        meant = [member(one, found.type, country) for one in numbers]
        wanted = [*dict.fromkeys(one for one in meant if one is not None)]
        lists, at = self._lists, self._now_ms()
        done, not_done = ("added", "exists") if add else ("removed", "unknown")
        runner = self._audited(found, done)
        if add:
            changed = await lists.add(runner, found, wanted, at, self._origin)
        else:
            changed = await lists.remove(runner, found, wanted, at)
        if changed is None:
            return None
        results = []
        for text, one in zip(numbers, meant, strict=True):
            if one is None:
                results.append(NumberView(text[:40], "invalid"))
                continue
            results.append(NumberView(one, done if one in changed else not_done))
            changed.discard(one)  # a number that is given twice is changed once
        return NumbersChanged(results)

    def _audited(self, list: NumberList, what: str) -> "_Audited":
        def action(result: object) -> schema.ActionRow:
            count = f" {len(result)} numbers" if isinstance(result, set) else ""
            name = f"{list.account}/{list.name}"
            return schema.ActionRow(number, self._now_ms(), self._who, "list", name, what + count)

        number = self._allot()
        return _Audited(self._runner, action)

    async def _find(self, id: str) -> NumberList | None:
        if not (id.isascii() and id.isdecimal() and len(id) <= 18):
            return None
        number = int(id)
        return await self._runner.run(lambda c: store.by_id(c, number))

    def _now_ms(self) -> int:
        return int(self._now() * 1000)


def _view(one: NumberList, size: int = 0, error: str = "") -> ListView:
    return ListView(
        str(one.id),
        one.account,
        one.name,
        one.type,
        one.source,
        size,
        one.created,
        one.updated,
        one.built_in,
        error,
    )


def _fault(name: str) -> str:
    """What is wrong with the name of a list, "" if nothing is."""
    if 1 <= len(name) <= _NAME and name.isprintable() and name == name.strip():
        return ""
    return f"the name of a list must be 1 to {_NAME} printable characters"


def _type_fault(account: str, name: str, type: str, source: str) -> str:
    if type not in TYPES:
        return f"{type[:40]} is no type of lists; it must be one of {', '.join(TYPES)}"
    if type != "optout" and source:
        return "only a list of type optout has a source; leave it out"
    if type == "optout" and account == OPERATOR:
        return "an opt-out is from an account; name one, or make a list of type block"
    if len(source) > 20 or not source.isprintable():
        return "the source must be a number or name that the account sends from"
    made = NumberList(0, account, name, type, source)
    if store.is_built_in_name(name) and not made.built_in:
        return f"{name} is the name of a built-in list; choose another one"
    return ""


class _Audited:
    """Keeps an action for the audit in the transaction of the change; none if nothing changed."""

    def __init__(self, runner: Runner, action: Callable[[object], schema.ActionRow]) -> None:
        self._runner = runner
        self._action = action

    async def run(self, function: Callable[[Connection], T]) -> T:
        """See Runner."""

        def write(connection: Connection) -> T:
            result = function(connection)
            if result:
                audit.enter(connection, self._action(result))
            return result

        try:
            return await self._runner.run(write)
        except DBAPIError as error:
            raise Unavailable(f"store: {error.orig}; mend that and try again") from None
