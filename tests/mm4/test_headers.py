"""PDUs of MM4 as headers of mails: spec/mm4.md sections 3, 5 and 10, rulings 15, 19, 26, 29."""

import re
from pathlib import Path

import pytest

from smsgw.mm4 import headers, mime, words
from smsgw.mm4.fields import Expiry
from smsgw.mm4.headers import Corrupt
from smsgw.mm4.pdus import DeliveryReportReq, ForwardReq, ForwardRes, answer
from smsgw.mm4.words import RequestStatus, Status
from tests.mm4 import examples
from tests.mm4.examples import BOB, FORWARD_REQ, OTHERS, OURS, THEIRS, forward_req

OCTETS = {name: octets for name, octets, _ in OTHERS}
REPORT = OCTETS["5.3"]


def replaced(name, value, octets=FORWARD_REQ):
    """The mail with another value of one header, or without the header if ``value`` is None."""
    line = b"" if value is None else f"{name}: {value}\r\n".encode()
    changed, count = re.subn(
        rb"(?mi)^%s:.*\r\n" % re.escape(name.encode()), lambda _: line, octets, count=1
    )
    assert count == 1
    return changed


def added(line, octets=FORWARD_REQ):
    return line.encode() + b"\r\n" + octets


def test_the_forward_example_is_read_T1():
    """Example 5.1: every header has its value, and the body begins after the empty line."""
    mail = headers.read(FORWARD_REQ)
    assert mail.pdu == forward_req()
    assert mail.body == len(examples.head())
    assert mail.hops == 0


def test_the_forward_example_is_written_octet_for_octet_T1():
    """Example 5.1 from its data: header and content."""
    body = mime.write(examples.content(), examples.BOUNDARY)
    assert headers.write(forward_req(), body.content_type) + body.octets == FORWARD_REQ


@pytest.mark.parametrize(("name", "octets", "pdu"), OTHERS)
def test_the_other_examples_are_read_and_written_octet_for_octet_T1(name, octets, pdu):
    """Examples 5.2 to 5.6."""
    assert headers.read(octets).pdu == pdu
    assert headers.write(pdu) == octets


def test_a_refusal_names_status_text_and_recipients():
    """Section 5.2: what a refusal of some recipients adds."""
    refusal = answer(
        forward_req(),
        RequestStatus.SERVICE_DENIED,
        sender=THEIRS,
        date=examples.at("10:15:04"),
        mail_id="res-1@mms.example.net",
        text="52 opted out",
        recipients=[BOB],
    )
    written = headers.write(refusal).decode()
    assert "X-Mms-Request-Status-Code: Error-service-denied\r\n" in written
    assert "X-Mms-Status-Text: 52 opted out\r\n" in written
    assert f"X-Mms-Request-Recipients: {BOB}\r\n" in written
    assert headers.read(written.encode()).pdu == refusal


def test_a_good_answer_has_no_text_and_the_ids_of_the_request():
    """Rulings 15 and 26: ids that the request had, a text only with an error."""
    good = answer(
        forward_req(message_id=""),
        RequestStatus.OK,
        sender=THEIRS,
        date=1000,
        mail_id="1@x",
        text="fine",
    )
    assert (good.transaction_id, good.message_id, good.status_text) == ("7f3a0c21", "", "")
    written = headers.write(good)
    assert b"X-Mms-Message-ID" not in written
    assert b"Status-Text" not in written


@pytest.mark.parametrize(
    ("ack", "wanted"),
    [("Yes", True), ("yes", True), ("No", False), ("maybe", False), (None, False)],
)
def test_an_answer_is_wanted_only_if_asked_for_T2(ack, wanted):
    """X-Mms-Ack-Request: Yes, whatever its case; nothing else asks."""
    assert headers.read(replaced("X-Mms-Ack-Request", ack)).pdu.wants_answer is wanted


def test_the_answer_goes_to_the_originator_system_T2():
    """Or to Sender if it is missing (ruling 15)."""
    named = headers.read(replaced("X-Mms-Originator-System", "mmsc@other.example.com")).pdu
    assert named.answer_to == "mmsc@other.example.com"
    missing = headers.read(replaced("X-Mms-Originator-System", None)).pdu
    assert missing.answer_to == missing.originator_system == OURS


@pytest.mark.parametrize("octets", list(OCTETS.values())[1::2])
def test_the_answer_to_a_report_goes_to_its_sender_T2(octets):
    """Section 2: the Sender of the report."""
    assert headers.read(octets).pdu.answer_to == THEIRS


