"""Every reason to refuse a message or a login, each with its answer in every protocol (I4)."""

from enum import Enum

from attrs import define, frozen

from smsgw.message import Message


@frozen
class Answer:
    """How one reason is said: SMPP statuses by profile, REST code and HTTP status, SMTP reply, LINK
    code (the ``err`` of receipts), websmpp's error, and the text of ``sms.cgi`` after ``ERR:``.

    ``smpp`` is for the standard profile (``spec/aerialink.md`` E-D15, E-D16), ``smpp_link`` for
    link and websmpp (``spec/link-smpp.md`` 4.4; ruling 4). ``rest`` and ``http`` are those of
    ``spec/aerialink.md`` 4.1, ``websmpp`` of ``spec/ams-websmpp.md`` 2.6, ``smscgi`` of
    ``spec/aaisp.md`` A-D34, ``mm4`` is the request status of ``spec/mm4.md`` §3.1.
    """

    smpp: int
    smpp_link: int
    rest: int
    http: int
    smtp: str
    link: int
    websmpp: str
    smscgi: str
    text: str
    temporary: bool = False
    mm4: str = "Error-service-denied"


class Reason(Enum):
    """Why a message is not accepted."""

    # fmt: off
    # Processed but not sent: REST answers 200, and the transaction is kept.
    NO_ROUTE = Answer(
        0x432, 0x0B, 50, 200, "550 5.4.4", 206, "HTTP23", "No route", "Not Sent",
        mm4="Error-sending-address-unresolved",
    )
    BLOCKED = Answer(
        0x433, 0x0B, 51, 200, "550 5.7.1", 129, "HTTP09",
        "Destination blocked", "Destination Blocked",
    )
    OPTED_OUT = Answer(0x434, 0x0B, 52, 200, "550 5.7.1", 129, "HTTP09", "Opted out", "Opted Out")
    FILTERED = Answer(
        0x437, 0x45, 55, 200, "550 5.7.1", 137, "HTTP03", "Filtered", "Filtered",
        mm4="Error-content-not-accepted",
    )
    DUPLICATE = Answer(0x437, 0x45, 55, 200, "550 5.7.1", 207, "HTTP03", "Duplicate", "Filtered")

    # Who asks.
    CREDENTIALS_MISSING = Answer(
        0x0E, 0x0E, 1001, 401, "530 5.7.0", 907, "HTTP02",
        "Authentication failed", "Credentials missing",
    )
    UNKNOWN_LOGIN = Answer(
        0x0F, 0x0F, 1002, 401, "535 5.7.8", 907, "HTTP05",
        "Authentication failed", "Credentials invalid",
    )
    WRONG_PASSWORD = Answer(
        0x0E, 0x0E, 1002, 401, "535 5.7.8", 907, "HTTP04",
        "Authentication failed", "Credentials invalid",
    )
    ACCOUNT_INACTIVE = Answer(
        0x0D, 0x0D, 1003, 403, "535 5.7.8", 904, "HTTP11",
        "Authentication failed", "Account inactive",
    )
    ACCOUNT_EXPIRED = Answer(
        0x0D, 0x0D, 1003, 403, "535 5.7.8", 904, "HTTP26",
        "Authentication failed", "Account inactive",
    )
    ADDRESS_NOT_ALLOWED = Answer(
        0x0D, 0x0D, 1004, 403, "554 5.7.1", 904, "HTTP15",
        "Not authorised from this address", "Address not allowed",
    )
    PERMISSION_DENIED = Answer(
        0x0D, 0x0D, 1005, 403, "550 5.7.1", 904, "HTTP15",
        "Authentication failed", "Permission denied",
    )
    TOO_MANY_BINDS = Answer(
        0x05, 0x05, 1030, 403, "421 4.7.0", 949, "HTTP15",
        "Too many requests", "Account limit", temporary=True,
        mm4="Error-network-problem",
    )
    TOO_MANY_LOGINS = Answer(
        0x0D, 0x0D, 1032, 429, "421 4.7.0", 949, "HTTP15",
        "Too many requests", "Throughput exceeded", temporary=True,
        mm4="Error-network-problem",
    )

    # What is asked.
    BAD_REQUEST = Answer(
        0x08, 0x08, 1010, 400, "501 5.5.2", 902, "HTTP16",
        "Invalid request", "Bad request",
        mm4="Error-message-format-corrupt",
    )
    PARAMETER_MISSING = Answer(
        0xC3, 0xC3, 1011, 400, "501 5.5.4", 902, "HTTP02",
        "No message", "Parameter missing",
        mm4="Error-message-format-corrupt",
    )
    PARAMETER_INVALID = Answer(
        0x45, 0x45, 1012, 400, "501 5.5.4", 902, "HTTP02",
        "Invalid request", "Parameter invalid",
        mm4="Error-message-format-corrupt",
    )
    UNSUPPORTED_FORMAT = Answer(
        0x45, 0x45, 1013, 415, "554 5.6.1", 923, "HTTP16",
        "Invalid request", "Unsupported format",
        mm4="Error-content-not-accepted",
    )
    TOO_LONG = Answer(
        0x01, 0x01, 1014, 400, "552 5.3.4", 202, "HTTP10",
        "Message too long", "Message too long",
        mm4="Error-content-not-accepted",
    )
    TOO_LARGE = Answer(
        0x01, 0x01, 1014, 413, "552 5.3.4", 202, "HTTP16",
        "Message too long", "Message too long",
        mm4="Error-content-not-accepted",
    )
    METHOD_NOT_ALLOWED = Answer(
        0x03, 0x03, 1015, 405, "502 5.5.1", 903, "HTTP16",
        "Invalid request", "Method not allowed",
        mm4="Error-unsupported-message",
    )
    BAD_CODING = Answer(
        0x45, 0x45, 1012, 400, "554 5.6.1", 252, "HTTP07",
        "Invalid UTF-8", "Parameter invalid",
        mm4="Error-message-format-corrupt",
    )
    BAD_DATA_CODING = Answer(
        0x45, 0x45, 1012, 400, "554 5.6.1", 252, "HTTP19",
        "Invalid request", "Parameter invalid",
        mm4="Error-message-format-corrupt",
    )
    # No text, or hex digits that are no whole characters.
    BAD_LENGTH = Answer(
        0x01, 0x01, 1012, 400, "501 5.5.4", 202, "HTTP17",
        "No message", "Parameter invalid",
        mm4="Error-message-format-corrupt",
    )
    BAD_ESM_CLASS = Answer(
        0x43, 0x43, 1012, 400, "501 5.5.4", 941, "HTTP20",
        "Invalid request", "Parameter invalid",
        mm4="Error-message-format-corrupt",
    )
    BAD_PRIORITY = Answer(
        0x06, 0x06, 1012, 400, "501 5.5.4", 902, "HTTP16",
        "Invalid request", "Parameter invalid",
        mm4="Error-message-format-corrupt",
    )
    BAD_REGISTERED_DELIVERY = Answer(
        0x07, 0x07, 1012, 400, "501 5.5.4", 902, "HTTP16",
        "Invalid request", "Parameter invalid",
        mm4="Error-message-format-corrupt",
    )
    BAD_REPLACE_FLAG = Answer(
        0x54, 0x54, 1012, 400, "501 5.5.4", 902, "HTTP16",
        "Invalid request", "Parameter invalid",
        mm4="Error-message-format-corrupt",
    )
    REPLACE_NOT_SUPPORTED = Answer(
        0x42, 0x42, 1033, 403, "502 5.5.1", 940, "HTTP16",
        "Invalid request", "Service not enabled",
        mm4="Error-unsupported-message",
    )
    UNKNOWN_DEFAULT_MESSAGE = Answer(
        0x63, 0x63, 1012, 400, "501 5.5.4", 921, "HTTP16",
        "Invalid request", "Parameter invalid",
        mm4="Error-message-format-corrupt",
    )
    # Ruling 6: short_message together with message_payload.
    TEXT_TWICE = Answer(
        0xC1, 0xC1, 1012, 400, "501 5.5.4", 902, "HTTP16",
        "Invalid request", "Parameter invalid",
        mm4="Error-message-format-corrupt",
    )
    BAD_UDH = Answer(
        0x45, 0x45, 1012, 400, "501 5.5.4", 203, "HTTP21",
        "Invalid UDH", "Parameter invalid",
        mm4="Error-message-format-corrupt",
    )
    BAD_SCHEDULE = Answer(
        0x61, 0x61, 1012, 400, "501 5.5.4", 947, "HTTP22",
        "Invalid sendtime", "Parameter invalid",
        mm4="Error-message-format-corrupt",
    )
    BAD_VALIDITY = Answer(
        0x62, 0x62, 1012, 400, "501 5.5.4", 948, "HTTP16",
        "Invalid request", "Parameter invalid",
        mm4="Error-message-format-corrupt",
    )
    BAD_SOURCE = Answer(
        0x0A, 0x0A, 1021, 400, "553 5.1.7", 939, "HTTP06",
        "Invalid oa", "Invalid source",
        mm4="Error-message-format-corrupt",
    )
    BAD_SOURCE_TON = Answer(
        0x48, 0x48, 1021, 400, "553 5.1.7", 943, "HTTP06",
        "Invalid oa", "Invalid source",
        mm4="Error-message-format-corrupt",
    )
    SOURCE_NOT_PROVISIONED = Answer(
        0x0A, 0x0A, 1022, 400, "553 5.7.1", 939, "HTTP06",
        "Invalid oa", "Source not provisioned",
    )
    BAD_DESTINATION = Answer(
        0x0B, 0x0B, 1023, 400, "553 5.1.3", 206, "HTTP09",
        "Invalid da", "Invalid destination",
        mm4="Error-sending-address-unresolved",
    )
    BAD_DESTINATION_TON = Answer(
        0x50, 0x50, 1023, 400, "553 5.1.3", 945, "HTTP09",
        "Invalid da", "Invalid destination",
        mm4="Error-sending-address-unresolved",
    )
    TOO_MANY_DESTINATIONS = Answer(
        0x33, 0x33, 1024, 400, "452 4.5.3", 949, "HTTP24",
        "Only one destination allowed", "Too many destinations",
    )
    BAD_MESSAGE_ID = Answer(
        0x0C, 0x0C, 1012, 400, "501 5.5.4", 927, "HTTP08",
        "Unknown message", "Parameter invalid",
        mm4="Error-message-not-found",
    )
    UNKNOWN_MESSAGE = Answer(
        0x0C, 0x0C, 1041, 404, "550 5.1.1", 927, "HTTP25",
        "Unknown message", "Unknown transaction",
        mm4="Error-message-not-found",
    )
    # What was asked of a message that is no longer only here, or was not sent by who asks.
    CANCEL_FAILED = Answer(
        0x11, 0x11, 1043, 409, "550 5.7.1", 927, "HTTP25",
        "Unknown message", "Conflict",
    )
    REPLACE_FAILED = Answer(
        0x13, 0x13, 1043, 409, "550 5.7.1", 940, "HTTP25",
        "Unknown message", "Conflict",
    )
    QUERY_FAILED = Answer(
        0x67, 0x67, 1043, 409, "550 5.7.1", 927, "HTTP25",
        "Unknown message", "Conflict",
    )
    # Lists of numbers, and whatever else a name or a key stands for already.
    UNKNOWN_LIST = Answer(
        0x34, 0x34, 1042, 404, "550 5.1.1", 927, "HTTP08",
        "Unknown message", "Unknown list or member",
        mm4="Error-message-not-found",
    )
    CONFLICT = Answer(
        0x67, 0x67, 1043, 409, "550 5.7.1", 940, "HTTP16",
        "Invalid request", "Conflict",
    )
    NOT_FOUND = Answer(
        0x03, 0x03, 1040, 404, "550 5.1.1", 903, "HTTP01",
        "Invalid request", "Resource error",
        mm4="Error-message-not-found",
    )

    # What the account may do.
    NO_CREDIT = Answer(
        0x45, 0x45, 1031, 402, "552 5.7.1", 128, "HTTP18",
        "Insufficient credit", "Insufficient credit",
    )
    QUOTA_EXCEEDED = Answer(
        0x45, 0x45, 1030, 403, "452 4.7.1", 949, "HTTP18",
        "Too many requests", "Account limit",
    )
    NOT_ENABLED = Answer(
        0x45, 0x45, 1033, 403, "550 5.7.1", 904, "HTTP15",
        "Authentication failed", "Service not enabled",
    )
    THROTTLED = Answer(
        0x58, 0x58, 1032, 429, "452 4.3.2", 949, "HTTP03",
        "Too many requests", "Throughput exceeded", temporary=True,
        mm4="Error-network-problem",
    )
    QUEUE_FULL = Answer(
        0x14, 0x14, 1051, 503, "452 4.3.1", 949, "HTTP03",
        "Too many requests", "Temporarily unavailable", temporary=True,
        mm4="Error-network-problem",
    )

    # What carriers say, where the answer waits for them.
    NOT_CONNECTED = Answer(
        0x08, 0x08, 1051, 503, "451 4.4.1", 254, "HTTP14",
        "Internal error", "Temporarily unavailable", temporary=True,
        mm4="Error-network-problem",
    )
    REFUSED_BY_CARRIER = Answer(
        0x45, 0x45, 1033, 403, "550 5.7.1", 904, "HTTP12",
        "No route", "Service not enabled",
    )

    # What went wrong on our side.
    NOT_READABLE = Answer(
        0x67, 0x67, 1051, 503, "451 4.3.0", 254, "HTTP13",
        "Internal error", "Temporarily unavailable", temporary=True,
        mm4="Error-network-problem",
    )
    STORE_FAILED = Answer(
        0x08, 0x08, 1051, 503, "451 4.3.0", 254, "HTTP03",
        "Internal error", "Temporarily unavailable", temporary=True,
        mm4="Error-network-problem",
    )
    SHUTTING_DOWN = Answer(
        0x08, 0x08, 1051, 503, "421 4.3.2", 254, "HTTP11",
        "Internal error", "Temporarily unavailable", temporary=True,
        mm4="Error-network-problem",
    )
    INTERNAL_ERROR = Answer(
        0x08, 0x08, 1050, 500, "451 4.3.0", 254, "HTTP03",
        "Internal error", "System error", temporary=True,
        mm4="Error-network-problem",
    )
    # fmt: on

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    # Several reasons share one answer; without this, Enum would make the second an alias of the
    # first.
    def __new__(cls, answer: Answer) -> "Reason":
        """Numbers the members."""
        member = object.__new__(cls)
        member._value_ = len(cls.__members__)
        return member


@define
class Refusal:
    """A message not accepted: the reason, and what a person needs to mend it (never secrets, never
    text)."""

    reason: Reason
    detail: str = ""
    message: Message | None = None  # the transaction that is kept of it, if one is
