"""What customers' URLs are called with: the worked examples byte for byte, and the laws."""

import re
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.http import wording
from smsgw.identities import RECEIPT, to_guid
from smsgw.message import UDHI, MessageState
from smsgw.text import reports
from smsgw.text.reading import read
from tests.deliveries import AT, mo, mt

IN = "https://www.example.com/sms.php"
GREETING = (
    "scts=2026-03-14T10%3A15%3A02%2B00%3A00&da=441632960123&ud=Gr%C3%BC%C3%9Fe&oa=447700900123"
)
ANY_TEXT = st.text(max_size=200)


def fields(query: str) -> dict[str, str]:
    """A form as a receiver reads it."""
    return dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True))


def test_aaisp_worked_examples() -> None:
    """The POST with older names and the GET of spec/aaisp.md section 5."""
    post = wording.aaisp_message(read(mo()), IN, "*")
    assert (post.method, post.url, post.content_type) == ("POST", IN, wording.FORM)
    assert post.body.decode() == (
        GREETING + "&timestamp=2026-03-14+10%3A15%3A02&originator=447700900123"
        "&destination=441632960123&message=Gr%C3%BC%C3%9Fe"
    )
    get = wording.aaisp_message(read(mo()), "https://www.example.org/in?key=s3cret&", "")
    assert get == wording.Call("GET", "https://www.example.org/in?key=s3cret&" + GREETING)


@pytest.mark.parametrize(
    ("url", "method"), [("/x?", "GET"), ("/x?a=b&", "GET"), ("/x", "POST"), ("/x?a=b", "POST")]
)
def test_end_of_the_url_decides_the_method(url: str, method: str) -> None:
    """GET if it ends in ? or &, else POST (A-R11, A-R12)."""
    assert wording.aaisp_message(read(mo()), "http://h" + url, "").method == method


def test_aaisp_fields_are_there_only_if_they_say_something() -> None:
    """via, udh, dcs and pid, in this order and after the others (A-R13, A-D10)."""
    plain = wording.aaisp_message(read(mo("Hi")), IN, "")
    assert list(fields(plain.body.decode())) == ["scts", "da", "ud", "oa"]
    header = bytes.fromhex("0605040B8423F0")
    full = mo(
        parts=[header + b"\x01\x00"],
        esm_class=UDHI,
        data_coding=4,
        protocol_id=65,
        via="447700900999",
    )
    said = fields(wording.aaisp_message(read(full), IN, "").body.decode("latin-1"))
    assert list(said) == ["scts", "da", "ud", "oa", "via", "udh", "dcs", "pid"]
    assert (said["udh"], said["dcs"], said["pid"]) == ("0605040B8423F0", "4", "65")
    assert said["via"] == "447700900999"


def test_octets_are_characters_and_nul_is_two_octets() -> None:
    """8-bit messages: U+0000 to U+00FF in UTF-8, U+0000 as C0 80 (A-D12)."""
    binary = mo(parts=[b"a\x00\xe9\xff"], data_coding=4)
    body = wording.aaisp_message(read(binary), IN, "").body.decode()
    assert "&ud=a%C0%80%C3%A9%C3%BF&" in body


def test_plus_is_e123_and_star_and_bang_are_not() -> None:
    """+ before numbers of the world only: not before names and short codes (A-D9, F-6)."""
    for source, e123 in (("447700900123", "+447700900123"), ("Bank", "Bank"), ("60300", "60300")):
        said = fields(wording.aaisp_message(read(mo(source=source)), IN, "+").body.decode())
        assert (said["oa"], said["da"]) == (e123, "+441632960123")
        for prefix in ("", "*", "!"):
            call = wording.aaisp_message(read(mo(source="+" + source)), IN, prefix)
            assert b"%2B4" not in call.body


def test_bang_is_json() -> None:
    """The same fields as an object; ignored for GET (A-D4)."""
    call = wording.aaisp_message(read(mo("a\x00 €", data_coding=8)), IN, "!")
    assert call.content_type == "application/json"
    assert msgspec.json.decode(call.body) == {
        "scts": "2026-03-14T10:15:02+00:00",
        "da": "441632960123",
        "ud": "a\x00 €",
        "oa": "447700900123",
        "dcs": "8",
    }
    assert wording.aaisp_message(read(mo()), IN + "?", "!").url == f"{IN}?{GREETING}"


AQL_URL = "http://www.example.com/callback.php?id=%i&orig=%o&msg=%m"
HELLO = mo("Hello & bye", destination="441134960001")


