"""An ordinary mail as a message: its text, its attachments, and what its header asks for
(``spec/aerialink.md`` E-D31, E-D32; ruling 24)."""

import re
from collections.abc import Iterator
from itertools import count

from attrs import define, evolve, field

from smsgw.mm4 import addresses, fields, mime
from smsgw.mm4.fields import Fields
from smsgw.mm4.mime import ContentFault, Part
from smsgw.mm4.words import RequestStatus
from smsgw.smtp import html

_TEXT, _HTML = "text/plain", "text/html"
_LEVELS = 8  # of multiparts in each other; clients make four
_SIGNED = frozenset(
    {
        "application/pkcs7-signature",
        "application/x-pkcs7-signature",
        "application/pgp-signature",
        "application/pgp-keys",
    }
)
_SIGNATURE = re.compile(r"^-- $", re.MULTILINE)
_FORWARDED = re.compile(
    rf"^(?:{re.escape(html.QUOTED)}|-{{3,}} ?[^\W\d_][\w ]{{2,40}} ?-{{3,}}|_{{20,}}) *$",
    re.MULTILINE,
)
_REPLY_MOST = 100_000  # characters of a mail in which a reply is looked for
_ATTRIBUTION_MOST = 1_000  # characters
_BROKEN_MOST = 3  # words of the second line of one: "Alice <alice@example.org> wrote:" has three
_SHOWN = ("Date", "From", "To", "Subject", "Message-ID")  # of the header, in reports
_SHOWN_MOST = 500  # characters of each
_BULK = frozenset({"bulk", "junk", "list", "auto_reply"})
_REFERENCES = 20


@define
class PlainMail:
    """What is read of a mail. Header values are "" where there are none."""

    sender: str = ""  # the mailbox of From
    subject: str = ""
    text: str = ""  # with LF between lines, up to the signature
    attachments: list[Part] = field(factory=list)  # all parts that are not the text
    automatic: bool = False  # Auto-Submitted other than "no", or a report
    bulk: bool = False  # of a list, or of software that knows no Auto-Submitted
    message_id: str = ""  # without <>, if it is one
    answers: list[str] = field(factory=list)  # ids of In-Reply-To and References, the nearest first
    source: str = ""  # X-SMS-Source
    registered: str = ""  # X-SMS-Registered-Delivery
    validity: str = ""  # X-SMS-Validity
    reference: str = ""  # X-SMS-Reference
    shown: list[str] = field(factory=list)  # "Subject: ..." and others that a report shows

    @property
    def reply(self) -> str:
        """The text without what it answers, of what of it is looked at."""
        return without_quotes(self.text[:_REPLY_MOST])


def read(mail: bytes) -> PlainMail:
    """The mail. Takes CPU for a large one. Raises ``ContentFault`` and ``fields.TooMuch``."""
    header, body = fields.read(mail)
    text: list[str] = []
    attachments: list[Part] = []
    for leaf in _leaves(header, mail[body:], 0, count(1)):
        part = leaf.part
        if part.type in _SIGNED:
            continue
        if part.type == _TEXT and not leaf.attached:
            text.append(part.content.decode("utf-8", "replace"))
        else:
            attachments.append(part)
    auto = header.one("Auto-Submitted").partition(";")[0].strip().lower()
    kind = header.structured("Content-Type").value
    answers = _ids(header.one("In-Reply-To")) + _ids(header.one("References"))[::-1]
    message_id = fields.unquoted_id(header.one("Message-ID"))
    return PlainMail(
        sender=addresses.bare(header.one("From")),
        subject=fields.decoded(header.one("Subject")),
        text=_tidy("\n".join(_before_signature(one) for one in text)),
        attachments=attachments,
        automatic=auto not in ("", "no") or kind == "multipart/report",
        bulk=header.one("Precedence").lower() in _BULK or bool(header.one("List-Id")),
        message_id=message_id if fields.is_id(message_id) else "",
        answers=answers[:_REFERENCES],
        source=fields.decoded(header.one("X-SMS-Source")),
        registered=header.one("X-SMS-Registered-Delivery").lower(),
        validity=header.one("X-SMS-Validity"),
        reference=fields.decoded(header.one("X-SMS-Reference")),
        shown=[f"{name}: {value[:_SHOWN_MOST]}" for name in _SHOWN if (value := header.one(name))],
    )


def _ids(text: str) -> list[str]:
    """Ids without <> in a text of bounded length."""
    return re.findall(r"<([!-;=?-~]{1,256})>", text)


@define
class _Leaf:
    """A part that is no multipart; ``was_html`` of one whose text was HTML."""

    part: Part
    attached: bool = False
    was_html: bool = False


