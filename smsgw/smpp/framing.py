"""Cuts a stream of octets into PDUs."""

from struct import Struct

from smsgw.smpp.codec import DECODE_ERRORS, DECODERS, mend
from smsgw.smpp.constants import HEADER, MAX_PDU, Status
from smsgw.smpp.faults import FramingFault, PduFault
from smsgw.smpp.pdu import Pdu

Item = Pdu | PduFault | FramingFault

_header = Struct(">IIII").unpack_from


class Framer:
    """Takes octets as they come, gives PDUs and faults in their order.

    It keeps less than one PDU between feeds, and copies each octet a bounded number of times
    however the stream is split. ``tlvs`` is set false once the peer is known to speak 3.3: then
    what follows the mandatory fields is ignored (``spec/smpp.md`` §1).
    """

    __slots__ = ("_need", "_rest", "broken", "tlvs")

    def __init__(self, tlvs: bool = True) -> None:
        self.tlvs = tlvs
        self.broken = False  # after a FramingFault
        self._rest = bytearray()
        self._need = HEADER  # octets in _rest before looking at them is worth while

    @property
    def rest(self) -> bytes:
        """What has come of a PDU that is not whole yet."""
        return bytes(self._rest)

    def feed(self, data: bytes) -> list[Item]:
        """What ``data`` completes. After a ``FramingFault`` all further octets are dropped."""
        if self.broken:
            return []
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < self._need:
                return []
            data = bytes(rest)
            rest.clear()
        items: list[Item] = []
        add = items.append
        size = len(data)
        start = 0
        need = HEADER
        tlvs = self.tlvs
        decoders = DECODERS
        while start + HEADER <= size:
            length, command, status, sequence = _header(data, start)
            if not HEADER <= length <= MAX_PDU:
                add(FramingFault(Status.ESME_RINVCMDLEN, sequence, f"command_length {length}"))
                self.broken = True
                return items
            end = start + length
            if end > size:
                need = length
                break
            try:
                add(decoders[command](data, start + HEADER, end, status, sequence, tlvs))
            except DECODE_ERRORS as wrong:
                add(self._mended(data, start, end, wrong))
            start = end
        if start < size:
            rest += memoryview(data)[start:]
        self._need = need
        return items

    def _mended(self, data: bytes, start: int, end: int, wrong: Exception) -> Item:
        try:
            return mend(data, start, end, self.tlvs, wrong)
        except PduFault as fault:
            # Kept as a value: the frames of its traceback would keep the octets alive.
            fault.__context__ = None
            return fault.with_traceback(None)
