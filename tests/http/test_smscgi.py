"""``sms.cgi``: fields in any form, messages as the carrier gets them, answers in text and XML."""

import json
from typing import Any
from urllib.parse import quote_plus, urlencode
from xml.etree import ElementTree

from argon2 import PasswordHasher
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import maybeDeferred
from twisted.internet.testing import StringTransport

from smsgw.config import Config
from smsgw.dialects import Aaisp
from smsgw.doors import Doors
from smsgw.http import smscgi
from smsgw.http.server import HttpServerFactory, Site
from smsgw.http.smscgi_message import luhn
from smsgw.message import UDHI, Message
from smsgw.provisioning import Account, Carrier, Credential, Number, Provisioning, Route
from smsgw.refusals import Reason, Refusal
from smsgw.smpp.pdu import SubmitSm
from smsgw.store import records, schema
from smsgw.text import gsm, parts
from smsgw.text.reading import read
from tests.flow.journey import NOW, NOW_MS, JourneyCase
from tests.flow.test_money import put_in_force

NUMBER = "441632960123"
HANDSET = "447700900123"
LOGIN = {"username": NUMBER, "password": "123456"}
HELLO = {**LOGIN, "da": HANDSET, "ud": "Hello world"}
SIM = "8944000000000000001"
XML_ERROR = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    "<response><status>ERR</status><error>{}</error></response>"
)
_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("123456")


