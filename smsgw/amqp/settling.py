"""Frames that settle deliveries."""

import struct

_ACK = struct.Struct("!BHLHHQBB")

# Of equal length: class and method, the delivery's tag, bits.
_LENGTH = 13


def ack_frame(channel: int, tag: int, multiple: bool) -> bytes:
    """``basic.ack``."""
    return _ACK.pack(1, channel, _LENGTH, 60, 80, tag, multiple, 0xCE)


def nack_frame(channel: int, tag: int, multiple: bool, requeue: bool) -> bytes:
    """``basic.nack``."""
    return _ACK.pack(1, channel, _LENGTH, 60, 120, tag, multiple | requeue << 1, 0xCE)


def reject_frame(channel: int, tag: int, requeue: bool) -> bytes:
    """``basic.reject``."""
    return _ACK.pack(1, channel, _LENGTH, 60, 90, tag, requeue, 0xCE)
