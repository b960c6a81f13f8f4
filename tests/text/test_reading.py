"""What a message says outside: its text without headers, its time in the account's zone."""

from hypothesis import given
from hypothesis import strategies as st

from smsgw.message import UDHI
from smsgw.text import coding, parts
from smsgw.text.reading import e123, read
from tests.deliveries import mo


def test_time_is_of_the_accounts_zone() -> None:
    """scts says its zone; a time without one is of the account's (A-D9, Q-D21)."""
    summer = mo(accepted_at=1_784_110_502_000)
    reading = read(summer, "Europe/London")
    assert reading.iso == "2026-07-15T11:15:02+01:00"
    assert reading.plain_time == "2026-07-15 11:15:02"


def test_joined_message_has_no_concatenation_element() -> None:
    """udh is what is left of it, and absent if nothing is (A-D11)."""
    octets = coding.encode("x" * 200, 0)
    long = mo(parts=parts.split(octets, 0, 7), esm_class=UDHI)
    assert read(long).text == "x" * 200
    assert read(long).udh == b""
    ported = mo(parts=parts.split(octets, 0, 7, bytes.fromhex("06050415811581")), esm_class=UDHI)
    assert read(ported).udh.hex() == "06050415811581"
    one = mo(parts=[long.parts[0]], esm_class=UDHI)
    assert read(one).udh.hex() == "050003070201"
    broken = mo(parts=[b"\x09\x00\x03A"], esm_class=UDHI)
    assert read(broken).udh == b""


@given(st.lists(st.binary(max_size=200), max_size=4), st.integers(0, 255), st.integers(0, 255))
def test_any_octets_are_read(octets: list[bytes], data_coding: int, esm_class: int) -> None:
    """Whatever a carrier sends, there is a text that UTF-8 can say."""
    message = mo(parts=octets, data_coding=data_coding, esm_class=esm_class)
    assert read(message).text.encode() is not None


def test_e123_is_for_numbers_of_the_world() -> None:
    """Short codes and names stay as they are (A-R6)."""
    assert [e123(one) for one in ("447700900123", "60300", "Bank", "", "٤٤٧٧٠٠٩٠٠١٢٣")] == [
        "+447700900123",
        "60300",
        "Bank",
        "",
        "٤٤٧٧٠٠٩٠٠١٢٣",
    ]
