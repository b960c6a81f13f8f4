"""Writes PDUs into a pcap file, each as a TCP segment of its connection, for Wireshark to read."""

from ipaddress import ip_address
from struct import Struct
from typing import BinaryIO

SMPP_PORT = 2775  # where Wireshark looks for SMPP
_CLIENT_PORT = 40_000
# Of whom no address is known (RFC 5737, RFC 3849).
NOBODY = {4: "192.0.2.2", 6: "2001:db8::2"}
_SYN, _ACK, _PSH = 0x02, 0x10, 0x08
_RAW_IP = 101  # LINKTYPE_RAW: a packet is an IP datagram without any frame
_MOST = 65_000  # octets of one segment

_file_header = Struct("<IHHiIII").pack
_packet_header = Struct("<IIII").pack
_ip4_header = Struct(">BBHHHBBH4s4s").pack
_ip6_header = Struct(">IHBB16s16s").pack
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
    addresses = source.address, destination.address
    length = 20 + len(payload)
    pseudo = b"".join(addresses) + length.to_bytes(4, "big") + b"\0\0\0\6"
    bare = _tcp_header(*ports, source.next, acknowledged, 5 << 4, flags, 65_535, 0, 0)
    total = _checksum(pseudo + bare + payload)
    tcp = _tcp_header(*ports, source.next, acknowledged, 5 << 4, flags, 65_535, total, 0) + payload
    source.next = (source.next + len(payload) + (1 if flags & _SYN else 0)) & 0xFFFF_FFFF
    if len(source.address) == 16:
        return _ip6_header(6 << 28, length, 6, 64, *addresses) + tcp
    ip = _ip4_header(0x45, 0, 20 + length, 0, 0x4000, 64, 6, 0, *addresses)
    return _ip4_header(0x45, 0, 20 + length, 0, 0x4000, 64, 6, _checksum(ip), *addresses) + tcp


class Connection:
    """One TCP connection in the file; its handshake comes first."""

    def __init__(self, file: "Pcap", client: str, server: str, number: int, port: int) -> None:
        self._file = file
        kinds = {_packed(one)[0] for one in (client, server) if _packed(one)[0]}
        kind = kinds.pop() if len(kinds) == 1 else 4
        packed = [
            found if version == kind else ip_address(NOBODY[kind]).packed
            for version, found in (_packed(client), _packed(server))
        ]
        self._client = _End(packed[0], _CLIENT_PORT + number % 20_000)
        self._server = _End(packed[1], port)
        self._begun = False

    def pdu(self, octets: bytes, at: float, by_client: bool = True) -> None:
        """One PDU, sent at this time (seconds since 1970)."""
        if not self._begun:
            self._begun = True
            for ends, flags in (
                ((self._client, self._server), _SYN),
                ((self._server, self._client), _SYN | _ACK),
                ((self._client, self._server), _ACK),
            ):
                self._file.packet(_segment(*ends, flags, b""), at)
        ends = (self._client, self._server) if by_client else (self._server, self._client)
        for start in range(0, len(octets), _MOST):
            piece = octets[start : start + _MOST]
            self._file.packet(_segment(*ends, _PSH | _ACK, piece), at)


class Pcap:
    """A pcap file that is being written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._connections = 0
        file.write(_file_header(0xA1B2C3D4, 2, 4, 0, 0, 262_144, _RAW_IP))

    def connection(self, client: str, server: str, port: int = SMPP_PORT) -> Connection:
        """A new connection between these addresses; what is none becomes one that is nobody's.

        The server's port is one at which Wireshark looks for SMPP, whatever it was.
        """
        self._connections += 1
        return Connection(self, client, server, self._connections, port)

    def packet(self, octets: bytes, at: float) -> None:
        """One IP datagram."""
        micros = round(at * 1_000_000)
        seconds, rest = divmod(micros, 1_000_000)
        self._file.write(_packet_header(seconds & 0xFFFF_FFFF, rest, len(octets), len(octets)))
        self._file.write(octets)


def _packed(address: str) -> tuple[int, bytes]:
    """Version and octets of an address; 0 if it is none."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return 0, b""
    four = getattr(found, "ipv4_mapped", None)
    return (4, four.packed) if four else (found.version, found.packed)
