"""From the octets of a request of each dialect to the octets that a carrier gets: any text arrives
as it was, or is refused with the reason (``sms.cgi`` has the same in ``test_smscgi.py``)."""

import json
from base64 import b64encode
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape

from argon2 import PasswordHasher
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import maybeDeferred, succeed
from twisted.internet.testing import StringTransport

from smsgw.config import Config
from smsgw.dialects import Aerialink
from smsgw.doors import Doors
from smsgw.http import relay_sending, rest, websmpp
from smsgw.http.server import HttpServerFactory, Site
from smsgw.message import UDHI
from smsgw.provisioning import Account, Carrier, Credential, Number, Provisioning, Route
from smsgw.text import coding, gsm, parts, transliterate
from tests.flow.journey import DESTINATION, SOURCE, Journey, JourneyCase
from tests.flow.test_money import put_in_force

_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("secret12")
FORM = "application/x-www-form-urlencoded"
# Of everything, and of what goes in seven bits; no half of a surrogate pair, which no form can say.
TEXTS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=200),
    st.text(gsm.BASE, max_size=400),
    st.text("Ж😀é€[\n ", max_size=200),
)


class Surroundings:
    """What the dialects ask a gateway for besides."""

    lookups = None
    dead_letters: Any = None
    replays: Any = SimpleNamespace(replay=None)

    def __init__(self, journey: Journey) -> None:
        self.journal = journey.journal
        self.lists = journey.lists
        self.identities = journey.identities

    def is_up(self, carrier: str) -> bool:
        """Every carrier is."""
        return True

    async def contacts(self, account: str, name: str, most: int) -> list[str] | None:
        """There are no lists."""
        return None


class AnyTextCase(JourneyCase):
    """All dialects before the whole journey; the test is their client and their carrier."""

    def setUp(self) -> None:
        """One account that may use all of them."""
        super().setUp()
        journey = self.journey
        account = Account("acme", number=[Number(SOURCE)], max_parts=20)
        account.credential = [
            Credential(kind="http", username="acme", password_hash=_HASH, allow=["*"])
        ]
        account.settings = {"ams": {"max_parts": 20, "allow_amp_hash": True}}
        put_in_force(
            journey,
            Provisioning(
                accounts={"acme": account},
                carriers={"north": Carrier("north", window=1000)},
                routes={"uk": Route("uk", ["44"], ["north"])},
            ),
        )
        doors = Doors(journey.current, now=journey.clock.seconds, run=lambda f: maybeDeferred(f))
        config = Config(aerialink=Aerialink(allow_plain_http=True, max_parts=20))
        site = Site()
        around: Any = Surroundings(journey)
        given_: tuple[Any, ...] = (config, journey.current, doors, journey.acceptance)
        rest.add(site, rest.Rest(*given_, around))
        relay_sending.add(site, relay_sending.RelaySending(*given_, journey.balances))
        websmpp.add(
            site,
            websmpp.WebSmpp(
                *given_,
                around,
                around,
                journey.balances,
                journey.identities.allot,
                journey.clock,
                journey.clock.seconds,
                run=lambda f, *a: succeed(f(*a)),
            ),
        )
        self.server = HttpServerFactory(site, journey.clock)
        self.link = journey.link()
        self.count = 0

    def post(self, path: str, body: bytes, kind: str = FORM) -> tuple[int, str]:
        """Status and body of the answer to a POST."""
        connection = self.server.buildProtocol(None)
        assert connection is not None
        wire = StringTransport()
        wire.abortConnection = lambda: None  # type: ignore[method-assign]
        connection.makeConnection(wire)
        login = b64encode(b"acme:secret12").decode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Basic {login}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        connection.dataReceived(head.encode() + body)
        answer_head, _, answer = wire.value().partition(b"\r\n\r\n")
        connection.connectionLost()
        return int(answer_head.split(b" ")[1]), answer.decode()

    def arrived(self) -> str | None:
        """The text that the carrier has got, None if nothing has come."""
        pdus = [pdu for pdu, _ in self.link.submitted]
        if not pdus:
            return None
        self.count += 1
        self.link.answer(names=[f"n{self.count}-{n}" for n in range(len(pdus))])
        assert {pdu.destination_addr for pdu in pdus} == {DESTINATION.encode()}
        octets = [pdu.short_message for pdu in pdus]
        joined = parts.join(octets) if pdus[0].esm_class & UDHI else octets[0]
        text = coding.decode(pdus[0].data_coding, joined)
        assert text is not None
        return text


