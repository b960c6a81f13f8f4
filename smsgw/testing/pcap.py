"""Writes PDUs into a pcap file, as one TCP connection, for Wireshark to read."""

from collections.abc import Iterable
from pathlib import Path

from smsgw.smpp.pcap import SMPP_PORT, Pcap

__all__ = ["SMPP_PORT", "write"]


def write(path: Path, pdus: Iterable[bytes], port: int = SMPP_PORT) -> None:
    """Write each of ``pdus`` (whole PDUs as octets) as sent by a client to ``port``.

    A handshake comes first, so that packet 4 is the first PDU.
    """
    with path.open("wb") as file:
        connection = Pcap(file).connection("192.0.2.1", "192.0.2.2", port)
        for number, pdu in enumerate(pdus):
            connection.pdu(pdu, number + 3)
