"""What is in use stays: carriers, accounts, price lists, networks."""

import pytest

from smsgw.provisioning import Provisioning, ProvisioningError, parse
from smsgw.provisioning.uses import InUse
from smsgw.store.provision import Absent, VersionMoved, prepare, prepare_document

TEXT = """
[[network]]
name = "one"
mcc = "234"
mnc = "10"
prefixes = ["4477"]
[[network]]
name = "other"
mcc = "208"
mnc = "1"
prefixes = ["336"]
[[price_list]]
name = "gold"
price = [
    { mcc = "234", mnc = "10", price = "0.02" },
    { mcc = "208", price = "0.03" },
]
[[carrier]]
name = "north"
kind = "simulator"
[[account]]
name = "parent"
price_list = "gold"
[[account]]
name = "child"
parent = "parent"
[[route]]
name = "all"
prefixes = [""]
carriers = ["north"]
accounts = ["child"]
[[filter]]
name = "none"
text = "casino"
accounts = ["child"]
"""


def known() -> Provisioning:
    return parse(TEXT, "t")


@pytest.mark.parametrize(
    ("kind", "name", "users"),
    [
        ("carrier", "north", {"route all carriers"}),
        ("account", "parent", {"account child parent"}),
        ("account", "child", {"route all accounts", "filter none accounts"}),
        ("price_list", "gold", {"account parent price_list"}),
        ("network", "one", {"price_list gold price"}),
        ("network", "other", {"price_list gold price"}),
        ("route", "all", set()),
        ("filter", "none", set()),
    ],
)
def test_a_form_is_not_deleted_while_another_names_it(
    kind: str, name: str, users: set[str]
) -> None:
    """The fault tells which, and by which key."""

    def told() -> set[str]:
        try:
            prepare_document(known(), kind, name, None)
        except InUse as error:
            return {f"{one.kind} {one.name} {one.key}" for one in error.uses}
        return set()

    assert told() == users


def test_a_network_keeps_the_codes_that_prices_name() -> None:
    """Others of its keys may change; another network with the code takes its place."""
    old = known()
    with pytest.raises(InUse, match="network 234-10: price_list gold uses it"):
        prepare_document(old, "network", "one", {"mnc": "11"}, merge=True)
    assert prepare_document(old, "network", "one", {"prefixes": ["44"]}, merge=True)
    old.networks["twin"] = parse(TEXT, "t").networks["one"]
    assert prepare_document(old, "network", "one", None)


def test_pruning_does_not_take_what_the_file_still_names() -> None:
    """The fault names who uses it; without the user it goes."""
    with pytest.raises(ProvisioningError) as caught:
        prepare(
            known(),
            TEXT.replace('[[carrier]]\nname = "north"\nkind = "simulator"\n', ""),
            "f",
            True,
        )
    assert any("north" in line and "route" in line for line in caught.value.lines)
    kept = TEXT[: TEXT.index("[[route]]")]
    lines = [line for one in prepare(known(), kept, "f", True) for line in one.lines]
    assert lines == ["- filter none", "- route all"]


def test_what_dangles_already_harms_no_other_change() -> None:
    """A change answers for what it takes away, not for what was missing before."""
    old = known()
    del old.carriers["north"]
    assert prepare_document(old, "filter", "none", None)


def test_a_form_that_is_not_there_is_not_changed() -> None:
    """Nor one at another version."""
    with pytest.raises(Absent):
        prepare_document(known(), "carrier", "x", None)
    with pytest.raises(Absent):
        prepare_document(known(), "account", "x", {"rate": 1}, merge=True)
    with pytest.raises(VersionMoved):
        prepare_document(known(), "account", "child", {"rate": 1}, merge=True, expected=3)
