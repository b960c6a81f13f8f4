"""What of a content goes on: spec/mm4.md section 6, ruling 25."""

import re

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from smsgw.mm4 import content, mime, names, types
from smsgw.mm4.mime import Content, ContentFault, Part
from smsgw.mm4.words import RequestStatus
from smsgw.testing import strategies
from tests.mm4 import examples

GIF = examples.GIF
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF"


def gif(name="a.gif", **more):
    return Part("image/gif", name, content=GIF, **more)


def words(text="Hello", name="a.txt", **more):
    return Part("text/plain", name, content=text.encode(), charset="utf-8", **more)


def smil(body, **more):
    octets = f"<smil><head/><body>{body}</body></smil>".encode()
    return Part("application/smil", "s.smil", "s", content=octets, charset="utf-8", **more)


def presented(admitted):
    """The SMIL of what was admitted."""
    found = admitted.content
    return next(p.content for p in found.parts if p.id == found.start).decode()


def test_the_example_goes_on_as_it_is_T1():
    """Names, ids, types and SMIL of example 5.1 are true and safe already."""
    admitted = content.admit(examples.content())
    assert admitted.content == examples.content()
    assert admitted.notes == []


@pytest.mark.parametrize(
    ("octets", "kind"),
    [
        (JPEG, "image/jpeg"),
        (GIF, "image/gif"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
        (b"BM" + bytes(24), "image/bmp"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
        (b"#!AMR\n\x3c", "audio/amr"),
        (b"#!AMR-WB\n\x3c", "audio/amr-wb"),
        (b"ID3\x04\0", "audio/mpeg"),
        (b"\xff\xfb\x90\x64\0", "audio/mpeg"),
        (b"\0\0\0\x18ftyp3gp5", "video/3gpp"),
        (b"\0\0\0\x18ftypisom", "video/mp4"),
        (b"\0\0\0\x18ftypM4A ", "audio/mp4"),
        (b"\0\0\0\x18ftypqt  ", "video/quicktime"),
        (b"\0\0\0\x18ftypheic", "image/heif"),
        (b"%PDF-1.4\n", "application/pdf"),
        (b"begin:vcard\r\nVERSION:2.1", "text/vcard"),
        (b"BEGIN:VCALENDAR\r\n", "text/calendar"),
        (b'\xef\xbb\xbf <?xml version="1.0"?><!DOCTYPE smil><!-- x --><smil>', "application/smil"),
        (b"<!doctype html><html>", "text/html"),
        (b"<svg onload='x'>", "image/svg+xml"),
        (b"MZ\x90\0", "application/x-msdownload"),
        (b"PK\x03\x04", "application/zip"),
        (b"MZ is a title too", "text/plain"),
        ("Жук".encode(), "text/plain"),
        (b"", "text/plain"),
        ("Жук".encode("utf-16"), ""),
        (b"\x00\x01\x02", ""),
    ],
)
def test_octets_show_their_type(octets, kind):
    """By signatures, never by names."""
    assert types.of(octets) == kind


@pytest.mark.parametrize(
    ("label", "octets", "kind"),
    [
        ("image/jpeg", JPEG, "image/jpeg"),
        ("image/jpg", JPEG, "image/jpeg"),
        ("image/gif", JPEG, "image/jpeg"),
        ("application/octet-stream", JPEG, "image/jpeg"),
        ("text/plain", GIF, "image/gif"),
        ("image/jpeg", b"MZ\x90\0", None),
        ("image/jpeg", b"\0\1\2", None),
        ("image/jpeg", b"just words", "text/plain"),
        ("image/jpeg", b"<html>", None),
        ("text/plain", b"<html>", "text/plain"),
        ("text/html", b"<html>", None),
        ("text/plain", b"\0\1", None),
        ("audio/mp4", b"\0\0\0\x18ftypmp42", "audio/mp4"),
        ("video/3gpp", b"\0\0\0\x18ftypisom", "video/3gpp"),
        ("image/gif", b"\0\0\0\x18ftypisom", "video/mp4"),
        ("text/x-vcard", b"BEGIN:VCARD\n", "text/x-vcard"),
        ("text/plain", b"BEGIN:VCARD\n", "text/plain"),
        ("text/plain", b"<svg>", "text/plain"),
        ("application/octet-stream", b"BEGIN:VCARD\n", "text/vcard"),
        ("application/octet-stream", b"<svg>", None),
        ("text/x-vcard", b"Bob", "text/plain"),
        ("application/smil", b"no smil", "application/smil"),
        ("application/x-thing", b"\0\1\2", None),
        ("image/webp", b"RIFF\x24\0\0\0WEBPVP8 ", None),
    ],
)
def test_a_label_that_octets_contradict_is_changed_or_refused(label, octets, kind):
    """Ruling 25: relabelled if the real type is accepted, refused if not."""
    assert types.judge(label, octets) == kind


def test_what_is_accepted_is_a_setting():
    """More types or fewer."""
    assert types.judge("application/x-thing", b"\0\1", {"application/x-thing"}) is not None
    assert types.judge("image/gif", GIF, {"image/jpeg"}) is None


def test_a_part_that_is_not_accepted_refuses_the_content():
    """Error-content-not-accepted, and which it is."""
    program = Part("image/jpeg", "a.jpg", content=b"MZ\x90\0")
    with pytest.raises(ContentFault) as e:
        content.admit(Content([words(), program]))
    assert e.value.status is RequestStatus.CONTENT_NOT_ACCEPTED
    assert e.value.detail == "image/jpeg that is application/x-msdownload is not accepted"


def test_or_it_is_left_out_with_a_note():
    """By a setting; if nothing is left the content is refused."""
    program = Part("application/zip", "a.zip", content=b"PK\x03\x04")
    admitted = content.admit(Content([words(), program]), drop=True)
    assert admitted.notes == ["left out: application/zip is not accepted"]
    assert [p.type for p in admitted.content.parts] == ["application/smil", "text/plain"]
    with pytest.raises(ContentFault, match="left out"):
        content.admit(Content([program]), drop=True)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("photo.gif", "photo.gif"),
        ("/etc/passwd/photo.gif", "photo.gif"),
        ("C:\\Temp\\photo.gif", "photo.gif"),
        ("../../photo.gif", "photo.gif"),
        ("http://example.org/a/photo.gif", "photo.gif"),
        ("my photo.gif", "my_photo.gif"),
        ("фото.gif", "part3.gif"),
        ("", "part3.gif"),
        ("..", "part3.gif"),
        ("photo.jpg", "photo.gif"),
        ("photo.exe", "photo.exe.gif"),
        ("v1.2", "v1.2.gif"),
        ("photo", "photo.gif"),
        ("a\r\nb\0.gif", "a_b.gif"),
        ("x" * 100 + ".gif", "x" * 60 + ".gif"),
    ],
)
def test_names_are_safe_and_fit_their_type(name, safe):
    """Section 6: the last path component, 1 to 64 safe characters."""
    assert names.safe(name, "image/gif", 3) == safe


