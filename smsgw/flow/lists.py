"""Lists: which numbers are blocked or have opted out, decided in memory and written down by the
journal (E-D12, E-D15 of ``spec/aerialink.md``).

Comes from: ``decide``, which asks; ``optout`` and operators, who change them. Goes on to: the
store.

Theory of operation. Members of opt-out and block lists are in memory; contacts are in the store
only. A change counts from the moment it is decided, so that of two words that a handset sends
together the second finds the first obeyed. What the store has of a number is kept aside until the
last change of it is settled, and then holds: a change that is not stored is undone, in whatever
order changes succeed and fail. So what a handset asks for is written although it holds already, as
long as that may still be undone, or is so only because of a list that an operator may delete.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Protocol, TypeVar

from attrs import define
from sqlalchemy import Connection

from smsgw.provisioning import Account
from smsgw.refusals import Reason
from smsgw.rules.listed import NO_LISTS, Asked, ListsOfAccount
from smsgw.rules.optout import NumberSet, key_of
from smsgw.store import lists as store
from smsgw.store.journal import Changes
from smsgw.store.lists import OPERATOR, NumberList, built_in_name

_IN_MEMORY = ("optout", "block")
Key = tuple[int, str]  # list, number
T = TypeVar("T")


class Runner(Protocol):
    """What reads and writes the store: the journal."""

    def run(self, function: Callable[[Connection], T]) -> Awaitable[T]:
        """What ``function`` gives in a transaction of its own, after all that waits."""


@define
class Decided:
    """Changes of members that wait to be stored: ``Lists.settle`` tells what became of them."""

    keys: list[Key]
    member: bool  # what they are made
    news: bool = True  # False if that held already, though maybe not in the store yet


@define
class _Unsettled:
    stored: bool  # whether it is a member in the store
    member: bool  # whether it is one by the last change
    waiting: int = 0  # changes that are decided and neither stored nor failed


class Lists:
    """The lists of all accounts. Used on the reactor's thread only."""

    def __init__(self) -> None:
        self._lists: dict[int, NumberList] = {}
        self._members: dict[int, NumberSet] = {}
        self._of: dict[str, ListsOfAccount] = {}
        self._unsettled: dict[Key, _Unsettled] = {}

    async def load(self, runner: Runner) -> None:
        """Reads what the store has; once, before anything is asked or changed."""
        for one in await runner.run(store.all_lists):
            if one.type in _IN_MEMORY:
                self._enter(one, await runner.run(_reading(one.id)))

    async def read_again(
        self, runner: Runner, lists: Iterable[int], members: Iterable[Key] = ()
    ) -> None:
        """Reads what other nodes have changed: ``lists`` whole, and whether ``members`` are such.
        Changes of this node that are not settled stay in force. Raises what ``runner`` raises."""
        whole = set(lists)
        some: dict[int, list[str]] = {}
        for id, number in members:
            if id in self._members:
                some.setdefault(id, []).append(number)
            else:
                whole.add(id)
        for id in whole:
            found, numbers = await runner.run(partial(_read_whole, id=id))
            self._replace(id, found, numbers)
        for id in some.keys() - whole:
            stored = await runner.run(partial(store.members, list=id, numbers=some[id]))
            known = self._members.get(id)
            for number in some[id] if known is not None else ():
                self._told(id, number, number in stored)

    async def read_all_again(self, runner: Runner) -> None:
        """Reads everything, after other nodes' changes may have been missed."""
        there = await runner.run(store.all_lists)
        ids = {one.id for one in there if one.type in _IN_MEMORY}
        await self.read_again(runner, ids | self._lists.keys())

    def _replace(self, id: int, found: NumberList | None, numbers: NumberSet) -> None:
        """The store has this of a list."""
        unsettled = [number for list, number in self._unsettled if list == id]
        if id in self._lists and not (found is None and unsettled):
            self._leave(id)
        if found is None or found.type not in _IN_MEMORY:
            return
        # Another node made the list that this one could not store by its name.
        for other in [*self._lists.values()]:
            if (other.account, other.name) == (found.account, found.name):
                self._leave(other.id)
        self._enter(found, numbers)
        for number in unsettled:
            self._told(id, number, number in numbers)

    def _told(self, id: int, number: str, stored: bool) -> None:
        """The store has a number as a member, or has it not."""
        unsettled = self._unsettled.get((id, number))
        if unsettled is not None:
            unsettled.stored, stored = stored, unsettled.member
        _set(self._members[id], number, stored)

    # --- Asked for each message.

    def refuses(
        self, lineage: Sequence[Account], source: str, destination: str, exempt: bool = False
    ) -> Reason | None:
        """Why an account must not send to this destination, None if it may.

        ``lineage`` is the account and those above it: a block of any of them, or of the operator,
        holds. ``exempt`` leaves opt-outs aside (E-D14).
        """
        asked = self.asked(lineage)
        return asked.refuses(source, destination, exempt) if asked is not None else None

    def asked(self, lineage: Sequence[Account]) -> Asked | None:
        """What ``refuses`` asks, for who asks it several times in one turn of the reactor; None if
        there is nothing to ask."""
        of = self._of
        if not of:
            return None
        blocks: list[NumberSet] = []
        for name in (*(one.name for one in lineage), OPERATOR):
            lists = of.get(name)
            if lists is not None:
                blocks += lists.blocks.values()
        account = lineage[0]
        own = of.get(account.name)
        if own is not None and not own.optouts:
            own = None
        if not blocks and own is None:
            return None
        prefixes = [one for one in blocks if one.has_prefixes]
        return Asked(blocks, prefixes, own, account.optout_scope == "account")

    # --- Changed by handsets.

    def opt_out(
        self,
        account: Account,
        source: str,
        number: str,
        changes: Changes,
        at: int,
        allot: Callable[[], int],
    ) -> Decided | None:
        """``number`` wants no more messages from ``source``; None if its list has it for good.

        It becomes a member of the built-in list of ``source``, or of the account's by its
        ``optout_scope``. Adds the rows to ``changes``; ``settle`` follows.
        """
        all = account.optout_scope == "account"
        key = "" if all else key_of(source)
        of = self._of.get(account.name)
        news = of is None or not of.opted_out(key, number, all)
        name = built_in_name(key)
        found = next(
            (
                self._lists[id]
                for id in (of.optouts.get(key, NO_LISTS) if of is not None else ())
                if self._lists[id].name == name
            ),
            None,
        )
        if found is None:
            found = NumberList(allot(), account.name, name, "optout", key, created=at)
            self._enter(found, NumberSet())
        elif number in self._members[found.id] and (found.id, number) not in self._unsettled:
            return None
        self._touch(found, changes, at)
        return self._write([found.id], number, True, changes, at, news)

    def opt_in(
        self, account: Account, source: str, number: str, changes: Changes, at: int
    ) -> Decided | None:
        """``number`` wants messages from ``source`` again; None if nothing stands in the way.

        It is taken off every opt-out list that stands in the way.
        """
        of = self._of.get(account.name)
        if of is None:
            return None
        all = account.optout_scope == "account"
        keys = of.optouts if all else ("", key_of(source))
        ids = [
            id
            for key in keys
            for id, members in of.optouts.get(key, NO_LISTS).items()
            if number in members or (id, number) in self._unsettled
        ]
        if not ids:
            return None
        news = any(number in self._members[id] for id in ids)
        for id in ids:
            if self._lists[id].built_in:  # others may be deleted at this moment
                self._touch(self._lists[id], changes, at)
        return self._write(ids, number, False, changes, at, news)

    def _touch(self, list: NumberList, changes: Changes, at: int) -> None:
        """Writes the list with each change of it, so that no member is stored without it."""
        list.updated = at
        changes.lists.append(list.row())

    def _write(
        self, ids: Iterable[int], number: str, member: bool, changes: Changes, at: int, news: bool
    ) -> Decided:
        decided = Decided([(id, number) for id in ids], member, news)
        for key in decided.keys:
            # The statements of one transaction remove first, whatever was asked for first.
            changes.members = [row for row in changes.members if (row[0], row[1]) != key]
            changes.members_removed = [one for one in changes.members_removed if one != key]
            if member:
                changes.members.append((*key, at, "keyword"))
            else:
                changes.members_removed.append(key)
        self._decide(decided)
        return decided

    def _decide(self, decided: Decided) -> None:
        for key in decided.keys:
            members = self._members[key[0]]
            unsettled = self._unsettled.get(key)
            if unsettled is None:
                known = key[1] in members
                unsettled = self._unsettled[key] = _Unsettled(known, known)
            unsettled.waiting += 1
            if unsettled.member is not decided.member:
                unsettled.member = decided.member
                _set(members, key[1], decided.member)

    def settle(self, decided: Decided, stored: bool) -> None:
        """What was decided is in the store, or is not and never will be."""
        for key in decided.keys:
            unsettled = self._unsettled[key]
            unsettled.waiting -= 1
            if stored:
                unsettled.stored = decided.member
            if not unsettled.waiting:
                del self._unsettled[key]
                members = self._members.get(key[0])
                if members is not None and unsettled.member is not unsettled.stored:
                    _set(members, key[1], unsettled.stored)

    def sizes(self) -> dict[int, int]:
        """How many members the lists have that are in memory."""
        return {id: len(members) for id, members in self._members.items()}

    # --- Changed by operators; each raises what ``runner`` raises, and then nothing is done.

    async def create(self, runner: Runner, made: NumberList) -> bool:
        """Makes a list; False if its account has one of that name."""
        in_memory = made.type in _IN_MEMORY
        if in_memory:
            if any(
                one.account == made.account and one.name == made.name
                for one in self._lists.values()
            ):
                return False
            # At once, so that a handset that opts out meanwhile is put on this very list.
            self._enter(made, NumberSet())
        done = False
        try:
            done = await runner.run(lambda c: store.create(c, made))
        finally:
            # A handset that was put on it meanwhile writes the list with its change.
            if in_memory and not done and not any(id == made.id for id, _ in self._unsettled):
                self._leave(made.id)
        return done

    async def rename(self, runner: Runner, list: NumberList, name: str, at: int) -> bool:
        """Gives a list another name; False if that is taken, or the list gone."""
        done = await runner.run(lambda c: store.rename(c, list.id, name, at))
        if done and list.id in self._lists:
            self._lists[list.id].name = name
        return done

    async def delete(self, runner: Runner, list: NumberList) -> None:
        """Deletes a list with its members."""
        while not await runner.run(lambda c: store.remove_some(c, list.id)):
            pass
        if list.id in self._lists:
            self._leave(list.id)

    async def add(
        self, runner: Runner, list: NumberList, numbers: Sequence[str], at: int, origin: str
    ) -> set[str] | None:
        """Makes numbers members; those that were none. None if the list is gone."""
        return await self._change(
            runner, list, numbers, True, lambda c: store.add(c, list.id, numbers, at, origin)
        )

    async def remove(
        self, runner: Runner, list: NumberList, numbers: Sequence[str], at: int
    ) -> set[str] | None:
        """Makes numbers no members; those that were. None if the list is gone."""
        return await self._change(
            runner, list, numbers, False, lambda c: store.remove(c, list.id, numbers, at)
        )

    async def _change(
        self,
        runner: Runner,
        list: NumberList,
        numbers: Sequence[str],
        member: bool,
        write: store.Write,
    ) -> set[str] | None:
        known = list.id in self._members
        decided = Decided(
            [(list.id, one) for one in dict.fromkeys(numbers)] if known else [], member
        )
        self._decide(decided)
        changed = None
        try:
            changed = await runner.run(write)
        finally:
            self.settle(decided, changed is not None)
        return changed

    def _enter(self, list: NumberList, members: NumberSet) -> None:
        self._lists[list.id] = list
        self._members[list.id] = members
        of = self._of.setdefault(list.account, ListsOfAccount())
        if list.type == "block":
            of.blocks[list.id] = members
        else:
            of.optouts.setdefault(list.source, {})[list.id] = members

    def _leave(self, id: int) -> None:
        list = self._lists.pop(id)
        del self._members[id]
        of = self._of[list.account]
        of.blocks.pop(id, None)
        of.optouts.get(list.source, {}).pop(id, None)


def _set(members: NumberSet, number: str, member: bool) -> None:
    if member:
        members.add(number)
    else:
        members.discard(number)


def _reading(list: int) -> Callable[..., NumberSet]:
    return lambda connection: NumberSet(store.numbers(connection, list))


def _read_whole(connection: Connection, id: int) -> tuple[NumberList | None, NumberSet]:
    found = store.by_id(connection, id)
    kept = found is not None and found.type in _IN_MEMORY
    return found, NumberSet(store.numbers(connection, id) if kept else ())
