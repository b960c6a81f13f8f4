"""Pools of senders: each recipient always gets the same sender of a pool."""

from collections.abc import Sequence
from hashlib import blake2b


class Pool:
    """Senders among which recipients are shared out by rendezvous hashing.

    Each sender has a number for each recipient, and the highest one takes it. So when a sender
    leaves, only its own recipients move, and when one comes, it takes its share of each other's.
    """

    __slots__ = ("_hashes", "senders")

    def __init__(self, senders: Sequence[str]) -> None:
        """``senders``: one at least; their order does not matter."""
        self.senders = tuple(sorted(set(senders)))
        # What is hashed begins with the sender: that much is done once.
        self._hashes = [
            (blake2b(sender.encode() + b"\0", digest_size=8), sender) for sender in self.senders
        ]

    def choose(self, recipient: str) -> str:
        """The sender for a recipient."""
        if len(self._hashes) == 1:
            return self.senders[0]
        octets = recipient.encode()
        best, chosen = b"", ""
        for begun, sender in self._hashes:
            hashed = begun.copy()
            hashed.update(octets)
            digest = hashed.digest()
            if digest > best:
                best, chosen = digest, sender
        return chosen or self.senders[0]
