"""Addresses that replies go to: who has one may reply, and nobody else."""

from hypothesis import given
from hypothesis import strategies as st

from smsgw.identities import Identities, time_of
from smsgw.smtp.reply_address import Replied, ReplyAddresses

DAY = 86_400_000
KEY = b"k" * 32
NUMBER = "447700900123"
ADDRESSES = ReplyAddresses(KEY, "sms.example.com", 7)
ID = Identities(now=lambda: 1_773_483_302.0).allot()
AT = time_of(ID)


def local(address: str) -> str:
    """Its local part."""
    return address.partition("@")[0]


@given(st.from_regex(r"[0-9]{3,20}", fullmatch=True), st.integers(1, (1 << 63) - 1))
def test_read_is_the_inverse_of_write(number: str, id: int) -> None:
    """Whom and what it answers come back, in any case; 64 octets are room enough (RFC 5321)."""
    address = ADDRESSES.write(number, id)
    assert address.endswith("@sms.example.com")
    assert len(local(address)) <= 64
    for one in (local(address), local(address).upper()):
        assert ADDRESSES.read(one, time_of(id)) == Replied(number, id)


@given(st.integers(0, 51), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567+0123456789"))
def test_any_change_is_noticed(place: int, character: str) -> None:
    """128 bits of a keyed hash are over the number and the message."""
    good = local(ADDRESSES.write(NUMBER, ID))
    changed = good[:place] + character + good[place + 1 :]
    found = ADDRESSES.read(changed, AT)
    # The last character has two bits that mean nothing.
    assert found is None or found == Replied(NUMBER, ID)
    assert (found is None) == (changed[:-1] != good[:-1]) or place == 51


def test_another_key_makes_others() -> None:
    """An address of another gateway is none here."""
    other = ReplyAddresses(b"x" * 32, "sms.example.com", 7)
    assert other.read(local(ADDRESSES.write(NUMBER, ID)), AT) is None


def test_its_time_is_over() -> None:
    """It is good for so many days."""
    one = local(ADDRESSES.write(NUMBER, ID))
    assert ADDRESSES.read(one, AT + 7 * DAY - 1) is not None
    assert ADDRESSES.read(one, AT + 7 * DAY) is None


def test_names_cannot_be_answered() -> None:
    """An alphanumeric sender has no mailbox to reply to."""
    assert ADDRESSES.write("ACME", ID) == ""
    assert ADDRESSES.read("acme", AT) is None
