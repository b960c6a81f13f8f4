"""What becomes of a request and of a message: the sender's states, duplicates, loops, and how MM4's
words and the gateway's states stand for each other (``spec/mm4.md`` §4 and §8).

A message for a peer is *queued* until the peer's SMTP server has taken its mail, *mailed* until the
peer's MMSC has answered it, *accepted* until a report says what became of it. ``TABLE`` has every
event in every state; which event it is, the policy and the clock decide in ``step``.
"""

from collections.abc import Iterable
from enum import Enum
from hashlib import sha256

from attrs import define, field, frozen

from smsgw.message import MessageState, Multimedia
from smsgw.mm4.pdus import DeliveryReportReq, ForwardReq, Response
from smsgw.mm4.words import Extension, RequestStatus, Status
from smsgw.refusals import Reason

KEPT_MS = 7 * 86_400_000  # how long the keys of duplicates are kept
MAX_HOPS = 30  # Received lines
FORWARD_LIMIT = 10  # default of X-Mms-Forward-Counter
LIFETIME_MS = 72 * 3_600_000  # of a message whose sender gave no X-Mms-Expiry


class Phase(Enum):
    """Where a message for a peer stands."""

    QUEUED = "queued"
    MAILED = "mailed"  # SMTP 250, no response yet
    ACCEPTED = "accepted"
    UNANSWERED = "unanswered"  # no response, and no repeats left
    REPORTED = "reported"
    REJECTED = "rejected"
    EXPIRED = "expired"


class Event(Enum):
    """What happens to it."""

    TAKEN = "SMTP 250"
    TEMPORARY = "no TCP, no banner, SMTP 4xx"
    PERMANENT = "SMTP 5xx"
    OK = "response Ok"
    TEMPORARY_ERROR = "response with a temporary error"
    ERROR = "response with another error"
    SILENCE = "no response in time"
    LAST_SILENCE = "no response to the last repeat"
    INTERIM = "report Deferred or Forwarded"
    REPORT = "report of another status"
    EXPIRY = "lifetime over"


class Act(Enum):
    """What is to be done about it."""

    NOTHING = "nothing"
    AWAIT = "await the response"
    RETRY = "retry later, same ids"
    REPEAT = "repeat now, same ids"
    ACKNOWLEDGE = "acknowledged by the carrier"
    REJECT = "REJECTED"
    GIVE_UP = "UNKNOWN"
    EXPIRE = "EXPIRED"
    INTERIM = "the report's state, not final"
    REPORT = "the report's state"


_NOTHING: dict[tuple[Phase, Event], tuple[Phase, Act]] = {
    (phase, event): (phase, Act.NOTHING) for phase in Phase for event in Event
}
TABLE: dict[tuple[Phase, Event], tuple[Phase, Act]] = {
    **_NOTHING,
    (Phase.QUEUED, Event.TAKEN): (Phase.MAILED, Act.AWAIT),
    (Phase.QUEUED, Event.TEMPORARY): (Phase.QUEUED, Act.RETRY),
    (Phase.QUEUED, Event.PERMANENT): (Phase.REJECTED, Act.REJECT),
    # A response or report to what was mailed before, or overtaking the SMTP answer.
    (Phase.QUEUED, Event.OK): (Phase.ACCEPTED, Act.ACKNOWLEDGE),
    (Phase.QUEUED, Event.ERROR): (Phase.REJECTED, Act.REJECT),
    (Phase.QUEUED, Event.INTERIM): (Phase.ACCEPTED, Act.INTERIM),
    (Phase.QUEUED, Event.REPORT): (Phase.REPORTED, Act.REPORT),
    (Phase.QUEUED, Event.EXPIRY): (Phase.EXPIRED, Act.EXPIRE),
    (Phase.MAILED, Event.OK): (Phase.ACCEPTED, Act.ACKNOWLEDGE),
    (Phase.MAILED, Event.TEMPORARY_ERROR): (Phase.QUEUED, Act.RETRY),
    (Phase.MAILED, Event.ERROR): (Phase.REJECTED, Act.REJECT),
    (Phase.MAILED, Event.SILENCE): (Phase.QUEUED, Act.REPEAT),
    (Phase.MAILED, Event.LAST_SILENCE): (Phase.UNANSWERED, Act.GIVE_UP),
    (Phase.MAILED, Event.INTERIM): (Phase.ACCEPTED, Act.INTERIM),
    (Phase.MAILED, Event.REPORT): (Phase.REPORTED, Act.REPORT),
    (Phase.ACCEPTED, Event.INTERIM): (Phase.ACCEPTED, Act.INTERIM),
    (Phase.ACCEPTED, Event.REPORT): (Phase.REPORTED, Act.REPORT),
    # UNKNOWN is not final: what comes late still counts.
    (Phase.UNANSWERED, Event.OK): (Phase.ACCEPTED, Act.ACKNOWLEDGE),
    (Phase.UNANSWERED, Event.ERROR): (Phase.REJECTED, Act.REJECT),
    (Phase.UNANSWERED, Event.INTERIM): (Phase.ACCEPTED, Act.INTERIM),
    (Phase.UNANSWERED, Event.REPORT): (Phase.REPORTED, Act.REPORT),
}
FINAL = frozenset({Phase.REPORTED, Phase.REJECTED, Phase.EXPIRED})