class ScriptCase(JourneyCase):
    """The script before the whole journey; the test is its client and its carrier."""

    def setUp(self) -> None:
        """A script, an account with a number, and a carrier that is up."""
        super().setUp()
        self.serve()
        self.link = self.journey.link()

    def serve(self, rights: dict[str, Any] | None = None, **account: Any) -> None:
        """The account has these keys, its login these rights; ``aaisp`` are settings of all."""
        aaisp = account.pop("aaisp", {})
        form = Account("acme", number=[Number(NUMBER)], **account)
        form.credential = [
            Credential(
                kind="http",
                username=NUMBER,
                password_hash=_HASH,
                allow=["192.168.1.1"],
                **rights or {},
            )
        ]
        provisioning = Provisioning(
            accounts={"acme": form},
            carriers={"north": Carrier("north", window=1000), "sims": Carrier("sims")},
            routes={
                "uk": Route("uk", ["44"], ["north"], price="0.0100" if form.balance else "0"),
                "sim": Route("sim", ["89"], ["sims"], sim=True),
            },
        )
        put_in_force(self.journey, provisioning)
        doors = Doors(
            self.journey.current, now=self.journey.clock.seconds, run=lambda f: maybeDeferred(f)
        )
        self.site = Site()
        self.script = smscgi.SmsCgi(
            Config(aaisp=Aaisp(**aaisp)),
            self.journey.current,
            doors,
            self.journey.acceptance,
            self.journey.pending.received,
            self.journey.clock.seconds,
        )
        smscgi.add(self.site, self.script)
        self.server = HttpServerFactory(self.site, self.journey.clock)

    # Asking.

    def send(self, octets: bytes) -> tuple[int, str]:
        """Status and body of the answer to a request in octets; ``kind`` is its Content-Type."""
        connection = self.server.buildProtocol(None)
        assert connection is not None
        wire = StringTransport()
        wire.abortConnection = lambda: None  # type: ignore[method-assign]
        connection.makeConnection(wire)
        connection.dataReceived(octets)
        head, _, body = wire.value().partition(b"\r\n\r\n")
        connection.connectionLost()
        lines = head.decode().split("\r\n")
        self.headers = dict(line.split(": ", 1) for line in lines[1:])
        self.kind = self.headers["Content-Type"]
        return int(lines[0].split(" ")[1]), body.decode()

    def get(self, query: str, path: str = "/sms.cgi") -> tuple[int, str]:
        """A GET with this query."""
        return self.send(f"GET {path}?{query} HTTP/1.1\r\nHost: h\r\n\r\n".encode())

    def post(
        self, body: bytes, kind: str, query: str = "", path: str = "/sms.cgi"
    ) -> tuple[int, str]:
        """A POST of this body."""
        head = (
            f"POST {path}?{query} HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return self.send(head.encode() + body)

    def ask(self, **fields: Any) -> str:
        """The answer to a message like HELLO with other fields; None leaves one out. HTTP 200."""
        said = {k: v for k, v in {**HELLO, **fields}.items() if v is not None}
        status, answer = self.get(urlencode(said))
        assert status == 200
        assert self.kind == "text/plain; charset=utf-8"
        return answer

    def error(self, **fields: Any) -> str:
        """What is wrong with such a message."""
        answer = self.ask(**fields)
        assert answer.startswith("ERR: "), answer
        assert answer.endswith("\n")
        assert self.link.submitted == []
        return answer[5:-1]

    # What comes of it.

    def queued(self, answer: str, count: int = 1) -> Message:
        """The message of an answer that says that it is queued."""
        ok, queued, id, number, word = answer.split()
        assert answer == f"OK: Queued {id} {count} part(s)\n"
        assert (ok, queued, int(number), word) == ("OK:", "Queued", count, "part(s)")
        [message] = self.journey.result(
            self.journey.journal.run(lambda c: records.read(c, [int(id)]))
        )
        assert isinstance(message, Message)
        return message

    def sent(self, count: int = 1, **fields: Any) -> list[SubmitSm]:
        """What the carrier gets of such a message."""
        self.queued(self.ask(**fields), count)
        return self.submitted()

    def submitted(self) -> list[SubmitSm]:
        """What the carrier has got, which it acknowledges."""
        pdus = [pdu for pdu, _ in self.link.submitted]
        self.link.answer(names=[f"n{pdu.sequence}-{id(pdu)}" for pdu in pdus])
        return pdus


class FormTests(ScriptCase):
    def test_A_R18_all_forms_give_the_same_message(self) -> None:
        """GET, url-encoded, multipart and JSON, at both addresses (A-R18, A-R19, A-D17)."""
        boundary = "----b"
        multipart = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in HELLO.items()
        )
        for path in ("/sms.cgi", "/"):
            for body, kind in (
                (b"", ""),
                (urlencode(HELLO).encode(), "application/x-www-form-urlencoded"),
                (urlencode(HELLO).encode() + b"\r\n", ""),
                (
                    f"{multipart}--{boundary}--\r\n".encode(),
                    f"multipart/form-data; boundary={boundary}",
                ),
                (json.dumps(HELLO).encode(), "application/json; charset=utf-8"),
            ):
                if body:
                    answer = self.post(body, kind, path=path)
                else:
                    answer = self.get(urlencode(HELLO), path)
                message = self.queued(answer[1])
                assert (message.source, message.destination) == (NUMBER, HANDSET)
                assert (message.interface, message.account) == ("sms.cgi", "acme")
                [pdu] = self.submitted()
                assert pdu.short_message == b"Hello world"
                assert pdu.registered_delivery == 0

    def test_A_R21_older_names_are_taken_and_the_new_ones_win(self) -> None:
        """``destination``, ``originator``, ``message``; ``origin`` too (A-D18)."""
        old = {"da": None, "ud": None, "destination": HANDSET, "message": "old"}
        [pdu] = self.sent(**old, originator="ACME")
        assert (pdu.short_message, pdu.source_addr) == (b"old", b"ACME")
        [pdu] = self.sent(**old, origin="Other")
        assert pdu.source_addr == b"Other"
        [pdu] = self.sent(destination="0", message="old", originator="no", oa="Yes")
        assert (pdu.destination_addr, pdu.short_message) == (HANDSET.encode(), b"Hello world")
        assert pdu.source_addr == b"Yes"

    def test_A_D17_the_body_wins_over_the_query(self) -> None:
        """Both are one form."""
        body = urlencode({"ud": "body", "password": "123456"}).encode()
        query = urlencode({**HELLO, "password": "bad"})
        self.queued(self.post(body, "application/x-www-form-urlencoded", query)[1])
        assert self.submitted()[0].short_message == b"body"

    def test_A_D17_members_of_json_become_text(self) -> None:
        """Numbers and booleans; ``null`` is absent; ``\\u0000`` is U+0000 (A-D21)."""
        body = {
            "username": int(NUMBER),
            "password": 123456,
            "da": int(HANDSET),
            "ud": "a\0b",
            "private": True,
            "xml": False,
            "srr": None,
            "limit": 1,
        }
        message = self.queued(self.post(json.dumps(body).encode(), "application/json")[1])
        assert message.private
        assert self.submitted()[0].short_message == b"a\0b"
        big = {**HELLO, "da": int("89440000000000000001")}
        assert self.post(json.dumps(big).encode(), "application/json")[1].startswith("ERR: Inv")

    def test_what_cannot_be_read_is_an_invalid_request(self) -> None:
        """I7: in the words of the script, and nothing is sent."""
        for body, kind in (
            (b"{", "application/json"),
            (b"[1]", "application/json"),
            (b'{"da": [1]}', "application/json"),
            (b"<x/>", "text/xml"),
            (b"--b", "multipart/form-data; boundary=b"),
        ):
            assert self.post(body, kind) == (200, "ERR: Invalid request\n")
        for method in ("HEAD", "PUT"):
            octets = f"{method} /sms.cgi?{urlencode(HELLO)} HTTP/1.1\r\nHost: h\r\n\r\n".encode()
            status, _ = self.send(octets)
            assert status == 200
        assert self.link.submitted == []

    def test_a_file_part_is_read_as_text(self) -> None:
        """A-D17."""
        fields = [
            *((f'name="{name}"', value.encode()) for name, value in HELLO.items() if name != "ud"),
            ('name="ud"; filename="a.txt"', "Grüße".encode()),
        ]
        body = b"".join(
            f"--b\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + value + b"\r\n"
            for head, value in fields
        )
        answer = self.post(body + b"--b--\r\n", "multipart/form-data; boundary=b")
        assert read(self.queued(answer[1])).text == "Grüße"

    def test_a_body_that_is_too_large_is_refused_in_the_words_of_the_script(self) -> None:
        """E-D7's limit, and A-D33: HTTP 200 always."""
        status, answer = self.post(b"x" * 70_000, "application/json")
        assert (status, answer) == (200, "ERR: Message too long\n")


