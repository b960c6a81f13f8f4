"""The one shape of a message that every edge translates to and from."""

from collections.abc import Mapping
from enum import IntEnum

from attrs import define, field


class Direction(IntEnum):
    """Which way a message travels."""

    MT = 0  # from an account to a handset
    MO = 1  # from a handset to an account


class MessageState(IntEnum):
    """State of a message; the values are those of SMPP 5.0 (``spec/smpp.md`` §11)."""

    SCHEDULED = 0
    ENROUTE = 1
    DELIVERED = 2
    EXPIRED = 3
    DELETED = 4
    UNDELIVERABLE = 5
    ACCEPTED = 6
    UNKNOWN = 7
    REJECTED = 8
    SKIPPED = 9

    @property
    def stat(self) -> str:
        """The word of a receipt's ``stat:`` field, seven characters at most."""
        return _STAT[self]

    @property
    def final(self) -> bool:
        """True if nothing follows this state (ACCEPTED and UNKNOWN may be followed)."""
        return self in _FINAL


_STAT = {
    MessageState.SCHEDULED: "SCHEDLD",
    MessageState.ENROUTE: "ENROUTE",
    MessageState.DELIVERED: "DELIVRD",
    MessageState.EXPIRED: "EXPIRED",
    MessageState.DELETED: "DELETED",
    MessageState.UNDELIVERABLE: "UNDELIV",
    MessageState.ACCEPTED: "ACCEPTD",
    MessageState.UNKNOWN: "UNKNOWN",
    MessageState.REJECTED: "REJECTD",
    MessageState.SKIPPED: "SKIPPED",
}
STATE_BY_STAT = {stat: state for state, stat in _STAT.items()}
_FINAL = frozenset(
    {
        MessageState.DELIVERED,
        MessageState.EXPIRED,
        MessageState.DELETED,
        MessageState.UNDELIVERABLE,
        MessageState.REJECTED,
        MessageState.SKIPPED,
    }
)

TEXT_KEPT = 1_000  # characters of a multimedia message's text that are kept with it
UDHI = 0x40  # esm_class: short_message begins with a user data header (SMPP 3.4 §5.2.12)
REPLY_PATH = 0x80
# Numbers of ``Message.former``: this for each carrier that had the part before, and the part.
FORMER = 256
_NONE: Mapping[int, "Acknowledgement"] = {}


@define
class Address:
    """A source or destination as it stands on the wire: text, TON and NPI (SMPP 3.4 §5.2.5,
    5.2.6)."""

    text: str = ""
    ton: int = 0
    npi: int = 0


@define
class Media:
    """One part of a multimedia message; its octets are in the media store."""

    type: str  # "image/jpeg": lower case, without parameters
    name: str  # a safe file name of 1 to 64 characters (spec/mm4.md §6)
    id: str  # Content-ID without <>
    digest: str  # SHA-256 of the octets, in hex
    size: int  # octets
    charset: str = ""  # of text


@define
class Multimedia:
    """What a multimedia message has beside what every message has.

    Ids and addresses are as the sender gave them, without quotes; words are those of
    ``spec/mm4.md`` §3.1, "" where the sender gave none.
    """

    media: list[Media] = field(factory=list)
    start: str = ""  # Content-ID of the SMIL, "" if there is none
    subject: str = ""
    # The beginning of the first text part, ``TEXT_KEPT`` characters at most: what filters and words
    # are looked for in.
    text: str = ""
    message_class: str = ""  # Personal, Advertisement, Informational, Auto
    priority: str = ""  # Low, Normal, High
    visibility: str = ""  # Show, Hide
    read_reply: bool = False
    delivery_report: bool = False  # to the sender
    relay_report: bool = False  # to the sender's system only
    forward_counter: int = 0
    message_id: str = ""
    transaction_id: str = ""
    originator_system: str = ""
    previously_sent: list[str] = field(factory=list)  # "<n>, <address>"
    previously_sent_at: list[str] = field(factory=list)  # "<n>, <date>"
    to: list[str] = field(factory=list)  # mailboxes as written, of group messages too
    cc: list[str] = field(factory=list)
    extra: dict[str, str] = field(factory=dict)  # Release 6 and VASP headers that are passed on
    link: str = ""  # token of the page that shows it, "" if there is none
    expires_at: int = 0  # X-Mms-Expiry of one that a carrier brings, ms; 0 if it gave none


@define
class MailOrigin:
    """What a message keeps of the mail that it came by, for the reports about it (RFC 3461); they
    go to its ``report_to``."""

    recipient: str  # as RCPT had it
    notify: list[str] = field(factory=list)  # of "success", "failure", "delay"
    ret: str = ""  # "FULL", "HDRS"
    envelope_id: str = ""
    original: str = ""  # ORCPT, such as "rfc822;alice@example.org"
    message_id: str = ""  # without <>
    shown: list[str] = field(factory=list)  # lines of its header, unfolded