def _leaves(header: Fields, body: bytes, level: int, numbers: Iterator[int]) -> Iterator[_Leaf]:
    """The parts; of alternatives the text, if there is one, and all that is not text. ``numbers``
    count the parts of all levels."""
    kind = header.structured("Content-Type").value
    if not kind.startswith("multipart/"):
        yield _leaf(header, body)
        return
    if level == _LEVELS:
        raise ContentFault(RequestStatus.CONTENT_NOT_ACCEPTED, "multiparts nested too deep")
    found: list[_Leaf] = []
    for inner, octets in mime.pieces(header, body):
        if next(numbers) > mime.MAX_PARTS:
            raise ContentFault(
                RequestStatus.CONTENT_NOT_ACCEPTED, f"more than {mime.MAX_PARTS} parts"
            )
        found += _leaves(inner, octets, level + 1, numbers)
    if kind == "multipart/alternative" and any(
        one.part.type == _TEXT and not one.attached and not one.was_html for one in found
    ):
        found = [one for one in found if not one.was_html]
    yield from found


def _leaf(header: Fields, body: bytes) -> _Leaf:
    part = mime.leaf(header, body)
    attached = header.structured("Content-Disposition").value == "attachment"
    if attached or part.type not in (_TEXT, _HTML):
        return _Leaf(part, attached)
    text = part.content.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    if part.type == _HTML:
        return _Leaf(evolve(part, type=_TEXT, content=html.text_of(text).encode()), was_html=True)
    parameters = header.structured("Content-Type").parameters
    if parameters.get("format", "").lower() == "flowed":
        text = _unflowed(text, parameters.get("delsp", "").lower() == "yes")
    return _Leaf(evolve(part, content=text.encode()))


def _unflowed(text: str, delsp: bool) -> str:
    """Lines that were broken softly, joined again (RFC 3676 §4)."""
    lines: list[str] = []
    pieces: list[str] = []
    depth = 0
    for line in text.split("\n"):
        quotes = len(line) - len(line.lstrip(">"))
        content = line[quotes:].removeprefix(" ") if quotes or line.startswith(" ") else line
        signature = content == "-- "
        if pieces and (quotes != depth or signature):
            lines.append(_requoted(pieces, depth))
            pieces = []
        depth = quotes
        soft = content.endswith(" ") and not signature
        pieces.append(content[:-1] if soft and delsp else content)
        if not soft:
            lines.append(_requoted(pieces, depth))
            pieces = []
    if pieces:
        lines.append(_requoted(pieces, depth))
    return "\n".join(lines)


def _requoted(pieces: list[str], depth: int) -> str:
    whole = "".join(pieces)
    return f"{'>' * depth} {whole}" if depth else whole


def _before_signature(text: str) -> str:
    found = _SIGNATURE.search(text)
    return text[: found.start()] if found else text


def _tidy(text: str) -> str:
    """Without blanks at the ends of lines, and without empty lines at either end."""
    return "\n".join(line.rstrip(" \t\xa0") for line in text.split("\n")).strip("\n")


def without_quotes(text: str) -> str:
    """A reply without the message that it answers, above or below it."""
    cut = _FORWARDED.search(text)
    kept: list[str] = []
    for line in (text[: cut.start()] if cut else text).split("\n"):
        if not line.lstrip().startswith(">"):
            kept.append(line)
            continue
        if kept and kept[-1] != _CUT:
            _drop_attribution(kept)
            kept.append(_CUT)
    return _tidy("\n".join(line for line in kept if line != _CUT))


_CUT = "> "  # where a quotation was; no line that is kept begins so


def _drop_attribution(kept: list[str]) -> None:
    """Drops the line before a quotation that introduces it, and the one above if it was broken."""
    end = len(kept)
    while end and not kept[end - 1].strip():
        end -= 1
    if not end or not _is_attribution(kept[end - 1]):
        return
    start = end - 1
    # What somebody wrote above an unbroken one is not to be lost, so only the short end of a
    # paragraph of two lines, both with a day or a mailbox, is taken for a broken one.
    broken = len(kept[start].split()) <= _BROKEN_MOST
    alone = start < 2 or not kept[start - 2].strip() or kept[start - 2] == _CUT
    if start and broken and alone and _names_somebody(kept[start - 1]):
        start -= 1
    del kept[start:]


def _is_attribution(line: str) -> bool:
    """True for what precedes a quotation: "On ... wrote:", in whatever language."""
    plain = line.rstrip(" \xa0")
    return len(plain) <= _ATTRIBUTION_MOST and plain.endswith(":") and _names_somebody(plain)


def _names_somebody(line: str) -> bool:
    return any(one in "0123456789@<" for one in line[:_ATTRIBUTION_MOST])