@pytest.mark.parametrize("quoted", ['"7f3a0c21"', "<7f3a0c21>", "'7f3a0c21'", ' " 7f3a0c21 " '])
def test_quotes_around_ids_are_no_part_of_them_T3(quoted):
    """Both ids are found without quotes."""
    mail = replaced("X-Mms-Transaction-ID", quoted)
    assert headers.read(mail).pdu == forward_req()


def test_ids_are_quoted_if_the_peer_wants_it_T3():
    """Transaction and message id, and no other."""
    written = headers.write(forward_req(), quote_ids=True).decode()
    assert 'X-Mms-Transaction-ID: "7f3a0c21"\r\n' in written
    assert 'X-Mms-Message-ID: "mm-000017@gateway.example.com"\r\n' in written
    assert written.count('"') == 4
    assert headers.read(written.encode()).pdu == forward_req()


@pytest.mark.parametrize("change", [bytes.upper, bytes.lower])
def test_names_and_words_in_any_case_T3(change):
    """Header names and fixed words are the same in every case."""
    lines = examples.head().split(b"\r\n")
    odd = [b":".join([change(name), *rest]) for name, *rest in (line.split(b":") for line in lines)]
    for name, value in [(b"Message-Class", b"personal"), (b"Priority", b"NORMAL")]:
        odd = [
            change(b"X-Mms-" + name) + b": " + value if name.lower() in x.lower() else x
            for x in odd
        ]
    mail = b"\r\n".join(odd).replace(b"MM4_forward.REQ", b"mm4_FORWARD.req")
    assert headers.read(mail).pdu == forward_req()


@pytest.mark.parametrize("said", ["MM4_Delivery_report.REQ", "mm4_delivery_report.req"])
def test_message_types_in_odd_case_T3(said):
    """Section 3.1: seen in practice."""
    assert isinstance(
        headers.read(replaced("X-Mms-Message-Type", said, REPORT)).pdu, DeliveryReportReq
    )


def test_folded_headers_and_bare_line_feeds_are_read():
    """A header may go on in the next line; a relay may have changed the line ends."""
    folded = FORWARD_REQ.replace(b"Subject: Holiday", b"Subject:\r\n Holi\r\n\tday")
    assert headers.read(folded).pdu.subject == "Holi\tday".replace("\t", " ")
    assert headers.read(FORWARD_REQ.replace(b"\r\n", b"\n")).pdu == forward_req()


MANDATORY = [
    *(
        ("5.1", FORWARD_REQ, name)
        for name in (
            "From", "To", "Sender", "Date", "Message-ID", "X-Mms-3GPP-MMS-Version",
            "X-Mms-Transaction-ID", "X-Mms-Message-ID", "Content-Type",
        )
    ),
    *(
        (example, OCTETS[example], name)
        for example in ("5.3", "5.5")
        for name in (
            "From", "To", "Sender", "Date", "Message-ID", "X-Mms-3GPP-MMS-Version",
            "X-Mms-Transaction-ID", "X-Mms-Message-ID",
        )
    ),
    ("5.3", REPORT, "X-Mms-MM-Status-Code"),
    ("5.5", OCTETS["5.5"], "X-Mms-Read-Status"),
]  # fmt: skip


@pytest.mark.parametrize(("example", "octets", "name"), MANDATORY)
def test_a_missing_mandatory_header_is_told_T5(example, octets, name):
    """Each alone: Error-message-format-corrupt, the name of what is missing, and whom to answer."""
    with pytest.raises(Corrupt) as e:
        headers.read(replaced(name, None, octets))
    assert e.value.status is RequestStatus.FORMAT_CORRUPT
    assert e.value.detail == f"missing {name}"
    whole = headers.read(octets).pdu
    assert e.value.request.wants_answer
    assert e.value.request.answer_to == (
        "" if name == "Sender" and example != "5.1" else whole.answer_to
    )
    if name != "X-Mms-Transaction-ID":
        assert e.value.request.transaction_id == whole.transaction_id


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Mms-Transaction-ID", "x" * 257),
        ("X-Mms-Transaction-ID", "two words"),
        ("X-Mms-Message-ID", "naïve"),
        ("X-Mms-Message-ID", '""'),
        ("X-Mms-3GPP-MMS-Version", "latest"),
        ("Date", "yesterday"),
        ("From", "\u0416uk@example.org"),
        ("To", ", ,"),
    ],
)
def test_a_mandatory_header_that_cannot_be_read_is_told_T5(name, value):
    """It is named as unreadable, and the request is corrupt."""
    with pytest.raises(Corrupt) as e:
        headers.read(replaced(name, value))
    assert e.value.detail == f"missing {name} (unreadable)"


