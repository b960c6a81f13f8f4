"""Targets: in which queue a delivery to a target waits, what it is, how it went, and when it is
tried again.

Comes from: ``inbound`` and ``settle``, which put the entries. Goes on to: ``deliver``, which gives
them to the messenger of the target's kind.
"""

from collections.abc import Iterator
from typing import Protocol
from urllib.parse import urlsplit

from attrs import frozen
from twisted.internet.defer import Deferred

from smsgw.flow.actions import targets_for
from smsgw.flow.exchange import mmsc_of
from smsgw.message import Message, MessageState
from smsgw.provisioning import Account, Number
from smsgw.provisioning.targets import Target, is_action
from smsgw.queues import Kind
from smsgw.smpp import translate

HANDOVER_MS = 72 * 3600_000  # how long a receipt or MO waits for its account (L-D10, L-D29)
MO_MS = 48 * 3600_000  # and an MO for a target that is no session (A-D13, Q-D18)
REPORT_MS = 24 * 3600_000  # and a report that a message asked for (A-D39)

_TARGET = "target:"
_CALLBACK = "callback"
_REPORT = "report "
_NOTICE = "notice"
_MMSC = "mm4"

DELIVERED = "delivered"
REFUSED = "refused"
FAILED = "failed"
GIVEN_UP = "given up"


@frozen
class Told:
    """How a delivery went: ``delivered``, ``refused`` (for good), ``failed`` (try again later),
    ``given up`` (there is no use in trying again).

    ``detail`` is for the log and the dead letter: "HTTP 404", "connection refused". It holds no
    secret.
    """

    result: str
    detail: str = ""


STOPPED = Told(FAILED, "stopping")  # it came to no end: it is delivered again after a start


@frozen
class Delivery:
    """What a messenger is to bring.

    ``event`` is "mo", "receipt" (the message has reached a final state), "progress" (a carrier has
    it, or says that it is on the way), "read" (its recipient has read it), or "notice" (the mo was
    given up).
    """

    event: str
    message: Message
    target: Target
    account: Account
    number: Number | None  # of an mo, the rule that it came by
    entry_id: int  # unique, and the same at every retry
    attempts: int  # how often it failed before
    # Of an mo or a notice: which of the message's targets. Of a report: its code
    # (``text.reports``), 0 if it is that of the message's state.
    part: int = 0


class Messenger(Protocol):
    """Brings deliveries to targets of one kind: a callback, a mail, a post."""

    def deliver(self, delivery: Delivery) -> Deferred[Told]:
        """Fires with how it went. What fails instead is a fault of ours, and taken for
        ``failed``."""

    def stop(self) -> Deferred[None]:
        """Fires when nothing is under way any more."""


def account_queue(account: str) -> str:
    """Name of the queue of what waits for the sessions of an account."""
    return "account:" + account


def mo_queue(account: str, target: Target) -> str:
    """Name of the queue of the MO that wait for a target: each target of an account has its own, so
    that a slow one holds up no other (I5)."""
    return account_queue(account) if target.kind == "smpp" else f"{_TARGET}{account} {target.text}"


def targets_of(account: str) -> str:
    """How the names of the queues of an account's targets begin."""
    return f"{_TARGET}{account} "


def target_of(queue: str) -> str:
    """The ``Target.text`` of a queue of MO for a target that is no session."""
    return queue.partition(" ")[2]


def is_target_queue(queue: str) -> bool:
    """True if what waits there goes to a target that is no session."""
    return queue.startswith(_TARGET)


def is_callback(queue: str) -> bool:
    """True if receipts wait there for their account's callback."""
    return queue.partition(" ")[2] == _CALLBACK


def is_mmsc(queue: str) -> bool:
    """True if what waits there goes to the MMSC of its account."""
    return queue.partition(" ")[2] == _MMSC


def is_report(queue: str) -> bool:
    """True if reports wait there that messages asked for (``report_to``)."""
    return queue.partition(" ")[2].startswith(_REPORT)


def failed_part(message: Message) -> bool:
    """True if a part of a message of several has come to nothing: its report is final then, and
    nothing follows it (A-D40)."""
    return len(message.parts) > 1 and bool(failed_parts(message))


