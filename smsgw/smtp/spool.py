"""Content that is being received: in memory while it is small, then in a file.

So the memory of a connection is bounded whatever it sends. Writing to the file blocks; the server
does it on a thread, and reads nothing meanwhile.
"""

import os
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

IN_MEMORY = 128 * 1024  # octets; a mail with a picture of 30 kB never sees a file


class Spool:
    """The content of one mail. The file has no name: no crash can leave it."""

    def __init__(self, folder: Path | None = None) -> None:
        """``folder`` is where the file is made; None: the system's."""
        self._folder = folder
        self._pending: list[bytes] = []
        self._held = 0
        self._file: IO[bytes] | None = None
        self._closed = False
        self.size = 0

    def add(self, data: bytes) -> bool:
        """Adds content; True if ``flush`` is due before more is added."""
        self._pending.append(data)
        self._held += len(data)
        self.size += len(data)
        return self._held > IN_MEMORY

    def flush(self) -> None:
        """Writes what is in memory to the file. Blocks. Raises OSError."""
        if self._closed:
            return
        if self._file is None:
            # It is open as long as the spool is.
            self._file = TemporaryFile(dir=self._folder)  # noqa: SIM115
        self._file.write(b"".join(self._pending))
        self._file.flush()
        self._pending.clear()
        self._held = 0

    @property
    def in_file(self) -> bool:
        """True if a part of it is in a file, so that ``read`` blocks."""
        return self._file is not None

    def read(self) -> bytes:
        """All of it. Raises OSError, and ValueError once it is closed."""
        if self._closed:
            raise ValueError("the spool is closed")
        if self._file is None:
            return b"".join(self._pending)
        held = os.pread(self._file.fileno(), self.size - self._held, 0)
        return held + b"".join(self._pending)

    def close(self) -> None:
        """Forgets it."""
        self._closed = True
        self._pending.clear()
        self._held = 0
        if self._file is not None:
            self._file.close()
            self._file = None
