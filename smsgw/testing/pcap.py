"""Writes PDUs into a pcap file, as one TCP connection, for Wireshark to read."""

from collections.abc import Iterable
from pathlib import Path
from struct import Struct

SMPP_PORT = 2775
_CLIENT_PORT = 40_000
_CLIENT = bytes((192, 0, 2, 1))  # RFC 5737
_SERVER = bytes((192, 0, 2, 2))
_SYN, _ACK, _PSH = 0x02, 0x10, 0x08
_RAW_IPV4 = 228  # LINKTYPE_IPV4: a packet is an IP datagram without any frame
_MAX_IP = 65_535

_file_header = Struct("<IHHiIII").pack
_packet_header = Struct("<IIII").pack
_ip_header = Struct(">BBHHHBBH4s4s").pack
_tcp_header = Struct(">HHIIBBHHH").pack


def _checksum(octets: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = octets + b"\0" * (len(octets) % 2)
    total = sum(int.from_bytes(padded[i : i + 2], "big") for i in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class _End:
    """One end of the connection: its address, port and next sequence number."""

    def __init__(self, address: bytes, port: int) -> None:
        self.address = address
        self.port = port
        self.next = 1000


def _segment(source: _End, destination: _End, flags: int, payload: bytes) -> bytes:
    """The IP datagram of one TCP segment; moves ``source`` on."""
    acknowledged = destination.next if flags & _ACK else 0
    ports = source.port, destination.port
    pseudo = source.address + destination.address + b"\0\6"
    pseudo += (20 + len(payload)).to_bytes(2, "big")
    bare = _tcp_header(*ports, source.next, acknowledged, 5 << 4, flags, 65_535, 0, 0)
    total = _checksum(pseudo + bare + payload)
    tcp = _tcp_header(*ports, source.next, acknowledged, 5 << 4, flags, 65_535, total, 0) + payload
    length = 20 + len(tcp)
    if length > _MAX_IP:
        raise ValueError(f"{len(payload)} octets do not fit in one segment")
    addresses = source.address, destination.address
    ip = _ip_header(0x45, 0, length, 0, 0x4000, 64, 6, 0, *addresses)
    ip = _ip_header(0x45, 0, length, 0, 0x4000, 64, 6, _checksum(ip), *addresses)
    source.next += len(payload) + (1 if flags & _SYN else 0)
    return ip + tcp


def write(path: Path, pdus: Iterable[bytes], port: int = SMPP_PORT) -> None:
    """Write each of ``pdus`` (whole PDUs as octets) as one TCP segment from a client to ``port``.

    A handshake comes first, so that packet 4 is the first PDU. Raises ``ValueError`` for a PDU that
    does not fit in one IP datagram (65,495 octets).
    """
    client = _End(_CLIENT, _CLIENT_PORT)
    server = _End(_SERVER, port)
    packets = [
        _segment(client, server, _SYN, b""),
        _segment(server, client, _SYN | _ACK, b""),
        _segment(client, server, _ACK, b""),
    ]
    packets += [_segment(client, server, _PSH | _ACK, pdu) for pdu in pdus]
    with path.open("wb") as file:
        file.write(_file_header(0xA1B2C3D4, 2, 4, 0, 0, 262_144, _RAW_IPV4))
        for number, packet in enumerate(packets):
            file.write(_packet_header(number, 0, len(packet), len(packet)))
            file.write(packet)
