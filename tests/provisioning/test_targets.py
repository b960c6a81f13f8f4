"""Targets: what one item of a number's setting means (spec/aaisp.md 4.1, spec/aql.md 4.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.provisioning import ProvisioningError, parse
from smsgw.provisioning.accounts import Account, Number
from smsgw.provisioning.targets import (
    Target,
    callback_of,
    check_detail,
    mailbox,
    masked,
    parse_target,
    read,
    report_of,
    targets_of,
)
from smsgw.toml import Wrong

ACCOUNT = Account("acme", email="ops@example.com")


def parsed(text: str) -> tuple[str, str, str]:
    target = parse_target(text)
    assert target.text == text
    return target.kind, target.prefix, target.address


@pytest.mark.parametrize(
    ("text", "kind", "prefix", "address"),
    [
        ("a@b.example", "email", "", "a@b.example"),
        ("@a@b.example", "toot", "", "@a@b.example"),
        ("07700900123", "mobile", "", "07700900123"),
        ("+447700900123", "mobile", "", "447700900123"),
        ("447700900123", "mobile", "", "447700900123"),
        ("8944000000000000001", "sim", "", "8944000000000000001"),
        ("http://a.example/x", "http", "", "http://a.example/x"),
        ("https://a.example:8443", "http", "", "https://a.example:8443"),
        ("*+odd@b.example", "email", "*", "+odd@b.example"),
        ("**odd@b.example", "email", "*", "*odd@b.example"),
        ("+a@b.example", "email", "+", "a@b.example"),
        ("+@a@b.example", "toot", "+", "@a@b.example"),
        ("!+447700900123", "mobile", "!", "447700900123"),
        ("!447700900123", "mobile", "!", "447700900123"),
        ("!8944000000000000001", "sim", "!", "8944000000000000001"),
        ("*https://a.example/?", "http", "*", "https://a.example/?"),
        ("+https://a.example/?", "http", "+", "https://a.example/?"),
        ("smpp", "smpp", "", ""),
        ("null", "null", "", ""),
    ],
)
def test_the_form_tells_the_kind(text: str, kind: str, prefix: str, address: str) -> None:
    """A-R2 to A-R4, A-D2, A-D3: one prefix at most, and the first kind that matches."""
    assert parsed(text) == (kind, prefix, address)


def test_a_person_s_host_is_no_longer_than_names_are() -> None:
    """So that a post has room for more than whom it is to (A-D15)."""
    name, host = "a" * 64, "b" * 253
    assert parsed(f"@{name}@{host}")[0] == "toot"
    with pytest.raises(Wrong):
        parse_target(f"@{name}@{host}b")


@pytest.mark.parametrize(
    ("url", "method"),
    [
        ("http://a.example/in?", "GET"),
        ("http://a.example/in?key=1&", "GET"),
        ("http://a.example/in", "POST"),
        ("http://a.example/in?a=b", "POST"),
    ],
)
def test_the_end_of_a_url_tells_the_method(url: str, method: str) -> None:
    """A-R11, A-R12."""
    assert parse_target(url).method == method


@pytest.mark.parametrize(
    "text",
    [
        "foo", "", "+", "!!447700900123", "123456", "1" * 16, "a b@c.example",
        "@a", "a@", "http://", "http:///x", "http://a.example:99999999/", "http://[::1", "ftp://a",
        "http://a.example/a b", "http://a.example/\r\nX: y", "SMPP", "89" + "0" * 15,
        "http://a.example/" + "x" * 500,
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    """A-D3 (6): when it is saved, and with what would be right."""
    with pytest.raises(Wrong):
        parse_target(text)


@given(st.text() | st.text("+*!@:/?&.ab0189smptel", max_size=30))
def test_any_text_is_a_target_or_refused(text: str) -> None:
    """There is nothing that is neither, and a target is read back as it was."""
    try:
        target = parse_target(text)
    except Wrong:
        return
    assert target.text == text
    assert read(target.text) == target
    assert target.prefix in ("", "+", "*", "!")
    assert "\r" not in target.address
    assert "\n" not in target.address


def number(*targets: str, **fields: str) -> Number:
    return Number("447700900000", list(targets), **fields)


def test_a_text_is_a_list_of_targets_too() -> None:
    """A-R1, A-D1: separated by blanks, tabs or line ends; at most 20 of 500 characters each."""

    def parsed_of(targets: str) -> list[str]:
        text = f'[[account]]\nname = "a"\n[[account.number]]\naddress = "441134960001"\n{targets}\n'
        return parse(text, "p.toml").accounts["a"].number[0].targets

    url = "https://a.example/" + "x" * 482
    assert parsed_of(f'targets = "a@b.example  *{url[:-1]}\\t\\n+@a@b.example"') == [
        "a@b.example",
        f"*{url[:-1]}",
        "+@a@b.example",
    ]
    assert len(parsed_of(f'targets = "{" ".join(f"a{n}@b.example" for n in range(20))}"')) == 20
    for wrong in (
        f'targets = "{" ".join(f"a{n}@b.example" for n in range(21))}"',
        f'targets = "a@b.example *{url}"',
        'targets = "a@b.example foo"',
    ):
        with pytest.raises(ProvisioningError):
            parsed_of(wrong)


def test_each_target_gets_a_message_once() -> None:
    """A-R1; the same target twice is one."""
    found = targets_of(number("smpp", "a@b.example", "smpp"), ACCOUNT)
    assert [one.text for one in found] == ["smpp", "a@b.example"]


def test_without_a_target_the_account_s_mailbox_has_it() -> None:
    """A-D6; a number with null only goes nowhere."""
    assert targets_of(number(), ACCOUNT) == [parse_target("ops@example.com")]
    assert targets_of(number(), Account("b")) == []
    assert targets_of(number("null"), ACCOUNT) == []


def test_a_relay_of_several_urls_is_one_target() -> None:
    """Q-R17: it is the relay that goes from one URL to the next."""
    [target] = targets_of(number(method="httpget", detail="http://a.example,http://b"), ACCOUNT)
    assert (target.kind, target.method, target.dialect) == ("http", "GET", "aql")
    assert target.address == "http://a.example,http://b"
    assert read(target.text) == target
    [target] = targets_of(number(method="httppost", detail="http://a.example"), ACCOUNT)
    assert target.method == "POST"


def test_a_relay_of_several_mailboxes_is_as_many() -> None:
    """Q-R20: each is sent a copy, in the form of its dialect (ruling 27)."""
    found = targets_of(number(method="email", detail="a@b.example, c@d.example;+e@f"), ACCOUNT)
    assert [one.address for one in found] == ["a@b.example", "c@d.example", "+e@f"]
    assert {one.dialect for one in found} == {"aql"}
    assert [read(one.text) for one in found] == found


def test_null_route_and_mvno_go_nowhere_outside() -> None:
    """Q-R10, Q-R11: only to the SIM that the detail names."""
    assert targets_of(number("smpp", method="null-route"), ACCOUNT) == []
    assert targets_of(number("smpp", method="mvno"), ACCOUNT) == []
    [sim] = targets_of(number(method="mvno", detail="8944000000000000001"), ACCOUNT)
    assert sim.kind == "sim"


@pytest.mark.parametrize(
    ("method", "detail"),
    [
        ("httpget", ""), ("httppost", "foo"), ("httpget", "http://a.example,"),
        ("httpget", ",".join(["http://a.example"] * 11)), ("httpget", "http://" + "a" * 1100),
        ("email", ""), ("email", "nobody"), ("email", ",".join(["a@b"] * 21)),
        ("mvno", "http://a.example"), ("null-route", "x"), ("httpget", "http://a.example/%q"),
        ("httppost", "http://a.example/?a=100%"),
    ],
)  # fmt: skip
def test_a_detail_that_no_relay_understands_is_refused(method: str, detail: str) -> None:
    """Q-R15, Q-D11, Q-D12, Q-D15."""
    with pytest.raises(Wrong):
        check_detail(method, detail)


def test_a_detail_that_fits_its_method_is_right() -> None:
    """With the most that each takes."""
    check_detail("httpget", ",".join(["http://a.example/%i%2C%o%d0"] * 10))
    check_detail("email", " ".join(["a@b"] * 20))
    check_detail("null-route", "")
    check_detail("mvno", "")


def test_receipts_go_to_the_callback() -> None:
    """By POST, in the form of REST."""
    target = callback_of(Account("a", callback="https://a.example/cb"))
    assert target == Target(
        "http", "https://a.example/cb", "", "aerialink", "POST", "https://a.example/cb"
    )


def test_a_report_goes_to_a_url_or_a_mailbox() -> None:
    """A-R31, A-D39; a URL by GET, whatever it ends in."""
    assert report_of("https://a.example/x?c=%code").method == "GET"
    assert report_of("a@b.example").kind == "email"
    assert report_of("+a@b.example").address == "+a@b.example"
    for wrong in ("447700900123", "https://a b", "https://", "x"):
        with pytest.raises(Wrong):
            report_of(wrong)


def test_a_mailbox_that_begins_with_a_prefix_is_written_with_a_star() -> None:
    """A-R4."""
    assert mailbox("!a@b.example").text == "*!a@b.example"
    assert mailbox("a@b.example").text == "a@b.example"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:pass@a.example/in?key=secret#x", "https://a.example/in"),
        ("target:acme *http://a.example:81/in?k=1&", "target:acme *http://a.example:81/in"),
        ("httpget http://u:p@a.example/x?k,http://b.example?k", "httpget http://a.example/x,http://b.example"),
        ("http://a.example/x@y", "http://a.example/x@y"),
        ("account:acme", "account:acme"),
        ("a@b.example", "a@b.example"),
    ],
)  # fmt: skip
def test_what_may_be_secret_in_a_url_is_not_shown(text: str, shown: str) -> None:
    """Login, query and fragment are left out, in every URL of the text."""
    assert masked(text) == shown
