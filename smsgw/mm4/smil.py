"""SMIL, the presentation of a multimedia message: read harmless, and made where there is none
(``spec/mm4.md`` §6)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from xml.etree.ElementTree import Element, ParseError, tostring
from xml.sax.saxutils import quoteattr

from attrs import frozen
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

MAX_SMIL = 65_536  # octets
_MAX_ELEMENTS = 2_000
_MAX_DEPTH = 20

_KNOWN = frozenset(
    {
        "smil", "head", "meta", "metadata", "layout", "root-layout", "region", "transition",
        "body", "par", "seq", "excl", "switch", "a",
        "img", "text", "textstream", "audio", "video", "ref", "animation", "param", "brush",
    }
)  # fmt: skip
_REFERENCES = ("src", "href")
# Values that name something by a scheme, or a style that may. Descriptions (``content``) are read
# by people only.
_FOREIGN = re.compile(r"\s*[a-z][a-z0-9+.-]*:", re.IGNORECASE)
# What is before the root and refers elsewhere: a document type, a style sheet.
_ASIDE = re.compile(rb"<!DOCTYPE|<\?(?!xml\s)")
_SLIDE = 'dur="5000ms"'
_LAYOUT = (
    '<root-layout width="320" height="480"/>'
    '<region id="Image" left="0" top="0" width="320" height="320" fit="meet"/>'
    '<region id="Text" left="0" top="320" width="320" height="160"/>'
)


class NoSmil(Exception):
    """Octets that are no SMIL that can be shown."""


@frozen
class Shown:
    """A part to be shown: its type and its name, which SMIL refers to."""

    type: str
    name: str


def harmless(octets: bytes, names: Mapping[str, str]) -> bytes:
    """A SMIL that refers to parts of its own message only.

    ``names`` says for each form in which a part may be referred to (``cid:`` and id, location,
    name) under which name it is now. A SMIL that is so already comes back as it is; else references
    are put right, and elements that show what is not here, or are of no SMIL, are taken out. Raises
    ``NoSmil`` for what is no SMIL, declares entities, or is too large.
    """
    if len(octets) > MAX_SMIL:
        raise NoSmil(f"more than {MAX_SMIL} octets")
    try:
        root = fromstring(octets)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as e:
        raise NoSmil(str(e)) from None
    if _local(root) != "smil":
        raise NoSmil("the root is not smil")
    changed = _ASIDE.search(octets) is not None
    shown = 0
    for element, parent in list(_walk(root)):
        kept, altered = _tame(element, names)
        changed = changed or altered or not kept
        if not kept and parent is not None:
            parent.remove(element)
        elif kept and element.get("src"):
            shown += 1
    if not shown:
        raise NoSmil("it shows no part")
    return _written(root) if changed else octets


def _walk(root: Element) -> Iterator[tuple[Element, Element | None]]:
    """Every element with its parent, parents first."""
    waiting: list[tuple[Element, Element | None, int]] = [(root, None, 1)]
    count = 0
    while waiting:
        element, parent, depth = waiting.pop()
        count += 1
        if count > _MAX_ELEMENTS or depth > _MAX_DEPTH:
            raise NoSmil("too many elements")
        yield element, parent
        waiting += [(child, element, depth + 1) for child in reversed(element)]


def _tame(element: Element, names: Mapping[str, str]) -> tuple[bool, bool]:
    """Whether the element may stay, and whether it had to be changed for that."""
    if _local(element) not in _KNOWN:
        return False, True
    altered = False
    for attribute in list(element.attrib):
        local = attribute.rpartition("}")[2].lower()
        value = element.attrib[attribute]
        # Event attributes are of markup that runs scripts.
        foreign = local not in (*_REFERENCES, "content") and _FOREIGN.match(value)
        if local.startswith("on") or foreign:
            del element.attrib[attribute]
            altered = True
        elif local in _REFERENCES:
            name = _named(value, names)
            if name is None and local == "src":
                return False, True
            if name is None:
                del element.attrib[attribute]
                altered = True
            elif name != value:
                element.attrib[attribute] = name
                altered = True
    return True, altered


def _named(reference: str, names: Mapping[str, str]) -> str | None:
    """What a reference is to be, None if it is to nothing of this message."""
    plain = reference.strip()
    if plain.startswith("#"):
        return reference
    found = names.get(plain)
    if found is None and plain[:4].lower() == "cid:":
        found = names.get("cid:" + plain[4:].strip("<>"))
    if found is None:
        return None
    # A reference by Content-ID goes on as one if it still names the part.
    return reference if found == plain else found


def _local(element: Element) -> str:
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _written(root: Element) -> bytes:
    """The document with its one namespace as the default, as handsets want it."""
    space = root.tag.partition("}")[0].lstrip("{") if root.tag.startswith("{") else ""
    for element in root.iter():
        element.tag = _local(element)
        for attribute in [a for a in element.attrib if a.startswith("{")]:
            del element.attrib[attribute]
    if space:
        root.set("xmlns", space)
    octets: bytes = tostring(root, encoding="utf-8", xml_declaration=False)
    return octets


def made(parts: Sequence[Shown]) -> bytes:
    """A SMIL with a slide for each picture, sound and video, and the texts beside them in order.

    A text goes with the medium at the same place; what is left over has a slide of its own. Other
    parts (cards, documents) are attachments and are not shown.
    """
    media = [p for p in parts if p.type.partition("/")[0] in ("image", "audio", "video")]
    texts = [p for p in parts if p.type == "text/plain"]
    slides = []
    for place in range(max(len(media), len(texts), 1)):
        inner = ""
        if place < len(media):
            kind = media[place].type.partition("/")[0]
            element = {"image": "img", "video": "video", "audio": "audio"}[kind]
            region = "" if kind == "audio" else ' region="Image"'
            inner += f"<{element} src={quoteattr(media[place].name)}{region}/>"
        if place < len(texts):
            inner += f'<text src={quoteattr(texts[place].name)} region="Text"/>'
        slides.append(f"<par {_SLIDE}>{inner}</par>")
    return (
        f"<smil><head><layout>{_LAYOUT}</layout></head><body>{''.join(slides)}</body></smil>\r\n"
    ).encode()