class LoginTests(ScriptCase):
    def test_A_D19_user_names_as_people_write_them(self) -> None:
        """Blanks and plus are removed, the national form is converted."""
        for username in ("+44 1632 960123", "01632960123", "0044 1632960123", "00441632960123"):
            self.queued(self.ask(username=username))
        self.submitted()
        assert self.error(username="1632960123") == "Authentication failed"
        self.serve(aaisp={"country": "49"})
        assert self.error(username="01632960123") == "Authentication failed"

    def test_F_1_a_wrong_login_is_answered_with_200(self) -> None:
        """Missing or wrong (A-D19), as the worked example has it."""
        failed = "Authentication failed"
        assert self.error(password="bad") == failed
        assert self.error(password=None) == failed
        assert self.error(username=None) == failed
        assert self.error(username="447700900999") == failed
        status, answer = self.get("username=441632960123&password=bad&da=447700900123&ud=x")
        assert (status, answer) == (200, "ERR: Authentication failed\n")

    def test_A_D19_a_login_that_is_no_number_of_the_account_is_none(self) -> None:
        """A REST key does not open the script, with its right secret either; nor does a number that
        has no password of its own (A-R17)."""
        account = self.journey.provisioning.accounts["acme"]
        account.credential.append(evolve(account.credential[0], username="key1"))
        account.credential.append(evolve(account.credential[0], username="447700900555"))
        self.journey.provision(self.journey.provisioning)
        account.number.append(Number("441632960124"))
        self.journey.provision(self.journey.provisioning)
        assert self.error(username="441632960124") == "Authentication failed"
        assert self.error(username="key1") == "Authentication failed"
        assert self.error(username="447700900555") == "Authentication failed"
        account.number.append(Number("4477009005*"))
        self.journey.provision(self.journey.provisioning)
        assert self.queued(self.ask(username="447700900555")).source == "447700900555"
        self.submitted()

    def test_guesses_are_limited(self) -> None:
        """Twenty of one address within a minute; then none is tried."""
        for n in range(20):
            assert self.error(username=f"x{n}") == "Authentication failed"
        assert self.error(password="654321") == "Too many requests"

    def test_an_address_that_is_not_allowed(self) -> None:
        """Before the password is looked at."""
        account = self.journey.provisioning.accounts["acme"]
        account.credential[0].allow = ["10.0.0.1"]
        self.journey.provision(self.journey.provisioning)
        assert self.error() == "Not authorised from this address"

    def test_a_login_needs_the_right_to_send_by_this_interface(self) -> None:
        """F-6 of spec/aerialink.md."""
        self.serve(rights={"interfaces": ["rest"]})
        assert self.error() == "Authentication failed"
        self.serve(rights={"interfaces": ["sms.cgi"], "resources": ["send"]})
        self.queued(self.ask())
        self.submitted()
        self.serve(rights={"resources": ["receive"]})
        assert self.error() == "Authentication failed"

    def test_a_suspended_account_may_not(self) -> None:
        """Its logins fail."""
        self.serve(suspended=True)
        assert self.error() == "Authentication failed"


