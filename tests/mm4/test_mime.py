"""Contents as MIME: spec/mm4.md section 6, ruling 26."""

import base64
import email
import email.policy
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smsgw.mm4 import fields, mime
from smsgw.mm4.mime import Content, ContentFault, Part
from smsgw.mm4.words import RequestStatus
from smsgw.testing import strategies
from tests.mm4 import examples

GIF = examples.GIF


def parse(octets):
    header, body = fields.read(octets)
    return mime.parse(octets, header, body)


def mail(content_type, body, **more):
    lines = [f"Content-Type: {content_type}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in more.items()]
    octets = body if isinstance(body, bytes) else body.encode()
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + octets


def multipart(*parts, kind="multipart/mixed", boundary="b", end=b"--b--\r\n"):
    body = b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + end
    return mail(f'{kind}; boundary="{boundary}"' if boundary else kind, body)


def text(words="Hello"):
    return f"Content-Type: text/plain\r\n\r\n{words}".encode()


def fault(octets):
    with pytest.raises(ContentFault) as e:
        parse(octets)
    return e.value.status


def test_the_example_content_is_read_T1():
    """Example 5.1: SMIL, picture and text, the SMIL named as the start."""
    assert parse(examples.FORWARD_REQ) == examples.content()


def test_the_smil_is_written_first():
    """multipart/related begins with its root, wherever that was."""
    content = examples.content()
    content.parts.reverse()
    body = mime.write(content)
    read = parse(mail(body.content_type, body.octets))
    assert [p.type for p in read.parts] == ["application/smil", "text/plain", "image/gif"]
    assert 'multipart/related; type="application/smil"; start="<smil>"' in body.content_type


def test_without_smil_it_is_multipart_mixed():
    """Section 6."""
    body = mime.write(Content([Part("image/gif", "a.gif", "a", "a.gif", GIF)]))
    assert body.content_type.startswith("multipart/mixed; boundary=")


@given(strategies.contents(), st.booleans())
@settings(deadline=None)
def test_any_content_comes_back_as_it_was(content, eight_bit):
    """parse(write(content)) == content, with 8BITMIME and without."""
    body = mime.write(content, eight_bit=eight_bit)
    assert parse(mail(body.content_type, body.octets)) == content
    if not eight_bit:
        assert body.octets.isascii()
    assert all(len(line) <= 998 for line in body.octets.split(b"\r\n"))
    assert b"\n" not in body.octets.replace(b"\r\n", b"")
    assert b"\r" not in body.octets.replace(b"\r\n", b"")


@given(strategies.contents(), st.booleans())
@settings(deadline=None)
def test_the_standard_library_reads_the_same(content, eight_bit):
    """What is written is MIME as others read it: type, name, id and octets of each part."""
    body = mime.write(content, eight_bit=eight_bit)
    read = email.message_from_bytes(mail(body.content_type, body.octets, MIME_Version="1.0"))
    assert read.is_multipart()
    assert not read.defects
    parts = read.get_payload()
    assert [
        (p.get_content_type(), p.get_filename(), p["Content-ID"], p.get_payload(decode=True))
        for p in parts
    ] == [(p.type, p.name, f"<{p.id}>", p.content) for p in content.parts]


kinds = st.sampled_from(["image/jpeg", "audio/amr", "text/plain"])


@given(st.lists(st.tuples(kinds, st.text(max_size=300), st.binary(max_size=300)), min_size=1))
@settings(deadline=None)
def test_what_the_standard_library_writes_is_read(wanted):
    """Any well-formed message in, the same parts out."""
    message = EmailMessage(policy=email.policy.SMTP)
    message["Subject"] = "x"
    for number, (kind, words, octets) in enumerate(wanted[:8]):
        main, sub = kind.split("/")
        data = words.removeprefix("\ufeff").encode("utf-8", "replace") if main == "text" else octets
        message.add_attachment(data, main, sub, filename=f"naïve {number}.bin", cid=f"<{number}>")
    parts = parse(message.as_bytes()).parts
    for number, (part, (kind, words, octets)) in enumerate(zip(parts, wanted[:8], strict=True)):
        assert (part.type, part.id, part.name) == (kind, str(number), f"naïve {number}.bin")
        if part.charset:
            assert part.content == words.removeprefix("\ufeff").encode("utf-8", "replace")
        elif kind != "text/plain":
            assert part.content == octets


def test_a_single_body_is_one_part():
    """Section 6: a body that is no multipart."""
    octets = mail(
        'image/gif; name="a.gif"',
        base64.encodebytes(GIF),
        Content_Transfer_Encoding="BASE64",
        Content_ID="<a>",
    )
    assert parse(octets).parts == [Part("image/gif", "a.gif", "a", "", GIF)]


@pytest.mark.parametrize(
    "kind", ["application/vnd.wap.multipart.related", "Application/Vnd.WAP.Multipart.Mixed"]
)
def test_multiparts_of_mm1_are_multiparts(kind):
    """Section 6: as handsets and other MMSCs write them."""
    assert [p.content for p in parse(multipart(text(), kind=kind)).parts] == [b"Hello"]


def test_one_level_of_multiparts_is_flattened():
    """The parts in their order, the start of the inner one too."""
    inner = multipart(text("one"), text("two"), kind='multipart/related; start="<s>"')
    inner = inner.replace(b"--b", b"--inner").replace(b'"b"', b'"inner"')
    content = parse(multipart(inner, text("three")))
    assert [p.content for p in content.parts] == [b"one", b"two", b"three"]
    assert content.start == "s"


def test_deeper_multiparts_are_refused():
    """Error-content-not-accepted, however deep: nothing is read level by level."""
    octets = text()
    for level in range(1_000):
        delimiter = b"--b%d." % level
        octets = mail(
            f"multipart/mixed; boundary=b{level}.",
            b"%s\r\n%s\r\n%s--\r\n" % (delimiter, octets, delimiter),
        )
    assert fault(octets) is RequestStatus.CONTENT_NOT_ACCEPTED


def test_too_many_parts_are_refused():
    """A hundred are taken, one more is not."""
    assert len(parse(multipart(*[text()] * mime.MAX_PARTS)).parts) == mime.MAX_PARTS
    octets = multipart(*[text()] * (mime.MAX_PARTS + 1))
    assert fault(octets) is RequestStatus.CONTENT_NOT_ACCEPTED


@pytest.mark.parametrize(
    "octets",
    [
        multipart(),
        mail("multipart/mixed; boundary=b", b"no delimiter"),
        mail("multipart/mixed", b"no delimiter"),
        mail(f'multipart/mixed; boundary="{"b" * 300}"', b"x"),
        multipart(b"X: " + b"a" * 20_000 + b"\r\n\r\n"),
        mail("image/gif", b"A", Content_Transfer_Encoding="base64"),
    ],
)
def test_what_cannot_be_read_is_corrupt(octets):
    """No part, no boundary, a part's header too large, broken base64."""
    assert fault(octets) is RequestStatus.FORMAT_CORRUPT


def test_an_unknown_encoding_is_not_accepted():
    """What nobody can decode is not passed on."""
    octets = mail("image/gif", b"begin 644 a", Content_Transfer_Encoding="x-uuencode")
    assert fault(octets) is RequestStatus.CONTENT_NOT_ACCEPTED


def test_a_missing_boundary_is_found():
    """The first line that looks like a delimiter is one."""
    assert [p.content for p in parse(multipart(text(), text("two"), boundary="")).parts] == [
        b"Hello",
        b"two",
    ]


def test_a_missing_last_delimiter_loses_nothing():
    """The last part goes to the end of the mail."""
    parts = parse(multipart(text(), text("two"), end=b"")).parts
    assert [p.content for p in parts] == [b"Hello", b"two\r\n"]


def test_preamble_epilogue_and_blanks_are_no_content():
    """Only what stands between delimiters counts; a delimiter may have blanks behind it."""
    body = b"preamble\r\n--b \t\r\n" + text() + b"\r\n--b-- \r\n--b\r\nafter"
    assert [p.content for p in parse(mail("multipart/mixed; boundary=b", body)).parts] == [b"Hello"]
    longer = multipart(text("--bc\r\n x--b")).replace(b'"b"', b"b")
    assert [p.content for p in parse(longer).parts] == [b"--bc\r\n x--b"]


@pytest.mark.parametrize(
    ("charset", "octets"),
    [
        ("; charset=iso-8859-1", "Grüße".encode("latin-1")),
        ('; charset="UTF-8"', "Grüße".encode()),
        ("; charset=utf-16", "Grüße".encode("utf-16")),
        ("", "Grüße".encode()),
        ("", "Grüße".encode("cp1252")),
        ("; charset=us-ascii", "Grüße".encode("latin-1")),
        ("; charset=no-such", "Grüße".encode()),
        ("; charset=zlib", "Grüße".encode()),
        ("; charset=idna", "Grüße".encode()),
        ("; charset=utf-8", "Grüße".encode("latin-1")),
        ("; charset=utf-8", b"\xef\xbb\xbf" + "Grüße".encode()),
    ],
)
def test_text_of_any_charset_is_utf_8(charset, octets):
    """Section 6: text is UTF-8; a charset that is wrong or none is guessed, a transform is none."""
    [part] = parse(mail(f"text/plain{charset}", octets)).parts
    assert (part.content.decode(), part.charset) == ("Grüße", "utf-8")


@pytest.mark.parametrize("quoted", [b"Gr=C3=BC=C3=9Fe", b"Gr=c3=bc=\r\n=c3=9fe"])
def test_quoted_printable_is_read(quoted):
    """Soft line breaks and digits in either case."""
    octets = mail("text/plain", quoted, Content_Transfer_Encoding="Quoted-Printable")
    assert parse(octets).parts[0].content.decode() == "Grüße"


def test_base64_without_padding_is_read():
    """Many leave it out; line ends and blanks are nothing."""
    encoded = base64.b64encode(GIF[:-1]).rstrip(b"=")
    octets = mail(
        "image/gif", encoded[:20] + b" \r\n" + encoded[20:], Content_Transfer_Encoding="base64"
    )
    assert parse(octets).parts[0].content == GIF[:-1]


def test_xml_goes_on_saying_what_it_is_in():
    """A SMIL in another encoding becomes UTF-8, and says so."""
    smil = '<?xml version="1.0" encoding="ISO-8859-1"?><smil title="é"/>'
    [part] = parse(mail("application/smil", smil.encode("latin-1"))).parts
    assert part.content.decode() == '<?xml version="1.0" encoding="utf-8"?><smil title="é"/>'


def test_a_picture_that_is_called_text_is_not_spoilt():
    """Its octets stay, so that its type can be found (ruling 25)."""
    encoded = base64.b64encode(GIF)
    [part] = parse(mail("text/plain", encoded, Content_Transfer_Encoding="base64")).parts
    assert part.content == GIF


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        (b'Content-Disposition: attachment; filename="a.gif"', "a.gif"),
        (b"Content-Disposition: attachment; filename*=utf-8''na%C3%AFve.gif", "naïve.gif"),
        (b"Content-Disposition: attachment; filename==?utf-8?B?bmHDr3ZlLmdpZg==?=", "naïve.gif"),
        (b"X: y", "n.gif"),
    ],
)
def test_names_are_read_from_every_place(fields, name):
    """Disposition first, then the type's parameter; RFC 2231 and encoded words."""
    part = b'Content-Type: image/gif; name="n.gif"\r\n' + fields + b"\r\n\r\nGIF89a"
    assert parse(multipart(part)).parts[0].name == name


