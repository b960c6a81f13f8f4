"""The codes of the aerialink REST API as data, and which of them a message has (``spec`` 4.1, 4.3).

Codes that come of a refusal, with their HTTP statuses and texts, are in ``smsgw.refusals`` (I4);
the configuration may have other texts and HTTP statuses for them (``[aerialink.codes]``).
"""

from collections.abc import Mapping

from smsgw.dialects import CodeWords
from smsgw.message import Direction, Message, MessageState
from smsgw.refusals import Reason, Refusal

ACCEPTED = 10
COMPLETED = 20
NOT_SENT = 50
FILTERED = 55
AUTHENTICATION = 1000  # 1001 to 1005 where logins are not to be told apart

_OWN_TEXTS = {
    ACCEPTED: "Accepted",
    COMPLETED: "Request Completed",
    AUTHENTICATION: "Authentication error",
}
_TEXTS = {reason.answer.rest: reason.answer.text for reason in Reason} | _OWN_TEXTS
TEXTS = dict(_TEXTS)
# HTTP statuses of codes in place of those of their refusals.
STATUSES: dict[int, int] = {}

# The codes of version 4 that go with them (F-8); all others have the last.
_ERROR_CODES = {
    1001: "E100001",
    1002: "E100002",
    1003: "E100003",
    1004: "E100004",
    1005: "E100005",
    1011: "E200001",
    1012: "E200002",
    1015: "E200003",
    **dict.fromkeys(range(1020, 1025), "E200002"),
}
_OTHER_ERROR = "E500001"

# What a client does next.
RETRY_AFTER = {
    Reason.THROTTLED: b"1",
    Reason.TOO_MANY_LOGINS: b"60",
    **{reason: b"5" for reason in Reason if reason.answer.http == 503},
}

# Faults that the server finds before the resource is asked, by HTTP status; all others are 1010.
SERVER_FAULTS = {
    413: Reason.TOO_LARGE,
    500: Reason.INTERNAL_ERROR,
    503: Reason.SHUTTING_DOWN,
}

# Why a message that was kept was refused: by the name of the reason in its record, or by the code
# (``Answer.link``) in a record that has no name.
_KEPT = {reason.name: reason.answer.rest for reason in Reason if reason.answer.http == 200}
_KEPT_BY_CODE = {
    reason.answer.link: reason.answer.rest for reason in Reason if reason.answer.http == 200
}

_PENDING, _SENT, _FAILED, _SPAM, _CARRIER_ACCEPTED, _DELIVERED = (
    10000,
    30000,
    30003,
    30004,
    40000,
    40001,
)
_NEVER_SENT = frozenset(
    {
        MessageState.REJECTED,
        MessageState.UNDELIVERABLE,
        MessageState.EXPIRED,
        MessageState.DELETED,
    }
)
# State names are those of receipts (ruling 18); two states have no such name (ruling 12).
_STATES = {int(state): state.stat for state in MessageState} | {
    int(MessageState.SCHEDULED): MessageState.ENROUTE.stat,
    int(MessageState.SKIPPED): MessageState.DELETED.stat,
}


def reword(codes: Mapping[int, CodeWords]) -> None:
    """Has this process say what ``codes`` say, by code, and everything else as it stands here.

    Called once, when the configuration is read (4.1: the table is data, loaded at start).
    """
    TEXTS.clear()
    TEXTS.update(_TEXTS)
    STATUSES.clear()
    for code, words in codes.items():
        if words.text:
            TEXTS[code] = words.text
        if words.http:
            STATUSES[code] = words.http


def error_code(code: int) -> str:
    """The ``errorCode`` of version 4 for a code of the series 1000 to 1050."""
    return _ERROR_CODES.get(code, _OTHER_ERROR)


def detail(refusal: Refusal) -> str:
    """The text of a refusal, with what is needed to mend it."""
    text = TEXTS[refusal.reason.answer.rest]
    return f"{text}: {refusal.detail}" if refusal.detail else text


def state_name(message: Message) -> str:
    """``messageState``."""
    return _STATES[message.state]


def code_of(message: Message) -> int:
    """``code`` of a message at a status check: 20 for good once a carrier has acknowledged it.

    One that ended before any carrier took it is 50, or what its refusal at submission was. An
    inbound message is 20 when the account has it.
    """
    state = message.state
    if message.direction == Direction.MO:
        return COMPLETED if state == MessageState.DELIVERED else ACCEPTED
    if message.carrier_at:
        return COMPLETED
    if state in _NEVER_SENT:
        if message.refusal:
            return _KEPT.get(message.refusal, NOT_SENT)
        # What was refused at submission is kept without its parts.
        return NOT_SENT if message.parts else _KEPT_BY_CODE.get(message.error, NOT_SENT)
    return ACCEPTED


def extended_code(message: Message, code: int) -> int:
    """``extendedStatusCode``, the five digits of F-7."""
    if code == ACCEPTED:
        return _PENDING
    if code != COMPLETED:
        return _SPAM if code == FILTERED else _FAILED
    state = message.state
    if state in _NEVER_SENT:
        return _FAILED
    if message.registered_delivery:
        if state == MessageState.DELIVERED:
            return _DELIVERED
        if state == MessageState.ACCEPTED:
            return _CARRIER_ACCEPTED
    return _SENT
