"""Words: what a text must have for a pattern to be found in it."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from smsgw.rules.words import needed


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("code", {"code"}),
        ("(?i)(code|pin).{0,20}[0-9]{4,8}", {"code", "pin"}),
        ("(?i)You have won .{0,40}prize", {"you have won "}),
        ("(?i)free (bitcoin|tokens)", {"bitcoin", "tokens"}),
        ("(?i:CODE)+x?", {"code"}),
        ("(?>abc)(?:de)*", {"abc"}),
        ("cod(e|a)", {"cod"}),
        ("[0-9]{6}", None),
        ("(code)?", None),
        ("(code|[0-9])", None),
        ("(?!code)", None),
        ("a.b.c", None),
        ("Жук", None),
        ("Жук ab", {" ab"}),
        ("(aa|bb|cc|dd|ee|ff|gg|hh|ii)", None),
    ],
)
def test_words_are_those_that_must_be_there(pattern: str, words: set[str] | None) -> None:
    """One of them, in lower case; what may be left out is none."""
    assert needed(pattern) == words


pieces = st.recursive(
    st.sampled_from(["a", "B", "ab", "k", "s", ".", "[a-c]", "\\d", "\\b", "^", "Ж", "ſ", "x?"]),
    lambda inner: (
        st.builds("({}|{})".format, inner, inner)
        | st.builds("{}{}".format, inner, inner)
        | st.builds("(?:{}){{0,2}}".format, inner)
        | st.builds("(?:{}){{1,2}}".format, inner)
        | st.builds("(?i:{})".format, inner)
        | st.builds("(?={}){}".format, inner, inner)
    ),
    max_leaves=6,
)


@given(st.data(), pieces, st.sampled_from(["", "(?i)"]))
def test_where_a_pattern_is_found_one_of_its_words_is(
    data: st.DataObject, piece: str, flags: str
) -> None:
    """Whatever the pattern is; texts beyond ASCII are not asked."""
    pattern = flags + piece
    likely = st.from_regex(pattern) | st.text("abABksKS1x ", max_size=6)
    text = data.draw(likely)
    assume(text.isascii() and re.search(pattern, text))
    words = needed(pattern)
    assert words is None or any(word in text.lower() for word in words)
