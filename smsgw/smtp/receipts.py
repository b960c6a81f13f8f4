"""What became of a message that came by mail, as the notification that its sender asked for
(E-D33, RFC 3461 §4.1)."""

from smsgw.identities import to_guid
from smsgw.message import Message, MessageState
from smsgw.refusals import Reason
from smsgw.smtp.dsn import Report
from smsgw.smtp.replies import Reply
from smsgw.text import reports
from smsgw.text.reading import e123, read

# RFC 3463, of messages that we accepted and that came to nothing.
_STATUS = {
    MessageState.EXPIRED: "4.4.7",
    MessageState.UNDELIVERABLE: "5.1.1",
    MessageState.REJECTED: "5.7.1",
}
_FAILED = frozenset({reports.REJECTED, reports.REFUSED})


def said(reason: Reason, detail: str = "") -> Reply:
    """The SMTP answer to what is refused for ``reason``: its reply and its code, such as
    ``550 5.7.1 52 opted out`` (E-D15)."""
    answer = reason.answer
    code, _, enhanced = answer.smtp.partition(" ")
    words = answer.text.lower() if answer.text.istitle() else answer.text
    text = f"{answer.rest} {words}"
    return Reply(int(code), enhanced, f"{text}: {detail}" if detail else text)


def report(message: Message, event: str, code: int = 0) -> Report | None:
    """The notification of a "receipt" or of "progress", None if it was not asked for. ``code`` is
    that of a part that failed before the others (``text.reports``)."""
    origin = message.mailed
    if origin is None:
        return None
    action = _action(message, event, code or reports.code_of(event, message))
    if not action or _asked(action) not in origin.notify:
        return None
    failed = action == "failed"
    reading = read(message)
    more = [
        ("X-SMS-Transaction", to_guid(message.id)),
        ("X-SMS-State", MessageState(message.state).stat),
        ("X-SMS-Reference", message.client_reference or ""),
    ]
    # An MMS has no text of its own; what was refused is kept without.
    whole = failed and origin.ret == "FULL" and message.kind == "sms" and bool(message.parts)
    return Report(
        action,
        _status(message, action),
        message.report_to,
        origin.recipient,
        e123(reading.da),
        message.accepted_at,
        message.done_at or message.carrier_at,
        message.expires_at if action == "delayed" else 0,
        _diagnostic(message) if action in ("failed", "delayed") else "",
        origin.envelope_id,
        origin.original,
        origin.message_id,
        more,
        origin.shown,
        reading.text if whole else None,
    )


def _asked(action: str) -> str:
    return {"delivered": "success", "relayed": "success", "delayed": "delay"}.get(action, "failure")


def _action(message: Message, event: str, code: int) -> str:
    if event == "progress":
        return "delayed" if code == reports.BUFFERED else ""
    if code == reports.DELIVERED:
        return "delivered"
    # UNKNOWN and ACCEPTED: a carrier has it, and tells no more.
    return "failed" if code in _FAILED else "relayed"


def _status(message: Message, action: str) -> str:
    if action == "delayed":
        return "4.4.1"
    if action != "failed":
        return "2.0.0"
    if message.refusal:
        return Reason[message.refusal].answer.smtp.partition(" ")[2]
    return _STATUS.get(MessageState(message.state), "5.0.0")


def _diagnostic(message: Message) -> str:
    if message.refusal:
        return f"smtp; {said(Reason[message.refusal]).octets.decode('ascii')}"
    words = [MessageState(message.state).stat]
    words += [f"err:{message.error:03d}"] if message.error else []
    words += [f"network:{message.network_error}"] if message.network_error else []
    return f"X-SMS; {' '.join(words)}"