@define
class Message:
    """A short message on its journey, or a multimedia message (``kind`` "mms"), which has one part
    without octets and its content in ``multimedia``.

    An edge fills the first group; ``flow.accept`` the second; the journey the third. Either
    ``text`` is given (accept codes and splits it) or ``parts`` (an edge that speaks octets gives
    them with ``data_coding`` and ``esm_class``). Times are milliseconds since 1970 UTC, 0 where not
    set.
    """

    # What the submitter said.
    source: str
    destination: str
    text: str | None = None
    # One item for each part: the octets of short_message, with their UDH if esm_class has UDHI.
    parts: list[bytes] = field(factory=list)
    data_coding: int = 0
    esm_class: int = 0
    source_ton: int = 0
    source_npi: int = 0
    destination_ton: int = 0
    destination_npi: int = 0
    protocol_id: int = 0
    priority: int = 0
    service_type: str = ""
    registered_delivery: int = 0
    validity_ms: int = 0  # how long it may take, from acceptance; 0 = default
    schedule_at: int = 0
    flash: bool = False
    max_parts: int = 0  # more are refused, beside the account's own limit; 0 = no other
    client_reference: str | None = None
    # TLVs that travel with the message: (tag, value octets).
    tlvs: list[tuple[int, bytes]] = field(factory=list)
    interface: str = ""  # "smpp", "rest", "cli" ...
    account: str = ""
    credential: str = ""
    direction: int = 0
    tag: str = ""  # what routes may ask for: of the request, else of the credential
    kind: str = "sms"  # or "mms"
    costcentre: str = ""  # for statements, 10 characters at most (spec/aaisp.md)
    private: bool = False  # statements leave its details out
    report_to: str = ""  # URL or e-mail address that is told what became of it (``srr``)
    via: str = ""  # the number that forwarded it from handset to handset (A-R13)
    batch: int = 0  # of a submit_multi: the id that its messages have together
    exempt: bool = False  # an opt-out's own confirmation: not stopped by it (E-D14); not stored
    multimedia: Multimedia | None = None
    mailed: MailOrigin | None = None  # of a message that came as an ordinary mail

    # What the gateway decided at acceptance.
    id: int = 0
    alias: int = 0  # the 32-bit id that a 3.3 session knows it by, 0 = none (ruling 8)
    accepted_at: int = 0
    expires_at: int = 0
    route: str = ""
    carriers: list[str] = field(factory=list)  # of the route, in order: failover
    price: str = ""
    charged: int = 0  # for each part, ten-thousandths of the currency's unit
    # How long each carrier but the last has to take it, 0: as long as it is valid.
    queue_ms: int = 0
    payer: str = ""  # the account that is charged, if it is another: one above the sender's

    # Where the journey stands.
    state: int = 1  # a MessageState
    done_at: int = 0
    read_at: int = 0  # of a multimedia message: when its recipient read it, 0: nobody says so
    error: int = 0  # code of spec/link-smpp.md section 3, 0 = none
    network_error: str = ""  # as the carrier gave it
    refusal: str = ""  # name of the ``Reason`` for which it was refused and yet kept
    # Of an MO, where it goes: part number of its queue entries -> target.
    targets: list[str] = field(factory=list)
    # What carriers acknowledged: part number -> (carrier, its id, when, MessageState of the part).
    acknowledged: dict[int, "Acknowledgement"] = field(factory=dict)
    # What carriers acknowledged and then could not deliver, so that the part went to the next one;
    # a new mapping each time it changes.
    former: Mapping[int, "Acknowledgement"] = _NONE

    @property
    def carrier(self) -> str:
        """The carrier that has the message, or "" while none has acknowledged any of it."""
        return next((a.carrier for a in self.acknowledged.values() if a.taken), "")

    @property
    def carrier_at(self) -> int:
        """When carriers had acknowledged every part (CDA), 0 before."""
        taken = [a.at for a in self.acknowledged.values() if a.taken]
        return max(taken, default=0) if len(taken) == len(self.parts) else 0


@define
class Acknowledgement:
    """What a carrier said of one part: that it has it, under which id, and what became of it.

    Of a part that no carrier took, ``carrier_id`` is empty and ``state`` says why.
    """

    carrier: str
    carrier_id: str
    at: int  # ms since 1970 UTC
    state: int = 1  # a MessageState
    # The id as the carrier wrote it, if it may be asked about the part; not stored.
    given: str = ""

    @property
    def taken(self) -> bool:
        """True if the carrier accepted the part."""
        return bool(self.carrier_id) or not MessageState(self.state).final


@define
class Receipt:
    """A delivery receipt: what a carrier says became of a part, or what the gateway says of a
    message.

    ``id`` is the text that the receipt carries; times are milliseconds since 1970 UTC, 0 where
    missing.
    """

    id: str
    state: int  # a MessageState
    error: str = ""
    submitted: int = 1
    delivered: int = 0
    submit_at: int = 0
    done_at: int = 0
    text: str = ""
    intermediate: bool = False
