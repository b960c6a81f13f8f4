"""Every reason to refuse, and its answer in every protocol (I4)."""

import re
from pathlib import Path

import attrs
import pytest

from smsgw.message import Message
from smsgw.refusals import Answer, Reason, Refusal

# Codes that spec/aerialink.md 4.1 names, with their HTTP statuses and texts.
REST = {
    50: (200, "Not Sent"),
    51: (200, "Destination Blocked"),
    52: (200, "Opted Out"),
    55: (200, "Filtered"),
    1001: (401, "Credentials missing"),
    1002: (401, "Credentials invalid"),
    1003: (403, "Account inactive"),
    1004: (403, "Address not allowed"),
    1005: (403, "Permission denied"),
    1010: (400, "Bad request"),
    1011: (400, "Parameter missing"),
    1012: (400, "Parameter invalid"),
    1013: (415, "Unsupported format"),
    1014: (400, "Message too long"),
    1015: (405, "Method not allowed"),
    1021: (400, "Invalid source"),
    1022: (400, "Source not provisioned"),
    1023: (400, "Invalid destination"),
    1024: (400, "Too many destinations"),
    1030: (403, "Account limit"),
    1031: (402, "Insufficient credit"),
    1032: (429, "Throughput exceeded"),
    1033: (403, "Service not enabled"),
    1040: (404, "Resource error"),
    1041: (404, "Unknown transaction"),
    1042: (404, "Unknown list or member"),
    1043: (409, "Conflict"),
    1050: (500, "System error"),
    1051: (503, "Temporarily unavailable"),
}
# Statuses of SMPP 3.4 (spec/smpp.md §15) that an answer of ours may have: ESME_ROK, those of 3.3
# alone, and those of length faults in a PDU are not among them.
SMPP = {
    0x01, 0x03, 0x05, 0x06, 0x07, 0x08, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F, 0x11, 0x13, 0x14, 0x15,
    0x33, 0x34, 0x40, 0x42, 0x43, 0x44, 0x45, 0x48, 0x50, 0x53, 0x54, 0x58, 0x61, 0x62, 0x63, 0x67,
    0xC0, 0xC1, 0xC2, 0xC3, 0xC4,
}  # fmt: skip
VENDOR = {50: 0x432, 51: 0x433, 52: 0x434, 55: 0x437}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_complete_answer(reason):
    """A status, a code, a reply and a text in every protocol, each a legal one there."""
    answer = reason.answer
    assert isinstance(answer, Answer)
    assert answer.smpp in SMPP | set(VENDOR.values())
    assert answer.smpp_link in SMPP
    assert re.fullmatch(r"[45]\d\d [45]\.\d{1,3}\.\d{1,3}", answer.smtp)
    assert answer.smtp[0] == answer.smtp[4]
    assert 0 < answer.link <= 999
    assert answer.text


@pytest.mark.parametrize("reason", Reason)
def test_rest_codes_have_the_status_and_text_of_the_table(reason):
    """spec/aerialink.md 4.1; 1014 is 413 for an attachment too large."""
    answer = reason.answer
    http, text = REST[answer.rest]
    assert answer.http in ((http, 413) if answer.rest == 1014 else (http,))
    assert answer.text == text


@pytest.mark.parametrize("reason", Reason)
def test_what_is_temporary_is_so_in_every_protocol(reason):
    """An SMTP 4xx, and nothing in the 5xx, is worth another try."""
    answer = reason.answer
    if answer.temporary:
        assert answer.smtp.startswith("4")
    if answer.http in (429, 503):
        assert answer.temporary


@pytest.mark.parametrize("reason", Reason)
def test_vendor_statuses_stand_for_the_four_kept_transactions(reason):
    """E-D15 and E-D16: 0x400 and the code for 50, 51, 52, 55, on the standard profile only."""
    answer = reason.answer
    assert (answer.smpp >= 0x400) == (answer.http == 200) == (answer.rest in VENDOR)
    if answer.rest in VENDOR:
        assert answer.smpp == VENDOR[answer.rest] == 0x400 + answer.rest
    else:
        assert answer.smpp == answer.smpp_link


@pytest.mark.parametrize(
    ("rest", "status"),
    [(1022, 0x0A), (1023, 0x0B), (1031, 0x45), (1032, 0x58), (1014, 0x01)],
)
def test_standard_statuses_of_the_other_codes(rest, status):
    """E-D16: the submit statuses of the codes that it lists."""
    refused = [r for r in Reason if r.answer.rest == rest]
    # A login has its own statuses, and a destination's TON too.
    submits = [r for r in refused if r not in (Reason.TOO_MANY_LOGINS, Reason.BAD_DESTINATION_TON)]
    assert submits
    assert {r.answer.smpp for r in submits} == {status}


