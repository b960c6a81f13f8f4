"""Numbers: an MO is for the number that its address and first word mean."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.provisioning import Account, Number
from smsgw.rules.numbers import NumberTable, first_word


def table(*numbers: tuple[str, str]) -> NumberTable:
    """A table in which the account of each (address, keyword) is called like it."""
    return NumberTable(
        Account(f"{address} {keyword}", number=[Number(address, ["null"], keyword)])
        for address, keyword in numbers
    )


def found(numbers: NumberTable, address: str, text: str = "") -> str | None:
    rule = numbers.find(address, lambda: text)
    return rule.account.name.strip() if rule is not None else None


def test_the_address_goes_before_wildcards_and_the_longest_of_these_wins() -> None:
    """A wildcard is for all numbers that begin with its digits."""
    numbers = table(("447700900000", ""), ("4477*", ""), ("4477009*", ""))
    assert found(numbers, "447700900000") == "447700900000"
    assert found(numbers, "447700900001") == "4477009*"
    assert found(numbers, "447711900001") == "4477*"
    assert found(numbers, "4477009") == "4477009*"
    assert found(numbers, "447") is None
    assert found(numbers, "") is None


def test_the_first_word_selects_among_those_who_share_an_address() -> None:
    """Without regard to case; what no keyword claims is for the one without."""
    numbers = table(("60777", ""), ("60777", "WIN"), ("60777", "VOTE"))
    assert found(numbers, "60777", "win a car") == "60777 WIN"
    assert found(numbers, "60777", "  Vote!") == "60777 VOTE"
    assert found(numbers, "60777", "winner") == "60777"
    assert found(numbers, "60777", "") == "60777"


def test_a_word_that_nobody_claims_goes_on_to_a_wildcard() -> None:
    """Then to nobody."""
    numbers = table(("60777", "WIN"), ("607*", ""))
    assert found(numbers, "60777", "lose") == "607*"
    assert found(table(("60777", "WIN")), "60777", "lose") is None


def test_wildcards_have_keywords_too() -> None:
    """The longest wildcard of which a rule is meant."""
    numbers = table(("4477*", "WIN"), ("44*", ""))
    assert found(numbers, "447700900000", "win") == "4477* WIN"
    assert found(numbers, "447700900000", "x") == "44*"


def test_names_and_iccids_are_addresses() -> None:
    """As they stand."""
    numbers = table(("ACME", ""), ("8944000000000000001", ""))
    assert found(numbers, "ACME") == "ACME"
    assert found(numbers, "acme") is None
    assert found(numbers, "8944000000000000001") == "8944000000000000001"


def test_the_text_is_not_read_where_it_does_not_matter() -> None:
    """Decoding costs time."""

    def text() -> str:
        raise AssertionError

    assert table(("447700900000", ""), ("44*", "")).find("447700900000", text) is not None


def test_all_rules_of_an_address_can_be_seen() -> None:
    """The one without keyword first."""
    numbers = table(("60777", "WIN"), ("60777", ""), ("607*", ""))
    assert [rule.number.keyword for rule in numbers.of("60777")] == ["", "WIN"]
    assert [rule.number.address for rule in numbers.of("607*")] == ["607*"]
    assert numbers.of("1") == []


def test_a_wildcard_is_its_account_s() -> None:
    """For what it may send from."""
    numbers = table(("4477*", ""), ("44*", "WIN"), ("447700900000", ""))
    assert numbers.has("4477* ", "447700900001")
    assert numbers.has("44* WIN", "447700900001")
    assert not numbers.has("4477* ", "448800900001")
    assert not numbers.has("447700900000 ", "447700900000")


@pytest.mark.parametrize(
    ("text", "word"),
    [("Win", "WIN"), (" 'win', please", "WIN"), ("", ""), ("!?", ""), ("straße 1", "STRASSE")],
)
def test_a_word_is_of_letters_and_digits(text: str, word: str) -> None:
    """What stands before and behind it is not of it."""
    assert first_word(text) == word


_DIGITS = st.text("12", min_size=1, max_size=4)
_ADDRESSES = _DIGITS | _DIGITS.map(lambda digits: digits + "*")
_KEYWORDS = st.sampled_from(["", "A", "B"])


def naive(numbers: list[tuple[str, str]], address: str, word: str) -> str | None:
    best: tuple[tuple[int, int, int], str] | None = None
    for one, keyword in numbers:
        if one.endswith("*"):
            fits, rank = address.startswith(one[:-1]), (0, len(one))
        else:
            fits, rank = address == one, (1, 0)
        if fits and keyword in ("", word):
            key = (*rank, int(bool(keyword)))
            if best is None or key > best[0]:
                best = (key, f"{one} {keyword}".strip())
    return best[1] if best else None


@given(
    st.lists(st.tuples(_ADDRESSES, _KEYWORDS), unique=True, max_size=12),
    st.text("12", max_size=5),
    st.sampled_from(["", "A", "B", "C"]),
)
def test_it_finds_what_a_look_at_each_number_finds(
    numbers: list[tuple[str, str]], address: str, word: str
) -> None:
    """The compiled table answers as the rule says."""
    assert found(table(*numbers), address, f"{word.lower()} x" if word else "") == naive(
        numbers, address, word
    )


@given(st.text(max_size=40))
def test_no_text_breaks_it(text: str) -> None:
    """Whatever a handset sends."""
    assert table(("1", "A")).find("1", partial(str, text)) is None or first_word(text) == "A"
