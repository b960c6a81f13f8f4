"""``MM4_forward.REQ`` from what a message keeps of it, and back."""

from smsgw.message import Media, Multimedia
from smsgw.mm4.fields import Expiry
from smsgw.mm4.pdus import ForwardReq
from smsgw.mm4.transactions import next_counter


def multimedia(request: ForwardReq, media: list[Media], start: str) -> Multimedia:
    """What a message keeps of a request; the ids as the sender gave them."""
    return Multimedia(
        media=media,
        start=start,
        subject=request.subject,
        message_class=request.message_class,
        priority=request.priority,
        visibility=request.visibility,
        read_reply=request.read_reply is True,
        delivery_report=request.delivery_report is True,
        relay_report=request.relay_report is True,
        forward_counter=request.forward_counter,
        message_id=request.message_id,
        transaction_id=request.transaction_id,
        originator_system=request.originator_system,
        previously_sent=request.previously_sent_by,
        previously_sent_at=request.previously_sent_at,
        to=request.to,
        cc=request.cc,
        extra=request.extra,
    )


def forward(
    kept: Multimedia,
    *,
    source: str,
    to: list[str],
    cc: list[str],
    system: str,
    transaction_id: str,
    message_id: str,
    mail_id: str,
    date: int,
    expires_at: int,
    ack: bool,
    report: bool,
    relay_report: bool = False,
) -> ForwardReq:
    """The request that sends a message on, under our ids and from our ``system`` address.

    ``source``, ``to`` and ``cc`` are mailboxes of the peer's form. ``report`` and ``relay_report``
    are what we ask the peer for. The counter is one more than the one received, and expiry is a
    date (ruling 19); ``expires_at`` 0 leaves it out.
    """
    return ForwardReq(
        from_=source,
        to=to,
        cc=cc,
        sender=system,
        originator_system=system,
        date=date,
        mail_id=mail_id,
        subject=kept.subject,
        transaction_id=transaction_id,
        message_id=message_id,
        message_class=kept.message_class or "Personal",
        expiry=Expiry(at=expires_at) if expires_at else None,
        delivery_report=report,
        relay_report=relay_report,
        priority=kept.priority or "Normal",
        visibility=kept.visibility or "Show",
        read_reply=kept.read_reply,
        ack_request=ack,
        forward_counter=next_counter(kept.forward_counter),
        previously_sent_by=kept.previously_sent,
        previously_sent_at=kept.previously_sent_at,
        extra=kept.extra,
    )
