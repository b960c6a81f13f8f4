"""The pcap writer; whether Wireshark takes its files is shown in conformance/."""

from pathlib import Path

from smsgw.smpp.codec import encode
from smsgw.smpp.pdu import EnquireLink
from smsgw.testing.pcap import write


def packets_of(path: Path) -> list[bytes]:
    """The datagrams of a pcap file."""
    octets = path.read_bytes()
    packets = []
    start = 24
    while start < len(octets):
        size = int.from_bytes(octets[start + 8 : start + 12], "little")
        packets.append(octets[start + 16 : start + 16 + size])
        start += 16 + size
    return packets


def test_one_segment_for_each_pdu(tmp_path: Path) -> None:
    """After the handshake of three packets each PDU is one packet of its own."""
    pdus = [encode(EnquireLink(sequence=number)) for number in (1, 2)]
    path = tmp_path / "two.pcap"
    write(path, pdus)
    packets = packets_of(path)
    assert [packet[40:] for packet in packets] == [b"", b"", b"", *pdus]
    first, second = (int.from_bytes(packet[24:28], "big") for packet in packets[3:])
    assert second - first == len(pdus[0])


def test_a_pdu_longer_than_a_datagram_is_several_packets(tmp_path: Path) -> None:
    """As TCP would cut it."""
    path = tmp_path / "long.pcap"
    write(path, [b"x" * 66_000])
    payloads = [packet[40:] for packet in packets_of(path)]
    assert b"".join(payloads) == b"x" * 66_000
    assert max(len(payload) for payload in payloads) < 65_495
