"""Types and length limits of the TLVs, and typed reading and writing (spec/smpp.md §14)."""

from typing import Protocol

from attrs import frozen

from smsgw.smpp.constants import Tag


@frozen
class Shape:
    """What the value of a tag is.

    ``least`` and ``most`` limit the octets of the value. ``kind`` is ``int``: an unsigned integer
    of ``size`` octets (a value of another allowed length is octets); ``text``: a C-octet string;
    ``octets``.
    """

    kind: str
    least: int
    most: int
    size: int = 0
    lengths: frozenset[int] = frozenset()  # of those between the limits, where not all are allowed

    def fits(self, length: int) -> bool:
        """True if a value may have this many octets."""
        return self.least <= length <= self.most and (not self.lengths or length in self.lengths)


def _int(size: int) -> Shape:
    return Shape("int", size, size, size)


def _text(most: int, least: int = 1) -> Shape:
    return Shape("text", least, most)


def _octets(least: int, most: int) -> Shape:
    return Shape("octets", least, most)


SHAPES: dict[int, Shape] = {
    Tag.DEST_ADDR_SUBUNIT: _int(1),
    Tag.DEST_NETWORK_TYPE: _int(1),
    Tag.DEST_BEARER_TYPE: _int(1),
    Tag.DEST_TELEMATICS_ID: _int(2),
    Tag.SOURCE_ADDR_SUBUNIT: _int(1),
    Tag.SOURCE_NETWORK_TYPE: _int(1),
    Tag.SOURCE_BEARER_TYPE: _int(1),
    # 3.4 says one octet, several implementations write two: what the length says is taken (§18).
    Tag.SOURCE_TELEMATICS_ID: Shape("int", 1, 2, 1),
    Tag.QOS_TIME_TO_LIVE: _int(4),
    Tag.PAYLOAD_TYPE: _int(1),
    Tag.ADDITIONAL_STATUS_INFO_TEXT: _text(256),
    Tag.RECEIPTED_MESSAGE_ID: _text(65),
    Tag.MS_MSG_WAIT_FACILITIES: _int(1),
    Tag.PRIVACY_INDICATOR: _int(1),
    Tag.SOURCE_SUBADDRESS: _octets(2, 23),
    Tag.DEST_SUBADDRESS: _octets(2, 23),
    Tag.USER_MESSAGE_REFERENCE: _int(2),
    Tag.USER_RESPONSE_CODE: _int(1),
    Tag.SOURCE_PORT: _int(2),
    Tag.DESTINATION_PORT: _int(2),
    Tag.SAR_MSG_REF_NUM: _int(2),
    Tag.LANGUAGE_INDICATOR: _int(1),
    Tag.SAR_TOTAL_SEGMENTS: _int(1),
    Tag.SAR_SEGMENT_SEQNUM: _int(1),
    Tag.SC_INTERFACE_VERSION: _int(1),
    Tag.CALLBACK_NUM_PRES_IND: _int(1),
    Tag.CALLBACK_NUM_ATAG: _octets(0, 65),
    Tag.NUMBER_OF_MESSAGES: _int(1),
    Tag.CALLBACK_NUM: _octets(4, 19),
    Tag.DPF_RESULT: _int(1),
    Tag.SET_DPF: _int(1),
    Tag.MS_AVAILABILITY_STATUS: _int(1),
    Tag.NETWORK_ERROR_CODE: _octets(3, 3),
    Tag.MESSAGE_PAYLOAD: _octets(0, 65_535),
    Tag.DELIVERY_FAILURE_REASON: _int(1),
    Tag.MORE_MESSAGES_TO_SEND: _int(1),
    Tag.MESSAGE_STATE: _int(1),
    Tag.CONGESTION_STATE: _int(1),
    Tag.USSD_SERVICE_OP: _octets(1, 1),
    Tag.BROADCAST_CHANNEL_INDICATOR: _int(1),
    Tag.BROADCAST_CONTENT_TYPE: _octets(3, 3),
    Tag.BROADCAST_CONTENT_TYPE_INFO: _octets(0, 255),
    Tag.BROADCAST_MESSAGE_CLASS: _int(1),
    Tag.BROADCAST_REP_NUM: _int(2),
    Tag.BROADCAST_FREQUENCY_INTERVAL: _octets(3, 3),
    Tag.BROADCAST_AREA_IDENTIFIER: _octets(0, 100),
    Tag.BROADCAST_ERROR_STATUS: _int(4),
    Tag.BROADCAST_AREA_SUCCESS: _int(1),
    Tag.BROADCAST_END_TIME: _text(17),
    Tag.BROADCAST_SERVICE_GROUP: _octets(0, 255),
    Tag.BILLING_IDENTIFICATION: _octets(0, 1024),
    Tag.SOURCE_NETWORK_ID: _text(66, least=7),
    Tag.DEST_NETWORK_ID: _text(66, least=7),
    Tag.SOURCE_NODE_ID: _octets(6, 6),
    Tag.DEST_NODE_ID: _octets(6, 6),
    Tag.DEST_ADDR_NP_RESOLUTION: _int(1),
    Tag.DEST_ADDR_NP_INFORMATION: _octets(10, 10),
    Tag.DEST_ADDR_NP_COUNTRY: _octets(1, 5),
    Tag.DISPLAY_TIME: _int(1),
    Tag.SMS_SIGNAL: _int(2),
    Tag.MS_VALIDITY: Shape("int", 1, 4, 1, frozenset({1, 4})),  # four octets in 5.0
    Tag.ALERT_ON_MESSAGE_DELIVERY: Shape("int", 0, 1, 1),  # no value in 3.4, one octet in 5.0
    Tag.ITS_REPLY_TYPE: _int(1),
    Tag.ITS_SESSION_INFO: _octets(2, 2),
}


class Tagged(Protocol):
    """A PDU that has TLVs."""

    tlvs: list[tuple[int, bytes]]


def value(tag: int, octets: bytes) -> int | bytes:
    """The value of a TLV: an int, text without its terminating 00, or the octets as they are."""
    shape = SHAPES.get(tag)
    if shape is None:
        return octets
    if shape.kind == "int" and len(octets) == shape.size:
        return int.from_bytes(octets, "big")
    if shape.kind == "text":
        return octets.split(b"\0", 1)[0]
    return octets


def get(pdu: Tagged, tag: int) -> int | bytes | None:
    """The value of the first TLV with this tag; None if there is none."""
    for found, octets in pdu.tlvs:
        if found == tag:
            return value(tag, octets)
    return None


def put(tag: int, value: int | bytes) -> tuple[int, bytes]:
    """The TLV of a value as ``get`` gives it.

    Raises ``ValueError`` if the value does not fit the tag. An int for a tag that is not known is
    refused, because its size is not known.
    """
    shape = SHAPES.get(tag)
    name = Tag(tag).name.lower() if shape else f"TLV 0x{tag:04x}"
    if isinstance(value, int):
        if shape is None or shape.kind != "int":
            raise ValueError(f"{name} takes octets, not the integer {value}")
        if not 0 <= value < 1 << 8 * shape.size:
            raise ValueError(f"{name} takes {shape.size} octets, {value} does not fit")
        return tag, value.to_bytes(shape.size, "big")
    octets = bytes(value)
    if shape and shape.kind == "text":
        if 0 in octets:
            raise ValueError(f"{name} has a 00 within")
        octets += b"\0"
    if not (shape.fits(len(octets)) if shape else len(octets) <= 65_535):
        raise ValueError(f"{name} cannot have {len(octets)} octets")
    return tag, octets
