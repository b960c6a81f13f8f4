"""Lists of numbers in the store: contacts, opt-outs and blocks, of an account or of the operator
(``spec/aerialink.md`` 4.4, E-D12)."""

from collections.abc import Callable, Sequence

from attrs import define
from sqlalchemy import Connection, delete, func, insert, select, update

from smsgw.store import news, schema, writers

TYPES = ("contact", "optout", "block")
OPERATOR = ""  # the account of the operator's own lists
ORIGINS = ("api", "keyword", "carrier", "admin")
PAGE = 1_000  # members that are read, or changed, at once
_FEW = 400  # values of one statement

Member = tuple[str, int, str]  # number, when it was added (ms), origin
# Changes members; those that it changed, None if the list is gone.
Write = Callable[[Connection], set[str] | None]


@define
class NumberList:
    """A row of ``number_list``; times are ms since 1970 UTC."""

    id: int
    account: str
    name: str
    type: str
    source: str = ""  # of an opt-out list: the number that it is for, "" = all of the account's
    created: int = 0
    updated: int = 0

    def row(self) -> tuple[object, ...]:
        """The values of the table's columns, in order."""
        return (
            self.id,
            self.account,
            self.name,
            self.type,
            self.source,
            self.created,
            self.updated,
        )

    @property
    def built_in(self) -> bool:
        """True for the opt-out list that every number has (E-D12), which cannot be deleted."""
        return self.type == "optout" and self.name == built_in_name(self.source)


def built_in_name(source: str) -> str:
    """Name of the built-in opt-out list of a number, or of the whole account for ""."""
    return f"optout {source}" if source else "optout"


def is_built_in_name(name: str) -> bool:
    """True if only a built-in list may be called so."""
    return name == "optout" or name.startswith("optout ")


def all_lists(connection: Connection, account: str | None = None) -> list[NumberList]:
    """The lists of an account, or of all accounts and the operator; by account and name."""
    c = schema.number_list.c
    query = select(schema.number_list).order_by(c.account, c.name)
    if account is not None:
        query = query.where(c.account == account)
    return [NumberList(*row) for row in connection.execute(query)]


def sizes(connection: Connection, ids: Sequence[int]) -> dict[int, int]:
    """How many members these lists have; one that has none is missing."""
    c = schema.list_member.c
    found: dict[int, int] = {}
    for start in range(0, len(ids), _FEW):
        chunk = ids[start : start + _FEW]
        query = select(c.list, func.count()).where(c.list.in_(chunk)).group_by(c.list)
        found.update({row[0]: row[1] for row in connection.execute(query)})
    return found


def find(connection: Connection, account: str, name: str) -> NumberList | None:
    """The list of this name, None if there is none."""
    c = schema.number_list.c
    query = select(schema.number_list).where(c.account == account, c.name == name)
    row = connection.execute(query).first()
    return None if row is None else NumberList(*row)


def by_id(connection: Connection, id: int) -> NumberList | None:
    """The list with this id, None if there is none."""
    query = select(schema.number_list).where(schema.number_list.c.id == id)
    row = connection.execute(query).first()
    return None if row is None else NumberList(*row)


def create(connection: Connection, made: NumberList) -> bool:
    """Writes a new list; False, and nothing is written, if its account has one of that name."""
    if find(connection, made.account, made.name) is not None:
        return False
    connection.execute(insert(schema.number_list).values(made.row()))
    news.tell(connection, [news.of_list(made.id)])
    return True


def rename(connection: Connection, list: int, name: str, at: int) -> bool:
    """Gives a list another name; False, and nothing is done, if that is taken, or the list gone."""
    c = schema.number_list.c
    account = connection.execute(select(c.account).where(c.id == list)).scalar()
    if account is None:
        return False
    other = find(connection, account, name)
    if other is not None and other.id != list:
        return False
    values = update(schema.number_list).where(c.id == list).values(name=name, updated=at)
    connection.execute(values)
    news.tell(connection, [news.of_list(list)])
    return True


def remove_some(connection: Connection, list: int) -> bool:
    """Deletes a page of members, and the list itself once it has none; True when it is gone.

    So a long list is deleted in many short transactions, between which others have their turn.
    """
    c = schema.list_member.c
    page = select(c.number).where(c.list == list).limit(PAGE)
    numbers = [*connection.execute(page).scalars()]
    _delete(connection, list, numbers)
    if len(numbers) == PAGE:
        return False
    connection.execute(delete(schema.number_list).where(schema.number_list.c.id == list))
    news.tell(connection, [news.of_list(list)])
    return True


def add(
    connection: Connection, list: int, numbers: Sequence[str], at: int, origin: str
) -> set[str] | None:
    """Makes these numbers members; those that were none. None if the list is gone."""
    if not _touch(connection, list, at):
        return None
    new = dict.fromkeys(numbers)
    for number in members(connection, list, numbers):
        new.pop(number, None)
    rows = [(list, number, at, origin) for number in new]
    writers.of(connection).insert(schema.list_member, rows)
    news.tell(connection, news.of_members((list, number) for number in new))
    return set(new)


def remove(connection: Connection, list: int, numbers: Sequence[str], at: int) -> set[str] | None:
    """Makes these numbers no members; those that were. None if the list is gone."""
    if not _touch(connection, list, at):
        return None
    known = members(connection, list, numbers)
    _delete(connection, list, [*known])
    news.tell(connection, news.of_members((list, number) for number in known))
    return known


def members(connection: Connection, list: int, numbers: Sequence[str]) -> set[str]:
    """Which of these numbers are members."""
    c = schema.list_member.c
    found: set[str] = set()
    for start in range(0, len(numbers), _FEW):
        chunk = numbers[start : start + _FEW]
        query = select(c.number).where(c.list == list, c.number.in_(chunk))
        found.update(connection.execute(query).scalars())
    return found


def page(
    connection: Connection, list: int, after: str = "", limit: int = PAGE, skip: int = 0
) -> list[Member]:
    """Members in the order of their digits, those after ``after``, without the first ``skip`` of
    them, ``limit`` at most."""
    c = schema.list_member.c
    query = (
        select(c.number, c.added, c.origin)
        .where(c.list == list, c.number > after)
        .order_by(c.number)
        .limit(limit)
        .offset(skip)
    )
    return [(row[0], row[1], row[2]) for row in connection.execute(query)]


def numbers(connection: Connection, list: int) -> list[str]:
    """All members."""
    c = schema.list_member.c
    return [*connection.execute(select(c.number).where(c.list == list)).scalars()]


def _touch(connection: Connection, list: int, at: int) -> bool:
    c = schema.number_list.c
    done = connection.execute(update(schema.number_list).where(c.id == list).values(updated=at))
    return bool(done.rowcount)


def _delete(connection: Connection, list: int, numbers: Sequence[str]) -> None:
    rows = [(list, number) for number in numbers]
    writers.of(connection).delete("list_member", ("list", "number"), rows)