class TextTests(ScriptCase):
    def test_A_R22_extension_characters_count_two(self) -> None:
        """80 of each fill one part, 81 need two."""
        for character in "€[\\]^{|}~":
            self.sent(1, ud=character * 80)
            self.sent(2, ud=character * 81)
        self.sent(1, ud="x" * 160)
        self.sent(2, ud="x" * 161)

    def test_A_R16_the_gsm_alphabet_goes_in_seven_bits(self) -> None:
        """Each counts one, the euro two."""
        text = "£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæÉÄÖÑÜ§äöñüà€¡¿"
        [pdu] = self.sent(ud=text)
        assert pdu.data_coding == 0
        assert gsm.decode(pdu.short_message) == text
        assert len(pdu.short_message) == len(text) + 1

    def test_A_R24_C0_80_is_a_null_character(self) -> None:
        """The worked example: 8 bit, user data 61 00 62 (A-D21, A-D22)."""
        base = "username=441632960123&password=123456&da=447700900123&ud="
        self.queued(self.get(f"{base}a%C0%80b")[1])
        [pdu] = self.submitted()
        assert (pdu.data_coding, pdu.short_message) == (4, b"\x61\x00\x62")

    def test_A_R25_beyond_the_basic_plane_it_is_surrogates(self) -> None:
        """The worked example: 16 bit, user data D8 3D DE 00."""
        base = "username=441632960123&password=123456&da=447700900123&ud="
        self.queued(self.get(f"{base}%F0%9F%98%80")[1])
        [pdu] = self.submitted()
        assert (pdu.data_coding, pdu.short_message.hex()) == (8, "d83dde00")

    def test_A_D21_what_is_no_utf_8_is_refused(self) -> None:
        """In any form of the request; an empty text is none; CR LF is LF."""
        base = urlencode({**LOGIN, "da": HANDSET})
        for octets in ("%FF", "a%C3", "%ED%A0%80", "%C0%81", "%C0%80%FF"):
            assert self.get(f"{base}&ud={octets}") == (200, "ERR: Invalid UTF-8\n")
        body = b'--b\r\nContent-Disposition: form-data; name="ud"\r\n\r\n\xff\r\n--b--\r\n'
        answer = self.post(body, "multipart/form-data; boundary=b", base)
        assert answer == (200, "ERR: Invalid UTF-8\n")
        body = body.replace(b"\xff", b"a\xc0\x80")
        self.queued(self.post(body, "multipart/form-data; boundary=b", base)[1])
        assert self.submitted()[0].short_message == b"a\0"
        assert self.error(ud="") == "No message"
        assert self.error(ud=None) == "No message"
        [pdu] = self.sent(ud="a\r\nb\rc")
        assert pdu.short_message == b"a\nb\rc"

    def test_A_D22_what_decides_the_coding(self) -> None:
        """GSM; else octets if it has control characters and nothing above U+00FF; else UCS-2."""
        for text, data_coding, octets in (
            ("a\n\f\r", 0, b"a\n\x1b\n\r"),
            ("\x01é", 4, b"\x01\xe9"),
            ("\x1b", 4, b"\x1b"),
            ("\x85", 4, b"\x85"),
            ("\t", 4, b"\t"),
            ("ê", 8, b"\0\xea"),
            ("\0Ж", 8, b"\0\0\x04\x16"),
        ):
            [pdu] = self.sent(ud=text)
            assert (pdu.data_coding, pdu.short_message) == (data_coding, octets), text

    def test_A_D22_dcs_and_pid_go_before(self) -> None:
        """Decimal; an 8-bit coding takes each character as an octet."""
        [pdu] = self.sent(dcs="8", pid="65")
        assert (pdu.data_coding, pdu.protocol_id) == (8, 65)
        assert pdu.short_message == "Hello world".encode("utf-16-be")
        [pdu] = self.sent(dcs="4", ud="é")
        assert (pdu.data_coding, pdu.short_message) == (4, b"\xe9")
        [pdu] = self.sent(dcs="16")
        assert (pdu.data_coding, pdu.short_message) == (16, b"Hello world")
        [pdu] = self.sent(dcs="6", ud="Привет")  # whatever SMPP has an alphabet for
        assert (pdu.data_coding, pdu.short_message) == (6, "Привет".encode("iso8859-5"))
        for wrong in ({"dcs": "x"}, {"dcs": "256"}, {"dcs": "11"}, {"dcs": "0", "ud": "Ж"}):
            assert self.error(**wrong) == "Invalid dcs"
        assert self.error(dcs="4", ud="Ж") == "Invalid dcs"
        assert self.error(pid="-1") == "Invalid pid"

    def test_A_D23_octets_and_units_fill_parts_too(self) -> None:
        """140 and 134 octets, 70 and 67 units; a pair is never split."""
        self.sent(1, ud="\x01" * 140)
        pdus = self.sent(2, ud="\x01" * 141)
        assert [len(pdu.short_message) for pdu in pdus] == [140, 6 + 7]
        self.sent(1, ud="Ж" * 70)
        pdus = self.sent(2, ud="Ж" * 66 + "😀" * 3)
        assert [len(pdu.short_message) for pdu in pdus] == [6 + 132, 6 + 12]

    @settings(max_examples=60, deadline=None)
    @given(text=st.one_of(st.text(), st.text(st.characters()), st.text(gsm.BASE)))
    def test_any_text_comes_out_as_it_went_in(self, text: str) -> None:
        """The same text at the carrier, or a refusal that says why."""
        self.link.submitted.clear()
        query = urlencode({**LOGIN, "da": HANDSET, "limit": 255})
        octets = text.encode("utf-8", "surrogatepass").replace(b"\0", b"\xc0\x80")
        _, answer = self.get(f"{query}&ud={quote_plus(octets)}")
        if answer.startswith("ERR: "):
            assert answer[5:-1] in ("No message", "Invalid UTF-8") or "needs" in answer, answer
            return
        message = self.journey.known.known[int(answer.split()[2])]
        assert read(message).text == text.replace("\r\n", "\n")
        self.submitted()


