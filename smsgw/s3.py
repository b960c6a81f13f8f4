"""Media in a bucket of an S3-compatible store, by boto3 (extra ``s3``).

Credentials are those of boto3: environment, ``~/.aws``, or the machine's role. All methods block,
and raise OSError, as a folder does, when the store does not do what it is asked.
"""

import importlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from threading import Condition
from typing import Any
from urllib.parse import parse_qsl, urlsplit

_KEYS = {"endpoint", "region"}
_TIMEOUT_S = 30
_ATTEMPTS = 3


class Missing(Exception):
    """There are no media with this digest."""


class Unusable(Exception):
    """The bucket cannot be used as it is named; the text says why."""


def parse(url: str) -> tuple[str, str, dict[str, str]]:
    """Bucket, prefix with a slash at its end or "", and the options of
    ``s3://bucket/prefix?endpoint=https://...&region=...``. Raises ``Unusable``."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme != "s3" or not parts.netloc or parts.fragment:
        raise Unusable('it must be like "s3://bucket/prefix?endpoint=https://s3.example.com"')
    unknown = set(options) - _KEYS
    if unknown:
        raise Unusable(f"{sorted(unknown)[0]} is no option; known are endpoint and region")
    endpoint = options.get("endpoint", "https://")
    if not endpoint.startswith(("http://", "https://")):
        raise Unusable("endpoint must begin with http:// or https://")
    prefix = parts.path.strip("/")
    return parts.netloc, f"{prefix}/" if prefix else "", options


class Bucket:
    """Media as objects of a bucket; the last modification of one is when it was put last."""

    def __init__(self, url: str, spool: Path | None = None) -> None:
        """``spool`` is where content is gathered until its digest is known. Raises ``Unusable``."""
        self._bucket, self._prefix, self._options = parse(url)
        self._spool = spool
        self._client: Any = None
        self._refused: type[Exception] = Missing  # what boto3 raises when the store says no
        self._faults: tuple[type[Exception], ...] = ()  # all that it raises of the store

    def prepare(self) -> None:
        """Makes the client. Raises ``Unusable``."""
        options = self._options
        try:
            boto3 = importlib.import_module("boto3")
            config = importlib.import_module("botocore.config").Config
        except ImportError:
            raise Unusable('boto3 is not installed; install it with: pip install ".[s3]"') from None
        exceptions = importlib.import_module("botocore.exceptions")
        self._refused = exceptions.ClientError
        self._faults = exceptions.ClientError, exceptions.BotoCoreError
        session = boto3.session.Session()
        self._changing: set[str] = set()  # digests that are being put or removed
        self._changed = Condition()
        self._client = session.client(
            "s3",
            endpoint_url=options.get("endpoint"),
            region_name=options.get("region", "us-east-1"),
            config=config(
                connect_timeout=_TIMEOUT_S,
                read_timeout=_TIMEOUT_S,
                retries={"max_attempts": _ATTEMPTS, "mode": "standard"},
            ),
        )

    def put(self, content: bytes | Iterable[bytes]) -> str:
        """See ``media.Files``. What is there is put again, which makes it new."""
        hashed = sha256()
        with TemporaryFile(dir=self._spool) as file:
            for chunk in (content,) if isinstance(content, bytes) else content:
                hashed.update(chunk)
                file.write(chunk)
            file.seek(0)
            digest = hashed.hexdigest()
            with self._alone_with(digest), self._faults_told():
                self._client.put_object(Bucket=self._bucket, Key=self._prefix + digest, Body=file)
        return digest

    def get(self, digest: str) -> bytes:
        """See ``media.Files``."""
        return self._octets(self._client.get_object, digest)

    def read(self, digest: str, start: int, count: int) -> bytes:
        """See ``media.Files``."""
        span = f"bytes={start}-{start + count - 1}"
        return self._octets(partial(self._client.get_object, Range=span), digest)

    def size(self, digest: str) -> int:
        """See ``media.Files``."""
        return int(self._asked(self._client.head_object, digest)["ContentLength"])

    def remove(self, digest: str, before: float) -> bool:
        """See ``media.Files``."""
        with self._alone_with(digest):
            try:
                head = self._asked(self._client.head_object, digest)
            except Missing:
                return False
            if head["LastModified"].timestamp() >= before:
                return False
            with self._faults_told():
                self._client.delete_object(Bucket=self._bucket, Key=self._prefix + digest)
            return True

    @contextmanager
    def _alone_with(self, digest: str) -> Iterator[None]:
        """Nobody else of this process puts or removes the object meanwhile: S3 cannot remove on the
        condition that it has not been put again."""
        with self._changed:
            while digest in self._changing:
                self._changed.wait()
            self._changing.add(digest)
        try:
            yield
        finally:
            with self._changed:
                self._changing.discard(digest)
                self._changed.notify_all()

    def walk(self) -> Iterator[tuple[str, float]]:
        """See ``media.Files``."""
        pages = self._client.get_paginator("list_objects_v2")
        asked = iter(pages.paginate(Bucket=self._bucket, Prefix=self._prefix))
        while True:
            with self._faults_told():
                page = next(asked, None)
            if page is None:
                return
            for one in page.get("Contents", ()):
                name = one["Key"].removeprefix(self._prefix)
                if len(name) == 64 and not name.strip("0123456789abcdef"):
                    yield name, one["LastModified"].timestamp()

    def _octets(self, ask: Any, digest: str) -> bytes:
        body = self._asked(ask, digest)["Body"]
        with self._faults_told():
            octets: bytes = body.read()
        return octets

    def _asked(self, ask: Any, digest: str) -> Any:
        with self._faults_told():
            try:
                return ask(Bucket=self._bucket, Key=self._prefix + digest)
            except self._refused as error:
                said = getattr(error, "response", {}).get("Error", {})
                if said.get("Code") in ("404", "NoSuchKey", "NotFound"):
                    raise Missing(digest) from None
                raise

    @contextmanager
    def _faults_told(self) -> Iterator[None]:
        """What is wrong with the store is told as of a disk: whoever waits tries again."""
        try:
            yield
        except self._faults as fault:
            raise OSError(f"bucket {self._bucket}: {fault}") from fault
