"""Answers in JSON and XML, and which of them a client wants (E-D2, E-D9, E-D10)."""

from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.http.render import JSON, XML, to_xml, wanted
from smsgw.http.rest_documents import Outcome, Outcomes, Submitted
from smsgw.http.site import Request


def test_the_worked_example_in_xml() -> None:
    """Section 5, without the line breaks of the page: an opt-out, its missing values empty."""
    outcome = Outcome(
        transaction_guid="0a6f7c54-18a1-4c0e-b6a5-3d2f1e0c9b8a",
        message_type="Submit",
        code=52,
        code_text="Opted Out",
        extended_status_code=30003,
        message_state="REJECTD",
        source="12025550100",
        destination="12025550199",
        parts=0,
        client_reference=None,
        submit_date="2026-03-14T10:15:05Z",
    )
    document = Submitted(code=52, code_text="Opted Out", transactions=Outcomes(outcome))
    assert to_xml("aerialink", document).decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        "<aerialink><code>52</code><codeText>Opted Out</codeText><transactions><transaction>"
        "<transactionGUID>0a6f7c54-18a1-4c0e-b6a5-3d2f1e0c9b8a</transactionGUID>"
        "<messageType>Submit</messageType>"
        "<code>52</code><codeText>Opted Out</codeText>"
        "<extendedStatusCode>30003</extendedStatusCode>"
        "<messageState>REJECTD</messageState>"
        "<source>12025550100</source><destination>12025550199</destination><parts>0</parts>"
        "<clientReference/>"
        "<submitDate>2026-03-14T10:15:05Z</submitDate></transaction></transactions></aerialink>"
    )


def test_lists_are_repeated_elements_and_booleans_are_words() -> None:
    """E-D9, E-D10."""
    found = to_xml("r", {"a": [1, 2], "b": True, "c": [], "d": {"e": None}})
    assert found.endswith(b"<r><a>1</a><a>2</a><b>true</b><d><e/></d></r>")


@given(st.text())
def test_any_text_makes_xml_that_can_be_read(text: str) -> None:
    """What XML cannot hold becomes U+FFFD; everything else is read as it was."""
    root = ElementTree.fromstring(to_xml("r", {"t": text}))
    kept = "".join(c if c in "\t\n\r" or " " <= c not in "\ufffe\uffff" else "\ufffd" for c in text)
    assert (root.findtext("t") or "") == kept


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, JSON),
        ({b"accept": b"*/*"}, JSON),
        ({b"accept": b"application/xml"}, XML),
        ({b"accept": b"text/xml, application/json"}, XML),
        ({b"accept": b"application/xml;q=0.5, application/json"}, JSON),
        ({b"accept": b"text/html, application/xml;q=0.9, */*;q=0.8"}, XML),
        ({b"accept": b"application/json;q=x"}, JSON),
        ({b"accept": b"image/png"}, JSON),
        ({b"accept": b"*/*", b"content-type": b"text/xml; charset=utf-8"}, XML),
        ({b"accept": b"image/png", b"content-type": b"application/xml"}, XML),
        ({b"accept": b"application/json", b"content-type": b"application/xml"}, JSON),
        ({b"content-type": b"application/x-www-form-urlencoded"}, JSON),
    ],
)
def test_what_a_client_wants(headers: dict[bytes, bytes], expected: Any) -> None:
    """Accept, then the body, then JSON; the suffix goes before all of them."""
    request = Request("GET", b"/v4/x", headers)
    assert wanted(request) is expected
    assert wanted(request, XML) is XML
