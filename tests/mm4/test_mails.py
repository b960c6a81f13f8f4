"""The mail of a message, and the ids in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.message import Message, Multimedia
from smsgw.mm4 import content, headers, mails
from smsgw.mm4.mails import To, TooLarge
from smsgw.mm4.mime import Part
from smsgw.mm4.pdus import ForwardReq
from smsgw.mm4.transactions import Phase, Sending

TEXT = Part("text/plain", "a.txt", "a", "a.txt", b"Hello", "utf-8")


def written(to: To, **fields: object) -> ForwardReq:
    """The request in the mail of a message with one text."""
    kept = Multimedia(media=[content.media(TEXT)])
    given: dict[str, object] = {
        "source": "447700900456",
        "destination": "447700900123",
        "id": 7,
        **fields,
    }
    given["accepted_at"] = 1_800_000_000_000
    message = Message(kind="mms", parts=[b""], multimedia=kept, **given)  # type: ignore[arg-type]
    mail = mails.forward(message, [TEXT.content], to, "mms.example.com", "7.1")
    pdu = headers.read(mail.content).pdu
    assert isinstance(pdu, ForwardReq)
    return pdu


@given(st.integers(1, (1 << 63) - 1))
def test_ids_name_their_message(id: int) -> None:
    """Both are read back, whatever the peer does to their case."""
    message = Message("1", "2", id=id)
    assert mails.named(mails.transaction_id(message)) == id
    assert mails.named(mails.message_id(message, "mms.example.com").upper()) == id


@given(st.text())
def test_what_is_no_id_of_ours_names_nothing(text: str) -> None:
    """Any text gives 0, or an id that the store can hold."""
    assert 0 <= mails.named(text) < 1 << 63


@given(st.sampled_from([Phase.QUEUED, Phase.MAILED]), st.integers(0, 511), st.integers(0, 31))
def test_where_a_message_stands_fits_an_attempt_count(
    phase: Phase, retries: int, repeats: int
) -> None:
    """It comes back as it was, and the count fits 15 bits."""
    sending = Sending(phase, retries, repeats)
    assert 0 <= sending.attempts < 1 << 15
    assert Sending.of(sending.attempts) == sending


def test_a_message_that_was_never_tried_has_no_attempts() -> None:
    """So it may be cancelled; one that was mailed may not."""
    assert Sending().attempts == 0
    assert Sending(Phase.MAILED).attempts > 0


def test_sources_are_written_as_what_they_are() -> None:
    """Numbers with TYPE=PLMN, names as plain local parts (ruling 23), or what the carrier gets in
    place of all."""
    to = To("mms.example.net")
    assert written(to).from_ == "+447700900456/TYPE=PLMN@mms.example.com"
    assert written(to, source="ACME", source_ton=5).from_ == "ACME@mms.example.com"
    assert written(to, source="60123", source_ton=3).from_ == "60123/TYPE=PLMN@mms.example.com"
    given = written(To("mms.example.net", sender="447700900999"))
    assert given.from_ == "+447700900999/TYPE=PLMN@mms.example.com"


def test_reports_are_asked_for_by_whoever_wants_one() -> None:
    """A receipt of any edge is a delivery report of the MMSC."""
    to = To("mms.example.net")
    assert written(to).delivery_report is False
    assert written(to, registered_delivery=1).delivery_report is True


def test_what_is_too_large_is_not_written() -> None:
    """And the limit is said."""
    with pytest.raises(TooLarge, match="more than 1000 octets"):
        written(To("mms.example.net", max_size=1_000))
