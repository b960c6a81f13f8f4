"""Opting out: sets of numbers, and the words by which handsets say it."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.provisioning.accounts import LANGUAGES, OptOutWords
from smsgw.rules import optout
from smsgw.rules.optout import Keyword, NumberSet, member, wording
from smsgw.text import gsm

DEFAULT = wording(OptOutWords(), "en")
# Numbers that meet each other often, and those that no array of 64 bits holds as they are.
NUMBERS = st.one_of(
    st.integers(0, 30).map(str),
    st.sampled_from(["0123", "00", "18446744073709551615", "18446744073709551616"]),
    st.text("0123456789", min_size=1, max_size=21),
)


@given(st.lists(NUMBERS), st.lists(st.tuples(st.booleans(), NUMBERS)))
def test_a_number_set_is_a_set(members: list[str], changes: list[tuple[bool, str]]) -> None:
    """Whatever is added and taken away, it has what a plain set has."""
    numbers, plain = NumberSet(members), set(members)
    for add, number in changes:
        if add:
            numbers.add(number)
            plain.add(number)
        else:
            numbers.discard(number)
            plain.discard(number)
        assert (number in numbers) is add
    assert len(numbers) == len(plain)
    for number in {*members, *(number for _, number in changes), "31", "7"}:
        assert (number in numbers) is (number in plain)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optout, "_CHUNK", 4)


@pytest.mark.usefixtures("small_chunks")
def test_arrays_stay_small_in_any_order() -> None:
    """No addition has to move many, whichever way the numbers come; and nothing is lost."""
    orders = [
        range(1, 500),
        range(500, 0, -1),
        [n * 7 % 499 + 1 for n in range(499)],
    ]
    for order in orders:
        numbers = NumberSet(["1000", "2000", "3000", "4000", "5000", "6000"])
        for n in order:
            numbers.add(str(n))
        assert max(len(chunk) for chunk in numbers._chunks) <= 8
        assert all(str(n) in numbers for n in order)
        for n in order:
            numbers.discard(str(n))
        assert len(numbers) == 6
        assert "3000" in numbers
        assert "1" not in numbers


@given(st.sets(st.text("01", min_size=1, max_size=4)), st.text("01", min_size=1, max_size=5))
def test_leading_digits_stand_for_what_begins_with_them(prefixes: set[str], number: str) -> None:
    """A member with an asterisk matches all of its numbers, and is no number itself."""
    numbers = NumberSet(f"{one}*" for one in prefixes)
    assert numbers.matches(number) is any(number.startswith(one) for one in prefixes)
    assert number not in numbers
    for one in prefixes:
        assert f"{one}*" in numbers
        numbers.discard(f"{one}*")
    assert not numbers.matches(number)
    assert len(numbers) == 0


@pytest.mark.parametrize(
    ("text", "keyword"),
    [
        ("STOP", Keyword.STOP),
        (" stop!\r\n", Keyword.STOP),
        ("«Stop.»", Keyword.STOP),
        ("S.T.O.P", Keyword.STOP),
        ("StopAll", Keyword.STOP),
        ("end", Keyword.STOP),
        ("CANCEL", Keyword.STOP),
        ("Unsubscribe", Keyword.STOP),
        ("quit", Keyword.STOP),
        ("Arrêt", Keyword.STOP),
        ("ＳＴＯＰ", Keyword.STOP),
        ("start", Keyword.START),
        ("Un-stop", Keyword.START),
        ("yes :)", Keyword.START),
        ("Yes.", Keyword.START),
        ("help?", Keyword.HELP),
        ("info", Keyword.HELP),
        ("AIDE", Keyword.HELP),
        ("please stop", None),
        ("stop it", None),
        ("S T O P", None),
        ("stopp", None),
        ("", None),
        ("...", None),
        ("STOP" + "!" * 100, None),
    ],
)
def test_the_whole_text_is_the_word(text: str, keyword: Keyword | None) -> None:
    """E-D13: trimmed, without punctuation, in any case; a word within a text is none."""
    assert DEFAULT.keyword(text) is keyword


def naive(text: str) -> Keyword | None:
    plain = "".join(
        one
        for one in unicodedata.normalize("NFKD", text)
        if one.isspace() or unicodedata.category(one)[0] in "LNZ"
    )
    word = plain.strip().upper()
    if word in ("STOP", "STOPALL", "END", "CANCEL", "UNSUBSCRIBE", "QUIT", "ARRET"):
        return Keyword.STOP
    if word in ("START", "UNSTOP", "YES"):
        return Keyword.START
    return Keyword.HELP if word in ("HELP", "INFO", "AIDE") else None


WORDS = st.sampled_from(
    ["STOP", "stop", "Stopall", "end", "QUIT", "arrêt", "start", "yes", "help", "info", "hello"]
)


@given(
    st.lists(st.one_of(WORDS, st.text(" .!?\n'\"-", max_size=3), st.text(max_size=2)), max_size=5)
)
def test_any_text_is_understood_as_the_naive_matcher_does(pieces: list[str]) -> None:
    """No text makes it fail, and no other text is a keyword."""
    text = "".join(pieces)
    if len(text) <= optout.LONGEST:
        assert DEFAULT.keyword(text) is naive(text)


@given(st.text())
def test_no_text_is_too_much(text: str) -> None:
    """In whatever language."""
    for language in LANGUAGES:
        wording(OptOutWords(), language).keyword(text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_words_of_the_specification_are_understood_in_each_language(language: str) -> None:
    """Beside those of the language; and each answer is one part."""
    found = wording(OptOutWords(), language)
    for word, keyword in (("STOP", "stop"), ("UNSTOP", "start"), ("AIDE", "help")):
        assert found.keyword(word) is Keyword(keyword)
    for answer in found.answers.values():
        octets = gsm.encode(answer)
        assert octets is not None
        assert len(octets) <= 160


@pytest.mark.parametrize(
    ("language", "stop", "start", "help"),
    [
        ("fr", "désabonner", "oui", "aide"),
        ("de", "Abmelden", "ja", "Hilfe"),
        ("es", "baja", "sí", "ayuda"),
    ],
)
def test_languages_have_words_of_their_own(language: str, stop: str, start: str, help: str) -> None:
    """Which are none in another language."""
    found = wording(OptOutWords(), language)
    assert found.keyword(stop) is Keyword.STOP
    assert found.keyword(start) is Keyword.START
    assert found.keyword(help) is Keyword.HELP
    assert DEFAULT.keyword(stop) is None


def test_a_number_may_have_words_and_answers_of_its_own() -> None:
    """They hold instead of the language's; answers name the first word, and "-" is none."""
    given = OptOutWords(stop=["BYE"], started="Welcome back", helped="-")
    found = wording(given, "en")
    assert found.keyword("bye") is Keyword.STOP
    assert found.keyword("stop") is None
    assert found.keyword("start") is Keyword.START
    assert found.answers[Keyword.STOP].endswith("Reply START to receive them again.")
    assert found.answers[Keyword.START] == "Welcome back"
    assert found.answers[Keyword.HELP] == ""
    found = wording(OptOutWords(stop=["BYE"], help=["BYE"]), "en")
    assert found.keyword("BYE") is Keyword.STOP


