"""The pages that links in SMS lead to: each shows a multimedia message (ruling 30).

A token is all that is needed to see one, and cannot be guessed. An unknown token and one whose
media are over are answered alike. The page has no scripts, and loads nothing from elsewhere.
"""

import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Protocol

from attrs import frozen
from jinja2 import DictLoader, Environment, StrictUndefined
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from smsgw.flow.link import PATH
from smsgw.flow.lists import Runner
from smsgw.http import ranges
from smsgw.http.render import iso
from smsgw.http.site import Request, Response, Site
from smsgw.message import Direction, Media, Message, Multimedia
from smsgw.mm4 import mime, slides, types
from smsgw.queues import Transaction
from smsgw.s3 import Missing
from smsgw.store import links
from smsgw.store.journal import StoreFailed
from smsgw.text.reading import e123

_log = Logger("smsgw.http")

_HTML = "text/html; charset=utf-8"
_OCTETS = "application/octet-stream"
_CSP = b"default-src 'none'; img-src 'self'; media-src 'self'; style-src 'self'"
_HEADERS = (
    (b"Content-Security-Policy", _CSP),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"X-Frame-Options", b"DENY"),
    (b"X-Robots-Tag", b"noindex, nofollow"),
)
# What is shown in the page; whatever else is downloaded.
_SHOWN = ("image", "audio", "video")
_LONGEST_TEXT = 100_000  # octets that are shown of all texts together
_PIECE = 65_536
# Who looks at links for somebody else, to show a preview or to check them (ruling 30).
_ROBOT = re.compile(
    rb"bot\b|bot/|crawl|spider|preview|facebookexternalhit|facebot|whatsapp|telegram|slack|discord"
    rb"|skypeuri|viber|embedly|snapchat|pinterest|googlemessages|google-safety|safebrowsing"
    rb"|scanner|curl/|wget/|python-|go-http-client|okhttp|java/|headlesschecker",
    re.IGNORECASE,
)


class Store(Protocol):
    """The media store."""

    def get(self, digest: str) -> Deferred[bytes]:
        """The octets."""

    def read(self, digest: str, start: int, count: int) -> Deferred[bytes]:
        """Some of them."""


class Reads(Protocol):
    """Who is told that a message was read (``flow/ending.py``)."""

    def read(self, message: Message, at: int, transaction: Transaction) -> None:
        """The recipient has read it."""


class Commits(Protocol):
    """Who makes that durable."""

    def commit(self, transaction: Transaction) -> Deferred[None]:
        """Makes the transaction durable."""


@frozen
class Item:
    """One of the media as the page shows it."""

    kind: str  # "image", "audio", "video", "text", "file"
    url: str
    name: str
    size: str
    label: str
    text: str = ""


