"""What is shown of a multimedia message, and in which order: the slides of its SMIL."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from smsgw.message import Media, Multimedia
from smsgw.mm4.mime import SMIL


def start_of(multimedia: Multimedia) -> Media | None:
    """The SMIL that presents the message, None if there is none."""
    found = [one for one in multimedia.media if one.type == SMIL]
    return next((one for one in found if one.id == multimedia.start), found[0] if found else None)


def slides(smil: bytes, media: Sequence[Media]) -> list[list[Media]]:
    """The media of each slide (``par``), in order, each where it is shown first.

    What is on no slide is left out; of octets that are no SMIL there are no slides.
    """
    named: dict[str, Media] = {}
    for one in media:
        named[f"cid:{one.id}"] = one
        named.setdefault(one.name, one)
    try:
        root = fromstring(smil)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return []
    found: list[list[Media]] = []
    shown: set[str] = set()
    for element in root.iter():  # in the order of the document
        if _local(element) == "par":
            found.append([])
        meant = named.get(element.get("src", ""))
        if meant is not None and meant.id not in shown:
            shown.add(meant.id)
            if not found:
                found.append([])
            found[-1].append(meant)
    return [slide for slide in found if slide]


def _local(element: Element) -> str:
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""
