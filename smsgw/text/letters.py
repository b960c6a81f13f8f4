"""Messages and reports as e-mail (A-R5, A-D14, A-D41; Q-D22), in the octets that are sent."""

import re
from collections.abc import Sequence
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from attrs import frozen

from smsgw.text import reports
from smsgw.text.reading import Reading, e123

# Seven bits, so that every server takes it (ruling 26).
_POLICY = SMTP.clone(linesep="\n", cte_type="7bit")
_NOT_VISIBLE = re.compile(r"[^ -~]")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")

Headers = Sequence[tuple[str, str]]


@frozen
class Letter:
    """A mail on its way: envelope, and content with lines that end in a line feed."""

    sender: str  # "" is the null sender, of what nobody should answer by machine
    recipient: str
    octets: bytes


def message_letter(
    reading: Reading, recipient: str, prefix: str, name: str, domain: str, reply_to: str = ""
) -> Letter:
    """A message for a target (A-D14). ``name`` is the left side of its Message-ID, the same at
    every retry; ``domain`` that of SMS addresses. A mail to ``reply_to`` becomes an SMS to who sent
    the message."""
    plus = prefix == "+"
    own = e123 if plus else str
    when = reading.iso if plus else reading.plain_time
    told = [("From", own(reading.oa)), ("To", own(reading.da))]
    told += [("Via", own(reading.via))] if reading.via else []
    body = reading.text if prefix == "!" else _headed([*told, ("Time", when)], reading.text)
    headers = [
        ("X-SMS-OA", own(reading.oa)),
        ("X-SMS-DA", own(reading.da)),
        ("X-SMS-SCTS", reading.iso),
        ("X-SMS-UDH", reading.udh.hex().upper()),
        ("X-SMS-DCS", str(reading.dcs or "")),
        ("X-SMS-PID", str(reading.pid or "")),
        ("X-SMS-Via", own(reading.via)),
    ]
    mail = _mail(f"SMS from {own(reading.oa)}", reading.oa, recipient, name, domain, reading.at)
    _answered_at(mail, reply_to, reading.da)
    return _letter(mail, f"sms@{domain}", recipient, headers, body)


@frozen
class Attached:
    """A file of a mail."""

    type: str
    name: str
    charset: str  # of text
    octets: bytes


def multimedia_letter(
    reading: Reading,
    subject: str,
    files: Sequence[Attached],
    recipient: str,
    name: str,
    domain: str,
    reply_to: str = "",
) -> Letter:
    """A multimedia message for a mailbox: its text, and its media attached."""
    headers = [("X-MMS-OA", reading.oa), ("X-MMS-DA", reading.da), ("X-MMS-SCTS", reading.iso)]
    title = " ".join(_CONTROL.sub(" ", subject).split())
    mail = _mail(f"MMS from {reading.oa}", reading.oa, recipient, name, domain, reading.at)
    _answered_at(mail, reply_to, reading.da)
    if title:
        mail.replace_header("Subject", title)
    _fill(mail, headers, reading.text)
    for one in files:
        main, _, sub = one.type.partition("/")
        mail.add_attachment(one.octets, maintype=main, subtype=sub, filename=one.name)
        if one.charset:
            list(mail.iter_attachments())[-1].set_param("charset", one.charset)
    return Letter(f"sms@{domain}", recipient, mail.as_bytes())


def relay_letter(reading: Reading, recipient: str, id: int, name: str, domain: str) -> Letter:
    """A message for a mailbox of a relay (Q-D22); ``id`` is the message's."""
    headers = [
        ("X-SMS-Id", str(id)),
        ("X-SMS-Originator", reading.oa),
        ("X-SMS-Destination", reading.da),
        ("X-SMS-Time", reading.plain_time),
        ("X-SMS-UDH", reading.udh.hex().upper()),
    ]
    subject = f"SMS from {reading.oa} to {reading.da}"
    mail = _mail(subject, "sms", recipient, name, domain, reading.at)
    return _letter(mail, f"sms@{domain}", recipient, headers, reading.text)


def notice_letter(
    reading: Reading, place: str, recipient: str, id: int, name: str, domain: str
) -> Letter:
    """That the message ``id`` could not be brought to ``place`` and is not tried again (Q-D18)."""
    told = [
        ("From", reading.oa),
        ("To", reading.da),
        ("Id", str(id)),
        ("Time", reading.plain_time),
        ("Undelivered to", place),
    ]
    subject = f"SMS from {reading.oa} to {reading.da}: undelivered"
    mail = _mail(subject, "sms", recipient, name, domain, reading.at)
    return _letter(mail, "", recipient, [("X-SMS-Id", str(id))], _headed(told, reading.text))


def report_letter(
    code: int,
    reading: Reading,
    id: int,
    done: datetime,
    recipient: str,
    name: str,
    domain: str,
) -> Letter:
    """A delivery report (A-D41) of the message ``id``, whose state is of the time ``done``."""
    word = reports.WORDS[code]
    told = [
        ("Code", f"{code} ({word})"),
        ("From", reading.oa),
        ("To", reading.da),
        ("Id", str(id)),
        ("Accepted", reading.plain_time),
        (word, done.strftime("%Y-%m-%d %H:%M:%S")),
    ]
    mail = _mail(f"SMS to {reading.da}: {word}", "sms", recipient, name, domain, done)
    # A report is an answer by machine: what cannot be delivered of it is told to nobody (RFC 3834).
    return _letter(mail, "", recipient, [("X-SMS-Code", str(code))], _headed(told, reading.text))


def _headed(told: Headers, text: str) -> str:
    return "".join(f"{name}: {_visible(value)}\n" for name, value in told) + "\n" + text


def _visible(text: str) -> str:
    # No character of a sender's choice ends a header and begins another.
    return _NOT_VISIBLE.sub("?", text)


def _answered_at(mail: EmailMessage, reply_to: str, number: str) -> None:
    """``reply_to`` names who is answered, the name in front the ``number`` that answers."""
    if reply_to:
        local, _, host = reply_to.rpartition("@")
        mail["Reply-To"] = Address(_visible(number), username=local, domain=host)


def _mail(
    subject: str, sender: str, recipient: str, name: str, domain: str, at: datetime
) -> EmailMessage:
    mail = EmailMessage(_POLICY)
    mail["From"] = Address(username=_visible(sender) or "unknown", domain=domain)
    local, _, host = recipient.rpartition("@")
    mail["To"] = Address(username=local, domain=host)
    mail["Subject"] = _visible(subject)
    mail["Date"] = format_datetime(at)
    mail["Message-ID"] = f"<{name}@{domain}>"
    # Nobody's absence note becomes an SMS (RFC 3834, ruling 24).
    mail["Auto-Submitted"] = "auto-generated"
    return mail


def _letter(mail: EmailMessage, sender: str, recipient: str, headers: Headers, body: str) -> Letter:
    _fill(mail, headers, body)
    return Letter(sender, recipient, mail.as_bytes())


def _fill(mail: EmailMessage, headers: Headers, body: str) -> None:
    for name, value in headers:
        if value:
            mail[name] = _visible(value)
    # Control characters do not survive on the way as they are, and NUL is not allowed.
    mail.set_content(body, charset="utf-8", cte="base64" if _CONTROL.search(body) else None)
