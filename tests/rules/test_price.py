"""Price lists: the longest prefix, networks by their codes, and the list that customers get."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.provisioning import Account, Provisioning
from smsgw.provisioning.routing import Network, Price, PriceList
from smsgw.rules.price import PriceTable, coverage
from smsgw.rules.tables import Tables

VODAFONE = Network("voda", "234", "15", ["447700", "4478"], "United Kingdom", "Vodafone")
O2 = Network("o2", "234", "10", ["44779"], "United Kingdom", "O2")
ORANGE = Network("orange", "208", "01", ["336"], "France", "Orange")
NETWORKS = [VODAFONE, O2, ORANGE]


def table(*prices: Price, networks: list[Network] = NETWORKS) -> PriceTable:
    return PriceTable(PriceList("gold", list(prices)), networks)


def found(prices: PriceTable, destination: str) -> tuple[str, str] | None:
    priced = prices.find(destination)
    return None if priced is None else (priced.price, priced.why)


def test_the_longest_prefix_holds() -> None:
    """Whatever the order in the list."""
    prices = table(Price("3", "4477"), Price("1", ""), Price("2", "44"))
    assert found(prices, "447700900123") == ("3", "prefix 4477")
    assert found(prices, "442079460000") == ("2", "prefix 44")
    assert found(prices, "33612345678") == ("1", "prefix of all")


def test_without_an_entry_there_is_no_price() -> None:
    """Then the route's holds."""
    assert found(table(Price("1", "44")), "33612345678") is None
    assert found(table(), "44") is None


def test_a_network_stands_for_all_its_prefixes() -> None:
    """By its MCC and MNC."""
    prices = table(Price("2", mcc="234", mnc="15"))
    assert found(prices, "447700900123") == ("2", "network 234-15")
    assert found(prices, "447812345678") == ("2", "network 234-15")
    assert found(prices, "447791234567") is None


def test_a_country_stands_for_its_networks_without_a_price_of_their_own() -> None:
    """The order does not matter, and other countries are not meant."""
    for turn in (1, -1):
        entries = [Price("2", mcc="234"), Price("5", mcc="234", mnc="10")][::turn]
        prices = table(*entries)
        assert found(prices, "447700900123") == ("2", "network 234-15")
        assert found(prices, "447791234567") == ("5", "network 234-10")
        assert found(prices, "33612345678") is None


def test_of_a_prefix_and_a_network_the_longer_holds_and_digits_where_they_are_the_same() -> None:
    """Digits are more exact than the network that they are of."""
    prices = table(
        Price("1", "44"), Price("2", mcc="234"), Price("3", "44779"), Price("4", "4477001")
    )
    assert found(prices, "447700900123") == ("2", "network 234-15")
    assert found(prices, "447700100123") == ("4", "prefix 4477001")
    assert found(prices, "447791234567") == ("3", "prefix 44779")
    assert found(prices, "442079460000") == ("1", "prefix 44")


DIGITS = st.text("012", max_size=5)


@given(
    entries=st.lists(
        st.one_of(
            st.tuples(DIGITS, st.just(""), st.just("")),
            st.tuples(st.none(), st.sampled_from(["100", "200"]), st.sampled_from(["", "1", "2"])),
        ),
        max_size=8,
        unique=True,
    ),
    networks=st.dictionaries(
        st.tuples(st.sampled_from(["100", "200"]), st.sampled_from(["1", "2"])),
        st.lists(DIGITS, min_size=1, max_size=3),
        max_size=4,
    ),
    destination=st.text("012", max_size=8),
)
def test_a_list_finds_what_a_search_through_all_its_entries_finds(
    entries: list[tuple[str | None, str, str]],
    networks: dict[tuple[str, str], list[str]],
    destination: str,
) -> None:
    """The law of the table: longest prefix, then digits before network before country."""
    form = PriceList("x", [Price(str(n), *entry) for n, entry in enumerate(entries)])
    known = [Network(f"{mcc}{mnc}", mcc, mnc, own) for (mcc, mnc), own in networks.items()]
    own = {(entry.mcc, entry.mnc) for entry in form.price if entry.mnc}
    candidates: list[tuple[int, int, str]] = []
    for entry in form.price:
        if entry.prefix is not None:
            rank, digits = 0, [entry.prefix]
        elif entry.mnc:
            rank, digits = 1, networks.get((entry.mcc, entry.mnc), [])
        else:
            rank = 2
            digits = [
                one
                for code, prefixes in networks.items()
                if code[0] == entry.mcc and code not in own
                for one in prefixes
            ]
        candidates += [
            (-len(one), rank, entry.price) for one in digits if destination.startswith(one)
        ]
    best = {price for length, rank, price in candidates if (length, rank) == min(candidates)[:2]}
    priced = PriceTable(form, known).find(destination)
    assert (priced.price in best) if priced is not None else not best


def lists_of(**accounts: Account) -> Tables:
    lists = {name: PriceList(name, [Price(name, "44")]) for name in ("gold", "silver")}
    return Tables(Provisioning(accounts=accounts, price_lists=lists))


def an_account(name: str, **fields: Any) -> Account:
    return Account(name, **fields)


def test_an_account_has_the_list_of_its_nearest_ancestor() -> None:
    """Its own before that of its parent; without any there is no table to ask."""
    tables = lists_of(
        top=an_account("top", price_list="gold"),
        middle=an_account("middle", parent="top"),
        low=an_account("low", parent="middle"),
        own=an_account("own", parent="top", price_list="silver"),
        none=an_account("none"),
    )
    names = {name: prices.name for name, prices in tables.prices.items()}
    assert names == {"top": "gold", "middle": "gold", "low": "gold", "own": "silver"}
    assert tables.prices["top"] is tables.prices["low"]


def test_accounts_that_are_each_others_parents_end_no_search() -> None:
    """What cannot be applied does no harm if it is there."""
    assert not lists_of(a=an_account("a", parent="b"), b=an_account("b", parent="a")).prices


COVERAGE = [
    (Price("0.03", mcc="234", mnc="10", remarks="fast"), "United Kingdom,O2,234,10,0.03,EUR,fast"),
    (Price("0.02", mcc="234"), "United Kingdom,Rest,234,,0.02,EUR,"),
    (Price("0.05", "4478"), "United Kingdom,+4478,,,0.05,EUR,"),
    (Price("0.05", "33612"), "France,+33612,,,0.05,EUR,"),
    (Price("0.09", ""), ",Rest,,,0.09,EUR,"),
    (Price("0.09", "49"), ",+49,,,0.09,EUR,"),
]


@pytest.mark.parametrize(("price", "line"), COVERAGE)
def test_each_price_is_a_line_of_the_coverage_list(price: Price, line: str) -> None:
    """Country, operator, MCC, MNC, cost, currency, remarks (F-3)."""
    [row] = coverage(PriceList("gold", [price]), NETWORKS, "EUR")
    assert ",".join(row) == line


def test_a_coverage_list_is_in_the_order_of_countries_with_the_rest_at_the_end() -> None:
    """Of each country its networks come first."""
    form = PriceList("gold", [price for price, _ in COVERAGE])
    rows = [(row.country, row.operator) for row in coverage(form, NETWORKS, "EUR")]
    assert rows == [
        ("", "+49"),
        ("", "Rest"),
        ("France", "+33612"),
        ("United Kingdom", "+4478"),
        ("United Kingdom", "O2"),
        ("United Kingdom", "Rest"),
    ]
