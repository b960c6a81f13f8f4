"""Message states and the shape that edges translate to."""

import pytest

from smsgw.message import (
    REPLY_PATH,
    STATE_BY_STAT,
    UDHI,
    Acknowledgement,
    Address,
    Message,
    MessageState,
    Multimedia,
    Receipt,
)


@pytest.mark.parametrize(
    ("value", "stat", "final"),
    [
        (0, "SCHEDLD", False),
        (1, "ENROUTE", False),
        (2, "DELIVRD", True),
        (3, "EXPIRED", True),
        (4, "DELETED", True),
        (5, "UNDELIV", True),
        (6, "ACCEPTD", False),
        (7, "UNKNOWN", False),
        (8, "REJECTD", True),
        (9, "SKIPPED", True),
    ],
)
def test_states_of_the_specification(value, stat, final):
    """Values and words of spec/smpp.md §11; ACCEPTED may be followed by another state."""
    state = MessageState(value)
    assert (state.stat, state.final) == (stat, final)
    assert STATE_BY_STAT[stat] is state


def test_every_state_has_a_word_that_fits_a_receipt():
    """Seven characters at most, no two states with one word."""
    assert len(STATE_BY_STAT) == len(MessageState)
    assert all(len(stat) <= 7 for stat in STATE_BY_STAT)


def test_bits_of_esm_class():
    """UDHI and reply path are bits 6 and 7 (spec/smpp.md §8)."""
    assert (UDHI, REPLY_PATH) == (0x40, 0x80)


def test_messages_share_nothing():
    """Lists of one message are not those of the next."""
    first, second = (Message(source="ACME", destination="447700900123") for _ in range(2))
    first.parts.append(b"Hello")
    first.tlvs.append((0x0204, b"\x00\x01"))
    first.carriers.append("north")
    first.acknowledged[1] = Acknowledgement("north", "17", at=5)
    assert (second.parts, second.tlvs, second.carriers) == ([], [], [])
    assert second.acknowledged == {}


def test_a_new_message_is_on_its_way_and_undecided():
    """Defaults: enroute, no id, nothing sent."""
    message = Message(source="ACME", destination="447700900123", text="Hello")
    assert message.state == MessageState.ENROUTE
    assert (message.id, message.done_at, message.error) == (0, 0, 0)
    assert (message.carrier, message.carrier_at) == ("", 0)


def test_a_message_is_acknowledged_when_its_last_part_is():
    """The carrier is known from the first part on, the time (CDA) once every part has one."""
    message = Message(source="ACME", destination="447700900123", parts=[b"one", b"two"])
    message.acknowledged[1] = Acknowledgement("north", "17", at=7)
    assert (message.carrier, message.carrier_at) == ("north", 0)
    message.acknowledged[2] = Acknowledgement("north", "18", at=5)
    assert message.carrier_at == 7


@pytest.mark.parametrize("shape", [Message("a", "b"), Receipt("1", 2), Address("a"), Multimedia()])
def test_a_misspelt_attribute_is_an_error(shape):
    """The shapes have slots: nothing can be put on them by mistake."""
    with pytest.raises(AttributeError):
        shape.misspelt = 1
