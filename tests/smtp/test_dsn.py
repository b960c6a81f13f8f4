"""Reports on messages that came by mail (E-D33, RFC 3461, RFC 3464)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.message import MailOrigin, Message, MessageState
from smsgw.refusals import Reason
from smsgw.smtp.dsn import Report, write
from smsgw.smtp.receipts import report, said
from smsgw.text import reports
from tests.deliveries import ALICE, AT, mt, opened

ALL = ["delay", "failure", "success"]
EXPECTED = """\
From: Mail Delivery System <mailer-daemon@sms.example.com>
To: <alice@example.com>
Subject: Not delivered: message to +447700900123
Date: Sat, 14 Mar 2026 10:15:09 +0000
Message-ID: <report.1.2@sms.example.com>
In-Reply-To: <m1@example.com>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
 boundary="=_dsn.report.1.2"

--=_dsn.report.1.2
Content-Type: text/plain; charset=us-ascii

Your message to +447700900123 could not be delivered.

UNDELIV err:034 network:7

--=_dsn.report.1.2
Content-Type: message/delivery-status

Original-Envelope-Id: QQ1
Reporting-MTA: dns; sms.example.com
Arrival-Date: Sat, 14 Mar 2026 10:15:02 +0000

Original-Recipient: rfc822;bob@example.com
Final-Recipient: rfc822; 447700900123@sms.example.com
Action: failed
Status: 5.1.1
Diagnostic-Code: X-SMS; UNDELIV err:034 network:7
Last-Attempt-Date: Sat, 14 Mar 2026 10:15:09 +0000
X-SMS-Transaction: 00000000-6f64-8000-8500-0000c2cf3e3e
X-SMS-State: UNDELIV

--=_dsn.report.1.2
Content-Type: text/rfc822-headers

Subject: Hello

--=_dsn.report.1.2--
"""


def mailed(state: MessageState, notify: list[str] | None = None, **given: Any) -> Message:
    """A message that Alice mailed, in a state."""
    origin = MailOrigin(
        "447700900123@sms.example.com",
        ALL if notify is None else notify,
        given.pop("ret", ""),
        "QQ1",
        "rfc822;bob@example.com",
        "m1@example.com",
        ["Subject: Hello"],
    )
    return mt(state, mailed=origin, report_to=ALICE, interface="smtp", **given)


def test_a_whole_report() -> None:
    """RFC 3464: the octets of one."""
    message = mailed(MessageState.UNDELIVERABLE, error=34, network_error="7")
    found = report(message, "receipt")
    assert found is not None
    octets = write(found, "sms.example.com", "report.1.2", message.done_at)
    guid = f"{found.more[0][1]}"
    expected = EXPECTED.replace("00000000-6f64-8000-8500-0000c2cf3e3e", guid)
    assert octets.decode() == expected.replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("state", "event", "action", "status", "asked"),
    [
        (MessageState.DELIVERED, "receipt", "delivered", "2.0.0", "success"),
        (MessageState.UNKNOWN, "receipt", "relayed", "2.0.0", "success"),
        (MessageState.UNDELIVERABLE, "receipt", "failed", "5.1.1", "failure"),
        (MessageState.EXPIRED, "receipt", "failed", "4.4.7", "failure"),
        (MessageState.REJECTED, "receipt", "failed", "5.7.1", "failure"),
        (MessageState.DELETED, "receipt", "failed", "5.0.0", "failure"),
    ],
)
def test_states_as_actions(
    state: MessageState, event: str, action: str, status: str, asked: str
) -> None:
    """RFC 3461 §4.1: each is told to who asked for it, and to nobody else."""
    found = report(mailed(state), event)
    assert found is not None
    assert (found.action, found.status) == (action, status)
    assert report(mailed(state, [asked]), event) is not None
    assert report(mailed(state, [one for one in ALL if one != asked]), event) is None


def test_delay() -> None:
    """A carrier that says why it is not there yet makes a delay; that it has it makes nothing."""
    waiting = mailed(MessageState.ENROUTE, network_error="27", expires_at=AT + 3_600_000)
    found = report(waiting, "progress")
    assert found is not None
    assert (found.action, found.status, found.until) == ("delayed", "4.4.1", AT + 3_600_000)
    assert b"Will-Retry-Until: Sat, 14 Mar 2026 11:15:02" in write(found, "x.example", "n", AT)
    assert report(mailed(MessageState.ENROUTE), "progress") is None


def test_a_part_that_failed_first() -> None:
    """The first of several parts that comes to nothing is told at once (A-D40)."""
    found = report(mailed(MessageState.ENROUTE), "receipt", reports.REJECTED)
    assert found is not None
    assert found.action == "failed"


def test_refused_by_us_is_told_in_smtp_words() -> None:
    """I4: as the answer to DATA would have been."""
    refused = mailed(MessageState.REJECTED, taken=False, refusal="OPTED_OUT", parts=[], ret="FULL")
    found = report(refused, "receipt")
    assert found is not None
    assert (found.status, found.text) == ("5.7.1", None)
    assert found.diagnostic == "smtp; 550 5.7.1 52 opted out"


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_an_smtp_answer(reason: Reason) -> None:
    """I4: code, enhanced code of the same class, REST code and text, from the one table."""
    reply = said(reason)
    assert f"{reply.code} {reply.enhanced}" == reason.answer.smtp
    assert str(reply.code)[0] == reply.enhanced[0]
    assert reply.text.lower() == f"{reason.answer.rest} {reason.answer.text}".lower()


def test_the_text_comes_back_if_asked_for() -> None:
    """RFC 3461 §4.3: RET=FULL, of what failed."""
    found = report(mailed(MessageState.EXPIRED, ret="FULL"), "receipt")
    assert found is not None
    *_, returned = opened(write(found, "sms.example.com", "n", AT)).iter_parts()
    [inner] = returned.iter_parts()
    assert inner.get_content() == "Hello world"
    delivered = report(mailed(MessageState.DELIVERED, ret="FULL"), "receipt")
    assert delivered is not None
    assert delivered.text is None


@given(st.lists(st.text(max_size=200), min_size=7, max_size=7))
def test_no_value_adds_a_line(texts: list[str]) -> None:
    """Whatever a sender wrote stays in its field."""
    a, b, c, d, e, f, g = texts
    more, shown = [("X-SMS-Reference", g)], [f"To: {a}"]
    found = Report("failed", "5.0.0", ALICE, a, b, AT, AT, 0, c, d, e, f, more, shown)
    octets = write(found, "sms.example.com", "n", AT)
    assert octets.isascii()
    assert octets.count(b"\n") == octets.count(b"\r\n") == octets.count(b"\r")
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    parsed = opened(octets)
    assert parsed["To"] == f"<{ALICE}>" or parsed["To"] == ALICE
    assert len(list(parsed.iter_parts())) == 3
