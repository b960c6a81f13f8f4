"""The media of messages: files by their digest, written before the message that refers to them is
committed, and collected when no message refers to them.

Theory of operation. The name of a file is the SHA-256 of its octets, so the same picture sent to a
thousand recipients is kept once. ``put`` writes to a temporary name, makes the octets durable,
renames, and makes the name durable; only then may a message that refers to it be committed, with
its rows of the table ``media`` in the same transaction. So a crash leaves files that nobody refers
to, and never a row without its file.

``Collector`` removes what no row refers to and what nobody has put for an hour: a file that was put
a moment ago belongs to a message that is not committed yet. Putting a file that is there makes it
new. A file is removed by renaming it first, to a name of its own: whoever puts it meanwhile either
finds the name gone, and writes it again, or has made it new before it went, and then it is put
back. No lock is needed, and nodes that share the folder do no harm to each other.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection
from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from smsgw.gathering import Gathering
from smsgw.media_folder import GRACE_S, Content, Folder, is_digest
from smsgw.s3 import Bucket, Missing
from smsgw.store import links
from smsgw.store import media as rows
from smsgw.store.journal import Journal

T = TypeVar("T")
_log = Logger()

_TICK_S = 0.1  # times of files are coarser than the clock
COLLECT_S = 3600.0  # between two collections
_THREADS = 8
_PAGE = 500  # digests that are looked up at once

# Contents of this size and less are put together with others: those of several messages.
_SMALL = 256 * 1024
_TOGETHER = 16  # messages


class Files(Protocol):
    """Where media are kept. The methods block: ``MediaStore`` calls them on threads."""

    def prepare(self) -> None:
        """Once, before all others. Raises OSError, ``s3.Unusable``."""

    @property
    def near(self) -> bool:
        """True if a put takes no longer than to have another thread do it."""

    def put(self, content: Content) -> str:
        """Keeps the octets durably; their SHA-256 in hex. Raises OSError."""

    def get(self, digest: str) -> bytes:
        """The octets. Raises ``Missing``, OSError."""

    def read(self, digest: str, start: int, count: int) -> bytes:
        """``count`` of the octets from ``start`` on. Raises ``Missing``, OSError."""

    def size(self, digest: str) -> int:
        """How many octets. Raises ``Missing``, OSError."""

    def remove(self, digest: str, before: float) -> bool:
        """Removes what was put last before ``before`` (seconds since 1970); True if it did."""

    def walk(self) -> Iterator[tuple[str, float]]:
        """Digest, and when it was put last, of all there is."""

    def tidy(self, before: float) -> None:
        """Removes what writers that died before ``before`` left half done."""


class _Remote:
    """A bucket, and the folder where content is gathered."""

    near = False

    def __init__(self, bucket: Bucket, local: Folder) -> None:
        self._local = local
        self._bucket = bucket
        self.put, self.get, self.size = bucket.put, bucket.get, bucket.size
        self.read = bucket.read
        self.remove, self.walk = bucket.remove, bucket.walk

    def prepare(self) -> None:
        """See ``Files``."""
        self._local.spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._bucket.prepare()

    def tidy(self, before: float) -> None:
        """See ``Files``. Objects appear whole or not at all."""
        self._local.tidy(before)


class MediaStore:
    """The media of this gateway; all that blocks runs on threads of its own.

    ``spool`` is a folder for what is being received (None: the system's).
    """

    def __init__(self, files: Files, reactor: Any, spool: Path | None = None) -> None:
        self._files = files
        self._reactor = reactor
        self._pool = ThreadPool(0, _THREADS, "media")
        self.spool = spool
        self._together: Gathering[Sequence[bytes], list[str]] = Gathering(self._put_each, _TOGETHER)

    def start(self) -> None:
        """Makes the store ready. Raises OSError, ``s3.Unusable``."""
        self._files.prepare()
        self._pool.start()

    def stop(self) -> None:
        """Ends the threads, when what they do is done."""
        if self._pool.started:
            self._pool.stop()

    def run(self, function: Callable[..., T], *arguments: Any) -> Deferred[T]:
        """Calls ``function`` on one of the threads."""
        if not self._pool.started:
            raise RuntimeError("the media store is not started")
        return deferToThreadPool(self._reactor, self._pool, function, *arguments)

    def put(self, content: Content) -> Deferred[str]:
        """Keeps the octets; fires with their digest when they are durable, fails with OSError.

        Only then a message may be committed that refers to them.
        """
        return self.run(self._files.put, content)

    def put_all(self, contents: Sequence[bytes]) -> Deferred[list[str]]:
        """Keeps several; fires with their digests when all are durable, fails with OSError."""
        if isinstance(self._files, Folder) and sum(map(len, contents)) <= _SMALL:
            return self._together(contents)
        if self._files.near:
            return self.run(lambda: [self._files.put(one) for one in contents])
        every = gatherResults([self.put(one) for one in contents], consumeErrors=True)

        def first(failure: Failure) -> Failure:
            failure.trap(FirstError)
            fault: Failure = failure.value.subFailure  # type: ignore[union-attr]  # of FirstError
            return fault

        return every.addErrback(first)

    def _put_each(self, several: list[Sequence[bytes]]) -> Deferred[list[list[str] | Exception]]:
        assert isinstance(self._files, Folder)
        return self.run(self._files.put_each, several)

    def get(self, digest: str) -> Deferred[bytes]:
        """The octets; fails with ``Missing``."""
        return self.run(self._files.get, digest)

    def read(self, digest: str, start: int, count: int) -> Deferred[bytes]:
        """``count`` of the octets from ``start`` on; fails with ``Missing``."""
        return self.run(self._files.read, digest, start, count)

    def get_here(self, digest: str) -> bytes:
        """The octets, on a thread of ``run``: it blocks. Raises ``Missing``, OSError."""
        return self._files.get(digest)

    def size(self, digest: str) -> Deferred[int]:
        """How many octets; fails with ``Missing``."""
        return self.run(self._files.size, digest)

    def remove(self, digest: str, before: float) -> Deferred[bool]:
        """Removes what was put last before ``before`` (seconds since 1970)."""
        return self.run(self._files.remove, digest, before)

    def old(self, before: float) -> Deferred[list[str]]:
        """Digests of all that was put last before ``before``."""
        return self.run(
            lambda: [digest for digest, at in self._files.walk() if at < before],
        )

    def tidy(self, before: float) -> Deferred[None]:
        """Removes what writers that died before ``before`` left half done."""
        return self.run(self._files.tidy, before)


class Collector:
    """Removes media whose time is over, or that no message refers to."""

    def __init__(
        self,
        store: MediaStore,
        journal: Journal,
        clock: Any,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._journal = journal
        self._now = now
        self._loop = LoopingCall(self._collect_logged)
        self._loop.clock = clock
        self._under_way: Deferred[None] | None = None
        self._first = GRACE_S
        self.removed = 0

    def start(self, alone: bool = True) -> None:
        """Collects now, for what a crash may have left, and from now on every hour.

        ``alone`` says that nobody else puts into this store: then nothing that was put before now
        waits for its message.
        """
        self._first = _TICK_S if alone else GRACE_S
        self._loop.start(COLLECT_S)

    def stop(self) -> Deferred[None]:
        """Fires when no collection is under way any more."""
        if self._loop.running:
            self._loop.stop()
        over: Deferred[None] = Deferred()
        if self._under_way is None:
            over.callback(None)
        else:
            self._under_way.addBoth(lambda _: over.callback(None))
        return over

    def _collect_logged(self) -> Deferred[None]:
        grace, self._first = self._first, GRACE_S
        done = self._under_way = Deferred.fromCoroutine(self.collect(grace))

        def ended(_: Any) -> None:
            self._under_way = None

        done.addErrback(_not_collected)
        return done.addBoth(ended)

    async def collect(self, grace_s: float = GRACE_S) -> None:
        """Removes all that may go now; what was put within ``grace_s`` seconds stays."""
        now = self._now()
        await self._journal.run(lambda connection: rows.expire(connection, int(now * 1000)))
        await self._journal.run(lambda connection: links.expire(connection, int(now * 1000)))
        before = now - grace_s
        await self._store.tidy(before)
        old = await self._store.old(before)
        for start in range(0, len(old), _PAGE):
            page = old[start : start + _PAGE]
            for digest in await self._journal.run(_unreferenced(page)):
                if await self._store.remove(digest, before):
                    self.removed += 1


def _not_collected(failure: Failure) -> None:
    if failure.check(OSError):
        # A disk or bucket that fails is the operator's; the next hour's collection makes up for it.
        _log.error("media: not collected: {why}", why=failure.getErrorMessage())
    else:
        _log.failure("media: collection", failure)


def _unreferenced(page: Sequence[str]) -> Callable[[Connection], list[str]]:
    def read(connection: Connection) -> list[str]:
        held = rows.referenced(connection, page)
        return [digest for digest in page if digest not in held]

    return read


def open_media(url: str, folder: str | Path, reactor: Any) -> MediaStore:
    """The media store at ``url`` ("s3://..."), or in ``folder`` if it is "". What is being received
    is in that folder in either case."""
    local = Folder(folder)
    files: Files = _Remote(Bucket(url, local.spool), local) if url else local
    return MediaStore(files, reactor, local.spool)


__all__ = [
    "GRACE_S",
    "Bucket",
    "Collector",
    "Files",
    "Folder",
    "MediaStore",
    "Missing",
    "is_digest",
    "open_media",
]
