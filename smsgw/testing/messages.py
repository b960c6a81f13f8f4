"""The deliver_sm that doubles send: receipts and mobile-originated texts."""

from smsgw.message import UDHI, MessageState, Receipt
from smsgw.smpp.constants import ESM_RECEIPT, Tag
from smsgw.smpp.pdu import DeliverSm, SubmitSm
from smsgw.smpp.receipt import format_text
from smsgw.smpp.tlv import put
from smsgw.text import coding, parts

# err of a receipt by its state, where the network tells no reason of its own.
_ERRORS = {MessageState.DELIVERED: "000", MessageState.EXPIRED: "002"}
_INTERMEDIATE = 0x20
_INTERMEDIATE_STATES = (MessageState.SCHEDULED, MessageState.ENROUTE)


def receipt(
    pdu: SubmitSm, id: str, state: MessageState, times: tuple[int, int], tlvs: bool
) -> DeliverSm:
    """The receipt for ``pdu``, with its addresses swapped (spec/smpp.md §11).

    ``times`` are the submit and done dates in milliseconds since 1970 UTC.
    """
    intermediate = state in _INTERMEDIATE_STATES
    said = Receipt(
        id=id,
        state=state,
        error=_ERRORS.get(state, "001"),
        delivered=int(state == MessageState.DELIVERED),
        submit_at=times[0],
        done_at=times[1],
        text=_beginning(pdu),
        intermediate=intermediate,
    )
    extra = []
    if tlvs:
        extra = [put(Tag.RECEIPTED_MESSAGE_ID, id.encode()), put(Tag.MESSAGE_STATE, int(state))]
    return DeliverSm(
        source_addr_ton=pdu.dest_addr_ton,
        source_addr_npi=pdu.dest_addr_npi,
        source_addr=pdu.destination_addr,
        dest_addr_ton=pdu.source_addr_ton,
        dest_addr_npi=pdu.source_addr_npi,
        destination_addr=pdu.source_addr,
        esm_class=_INTERMEDIATE if intermediate else ESM_RECEIPT,
        short_message=format_text(said, False),
        tlvs=extra,
    )


def _beginning(pdu: SubmitSm) -> str:
    """The first 20 characters of a plain text, as the text field of a receipt has them."""
    if pdu.data_coding or pdu.esm_class & UDHI:
        return ""
    return "".join(chr(octet) for octet in pdu.short_message[:20] if 32 <= octet < 127)


def mobile_originated(source: str, destination: str, text: str, reference: int) -> list[DeliverSm]:
    """A text from a handset in the smallest coding that fits, one deliver_sm for each part."""
    data_coding, octets = coding.smallest(text)
    pieces = parts.split(octets, data_coding, reference)
    source_ton, source_npi = _kind(source)
    ton, npi = _kind(destination)
    return [
        DeliverSm(
            source_addr_ton=source_ton,
            source_addr_npi=source_npi,
            source_addr=source.encode(),
            dest_addr_ton=ton,
            dest_addr_npi=npi,
            destination_addr=destination.encode(),
            esm_class=UDHI if len(pieces) > 1 else 0,
            data_coding=data_coding,
            short_message=piece,
        )
        for piece in pieces
    ]


def _kind(address: str) -> tuple[int, int]:
    """TON and NPI: international E.164, short code, or name (spec/smpp.md §8)."""
    if not address.isdigit():
        return 5, 0
    return (1, 1) if len(address) > 7 else (3, 0)