@pytest.mark.parametrize(
    ("text", "type", "number"),
    [
        ("+44 (0)7700 900123", "optout", "447700900123"),
        ("07700900123", "optout", "447700900123"),
        ("0033 1 23 45 67 89", "contact", "33123456789"),
        ("4712345678", "contact", "4712345678"),
        ("47 12 34 56 78", "contact", "4712345678"),
        ("8944110068012345678", "block", "8944110068012345678"),
        ("44900*", "block", "44900*"),
        ("+44900*", "block", "44900*"),
        ("44900*", "optout", None),
        ("*", "block", None),
        ("ACME", "block", None),
        ("", "block", None),
        ("4" * 41, "block", None),
    ],
)
def test_members_are_written_as_people_write_numbers(
    text: str, type: str, number: str | None
) -> None:
    """They are kept in international digits; only block lists have leading digits."""
    assert member(text, type, "44") == number


def test_without_a_country_a_national_number_is_none() -> None:
    """The operator's own lists are of all countries."""
    assert member("07700900123", "block", "") is None
    assert member("447700900123", "block", "") == "447700900123"
    assert member("00447700900123", "block", "") == "447700900123"


@given(st.text(), st.sampled_from(["contact", "optout", "block"]))
def test_what_is_a_member_stays_one(text: str, type: str) -> None:
    """Any text is a number or none, and a number is the same when it is read back."""
    found = member(text, type, "44")
    if found is not None:
        assert member(found, type, "44") == found
        assert found.rstrip("*").isdecimal()
