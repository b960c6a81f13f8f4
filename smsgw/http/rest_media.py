"""The attachment of an MMS that is sent by REST: received or fetched, judged by its content, and
kept before the message is handed in (``spec/aerialink.md`` 4.3, rulings 22 and 25)."""

from collections.abc import Callable
from functools import partial
from pathlib import PurePosixPath
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from twisted.internet.defer import Deferred, DeferredSemaphore

from smsgw.http.outgoing import BadUrl, Into, Outgoing, Unanswered
from smsgw.http.rest_bodies import Attachment, ParameterError, Parameters, read_body, text_of
from smsgw.http.site import Request
from smsgw.http.wording import Call
from smsgw.message import TEXT_KEPT, Multimedia
from smsgw.mm4 import content as contents
from smsgw.mm4 import types
from smsgw.mm4.mime import Content, ContentFault, Part
from smsgw.outward import UnderWay
from smsgw.refusals import Reason
from smsgw.smtp.spool import Spool

MAX_MAIL = 5_242_880  # octets that a multimedia message may have as a mail (ruling 22)
_FETCH_S = 15.0
_FETCHES = 8  # of one account at a time; what comes on top waits for its turn
_IN_MEMORY = 4  # contents at a time, which have up to MAX_MAIL octets, and copies of them


class Store(Protocol):
    """The media store (``smsgw/media.py``)."""

    @property
    def spool(self) -> Any:
        """Folder of what is being received."""

    def run(self, function: Callable[..., Any], *arguments: Any) -> "Deferred[Any]":
        """Calls on a thread."""

    def put(self, content: bytes) -> "Deferred[str]":
        """Keeps octets durably; their digest."""


class Attachments:
    """Makes the contents of multimedia messages."""

    def __init__(self, store: Store, reactor: Any, private: bool, trust: Any = None) -> None:
        """``private``: media may be fetched from addresses that are not public. ``trust`` is whose
        certificates are taken, None: the platform's."""
        self._store = store
        self._private = private
        self._outgoing = Outgoing(reactor, trust)
        self._room = DeferredSemaphore(_IN_MEMORY)
        self._fetching: dict[str, DeferredSemaphore] = {}
        self._under_way = UnderWay(reactor)

    def stop(self) -> Deferred[None]:
        """Fires when nothing is fetched any more."""
        return self._under_way.stop().addCallback(
            lambda _: Deferred.fromCoroutine(self._outgoing.stop())
        )

    def read(self, request: Request) -> Deferred[Parameters]:
        """The parameters of a body that is in a file. Fails with ParameterError."""
        return self._room.run(self._store.run, read_body, request)

    def multimedia(self, parameters: Parameters, account: str, keep: bool) -> Deferred[Multimedia]:
        """What ``parameters`` make of a message; durable if ``keep``.

        Fails with ParameterError.
        """
        return self._under_way.run(self._multimedia(parameters, account, keep))

    async def _multimedia(self, parameters: Parameters, account: str, keep: bool) -> Multimedia:
        file = parameters.get("file")
        spool = None
        try:
            if not isinstance(file, Attachment):
                spool = Spool(self._store.spool)
                file = await self._turn(account, text_of(parameters, "mediaUrl"), spool)
            text, subject = text_of(parameters, "messageText"), text_of(parameters, "subject")
            make = partial(self._made, file, text, subject, keep)
            return await self._room.run(lambda: Deferred.fromCoroutine(make()))
        finally:
            if spool is not None:
                spool.close()

    async def _made(self, file: Attachment, text: str, subject: str, keep: bool) -> Multimedia:
        content = await self._store.run(_admitted, file, text)
        if keep:
            for part in content.parts:
                await self._store.put(part.content)
        media = [contents.media(part) for part in content.parts]
        return Multimedia(media=media, start=content.start, subject=subject, text=text[:TEXT_KEPT])

    # --- Fetching.

    async def _turn(self, account: str, url: str, spool: Spool) -> Attachment:
        """The file at ``url``; each account has a number of fetches under way, so that a slow
        server delays only whose it is (I5)."""
        turns = self._fetching.setdefault(account, DeferredSemaphore(_FETCHES))
        try:
            return await turns.run(lambda: Deferred.fromCoroutine(self._fetch(url, spool)))
        finally:
            if turns.tokens == turns.limit:
                self._fetching.pop(account, None)

    async def _fetch(self, url: str, spool: Spool) -> Attachment:
        into = Into(spool, MAX_MAIL, self._store.run)
        try:
            answer = await self._outgoing.ask(Call("GET", url), _FETCH_S, self._private, into=into)
        except (BadUrl, Unanswered) as fault:
            raise ParameterError(Reason.PARAMETER_INVALID, f"mediaUrl: {fault}") from None
        if spool.size > MAX_MAIL:
            raise ParameterError(Reason.TOO_LARGE, f"mediaUrl: more than {MAX_MAIL} octets")
        if answer.status != 200:
            raise ParameterError(Reason.PARAMETER_INVALID, f"mediaUrl: HTTP {answer.status}")
        if not answer.complete:
            raise ParameterError(Reason.PARAMETER_INVALID, "mediaUrl: no whole answer in time")
        name = PurePosixPath(unquote(urlsplit(url).path, errors="replace")).name
        kind = answer.content_type.partition(";")[0].strip().lower()
        return Attachment(name, kind, "", spool.read)


def _admitted(file: Attachment, text: str) -> Content:
    """The content of a message. Blocks, and takes CPU. Raises ParameterError."""
    octets = file.read()
    if not octets:
        raise ParameterError(Reason.PARAMETER_INVALID, "file: it is empty")
    parts = [Part(types.TEXT, "text.txt", content=text.encode(), charset="utf-8")] if text else []
    parts.append(Part(file.type or types.OCTETS, file.name, content=octets))
    try:
        content = contents.admit(Content(parts)).content
    except ContentFault as fault:
        raise ParameterError(Reason.PARAMETER_INVALID, f"file: {fault.detail}") from None
    size = contents.size(content)
    if size > MAX_MAIL:
        raise ParameterError(
            Reason.TOO_LARGE, f"{size} octets once encoded, of {MAX_MAIL} that an MMS may have"
        )
    return content
