"""Delivery status notifications: what became of a message, told to who mailed it (RFC 3464, as
RFC 3461 asks for)."""

import re
from collections.abc import Sequence

from attrs import field, frozen

from smsgw.mm4 import fields
from smsgw.mm4.mime import base64_lines

# Subject and first sentence, by action.
_TOLD = {
    "delivered": ("Delivered", "was delivered."),
    "relayed": ("Sent", "was sent; whether it was delivered is not known."),
    "failed": ("Not delivered", "could not be delivered."),
    "delayed": ("Delayed", "is not delivered yet. It need not be sent again."),
}
_NOT_VISIBLE = re.compile(r"[^ -~]")
_MOST = 800  # characters of one value


@frozen
class Report:
    """What one report says. Times are ms since 1970 UTC, 0 where there is none."""

    action: str  # delivered, relayed, failed, delayed
    status: str  # RFC 3463, "5.7.1"
    sender: str  # who mailed the message, and gets the report
    recipient: str  # as RCPT had it
    destination: str  # for people
    arrived_at: int
    last_at: int = 0  # of the last attempt
    until: int = 0  # it is tried until then
    diagnostic: str = ""  # "smtp; 550 5.7.1 52 opted out"
    envelope_id: str = ""
    original: str = ""  # ORCPT
    message_id: str = ""  # of the mail, without <>
    more: Sequence[tuple[str, str]] = field(factory=tuple)  # X- fields about the recipient
    shown: Sequence[str] = field(factory=tuple)  # lines of the mail's header
    text: str | None = None  # what it said, None: only its header is shown


def write(report: Report, domain: str, name: str, now: int) -> bytes:
    """The whole mail, with CR LF. ``name`` is the left side of its Message-ID; ``now`` in ms."""
    subject, sentence = _TOLD[report.action]
    boundary = f"=_dsn.{name}"
    header = [
        ("From", f"Mail Delivery System <mailer-daemon@{domain}>"),
        ("To", f"<{report.sender}>"),
        ("Subject", f"{subject}: message to {report.destination}"),
        ("Date", fields.write_date(now)),
        ("Message-ID", f"<{name}@{domain}>"),
        ("In-Reply-To", f"<{report.message_id}>" if report.message_id else ""),
        ("Auto-Submitted", "auto-replied"),
        ("MIME-Version", "1.0"),
        (
            "Content-Type",
            f'multipart/report; report-type=delivery-status;\r\n boundary="{boundary}"',
        ),
    ]
    body = [_fields(header), "\r\n"]
    for kind, content in (
        ("text/plain; charset=us-ascii", _told(report, sentence)),
        ("message/delivery-status", _status(report, domain)),
        _returned(report),
    ):
        body += [f"--{boundary}\r\nContent-Type: {kind}\r\n\r\n", content, "\r\n"]
    body.append(f"--{boundary}--\r\n")
    return "".join(body).encode("ascii")


def _told(report: Report, sentence: str) -> str:
    lines = [f"Your message to {report.destination} {sentence}"]
    if report.diagnostic and report.action != "delivered":
        lines += ["", report.diagnostic.partition("; ")[2]]
    if report.until:
        lines += ["", f"It is tried until {fields.write_date(report.until)}."]
    return "".join(f"{_visible(line)}\r\n" for line in lines)


def _status(report: Report, domain: str) -> str:
    """The fields of the mail, and after an empty line those of the recipient (RFC 3464 §2)."""
    mail = [
        ("Original-Envelope-Id", report.envelope_id),
        ("Reporting-MTA", f"dns; {domain}"),
        ("Arrival-Date", _date(report.arrived_at)),
    ]
    recipient = [
        ("Original-Recipient", report.original),
        ("Final-Recipient", f"rfc822; {report.recipient}"),
        ("Action", report.action),
        ("Status", report.status),
        ("Diagnostic-Code", report.diagnostic),
        ("Last-Attempt-Date", _date(report.last_at)),
        ("Will-Retry-Until", _date(report.until)),
        *report.more,
    ]
    return f"{_fields(mail)}\r\n{_fields(recipient)}"


def _returned(report: Report) -> tuple[str, str]:
    shown = []
    for one in report.shown:
        name, _, value = one.partition(": ")
        shown.append((name, fields.encoded(value, name)))
    if report.text is None:
        return "text/rfc822-headers", _fields(shown)
    encoded = base64_lines(report.text.encode("utf-8", "replace")).decode("ascii")
    shown += [
        ("MIME-Version", "1.0"),
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Transfer-Encoding", "base64"),
    ]
    return "message/rfc822", f"{_fields(shown)}\r\n{encoded}"


def _fields(values: Sequence[tuple[str, str]]) -> str:
    """The fields that have a value, each within the bounds of a line."""
    lines = []
    for name, value in values:
        if not value:
            continue
        pieces = [_visible(piece)[:_MOST] for piece in value.split("\r\n ")]
        lines.append(fields.line(name, "\r\n ".join(pieces)))
    return "".join(lines)


def _visible(text: str) -> str:
    return _NOT_VISIBLE.sub("?", text)


def _date(ms: int) -> str:
    return fields.write_date(ms) if ms else ""
