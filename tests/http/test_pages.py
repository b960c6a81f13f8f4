"""The pages that links in SMS lead to (ruling 30), without a network."""

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Engine, StaticPool, create_engine, insert
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from smsgw.http.pages import Pages
from smsgw.http.server import HttpServerFactory, Site
from smsgw.message import Direction, Media, Message, Multimedia
from smsgw.mm4 import smil
from smsgw.queues import Transaction
from smsgw.s3 import Missing
from smsgw.store import schema
from smsgw.store.journal import StoreFailed

NOW = 1_773_483_302_000  # 2026-03-14T10:15:02Z
TOKEN = "AbCdEfGhIjKlMnOpQrStUv"
OLD = "OldOldOldOldOldOldOldO"
PHONE = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36"
PICTURE = b"\xff\xd8\xff" + bytes(range(256)) * 1_000
CSP = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'self'"


class Shop:
    """A media store in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.away = False

    def keep(self, type: str, name: str, octets: bytes) -> Media:
        """One more."""
        digest = sha256(octets).hexdigest()
        self.kept[digest] = octets
        return Media(type, name, name, digest, len(octets))

    def get(self, digest: str) -> Deferred[bytes]:
        """See ``MediaStore``."""
        if self.away:
            return fail(OSError("bucket media: not reached"))
        return succeed(self.kept[digest]) if digest in self.kept else fail(Missing(digest))

    def read(self, digest: str, start: int, count: int) -> Deferred[bytes]:
        """See ``MediaStore``."""
        return self.get(digest).addCallback(lambda octets: octets[start : start + count])


class Journal:
    """Reads the store at once."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def run(self, function: Callable[[Connection], Any]) -> Deferred[Any]:
        """See ``Journal.run``."""
        with self.engine.begin() as connection:
            return succeed(function(connection))


