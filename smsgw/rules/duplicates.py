"""Duplicates: which accepted messages an account must not send again yet
(``duplicate_window_s``)."""

from collections import deque

from attrs import define, field

from smsgw.message import UDHI, Message
from smsgw.text import parts

MOST = 200_000  # messages that are remembered of one account
IN_ALL = 500_000  # and of all of them: about 70 MB


@define
class _Sent:
    """What one account has sent: digest -> when (ms). And the same in the order in which it was
    sent, with what holds no longer: the oldest of a dict is not found without a search."""

    at: dict[int, int] = field(factory=dict)
    digests: deque[int] = field(factory=deque)
    times: deque[int] = field(factory=deque)

    def drop_oldest(self) -> None:
        key = self.digests.popleft()
        if self.at.get(key) == self.times.popleft():
            del self.at[key]


class Duplicates:
    """What each account with a window has sent within it: digests, with their time in ms.

    The newest ``MOST`` are kept, and ``IN_ALL`` of all accounts: an account that sends more within
    its window may send its oldest ones again.
    """

    def __init__(self) -> None:
        self._sent: dict[str, _Sent] = {}
        self._room = IN_ALL

    @property
    def any(self) -> bool:
        """False if nothing was ever remembered."""
        return bool(self._sent)

    def has(self, message: Message, window_s: int, now_ms: int) -> bool:
        """True if the account has sent the same within the window that ends now."""
        sent = self._sent.get(message.account)
        if sent is None:
            return False
        since = now_ms - window_s * 1000
        times = sent.times
        while times and times[0] <= since:
            sent.drop_oldest()
            self._room += 1
        return sent.at.get(digest(message), since) > since

    def add(self, message: Message) -> None:
        """The message is accepted."""
        sent = self._sent.get(message.account)
        if sent is None:
            sent = self._sent[message.account] = _Sent()
        key, at = digest(message), message.accepted_at
        sent.at[key] = at
        sent.digests.append(key)
        sent.times.append(at)
        if len(sent.times) > MOST:
            sent.drop_oldest()
        elif self._room:
            self._room -= 1
        else:
            self._make_room()

    def _make_room(self) -> None:
        """Takes an eighth of its messages from who has the most: no other account pays for it, and
        it is seldom done."""
        fullest = max(self._sent.values(), key=lambda one: len(one.times))
        eighth = len(fullest.times) // 8 + 1
        for _ in range(eighth):
            fullest.drop_oldest()
        self._room = eighth - 1

    def forget(self, message: Message) -> None:
        """It was not stored after all."""
        sent = self._sent.get(message.account)
        if sent is not None:
            key = digest(message)
            if sent.at.get(key) == message.accepted_at:
                del sent.at[key]


def digest(message: Message) -> int:
    """A number that is the same for the same source, destination and content, in this process.

    The content of a message that was split here is that of all its parts: their reference number
    is another one every time. A part that came with a header of its own counts with it.

    It is Python's hash of 64 bits, whose key nobody knows: of 200,000 messages that are remembered
    and 10,000 that come in a second, not one in a hundred years is taken for another.
    """
    octets = message.parts
    content = octets[0] if len(octets) == 1 else parts.join(octets) if octets else b""
    flags = message.data_coding << 8 | message.esm_class & UDHI
    return hash((message.source, message.destination, content, flags))
