"""Lists of numbers as operators see them, and what operators may ask of them."""

from collections.abc import Sequence
from typing import Protocol

from attrs import define, field

from smsgw.store.lists import PAGE  # numbers that are changed or shown at once

__all__ = ["PAGE", "ListOperator", "ListView", "MemberView", "NumberView", "NumbersChanged"]


@define
class ListView:
    """A list of numbers; with ``error`` what was asked for was not done."""

    id: str = ""
    account: str = ""  # "": the operator's own
    name: str = ""
    type: str = ""  # "contact", "optout", "block"
    source: str = ""  # of an opt-out list: the number that it is for, "" = all of the account's
    size: int = 0
    created: int = 0  # ms since 1970 UTC
    updated: int = 0
    built_in: bool = False
    error: str = ""


@define
class MemberView:
    """A member of a list."""

    number: str
    added: int = 0  # ms since 1970 UTC
    origin: str = ""  # "api", "keyword", "carrier", "admin"


@define
class NumberView:
    """What became of one number: "added", "exists", "removed", "unknown" or "invalid"."""

    number: str
    result: str


@define
class NumbersChanged:
    """What became of each number, in order; with ``error`` nothing was done."""

    numbers: list[NumberView] = field(factory=list)
    error: str = ""


class ListOperator(Protocol):
    """What operators may ask of lists. ``id`` is that of a ``ListView``; None: there is no such
    list."""

    async def all(self, account: str | None) -> list[ListView]:
        """The lists of an account ("": the operator's), or all; by account and name."""

    async def make(self, account: str, name: str, type: str, source: str) -> ListView:
        """A new list."""

    async def rename(self, id: str, name: str) -> ListView | None:
        """The list with its new name."""

    async def delete(self, id: str) -> ListView | None:
        """Deletes the list; what it was."""

    async def members(self, id: str, after: str) -> list[MemberView] | None:
        """Members in the order of their digits, the first PAGE after the number ``after``."""

    async def add(self, id: str, numbers: Sequence[str]) -> NumbersChanged | None:
        """Makes numbers members, PAGE at most."""

    async def remove(self, id: str, numbers: Sequence[str]) -> NumbersChanged | None:
        """Makes numbers no members, PAGE at most."""
