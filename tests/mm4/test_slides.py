"""The slides of a SMIL."""

from hypothesis import given
from hypothesis import strategies as st

from smsgw.message import Media, Multimedia
from smsgw.mm4 import smil
from smsgw.mm4.slides import slides, start_of

PICTURE = Media("image/jpeg", "a.jpg", "pic", "00", 1)
OTHER = Media("image/gif", "b.gif", "b.gif", "01", 1)
TEXT = Media("text/plain", "t.txt", "text", "02", 1)
ALL = [PICTURE, OTHER, TEXT]


def test_each_par_is_a_slide() -> None:
    """In its order, by name and by Content-ID; what is not here is left out."""
    shown = slides(
        b'<smil xmlns="http://www.w3.org/2001/SMIL20/Language"><head/><body>'
        b'<par><text src="t.txt"/><img src="cid:pic"/></par><par><img src="missing.gif"/></par>'
        b'<par><img src="b.gif"/></par></body></smil>',
        ALL,
    )
    assert shown == [[TEXT, PICTURE], [OTHER]]


def test_what_is_on_two_slides_is_shown_once() -> None:
    """A page of many slides with one large picture is not many times as large."""
    assert slides(
        b'<smil><body><par><img src="a.jpg"/></par><par><img src="a.jpg"/></par></body></smil>', ALL
    ) == [[PICTURE]]


def test_media_beside_any_par_are_a_slide() -> None:
    """Some handsets write none."""
    assert slides(b'<smil><body><img src="a.jpg"/></body></smil>', ALL) == [[PICTURE]]


def test_what_we_make_is_what_we_show() -> None:
    """A made SMIL has a slide for each picture."""
    made = smil.made([smil.Shown(one.type, one.name) for one in ALL])
    assert slides(made, ALL) == [[PICTURE, TEXT], [OTHER]]


@given(st.binary(max_size=200))
def test_any_octets_have_slides_or_none(octets: bytes) -> None:
    """Nothing is raised."""
    assert isinstance(slides(octets, ALL), list)


def test_start_is_the_smil_that_is_named() -> None:
    """Else the first; None if there is none."""
    one, two = (Media("application/smil", n, n, "0", 1) for n in ("a", "b"))
    assert start_of(Multimedia(media=[one, two], start="b")) is two
    assert start_of(Multimedia(media=[one, two])) is one
    assert start_of(Multimedia(media=ALL)) is None