class FieldTests(ScriptCase):
    def test_A_D26_limit(self) -> None:
        """1 to 255; nothing is sent of what needs more; 10 by default."""
        letters = "x" * 161
        assert self.error(ud=letters, limit=1) == "Message needs 2 parts, limit 1"
        self.sent(2, ud=letters, limit=2)
        for wrong in ("0", "256", "-1", "1.5", "x", "٣"):
            assert self.error(limit=wrong) == "Invalid limit"
        self.serve(max_parts=255)
        assert self.error(ud="x" * 153 * 11) == "Message needs 11 parts, limit 10"
        self.sent(10, ud="x" * 153 * 10)
        self.sent(11, ud="x" * 153 * 11, limit=11)
        assert self.error(ud="x" * 300, limit="1", udh="06050415811581") == (
            "Message needs 3 parts, limit 1"
        )
        self.serve(settings={"aaisp": {"default_limit": 1}})
        assert self.error(ud=letters) == "Message needs 2 parts, limit 1"
        self.serve(max_parts=1)
        assert self.error(ud=letters, limit=2) == "Message needs 2 parts, limit 1"

    def test_a_text_that_no_message_can_hold(self) -> None:
        """More than 255 parts, which 8 kB of a query cannot bring."""
        self.serve(max_parts=255)
        body = urlencode({**HELLO, "ud": "x" * 153 * 256, "limit": 255}).encode()
        answer = self.post(body, "application/x-www-form-urlencoded")
        assert answer == (200, "ERR: Message needs 256 parts, limit 255\n")

    def test_A_D27_costcentre(self) -> None:
        """10 printable characters are kept, 11 refused."""
        assert self.queued(self.ask(costcentre="0123456789")).costcentre == "0123456789"
        assert self.queued(self.ask(costcentre="")).costcentre == ""
        self.submitted()
        for wrong in ("01234567890", "a\tb", "a\x7f"):
            assert self.error(costcentre=wrong) == "Invalid costcentre"

    def test_A_D28_private_is_there_or_not(self) -> None:
        """With or without value; 0, false and no mean that it is not."""
        for value, private in (("", True), ("1", True), ("yes", True), ("0", False)):
            assert self.queued(self.ask(private=value)).private is private
        for value in ("false", "no", "NO"):
            assert self.queued(self.ask(private=value)).private is False
        answer = self.get(urlencode(HELLO) + "&private")[1]
        assert self.queued(answer).private
        self.submitted()

    def test_A_D25_udh(self) -> None:
        """Hex, well-formed, with its length octet."""
        [pdu] = self.sent(udh="06050415811581", ud="x")
        assert pdu.esm_class & UDHI
        assert pdu.short_message == bytes.fromhex("06050415811581") + b"x"
        [pdu] = self.sent(udh="06050415811581", ud=None)
        assert pdu.short_message == bytes.fromhex("06050415811581")
        for wrong in ("06050415811", "zz", "0705041581158", "05050415811581", "0503", "00FF"):
            assert self.error(udh=wrong) == "Invalid UDH"
        long = bytes([140, 0x70, 138]) + bytes(138)
        assert self.error(udh=long.hex()) == "Invalid UDH"

    def test_A_D24_a_header_and_several_parts(self) -> None:
        """The concatenation element comes first; with one of the sender's it must fit."""
        own = bytes.fromhex("06050415811581")
        self.sent(1, udh=own.hex(), ud="x" * 152)
        pdus = self.sent(2, udh=own.hex(), ud="x" * 153)
        headers = [parts.udh(pdu.short_message)[0] for pdu in pdus]
        assert [header[:3] + header[4:] for header in headers] == [
            bytes([11, 0, 3, 2, 1]) + own[1:],
            bytes([11, 0, 3, 2, 2]) + own[1:],
        ]
        assert headers[0][3] == headers[1][3]
        assert "".join(chr(o) for p in pdus for o in parts.udh(p.short_message)[1]) == "x" * 153
        for header in ("0500030A0201", "060804000A0201"):
            self.sent(1, udh=header, ud="x" * 100)
            assert self.error(udh=header, ud="x" * 160) == "Message too long"
        assert self.error(udh="8A70" + "88" + "00" * 136, ud="x" * 9) == "Message too long"

    def test_A_D29_oa(self) -> None:
        """One's own number, or what the account may use; by default the user name."""
        self.serve(senders=["ACME", "447700900555"])
        for oa, source in (
            (None, NUMBER),
            ("", NUMBER),
            ("01632 960123", NUMBER),
            ("+441632960123", NUMBER),
            (" 441632960123", NUMBER),
            ("ACME", "ACME"),
            ("07700900555", "447700900555"),
        ):
            [pdu] = self.sent(oa=oa)
            assert pdu.source_addr == source.encode()
        for oa in ("Other", "447700900556", "ABCDEFGHIJKL", "A\nB", "!!", "12-34", "Ж"):
            assert self.error(oa=oa) == "Invalid oa"

    def test_A_D30_da(self) -> None:
        """7 to 15 digits after normalising, or an ICCID with a right check digit."""
        for da in ("07700900123", "+447700900123", "00447700900123", "07700 900 123"):
            [pdu] = self.sent(da=da)
            assert pdu.destination_addr == HANDSET.encode()
        for da in ("123456", "1" * 16, "abc", "44-7700900123", "0", "8944000000000000002"):
            assert self.error(da=da) == "Invalid da"
        assert self.error(da=None) == "No destination"
        assert self.error(da=" ") == "No destination"

    def test_A_R20_a_sim_is_a_destination(self) -> None:
        """It goes by the route of SIMs; the check digit may be left alone."""
        assert luhn(SIM)
        assert self.queued(self.ask(da=SIM)).route == "sim"
        self.serve(aaisp={"check_iccid": False})
        assert self.queued(self.ask(da="8944000000000000002")).route == "sim"

    def test_A_D31_srr(self) -> None:
        """A URL or an e-mail address, at most 1000 characters; a receipt is asked for."""
        url = "https://www.example.com/dlr?c=%code&to=%da"
        for srr in (url, "alice@example.com", "https://www.example.com/" + "x" * 976):
            message = self.queued(self.ask(srr=srr))
            assert message.report_to == srr
            [pdu] = self.submitted()
            assert pdu.registered_delivery & 1
        for srr in ("ftp://x", "x", "a@", "https://", "https://www.example.com/" + "x" * 977):
            assert self.error(srr=srr) == "Invalid srr"

    def test_reports_go_to_no_private_address(self) -> None:
        """I6: what is such already as it is written."""
        for host in ("127.0.0.1", "localhost", "10.1.2.3", "[::1]", "2130706433"):
            assert self.error(srr=f"http://{host}/") == "Invalid srr"
        self.serve(aaisp={"allow_private_callbacks": True})
        self.queued(self.ask(srr="http://127.0.0.1/"))
        self.submitted()

    def test_A_D20_one_destination(self) -> None:
        """Unless ``multi_da`` allows up to 50; then each has its line."""
        for da in (f"{HANDSET},447700900124", f"{HANDSET};447700900124"):
            assert self.error(da=da) == "Only one destination allowed"
        self.serve(settings={"aaisp": {"multi_da": True}})
        answer = self.ask(da=f"{HANDSET}, nobody;447700900124,")
        first, wrong, second, end = answer.split("\n")
        assert wrong == "ERR: Invalid da"
        assert end == ""
        self.queued(first + "\n")
        self.queued(second + "\n")
        assert [pdu.destination_addr for pdu in self.submitted()] == [
            HANDSET.encode(),
            b"447700900124",
        ]
        many = [f"4477009{n:05d}" for n in range(51)]
        assert self.error(da=",".join(many)) == "Only 50 destinations allowed"
        answer = self.ask(da=",".join(many[:50]), ud="x" * 200)
        assert answer.count("OK: Queued") == 50
        assert len(self.submitted()) == 100
        assert self.error(da=",;") == "No destination"
        status, answer = self.get(urlencode({**HELLO, "da": f"{HANDSET},447700900124"}) + "&xml")
        assert (status, answer) == (400, XML_ERROR.format("Only one destination allowed"))

    def test_A_D32_the_older_fields(self) -> None:
        """``iccid``, ``sendtime``, ``flash``, ``replace``, ``report``; not without ``legacy``."""
        assert self.queued(self.ask(da=None, iccid=SIM)).destination == SIM
        [pdu] = self.sent(flash="1")
        assert pdu.data_coding == 0x10
        [pdu] = self.sent(flash="1", ud="Ж")
        assert pdu.data_coding == 0x18
        [pdu] = self.sent(flash="1", ud="\x01", udh="06050415811581")
        assert pdu.data_coding == 0x14
        [pdu] = self.sent(flash="0", replace="1")
        assert (pdu.data_coding, pdu.protocol_id) == (0, 0x41)
        assert self.queued(self.ask(report="a@b.example")).report_to == "a@b.example"
        assert self.queued(self.ask(report="1")).report_to == ""
        assert self.queued(self.ask(report="a@b.example", srr="c@d.example")).report_to == (
            "c@d.example"
        )
        self.submitted()
        self.serve(settings={"aaisp": {"legacy": False}})
        assert self.error(da=None, iccid=SIM) == "No destination"
        [pdu] = self.sent(flash="1", replace="1", report="a@b.example", sendtime="x")
        assert (pdu.data_coding, pdu.protocol_id, pdu.registered_delivery) == (0, 0, 0)

    def test_A_D32_sendtime(self) -> None:
        """In the account's zone, up to 30 days ahead; NOW is 2027-01-15 08:00 UTC."""
        self.serve(time_zone="Europe/Berlin")
        message = self.queued(self.ask(sendtime="2027-01-15 10:00:00"))
        assert message.schedule_at == NOW_MS + 3600_000
        assert self.link.submitted == []
        for wrong in ("2027-02-14 10:00:01", "tomorrow", "2027-02-30 10:00:00", "2027-01-15"):
            assert self.error(sendtime=wrong) == "Invalid sendtime"
        self.queued(self.ask(sendtime="2027-01-15 08:59:00"))
        assert len(self.submitted()) == 1


