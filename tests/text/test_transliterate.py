"""Smart encoding: typographic characters to the look-alikes of the GSM alphabet."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.text import gsm
from smsgw.text.transliterate import if_gsm, smart, to_gsm


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("“It’s here…”", '"It\'s here..."'),
        ("„so‟ ‚so‛ «so» ‹so›", '"so" \'so\' "so" <so>'),
        ("1914–1918 — a ‐ b − c", "1914-1918 - a - b - c"),
        ("10\u00a0€\u2009now\u3000", "10 € now "),
        ("a\tb`c´", "a b'c'"),
        ("ﬁne ﬂow eﬀort", "fine flow effort"),
        ("soft\u00adhyphen\u200b\ufeff", "softhyphen"),
        ("one\u2028two", "one\ntwo"),
        ("cafe\u0301", "café"),
    ],
)
def test_typographic_characters_become_plain_ones(text: str, plain: str) -> None:
    """And the result is in the GSM alphabet."""
    assert smart(text) == plain
    assert gsm.encode(smart(text)) is not None


@pytest.mark.parametrize("text", ["Zażółć", "Привет", "😀", "ç á", "日本", "• ©"])
def test_smart_leaves_what_would_lose_something(text: str) -> None:
    """No letter and no sign is changed."""
    assert smart(text) == text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Zażółć gęślą jaźń", "Zazolc gesla jazn"),
        ("Łódź, đ, Þór, œuvre, ıŞ", "Lodz, d, Thor, oeuvre, iS"),
        ("é à ü ç Ç", "é à ü c Ç"),
        ("Ελλάδα", "EΛΛAΔA"),
        ("½ ™ © ² •", "1/2 TM (C) 2 *"),
        ("‘x’ – 日本", "'x' - ??"),
        ("❤\ufe0f", "?"),
        ("\ud800", "?"),
    ],
)
def test_to_gsm_keeps_what_can_be_kept(text: str, plain: str) -> None:
    """Base letters for accented ones; "?" for the rest, nothing for what is not seen."""
    assert to_gsm(text) == plain


@given(st.text())
def test_to_gsm_is_always_gsm(text: str) -> None:
    """Whatever the text is."""
    assert gsm.encode(to_gsm(text)) is not None


def test_if_gsm_leaves_what_would_lose_a_character() -> None:
    """It is all or nothing: a text with one sign that has no look-alike is not touched."""
    assert if_gsm("Zażółć “gęślą”") == 'Zazolc "gesla"'
    assert if_gsm("plain {text}") == "plain {text}"
    for text in ("Zażółć 日本", "❤\ufe0f", "\ud800", "Привет"):
        assert if_gsm(text) is None


@given(st.text())
def test_if_gsm_is_to_gsm_where_it_can_be(text: str) -> None:
    """And nothing is a question mark that was none."""
    plain = if_gsm(text)
    if plain is not None:
        assert plain == to_gsm(text)
        assert plain.count("?") <= unicodedata.normalize("NFKD", text).count("?")


@given(st.binary().map(lambda octets: gsm.decode(bytes(o & 0x7F for o in octets))))
def test_gsm_text_stays_as_it_is(text: str) -> None:
    """What needs no look-alike has none."""
    if gsm.encode(text) is not None:
        assert smart(text) == to_gsm(text) == text


@given(st.text())
def test_smart_twice_is_smart_once(text: str) -> None:
    """Look-alikes have no look-alikes."""
    assert smart(smart(text)) == smart(text)
