"""The whole mail that brings a multimedia message to a carrier's MMSC, and the ids in it, which
name the message here (``spec/mm4.md`` §4).

One mail is for one recipient, so an answer is that of one message. A repeat has the same
transaction and message id.
"""

import re
from collections.abc import Callable, Sequence

from attrs import frozen

from smsgw.message import Message, Multimedia
from smsgw.mm4 import addresses, content, headers, mime, translate
from smsgw.mm4.mime import Content
from smsgw.refusals import Reason

_ID = re.compile(r"([0-9a-f]{1,16})(@.*)?")


class TooLarge(Exception):
    """The content cannot be made small enough; the text says for what."""


@frozen
class To:
    """A peer that a mail is for: ``domain`` is the peer's; ``country`` the calling code of national
    numbers that others wrote; ``sender`` stands for every source, "" for none."""

    domain: str
    country: str = ""
    sender: str = ""
    ack: bool = True
    quote_ids: bool = False
    max_size: int = 5_242_880  # octets of the whole mail
    scale: bool = True


@frozen
class Written:
    """A mail: its envelope's recipient, its octets, and what makes it without octets above 127."""

    recipient: str
    content: bytes
    seven_bit: Callable[[], bytes]


def transaction_id(message: Message) -> str:
    """The transaction by which a message is mailed."""
    return f"{message.id:x}"


def message_id(message: Message, domain: str) -> str:
    """What a message is called by us, whose MMS domain is ``domain``."""
    return f"{message.id:x}@{domain}"


def named(text: str) -> int:
    """The id of the message that a transaction or message id of ours names, 0 if none."""
    found = _ID.fullmatch(text.strip().lower())
    number = int(found[1], 16) if found else 0
    return number if number < 1 << 63 else 0


def forward(
    message: Message, octets: Sequence[bytes], to: To, domain: str, mail_id: str
) -> Written:
    """The mail for ``message``, whose media are ``octets``, from ``domain``, our MMS domain.

    It may take CPU: call it in a thread. Raises ``TooLarge``.
    """
    kept = message.multimedia or Multimedia()
    parts = [content.part(one, data) for one, data in zip(kept.media, octets, strict=True)]
    fitted = content.fit(Content(parts, kept.start), to.max_size, to.scale, eight_bit=False)
    if fitted is None:
        raise TooLarge(f"more than {to.max_size} octets")
    recipient = addresses.of_source(message.destination, message.destination_ton)
    source = addresses.of_source(message.source, message.source_ton)
    if to.sender:
        source = addresses.of_source(to.sender)
    mailbox = addresses.write(recipient, to.domain)
    others = [_others(one, to, domain) for one in (kept.to, kept.cc)]
    if mailbox not in others[0] and mailbox not in others[1]:
        others[0].insert(0, mailbox)
    pdu = translate.forward(
        kept,
        source=addresses.write(source, domain),
        to=others[0],
        cc=others[1],
        system=f"system-user@{domain}",
        transaction_id=transaction_id(message),
        message_id=message_id(message, domain),
        mail_id=f"{mail_id}@{domain}",
        date=message.accepted_at,
        expires_at=message.expires_at,
        ack=to.ack,
        report=bool(message.registered_delivery & 3) or kept.delivery_report or kept.relay_report,
    )
    pdu.to = pdu.to or [mailbox]

    def written(eight_bit: bool) -> bytes:
        body = mime.write(fitted, eight_bit=eight_bit)
        return headers.write(pdu, body.content_type, to.quote_ids) + body.octets

    whole = written(True)
    # What is ASCII already is not kept a second time, as parts, while it is mailed.
    return Written(mailbox, whole, (lambda: whole) if whole.isascii() else lambda: written(False))


def _others(mailboxes: Sequence[str], to: To, domain: str) -> list[str]:
    """The recipients of a group as the peer writes addresses; what is none is left out."""
    found = []
    for one in mailboxes:
        address = addresses.read(one, to.country, (domain, to.domain))
        if not isinstance(address, Reason):
            found.append(addresses.write(address, to.domain))
    return list(dict.fromkeys(found))
