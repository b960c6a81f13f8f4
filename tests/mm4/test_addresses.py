"""Addresses of MM4: spec/mm4.md section 2, rulings 20 and 23."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.mm4 import addresses
from smsgw.mm4.addresses import Kind, Mm4Address
from smsgw.refusals import Reason

DOMAIN = "mms.example.com"
DOMAINS = (DOMAIN,)
NUMBER = Mm4Address(Kind.NUMBER, "447700900123", DOMAIN)


def read(text):
    return addresses.read(text, "44", DOMAINS)


@pytest.mark.parametrize(
    "text",
    [
        "+447700900123/TYPE=PLMN@mms.example.com",
        "447700900123/TYPE=PLMN@mms.example.com",
        "+447700900123/type=plmn@MMS.Example.COM",
        "+447700900123@mms.example.com",
        "447700900123@mms.example.com",
        "00447700900123/TYPE=PLMN@mms.example.com",
        "07700900123/TYPE=PLMN@mms.example.com",
        "07700900123@mms.example.com",
        "<+447700900123/TYPE=PLMN@mms.example.com>",
        "Bob <+447700900123/TYPE=PLMN@mms.example.com>",
        '"Bob, <Esq.>" <+447700900123/TYPE=PLMN@mms.example.com>',
        "+447700900123/TYPE=PLMN@mms.example.com (Bob)",
        "  +447700900123/TYPE=PLMN@mms.example.com  ",
        '"+44 7700 900123"@mms.example.com',
        "<@relay.example.net:447700900123@mms.example.com>",
        "447700900123@mms.example.com.",
    ],
)
def test_every_form_of_a_number_is_read_T3(text):
    """With and without + and /TYPE=PLMN in any case, display name, brackets, 00, national."""
    assert read(text) == NUMBER


@pytest.mark.parametrize("text", ["+447700900123", "447700900123/TYPE=PLMN"])
def test_a_number_without_a_domain_is_read(text):
    """As some systems write it into To."""
    assert read(text) == Mm4Address(Kind.NUMBER, "447700900123", "")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("80888/TYPE=PLMN@mms.example.com", Mm4Address(Kind.SHORT_CODE, "80888", DOMAIN)),
        ("80888@mms.example.com", Mm4Address(Kind.SHORT_CODE, "80888", DOMAIN)),
        ("ACME@mms.example.com", Mm4Address(Kind.NAME, "ACME", DOMAIN)),
        ('"Acme Ltd"@mms.example.com', Mm4Address(Kind.NAME, "Acme Ltd", DOMAIN)),
        ("alice@example.org", Mm4Address(Kind.MAIL, "alice@example.org", "example.org")),
        (
            "447700900123@example.org",
            Mm4Address(Kind.MAIL, "447700900123@example.org", "example.org"),
        ),
        (
            "system-address@mms.example.com",
            Mm4Address(Kind.MAIL, "system-address@mms.example.com", DOMAIN),
        ),
    ],
)
def test_short_codes_names_and_users_by_e_mail(text, address):
    """Ruling 23; at a domain that is no MMSC's a local part of digits is only a mailbox."""
    assert read(text) == address


def test_a_type_makes_a_number_at_any_domain():
    """/TYPE=PLMN says it whatever the domain is."""
    assert read("+447700900123/TYPE=PLMN@example.org").kind is Kind.NUMBER


@pytest.mark.parametrize(
    "text",
    [
        "192.0.2.1/TYPE=IPv4@mms.example.com",
        "2001:db8::1/TYPE=IPv6@mms.example.com",
        "+447700900123/TYPE=X400@mms.example.com",
        "+447700900123/TYPE=@mms.example.com",
        "ACME/TYPE=PLMN@mms.example.com",
        "+12/TYPE=PLMN@mms.example.com",
        "+4477009001234567890/TYPE=PLMN@mms.example.com",
        "",
        "@mms.example.com",
        "a@",
        "a@b c",
        "a@-",
        "a\x00b@mms.example.com",
        "<>",
        "x" * 400 + "@mms.example.com",
    ],
)
def test_what_is_no_address_is_refused(text):
    """Users by IP address, other types, and what is no mailbox at all (section 2)."""
    assert read(text) is Reason.BAD_DESTINATION


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("447700900123", "+447700900123/TYPE=PLMN@mms.example.com"),
        ("+447700900123", "+447700900123/TYPE=PLMN@mms.example.com"),
        ("80888", "80888/TYPE=PLMN@mms.example.com"),
        ("ACME", "ACME@mms.example.com"),
        ("Acme Ltd", '"Acme Ltd"@mms.example.com'),
        ('A"b\\c', '"A\\"b\\\\c"@mms.example.com'),
        ("alice@example.org", "alice@example.org"),
    ],
)
def test_addresses_are_written_in_one_form(source, written):
    """Ruling 23: numbers with + and type, short codes without +, names as local parts."""
    address = addresses.of_source(source)
    assert addresses.write(address, DOMAIN) == written
    again = read(written)
    assert (again.kind, again.text) == (address.kind, address.text)


@given(st.from_regex(r"[1-9][0-9]{7,14}", fullmatch=True))
def test_a_number_comes_back_from_what_is_written(digits):
    """read(write(number)) == number."""
    written = addresses.write(addresses.of_source(digits), DOMAIN)
    assert read(written) == Mm4Address(Kind.NUMBER, digits, DOMAIN)


def test_several_mailboxes_are_told_apart():
    """Commas in quotes, comments and brackets separate nothing; groups give their members."""
    text = '"A, B" <a@x>, (c, d) b@x, <"e,f"@x>, , friends: g@x, h@x;, undisclosed-recipients:;'
    assert addresses.several(text) == ["a@x", "b@x", '"e,f"@x', "g@x", "h@x"]


anything = st.one_of(st.text(), st.text(st.sampled_from('"\\<>(),:;@/+0aTYPE= \x00\n')))


@given(anything)
def test_any_text_is_an_address_or_is_refused(text):
    """Nothing crashes; what is read fits on one line of a header and is ASCII."""
    for one in [text, *addresses.several(text)]:
        found = addresses.read(one, "44", DOMAINS)
        if isinstance(found, Mm4Address):
            written = addresses.write(found, DOMAIN)
            assert written.isascii()
            assert written.isprintable()
        else:
            assert found is Reason.BAD_DESTINATION


@pytest.mark.parametrize(
    "text", ["(" * 16_000, "<" * 16_000, '"\\' * 8_000, "a:" * 8_000, "," * 16_000]
)
def test_hostile_lists_are_read_in_one_pass(text):
    """No recursion and no second look, however they are nested."""
    assert len(addresses.several(text)) <= 1
