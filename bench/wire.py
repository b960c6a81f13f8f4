"""Octets and figures that the load generators and the sink share; none of it the gateway's code."""

import resource
import struct
from collections.abc import Sequence

HEADER = struct.Struct(">IIII")  # command_length, command_id, command_status, sequence_number
ANSWER = struct.Struct(">IIIIB")  # a header and the empty message_id of deliver_sm_resp

SUBMIT = 0x00000004
DELIVER = 0x00000005
UNBIND = 0x00000006
ENQUIRE = 0x00000015
BINDS = {"receiver": 0x01, "transmitter": 0x02, "transceiver": 0x09}
RESPONSE = 0x80000000

READ = 1 << 18  # octets a read
TICKS = 100_000  # of the latency histogram: 0.1 ms each, the last holds all above 10 s


def bind(command: int, system_id: str, password: str) -> bytes:
    """A bind request of SMPP 3.4 with sequence number 1."""
    body = system_id.encode() + b"\0" + password.encode() + b"\0" + b"\0" + b"\x34\0\0\0"
    return HEADER.pack(16 + len(body), command, 0, 1) + body


def percentile(ticks: Sequence[int], share: float) -> float:
    """The latency in ms that ``share`` (0 to 1) of the answers keep; 0 with no answers."""
    wanted = sum(ticks) * share
    seen = 0
    for tick, count in enumerate(ticks):
        seen += count
        if count and seen >= wanted:
            return (tick + 1) / 10
    return 0.0


def cpu_seconds() -> float:
    """User and system time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
