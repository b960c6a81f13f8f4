"""Pictures made smaller, so that a carrier takes them; bounded whatever the picture is."""

import io
import warnings
from collections.abc import Iterator

from attrs import frozen
from PIL import Image, ImageOps

# Some 100 MB while it is decoded. A picture with more is left as it is.
MAX_PIXELS = 24_000_000
_FORMATS = ("JPEG", "PNG", "GIF")
TYPES = frozenset({"image/jpeg", "image/png", "image/gif"})
# Longest sides in pixels and JPEG qualities that are tried, the best first.
_SIDES = (1600, 1280, 1024, 800, 640, 480, 320, 240, 160)
_QUALITIES = (85, 70, 50)

# The library warns of pictures with very many pixels before it gives their size; as an error the
# warning is an answer (Pillow, "Decompression bombs").
warnings.simplefilter("error", Image.DecompressionBombWarning)


@frozen
class Picture:
    """A picture in its new form."""

    type: str
    octets: bytes


def shrunk(octets: bytes, limit: int) -> Picture | None:
    """The picture scaled down until it has at most ``limit`` octets; None if it cannot be.

    JPEG stays JPEG; PNG and GIF become JPEG unless something shines through them, then PNG. Turned
    as its EXIF data says, which are left out, as all other metadata. Animations are not touched.
    Takes tens to hundreds of milliseconds of CPU: call it in a thread.
    """
    if len(octets) <= limit:
        return None
    try:
        picture = _opened(octets)
        if picture is None:
            return None
        for form, side in _sizes(picture):
            small = form.copy()
            small.thumbnail((side, side))
            for candidate in _written(small):
                if len(candidate.octets) <= limit:
                    return candidate
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None
    except Exception:  # decoders raise whatever they meet in broken pictures
        return None
    return None


def _opened(octets: bytes) -> Image.Image | None:
    """The decoded picture, upright; None for animations and for more pixels than are decoded."""
    with Image.open(io.BytesIO(octets), formats=_FORMATS) as picture:
        width, height = picture.size
        if width * height > MAX_PIXELS or getattr(picture, "n_frames", 1) > 1:
            return None
        if picture.format == "JPEG":
            # The decoder may leave out what is scaled away anyway.
            picture.draft("RGB", (_SIDES[0], _SIDES[0]))
        picture.load()
        upright = ImageOps.exif_transpose(picture)
        return _plain(upright)


def _plain(picture: Image.Image) -> Image.Image:
    """In RGBA if anything shines through, else in RGB; without metadata."""
    through = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
    plain = picture.convert("RGBA" if through else "RGB")
    if through:
        lowest = plain.getchannel("A").getextrema()[0]
        if lowest == 255:
            plain = plain.convert("RGB")
    plain.info = {}
    return plain


def _sizes(picture: Image.Image) -> Iterator[tuple[Image.Image, int]]:
    longest = max(picture.size)
    yield picture, longest
    for side in _SIDES:
        if side < longest:
            yield picture, side


def _written(picture: Image.Image) -> Iterator[Picture]:
    if picture.mode == "RGBA":
        buffer = io.BytesIO()
        picture.save(buffer, "PNG", optimize=True)
        yield Picture("image/png", buffer.getvalue())
        return
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality, optimize=True)
        yield Picture("image/jpeg", buffer.getvalue())