def test_aql_worked_examples() -> None:
    """httpget with variables and httppost without, of spec/aql.md section 5."""
    get = wording.aql_message(read(HELLO), HELLO.id, AQL_URL, "GET")
    assert get.url == (
        "http://www.example.com/callback.php?id=9000017&orig=447700900123&msg=Hello+%26+bye"
    )
    post = wording.aql_message(read(HELLO), HELLO.id, "http://www.example.com/in", "POST")
    assert post.url == "http://www.example.com/in"
    assert post.body == (
        b"originator=447700900123&destination=441134960001&message=Hello+%26+bye"
        b"&time=2026-03-14+10%3A15%3A02&unix_time=1773483302&udh=&id=9000017"
    )


def test_aql_default_names_are_appended_to_the_query() -> None:
    """With ? or & as needed (Q-D14)."""
    for url, start in (
        ("http://h/in", "http://h/in?originator="),
        ("http://h/in?", "http://h/in?originator="),
        ("http://h/in?v=1", "http://h/in?v=1&originator="),
        ("http://h/in?v=1&", "http://h/in?v=1&originator="),
    ):
        call = wording.aql_message(read(HELLO), 1, url, "GET")
        assert call.url.startswith(start)
        assert len(fields(call.url[call.url.index("originator") :])) == 7


def test_aql_post_with_variables_moves_the_query_into_the_body() -> None:
    """The request line keeps the path alone (Q-D14)."""
    call = wording.aql_message(read(HELLO), 1, AQL_URL, "POST")
    assert call.url == "http://www.example.com/callback.php"
    assert call.body == b"id=1&orig=447700900123&msg=Hello+%26+bye"


def test_aql_escape_is_no_variable() -> None:
    """%d0 is an escape, %d& the destination (Q-D13); unknown ones stay (Q-D12)."""
    call = wording.aql_message(read(HELLO), 1, "http://h/?a=%d0&b=%d&c=%z&e=%20x&t=%x", "GET")
    assert call.url == "http://h/?a=%d0&b=441134960001&c=%z&e=%20x&t=1773483302"


def report(event: str, url: str, message: object = None) -> str:
    """The URL of a report."""
    sent = message or mt()
    code = reports.code_of(event, sent)  # type: ignore[arg-type]
    return wording.aaisp_report(code, sent, read(sent), url).url  # type: ignore[arg-type]


def test_report_worked_example() -> None:
    """srr of spec/aaisp.md section 5: 8, then 1."""
    url = "https://www.example.com/dlr?c=%code&to=%da"
    under_way = mt(MessageState.ENROUTE)
    assert report("progress", url, under_way) == "https://www.example.com/dlr?c=8&to=447700900123"
    assert report("receipt", url) == "https://www.example.com/dlr?c=1&to=447700900123"


def test_report_placeholders() -> None:
    """All of them, the longest first, in lower case only, their values escaped (A-D37, A-D38)."""
    message = mt(text="50% & more/ü", source="Ac me")
    url = "https://h/r/%id?%code,%dest,%da,%oa,%ud,%DA%DE,%d,%dat"
    assert report("receipt", url, message) == (
        "https://h/r/7300113?1,447700900123,447700900123,Ac%20me,"
        "50%25%20%26%20more%2F%C3%BC,%DA%DE,%d,447700900123t"
    )


def test_report_without_code_gets_fields_or_nothing() -> None:
    """Appended after ? or &, else the URL is called as it is (A-D37)."""
    assert report("receipt", "https://h/r?") == "https://h/r?code=1&da=447700900123&id=7300113"
    assert report("receipt", "https://h/r?x=%da&").endswith("&code=1&da=447700900123&id=7300113")
    assert report("receipt", "https://h/r") == "https://h/r"
    # What stands in it is replaced all the same (A-R33; spec/aql.md 7 asks for %dest).
    assert report("receipt", "https://h/r?to=%dest&x=%da&").startswith(
        "https://h/r?to=447700900123&x=447700900123&code=1&"
    )
    assert report("receipt", "https://h/r?to=%dest") == "https://h/r?to=447700900123"


@pytest.mark.parametrize(
    ("event", "message", "code"),
    [
        ("progress", mt(MessageState.ENROUTE), "8"),
        ("progress", mt(MessageState.ENROUTE, error=107), "4"),
        ("receipt", mt(), "1"),
        ("receipt", mt(MessageState.UNDELIVERABLE), "2"),
        ("receipt", mt(MessageState.EXPIRED), "2"),
        ("receipt", mt(MessageState.EXPIRED, taken=False), "2"),
        ("receipt", mt(MessageState.DELETED, taken=False), "2"),
        ("receipt", mt(MessageState.REJECTED), "2"),
        ("receipt", mt(MessageState.REJECTED, taken=False), "16"),
        ("receipt", mt(MessageState.UNDELIVERABLE, taken=False), "16"),
        ("receipt", mt(MessageState.UNKNOWN), "4"),
    ],
)
def test_report_codes(event: str, message: object, code: str) -> None:
    """1 delivered, 2 failed, 4 buffered, 8 accepted, 16 refused by the next hop (A-D40)."""
    assert report(event, "http://h/%code", message) == f"http://h/{code}"