@frozen
class Policy:
    """How a peer is treated: the keys of its carrier. Times are seconds."""

    ack: bool = True  # we ask for responses (ruling 29)
    response_timeout_s: int = 600
    repeats: int = 3
    # Pauses before each retry; the last one stands for all that follow.
    retry_s: tuple[int, ...] = (60, 300, 900, 1800, 3600)
    response_is_delivery: bool = False  # some peers send no reports


# How ``Sending.attempts`` is made up.
_MOST = (1 << 9) - 1
_REPEATS = 9
_MOST_REPEATS = (1 << 5) - 1
_MAILED = 1 << 14


@define
class Sending:
    """The state of one message for one peer; it is kept in the store by whoever calls ``step``."""

    phase: Phase = Phase.QUEUED
    retries: int = 0
    repeats: int = 0

    @classmethod
    def of(cls, attempts: int) -> "Sending":
        """What ``attempts`` was made of."""
        phase = Phase.MAILED if attempts & _MAILED else Phase.QUEUED
        return cls(phase, attempts & _MOST, attempts >> _REPEATS & _MOST_REPEATS)

    @property
    def attempts(self) -> int:
        """It as the attempt count of a queue entry, 15 bits; phases that a queue does not know are
        lost, and so are retries after the 511th."""
        mailed = _MAILED if self.phase is Phase.MAILED else 0
        repeats = min(self.repeats, _MOST_REPEATS) << _REPEATS
        return mailed | repeats | min(self.retries, _MOST)


@frozen
class Step:
    """What to do, and when to look again (ms; 0 = nothing is awaited that needs a clock)."""

    act: Act
    due: int = 0


def step(sending: Sending, event: Event, now: int, until: int, policy: Policy) -> Step:
    """Moves ``sending`` on by ``event``; the act and its due time. ``until`` (ms) is the end of the
    message's lifetime."""
    event = _meant(sending, event, now, until, policy)
    sending.phase, act = TABLE[sending.phase, event]
    if act is Act.AWAIT:
        return Step(act, now + policy.response_timeout_s * 1000)
    if act is Act.REPEAT:
        sending.repeats += 1
        return Step(act, now)
    if act is Act.RETRY:
        pause = policy.retry_s[min(sending.retries, len(policy.retry_s) - 1)]
        sending.retries += 1
        return Step(act, min(now + pause * 1000, until))
    return Step(act)


def _meant(sending: Sending, event: Event, now: int, until: int, policy: Policy) -> Event:
    """The event that this one is by policy and clock."""
    if event is Event.TAKEN and not policy.ack:
        event = Event.OK  # mailed counts as accepted
    if event is Event.OK and policy.response_is_delivery:
        return Event.REPORT
    over = now >= until
    if event is Event.TEMPORARY and over and sending.phase is Phase.QUEUED:
        return Event.EXPIRY
    if event is Event.TEMPORARY_ERROR and over and sending.phase is Phase.MAILED:
        return Event.ERROR
    if event is Event.SILENCE and (over or sending.repeats >= policy.repeats):
        return Event.LAST_SILENCE
    return event


def answered(response: Response) -> Event:
    """The event that a response is."""
    if response.status is RequestStatus.OK:
        return Event.OK
    return Event.TEMPORARY_ERROR if response.status.temporary else Event.ERROR


def reported(report: DeliveryReportReq) -> Event:
    """The event that a delivery report is."""
    return Event.INTERIM if report.status in _INTERIM else Event.REPORT


