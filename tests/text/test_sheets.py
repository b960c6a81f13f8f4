"""Text on its way to a spreadsheet."""

import pytest

from smsgw.text.sheets import cell


@pytest.mark.parametrize("text", ["=1+1", "+447700900123", "-1", "@SUM(A1)", "="])
def test_what_would_be_a_formula_gets_an_apostrophe(text: str) -> None:
    """W-D32: each of the four signs that begin one."""
    assert cell(text) == "'" + text


@pytest.mark.parametrize("text", ["", "sales", "a=b", "447700900123", "'=1", " =1"])
def test_other_text_stays_as_it_is(text: str) -> None:
    """Only the first character counts."""
    assert cell(text) == text
