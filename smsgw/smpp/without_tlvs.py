"""What a submit_sm becomes for a carrier without TLVs, of 3.3 or of 3.4 that does not say so."""

from smsgw.smpp.constants import ESM_UDHI, Tag
from smsgw.smpp.pdu import SubmitSm
from smsgw.text import parts

_PORTS_16 = b"\x05\x04"  # UDH element of ports of 16 bits, and its length (spec/smpp.md §12)
_PORTS = frozenset({int(Tag.SOURCE_PORT), int(Tag.DESTINATION_PORT)})


def as_33(pdu: SubmitSm) -> None:
    """Writes ``pdu`` as SMPP 3.3 knows it: ports in a user data header, one bit of
    registered_delivery and priority_flag (``spec/smpp.md`` §3); other TLVs are left out when it is
    sent.

    Raises ``ValueError`` if there is no room for the ports: without them it would be a text.
    """
    pdu.registered_delivery &= 1
    pdu.priority_flag = min(pdu.priority_flag, 1)
    if pdu.tlvs:
        _ports_in_header(pdu)


def _ports_in_header(pdu: SubmitSm) -> None:
    ports = {tag: value for tag, value in pdu.tlvs if tag in _PORTS}
    destination = ports.get(Tag.DESTINATION_PORT)
    if destination is None:
        return
    header, octets = b"", pdu.short_message
    if pdu.esm_class & ESM_UDHI:
        header, octets = parts.udh(octets)
    source = ports.get(Tag.SOURCE_PORT, b"\0\0")
    elements = header[1:] + _PORTS_16 + destination + source
    written = bytes((len(elements),)) + elements
    if len(octets) > parts.capacity(pdu.data_coding, len(written)):
        raise ValueError("no room for its ports in a carrier's PDU without TLVs")
    pdu.short_message = written + octets
    pdu.esm_class |= ESM_UDHI
