"""Attached: what of a multimedia message is its text, and what is attached to it, for a customer
who gets it as a form or a mail.

Comes from: ``deliver``'s messengers. Goes on to: nowhere.
"""

from collections.abc import Callable

from smsgw.message import Media, Multimedia
from smsgw.mm4.mime import SMIL
from smsgw.mm4.types import TEXT


def attached(multimedia: Multimedia) -> list[Media]:
    """All media but the first text, which is told as the message's, and the SMIL."""
    first = _text(multimedia)
    return [one for one in multimedia.media if one is not first and one.type != SMIL]


def text_of(multimedia: Multimedia, get: Callable[[str], bytes]) -> str:
    """The first text, whole; ``get`` gives octets by digest. Blocks. Raises what ``get`` does."""
    first = _text(multimedia)
    return get(first.digest).decode("utf-8", "replace") if first is not None else ""


def _text(multimedia: Multimedia) -> Media | None:
    return next((one for one in multimedia.media if one.type == TEXT), None)