@given(st.text(max_size=200), st.sampled_from([*names.EXTENSIONS, "application/x-thing"]))
def test_any_name_becomes_a_safe_one(name, kind):
    """1 to 64 safe characters, the first a letter or digit; made safe again, it is the same."""
    safe = names.safe(name, kind, 1)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", safe)
    assert names.safe(safe, kind, 1) == safe


@given(st.lists(st.sampled_from(["a.gif", "A.GIF", "a-2.gif", "b", "x" * 64, "x" * 60 + ".gif"])))
def test_duplicates_are_numbered(wanted):
    """No two names are alike, in any case; the first keeps its own, none is too long."""
    found = names.numbered(wanted)
    assert len({name.lower() for name in found}) == len(wanted)
    assert all(len(name) <= names.MAX_NAME for name in found)
    assert not wanted or found[0] == wanted[0]


def test_a_smil_is_made_where_there_is_none():
    """A slide for each medium, texts beside them in order, cards not shown."""
    card = Part("text/vcard", "b.vcf", content=b"BEGIN:VCARD\n")
    parts = [gif("one.gif"), words(), Part("audio/amr", "s.amr", content=b"#!AMR\n"), card, words()]
    admitted = content.admit(Content(parts))
    assert admitted.content.start == "smil"
    assert re.findall(r"<par .*?</par>", presented(admitted)) == [
        '<par dur="5000ms"><img src="one.gif" region="Image"/>'
        '<text src="a.txt" region="Text"/></par>',
        '<par dur="5000ms"><audio src="s.amr"/><text src="a-2.txt" region="Text"/></par>',
    ]


def test_or_not_if_it_is_not_wanted():
    """A carrier that needs none gets none."""
    admitted = content.admit(Content([words()]), make_smil=False)
    assert [p.type for p in admitted.content.parts] == ["text/plain"]
    assert admitted.content.start == ""


def test_references_follow_their_parts():
    """By location, name, Content-ID or a path, in whatever way the part is named afterwards."""
    parts = [
        smil('<img src="http://x/фото.jpg"/><img src="cid:two"/><text src="cid:&lt;t t&gt;"/>'
             '<img src="my two.gif"/>'),
        gif("", location="http://x/фото.jpg"),
        gif("my two.gif", id="two"),
        words(id="t t"),
    ]  # fmt: skip
    admitted = content.admit(Content(parts, "s"))
    assert re.findall(r'src="(.*?)"', presented(admitted)) == [
        "part2.gif",
        "cid:two",
        "cid:a.txt",
        "my_two.gif",
    ]
    assert [(p.name, p.id) for p in admitted.content.parts[1:]] == [
        ("part2.gif", "part2.gif"),
        ("my_two.gif", "two"),
        ("a.txt", "a.txt"),
    ]


