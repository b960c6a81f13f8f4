"""The fixed words of MM4 headers (``spec/mm4.md`` §3.1): how we write them, and how others do."""

from enum import StrEnum

VERSION = "6.3.0"  # what we write


class MessageType(StrEnum):
    """``X-Mms-Message-Type``: the six PDUs."""

    FORWARD_REQ = "MM4_forward.REQ"
    FORWARD_RES = "MM4_forward.RES"
    DELIVERY_REPORT_REQ = "MM4_delivery_report.REQ"
    DELIVERY_REPORT_RES = "MM4_delivery_report.RES"
    READ_REPLY_REPORT_REQ = "MM4_read_reply_report.REQ"
    READ_REPLY_REPORT_RES = "MM4_read_reply_report.RES"


RESPONSE_TO = {
    MessageType.FORWARD_REQ: MessageType.FORWARD_RES,
    MessageType.DELIVERY_REPORT_REQ: MessageType.DELIVERY_REPORT_RES,
    MessageType.READ_REPLY_REPORT_REQ: MessageType.READ_REPLY_REPORT_RES,
}


class RequestStatus(StrEnum):
    """``X-Mms-Request-Status-Code``: what became of a request."""

    OK = "Ok"
    UNSPECIFIED = "Error-unspecified"
    SERVICE_DENIED = "Error-service-denied"
    FORMAT_CORRUPT = "Error-message-format-corrupt"
    ADDRESS_UNRESOLVED = "Error-sending-address-unresolved"
    MESSAGE_NOT_FOUND = "Error-message-not-found"
    NETWORK_PROBLEM = "Error-network-problem"
    CONTENT_NOT_ACCEPTED = "Error-content-not-accepted"
    UNSUPPORTED_MESSAGE = "Error-unsupported-message"

    @property
    def temporary(self) -> bool:
        """True if the same request may succeed later (``spec/mm4.md`` §4, Retransmission)."""
        return self in (RequestStatus.UNSPECIFIED, RequestStatus.NETWORK_PROBLEM)


class Status(StrEnum):
    """``X-Mms-MM-Status-Code``: what became of the message for one recipient.

    ``UNREACHABLE`` is of no standard, and is seen.
    """

    EXPIRED = "Expired"
    RETRIEVED = "Retrieved"
    REJECTED = "Rejected"
    DEFERRED = "Deferred"
    INDETERMINATE = "Indeterminate"
    FORWARDED = "Forwarded"
    UNRECOGNISED = "Unrecognised"
    UNREACHABLE = "Unreachable"


class Extension(StrEnum):
    """``X-Mms-MM-Status-Extension`` (Release 6): who rejected."""

    BY_RECIPIENT = "Rejection-By-MMS-Recipient"
    BY_OTHER_RS = "Rejection-by-Other-RS"


class ReadStatus(StrEnum):
    """``X-Mms-Read-Status``."""

    READ = "Read"
    DELETED = "Deleted without being read"


class Class(StrEnum):
    """``X-Mms-Message-Class``."""

    PERSONAL = "Personal"
    ADVERTISEMENT = "Advertisement"
    INFORMATIONAL = "Informational"
    AUTO = "Auto"


class Priority(StrEnum):
    """``X-Mms-Priority``."""

    LOW = "Low"
    NORMAL = "Normal"
    HIGH = "High"


class Visibility(StrEnum):
    """``X-Mms-Sender-Visibility``."""

    SHOW = "Show"
    HIDE = "Hide"


def word(words: type[StrEnum], text: str) -> StrEnum | None:
    """The word that ``text`` is, whatever its case; None if it is none of them."""
    return _TABLES[words].get(" ".join(text.split()).lower())


def request_status(text: str) -> RequestStatus:
    """A request's status as a peer wrote it; a word that is none of MM4 is an error of no kind.

    MM1's words of later releases (``Error-transient-network-problem``) are read as what they say.
    """
    plain = text.strip().lower()
    for kind, general in (
        ("error-transient-", RequestStatus.NETWORK_PROBLEM),
        ("error-permanent-", RequestStatus.SERVICE_DENIED),
    ):
        if plain.startswith(kind):
            found = word(RequestStatus, "error-" + plain.removeprefix(kind))
            same = isinstance(found, RequestStatus) and (
                found.temporary == (general is RequestStatus.NETWORK_PROBLEM)
            )
            return RequestStatus(found) if found and same else general
    found = word(RequestStatus, plain)
    return RequestStatus(found) if found else RequestStatus.UNSPECIFIED


def status(text: str) -> Status:
    """A message's status as a peer wrote it; an unknown word is ``Indeterminate`` (ruling 29)."""
    found = word(Status, text.replace("ized", "ised").replace("IZED", "ISED"))
    return Status(found) if found else Status.INDETERMINATE


def read_status(text: str) -> ReadStatus | None:
    """A read status as a peer wrote it, with blanks or hyphens; None if it is none."""
    plain = text.replace("-", " ")
    found = word(ReadStatus, "Deleted without being read" if plain.lower() == "deleted" else plain)
    return ReadStatus(found) if found else None


_TABLES: dict[type[StrEnum], dict[str, StrEnum]] = {
    words: {member.lower(): member for member in words}
    for words in (
        MessageType,
        RequestStatus,
        Status,
        Extension,
        ReadStatus,
        Class,
        Priority,
        Visibility,
    )
}
