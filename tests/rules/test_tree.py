"""The tree of accounts: what holds for one because of those above it (F-17)."""

from datetime import UTC, datetime
from typing import Any

import pytest

from smsgw.provisioning import Account, Provisioning
from smsgw.rules import tree
from smsgw.rules.tables import Tables


def ms(text: str) -> int:
    """A time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def tables(*accounts: Account) -> Tables:
    return Tables(Provisioning(accounts={one.name: one for one in accounts}))


def family(**fields: dict[str, Any]) -> Tables:
    """A parent, a child and a grandchild, with ``fields`` of each by these names."""
    return tables(
        Account("parent", **fields.get("parent", {})),
        Account("child", parent="parent", **fields.get("child", {})),
        Account("grandchild", parent="child", **fields.get("grandchild", {})),
    )


def test_the_lineage_goes_from_an_account_upwards() -> None:
    """Itself first; one without a parent is alone."""
    found = family()
    names = {name: [one.name for one in line] for name, line in found.lineage.items()}
    assert names == {
        "parent": ["parent"],
        "child": ["child", "parent"],
        "grandchild": ["grandchild", "child", "parent"],
    }


def test_a_tree_that_is_not_in_order_ends() -> None:
    """A circle, and a parent that is not there, which no file may bring about."""
    found = tables(Account("a", parent="b"), Account("b", parent="a"), Account("c", parent="x"))
    assert [one.name for one in found.lineage["a"]] == ["a", "b"]
    assert [one.name for one in found.lineage["c"]] == ["c"]


def test_suspension_holds_for_all_below() -> None:
    """And not for those above."""
    found = family(child={"suspended": True}).standing
    assert {name: place.suspended for name, place in found.items()} == {
        "parent": False,
        "child": True,
        "grandchild": True,
    }


def test_the_first_of_a_lineage_that_expires_ends_it() -> None:
    """Each by its own time zone."""
    found = family(
        parent={"expires": "2026-06-30", "time_zone": "Europe/London"},
        child={"expires": "2027-01-31"},
        grandchild={"expires": "2026-06-29", "time_zone": "Asia/Tokyo"},
    ).standing
    assert found["parent"].expires_at == ms("2026-06-30 23:00")
    assert found["child"].expires_at == ms("2026-06-30 23:00")
    assert found["grandchild"].expires_at == ms("2026-06-29 15:00")


def test_an_account_without_a_last_day_never_expires() -> None:
    """Nor does one whose last day is the calendar's."""
    found = family(child={"expires": "9999-12-31"})
    assert [place.expires_at for place in found.standing.values()] == [tree.NEVER] * 3
    assert not found.any_expires
    assert family(child={"expires": "2026-12-31"}).any_expires


@pytest.mark.parametrize(
    ("prepaid", "payer"),
    [
        ((), "grandchild"),
        (("parent",), "parent"),
        (("child", "parent"), "child"),
        (("grandchild", "parent"), "grandchild"),
    ],
)
def test_the_nearest_prepaid_account_pays(prepaid: tuple[str, ...], payer: str) -> None:
    """Itself, else one above it, else nobody in advance: itself, postpaid."""
    found = family(**{name: {"balance": "1.00"} for name in prepaid})
    assert found.standing["grandchild"].payer.name == payer


def test_only_limits_that_there_are_are_looked_at() -> None:
    """The rates and quotas of a lineage, the nearest first."""
    place = family(
        parent={"rate": 5.0, "quota_month": 9}, grandchild={"quota_day": 1, "rate": 1.0}
    ).standing["grandchild"]
    assert [one.name for one in place.rated] == ["grandchild", "parent"]
    assert [one.name for one in place.metered] == ["grandchild", "parent"]
    assert family().standing["grandchild"].rated == ()