_INTERIM = (Status.DEFERRED, Status.FORWARDED)
_STATES = {
    Status.RETRIEVED: MessageState.DELIVERED,
    Status.EXPIRED: MessageState.EXPIRED,
    Status.REJECTED: MessageState.REJECTED,
    Status.DEFERRED: MessageState.ENROUTE,
    Status.FORWARDED: MessageState.ENROUTE,
    Status.INDETERMINATE: MessageState.UNKNOWN,
    Status.UNRECOGNISED: MessageState.UNKNOWN,
    Status.UNREACHABLE: MessageState.UNDELIVERABLE,  # ruling 29
}


def state_of(status: Status, extension: str = "") -> MessageState:
    """The state that a peer's report gives a message (``spec/mm4.md`` §8)."""
    if status is Status.REJECTED and extension == Extension.BY_OTHER_RS:
        return MessageState.UNDELIVERABLE
    return _STATES[status]


@frozen
class Outcome:
    """What our own report says of a message."""

    status: Status
    extension: str = ""


_OUTCOMES = {
    MessageState.DELIVERED: Outcome(Status.RETRIEVED),
    MessageState.EXPIRED: Outcome(Status.EXPIRED),
    MessageState.REJECTED: Outcome(Status.REJECTED),
    MessageState.UNDELIVERABLE: Outcome(Status.REJECTED, Extension.BY_OTHER_RS),
    MessageState.DELETED: Outcome(Status.REJECTED),
    MessageState.SKIPPED: Outcome(Status.REJECTED),
    MessageState.UNKNOWN: Outcome(Status.INDETERMINATE),
    MessageState.SCHEDULED: Outcome(Status.DEFERRED),
    MessageState.ENROUTE: Outcome(Status.DEFERRED),
    MessageState.ACCEPTED: Outcome(Status.DEFERRED),
}


def outcome_of(state: MessageState) -> Outcome:
    """What a report of ours says of a message in this state (ruling 17): ``state_of`` gives every
    state back that MM4 has a word for."""
    return _OUTCOMES[state]


def report_wanted(multimedia: Multimedia, state: MessageState) -> bool:
    """True if the sender or its system asked for a report, and the state is one to report: final,
    or UNKNOWN after which nothing is tried any more."""
    asked = multimedia.delivery_report or multimedia.relay_report
    return asked and (state.final or state is MessageState.UNKNOWN)


def refused(reason: Reason, detail: str = "") -> tuple[RequestStatus, str]:
    """Request status and ``X-Mms-Status-Text`` of a refusal: code and text as REST has them."""
    answer = reason.answer
    text = f"{answer.rest} {answer.text}"
    return RequestStatus(answer.mm4), f"{text}: {detail}" if detail else text


def loops(request: ForwardReq, hops: int, limit: int = FORWARD_LIMIT) -> str:
    """Why a message goes round in circles, "" if it does not. ``hops`` are its Received lines."""
    if hops > MAX_HOPS:
        return f"more than {MAX_HOPS} Received lines"
    if request.forward_counter > limit:
        return f"forwarded more than {limit} times"
    return ""


def next_counter(received: int) -> int:
    """The forward counter that is written: one more than the one received (ruling 19)."""
    return received + 1


def delivery_key(peer: str, message_id: str, recipient: str) -> bytes:
    """What tells a message for one recipient from all others of ``peer`` (ruling 16): 16 octets."""
    return _key(b"delivery", peer, message_id, recipient)


def answer_key(peer: str, transaction_id: str) -> bytes:
    """Under which the answer to a transaction is kept, to be given again to a repeat."""
    return _key(b"answer", peer, transaction_id)


def _key(kind: bytes, *values: str) -> bytes:
    digest = sha256(kind)
    for value in values:
        octets = value.encode("utf-8", "surrogatepass")
        # With its length, so that no two lists of values are written alike.
        digest.update(len(octets).to_bytes(4, "big") + octets)
    return digest.digest()[:16]


@define
class Sorted:
    """The recipients of a request: those it is new for, and those who have it already."""

    fresh: list[str] = field(factory=list)
    repeated: list[str] = field(factory=list)


def sort(
    peer: str, message_id: str, recipients: Iterable[str], known: "frozenset[bytes] | set[bytes]"
) -> Sorted:
    """Tells new recipients from repeated ones by the keys that are ``known``; one that is named
    twice in the request is one."""
    found = Sorted()
    seen: set[str] = set()
    for recipient in recipients:
        if recipient in seen:
            continue
        seen.add(recipient)
        repeated = delivery_key(peer, message_id, recipient) in known
        (found.repeated if repeated else found.fresh).append(recipient)
    return found