@pytest.mark.parametrize("line", [b"caf\xc3\xa9\r\n", b"a\nb", b"x" * 3000, b"a\0b", b"", b"."])
@pytest.mark.parametrize("eight_bit", [True, False])
def test_text_that_lines_cannot_carry_is_base64(line, eight_bit):
    """Bare line ends, long lines and NUL come through unchanged."""
    content = Content([Part("text/plain", "a.txt", "a", "a.txt", line, "utf-8")])
    body = mime.write(content, eight_bit=eight_bit)
    assert parse(mail(body.content_type, body.octets)) == content


@pytest.mark.parametrize("name", ['a"b', "a\r\nb", "x" * 400])
def test_what_is_in_no_header_is_not_written(name):
    """Names are made safe before; one that is not is a mistake of ours."""
    with pytest.raises(ValueError, match="in no header"):
        mime.write(Content([Part("image/gif", name, "a", "", GIF)]))


pieces = st.lists(
    st.sampled_from(
        [
            b"--b\r\n", b"--b--", b"--\r\n", b"\r\n\r\n",
            b"Content-Type: multipart/mixed; boundary=b",
            b"Content-Type: text/plain; charset*0*=x'y'%FF; charset*1=", b"\r\n", b"\n", b"\r",
            b"Content-Transfer-Encoding: base64\r\n\r\n", b"Content-Disposition: a; filename*=''%",
            b"Content-Type: ;;=\"\"", b"=?utf-16?B?AA=?=", b"\xff", b"name*1*=1;name*01=2;",
        ]
    )
)  # fmt: skip


@given(st.one_of(st.binary(), pieces.map(b"".join), st.builds(lambda p: multipart(*p), pieces)))
@settings(deadline=None)
def test_any_octets_are_a_content_or_a_fault(octets):
    """Nothing else is raised; the parts are not larger than the mail, but for text in UTF-8."""
    try:
        content = parse(octets)
    except (ContentFault, fields.TooMuch):
        return
    assert 1 <= len(content.parts) <= mime.MAX_PARTS
    assert sum(len(p.content) for p in content.parts) <= 4 * len(octets)