class AnswerTests(ScriptCase):
    def test_A_D33_the_answer_has_a_preamble_where_that_is_wanted(self) -> None:
        """A-R27: for clients that read the second line (F-2); nobody's own line is before ours."""
        self.serve(settings={"aaisp": {"preamble": True}})
        answer = self.ask()
        assert answer.startswith(f"SMS message to {HANDSET}\nOK: Queued ")
        answer = self.ask(da="x\nOK: Queued 1")
        assert answer == "SMS message to x?OK: Queued 1\nERR: Invalid da\n"
        self.submitted()
        self.serve(aaisp={"preamble": True})
        answer = self.ask(password="bad")
        assert answer == f"SMS message to {HANDSET}\nERR: Authentication failed\n"
        self.serve(aaisp={"preamble": True, "multi_da": True})
        lines = self.ask(da=f"{HANDSET},x").splitlines()
        assert (lines[0], lines[2:]) == (
            f"SMS message to {HANDSET}",
            ["SMS message to x", "ERR: Invalid da"],
        )
        self.submitted()

    def test_A_D34_refusals_of_the_journey(self) -> None:
        """Credit, routes, rates, the store."""
        assert self.error(da="33612345678") == "No route"
        self.serve(balance="0.01")
        assert self.error(ud="x" * 161) == "Insufficient credit"
        self.queued(self.ask())
        self.submitted()
        assert self.error() == "Insufficient credit"
        self.serve(rate=1)
        self.queued(self.ask())
        self.submitted()
        assert self.error() == "Too many requests"
        self.journey.clock.advance(10)
        self.journey.journal.broken = "disk full"
        assert self.error() == "Internal error"
        self.flushLoggedErrors()

    def test_A_D35_xml(self) -> None:
        """By GET and POST, with and without value, byte for byte as the worked example (A-R28)."""
        base = urlencode({**LOGIN, "da": SIM, "ud": "hi"})
        for asked in (
            self.get(f"{base}&xml"),
            self.get(f"{base}&xml="),
            self.get(f"{base}&xml=1"),
            self.post(f"{base}&xml=".encode(), "application/x-www-form-urlencoded"),
        ):
            status, answer = asked
            assert (status, self.kind) == (200, "text/xml; charset=utf-8")
            id = ElementTree.fromstring(answer).findtext("message_id")
            assert answer == (
                '<?xml version="1.0" encoding="UTF-8"?><response><status>OK</status>'
                f"<message_id>{id}</message_id><parts>1</parts></response>"
            )
            assert int(id or 0) in self.journey.known.known
        assert self.get(f"{base}&xml=no")[1].startswith("OK: ")

    def test_A_D35_errors_in_xml_have_a_status(self) -> None:
        """A softphone goes by it."""

        def asked(**fields: Any) -> tuple[int, str]:
            return self.get(urlencode({**HELLO, **fields}) + "&xml")

        assert asked(password="bad") == (401, XML_ERROR.format("Authentication failed"))
        assert asked(da="x") == (400, XML_ERROR.format("Invalid da"))
        assert asked(da="33612345678") == (400, XML_ERROR.format("No route"))
        self.serve(balance="0")
        assert asked() == (402, XML_ERROR.format("Insufficient credit"))
        self.serve(rate=1)
        assert asked()[0] == 200
        assert asked() == (429, XML_ERROR.format("Too many requests"))
        self.journey.acceptance.draining = True
        assert asked() == (500, XML_ERROR.format("Internal error"))
        self.submitted()

    def test_a_bug_is_told_with_status_500(self) -> None:
        """Whatever form was asked for: nobody may think that the message is on its way."""
        self.script._acceptance = None  # type: ignore[assignment]
        status, answer = self.get(urlencode(HELLO))
        assert (status, answer) == (500, "ERR: Internal error\n")
        assert len(self.flushLoggedErrors(AttributeError)) == 1

    def test_every_reason_has_words(self) -> None:
        """I4, A-D34: one line for each, of the one table."""
        for reason in Reason:
            said = smscgi.words(Refusal(reason))
            assert said
            assert "\n" not in said


