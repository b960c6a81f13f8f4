"""MMS by REST on real sockets: an attachment by curl or by URL, what is refused, and the SMS with a
link that an MMS becomes where no carrier takes it (``spec/aerialink.md`` 4.3, ruling 30)."""

import csv
import io
import json
import os
import re
import shutil
import time
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import create_connection
from typing import Any
from unittest.mock import patch

import pytest
from PIL import Image
from twisted.internet.defer import Deferred, fail
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutputAndValue

from smsgw.flow.link import PATH
from smsgw.http.site import Response, Site
from smsgw.testing.sinks import Answer
from tests.folders import temporary_folder
from tests.integration.scene import HANDSET, NUMBER, SECRET
from tests.journeys.rest_scene import OTHER, RestScene

PUBLIC = "https://sms.example.com"
LINKED = (
    '[[route]]\nname = "default"\nprefixes = [""]\ncarriers = ["north"]\nprice = "0.01"\n'
    'mms = "link"\n'
)
PHONE = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36"
CSP = b"default-src 'none'; img-src 'self'; media-src 'self'; style-src 'self'"


class MmsScene(RestScene):
    """A gateway with a route that makes links, and a picture."""

    async def begin_linked(self, **given: Any) -> None:
        """Starts it."""
        await self.begin(public_url=PUBLIC, **given)
        await self.apply(LINKED, prune=False)
        self.folder = Path(temporary_folder(self))
        self.picture = self.folder / "lake.jpg"
        Image.new("RGB", (320, 240), "teal").save(self.picture)

    def form(self, *files: str, **fields: str) -> list[str]:
        """Arguments of curl for a multipart body."""
        given = {"source": NUMBER, "destination": HANDSET, "messageText": "Hello", **fields}
        words = [w for k, v in given.items() for w in ("--form-string", f"{k}={v}")]
        return words + [word for file in files for word in ("-F", f"file=@{file}")]

    async def sent(self, *files: str, **fields: str) -> Any:
        """The transaction of an MMS."""
        document = await self.get("/v4/messages", *self.form(*files, **fields))
        return document["transactions"]["transaction"]

    async def error(self, *arguments: str) -> tuple[int, int, str]:
        """HTTP status, code and detail."""
        status, body = await self.curl("/v4/messages", *arguments)
        fault = json.loads(body)["aerialink"]
        return status, fault["code"], fault["detail"]

    async def status(self, guid: str) -> Any:
        """What a status check says."""
        return (await self.get(f"/v4/messages/{guid}"))["transactions"]["transaction"]

    def linked(self, place: int = 0) -> str:
        """The path of the link of an SMS at the carrier."""
        text = self.north.smsc.submits[place].short_message.decode("ascii")
        found = re.search(rf"{PUBLIC}({PATH}\S{{22}})$", text)
        assert found, text
        return found[1]

    def media_folder(self) -> Path:
        """Where media are kept."""
        spool = self.gateway.media.spool
        assert spool is not None
        return spool.parent

    def page(self, path: str) -> str:
        """Where a browser of this machine finds it."""
        return f"http://127.0.0.1:{self.http_port}{path}"

    async def visit(self, path: str, *arguments: str) -> tuple[int, str]:
        """As a phone."""
        return await self.curl(path, "-A", PHONE, *arguments)


