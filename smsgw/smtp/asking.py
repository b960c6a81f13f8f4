"""What an ordinary mail asks for, put into a message (E-D31, E-D32; RFC 3461)."""

import re
from typing import TYPE_CHECKING

from smsgw.message import MailOrigin, Message
from smsgw.mm4 import addresses, types
from smsgw.mm4.mime import Content, Part
from smsgw.provisioning.values import email
from smsgw.refusals import Reason, Refusal
from smsgw.smtp.grammar import Recipient
from smsgw.smtp.plain import PlainMail
from smsgw.toml import Wrong

if TYPE_CHECKING:
    from smsgw.smtp.envelope import Envelope

_TEXT_MOST = 50_000  # characters; 255 parts hold 39,000
_REFERENCE_MOST = 64
_MINUTES = re.compile("[0-9]{1,6}")
_VALIDITY_MOST = 43_200  # minutes: 30 days
# Of registered_delivery (SMPP 3.4 §5.2.17).
_ANY_END, _FAILURE, _ON_THE_WAY = 1, 2, 0x10
_YES, _NO = ("yes", "true", "1"), ("", "no", "false", "0")


def destination(recipient: Recipient, country: str) -> str | Reason:
    """The number or short code that an address names."""
    found = addresses.read(f"{_quotable(recipient.local)}@{recipient.domain}", country)
    if isinstance(found, Reason):
        return found
    if found.kind not in (addresses.Kind.NUMBER, addresses.Kind.SHORT_CODE):
        return Reason.BAD_DESTINATION
    return found.text


def _quotable(local: str) -> str:
    return "" if set(local) & set('<>()[],;:\\"@') else local


def say(message: Message, text: str) -> Refusal | None:
    """Gives an SMS its text; why it cannot have it."""
    if not text.strip():
        return Refusal(Reason.PARAMETER_MISSING, "text")
    if len(text) > _TEXT_MOST:
        return Refusal(Reason.TOO_LONG, f"{len(text)} characters")
    message.text = text
    return None


def options(message: Message, mail: PlainMail) -> Refusal | None:
    """Puts into the message what the X-SMS fields say (E-D32); what is wrong with them."""
    if mail.registered not in _YES + _NO:
        return Refusal(Reason.PARAMETER_INVALID, "X-SMS-Registered-Delivery must be yes or no")
    if mail.validity:
        minutes = mail.validity
        if not (_MINUTES.fullmatch(minutes) and 1 <= int(minutes) <= _VALIDITY_MOST):
            return Refusal(Reason.BAD_VALIDITY, "X-SMS-Validity must be minutes")
        message.validity_ms = int(minutes) * 60_000
    if len(mail.reference) > _REFERENCE_MOST:
        return Refusal(
            Reason.PARAMETER_INVALID, f"X-SMS-Reference (at most {_REFERENCE_MOST} characters)"
        )
    message.client_reference = mail.reference or None
    return None


def origin(recipient: Recipient, envelope: "Envelope", mail: PlainMail) -> MailOrigin:
    """What reports say of the mail; ``ask_reports`` says which there are."""
    sender = envelope.sender
    return MailOrigin(
        recipient.address,
        ret=sender.ret,
        envelope_id=sender.envelope_id,
        original=recipient.original,
        message_id=mail.message_id,
        shown=mail.shown,
    )


def ask_reports(message: Message, report_to: str, recipient: Recipient, header: str) -> None:
    """What is reported, and to whom. Where neither ``NOTIFY`` nor the ``header`` says it, failure
    is, as of any mail (RFC 3461 §4.1)."""
    origin = message.mailed
    assert origin is not None
    if recipient.notify:
        origin.notify = sorted(one.lower() for one in recipient.notify - {"NEVER"})
    elif header in _YES:
        origin.notify = ["failure", "success"]
    elif not header:
        origin.notify = ["failure"]
    try:
        message.report_to = email(report_to) if origin.notify else ""
    except Wrong:
        message.report_to, origin.notify = "", []  # nobody could be told there
    if "success" in origin.notify:
        message.registered_delivery = _ANY_END
    elif origin.notify:
        message.registered_delivery = _FAILURE
    if "delay" in origin.notify:
        message.registered_delivery |= _ON_THE_WAY


def content(mail: PlainMail) -> Content:
    """The parts of an MMS, the text first; a subject alone is its text."""
    parts = list(mail.attachments)
    if mail.text.strip():
        text = mail.text.encode("utf-8", "replace")
        parts.insert(0, Part(types.TEXT, "text.txt", "text", "text.txt", text, "utf-8"))
    if not parts and mail.subject:
        parts = [Part(types.TEXT, "text.txt", "text", "text.txt", mail.subject.encode(), "utf-8")]
    return Content(parts)
