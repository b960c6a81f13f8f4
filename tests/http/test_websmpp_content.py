"""What a websmpp text becomes, without a gateway (``spec/ams-websmpp.md`` 4.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.dialects import Ams
from smsgw.http import websmpp_content
from smsgw.http.websmpp_content import Content, Refused, content
from smsgw.message import UDHI
from smsgw.provisioning import Account
from smsgw.refusals import Reason
from smsgw.text import coding, gsm, numbers

ANY = Ams(allow_amp_hash=True)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters=""), min_size=1)
GSM_TEXTS = st.text(st.sampled_from([gsm.decode(bytes((n,))) for n in range(128) if n != 27]))


def said(found: Content) -> str | None:
    """The text of the octets, as a phone reads them."""
    return coding.decode(found.data_coding, found.octets)


def tried(settings: Ams = ANY, **given_: str) -> Content | Reason:
    """The content, or why it is refused."""
    try:
        return content(given_, settings)
    except Refused as refused:
        return refused.refusal.reason


@given(TEXTS)
def test_type_4_keeps_any_text(text: str) -> None:
    """W-D16: every character, those of two units too."""
    found = content({"type": "4", "text": text}, ANY)
    assert (said(found), found.data_coding) == (text, coding.UCS2)


@given(TEXTS)
def test_type_2_is_the_same_in_hex(text: str) -> None:
    """W-D15: as type 4 of what the digits say."""
    digits = text.encode("utf-16-be").hex()
    assert content({"type": "2", "text": digits}, ANY) == content({"type": "4", "text": text}, ANY)


@given(TEXTS)
def test_types_1_and_3_keep_the_text_or_refuse_it(text: str) -> None:
    """W-D13: what is in the GSM alphabet arrives as it is; anything else is HTTP07."""
    for kind in ("1", "3"):
        found = tried(type=kind, text=text)
        if gsm.encode(text) is None:
            assert found is Reason.BAD_CODING
        else:
            assert isinstance(found, Content)
            assert (said(found), found.data_coding) == (text, coding.GSM)


@given(TEXTS)
def test_type_is_found_for_any_text(text: str) -> None:
    """W-D17, F-5: without a type no text is refused for it, but what looks like hex and is none."""
    found = tried(text=text)
    if isinstance(found, Reason):
        assert found is Reason.BAD_CODING  # half of a surrogate pair in hex
        assert len(text) % 4 == 0
    elif gsm.encode(text) is None:
        assert said(found) == text


@given(GSM_TEXTS.filter(bool), st.sampled_from(["1", "2", "3", "4"]))
def test_amp_and_hash(text: str, kind: str) -> None:
    """W-D18: HTTP02 for every type, by the characters and not by the digits."""
    given_ = text.encode("utf-16-be").hex() if kind == "2" else text
    found = tried(Ams(), type=kind, text=given_)
    if "&" in text or "#" in text:
        assert found is Reason.PARAMETER_INVALID
    else:
        assert isinstance(found, Content)


@given(st.dictionaries(st.sampled_from(["type", "text", "dcs", "esm", "header"]), st.text()))
def test_anything_is_content_or_refused(given_: dict[str, str]) -> None:
    """I7: whatever the parameters are."""
    found = tried(Ams(), **given_)
    assert isinstance(found, Reason) or (found.octets and found.parts >= 1)


@pytest.mark.parametrize(
    ("text", "parts"),
    [("x" * 160, 1), ("x" * 161, 2), ("x" * 306, 2), ("x" * 307, 3), ("[" * 80, 1), ("[" * 81, 2)],
)
def test_w_d14_parts_of_gsm(text: str, parts: int) -> None:
    """160 septets, then 153 in each part."""
    assert content({"type": "1", "text": text}, ANY).parts == parts


@pytest.mark.parametrize(("units", "parts"), [(70, 1), (71, 2), (134, 2), (135, 3)])
def test_w_d15_w_d16_parts_of_unicode(units: int, parts: int) -> None:
    """70 units, then 67 in each part."""
    assert content({"type": "4", "text": "ا" * units}, ANY).parts == parts
    assert content({"type": "2", "text": "0627" * units}, ANY).parts == parts


def test_w_d21_header_makes_one_part() -> None:
    """It is in front of the octets, and more than fits is more than any limit."""
    header = "06050415820000"
    found = content({"type": "2", "header": header, "dcs": "4", "text": "41"}, ANY)
    assert (found.octets, found.esm_class) == (bytes.fromhex(header + "41"), UDHI)
    assert (found.data_coding, found.parts) == (4, 1)
    # What follows a header may be anything that SMPP has a meaning for; other text is the type's.
    assert content({"type": "2", "header": header, "dcs": "6", "text": "BF"}, ANY).data_coding == 6
    assert content({"type": "4", "dcs": "224", "text": "ا"}, ANY).data_coding == 224
    assert content({"type": "1", "header": header, "text": "x" * 152}, ANY).parts == 1
    assert content({"type": "1", "header": header, "text": "x" * 153}, ANY).parts == 256


def test_w_d20_senders() -> None:
    """A name, digits, a short code; what the account may send from, and its login."""
    account = Account("acme")

    def refused(sid: str, *allowed: "frozenset[str] | None", pools: tuple[str, ...] = ()) -> bool:
        try:
            websmpp_content.sender(sid, account, allowed, pools)
        except Refused:
            return True
        return False

    for sid in ("Test", "A.B-C_D&E 1", "447700900000", "60777", "07700900000"):
        assert not refused(sid, None)
    for sid in ("", "TwelveLetter", "A*B", "Größe", "12345678901234567", "1"):
        assert refused(sid, None)
    only = frozenset({"447700900000", "Good"})
    assert not refused("07700900000", only, None)
    assert refused("Bad", only, None)
    assert refused("Good", None, frozenset({"Other"}))
    assert not refused("Pool", only, pools=("Pool",))


@pytest.mark.parametrize(
    ("entry", "number"),
    [
        ("447700900123", "447700900123"),
        ("+44 7700 900-123", "447700900123"),
        ("00447700900123", "447700900123"),
        ("mobile:+447700900123", "447700900123"),
        ("07700900123", "447700900123"),
        ("abc", Reason.BAD_DESTINATION),
        ("", Reason.BAD_DESTINATION),
        ("1234567890123456", Reason.BAD_DESTINATION),
    ],
)
def test_w_d9_entries(entry: str, number: "str | Reason") -> None:
    """What is removed from a number, and what is none (F-5)."""
    assert websmpp_content.destination(entry, "44") == number


@given(st.text())
def test_any_mno_is_numbers_or_refused(mno: str) -> None:
    """W-D9: numbers that are different, of 3 to 15 digits or ICCIDs, and the count of all."""
    entries = websmpp_content.split(mno)
    valid = [one for one in entries if isinstance(websmpp_content.destination(one, "44"), str)]
    if not valid:
        with pytest.raises(Refused):
            websmpp_content.destinations(entries, "44")
        return
    found = websmpp_content.destinations(entries, "44")
    assert len(set(found.numbers)) == len(found.numbers)
    assert len(found.rejected) == len(entries) - len(valid)
    assert all(3 <= len(one) <= 15 or numbers.is_iccid(one) for one in found.numbers)
