"""What a message says to a person or a program outside: its text, addresses and time."""

from datetime import datetime
from zoneinfo import ZoneInfo

from attrs import frozen

from smsgw.message import UDHI, Message
from smsgw.text import coding, parts

_SHORTEST_INTERNATIONAL = 8  # digits; what is shorter is a short code


@frozen
class Reading:
    """A message as it is told. Numbers are without ``+``; what is absent is empty or 0."""

    oa: str
    da: str
    via: str
    text: str  # of octets that are no text: each as the character U+0000 to U+00FF (A-D12)
    udh: bytes  # with its length octet
    dcs: int
    pid: int
    at: datetime  # when the gateway took it, in the account's zone

    @property
    def iso(self) -> str:
        """``at`` as in ISO 8601, with its zone: 2026-03-14T10:15:02+00:00."""
        return self.at.isoformat(timespec="seconds")

    @property
    def plain_time(self) -> str:
        """``at`` as 2026-03-14 10:15:02."""
        return self.at.strftime("%Y-%m-%d %H:%M:%S")


def read(message: Message, time_zone: str = "UTC") -> Reading:
    """The reading of ``message``; times in ``time_zone`` (a name of the IANA data base)."""
    header, octets = _user_data(message)
    text = message.text
    if message.kind == "mms" and message.multimedia is not None:
        text = message.multimedia.text
    elif text is None:
        text = coding.decode(message.data_coding, octets, header)
    if text is None:
        text = octets.decode("latin-1")
    return Reading(
        oa=message.source.removeprefix("+"),
        da=message.destination.removeprefix("+"),
        via=message.via.removeprefix("+"),
        # A lone surrogate is no character and has no UTF-8.
        text=text.encode("utf-8", "replace").decode(),
        udh=header,
        dcs=message.data_coding,
        pid=message.protocol_id,
        at=datetime.fromtimestamp(message.accepted_at / 1000, ZoneInfo(time_zone)),
    )


def e123(address: str) -> str:
    """``address`` with ``+`` if it is an international number; short codes and names as they
    are (A-R6)."""
    if address.isascii() and address.isdigit() and len(address) >= _SHORTEST_INTERNATIONAL:
        return "+" + address
    return address


def _user_data(message: Message) -> tuple[bytes, bytes]:
    """User data header and the octets after it, of all parts."""
    if not message.parts:
        return b"", b""
    if not message.esm_class & UDHI:
        return b"", b"".join(message.parts)
    try:
        if len(message.parts) == 1:
            return parts.udh(message.parts[0])
        return parts.without_concatenation(message.parts[0]), parts.join(message.parts)
    except ValueError:
        return b"", b"".join(message.parts)  # not what it claims to be: all of it is told