class Attachments(MmsScene):
    """E-D3, E-D7, F-4: one attachment makes an MMS."""

    async def test_an_upload_is_refused_before_it_is_sent(self) -> None:
        """By its credentials and its rights, when the head has come, and without a file."""
        await self.begin_linked()
        for login, status in (
            ("", 401),
            (f"acme:{SECRET}x", 401),
            ("acme", 401),
            (f"acme:{SECRET}", 0),
        ):
            answer = await deferToThread(self.head_only, login)
            assert answer == status, login

    def head_only(self, login: str) -> int:
        """The status of the answer to the head of an upload, 0 if its body is waited for."""
        token = b64encode(login.encode()).decode()
        head = [
            "POST /v4/messages HTTP/1.1",
            "Host: x",
            "Content-Type: multipart/form-data; boundary=b",
            "Content-Length: 4000000",
            "Expect: 100-continue",
            *([f"Authorization: Basic {token}"] if login else []),
        ]
        with create_connection(("127.0.0.1", self.http_port), 20) as wire:
            wire.sendall("\r\n".join([*head, "", ""]).encode())
            status = int(wire.recv(65536).split(b" ")[1])
        return 0 if status == 100 else status

    async def test_file_makes_an_mms(self) -> None:
        """Its status, the report and its media tell of it."""
        await self.begin_linked()
        made = await self.sent(f"{self.picture};type=image/jpeg", subject="Summer")
        assert (made["code"], made["messageType"], made["parts"]) == (10, "Submit", 1)
        found = await self.status(made["transactionGUID"])
        assert found["subject"] == "Summer"
        assert found["readDate"] is None
        assert [(one["name"], one["type"]) for one in found["media"]] == [
            ("smil.xml", "application/smil"),
            ("text.txt", "text/plain"),
            ("lake.jpg", "image/jpeg"),
        ]
        assert found["media"][2]["size"] == self.picture.stat().st_size
        _, body = await self.curl("/20100101/sms/report/?messageType=MT")
        row = next(csv.DictReader(io.StringIO(body)))
        assert row["kind"] == "MMS"
        assert "lake.jpg (image/jpeg, " in row["media"]

    async def test_text_may_be_empty_and_a_large_file_goes_to_disk(self) -> None:
        """4.3; a file of 3 MB is kept as it is, and nothing of it stays in the spool."""
        await self.begin_linked()
        noise = self.folder / "noise.bmp"
        Image.effect_noise((1000, 1000), 90).convert("RGB").save(noise)
        assert noise.stat().st_size > 2_900_000
        made = await self.sent(str(noise), messageText="")
        media = (await self.status(made["transactionGUID"]))["media"]
        assert media[-1] == {
            "name": "noise.bmp",
            "type": "image/bmp",
            "size": noise.stat().st_size,
        }
        digests = [one.name for one in self.media_folder().glob("??/*")]
        assert len(digests) == 2
        assert not list((self.media_folder() / "tmp").iterdir())

    async def test_content_decides_the_type(self) -> None:
        """Ruling 25: what is labelled wrongly is relabelled, what is not accepted is 1012."""
        await self.begin_linked()
        made = await self.sent(f"{self.picture};type=image/gif;filename=lake.gif")
        media = (await self.status(made["transactionGUID"]))["media"]
        assert (media[-1]["name"], media[-1]["type"]) == ("lake.jpg", "image/jpeg")
        program = self.folder / "photo.jpg"
        program.write_bytes(b"MZ\x90\0" + bytes(200))
        status, code, detail = await self.error(*self.form(f"{program};type=image/jpeg"))
        assert (status, code) == (400, 1012)
        assert "is not accepted" in detail

    async def test_second_file_is_1012_and_names_mm4(self) -> None:
        """4.3: exactly one attachment; also by two ways at once."""
        await self.begin_linked()
        for arguments in (
            self.form(str(self.picture), str(self.picture)),
            self.form(str(self.picture), mediaUrl=self.url),
        ):
            status, code, detail = await self.error(*arguments)
            assert (status, code) == (400, 1012)
            assert "MM4" in detail

    async def test_what_is_no_mms_is_told(self) -> None:
        """Each with its code."""
        await self.begin_linked()
        empty = self.folder / "empty.jpg"
        empty.write_bytes(b"")
        picture = str(self.picture)
        for arguments, code, words in (
            (self.form(subject="Hi"), 1011, "file or mediaUrl"),
            (self.form(str(empty)), 1012, "it is empty"),
            (self.form(picture, flash="1"), 1012, "flash is of no MMS"),
            (self.form(picture, udh="00"), 1012, "udh is of no MMS"),
            (self.form(picture, subject="x" * 201), 1012, "subject"),
            ([*self.form(), "-F", f"photo=@{picture}"], 1012, "an attachment is called file"),
            (self.form(mediaUrl="ftp://127.0.0.1/x"), 1012, "mediaUrl"),
            (self.form(mediaUrl="http://" + "x" * 2_000), 1012, "mediaUrl"),
        ):
            status, found, detail = await self.error(*arguments)
            assert (status, found) == (400, code), (arguments, detail)
            assert words in detail
        body = json.dumps({"source": NUMBER, "destination": HANDSET, "file": "abc"})
        kind = "Content-Type: application/json"
        assert (await self.error("-H", kind, "-d", body))[:2] == (400, 1012)

    async def test_too_large_is_1014_with_413(self) -> None:
        """E-D7, ruling 22: a body of more than 5 MB, and one that is too large once encoded."""
        await self.begin_linked()
        large = self.folder / "large.bmp"
        for size, words in ((5_300_000, ""), (4_500_000, "octets once encoded")):
            large.write_bytes(b"BM\0\0\0\0\0\0\0\0" + bytes(size))
            status, code, detail = await self.error(*self.form(str(large)))
            assert (status, code) == (413, 1014), detail
            assert words in detail
        plain = ["-H", "Content-Type: application/json", "-d", "x" * 70_000]
        assert (await self.error(*plain))[:2] == (413, 1014)

    async def test_media_that_cannot_be_kept_now_are_1051_with_503(self) -> None:
        """I1: a full disk, or a bucket that is not reached, accepts nothing, and says so."""
        await self.begin_linked()
        media = self.gateway.media
        put = media.put

        def full(content: bytes) -> Deferred[str]:
            return fail(OSError(28, "No space left on device"))

        media.put = full  # type: ignore[assignment,method-assign]
        status, code, detail = await self.error(*self.form(str(self.picture)))
        assert (status, code) == (503, 1051), detail
        assert "space" not in detail
        assert not list(self.media_folder().glob("??/*"))
        media.put = put
        assert (await self.sent(str(self.picture)))["code"] == 10

    async def test_account_without_mms_is_1033(self) -> None:
        """4.1: it is no part of the contract."""
        await self.begin_linked(own={"settings": {}})
        await self.apply(
            f'[[account]]\nname = "acme"\n[account.settings.aerialink]\nmms = false\n'
            f'[[account.credential]]\nkind = "http"\nusername = "acme"\npassword = "secret12"\n'
            f'allow = ["*"]\n[[account.number]]\naddress = "{NUMBER}"\n',
            prune=False,
        )
        status, code, detail = await self.error(*self.form(str(self.picture)))
        assert (status, code, detail) == (403, 1033, "Service not enabled: MMS")

    async def test_dry_run_keeps_nothing(self) -> None:
        """It says what it would cost as the SMS that it becomes."""
        await self.begin_linked()
        made = await self.sent(str(self.picture), dryRun="1")
        assert (made["transactionGUID"], made["parts"], made["price"]) == (None, 1, "0.01")
        assert not list(self.media_folder().glob("??/*"))

    async def test_several_destinations_share_the_media(self) -> None:
        """Each has a link of its own, and the picture is kept once."""
        await self.begin_linked()
        document = await self.get(
            "/v4/messages", *self.form(str(self.picture), destination=f"{HANDSET},{OTHER}")
        )
        assert len(document["transactions"]["transaction"]) == 2
        await self.north.smsc.arrived(2)
        assert self.linked(0) != self.linked(1)
        assert len(list(self.media_folder().glob("??/*"))) == 3

    async def test_repeated_request_is_sent_once(self) -> None:
        """E-D11: the same file under the same key gets the same answer; another file is 1043, and
        so is the same under another name or type."""
        await self.begin_linked()
        key = ["-H", "Idempotency-Key: k1"]
        first = await self.curl("/v4/messages", *self.form(str(self.picture)), *key)
        assert await self.curl("/v4/messages", *self.form(str(self.picture)), *key) == first
        other = self.folder / "other.png"
        Image.new("RGB", (9, 9)).save(other)
        for file in (str(other), f"{self.picture};filename=b.jpg", f"{self.picture};type=a/b"):
            assert (await self.error(*self.form(file), *key))[:2] == (409, 1043)
        await self.north.smsc.arrived(1)
        assert len(self.north.smsc.submits) == 1

    async def test_scheduled_mms_waits(self) -> None:
        """4.3 scheduleTime: it is sent then, and can be cancelled before."""
        await self.begin_linked()
        later = datetime.now(UTC) + timedelta(hours=1)
        made = await self.sent(str(self.picture), scheduleTime=later.isoformat())
        guid = made["transactionGUID"]
        assert (await self.status(guid))["messageState"] == "ENROUTE"
        await self.get(f"/v4/messages/{guid}", "-X", "DELETE")
        assert (await self.status(guid))["messageState"] == "DELETED"
        assert not self.north.smsc.submits