class PagesCase(SynchronousTestCase):
    """A page with a picture, a text and a card, and what becomes of visits."""

    def setUp(self) -> None:
        self.engine = create_engine("sqlite://", poolclass=StaticPool)
        schema.metadata.create_all(self.engine)
        self.shop = Shop()
        media = [
            self.shop.keep("image/jpeg", "lake.jpg", PICTURE),
            self.shop.keep("text/plain", "t.txt", b'Hi <script>alert("1")</script> &amp;'),
            self.shop.keep("text/x-vcard", "me.vcf", b"BEGIN:VCARD\r\nEND:VCARD\r\n"),
        ]
        made = smil.made([smil.Shown(one.type, one.name) for one in media])
        start = self.shop.keep("application/smil", "smil.xml", made)
        multimedia = Multimedia([start, *media], start.id, 'A "<b>lake</b>"')
        self.message = Message(
            "447700900000", "447700900123", id=7, accepted_at=NOW - 1000, multimedia=multimedia
        )
        self.reads: list[int] = []
        self.broken = False
        pages = Pages(Journal(self.engine), self.find, self.shop, self, self, lambda: NOW / 1000)
        site = Site()
        pages.add(site)
        self.server = HttpServerFactory(site, Clock())
        with self.engine.begin() as connection:
            rows = [(TOKEN, 7, NOW + 86_400_000), (OLD, 7, NOW), ("x" * 22, 8, NOW + 1)]
            connection.execute(insert(schema.link).values(rows))

    def find(self, account: None, id: int) -> Any:
        """The message."""
        return succeed(self.message if id == 7 else None)

    def read(self, message: Message, at: int, transaction: Transaction) -> None:
        """Whoever is told of a read."""
        if not message.read_at:
            message.read_at = at

    def commit(self, transaction: Transaction) -> Deferred[None]:
        """The queues."""
        if self.broken:
            return fail(StoreFailed("disk full"))
        self.reads.append(self.message.read_at)
        return succeed(None)

    def ask(
        self, path: str, method: str = "GET", agent: str = PHONE, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of an answer."""
        lines = [f"{method} {path} HTTP/1.1", "Host: h"]
        lines += [f"User-Agent: {agent}"] if agent else []
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        wire = StringTransport()
        connection: Any = self.server.buildProtocol(None)
        connection.makeConnection(wire)
        connection.dataReceived("\r\n".join([*lines, "", ""]).encode())
        head, _, body = wire.value().partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        found = {k.lower(): v for k, _, v in (line.partition(": ") for line in rest)}
        return int(first.split()[1]), found, body


class Showing(PagesCase):
    """What is on a page."""

    def test_headers_are_those_of_the_ruling(self) -> None:
        """On pages, media and what is not there (ruling 30)."""
        for path in (f"/m/{TOKEN}", f"/m/{TOKEN}/2", "/m/mms.css", "/m/nothing"):
            _, headers, _ = self.ask(path)
            assert headers["content-security-policy"] == CSP, path
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"

    def test_page_shows_slides_and_files(self) -> None:
        """Picture with an alternative text, text, and what is no picture as a download."""
        status, headers, body = self.ask(f"/m/{TOKEN}")
        page = body.decode()
        assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert f'<img src="{TOKEN}/2" alt="Picture lake.jpg">' in page
        assert f'<a href="{TOKEN}/4" download="me.vcf">me.vcf</a> (24 bytes)' in page
        assert "viewport" in page
        assert "14 March 2026, 10:15 UTC" in page
        assert "until 15 March 2026" in page

    def test_nothing_of_a_message_is_markup(self) -> None:
        """Subject and text are shown as they are written; there is no script and no style."""
        page = self.ask(f"/m/{TOKEN}")[2].decode()
        assert "Hi &lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt; &amp;amp;" in page
        assert "<h1>A &#34;&lt;b&gt;lake&lt;/b&gt;&#34;</h1>" in page
        assert not re.search(r"<script|<style|style=|\son\w+=|javascript:|https?://", page)

    def test_video_and_sound_can_be_played_and_downloaded(self) -> None:
        """Phones play other types than browsers."""
        multimedia = self.message.multimedia
        assert multimedia is not None
        multimedia.media = [
            self.shop.keep("video/mp4", "v.mp4", b"v"),
            self.shop.keep("audio/amr", "s.amr", b"s"),
        ]
        page = self.ask(f"/m/{TOKEN}")[2].decode()
        assert f'<video src="{TOKEN}/1" controls' in page
        assert f'<audio src="{TOKEN}/2" controls' in page
        assert page.count("Download ") == 2

    def test_long_text_is_a_download(self) -> None:
        """A page has a bounded size."""
        multimedia = self.message.multimedia
        assert multimedia is not None
        multimedia.media = [
            self.shop.keep("text/plain", f"{n}.txt", bytes([65 + n]) * 60_000) for n in range(2)
        ]
        page = self.ask(f"/m/{TOKEN}")[2].decode()
        assert "A" * 60_000 in page
        assert "B" * 60_000 not in page
        assert 'download="1.txt"' in page

    def test_unknown_and_expired_are_alike(self) -> None:
        """Also a message that is no more, media that are no more, and any other path."""
        unknown = self.ask("/m/" + "a" * 22)
        assert unknown[0] == 404
        for path in (
            f"/m/{OLD}",
            "/m/" + "x" * 22,
            f"/m/{TOKEN}/9",
            f"/m/{TOKEN}/2/",
            "/m/%00",
            f"/m/{TOKEN}/../2",
            "/m/a.b",
            "/m",
            f"/m/{OLD}/2",
            f"/m/{TOKEN}/1x",
        ):
            assert self.ask(path) == unknown, path
        self.shop.kept.clear()
        assert self.ask(f"/m/{TOKEN}") == unknown

    def test_only_get_and_head(self) -> None:
        """Nothing can be sent there."""
        status, headers, _ = self.ask(f"/m/{TOKEN}", "POST")
        assert (status, headers["allow"]) == (405, "GET, HEAD")

    def test_slash_at_the_end_leads_to_the_page(self) -> None:
        """Its references are relative."""
        status, headers, _ = self.ask(f"/m/{TOKEN}/")
        assert (status, headers["location"]) == (308, f"../{TOKEN}")


class Counting(PagesCase):
    """What counts as a read (ruling 18)."""

    def test_first_visit_counts_once(self) -> None:
        """And is durable before the page is shown."""
        for _ in range(3):
            assert self.ask(f"/m/{TOKEN}")[0] == 200
        assert self.reads == [NOW]

    def test_robots_and_head_do_not_count(self) -> None:
        """Previews are shown, but nobody has read them."""
        for agent in (
            "facebookexternalhit/1.1",
            "WhatsApp/2.24.1 A",
            "TelegramBot (like TwitterBot)",
            "Slackbot-LinkExpanding 1.0",
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
            "curl/8.0",
            "",
        ):
            assert self.ask(f"/m/{TOKEN}", agent=agent)[0] == 200
        self.ask(f"/m/{TOKEN}", "HEAD")
        self.ask(f"/m/{TOKEN}", Sec_Purpose="prefetch;prerender")
        self.ask(f"/m/{TOKEN}/2")
        assert self.reads == []
        self.ask(f"/m/{TOKEN}")
        assert self.reads == [NOW]

    def test_read_that_is_not_stored_counts_at_the_next_visit(self) -> None:
        """The page is shown all the same."""
        self.broken = True
        assert self.ask(f"/m/{TOKEN}")[0] == 200
        self.broken = False
        assert self.ask(f"/m/{TOKEN}")[0] == 200
        assert self.reads == [NOW]

    def test_page_that_cannot_be_shown_now_is_not_read(self) -> None:
        """While the media store is not reached: 503, and not that the message is gone."""
        self.shop.away = True
        status, headers, body = self.ask(f"/m/{TOKEN}")
        assert (status, headers["retry-after"]) == (503, "60")
        assert headers["content-security-policy"] == CSP
        assert b"not reached" not in body
        assert self.reads == []
        self.shop.away = False
        assert self.ask(f"/m/{TOKEN}")[0] == 200
        assert self.reads == [NOW]

    def test_message_from_a_handset_is_not_read(self) -> None:
        """Its account looks at it."""
        self.message.direction = Direction.MO
        assert self.ask(f"/m/{TOKEN}")[0] == 200
        assert self.reads == []


class Octets(PagesCase):
    """Media."""

    def test_picture_is_shown_whatever_else_is_saved(self) -> None:
        """Under its checked type, with a safe name."""
        for number, kind, place in (
            (2, "image/jpeg", 'inline; filename="lake.jpg"'),
            (3, "text/plain; charset=utf-8", 'attachment; filename="t.txt"'),
            (4, "text/x-vcard", 'attachment; filename="me.vcf"'),
            (1, "application/smil", 'attachment; filename="smil.xml"'),
        ):
            status, headers, _ = self.ask(f"/m/{TOKEN}/{number}")
            assert (status, headers["content-type"]) == (200, kind)
            assert headers["content-disposition"] == place

    def test_type_that_is_not_accepted_is_octets(self) -> None:
        """What a setting lets through is not run by a browser."""
        multimedia = self.message.multimedia
        assert multimedia is not None
        multimedia.media.append(self.shop.keep("image/svg+xml", "x.svg", b"<svg/>"))
        _, headers, _ = self.ask(f"/m/{TOKEN}/5")
        assert headers["content-type"] == "application/octet-stream"
        assert headers["content-disposition"].startswith("attachment")
        assert f'<a href="{TOKEN}/5"' in self.ask(f"/m/{TOKEN}")[2].decode()

    def test_ranges_are_served(self) -> None:
        """Phones play videos by them."""
        status, headers, body = self.ask(f"/m/{TOKEN}/2")
        assert (status, headers["accept-ranges"], body) == (200, "bytes", PICTURE)
        assert headers["content-length"] == str(len(PICTURE))
        status, part, body = self.ask(f"/m/{TOKEN}/2", Range="bytes=100-70100")
        assert (status, body) == (206, PICTURE[100:70101])
        assert part["content-range"] == f"bytes 100-70100/{len(PICTURE)}"
        status, part, body = self.ask(f"/m/{TOKEN}/2", Range=f"bytes={len(PICTURE)}-")
        assert (status, part["content-range"], body) == (416, f"bytes */{len(PICTURE)}", b"")
        tag = headers["etag"]
        assert self.ask(f"/m/{TOKEN}/2", If_None_Match=tag)[0] == 304
        assert self.ask(f"/m/{TOKEN}/2", Range="bytes=0-0", If_Range=tag)[0] == 206
        assert self.ask(f"/m/{TOKEN}/2", Range="bytes=0-0", If_Range='"other"')[0] == 200

    def test_head_has_the_length(self) -> None:
        """And no octets; a range is of GET alone."""
        for given in ({}, {"Range": "bytes=0-9"}):
            status, headers, body = self.ask(f"/m/{TOKEN}/2", "HEAD", **given)
            assert (status, headers["content-length"], body) == (200, str(len(PICTURE)), b"")
