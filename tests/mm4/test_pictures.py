"""Contents fitted to a carrier by making pictures smaller: spec/mm4.md section 6."""

import io

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from smsgw.mm4 import content, pictures, types
from smsgw.mm4.mime import Content, Part
from tests.mm4 import examples

GIF = examples.GIF


def words(text="Hello"):
    return Part("text/plain", "a.txt", content=text.encode(), charset="utf-8")


def noise(width, height, form="JPEG", mode="RGB", **options):
    picture = Image.effect_noise((width, height), 90).convert(mode)
    if mode == "RGBA":
        picture.putalpha(Image.linear_gradient("L").resize((width, height)))
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def opened(part):
    return Image.open(io.BytesIO(part.content))


def test_pictures_are_scaled_until_the_mail_fits():
    """The large one gives way, the small one and the text stay; the SMIL shows them all."""
    large, small = noise(900, 700, quality=95), noise(60, 40)
    parts = [
        words(),
        Part("image/jpeg", "l.jpg", content=large),
        Part("image/jpeg", "s.jpg", content=small),
    ]
    whole = content.admit(Content(parts)).content
    assert content.size(whole) > 300_000
    fitted = content.fit(whole, 100_000)
    assert content.size(fitted) <= 100_000
    assert [p.name for p in fitted.parts] == [p.name for p in whole.parts]
    assert fitted.parts[3].content == small
    assert max(opened(fitted.parts[2]).size) < 900
    assert opened(fitted.parts[2]).size[0] > opened(fitted.parts[2]).size[1]


def test_a_content_that_fits_stays():
    """Not a pixel is changed without need."""
    whole = examples.content()
    assert content.fit(whole, 10_000) is whole


def test_a_content_that_cannot_fit_is_told():
    """Scaling not wanted, nothing to scale, or too little room."""
    picture = content.admit(Content([Part("image/jpeg", "l.jpg", content=noise(600, 600))])).content
    assert content.fit(picture, 20_000, scale=False) is None
    assert content.fit(picture, 3_500) is None
    text = content.admit(Content([words("x" * 20_000)])).content
    assert content.fit(text, 10_000) is None


def test_a_png_becomes_a_jpeg_under_a_name_that_says_so():
    """And the SMIL refers to it by the new name."""
    octets = noise(500, 400, "PNG")
    whole = content.admit(Content([Part("image/png", "p.png", content=octets)])).content
    fitted = content.fit(whole, 60_000)
    assert [(p.type, p.name) for p in fitted.parts[1:]] == [("image/jpeg", "p.jpg")]
    assert b'src="p.jpg"' in fitted.parts[0].content


def test_what_shines_through_is_kept():
    """A PNG with alpha stays one."""
    octets = noise(500, 400, "PNG", "RGBA")
    whole = content.admit(Content([Part("image/png", "p.png", content=octets)])).content
    fitted = content.fit(whole, 100_000)
    assert fitted.parts[1].type == "image/png"
    assert opened(fitted.parts[1]).mode == "RGBA"


def test_a_picture_is_turned_as_it_was_taken_and_loses_its_metadata():
    """EXIF orientation is applied; where it was taken is told to nobody."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "at home"
    whole = content.admit(
        Content([Part("image/jpeg", "l.jpg", content=noise(800, 300, exif=exif, quality=95))])
    ).content
    fitted = content.fit(whole, 60_000)
    width, height = opened(fitted.parts[1]).size
    assert height > width
    assert not opened(fitted.parts[1]).getexif()


def png(width, height):
    """A picture of two colours: few octets, however many pixels."""
    buffer = io.BytesIO()
    Image.new("1", (width, height)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def moving():
    """An animation."""
    frames = [Image.effect_noise((200, 200), 90) for _ in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def test_bombs_and_animations_are_left_as_they_are():
    """More pixels than are decoded, many more, several frames: none is scaled."""
    for octets in (png(5_000, 5_000), png(16_000, 12_000), moving()):
        assert pictures.shrunk(octets, 500) is None
        kind = types.of(octets)
        whole = Content([Part(kind, "p", "p", "p", octets + bytes(9_000))])
        assert content.fit(whole, 5_000) is None


def test_ruins_are_left_as_they_are():
    """What cannot be decoded is no picture."""
    signature = b"\x89PNG\r\n\x1a\n"
    jpeg = noise(400, 400)[:2_000]
    for octets in (
        jpeg,
        jpeg[:3] + bytes(9_000),
        GIF[:20] + bytes(9_000),
        signature + bytes(9_000),
    ):
        assert pictures.shrunk(octets, 500) is None


@given(
    st.binary(max_size=600),
    st.sampled_from([b"\xff\xd8\xff", b"GIF89a", b"\x89PNG\r\n\x1a\n", b""]),
)
def test_any_octets_are_scaled_or_left(octets, signature):
    """The decoder's errors are no errors of ours."""
    found = pictures.shrunk(signature + octets, 50)
    assert found is None or len(found.octets) <= 50
