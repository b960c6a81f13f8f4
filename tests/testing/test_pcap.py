"""The pcap writer; whether Wireshark takes its files is shown in conformance/."""

from pathlib import Path

import pytest

from smsgw.smpp.codec import encode
from smsgw.smpp.pdu import EnquireLink
from smsgw.testing.pcap import write


def test_one_segment_for_each_pdu(tmp_path: Path) -> None:
    """After the handshake of three packets each PDU is one packet of its own."""
    pdus = [encode(EnquireLink(sequence=number)) for number in (1, 2)]
    path = tmp_path / "two.pcap"
    write(path, pdus)
    octets = path.read_bytes()
    packets = []
    start = 24
    while start < len(octets):
        size = int.from_bytes(octets[start + 8 : start + 12], "little")
        packets.append(octets[start + 16 : start + 16 + size])
        start += 16 + size
    assert [packet[40:] for packet in packets] == [b"", b"", b"", *pdus]
    first, second = (int.from_bytes(packet[24:28], "big") for packet in packets[3:])
    assert second - first == len(pdus[0])


def test_pdu_longer_than_a_datagram(tmp_path: Path) -> None:
    """What does not fit in one segment is refused."""
    with pytest.raises(ValueError, match="do not fit in one segment"):
        write(tmp_path / "long.pcap", [b"x" * 65_496])
