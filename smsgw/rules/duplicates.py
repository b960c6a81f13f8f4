"""Duplicates: which accepted messages an account must not send again yet
(``duplicate_window_s``)."""

from attrs import define, field

from smsgw.message import UDHI, Message
from smsgw.text import parts

MOST = 200_000  # messages that are remembered of one account: half as many at least
IN_ALL = 500_000  # and of all of them: about 50 MB


@define
class _Sent:
    """What one account has sent: digest -> when (ms).

    In two generations. The newer one becomes the older one, which is forgotten, when it spans a
    window or is half of what may be remembered: so what is within the window is in one of the two,
    and nothing is looked through to find the oldest.
    """

    newer: dict[int, int] = field(factory=dict)
    older: dict[int, int] = field(factory=dict)
    begun: int = 0

    def __len__(self) -> int:
        return len(self.newer) + len(self.older)

    def age(self, at: int) -> int:
        """A new generation begins; how many messages are forgotten."""
        forgotten = len(self.older)
        self.older, self.newer, self.begun = self.newer, {}, at
        return forgotten


class Duplicates:
    """What each account with a window has sent within it: digests, with their time in ms.

    At least the newest ``MOST`` / 2 of an account are kept, and ``IN_ALL`` of all at most: an
    account that sends more within its window may send its oldest ones again.
    """

    def __init__(self) -> None:
        self._sent: dict[str, _Sent] = {}
        self._room = IN_ALL
        # What was asked about last is mostly added next.
        self._asked: tuple[Message | None, int] = (None, 0)

    @property
    def any(self) -> bool:
        """False if nothing was ever remembered."""
        return bool(self._sent)

    def has(self, message: Message, window_s: int, now_ms: int) -> bool:
        """True if the account has sent the same within the window that ends now."""
        key = digest(message)
        self._asked = message, key
        sent = self._sent.get(message.account)
        if sent is None:
            return False
        at = sent.newer.get(key)
        if at is None:
            at = sent.older.get(key)
        return at is not None and at > now_ms - window_s * 1000

    def add(self, message: Message, window_s: int) -> None:
        """The message is accepted."""
        sent = self._sent.get(message.account)
        if sent is None:
            sent = self._sent[message.account] = _Sent(begun=message.accepted_at)
        asked, key = self._asked
        if asked is not message:
            key = digest(message)
        at = message.accepted_at
        if at - sent.begun >= window_s * 1000 or len(sent.newer) >= MOST // 2:
            self._room += sent.age(at)
        sent.newer[key] = at
        self._room -= 1
        if self._room < 0:
            self._make_room()

    def _make_room(self) -> None:
        """Who has the most forgets its older half: no other account pays for it."""
        fullest = max(self._sent.values(), key=len)
        if fullest.older:
            fullest.older = {}
        else:
            newest = list(fullest.newer.items())[len(fullest) // 2 :]
            fullest.newer = dict(newest)
        self._room = IN_ALL - sum(map(len, self._sent.values()))

    def forget(self, message: Message) -> None:
        """It was not stored after all."""
        sent = self._sent.get(message.account)
        if sent is None:
            return
        key = digest(message)
        for generation in (sent.newer, sent.older):
            if generation.get(key) == message.accepted_at:
                del generation[key]


def digest(message: Message) -> int:
    """A number that is the same for the same source, destination and content, in this process.

    The content of a message that was split here is that of all its parts: their reference number
    is another one every time. A part that came with a header of its own counts with it.

    It is Python's hash of 64 bits, whose key nobody knows: of 200,000 messages that are remembered
    and 10,000 that come in a second, not one in a hundred years is taken for another.
    """
    if message.multimedia is not None:
        media = [one.digest for one in message.multimedia.media]
        return hash((message.source, message.destination, message.multimedia.subject, *media))
    octets = message.parts
    content = octets[0] if len(octets) == 1 else parts.join(octets) if octets else b""
    flags = message.data_coding << 8 | message.esm_class & UDHI
    return hash((message.source, message.destination, content, flags))