class RestTests(AnyTextCase):
    """``POST /v4/messages``, 1 to 20 parts."""

    @settings(max_examples=80, deadline=None)
    @given(TEXTS, st.sampled_from(["form", "json", "xml"]))
    def test_e_d3_any_text_arrives_or_is_refused(self, text: str, form: str) -> None:
        """E-D3: by form, JSON and XML; 1011 without text, 1012 or 1010 for what no XML can say."""
        fields = {"source": SOURCE, "destination": DESTINATION, "messageText": text}
        if form == "form":
            status, answer = self.post("/v4/messages", urlencode(fields).encode())
        elif form == "json":
            body = json.dumps(fields).encode()
            status, answer = self.post("/v4/messages", body, "application/json")
        else:
            inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
            body = f"<request>{inner}</request>".encode()
            status, answer = self.post("/v4/messages.json", body, "application/xml")
        said = json.loads(answer)["aerialink"]
        found = self.arrived()
        if status != 200:
            assert found is None
            assert said["detail"]
            assert said["code"] in (1010, 1011, 1012, 1014)
            bad_xml = form == "xml" and any(ord(one) < 32 or ord(one) > 0xFFFD for one in text)
            assert not text.strip() or bad_xml or said["code"] == 1014, said
        elif form == "xml":
            # Its line ends are LF (XML 1.0 §2.11).
            assert found == text.replace("\r\n", "\n").replace("\r", "\n")
        else:
            assert found == text


class WebsmppTests(AnyTextCase):
    """``/websmpp/websms``, each type."""

    @settings(max_examples=80, deadline=None)
    @given(TEXTS, st.sampled_from("1234"))
    def test_w_r17_any_text_arrives_or_is_refused(self, text: str, kind: str) -> None:
        """W-R17, W-D13 to W-D16: HTTP07 is for what is not of the type, HTTP17 for no text, HTTP10
        for too many parts."""
        written = text.encode("utf-16-be").hex() if kind == "2" else text
        fields = {"user": "acme", "pass": "secret12", "sid": SOURCE, "mno": DESTINATION}
        body = urlencode({**fields, "type": kind, "text": written}).encode()
        _, answer = self.post("/websmpp/websms", body)
        found = self.arrived()
        if answer.startswith("Response: "):
            assert found == text
            return
        assert found is None
        code = answer.split(" ")[2]
        if code == "HTTP07":
            assert kind in "13"
            assert gsm.encode(text) is None
        elif code == "HTTP17":
            assert not text.strip()
        else:
            assert code == "HTTP10", answer


class RelayTests(AnyTextCase):
    """``/sms/sms_gw.php``, with and without Unicode."""

    @settings(max_examples=80, deadline=None)
    @given(TEXTS, st.booleans())
    def test_any_text_arrives_as_it_can(self, text: str, unicode: bool) -> None:
        """Section 7 of ``spec/aql.md``: as it is where Unicode is allowed, else in the GSM
        alphabet; no message is 9, too many parts 5."""
        fields = {"username": "acme", "password": "secret12", "originator": SOURCE}
        fields |= {"destination": DESTINATION, "allow_unicode": str(int(unicode))}
        _, answer = self.post("/sms/sms_gw.php", urlencode({**fields, "message": text}).encode())
        found = self.arrived()
        if answer.startswith("0:"):
            assert found == (text if unicode else transliterate.to_gsm(text))
        else:
            assert found is None
            assert answer.startswith("5:" if text else "9:"), answer