@pytest.mark.parametrize(
    ("reason", "code", "status"),
    [
        (Reason.NO_CREDIT, 128, 0x45),
        (Reason.BLOCKED, 129, 0x0B),
        (Reason.OPTED_OUT, 129, 0x0B),
        (Reason.TOO_LONG, 202, 0x01),
        (Reason.NO_ROUTE, 206, 0x0B),
        (Reason.BAD_DESTINATION, 206, 0x0B),
        (Reason.DUPLICATE, 207, 0x45),
        (Reason.BAD_CODING, 252, 0x45),
        (Reason.INTERNAL_ERROR, 254, 0x08),
        (Reason.BAD_SOURCE, 939, 0x0A),
        (Reason.SOURCE_NOT_PROVISIONED, 939, 0x0A),
        (Reason.BAD_ESM_CLASS, 941, 0x43),
        (Reason.BAD_SOURCE_TON, 943, 0x48),
        (Reason.BAD_DESTINATION_TON, 945, 0x50),
        (Reason.BAD_SCHEDULE, 947, 0x61),
        (Reason.BAD_VALIDITY, 948, 0x62),
        (Reason.THROTTLED, 949, 0x58),
        (Reason.QUEUE_FULL, 949, 0x14),
        (Reason.FILTERED, 137, 0x45),
    ],
)
def test_link_codes_and_statuses(reason, code, status):
    """The table of spec/link-smpp.md 4.4."""
    assert (reason.answer.link, reason.answer.smpp_link) == (code, status)


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (Reason.UNKNOWN_LOGIN, 0x0F),
        (Reason.WRONG_PASSWORD, 0x0E),
        (Reason.ACCOUNT_INACTIVE, 0x0D),
        (Reason.ADDRESS_NOT_ALLOWED, 0x0D),
        (Reason.TOO_MANY_BINDS, 0x05),
    ],
)
def test_statuses_of_a_refused_bind(reason, status):
    """L-D14 and ruling 7, the same on every profile."""
    assert reason.answer.smpp == reason.answer.smpp_link == status


def test_reasons_with_one_answer_stay_two_reasons():
    """Reasons are told apart even where a protocol says the same of both."""
    assert Reason.INTERNAL_ERROR is not Reason.STORE_FAILED
    assert len(Reason) == len(Reason.__members__)
    assert len({reason.value for reason in Reason}) == len(Reason)
    same = [r for r in Reason if r.answer == Reason.STORE_FAILED.answer]
    assert len(same) == len(set(same))


def test_an_answer_cannot_be_changed():
    """The table is one for the whole process."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Reason.NO_ROUTE.answer.smpp = 0


def test_a_refusal_carries_reason_detail_and_the_kept_transaction():
    """What an edge needs to answer; the detail and the transaction may be missing."""
    message = Message(source="ACME", destination="447700900123")
    assert Refusal(Reason.OPTED_OUT, "opted out", message).message is message
    assert Refusal(Reason.THROTTLED) == Refusal(Reason.THROTTLED, "", None)


@pytest.mark.parametrize("reason", Reason)
def test_websmpp_and_sms_cgi_have_their_words(reason):
    """One of the 26 errors of spec/ams-websmpp.md 2.6, and a text without a line end (A-D33)."""
    answer = reason.answer
    assert re.fullmatch(r"HTTP(0[1-9]|1[0-9]|2[0-6])", answer.websmpp)
    assert re.fullmatch(r"[A-Z][A-Za-z0-9 -]*", answer.smscgi)


def _row(reason):
    """One line of the published table."""
    a = reason.answer
    cells = (
        reason.name.lower().replace("_", " "),
        f"0x{a.smpp:02X}",
        f"0x{a.smpp_link:02X}",
        str(a.link),
        f"{a.rest} {a.text}",
        str(a.http),
        a.websmpp,
        a.smscgi,
        a.smtp,
        a.mm4,
        "yes" if a.temporary else "no",
    )
    return f"| {' | '.join(cells)} |"


def test_the_published_table_is_this_one():
    """docs/protocols/refusals.md has every reason with every answer, and no other."""
    page = Path(__file__).parents[1] / "docs" / "protocols" / "refusals.md"
    rows = [line for line in page.read_text().splitlines() if line.startswith("| ")]
    assert rows[1:] == [_row(reason) for reason in Reason], "replace the rows by these"