class Fetched(MmsScene):
    """mediaUrl: the gateway fetches the attachment when the message is handed in."""

    async def test_media_url_is_fetched(self) -> None:
        """By form and by JSON; its name is that of the path."""
        await self.begin_linked()
        picture = self.picture.read_bytes()
        self.sink.answers = [Answer(200, picture, [("Content-Type", "image/jpeg")])]
        fields = {
            "source": NUMBER,
            "destination": HANDSET,
            "messageText": "Hi",
            "mediaUrl": f"{self.url}/photos/lake%20one.jpg?size=l",
        }
        kind = ["-H", "Content-Type: application/json", "-d", json.dumps(fields)]
        for arguments in (kind, self.form(**fields)):
            document = await self.get("/v4/messages", *arguments)
            guid = document["transactions"]["transaction"]["transactionGUID"]
            media = (await self.status(guid))["media"][-1]
            assert media == {
                "name": "lake_one.jpg",
                "type": "image/jpeg",
                "size": len(picture),
            }
        assert self.sink.requests[0].target == "/photos/lake%20one.jpg?size=l"

    async def test_what_cannot_be_fetched_is_1012(self) -> None:
        """Each with why; redirects are not followed."""
        await self.begin_linked()
        for answer, words in (
            (404, "HTTP 404"),
            (Answer(302, headers=[("Location", self.url)]), "HTTP 302"),
            (Answer(200, b"<html>"), "is not accepted"),
            (Answer(200, b""), "it is empty"),
        ):
            self.sink.answers = [answer]
            status, code, detail = await self.error(*self.form(mediaUrl=self.url))
            assert (status, code) == (400, 1012)
            assert words in detail, detail

    async def test_too_much_is_1014(self) -> None:
        """No more is read than an MMS may have."""
        await self.begin_linked()
        self.sink.answers = [Answer(200, bytes(9_000_000))]
        assert (await self.error(*self.form(mediaUrl=self.url)))[:2] == (413, 1014)

    async def test_private_addresses_are_refused(self) -> None:
        """I6: nobody reaches the operator's network by a URL."""
        await self.begin_linked(allow_private_callbacks=False)
        status, code, detail = await self.error(*self.form(mediaUrl=self.url))
        assert (status, code, detail) == (
            400,
            1012,
            "Parameter invalid: mediaUrl: address not allowed",
        )
        assert self.sink.connections == 0


