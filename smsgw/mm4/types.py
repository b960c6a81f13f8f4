"""The type of a part by its octets, and whether its label agrees (ruling 25)."""

import re
from collections.abc import Collection

TEXT = "text/plain"
OCTETS = "application/octet-stream"
# What is taken unless a setting says otherwise (``spec/mm4.md`` §6).
ACCEPTED = frozenset(
    {
        "text/plain",
        "application/smil",
        "image/jpeg",
        "image/gif",
        "image/png",
        "image/bmp",
        "audio/amr",
        "audio/mpeg",
        "audio/mp4",
        "audio/wav",
        "video/3gpp",
        "video/mp4",
        "text/x-vcard",
        "text/vcard",
        "text/calendar",
        "application/pdf",
    }
)
# Other names of the same types.
_ALIASES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "image/x-bmp": "image/bmp",
    "image/x-ms-bmp": "image/bmp",
    "audio/x-amr": "audio/amr",
    "audio/mp3": "audio/mpeg",
    "audio/mpeg3": "audio/mpeg",
    "audio/x-mp3": "audio/mpeg",
    "audio/x-mpeg": "audio/mpeg",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "audio/wave": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "video/3gp": "video/3gpp",
    "video/x-m4v": "video/mp4",
    "text/directory": "text/x-vcard",
    "application/smil+xml": "application/smil",
    "application/x-pdf": "application/pdf",
}
# Containers of the ISO family hold sound or pictures under the same brands.
_SAME = {
    "video/mp4": {"audio/mp4", "video/3gpp", "audio/3gpp"},
    "audio/mp4": {"video/mp4"},
    "video/3gpp": {"audio/3gpp", "video/3gpp2", "audio/3gpp2", "video/mp4", "audio/mp4"},
    "text/vcard": {"text/x-vcard"},
    "audio/amr": {"audio/amr-nb"},
}
_SIGNATURES = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"#!AMR-WB\n", "audio/amr-wb"),
    (b"#!AMR\n", "audio/amr"),
    (b"ID3", "audio/mpeg"),
    (b"%PDF-", "application/pdf"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"OggS", "application/ogg"),
    (b"fLaC", "audio/flac"),
    (b"MThd", "audio/midi"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),
    (b"PK\x03\x04", "application/zip"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"MZ", "application/x-msdownload"),
    (b"\x7fELF", "application/x-elf"),
)
# Words that a text may begin with; the real ones have control characters after them.
_WORDS = (b"ID3", b"MZ", b"OggS", b"fLaC", b"MThd")
_RIFF = {b"WAVE": "audio/wav", b"WEBP": "image/webp", b"AVI ": "video/x-msvideo"}
_MARKUP = re.compile(rb"<(smil|html|head|body|script|svg|iframe)\b", re.IGNORECASE)
# What may stand before the root of a document, and how it ends.
_PROLOGUE = ((b"<!--", b"-->"), (b"<?", b"?>"), (b"<!", b">"))
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


_MARKED = ("application/smil", "image/svg+xml")  # types that are written in XML


def canonical(label: str) -> str:
    """The usual name of a type."""
    return _ALIASES.get(label, label)


def of(octets: bytes) -> str:
    """The type that the octets show, "" if they show none: ``text/plain`` for any UTF-8 text."""
    for signature, kind in _SIGNATURES:
        if octets.startswith(signature):
            if signature in _WORDS and not _CONTROLS.search(octets):
                break
            return kind
    if octets[:4] == b"RIFF":
        return _RIFF.get(octets[8:12], "")
    if octets[4:8] == b"ftyp":
        return _branded(octets[8:12])
    if octets[:2] == b"BM" and octets[6:10] == bytes(4) and len(octets) >= 26:
        return "image/bmp"
    if _is_mpeg_audio(octets):
        return "audio/mpeg"
    if not _is_text(octets):
        return ""
    head = octets[:2_000].removeprefix(b"\xef\xbb\xbf").lstrip()
    markup = _MARKUP.match(_root(head))
    if markup:
        kinds = {b"smil": "application/smil", b"svg": "image/svg+xml"}
        return kinds.get(markup[1].lower(), "text/html")
    upper = head[:20].upper()
    if upper.startswith(b"BEGIN:VCARD"):
        return "text/vcard"
    if upper.startswith(b"BEGIN:VCALENDAR"):
        return "text/calendar"
    return TEXT


def _root(head: bytes) -> bytes:
    """A document from its root element on, without declarations and comments."""
    for opening, closing in _PROLOGUE * 3:
        while head.startswith(opening):
            _, _, rest = head.partition(closing)
            head = rest.lstrip()
    return head


def _branded(brand: bytes) -> str:
    """The type of an ISO base media file by its major brand."""
    if brand[:3] in (b"3gp", b"3gr", b"3gs", b"3ge", b"3gg", b"3g2"):
        return "video/3gpp"
    if brand in (b"M4A ", b"M4B ", b"M4P "):
        return "audio/mp4"
    if brand == b"qt  ":
        return "video/quicktime"
    if brand in (b"heic", b"heix", b"hevc", b"mif1", b"avif"):
        return "image/heif"
    return "video/mp4"


def _is_mpeg_audio(octets: bytes) -> bool:
    """True for a frame header of MPEG audio: sync, version, layer, bit rate and sampling legal."""
    if len(octets) < 4 or octets[0] != 0xFF or octets[1] & 0xE0 != 0xE0:
        return False
    if octets[1] == 0xFE:  # UTF-16 text begins so
        return False
    version, layer = octets[1] >> 3 & 3, octets[1] >> 1 & 3
    return version != 1 and layer != 0 and octets[2] >> 4 not in (0, 15) and octets[2] >> 2 & 3 != 3


def _is_text(octets: bytes) -> bool:
    if _CONTROLS.search(octets):
        return False
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def is_binary(kind: str) -> bool:
    """True for a type that ``of`` gives for octets that are no text."""
    return bool(kind) and not kind.startswith("text/") and kind not in _MARKED


def judge(label: str, octets: bytes, accepted: Collection[str] = ACCEPTED) -> str | None:
    """The type that a part goes on with, or None if it is refused (ruling 25).

    What the octets show wins over the label: a part whose label they contradict goes on under its
    real type if that is accepted. Text is what its label says if nothing in it speaks against it.
    """
    label = canonical(label)
    shown = of(octets)
    if shown == TEXT and label == "application/smil":
        kind = label  # nothing speaks against it; what is no SMIL is made anew
    elif shown == TEXT or (label == TEXT and shown in _PLAIN_TOO):
        # A text that looks like markup or a card, and is called plain, is shown as plain text.
        fits = label.startswith("text/") and label not in ("text/vcard", "text/x-vcard")
        kind = label if fits and label != "text/calendar" else TEXT
    elif not shown:
        # Nothing contradicts a type that has no signature here.
        kind = label if label not in _SIGNED and not label.startswith("text/") else ""
    else:
        kind = label if label == shown or label in _SAME.get(shown, ()) else shown
    return kind if kind in accepted else None


_PLAIN_TOO = ("text/html", "image/svg+xml", "text/vcard", "text/calendar")
# Types whose octets must show them.
_SIGNED = ACCEPTED | {kind for _, kind in _SIGNATURES} | {OCTETS, "image/webp", "image/svg+xml"}