class MoneyTests(ScriptCase):
    def test_A_R23_the_coding_decides_the_price(self) -> None:
        """161 letters are two parts, 161 with one of Cyrillic three, 160 are one."""
        for text, count in (("x" * 160, 1), ("x" * 161, 2), ("x" * 160 + "Ж", 3)):
            self.serve(balance="1.00")
            before = sum(row.amount for row in self.journey.rows(schema.ledger))
            self.sent(count, ud=text)
            after = sum(row.amount for row in self.journey.rows(schema.ledger))
            assert after - before == -100 * count

    def test_A_R26_charging_is_per_part(self) -> None:
        """The charge is in the same transaction as the message (I8)."""
        self.serve(balance="1.00")
        self.sent(3, ud="x" * 400, costcentre="A", private="1")
        [row] = [r for r in self.journey.rows(schema.ledger) if r.amount < 0]
        assert row.amount == -300


class FetchTests(ScriptCase):
    def fetch(self, query: str = "") -> tuple[int, str]:
        """The answer to a softphone."""
        return self.get(f"fetch&{urlencode(LOGIN)}{query}")

    def test_A_D36_what_came_to_the_number_after_the_last_one(self) -> None:
        """Oldest first, times of RFC 3339, nothing that XML cannot hold."""
        status, answer = self.fetch()
        date = "2027-01-15T08:00:00+00:00"
        assert (status, answer) == (
            200,
            '<?xml version="1.0" encoding="UTF-8"?><response>'
            f"<date>{date}</date><unread_smss></unread_smss></response>",
        )
        assert NOW == 1_800_000_000
        for text in (b"one <&", b"two \x00"):
            self.journey.mo(destination_addr=NUMBER.encode(), short_message=text, data_coding=3)
        root = ElementTree.fromstring(self.fetch()[1])
        items = [{e.tag: e.text for e in item} for item in root.iter("item")]
        assert [item["sms_text"] for item in items] == ["one <&", "two \ufffd"]
        assert {item["sender"] for item in items} == {HANDSET}
        assert {item["sending_date"] for item in items} == {date}
        root = ElementTree.fromstring(self.fetch(f"&last_id={items[0]['sms_id']}")[1])
        assert [item.findtext("sms_text") for item in root.iter("item")] == ["two \ufffd"]
        assert self.fetch("&last_id=x") == (400, XML_ERROR.format("Invalid last_id"))

    def test_I6_only_of_the_number_of_the_login(self) -> None:
        """Another number of the same account has its own password."""
        account = self.journey.provisioning.accounts["acme"]
        account.number.append(Number("447700900777"))
        self.journey.provision(self.journey.provisioning)
        self.journey.mo(destination_addr=b"447700900777")
        self.journey.mo(destination_addr=b"447700900999")
        assert "<item>" not in self.fetch()[1]

    def test_it_needs_the_right_to_receive(self) -> None:
        """And a login."""
        self.serve(rights={"resources": ["send"]})
        assert self.fetch()[1] == "ERR: Authentication failed\n"
        assert self.get("fetch&xml")[0] == 401