class Pages(MmsScene):
    """Ruling 30: what the link leads to."""

    async def test_read_is_pushed_once(self) -> None:
        """Ruling 18: the first visit is the readDate, and a push with messageType=Read."""
        routes = (
            "[[account.route]]\nsequence = 1\n"
            'actions = [{ type = "MMS-DLR-HTTP", url = "URL/dlr" }]\n'
        )
        await self.begin_linked(routes=routes)
        made = await self.sent(str(self.picture), registeredDelivery="1", clientReference="A-17")
        await self.sink.when(lambda: len(self.sink.requests) == 1)
        assert self.sink.requests[0].fields["messageType"] == "Receipt"
        path = self.linked()
        await self.curl(path, "-I", "-A", PHONE)
        await self.curl(path, "-A", "facebookexternalhit/1.1")
        for _ in range(2):
            status, page = await self.visit(path)
            assert status == 200
        assert "lake.jpg" in page
        await self.sink.when(lambda: len(self.sink.requests) == 2)
        told = self.sink.requests[1].fields
        found = await self.status(made["transactionGUID"])
        assert found["readDate"]
        told.pop("submitDate")
        assert told == {
            "transactionGUID": told["transactionGUID"],
            "transactionGUIDlinked": made["transactionGUID"],
            "messageType": "Read",
            "source": NUMBER,
            "destination": HANDSET,
            "clientReference": "A-17",
            "readDate": found["readDate"],
        }
        assert told["transactionGUID"] != made["transactionGUID"]

    async def test_links_end_with_their_media(self) -> None:
        """The collection removes both; the page is that of an unknown one."""
        await self.begin_linked()
        self.gateway.acceptance.media_ms = 0
        await self.sent(str(self.picture), validityPeriod="1")
        await self.north.smsc.arrived(1)
        assert (await self.visit(self.linked()))[0] == 200
        later = time.time() + 7_300
        with patch.object(self.gateway.collector, "_now", lambda: later):
            await self.gateway.collector.collect()
        unknown = await self.visit(PATH + "a" * 22)
        assert unknown[0] == 404
        assert await self.visit(self.linked()) == unknown
        assert not list(self.media_folder().glob("??/*"))

    async def test_long_text_is_charged_by_the_parts_of_the_sms(self) -> None:
        """The page shows the whole of it."""
        await self.begin_linked()
        made = await self.sent(str(self.picture), messageText="words " * 300)
        assert made["parts"] == 3

    @pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
    async def test_browser_shows_it_without_a_fault(self) -> None:
        """In Chromium, on a small and a large screen: the picture has its size, the style is in
        force, and the console says nothing; it would say it of what the policy forbids."""
        await self.begin_linked()
        await self.sent(
            str(self.picture), subject="A <b>lake</b>", messageText="<script>x</script>"
        )
        await self.north.smsc.arrived(1)
        dom, console = await self.browse(self.page(self.linked()))
        assert console == []
        assert "<h1>A &lt;b&gt;lake&lt;/b&gt;</h1>" in dom
        assert "&lt;script&gt;x&lt;/script&gt;" in dom
        for size in ("390,844", "1200,900"):
            shot = self.folder / f"{size}.png"
            _, console = await self.browse(
                self.page(self.linked()), f"--window-size={size}", f"--screenshot={shot}"
            )
            assert console == []
            colours = Image.open(shot).convert("RGB").getcolors(100_000)
            assert colours is not None
            pixels = {colour: count for count, colour in colours}
            assert sum(n for (r, g, b), n in pixels.items() if r < 20 and 110 < g < 145) > 50_000
            assert (244, 244, 246) in pixels  # the background of the style sheet
        # The instrument sees what it is to see.
        site: Site = self.gateway.listeners.sites[0]
        bad = b"<!doctype html><script>1</script><p style='color:red'>x"
        site.add(
            "/bad",
            lambda _: Response(200, bad, "text/html", [(b"Content-Security-Policy", CSP)]),
        )
        _, console = await self.browse(self.page("/bad"))
        assert len(console) >= 2

    async def browse(self, url: str, *arguments: str) -> tuple[str, list[str]]:
        """The document as Chromium has it, and what its console said."""
        out, err, code = await getProcessOutputAndValue(
            shutil.which("chromium") or "chromium",
            [
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--enable-logging=stderr",
                f"--user-data-dir={temporary_folder(self)}",
                *(arguments or ["--dump-dom"]),
                url,
            ],
            env=os.environ,
        )
        assert code == 0, err
        return out.decode(), [line for line in err.decode().splitlines() if "CONSOLE" in line]
