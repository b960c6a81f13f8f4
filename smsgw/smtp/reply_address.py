"""Addresses that a reply to a mailed message goes to, which only who got the mail can know.

The local part is the number that is answered, ``+``, and 24 octets in base32: the id of the message
that is answered, and 128 bits of a keyed hash over both. So whoever writes there need not log in,
and nothing is kept for it. Base32 has one case, since some mail servers change it.
"""

import base64
import hmac
import re
from hashlib import sha256

from attrs import frozen

from smsgw.identities import time_of

_LOCAL = re.compile(r"([0-9]{3,20})\+([a-z2-7]{39})", re.IGNORECASE)
_MAC = 16  # octets


@frozen
class Replied:
    """What a reply address says: whom it answers, and the message."""

    number: str
    message: int


class ReplyAddresses:
    """Writes and reads them."""

    def __init__(self, key: bytes, domain: str, days: int) -> None:
        """``key`` is secret; an address is good for ``days`` after the message came in."""
        self._key = key
        self._domain = domain
        self._lasts_ms = days * 86_400_000

    def write(self, number: str, message: int) -> str:
        """The address for replies to ``number`` (digits) about a message, "" if nobody can be
        answered there."""
        if not (number.isascii() and number.isdigit() and 3 <= len(number) <= 20):
            return ""
        id = message.to_bytes(8, "big")
        token = base64.b32encode(id + self._mac(number, id)).decode("ascii").rstrip("=").lower()
        return f"{number}+{token}@{self._domain}"

    def is_one(self, local: str) -> bool:
        """True if the local part has the form of one, good or not."""
        return _LOCAL.fullmatch(local) is not None

    def read(self, local: str, now_ms: int) -> Replied | None:
        """What it says; None if it is none of ours, or its time is over."""
        found = _LOCAL.fullmatch(local)
        if found is None:
            return None
        octets = base64.b32decode(found[2].upper() + "=")
        id = octets[:8]
        if not hmac.compare_digest(octets[8:], self._mac(found[1], id)):
            return None
        message = int.from_bytes(id, "big")
        return Replied(found[1], message) if now_ms < time_of(message) + self._lasts_ms else None

    def _mac(self, number: str, id: bytes) -> bytes:
        return hmac.digest(self._key, id + number.encode(), sha256)[:_MAC]
