"""What holds of MM4's headers whatever is in them: they come back, and nobody adds one."""

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from smsgw.mm4 import fields, headers, words
from smsgw.mm4.headers import Corrupt
from smsgw.mm4.pdus import ForwardReq, answer
from smsgw.mm4.words import RequestStatus, Status
from smsgw.testing import strategies
from tests.mm4 import examples
from tests.mm4.examples import OTHERS, THEIRS, forward_req


@given(st.text(), st.text())
def test_nobody_adds_a_header(subject, text):
    """CR, LF and whatever else ends a line are blanks in free text: the count of fields stays."""
    plain = headers.read(headers.write(forward_req(subject="x"))).fields.items
    hostile = headers.write(forward_req(subject=f"x\r\nBcc: evil@example.org\n{subject}"))
    assert [name for name, _ in headers.read(hostile).fields.items] == [name for name, _ in plain]
    report = headers.write(
        evolve(OTHERS[1][2], status_text=f"{text}\r\n\r\nbody\rX-Mms-MM-Status-Code: Expired")
    )
    assert report.count(b"\r\n\r\n") == 1
    assert headers.read(report).pdu.status is Status.RETRIEVED


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("transaction_id", "a\r\nBcc: b"),
        ("from_", "a@b\nX: y"),
        ("to", ["a@b", "c@d\r\nX: y"]),
        ("sender", "é@b"),
        ("mail_id", "x" * 2000),
    ],
)
def test_what_is_in_no_header_is_not_written(name, value):
    """An id or address with a line end in it is a mistake of ours, not a second header."""
    pdu = forward_req(**{name: value})
    with pytest.raises(ValueError, match="not the value of a header field"):
        headers.write(pdu)


@given(strategies.forward_requests(), st.booleans())
def test_any_request_comes_back_as_it_was(pdu, quoted):
    """read(write(pdu)) == pdu; no line is longer than a mail may have."""
    written = headers.write(pdu, "text/plain", quote_ids=quoted)
    assert all(len(line) <= 998 for line in written.split(b"\r\n"))
    assert headers.read(written).pdu == pdu


def outcome(octets):
    """The PDU that octets are, or what is said against them."""
    try:
        return headers.read(octets).pdu
    except Corrupt as e:
        return e


@given(
    st.sampled_from(RequestStatus),
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=300),
    st.lists(strategies.mailboxes(), max_size=30),
    strategies.mm4_ids(),
)
def test_any_answer_comes_back_as_it_was(status, said, recipients, id):
    """read(write(response)) == response, with many recipients and long texts."""
    response = answer(
        forward_req(transaction_id=id),
        status,
        sender=THEIRS,
        date=1000,
        mail_id="1@x",
        text=" ".join(said.split()),
        recipients=recipients,
    )
    written = headers.write(response)
    assert all(len(line) <= 998 for line in written.split(b"\r\n"))
    assert headers.read(written).pdu == response


beginnings = st.sampled_from([b"", examples.head(), examples.head()[:-2]])


@given(st.builds(bytes.__add__, beginnings, st.binary()))
def test_any_octets_are_read_or_are_corrupt(octets):
    """Nothing else is raised."""
    found = outcome(octets)
    assert found is None or isinstance(found, ForwardReq | Corrupt)


names = st.sampled_from([h.name for several in headers.HEADERS.values() for h in several])
values = st.one_of(
    st.text(), st.sampled_from(["=?utf-8?B?", "<", '"', "1", "Yes", "a@b", "9" * 50])
)


@given(st.lists(st.tuples(names, values), max_size=20), st.sampled_from(list(words.MessageType)))
def test_any_values_are_read_or_are_corrupt(lines, kind):
    """Whatever stands in the headers of a PDU; and what is read can be written."""
    octets = f"X-Mms-Message-Type: {kind}\r\n".encode()
    octets += b"".join(f"{name}: {value}\r\n".encode("utf-8", "replace") for name, value in lines)
    pdu = outcome(octets + b"\r\n")
    if isinstance(pdu, Corrupt):
        assert pdu.status in (RequestStatus.FORMAT_CORRUPT, RequestStatus.UNSUPPORTED_MESSAGE)
        pdu = pdu.request
    if pdu is not None:
        assert headers.write(pdu).endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "octets",
    [
        b"X: " + b"a" * fields.MAX_HEADER,
        b"X-Long: " + b"a" * (fields.MAX_FIELD + 1) + b"\r\n\r\n",
        b"X: y\r\n" * (fields.MAX_FIELDS + 1) + b"\r\n",
    ],
)
def test_a_header_too_large_is_corrupt(octets):
    """Octets of the whole, octets of one field, number of fields."""
    with pytest.raises(Corrupt) as e:
        headers.read(octets)
    assert e.value.status is RequestStatus.FORMAT_CORRUPT
