"""From websmpp to a carrier, over real sockets: the text arrives as it was written."""

from urllib.parse import urlencode

from twisted.internet.threads import deferToThread

from smsgw.message import UDHI
from smsgw.text import coding, parts
from tests.http.test_websmpp import id_of
from tests.integration.scene import HANDSET, NUMBER, SECRET
from tests.journeys.test_relay import RelayCase

GREETING = "Grüße, 50 € [ÅØ]"
LONG = "Съешь ещё этих мягких французских булок 🥐 " * 4


class WebsmppTests(RelayCase):
    """One gateway, one carrier."""

    async def submitted(self, count: int, **parameters: str) -> str:
        """The text that comes to the carrier, in so many parts."""
        smsc = self.north.smsc
        before = len(smsc.submits)
        body = urlencode(
            {"user": "acme", "pass": SECRET, "sid": NUMBER, "mno": HANDSET, **parameters}
        )
        answer = await deferToThread(self.site.raw, "POST", "/websmpp/websms", body.encode())
        id_of(answer.decode())
        await smsc.when(lambda: len(smsc.submits) == before + count)
        pdus = list(smsc.submits)[before:]
        octets = [pdu.short_message for pdu in pdus]
        if pdus[0].esm_class & UDHI:
            text = coding.decode(pdus[0].data_coding, parts.join(octets))
        else:
            text = coding.decode(pdus[0].data_coding, b"".join(octets))
        assert {(pdu.source_addr, pdu.destination_addr) for pdu in pdus} == {
            (NUMBER.encode(), HANDSET.encode())
        }
        return text or ""

    async def test_text_of_each_type_arrives(self) -> None:
        """W-D13 to W-D16, also in several parts."""
        await self.begin()
        for kind, text, written, count in (
            ("1", GREETING, GREETING, 1),
            ("2", GREETING, GREETING.encode("utf-16-be").hex(), 1),
            ("3", "testing $@ Character", "testing $@ Character", 1),
            ("4", "اختبار رسالة عربية", "اختبار رسالة عربية", 1),
            ("1", "x" * 161, "x" * 161, 2),
            ("4", LONG, LONG, 3),
        ):
            came = await self.submitted(count, type=kind, text=written)
            assert came == text
