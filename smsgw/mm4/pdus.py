"""The six PDUs of MM4 as values (``spec/mm4.md`` §3). Dates are milliseconds since 1970 UTC."""

from typing import ClassVar

from attrs import define, field

from smsgw.mm4 import words
from smsgw.mm4.fields import Expiry
from smsgw.mm4.words import MessageType


@define(kw_only=True)
class Pdu:
    """What all six have. An id that the peer left out is ""."""

    TYPE: ClassVar[MessageType]

    version: str = words.VERSION
    transaction_id: str = ""
    message_id: str = ""  # of the multimedia message, as its originator's system gave it
    sender: str = ""  # system address of who sends this mail
    date: int = 0
    mail_id: str = ""  # of the mail, without <>


@define(kw_only=True)
class Request(Pdu):
    """A PDU that may ask for a response. Flags are None where the header is not there."""

    ack_request: bool | None = None
    from_: str = ""  # mailbox: who sends, or whom the report is about
    to: list[str] = field(factory=list)  # mailboxes as written, without display names
    extra: dict[str, str] = field(factory=dict)  # Release 6 and VASP headers, by canonical name

    @property
    def wants_answer(self) -> bool:
        """True if a response is to be sent; there is none otherwise."""
        return self.ack_request is True

    @property
    def answer_to(self) -> str:
        """The system address that the response goes to."""
        return self.sender


@define(kw_only=True)
class ForwardReq(Request):
    """``MM4_forward.REQ``: a multimedia message; its content is the mail's body."""

    TYPE = MessageType.FORWARD_REQ

    cc: list[str] = field(factory=list)
    subject: str = ""
    message_class: str = ""
    expiry: Expiry | None = None
    delivery_report: bool | None = None
    relay_report: bool | None = None  # X-Mms-Originator-R/S-Delivery-Report
    priority: str = ""
    visibility: str = ""
    read_reply: bool | None = None
    forward_counter: int = 0  # 0 if it is not there
    previously_sent_by: list[str] = field(factory=list)  # "<n>, <address>"
    previously_sent_at: list[str] = field(factory=list)  # "<n>, <date>"
    originator_system: str = ""

    @property
    def answer_to(self) -> str:
        """``X-Mms-Originator-System``, or ``Sender`` where that is missing (ruling 15)."""
        return self.originator_system or self.sender


@define(kw_only=True)
class Response(Pdu):
    """A PDU that answers: ``status`` is a word of ``RequestStatus``."""

    from_: str = ""  # written as in the worked examples
    to: str = ""
    status: words.RequestStatus = words.RequestStatus.OK
    status_text: str = ""


@define(kw_only=True)
class ForwardRes(Response):
    """``MM4_forward.RES``."""

    TYPE = MessageType.FORWARD_RES

    recipients: list[str] = field(factory=list)  # those it is for; all if empty


@define(kw_only=True)
class DeliveryReportReq(Request):
    """``MM4_delivery_report.REQ``: what became of a message for the recipient ``from_``."""

    TYPE = MessageType.DELIVERY_REPORT_REQ

    forward_to_ua: bool | None = None
    status: words.Status = words.Status.INDETERMINATE
    extension: str = ""
    status_text: str = ""


@define(kw_only=True)
class DeliveryReportRes(Response):
    """``MM4_delivery_report.RES``."""

    TYPE = MessageType.DELIVERY_REPORT_RES


@define(kw_only=True)
class ReadReplyReq(Request):
    """``MM4_read_reply_report.REQ``: the recipient ``from_`` read a message, or did not."""

    TYPE = MessageType.READ_REPLY_REPORT_REQ

    status: words.ReadStatus = words.ReadStatus.READ
    status_text: str = ""


@define(kw_only=True)
class ReadReplyRes(Response):
    """``MM4_read_reply_report.RES``."""

    TYPE = MessageType.READ_REPLY_REPORT_RES


CLASSES: dict[MessageType, type[Pdu]] = {
    c.TYPE: c
    for c in (
        ForwardReq,
        ForwardRes,
        DeliveryReportReq,
        DeliveryReportRes,
        ReadReplyReq,
        ReadReplyRes,
    )
}


def answer(
    request: Request,
    status: words.RequestStatus,
    *,
    sender: str,
    date: int,
    mail_id: str,
    text: str = "",
    recipients: list[str] | None = None,
) -> Response:
    """The response to a request, with the ids that the request had (ruling 15).

    ``sender`` is our system address. ``recipients`` are those that a refusal is for if it is not
    for all; only an ``MM4_forward.RES`` names them.
    """
    classes = CLASSES[words.RESPONSE_TO[request.TYPE]]
    assert issubclass(classes, Response)
    response = classes(
        transaction_id=request.transaction_id,
        message_id=request.message_id,
        sender=sender,
        from_=sender,
        to=request.answer_to,
        date=date,
        mail_id=mail_id,
        status=status,
        # Ruling 26: a text only with an error.
        status_text="" if status is words.RequestStatus.OK else text,
    )
    if recipients and isinstance(response, ForwardRes):
        response.recipients = recipients
    return response