def failed_parts(message: Message) -> list[int]:
    """The numbers of the parts that have come to nothing."""
    return [
        part
        for part, one in message.acknowledged.items()
        if one.state != MessageState.DELIVERED and MessageState(one.state).final
    ]


def notice_queue(account: str) -> str:
    """Name of the queue of what the contact of an account is told (Q-D18)."""
    return f"{_TARGET}{account} {_NOTICE}"


def action_of(queue: str) -> str:
    """The ``Target.text`` of a queue of a route's action, "" of others."""
    text = queue.partition(" ")[2]
    return text if is_action(text) else ""


def account_of(queue: str) -> str:
    """The account of a queue that is of one, "" for others."""
    kind, _, rest = queue.partition(":")
    return rest.partition(" ")[0] if kind in ("account", "target") else ""


def told(
    message: Message, account: Account | None, kind: Kind = Kind.RECEIPT
) -> Iterator[tuple[str, int]]:
    """Of a message that came by an edge without a session, the queues of what its account is to be
    told of it, and how long (ms) that waits there. ``kind`` is RECEIPT, PROGRESS or READ."""
    if account is not None and _asks_by_mm4(message, account):
        if kind == Kind.RECEIPT or (kind == Kind.READ and _awaits_reading(message)):
            yield f"{_TARGET}{message.account} {_MMSC}", HANDOVER_MS
    elif account is not None and message.registered_delivery:
        routed = targets_for(message, account, kind) if account.route else None
        if routed is not None:
            for target in routed:
                yield f"{_TARGET}{message.account} {target.text}", HANDOVER_MS
        elif account.callback:
            yield f"{_TARGET}{message.account} {_CALLBACK}", HANDOVER_MS
    if message.report_to and kind != Kind.READ and not _says_no_progress(message, kind):
        # Every message may name an address of its own, but there are not so many hosts.
        host = _host(message.report_to)
        yield f"{_TARGET}{message.account} {_REPORT}{host}", REPORT_MS


def _says_no_progress(message: Message, kind: Kind) -> bool:
    """True for progress that whoever mailed the message did not ask about (RFC 3461)."""
    mailed = message.mailed
    return kind == Kind.PROGRESS and mailed is not None and "delay" not in mailed.notify


def _asks_by_mm4(message: Message, account: Account) -> bool:
    """True if the sender of a multimedia message is told by MM4 what became of it: the MMSC that
    asked, unless the account has none and is told otherwise."""
    kept = message.multimedia
    if kept is None or message.interface != "mm4":
        return False
    return bool(mmsc_of(account)) or not (account.callback or account.route)


def _awaits_reading(message: Message) -> bool:
    return message.multimedia is not None and message.multimedia.read_reply


def tells_progress(message: Message) -> bool:
    """True if somebody is to be told that a carrier has the message."""
    if message.interface == "smpp":
        return translate.wants_progress(message)
    # Callbacks and reports are told of it always (E-R9, A-D40).
    return bool(message.registered_delivery)


def _host(address: str) -> str:
    if "://" not in address:
        return address.rpartition("@")[2]
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


@frozen
class Patience:
    """When a delivery is tried again: seconds to wait after each try, the last one again and
    again."""

    waits_s: tuple[int, ...]
    tries: int = 0  # in all; 0: until the entry expires

    def due(self, attempts: int, now: int) -> int | None:
        """When (ms) an entry is due again that was tried ``attempts`` times; None: no more."""
        if self.tries and attempts >= self.tries:
            return None
        return now + self.waits_s[min(attempts, len(self.waits_s)) - 1] * 1000


_AAISP = Patience((30, 120, 600, 3600, 21_600))  # A-D13
_MM4 = Patience((60, 300, 900, 1800, 3600))  # spec/mm4.md §4
_AQL = Patience((60, 300, 900, 3600, 10_800, 21_600))  # Q-D18


def patience_with(target: Target, retry_count: int, retry_interval_s: int) -> Patience:
    """The schedule of a target's dialect; of ``aerialink`` that of its settings (E-D17)."""
    if target.kind == "mm4":
        return _MM4
    if target.dialect == "aerialink":
        return Patience((retry_interval_s,), retry_count + 1)
    return _AQL if target.dialect == "aql" else _AAISP
