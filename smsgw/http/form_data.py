"""The body of a request to a customer's URL that has media in it: multipart/form-data (RFC 7578) in
a file, so that a slow receiver holds no memory."""

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from attrs import define
from twisted.internet.defer import Deferred

from smsgw import signature
from smsgw.message import Media

_PIECE = 1 << 16  # octets


@define(eq=False)
class FormData:
    """Such a body. ``run`` calls on a thread."""

    content_type: str
    run: Callable[..., Deferred[Any]]
    _file: IO[bytes]

    def opened(self) -> IO[bytes]:
        """The file from its beginning on; whoever reads it closes it. One reads at a time."""
        file = os.fdopen(os.dup(self._file.fileno()), "rb")
        file.seek(0)
        return file

    def signed(self, secret: str, method: str, target: str, now: int) -> Deferred[str]:
        """The signature of a request with it (``signature.sign``)."""
        return self.run(self._signed, secret, method, target, now)

    def _signed(self, secret: str, method: str, target: str, now: int) -> str:
        return signature.sign_pieces(secret, method, target, self._pieces(), now)

    def _pieces(self) -> Iterator[bytes]:
        with self.opened() as file:
            while piece := file.read(_PIECE):
                yield piece

    def close(self) -> None:
        """Forgets it."""
        self._file.close()


def composed(
    fields: Sequence[tuple[str, str]],
    media: Sequence[Media],
    get: Callable[[str], bytes],
    run: Callable[..., Deferred[Any]],
    folder: Path | None,
) -> FormData:
    """A body of ``fields``, and of ``media`` as ``media1``, ``media2`` ...

    ``get`` gives octets by digest. Blocks. Raises OSError, ``s3.Missing``.
    """
    boundary = secrets.token_hex(16)
    file = TemporaryFile(dir=folder)  # noqa: SIM115  # open as long as the body is
    try:
        for name, text in fields:
            file.write(_head(boundary, f'name="{name}"', "text/plain; charset=utf-8"))
            file.write(text.encode("utf-8", "replace") + b"\r\n")
        for n, one in enumerate(media, 1):
            kind = f"{one.type}; charset={one.charset}" if one.charset else one.type
            # Names are safe: mm4/names.py.
            file.write(_head(boundary, f'name="media{n}"; filename="{one.name}"', kind))
            file.write(get(one.digest))
            file.write(b"\r\n")
        file.write(f"--{boundary}--\r\n".encode())
        file.flush()
    except BaseException:
        file.close()
        raise
    return FormData(f"multipart/form-data; boundary={boundary}", run, file)


def _head(boundary: str, names: str, kind: str) -> bytes:
    return (
        f"--{boundary}\r\nContent-Disposition: form-data; {names}\r\nContent-Type: {kind}\r\n\r\n"
    ).encode()