class Pages:
    """``/m/{token}``, and the media of each."""

    def __init__(
        self,
        runner: Runner,
        message: Callable[[None, int], Awaitable[Message | None]],
        media: Store,
        reads: Reads,
        queues: Commits,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``runner`` reads the store, ``message`` gives one by its id; ``now`` seconds since
        1970."""
        self._runner = runner
        self._message = message
        self._media = media
        self._reads = reads
        self._queues = queues
        self._now = now
        folder = files("smsgw.http") / "templates"
        self._fixed = {
            name: (kind, (folder / name).read_bytes())
            for name, kind in (("mms.css", "text/css; charset=utf-8"), ("mms.svg", "image/svg+xml"))
        }
        html = (folder / "mms.html").read_text("utf-8")
        environment = Environment(
            loader=DictLoader({"mms.html": html}), autoescape=True, undefined=StrictUndefined
        )
        self._page = environment.get_template("mms.html")
        nothing = {"sent": "", "sent_iso": "", "slides": [], "files": [], "until": ""}
        self._gone = self._page.render(
            title="Not found", sender="", subject="", gone=True, **nothing
        ).encode()

    def add(self, site: Site) -> None:
        """Shows the pages on a site."""
        site.add(PATH, self.answer, dialect="pages")

    async def answer(self, request: Request) -> Response:
        """The page, or one of its media."""
        if request.method != "GET":
            headers = [*_HEADERS, (b"Allow", b"GET, HEAD")]
            return Response(405, b"Method Not Allowed\n", headers=headers)
        token, _, rest = request.path.removeprefix(PATH).partition("/")
        fixed = self._fixed.get(token)
        if fixed is not None and not rest:
            cached = (b"Cache-Control", b"public, max-age=86400")
            return Response(200, fixed[1], fixed[0], [*_HEADERS, cached])
        now = int(self._now() * 1000)
        # A token that is none is looked for as well: the answer takes as long.
        found = await self._runner.run(lambda c: links.find(c, token[:64], now))
        message = await self._message(None, found.message) if found is not None else None
        if found is None or message is None or message.multimedia is None:
            return self._not_there()
        try:
            if not rest:
                return await self._shown(request, message, message.multimedia, found.until)
            if request.path.endswith("/"):
                return self._not_there()
            return self._octets(request, message.multimedia, rest)
        except Missing:
            return self._not_there()
        except OSError as error:
            _log.error("message {id}: its page: {why}", id=message.id, why=str(error))
            headers = [*_HEADERS, (b"Retry-After", b"60"), (b"Cache-Control", b"no-store")]
            return Response(503, b"Please try again in a minute.\n", headers=headers)

    def _not_there(self) -> Response:
        return Response(404, self._gone, _HTML, [*_HEADERS, (b"Cache-Control", b"no-store")])

    # --- The page.

    async def _shown(
        self, request: Request, message: Message, multimedia: Multimedia, until: int
    ) -> Response:
        token = request.path.removeprefix(PATH).rstrip("/")
        if request.path.endswith("/"):
            # Its references are relative to the folder of the page.
            headers = [*_HEADERS, (b"Location", f"../{token}".encode())]
            return Response(308, b"", headers=headers)
        on_slides, left = await self._arranged(multimedia, token)
        sender = "" if multimedia.visibility == "Hide" else e123(message.source)
        subject = multimedia.subject.strip()
        at = datetime.fromtimestamp(message.accepted_at / 1000, UTC)
        page = self._page.render(
            title=subject or (f"Message from {sender}" if sender else "Message"),
            sender=sender,
            subject=subject,
            sent=f"{at:%d %B %Y, %H:%M} UTC",
            sent_iso=iso(message.accepted_at),
            slides=on_slides,
            files=left,
            until=f"{datetime.fromtimestamp(until / 1000, UTC):%d %B %Y}",
            gone=False,
        )
        if not request.head_only and is_a_person(request):
            await self._read(message)
        headers = [*_HEADERS, (b"Cache-Control", b"private, no-store")]
        return Response(200, page.encode(), _HTML, headers)

    async def _arranged(
        self, multimedia: Multimedia, token: str
    ) -> tuple[list[list[Item]], list[Item]]:
        """What is on slides, and what is to be downloaded."""
        start = slides.start_of(multimedia)
        media = [one for one in multimedia.media if one.type != mime.SMIL]
        arranged = []
        if start is not None:
            arranged = slides.slides(await self._media.get(start.digest), media)
        seen = {one.id for slide in arranged for one in slide}
        others = [one for one in media if one.id not in seen]
        arranged += [[one] for one in others if _kind(one) != "file"]
        left = [one for one in others if _kind(one) == "file"]
        numbers = {one.id: n for n, one in enumerate(multimedia.media, 1)}
        room = _LONGEST_TEXT
        shown: list[list[Item]] = []
        for slide in arranged:
            items: list[Item] = []
            for one in slide:
                kind, text = _kind(one), ""
                if kind == "text" and one.size <= room:
                    room -= one.size
                    text = (await self._media.get(one.digest)).decode("utf-8", "replace")
                elif kind in ("text", "file"):
                    left.append(one)
                    continue
                items.append(_item(one, kind, f"{token}/{numbers[one.id]}", text))
            if items:
                shown.append(items)
        files = [_item(one, "file", f"{token}/{numbers[one.id]}") for one in left]
        return shown, files

    async def _read(self, message: Message) -> None:
        """The first visit counts as a read (ruling 18)."""
        if message.read_at or message.direction == Direction.MO:
            return
        transaction = Transaction()
        self._reads.read(message, int(self._now() * 1000), transaction)
        try:
            await self._queues.commit(transaction)
        except StoreFailed as failure:
            message.read_at = 0  # the next visit is the first
            _log.error("message {id}: read, not stored: {why}", id=message.id, why=str(failure))

    # --- Its media.

    def _octets(self, request: Request, multimedia: Multimedia, rest: str) -> Response:
        number = int(rest) if re.fullmatch(r"[1-9][0-9]{0,2}", rest, re.ASCII) else 0
        if not 1 <= number <= len(multimedia.media):
            return self._not_there()
        one = multimedia.media[number - 1]
        kind = _kind(one)
        inline = kind in _SHOWN
        content_type = one.type if inline or kind == "file" else "text/plain; charset=utf-8"
        if one.type not in types.ACCEPTED:
            content_type = _OCTETS
        tag = f'"{one.digest[:32]}"'.encode()
        place = "inline" if inline and content_type != _OCTETS else "attachment"
        headers = [
            *_HEADERS,
            (b"Content-Disposition", f'{place}; filename="{one.name}"'.encode()),
            (b"Cache-Control", b"private, max-age=3600"),
            (b"Accept-Ranges", b"bytes"),
            (b"ETag", tag),
        ]
        asked = request.headers
        if tag in [each.strip() for each in asked.get(b"if-none-match", b"").split(b",")]:
            return Response(304, headers=headers)
        span = asked.get(b"range")
        # Ranges are of GET alone (RFC 9110 §14.2).
        if request.head_only or asked.get(b"if-range", tag) != tag:
            span = None
        try:
            found = ranges.asked(span, one.size)
        except ranges.Unsatisfiable:
            headers.append((b"Content-Range", b"bytes */%d" % one.size))
            return Response(416, b"", content_type, headers)
        start, count = found or (0, one.size)
        if found is not None:
            shown = b"bytes %d-%d/%d" % (start, start + count - 1, one.size)
            headers.append((b"Content-Range", shown))
        stream = _Octets(self._media, one.digest, start, count)
        status = 200 if found is None else 206
        return Response(status, b"", content_type, headers, stream, count)


class _Octets:
    """Some octets of a file, piece by piece as the client reads them."""

    def __init__(self, media: Store, digest: str, start: int, count: int) -> None:
        self._media = media
        self._digest = digest
        self._at = start
        self._left = count
        self._piece = b""
        self._waiting = self._stopped = False

    def pull(self, wake: Callable[[], None]) -> bytes | None:
        """See ``http.site.Stream``."""
        piece, self._piece = self._piece, b""
        if piece:
            self._at += len(piece)
            self._left -= len(piece)
            return piece
        if self._left <= 0 or self._stopped:
            return None
        if not self._waiting:
            self._waiting = True
            asked = self._media.read(self._digest, self._at, min(_PIECE, self._left))
            asked.addBoth(self._came, wake)
        return b""

    def _came(self, result: Any, wake: Callable[[], None]) -> None:
        self._waiting = False
        if isinstance(result, bytes) and result:
            self._piece = result
        else:
            self._stopped = True  # the client sees that octets are missing
        wake()

    def stop(self) -> None:
        """See ``http.site.Stream``."""
        self._stopped = True


def is_a_person(request: Request) -> bool:
    """False for robots, and for browsers that fetch what nobody has asked to see yet."""
    headers = request.headers
    for name in (b"sec-purpose", b"purpose", b"x-purpose", b"x-moz"):
        if re.search(rb"prefetch|prerender|preview", headers.get(name, b""), re.IGNORECASE):
            return False
    agent = headers.get(b"user-agent", b"")
    return bool(agent) and _ROBOT.search(agent) is None


def _kind(media: Media) -> str:
    if media.type == types.TEXT:
        return "text"
    kind = media.type.partition("/")[0]
    return kind if kind in _SHOWN and media.type in types.ACCEPTED else "file"


def _item(media: Media, kind: str, url: str, text: str = "") -> Item:
    words = {"image": "Picture", "audio": "Sound", "video": "Video"}.get(kind, "File")
    return Item(kind, url, media.name, _size(media.size), f"{words} {media.name}", text)


def _size(octets: int) -> str:
    if octets < 1000:
        return f"{octets} bytes"
    if octets < 1_000_000:
        return f"{octets / 1000:.0f} kB"
    return f"{octets / 1_000_000:.1f} MB"
