"""Bodies of the REST API: any text is the same text in every format (E-D3)."""

import gc
import json
from types import FunctionType, ModuleType
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.http.rest_bodies import ParameterError, read_body
from smsgw.http.site import Request
from smsgw.refusals import Reason
from smsgw.smtp.spool import Spool

# What an XML document can hold (XML 1.0 §2.2).
XML_TEXT = st.text(
    st.characters(
        exclude_categories=["Cs"],
        exclude_characters=[chr(n) for n in range(32) if n not in (9, 10, 13)]
        + ["\ufffe", "\uffff"],
    ),
    min_size=1,
)


def read(body: bytes, content_type: str) -> Any:
    """The parameters of a body."""
    return read_body(Request("POST", b"/", {b"content-type": content_type.encode()}, body))


def fault(body: bytes, content_type: str) -> Any:
    """The refusal of a body."""
    with pytest.raises(ParameterError) as caught:
        read(body, content_type)
    return caught.value.refusal


@given(st.text(min_size=1))
def test_any_text_by_form_json_and_multipart(text: str) -> None:
    """It is read as it was written."""
    form = urlencode({"messageText": text})
    assert read(form.encode(), "application/x-www-form-urlencoded") == {"messageText": text}
    document = {"messageText": text}
    assert read(json.dumps(document).encode(), "application/json; charset=utf-8") == document
    if "--b" not in text:
        part = b'--b\r\nContent-Disposition: form-data; name="messageText"\r\n\r\n'
        body = part + text.encode() + b"\r\n--b--\r\n"
        assert read(body, "multipart/form-data; boundary=b") == document


@given(XML_TEXT)
def test_any_text_by_xml(text: str) -> None:
    """With its three special characters escaped, and line ends kept by references."""
    body = f"<request><messageText>{escape(text, {chr(13): '&#13;'})}</messageText></request>"
    assert read(body.encode(), "application/xml") == {"messageText": text}
    assert read(body.encode(), "text/xml; charset=utf-8") == {"messageText": text}


def test_nothing_of_a_large_file_stays_in_memory() -> None:
    """Many uploads may wait for their turn, each with its octets in its file only (E-D7)."""
    octets = bytes(300_000)
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    spool = Spool()
    try:
        spool.add(part + octets + b"\r\n--b--\r\n")
        spool.flush()
        headers = {b"content-type": b"multipart/form-data; boundary=b"}
        found = read_body(Request("POST", b"/", headers, spool=spool))
        reached: list[Any] = [found["file"]]
        seen: set[int] = set()
        while reached:
            one = reached.pop()
            assert not (isinstance(one, bytes) and len(one) > 100_000)
            if id(one) not in seen and not isinstance(one, (type, ModuleType, FunctionType)):
                seen.add(id(one))
                reached += gc.get_referents(one)
        assert found["file"].read() == octets
    finally:
        spool.close()


def test_an_empty_element_is_a_parameter_that_is_missing() -> None:
    """As null in JSON."""
    body = b"<request><source>1</source><clientReference/></request>"
    assert read(body, "application/xml") == {"source": "1"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<request>",
        b"<other/>",
        b"<request xmlns='urn:x'/>",
        b"<!DOCTYPE request><request/>",
        b'<!DOCTYPE r [<!ENTITY a "b">]><request><source>&a;</source></request>',
        b'<?xml version="1.0" encoding="nonsense"?><request/>',
        b"<request>\xff</request>",
    ],
)
def test_xml_that_is_none_is_1010(body: bytes) -> None:
    """What cannot be read, or may not be: a DTD is refused before anything of it is used."""
    assert fault(body, "application/xml").reason is Reason.BAD_REQUEST


def test_elements_in_a_parameter_are_1012() -> None:
    """Parameters are texts."""
    body = b"<request><source><a/></source></request>"
    assert fault(body, "application/xml").reason is Reason.PARAMETER_INVALID


def test_a_second_file_is_1012_with_the_hint() -> None:
    """Section 5: several attachments go by MM4."""
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\nx\r\n'
    refusal = fault(part * 2 + b"--b--\r\n", "multipart/form-data; boundary=b")
    assert (refusal.reason, "MM4" in refusal.detail) == (Reason.PARAMETER_INVALID, True)
