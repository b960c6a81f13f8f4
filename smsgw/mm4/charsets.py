"""Text of any charset that a mail names, as Unicode."""

import codecs

# Codecs that are no charsets, or take more than linear time.
_NOT_CHARSETS = frozenset(
    {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"}
)
_NO_CHARSET = ("", "us-ascii", "ascii", "ansi_x3.4-1968", "unknown-8bit", "8bit")
_FALLBACK = "cp1252"  # what unlabelled text of the West is, if it is not UTF-8


def to_text(octets: bytes, charset: str = "") -> str:
    """``octets`` read by ``charset``; without one, or with one that does not fit, as UTF-8, and
    failing that as Windows-1252. Octets that are nothing become U+FFFD; a BOM is left out."""
    name = charset.strip().strip("\"'").lower()
    candidates = ["utf-8"] if name in _NO_CHARSET else [name, "utf-8"]
    for candidate in candidates:
        if not _known(candidate):
            continue
        try:
            return octets.decode(candidate).removeprefix("\ufeff")
        except (UnicodeError, ValueError):
            continue
    return octets.decode(_FALLBACK, "replace")


def _known(name: str) -> bool:
    if len(name) > 40 or not name.isascii() or "\0" in name:
        return False
    try:
        codec = codecs.lookup(name)
    except LookupError:
        return False
    # Transforms such as zlib and base64 say so by this attribute, which decode() asks as well.
    is_text: bool = getattr(codec, "_is_text_encoding", True)
    return is_text and codec.name.replace("-", "_") not in _NOT_CHARSETS