RECEIPT_OF = mt(source="12025550100", destination="12025550123", client_reference="A-17")


def test_aerialink_receipt_worked_example() -> None:
    """SMS-DLR-HTTP of spec/aerialink.md section 5, by GET; the GUIDs are its own."""
    call = wording.aerialink_push(
        "receipt", RECEIPT_OF, read(RECEIPT_OF), 5, "https://customer.example.org/sms/dlr", "GET"
    )
    assert call.url == (
        f"https://customer.example.org/sms/dlr?transactionGUID={to_guid(RECEIPT_OF.id, RECEIPT)}"
        f"&transactionGUIDlinked={to_guid(RECEIPT_OF.id)}&messageType=Receipt"
        "&source=12025550100&destination=12025550123&code=20&extendedStatusCode=40001"
        "&messageState=DELIVRD&clientReference=A-17&submitDate=2026-03-14T10%3A15%3A02Z"
        "&doneDate=2026-03-14T10%3A15%3A09Z"
    )


def test_aerialink_inbound_worked_example() -> None:
    """SMS-MO-HTTP of spec/aerialink.md section 5, by POST."""
    message = mo(
        "Hi back", source="12025550123", destination="12025550100", accepted_at=AT + 58_000
    )
    call = wording.aerialink_push("mo", message, read(message), 5, "https://h/sms/in", "POST")
    assert (call.method, call.url) == ("POST", "https://h/sms/in")
    assert call.body.decode() == (
        f"transactionGUID={to_guid(message.id)}&messageType=Deliver&source=12025550123"
        "&destination=12025550100&messageText=Hi+back&dcs=0&receivedDate=2026-03-14T10%3A16%3A00Z"
    )


def test_aerialink_acknowledgement_and_failure() -> None:
    """A CDA is 20, 30000 and ENROUTE; a failure 20, 30003 and its state (4.6)."""
    under_way = mt(MessageState.ENROUTE)
    said = fields(
        wording.aerialink_push(
            "progress", under_way, read(under_way), 5, "https://h/", "POST"
        ).body.decode()
    )
    assert (said["messageType"], said["code"]) == ("Acknowledgement", "20")
    assert (said["extendedStatusCode"], said["messageState"]) == ("30000", "ENROUTE")
    assert said["transactionGUID"] == to_guid(5)
    assert said["doneDate"] == "2026-03-14T10:15:04Z"
    failed = mt(MessageState.UNDELIVERABLE, network_error="045")
    call = wording.aerialink_push("receipt", failed, read(failed), 5, "https://h/?", "POST")
    assert call.method == "GET"
    said = fields(urlsplit(call.url).query)
    assert (said["code"], said["extendedStatusCode"]) == ("20", "30003")
    assert (said["messageState"], said["networkErrorCode"]) == ("UNDELIV", "045")


def every_call(text: str, source: str) -> list[tuple[wording.Call, str]]:
    """``text`` told in every way, and the name of the field that has it."""
    message = mo(text=text, source=source)
    reading = read(message)
    return [
        (wording.aaisp_message(reading, "http://h/in?", ""), "ud"),
        (wording.aaisp_message(reading, "http://h/in", "*"), "message"),
        (wording.aql_message(reading, 1, "http://h/in", "GET"), "message"),
        (wording.aql_message(reading, 1, "http://h/in?m=%m&o=%o", "GET"), "m"),
        (wording.aql_message(reading, 1, "http://h/in?m=%m&o=%o", "POST"), "m"),
        (wording.aaisp_report(1, message, reading, "http://h/in?m=%ud&c=%code&o=%oa"), "m"),
        (wording.aerialink_push("mo", message, reading, 1, "http://h/in", "POST"), "messageText"),
    ]


@given(ANY_TEXT, ANY_TEXT)
def test_any_text_comes_back_the_same(text: str, source: str) -> None:
    """A receiver that decodes the field has the text; NUL is C0 80 in two of the forms."""
    wanted = text.encode("utf-8", "replace")
    for call, name in every_call(text, source):
        query = call.body.decode() if call.body else urlsplit(call.url).query
        [value] = [v for n, _, v in (pair.partition("=") for pair in query.split("&")) if n == name]
        got = unquote_to_bytes(value.replace("+", " ")).replace(b"\xc0\x80", b"\0")
        assert got == wanted


@given(ANY_TEXT, ANY_TEXT)
def test_no_text_gets_out_of_its_field(text: str, source: str) -> None:
    """URLs and forms are visible ASCII: no line break, no blank, no character of a header."""
    for call, _ in every_call(text, source):
        assert re.fullmatch(r"[!-~]+", call.url)
        assert re.fullmatch(rb"[!-~]*", call.body)
