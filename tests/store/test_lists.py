"""Lists of numbers in the store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine

from smsgw.store import audit, lists, records, schema
from smsgw.store.database import close_store, open_store
from smsgw.store.lists import NumberList

BLOCKED = NumberList(7, "acme", "blocked", "block", "", 1, 1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Connection]:
    """A store with one list."""
    engine = open_store(f"sqlite:///{tmp_path}/smsgw.db")
    with engine.connect() as connection:
        lists.create(connection, BLOCKED)
        yield connection
    close_store(engine)


def test_a_name_is_taken_once_in_an_account(store: Connection) -> None:
    """Another account, and the operator, may use it as well."""
    assert not lists.create(store, NumberList(8, "acme", "blocked", "contact"))
    assert lists.create(store, NumberList(9, "other", "blocked", "contact"))
    assert lists.create(store, NumberList(10, "", "blocked", "block"))
    assert [(one.account, one.id) for one in lists.all_lists(store)] == [
        ("", 10),
        ("acme", 7),
        ("other", 9),
    ]
    assert [one.id for one in lists.all_lists(store, "acme")] == [7]
    assert lists.find(store, "acme", "blocked") == BLOCKED
    assert lists.by_id(store, 9) == NumberList(9, "other", "blocked", "contact")
    assert lists.by_id(store, 11) is None


def test_ids_go_on_after_those_of_lists(store: Connection) -> None:
    """So that no other thing gets the id of a list after a restart."""
    assert records.highest_id(store) == 7


def test_ids_go_on_after_those_of_the_audit(store: Connection) -> None:
    """Which are those of the last things that operators did."""
    audit.enter(store, schema.ActionRow(9, 1, "me", "topup", "acme", "1.00"))
    assert records.highest_id(store) == 9


def test_a_list_is_renamed_unless_the_name_is_taken(store: Connection) -> None:
    """Its own name is not taken by itself; what is gone cannot be renamed."""
    lists.create(store, NumberList(8, "acme", "friends", "contact"))
    assert not lists.rename(store, 7, "friends", 2)
    assert lists.rename(store, 7, "blocked", 2)
    assert lists.rename(store, 7, "foes", 3)
    assert not lists.rename(store, 99, "gone", 3)
    found = lists.by_id(store, 7)
    assert found is not None
    assert (found.name, found.created, found.updated) == ("foes", 1, 3)


def test_adding_tells_what_was_new(store: Connection) -> None:
    """What is a member keeps when and how it became one."""
    assert lists.add(store, 7, ["1", "2", "1"], 5, "admin") == {"1", "2"}
    assert lists.add(store, 7, ["2", "3"], 6, "api") == {"3"}
    assert lists.page(store, 7) == [("1", 5, "admin"), ("2", 5, "admin"), ("3", 6, "api")]
    assert lists.sizes(store, [7, 8]) == {7: 3}
    found = lists.by_id(store, 7)
    assert found is not None
    assert found.updated == 6


def test_removing_tells_what_was_there(store: Connection) -> None:
    """The others stay."""
    lists.add(store, 7, ["1", "2", "3"], 5, "admin")
    assert lists.remove(store, 7, ["2", "9"], 6) == {"2"}
    assert sorted(lists.numbers(store, 7)) == ["1", "3"]


def test_a_list_that_is_gone_takes_nothing(store: Connection) -> None:
    """No member is left without its list."""
    assert lists.add(store, 99, ["1"], 5, "admin") is None
    assert lists.remove(store, 99, ["1"], 5) is None
    assert list(store.execute(schema.list_member.select())) == []


def test_a_long_list_is_read_in_pages_and_deleted_in_steps(store: Connection) -> None:
    """In the order of the digits; nothing is left of it, and all of another one."""
    numbers = [str(4477_0000_0000 + n) for n in range(2_500)]
    for start in range(0, 2_500, 1_000):
        lists.add(store, 7, numbers[start : start + 1_000], 5, "admin")
    lists.create(store, NumberList(8, "acme", "friends", "contact"))
    lists.add(store, 8, numbers[:3], 5, "admin")
    read, after = [], ""
    while page := lists.page(store, 7, after):
        assert len(page) <= lists.PAGE
        read += [one[0] for one in page]
        after = page[-1][0]
    assert read == numbers
    assert [lists.remove_some(store, 7) for _ in range(3)] == [False, False, True]
    assert lists.by_id(store, 7) is None
    assert lists.numbers(store, 7) == []
    assert lists.numbers(store, 8) == numbers[:3]


def test_an_empty_list_is_deleted_at_once(store: Connection) -> None:
    """There is nothing to do first."""
    assert lists.remove_some(store, 7)
    assert lists.by_id(store, 7) is None


def test_the_list_that_every_number_has_is_built_in() -> None:
    """By its name: of the number, or of the whole account."""
    assert NumberList(1, "acme", "optout 447700900000", "optout", "447700900000").built_in
    assert NumberList(1, "acme", "optout", "optout").built_in
    assert not NumberList(1, "acme", "optout 1", "optout", "2").built_in
    assert not NumberList(1, "acme", "optout", "contact").built_in
    assert lists.is_built_in_name("optout 2")
    assert not lists.is_built_in_name("optouts")


_NUMBERS = st.sets(st.integers(1, 20).map(str))


@given(st.lists(st.tuples(st.booleans(), _NUMBERS)))
def test_members_are_a_set(steps: list[tuple[bool, set[str]]]) -> None:
    """Whatever is added and removed, and each answer tells the difference."""
    engine = create_engine("sqlite://")
    schema.metadata.create_all(engine)
    plain: set[str] = set()
    with engine.connect() as connection:
        lists.create(connection, BLOCKED)
        for add, numbers in steps:
            given = sorted(numbers)
            if add:
                assert lists.add(connection, 7, given, 5, "api") == numbers - plain
                plain |= numbers
            else:
                assert lists.remove(connection, 7, given, 5) == numbers & plain
                plain -= numbers
            assert set(lists.numbers(connection, 7)) == plain
            assert lists.members(connection, 7, given) == numbers & plain
    engine.dispose()
