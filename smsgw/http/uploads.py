"""Uploads: request bodies that are too large for memory, each in a file without a name."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from smsgw.http.wire import RequestError
from smsgw.smtp.spool import Spool


class Uploads:
    """Where uploads are kept while they are received, and how many there are."""

    def __init__(
        self,
        folder: Path | None = None,
        run: Callable[[Callable[[], None]], Deferred[None]] = deferToThread,
        most: int = 200,
        peer_most: int = 20,
    ) -> None:
        """``run`` calls a function on a thread; ``folder`` None is the system's. ``most`` of all
        clients at a time, ``peer_most`` of one address."""
        self._most = most
        self._peer_most = peer_most
        self._folder = folder
        self.run = run
        self._of: Counter[str] = Counter()

    def begin(self, peer: str) -> Spool:
        """A file for one more of ``peer``. Raises ``RequestError`` if there are too many."""
        if self._of.total() >= self._most or self._of[peer] >= self._peer_most:
            raise RequestError(503, "Service Unavailable: too many uploads")
        self._of[peer] += 1
        return Spool(self._folder)

    def end(self, peer: str, spool: Spool) -> None:
        """It is not needed any more."""
        spool.close()
        self._of[peer] -= 1
        if not self._of[peer]:
            del self._of[peer]
