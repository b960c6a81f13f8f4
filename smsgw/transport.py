"""Writing to a socket at once, where Twisted would wait for the next turn of the reactor."""

from twisted.internet.interfaces import ITransport
from twisted.internet.tcp import Connection


def write(transport: ITransport, octets: bytes) -> None:
    """``transport.write``, but what the socket takes now is sent now.

    Twisted asks the kernel to be told that the socket takes octets, is told on the next turn,
    sends, and asks to be told no more: for the small answers of this gateway that costs more than
    making them. What the socket does not take goes the usual way, as does everything on TLS.
    """
    if (
        isinstance(transport, Connection)
        and not transport.TLS
        and transport.connected
        and not transport._writeDisconnected
        # Nothing must overtake what waits already.
        and not transport._tempDataLen
        and not transport.dataBuffer
    ):
        sent = transport.writeSomeData(octets)
        if not isinstance(sent, Exception):
            if sent == len(octets):
                return
            octets = octets[sent:]
        # A lost connection is found by the reactor, which tells the protocol at its own time.
    transport.write(octets)