@pytest.mark.parametrize(
    "hostile",
    [
        '<img src="http://evil.example.org/a.gif"/>',
        '<img src="file:///etc/passwd"/>',
        '<img src="javascript:alert(1)"/>',
        '<img src="data:image/gif;base64,AA"/>',
        "<script>alert(1)</script>",
        '<a href="http://evil.example.org/"></a>',
        '<par onload="alert(1)"/>',
        '<iframe src="a.gif"/>',
        '<region poster="http://evil.example.org/a.gif" id="x"/>',
        '<par style="background: url(http://evil.example.org/)"/>',
        '<?xml-stylesheet href="http://evil.example.org/a.css"?>',
        '<x:img xmlns:x="http://www.w3.org/1999/xhtml" src="http://evil.example.org/"/>',
    ],
)
def test_a_smil_shows_its_own_parts_only(hostile):
    """What refers elsewhere, or is no SMIL, is taken out; the rest is still shown."""
    parts = [smil(hostile + '<par><img src="a.gif"/></par>'), gif()]
    shown = presented(content.admit(Content(parts, "s")))
    assert "evil" not in shown
    assert "alert" not in shown
    assert not re.search("passwd|script|data:|frame", shown)
    assert '<img src="a.gif"' in shown


@pytest.mark.parametrize(
    "octets",
    [
        b"no xml",
        b"<smil><body></smil>",
        b"<layout/>",
        b'<!DOCTYPE smil [<!ENTITY a "b">]><smil><body><img src="a.gif"/>&a;</body></smil>',
        b"<smil>" + b"<par>" * 100 + b"</par>" * 100 + b"</smil>",
        b"<smil>" + b"<par/>" * 3_000 + b"</smil>",
        b"<smil><!--" + b"x" * 70_000 + b"--></smil>",
        b'<smil><body><img src="gone.gif"/></body></smil>',
        b'<?xml version="1.0" encoding="no-such"?><smil/>',
    ],
)
def test_a_smil_that_cannot_be_shown_is_made_anew(octets):
    """Not well formed, entities, too deep or large, or showing nothing of the message."""
    start = Part("application/smil", "s.smil", "s", content=octets, charset="utf-8")
    admitted = content.admit(Content([start, gif()], "s"))
    assert '<img src="a.gif" region="Image"/>' in presented(admitted)
    assert admitted.notes[0].startswith("SMIL made anew: ")


def test_a_smil_with_a_namespace_keeps_it():
    """And is written as handsets read it, without prefixes."""
    octets = (
        b'<smil xmlns="http://www.w3.org/2001/SMIL20/Language"><body>'
        b'<img src="x:y"/><img src="a.gif"/></body></smil>'
    )
    start = Part("application/smil", "s.smil", "s", content=octets, charset="utf-8")
    assert presented(content.admit(Content([start, gif()], "s"))) == (
        '<smil xmlns="http://www.w3.org/2001/SMIL20/Language">'
        '<body><img src="a.gif" /></body></smil>'
    )


def test_a_document_type_is_left_out():
    """It names a file of another host, which nobody is to ask for."""
    octets = b'<!DOCTYPE smil PUBLIC "-//W3C//DTD SMIL 1.0//EN" "http://evil.example.org/s.dtd">'
    octets += b'<smil><body><img src="a.gif"/></body></smil>'
    start = Part("application/smil", "s.smil", "s", content=octets, charset="utf-8")
    shown = presented(content.admit(Content([start, gif()], "s")))
    assert shown == '<smil><body><img src="a.gif" /></body></smil>'


def test_only_one_smil_goes_on():
    """The one that start names."""
    other = evolve(smil('<img src="a.gif"/>'), id="other")
    parts = [other, smil('<img src="a.gif"/>'), gif()]
    admitted = content.admit(Content(parts, "s")).content
    assert [p.id for p in admitted.parts if p.type == "application/smil"] == ["s"]


@given(strategies.contents())
def test_any_content_is_admitted_or_refused(given):
    """What goes on can be written, is read back the same, and is admitted again unchanged."""
    try:
        admitted = content.admit(given, drop=True).content
    except ContentFault:
        return
    assert content.admit(admitted).content == admitted
    body = mime.write(admitted)
    octets = f"Content-Type: {body.content_type}\r\n\r\n".encode() + body.octets
    header, start = mime.fields.read(octets)
    assert sorted(map(str, mime.parse(octets, header, start).parts)) == sorted(
        map(str, admitted.parts)
    )


def test_a_part_is_kept_and_comes_back():
    """Media name the octets by their digest."""
    [_, picture, text] = examples.content().parts
    for part in (picture, text):
        kept = content.media(part)
        assert kept.size == len(part.content)
        assert len(kept.digest) == 64
        assert content.part(kept, part.content) == part
