"""The content after DATA, with any chunking; arguments of MAIL and RCPT."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.smtp import grammar, replies
from smsgw.smtp.content import LINE_MOST, DataReader, stuffed
from smsgw.smtp.grammar import Recipient, Sender
from smsgw.smtp.replies import Reply
from smsgw.smtp.spool import IN_MEMORY, Spool

lines = st.lists(
    st.binary(max_size=40).map(lambda one: re.sub(rb"[\r\n\0]", b".", one)), max_size=12
)
cuts = st.lists(st.integers(0, 400), max_size=8)


def read(octets: bytes, at: list[int], size: int = 10_000) -> tuple[DataReader, bytes]:
    """Feeds ``octets`` in pieces cut at these places, until it is over."""
    reader = DataReader(size)
    out = b""
    places = [0, *sorted({one for one in at if one < len(octets)}), len(octets)]
    for begin, end in pairwise(places):
        if reader.over:
            reader.rest += octets[begin:end]
        else:
            out += reader.feed(octets[begin:end])
    return reader, out


@given(lines, cuts, st.binary(max_size=20))
def test_content_comes_out_as_it_was(text: list[bytes], at: list[int], after: bytes) -> None:
    """Dots are undone, and what follows the end stays, however the octets are cut."""
    content = b"".join(one + b"\r\n" for one in text)
    reader, out = read(stuffed(content) + b".\r\n" + after, at)
    assert (reader.over, reader.fault, out, reader.rest) == (True, None, content, after)
    assert reader.size == len(content)


@given(st.binary(max_size=300), cuts)
def test_any_octets_are_content_or_a_fault(octets: bytes, at: list[int]) -> None:
    """The same whether they come whole or in pieces; no octet of a bare line end gets out."""
    whole, out = read(octets + b"\r\n.\r\n", [])
    pieces, same = read(octets + b"\r\n.\r\n", at)
    assert (whole.over, pieces.over) == (True, True)
    assert (whole.fault, whole.rest) == (pieces.fault, pieces.rest)
    if whole.fault is None:
        assert out == same
        assert b"\0" not in out
        assert out.count(b"\n") == out.count(b"\r\n") == out.count(b"\r")


@pytest.mark.parametrize(
    "end", [b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n", b"\r\n.\r", b"\0\r\n.\n"]
)
def test_what_smuggles_is_no_end_and_is_refused(end: bytes) -> None:
    """mm4.md §7: bare LF and CR end nothing, and the mail gets 554 5.6.0."""
    reader, _ = read(b"a: b\r\n" + end + b"MAIL FROM:<x@y>\r\n.\r\nNOOP\r\n", [])
    assert (reader.over, reader.fault, reader.rest) == (True, replies.BAD_CONTENT, b"NOOP\r\n")


@pytest.mark.parametrize("step", [1, 7, 5000])
def test_lines_of_998_octets_pass_and_longer_ones_do_not(step: int) -> None:
    """mm4.md §7: 500 5.5.2, and the end is still found. A doubled dot does not count."""
    for first, fault in ((b"..", None), (b"xx", replies.LINE_TOO_LONG)):
        octets = first + b"x" * (LINE_MOST - 1) + b"\r\nshort\r\n.\r\nQUIT\r\n"
        reader, out = read(octets, list(range(0, len(octets), step)))
        assert (reader.over, reader.fault, reader.rest) == (True, fault, b"QUIT\r\n")
        assert bool(out.endswith(b"short\r\n")) == (fault is None)


def test_a_line_without_end_takes_no_memory() -> None:
    """Its octets are dropped, and the end after it is found."""
    reader = DataReader(10_000)
    for _ in range(100):
        assert reader.feed(b"x" * 50_000) == b""
        assert len(reader._tail) <= LINE_MOST + 2
    reader.feed(b"\r")
    reader.feed(b"\n.\r\nNOOP\r\n")
    assert (reader.over, reader.fault, reader.rest) == (True, replies.LINE_TOO_LONG, b"NOOP\r\n")


def test_size_is_bounded() -> None:
    """What goes beyond is not handed out: 552 5.3.4 (T8)."""
    exact, out = read(b"x" * 98 + b"\r\n.\r\n", [], size=100)
    assert (exact.fault, len(out)) == (None, 100)
    more, out = read(b"y\r\n" + b"x" * 98 + b"\r\n.\r\n", [3], size=100)
    assert (more.fault, out) == (replies.TOO_LARGE, b"y\r\n")


@pytest.mark.parametrize(
    ("argument", "found"),
    [
        ("FROM:<>", Sender("")),
        ("from:<a@b.example>", Sender("a@b.example")),
        ("FROM: <a@b.example>  SIZE=17 BODY=8BITMIME", Sender("a@b.example", 17, True)),
        ('FROM:<"a b\\"c"@b.example>', Sender('a b"c@b.example')),
        ("FROM:<@x.example,@y.example:a@b.example>", Sender("a@b.example")),
        ("FROM:<a@[192.0.2.1]> AUTH=<>", Sender("a@[192.0.2.1]")),
        ("FROM:<a@b> RET=hdrs ENVID=QQ+2B1", Sender("a@b", ret="HDRS", envelope_id="QQ+1")),
        ("FROM:a@b", replies.BAD_MAIL),
        ("TO:<a@b>", replies.BAD_MAIL),
        ("FROM:<a>", replies.BAD_MAIL),
        ("FROM:<a@b>x", replies.BAD_MAIL),
        ("FROM:<a@b\r\nX>", replies.BAD_MAIL),
        (f"FROM:<{'a' * 65}@b>", replies.BAD_MAIL),
        ("FROM:<a@b> SIZE=x", replies.BAD_PARAMETER),
        ("FROM:<a@b> SIZE=1 SIZE=2", replies.BAD_PARAMETER),
        ("FROM:<a@b> BODY=BINARYMIME", replies.BAD_PARAMETER),
        ("FROM:<a@b> SMTPUTF8", replies.UNKNOWN_PARAMETER),
        ("FROM:<a@b> ENVID=+0A", replies.BAD_PARAMETER),
    ],
)
def test_argument_of_mail(argument: str, found: Sender | Reply) -> None:
    """RFC 5321 §4.1.1.2, RFC 1870, RFC 6152, RFC 3461 §4."""
    assert grammar.mail(argument, dsn=True) == found


@pytest.mark.parametrize(
    ("argument", "found"),
    [
        (
            "TO:<+447700900123/TYPE=PLMN@MMS.example.com>",
            Recipient("+447700900123/TYPE=PLMN", "mms.example.com"),
        ),
        (
            "TO:<1@b> NOTIFY=success,failure ORCPT=rfc822;a+40b",
            Recipient("1", "b", frozenset({"SUCCESS", "FAILURE"}), "rfc822;a@b"),
        ),
        ("TO:<1@b> NOTIFY=NEVER,DELAY", replies.BAD_PARAMETER),
        ("TO:<1@b> ORCPT=a", replies.BAD_PARAMETER),
        ("TO:<1@b> SIZE=1", replies.UNKNOWN_PARAMETER),
        ("TO:<>", replies.BAD_RCPT),
        ("TO:", replies.BAD_RCPT),
    ],
)
def test_argument_of_rcpt(argument: str, found: Recipient | Reply) -> None:
    """RFC 5321 §4.1.1.3, RFC 3461 §4; MM4's addresses are local parts like others."""
    assert grammar.rcpt(argument, dsn=True) == found


@given(st.text(st.characters(max_codepoint=127), max_size=80))
def test_any_argument_is_read_or_refused(text: str) -> None:
    """And nothing that is no printable ASCII comes of it."""
    for found in (grammar.mail("FROM:" + text, True), grammar.rcpt("TO:" + text, True)):
        assert isinstance(found, Reply) or found.address.isprintable()


def test_spool_is_in_memory_and_then_in_a_file() -> None:
    """What it holds in memory is bounded, and reading gives all of it."""
    spool = Spool()
    assert not spool.add(b"a" * IN_MEMORY)
    assert (spool.in_file, spool.read()) == (False, b"a" * IN_MEMORY)
    assert spool.add(b"b")
    spool.flush()
    assert not spool.add(b"c")
    assert (spool.in_file, spool.read()) == (True, b"a" * IN_MEMORY + b"bc")
    spool.close()
    with pytest.raises(ValueError, match="closed"):
        spool.read()
