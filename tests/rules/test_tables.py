"""The compiled provisioning: allow-lists, credentials, numbers and senders."""

import pytest

from smsgw.provisioning import Account, Carrier, Credential, Number, Provisioning, Route
from smsgw.rules.tables import AllowList, Tables


def tables(*accounts: Account) -> Tables:
    return Tables(Provisioning(accounts={account.name: account for account in accounts}), 3)


@pytest.mark.parametrize(
    ("entries", "peer", "allowed"),
    [
        (["192.0.2.10"], "192.0.2.10", True),
        (["192.0.2.10"], "192.0.2.11", False),
        (["192.0.2.0/24"], "192.0.2.200", True),
        (["192.0.2.0/24"], "192.0.3.1", False),
        (["2001:db8::/32"], "2001:db8::7", True),
        (["2001:db8::/32"], "2001:db9::7", False),
        (["192.0.2.0/24"], "::ffff:192.0.2.1", True),
        (["192.0.2.0/24"], "2001:db8::7", False),
        (["::1"], "127.0.0.1", False),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["*"], "203.0.113.9", True),
        (["192.0.2.0/24", "*"], "2001:db8::7", True),
        (["*"], "unix", True),
        (["192.0.2.0/24"], "unix", False),
        (["192.0.2.0/24"], "", False),
        ([], "127.0.0.1", False),
    ],
)
def test_an_address_is_allowed_if_an_entry_holds_it(
    entries: list[str], peer: str, allowed: bool
) -> None:
    """Addresses and blocks of both families; "*" is anywhere, empty nobody, a name nowhere."""
    assert AllowList(entries).allows(peer) is allowed


def test_an_empty_list_is_what_its_setting_says() -> None:
    """``open_if_empty`` opens empty lists, and no others (E-D6)."""
    assert AllowList([]).allows("192.0.2.1", if_empty=True)
    assert not AllowList(["192.0.2.2"]).allows("192.0.2.1", if_empty=True)


def test_answers_are_remembered_within_bounds() -> None:
    """However many addresses come, the right answer is given and few are kept."""
    allow = AllowList(["10.0.0.0/9"])
    for n in range(3_000):
        peer = f"10.{n % 256}.{n // 256}.1"
        assert allow.allows(peer) is (n % 256 < 128)
        assert allow.allows(peer) is (n % 256 < 128)
    assert len(allow._answers) <= 1_000


def test_a_credential_is_found_by_kind_and_name() -> None:
    """The same name may be a login of SMPP and another of HTTP."""
    smpp = Credential("smpp", "acme", binds=4)
    http = Credential("http", "acme")
    compiled = tables(Account("acme", credential=[smpp, http]))
    assert compiled.credentials["smpp", "acme"][:2] == (compiled.accounts["acme"], smpp)
    assert compiled.credentials["http", "acme"][1] is http
    assert ("smtp", "acme") not in compiled.credentials


def test_some_credential_of_the_kind_allows_an_address() -> None:
    """An address in no list of the kind is nobody's (ruling 7)."""
    compiled = tables(
        Account("a", credential=[Credential("smpp", "a", allow=["192.0.2.1"])]),
        Account("b", credential=[Credential("http", "b", allow=["192.0.2.2"])]),
    )
    assert compiled.any_allows("smpp", "192.0.2.1")
    assert not compiled.any_allows("smpp", "192.0.2.2")
    assert compiled.any_allows("http", "192.0.2.2")


def test_a_number_leads_to_its_account() -> None:
    """MO are for the account that has the number."""
    number = Number("447700900000")
    compiled = tables(Account("a"), Account("b", number=[number]))
    rule = compiled.numbers.find("447700900000", str)
    assert rule is not None
    assert rule[:2] == (compiled.accounts["b"], number)
    assert compiled.numbers.find("447700900001", str) is None


def test_an_account_without_senders_may_use_any() -> None:
    """No list of senders is no limit, whatever numbers the account has."""
    compiled = tables(Account("a", number=[Number("447700900000")]))
    assert compiled.senders["a"] is None


def test_an_account_with_senders_may_use_its_numbers_too() -> None:
    """A number that the account receives on is a sender of its own."""
    compiled = tables(Account("a", senders=["ACME"], number=[Number("447700900000")]))
    assert compiled.senders["a"] == {"ACME", "447700900000"}


def test_routes_and_carriers_are_those_provisioned() -> None:
    """The tables are of one version of the provisioning, whole."""
    provisioning = Provisioning(
        carriers={"north": Carrier("north")},
        routes={
            "one": Route("one", ["44"], ["north"]),
            "two": Route("two", ["44"], ["north"]),
        },
    )
    compiled = Tables(provisioning, 7, chance=lambda: 0.9)
    assert compiled.version == 7
    assert compiled.carriers == provisioning.carriers
    assert compiled.routes.match("447700900123") is provisioning.routes["two"]


def test_tables_do_not_change_with_the_provisioning() -> None:
    """A new account is in force with the next tables, not in the middle of these."""
    provisioning = Provisioning(accounts={"a": Account("a")})
    compiled = Tables(provisioning)
    provisioning.accounts["b"] = Account("b")
    assert set(compiled.accounts) == {"a"}