def test_a_copy_alone_is_a_recipient():
    """Section 3: recipients are in To, Cc."""
    mail = replaced("To", None)
    assert headers.read(added(f"Cc: {BOB}", mail)).pdu.cc == [BOB]


def test_an_unknown_type_is_an_unsupported_message():
    """It says it is MM4, and is none of the six."""
    with pytest.raises(Corrupt) as e:
        headers.read(replaced("X-Mms-Message-Type", "MM4_cancel.REQ"))
    assert (e.value.status, e.value.request) == (RequestStatus.UNSUPPORTED_MESSAGE, None)


def test_a_mail_without_a_type_is_an_e_mail():
    """Section 7: it is not MM4 at all."""
    assert headers.read(b"From: alice@example.org\r\nSubject: Hello\r\n\r\nHi").pdu is None
    assert headers.read(b"").pdu is None
    assert headers.read(b"\r\nbody").body == 2


def test_a_response_needs_only_what_it_says():
    """Nobody is told what else a response lacks: type, transaction and status are enough."""
    mail = (
        b"X-Mms-Message-Type: MM4_forward.RES\r\nX-Mms-Transaction-ID: 17\r\n"
        b"X-Mms-Request-Status-Code: ok\r\n\r\n"
    )
    assert headers.read(mail).pdu == ForwardRes(transaction_id="17", status=RequestStatus.OK)
    with pytest.raises(Corrupt) as e:
        headers.read(mail.replace(b"X-Mms-Transaction-ID: 17\r\n", b""))
    assert e.value.request is None


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("ERROR-SERVICE-DENIED", RequestStatus.SERVICE_DENIED),
        ("Error-transient-network-problem", RequestStatus.NETWORK_PROBLEM),
        ("Error-transient-failure", RequestStatus.NETWORK_PROBLEM),
        ("Error-permanent-message-format-corrupt", RequestStatus.FORMAT_CORRUPT),
        ("Error-permanent-failure", RequestStatus.SERVICE_DENIED),
        ("Error-permanent-network-problem", RequestStatus.SERVICE_DENIED),
        ("Error-of-mine", RequestStatus.UNSPECIFIED),
        *((str(status), status) for status in RequestStatus),
    ],
)
def test_request_statuses_as_they_are_written(said, status):
    """Section 3.1, and the words of MM1; a word that is none is an unspecified error."""
    mail = replaced("X-Mms-Request-Status-Code", said, OCTETS["5.2"])
    assert headers.read(mail).pdu.status is status


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("Unrecognized", Status.UNRECOGNISED),
        ("unreachable", Status.UNREACHABLE),
        ("Lost", Status.INDETERMINATE),
        *((str(status), status) for status in Status),
    ],
)
def test_message_statuses_as_they_are_written_T7(said, status):
    """Section 3.1; an unknown word is not known to mean anything (ruling 29)."""
    assert headers.read(replaced("X-Mms-MM-Status-Code", said, REPORT)).pdu.status is status


@pytest.mark.parametrize(
    "name", ["X-Mms-Read-Status", "X-Mms-MM-Read-Status", "x-mms-mm-read-status"]
)
@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("read", words.ReadStatus.READ),
        ("Deleted without being read", words.ReadStatus.DELETED),
        ("Deleted-without-being-read", words.ReadStatus.DELETED),
        ("Deleted", words.ReadStatus.DELETED),
    ],
)
def test_both_headers_of_a_read_status(name, said, status):
    """Section 3: one implementation writes X-Mms-MM-Read-Status."""
    mail = replaced("X-Mms-Read-Status", None, OCTETS["5.5"])
    assert headers.read(added(f"{name}: {said}", mail)).pdu.status is status


@pytest.mark.parametrize("version", ["5.2.0", "6.5.0", "17.0.0", "6.3", '"6.3.0"'])
def test_any_version_is_taken(version):
    """Digits and dots; a higher major version too (section 3.1)."""
    assert headers.read(replaced("X-Mms-3GPP-MMS-Version", version)).pdu.version == version.strip(
        '"'
    )


