"""Turns: one after another, where several at the same time would cost too much.

Comes from: ``pending`` and the edges, which keep a lock for each account.
Goes on to: whatever stands in the ``async with``.
"""

from twisted.internet.defer import DeferredLock


class Turn:
    """One's turn at a lock, for ``async with``."""

    def __init__(self, lock: DeferredLock) -> None:
        self._lock = lock

    async def __aenter__(self) -> None:
        await self._lock.acquire()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # What is thrown away while it waits ends with its process: nobody goes on after it.
        if kind is not GeneratorExit:
            self._lock.release()
