"""Media as files in a folder: how one is put, read and removed (the theory is in ``media``)."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from tempfile import mkstemp
from typing import TypeVar

from smsgw.s3 import Missing

T = TypeVar("T")

GRACE_S = 3600.0  # so long what nobody refers to is kept: its message may not be committed yet
_DOOMED = ".doomed"
_DIGEST = 64  # hex digits
_KNOWN_MOST = 10_000  # names that are remembered as durable
_KNOWN_S = GRACE_S / 2  # nobody removes what was put so shortly ago
_OPEN = 64  # files of a batch that are open at once: messages may have a hundred parts each

Content = bytes | Iterable[bytes]


def is_digest(text: str) -> bool:
    """True if it is the name of a file: 64 hex digits in lower case."""
    return len(text) == _DIGEST and not text.strip("0123456789abcdef")


class Folder:
    """Media as files in a folder, in 256 folders by the first two digits of their names."""

    near = True

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self.spool = self._folder / "tmp"
        # Names that are known to be durable, and when they were put last (monotonic): a SMIL that
        # is in every message need not have its folder synced each time.
        self._known: dict[str, float] = {}

    def prepare(self) -> None:
        """Makes the folders that are missing. Raises OSError."""
        self.spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        for n in range(256):
            (self._folder / f"{n:02x}").mkdir(exist_ok=True, mode=0o700)
        _sync(self._folder)
        _sync(self._folder.parent)
        for file in self._folder.glob(f"*/*{_DOOMED}"):
            # A collection was cut off in between: the next one looks at it again.
            _put_back(file, file.with_name(file.name[:_DIGEST]))

    def put(self, content: Content) -> str:
        """See ``Files``."""
        if isinstance(content, bytes):
            known = sha256(content).hexdigest()
            if self._put_again(known):
                return known
        hashed = sha256()
        descriptor, name = mkstemp(dir=self.spool)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as out:
                for chunk in (content,) if isinstance(content, bytes) else content:
                    hashed.update(chunk)
                    out.write(chunk)
                digest = hashed.hexdigest()
                path = self._path(digest)
                if not isinstance(content, bytes) and self._put_again(digest):
                    return digest
                out.flush()
                os.fsync(out.fileno())
            temporary.rename(path)
            name = ""  # it is there no more
            _sync(path.parent)
            self._remember(digest)
            return digest
        finally:
            if name:
                temporary.unlink(missing_ok=True)

    def put_each(self, several: Sequence[Sequence[bytes]]) -> list[list[str] | Exception]:
        """Keeps the contents of several messages; for each its digests, or the OSError why not.

        It goes the way of ``put`` with all of them, step by step, so that the disk makes them
        durable together.
        """
        writing: dict[str, _Writing] = {}
        asked: list[list[str]] = []
        for contents in several:
            digests = [sha256(one).hexdigest() for one in contents]
            asked.append(digests)
            for digest, content in zip(digests, contents, strict=True):
                if digest not in writing:
                    writing[digest] = _Writing(self._path(digest), content)
        pairs = list(writing.items())
        for start in range(0, len(pairs), _OPEN):
            together = pairs[start : start + _OPEN]
            for digest, one in together:
                one.try_to(partial(self._begin, one, digest))
            for _, one in together:
                if one.temporary:
                    one.try_to(one.name)
        new = [one for one in writing.values() if one.temporary]
        faults: dict[Path, OSError] = {}
        for folder in {one.path.parent for one in new if one.fault is None}:
            try:
                _sync(folder)
            except OSError as fault:
                faults[folder] = fault
        for one in new:
            one.fault = one.fault or faults.get(one.path.parent)
            if one.fault is None:
                self._remember(one.path.name)
        return [
            next((f for digest in digests if (f := writing[digest].fault)), None) or digests
            for digests in asked
        ]

    def _begin(self, one: "_Writing", digest: str) -> None:
        if not self._put_again(digest):
            one.write(self.spool)

    def _put_again(self, digest: str) -> bool:
        """True if it is there, and durable; from now on it was put just now."""
        path = self._path(digest)
        put_last = self._known.get(digest)
        if not _renewed(path):
            return False
        if put_last is None or time.monotonic() - put_last > _KNOWN_S:
            _sync(path.parent)  # whoever wrote it may not have come so far
        self._remember(digest)
        return True

    def _remember(self, digest: str) -> None:
        if len(self._known) >= _KNOWN_MOST:
            self._known.clear()
        self._known[digest] = time.monotonic()

    def get(self, digest: str) -> bytes:
        """See ``Files``."""
        return self._found(digest, Path.read_bytes)

    def read(self, digest: str, start: int, count: int) -> bytes:
        """See ``Files``."""

        def read(path: Path) -> bytes:
            with path.open("rb") as file:
                file.seek(start)
                return file.read(count)

        return self._found(digest, read)

    def size(self, digest: str) -> int:
        """See ``Files``."""
        return self._found(digest, lambda path: path.stat().st_size)

    def remove(self, digest: str, before: float) -> bool:
        """See ``Files``."""
        path = self._path(digest)
        self._known.pop(digest, None)
        # Another node that removes the same must not find this one's.
        doomed = path.with_name(f"{digest}.{token_hex(8)}{_DOOMED}")
        try:
            if path.stat().st_mtime >= before:
                return False
            path.rename(doomed)
            if doomed.stat().st_mtime >= before:
                _put_back(doomed, path)
                return False
            doomed.unlink()
        except FileNotFoundError:
            return False  # another node has removed it, or has put it back as it started
        return True

    def walk(self) -> Iterator[tuple[str, float]]:
        """See ``Files``."""
        for n in range(256):
            with os.scandir(self._folder / f"{n:02x}") as entries:
                found = [one.name for one in entries if is_digest(one.name)]
            for name in found:
                try:
                    yield name, self._path(name).stat().st_mtime
                except FileNotFoundError:
                    continue

    def tidy(self, before: float) -> None:
        """See ``Files``."""
        for file in self.spool.iterdir():
            try:
                if file.stat().st_mtime < before:
                    file.unlink()
            except FileNotFoundError:
                continue

    def _found(self, digest: str, look: Callable[[Path], T]) -> T:
        """What ``look`` makes of the file. A collection may have taken its name away for a
        moment."""
        path = self._path(digest)
        for places in ((path,), path.parent.glob(f"{digest}.*{_DOOMED}"), (path,)):
            for one in places:
                try:
                    return look(one)
                except FileNotFoundError:
                    continue
        raise Missing(digest)

    def _path(self, digest: str) -> Path:
        if not is_digest(digest):
            raise Missing(digest)
        return self._folder / digest[:2] / digest


class _Writing:
    """A file on its way to ``path``, with others."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        self.content = content
        self.temporary = ""
        self.fault: OSError | None = None
        self._descriptor = -1

    def try_to(self, step: Callable[[], None]) -> None:
        """Goes a step; what fails is of this one only, and leaves nothing."""
        if self.fault is not None:
            return
        try:
            step()
        except OSError as fault:
            self.fault = fault
            self._close()
            if self.temporary:
                Path(self.temporary).unlink(missing_ok=True)

    def write(self, folder: Path) -> None:
        """Writes it under a temporary name. Raises OSError."""
        temporary = f"{folder}/{token_hex(16)}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._descriptor = os.open(temporary, flags, 0o600)
        self.temporary = temporary
        left = memoryview(self.content)
        while left:
            left = left[os.write(self._descriptor, left) :]
        # It begins to be written out now: when the first of a batch is made durable, all are.
        os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def name(self) -> None:
        """Makes the octets durable, and gives them their name. Raises OSError."""
        os.fsync(self._descriptor)
        self._close()
        os.rename(self.temporary, self.path)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _renewed(path: Path) -> bool:
    """True if it is there; from now on it was put just now."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _put_back(doomed: Path, path: Path) -> None:
    """Gives it its name again. It is new then: what it takes the place of may be."""
    try:
        os.utime(doomed)
        doomed.rename(path)
    except FileNotFoundError:
        pass  # another node was faster


def _sync(folder: Path) -> None:
    """Makes the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