@pytest.mark.parametrize(
    ("said", "expiry"),
    [
        ("259200", Expiry(seconds=259200)),
        ("Tue, 17 Mar 2026 10:15:02 +0100", Expiry(at=examples.at("09:15:02") + 3 * 86_400_000)),
        ("soon", None),
        ("9" * 30, Expiry(seconds=10 * 366 * 86_400)),
        ("-5", None),
    ],
)
def test_expiry_is_seconds_or_a_date(said, expiry):
    """Section 3.1; one that is neither is none."""
    assert headers.read(replaced("X-Mms-Expiry", said)).pdu.expiry == expiry


def test_relative_expiry_counts_from_reception():
    """Ruling 19: turned into a date when it is received."""
    assert Expiry(seconds=60).until(1_000_000) == 1_060_000
    assert Expiry(at=5_000).until(1_000_000) == 5_000


def test_unknown_words_of_optional_headers_are_left_out():
    """They say nothing that we know, and do no harm."""
    mail = replaced("X-Mms-Priority", "Urgent!")
    mail = replaced("X-Mms-Message-Class", "Spam", mail)
    mail = replaced("X-Mms-Forward-Counter", "many", mail)
    assert headers.read(mail).pdu == forward_req(priority="", message_class="", forward_counter=0)


def test_release_6_and_vasp_headers_travel():
    """They are read under any case, and written under their own names."""
    mail = added("x-mms-vasp-id: Traffic\r\nX-MMS-APPLIC-ID: chess", FORWARD_REQ)
    pdu = headers.read(mail).pdu
    assert pdu.extra == {"X-Mms-VASP-ID": "Traffic", "X-Mms-Applic-ID": "chess"}
    assert b"X-Mms-Applic-ID: chess\r\nX-Mms-VASP-ID: Traffic\r\n" in headers.write(pdu)


def test_previous_senders_travel():
    """One header for each, with its number."""
    lines = (
        "X-Mms-Previously-sent-by: 1, +447700900789/TYPE=PLMN@mms.example.org\r\n"
        "X-Mms-Previously-sent-by: 2, +447700900790/TYPE=PLMN@mms.example.org\r\n"
        "X-Mms-Previously-sent-date-and-time: 1, Sat, 14 Mar 2026 09:00:00 +0000"
    )
    pdu = headers.read(added(lines)).pdu
    assert [line[:2] for line in pdu.previously_sent_by] == ["1,", "2,"]
    assert lines.encode() in headers.write(pdu)


def test_received_lines_are_counted():
    """For the detection of loops (section 4)."""
    assert headers.read(added("Received: from a by b; now\r\nreceived: from c")).hops == 2


@pytest.mark.parametrize(
    "subject", ["Grüße aus Köln", "日本語の件名" * 20, "Жук", "=?x?q?y?=", "a" * 1000]
)
def test_subjects_travel_in_encoded_words(subject):
    """RFC 2047 both ways; every line is ASCII and short enough."""
    written = headers.write(forward_req(subject=subject))
    assert all(len(line) <= 998 for line in written.split(b"\r\n"))
    assert headers.read(written).pdu.subject == subject


@pytest.mark.parametrize(
    "raw",
    [
        b"=?iso-8859-1?Q?Gr=FC=DFe?=",
        b"=?utf-8?B?R3LDvMOfZQ==?=",
        "Grüße".encode(),
        "Grüße".encode("latin-1"),
        b"=?nonsense?Q?Gr=C3=BC=C3=9Fe?=",
    ],
)
def test_subjects_are_read_as_others_write_them(raw):
    """Encoded words of any charset, an unknown one, and octets without any encoding."""
    assert headers.read(FORWARD_REQ.replace(b"Holiday", raw)).pdu.subject == "Grüße"


def test_broken_encoded_words_stay_as_they_are():
    """Nothing is lost of what cannot be read."""
    assert (
        headers.read(FORWARD_REQ.replace(b"Holiday", b"=?utf-8?B?A?=")).pdu.subject
        == "=?utf-8?B?A?="
    )


def test_a_request_kept_of_a_corrupt_mail_is_the_right_kind():
    """So that it can be answered by its own response."""
    with pytest.raises(Corrupt) as e:
        headers.read(replaced("Date", None))
    assert isinstance(e.value.request, ForwardReq)


def test_every_header_is_documented():
    """docs/protocols/mm4.md names each header that is read or written."""
    page = (Path(__file__).parents[2] / "docs" / "protocols" / "mm4.md").read_text()
    every = {h.name for several in headers.HEADERS.values() for h in several} | set(headers.EXTRA)
    missing = [
        name
        for name in every
        if f"`{name}`" not in page and f"`{name.removeprefix('X-Mms')}`" not in page
    ]
    assert missing == []
