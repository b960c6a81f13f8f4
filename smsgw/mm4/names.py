"""Safe file names and Content-IDs of parts (``spec/mm4.md`` §6)."""

import re
from collections.abc import Iterable

MAX_NAME = 64  # characters

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_SAFE_ID = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]{1,128}")
# The first is written for a part without a name, or with one of another type.
EXTENSIONS = {
    "text/plain": ("txt", "text", "asc", "log"),
    "application/smil": ("smil", "smi", "xml"),
    "image/jpeg": ("jpg", "jpeg", "jpe", "jfif"),
    "image/gif": ("gif",),
    "image/png": ("png",),
    "image/bmp": ("bmp", "dib"),
    "image/webp": ("webp",),
    "audio/amr": ("amr",),
    "audio/amr-wb": ("awb", "amr"),
    "audio/mpeg": ("mp3", "mpga", "mpeg"),
    "audio/mp4": ("m4a", "mp4"),
    "audio/3gpp": ("3gp", "3gpp"),
    "audio/wav": ("wav",),
    "video/3gpp": ("3gp", "3gpp", "3g2"),
    "video/mp4": ("mp4", "m4v"),
    "text/x-vcard": ("vcf", "vcard"),
    "text/vcard": ("vcf", "vcard"),
    "text/calendar": ("ics", "vcs"),
    "text/html": ("html", "htm"),
    "application/pdf": ("pdf",),
}


def safe(name: str, kind: str, number: int) -> str:
    """A file name of 1 to 64 safe characters: the last component of ``name``, with an extension
    that fits the type. ``number`` makes one up for a part without a name."""
    last = re.split(r"[/\\]", name)[-1]
    stem, dot, extension = last.rpartition(".")
    if not dot:
        stem, extension = last, ""
    extension = _UNSAFE.sub("", extension)[:10].strip("_-")
    known = EXTENSIONS.get(kind, ())
    if known and extension.lower() not in known:
        # "photo.gif" that is a JPEG becomes "photo.jpg"; "v1.2" stays a name.
        if extension and not _is_extension(extension):
            stem = f"{stem}.{extension}"
        extension = known[0]
    end = f".{extension}" if extension else ""
    stem = _UNSAFE.sub("_", stem).strip("._-")[: MAX_NAME - len(end)].strip("._-")
    return (stem or f"part{number}") + end


def _is_extension(text: str) -> bool:
    return any(text.lower() in known for known in EXTENSIONS.values())


def numbered(names: Iterable[str]) -> list[str]:
    """The names with those that came before (in any case) numbered: ``a.gif``, ``a-2.gif``."""
    taken: set[str] = set()
    found = []
    for name in names:
        unique = name
        number = 1
        stem, dot, extension = name.rpartition(".")
        if not dot:
            stem, extension = name, ""
        while unique.lower() in taken:
            number += 1
            tail = f"-{number}{dot}{extension}"
            unique = stem[: MAX_NAME - len(tail)] + tail
        taken.add(unique.lower())
        found.append(unique)
    return found


def ids(wanted: Iterable[str], names: Iterable[str]) -> list[str]:
    """Content-IDs without <>: those that parts have if they are safe and not taken, else their
    names."""
    taken: set[str] = set()
    found = []
    for one, name in zip(wanted, names, strict=True):
        unique = one if _SAFE_ID.fullmatch(one) else name
        number = 1
        while unique in taken:
            number += 1
            unique = f"{name}.{number}"
        taken.add(unique)
        found.append(unique)
    return found
