"""What of a content goes on: types judged, names made safe, SMIL harmless or made, size fitted to a
carrier (``spec/mm4.md`` §6, ruling 25)."""

from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256

from attrs import define, evolve

from smsgw.message import Media
from smsgw.mm4 import mime, names, pictures, smil, types
from smsgw.mm4.mime import SMIL, Content, ContentFault, Part
from smsgw.mm4.words import RequestStatus

SMIL_NAME = "smil.xml"
SMIL_ID = "smil"
_HEADER = 3_000  # octets that the header of a mail may have beside its content
# 57 octets are a line of base64, of 76 characters and its end.
_RAW, _ENCODED = 57, 78


@define
class Admitted:
    """A content that goes on, and what was left out of it, a sentence each."""

    content: Content
    notes: list[str]


def admit(
    content: Content,
    accepted: Collection[str] = types.ACCEPTED,
    drop: bool = False,
    make_smil: bool = True,
) -> Admitted:
    """The content with types, names and ids that are true and safe, and a SMIL that shows it.

    A part of a type that is not ``accepted`` has the content refused, or is left out if ``drop``.
    Without a SMIL that can be shown one is made, if ``make_smil``. Raises ``ContentFault``.
    """
    notes: list[str] = []
    parts = [p for one in content.parts if (p := _judged(one, accepted, drop, notes))]
    if not parts:
        raise ContentFault(RequestStatus.CONTENT_NOT_ACCEPTED, "; ".join(notes))
    shown = _start(parts, content.start)
    parts = [p for p in parts if p is shown or p.type != SMIL]
    made = shown is None and make_smil
    if made:
        shown = Part(SMIL, SMIL_NAME, SMIL_ID, charset="utf-8")
        parts = [shown, *parts]
    place = next((n for n, p in enumerate(parts) if p is shown), -1)
    references = _references(parts, parts := _named(parts))
    if place < 0:
        return Admitted(Content(parts), notes)
    body = b"" if made else parts[place].content
    parts[place].content = _presented(body, parts, references, notes)
    return Admitted(Content(parts, parts[place].id), notes)


def _judged(part: Part, accepted: Collection[str], drop: bool, notes: list[str]) -> Part | None:
    kind = types.judge(part.type, part.content, accepted)
    if kind is None:
        shown = types.of(part.content)
        what = f"{part.type[:80]} is not accepted"
        if shown and shown not in (types.canonical(part.type), types.TEXT):
            what = f"{part.type[:80]} that is {shown} is not accepted"
        if not drop:
            raise ContentFault(RequestStatus.CONTENT_NOT_ACCEPTED, what)
        notes.append(f"left out: {what}")
        return None
    return evolve(part, type=kind, charset="utf-8" if mime.is_text(kind) else "")


def _start(parts: list[Part], start: str) -> Part | None:
    """The SMIL that presents the message: the one named, else the first."""
    found = [p for p in parts if p.type == SMIL]
    return next((p for p in found if start and p.id == start), found[0] if found else None)


def _named(parts: list[Part]) -> list[Part]:
    """The parts with safe names and ids, none twice."""
    wanted = [names.safe(p.name or p.location or p.id, p.type, n) for n, p in enumerate(parts, 1)]
    unique = names.numbered(wanted)
    ids = names.ids([p.id for p in parts], unique)
    return [
        evolve(p, name=name, id=one, location=name)
        for p, name, one in zip(parts, unique, ids, strict=True)
    ]


def _references(before: list[Part], after: list[Part]) -> dict[str, str]:
    """Every form in which a SMIL may refer to a part, and how it is to refer to it now."""
    found: dict[str, str] = {}
    for old, new in zip(before, after, strict=True):
        if new.type == SMIL:
            continue
        cid = f"cid:{new.id}"
        if old.id:
            found.setdefault(f"cid:{old.id}", cid)
        for reference in (old.location, old.name, new.name):
            if reference:
                found.setdefault(reference, new.name)
    # By its bare id too, as some write it, unless that is another's name.
    for old, new in zip(before, after, strict=True):
        if old.id and new.type != SMIL:
            found.setdefault(old.id, new.name)
    return found


def _presented(
    octets: bytes, parts: Iterable[Part], references: Mapping[str, str], notes: list[str]
) -> bytes:
    if octets:
        try:
            return smil.harmless(octets, references)
        except smil.NoSmil as e:
            notes.append(f"SMIL made anew: {e}")
    return smil.made([smil.Shown(p.type, p.name) for p in parts])


def size(content: Content, eight_bit: bool = True) -> int:
    """Octets of a mail with this content, and a header as large as they usually are."""
    return _HEADER + len(mime.write(content, eight_bit=eight_bit).octets)


def fit(content: Content, limit: int, scale: bool = True, eight_bit: bool = True) -> Content | None:
    """The content so that its mail has at most ``limit`` octets: as it is if it has, else with its
    pictures scaled down if ``scale``; None if it cannot be.

    Scaling takes CPU: call it in a thread.
    """
    if _HEADER + sum(map(_at_most, content.parts)) <= limit:
        return content
    whole = size(content, eight_bit)
    if whole <= limit:
        return content
    large = sorted(
        (p for p in content.parts if p.type in pictures.TYPES), key=lambda p: len(p.content)
    )
    if not scale or not large:
        return None
    room = limit - whole + sum(_encoded(p) for p in large)
    smaller: dict[str, Part] = {}
    for left, part in zip(range(len(large), 0, -1), large, strict=True):
        # What the small ones do not need, the larger ones have.
        share = room // left
        if _encoded(part) > share:
            picture = pictures.shrunk(part.content, share * _RAW // _ENCODED - _RAW)
            if picture is not None:
                part = evolve(part, type=picture.type, content=picture.octets)
                smaller[part.id] = part
        room -= _encoded(part)
    fitted = _renamed(content, smaller)
    return fitted if size(fitted, eight_bit) <= limit else None


def _at_most(part: Part) -> int:
    """More octets than a part can become in any encoding, its header included."""
    header = 6 * (len(part.name) + len(part.id) + len(part.location)) + 1_000
    return header + (4 * len(part.content) if mime.is_text(part.type) else _encoded(part))


def _encoded(part: Part) -> int:
    return (len(part.content) // _RAW + 1) * _ENCODED


def _renamed(content: Content, smaller: Mapping[str, Part]) -> Content:
    """The content with the smaller pictures in place, under names that fit their types."""
    before = [smaller.get(p.id, p) for p in content.parts]
    after = _named(before)
    for part in after:
        if part.type == SMIL and part.id == content.start:
            part.content = smil.harmless(part.content, _references(before, after))
    return Content(after, content.start)


def media(part: Part, digest: str = "") -> Media:
    """What a message keeps of a part; its octets are kept under ``digest`` ("": it is made)."""
    digest = digest or sha256(part.content).hexdigest()
    return Media(part.type, part.name, part.id, digest, len(part.content), part.charset)


def part(kept: Media, octets: bytes) -> Part:
    """The part that was kept, with its octets."""
    return Part(kept.type, kept.name, kept.id, kept.name, octets, kept.charset)
