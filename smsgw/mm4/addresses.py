"""Addresses of MM4 (``spec/mm4.md`` §2): every form that is read, and the one that is written."""

import re
from collections.abc import Collection, Iterator
from enum import Enum

from attrs import frozen

from smsgw.refusals import Reason
from smsgw.text import numbers

MAX_ADDRESS = 320  # octets of a mailbox: 64 of local part, "@", 255 of domain (RFC 5321 §4.5.3.1)

_TYPE = re.compile(r"/TYPE=([A-Za-z0-9]*)\Z", re.IGNORECASE)
_DOMAIN = re.compile(r"(?=.{1,255}\Z)[A-Za-z0-9][A-Za-z0-9-]*(?:\.[A-Za-z0-9-]+)*\.?")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
# Dots, hyphens, brackets and blanks that people put into numbers.
_DIGITS_WRITTEN = re.compile(r"\+?[0-9][0-9 ().-]*")
_FILLING = re.compile(r"[ ().-]")


class Kind(Enum):
    """What an address names."""

    NUMBER = "number"  # international digits
    SHORT_CODE = "short code"
    NAME = "name"  # an alphanumeric sender
    MAIL = "mail"  # a user by e-mail, or a system's mailbox


@frozen
class Mm4Address:
    """An address as it was read: ``text`` is digits without ``+``, a name, or a whole mailbox."""

    kind: Kind
    text: str
    domain: str = ""  # lower case, "" if the address had none


def read(text: str, country: str = "", domains: Collection[str] = ()) -> Mm4Address | Reason:
    """The address that ``text`` holds: one mailbox, with display name and brackets or without.

    ``country`` is the calling code that national numbers get ("44"). ``domains`` (lower case) are
    those of MMSCs, where a local part without ``/TYPE=PLMN`` may be a number or a sender's name
    too; if it is empty, every domain is one. Users by IP address are refused.
    """
    mailbox = bare(text)
    if not mailbox or len(mailbox) > MAX_ADDRESS or not mailbox.isprintable():
        return Reason.BAD_DESTINATION
    local, at, domain = mailbox.rpartition("@")
    if not at:
        local, domain = domain, ""
    elif not local or not _DOMAIN.fullmatch(domain):
        return Reason.BAD_DESTINATION
    domain = domain.lower().rstrip(".")
    local = _unquoted(local)
    typed = _TYPE.search(local)
    if typed:
        if typed[1].upper() != "PLMN":
            return Reason.BAD_DESTINATION
        return _number(local[: typed.start()], domain, country) or Reason.BAD_DESTINATION
    if not domain or not domains or domain in domains:
        found = _number(local, domain, country) or _name(local, domain)
        if found:
            return found
    if domain and local.isascii():
        return Mm4Address(Kind.MAIL, f"{_quoted(local)}@{domain}", domain)
    return Reason.BAD_DESTINATION


def _number(local: str, domain: str, country: str) -> Mm4Address | None:
    """Digits as a number or a short code, or None."""
    if not _DIGITS_WRITTEN.fullmatch(local):
        return None
    source = numbers.detect_source(_FILLING.sub("", local), numbers.UNKNOWN, country)
    if isinstance(source, Reason):
        return None
    digits, ton, _ = source
    return Mm4Address(Kind.SHORT_CODE if ton == numbers.SHORT_CODE else Kind.NUMBER, digits, domain)


def _name(local: str, domain: str) -> Mm4Address | None:
    """An alphanumeric sender, or None."""
    if _DIGITS_WRITTEN.fullmatch(local):
        return None
    source = numbers.detect_source(local, numbers.ALPHANUMERIC, "")
    return None if isinstance(source, Reason) else Mm4Address(Kind.NAME, local, domain)


def write(address: Mm4Address, domain: str) -> str:
    """The address as a mailbox at an MMSC's ``domain``; a user by e-mail keeps his own.

    Short codes are written without ``+``, names as plain local parts (ruling 23).
    """
    if address.kind is Kind.MAIL:
        return address.text
    if address.kind is Kind.NAME:
        return f"{_quoted(address.text)}@{domain}"
    plus = "+" if address.kind is Kind.NUMBER else ""
    return f"{plus}{address.text}/TYPE=PLMN@{domain}"


def of_source(source: str, ton: int = numbers.UNKNOWN) -> Mm4Address:
    """A message's source or destination (as ``Message`` has it) as an address to write."""
    if "@" in source:
        return Mm4Address(Kind.MAIL, source, source.rpartition("@")[2].lower())
    plain = source.removeprefix("+")
    if not (plain.isdigit() and plain.isascii()):
        return Mm4Address(Kind.NAME, source)
    short = ton == numbers.SHORT_CODE or (len(plain) < 8 and not source.startswith("+"))
    return Mm4Address(Kind.SHORT_CODE if short else Kind.NUMBER, plain)


def bare(text: str) -> str:
    """The mailbox of ``text``, without display name, comments and brackets."""
    opened = _outside_quotes(text, "<")
    if opened >= 0:
        # The local part may be quoted too.
        closed = _outside_quotes(text, ">", opened + 1)
        inner = text[opened + 1 : closed if closed >= 0 else None]
        # A source route (RFC 5321 §4.1.1.3) before the mailbox is ignored.
        if inner.startswith("@") and ":" in inner:
            inner = inner.partition(":")[2]
        return inner.strip()
    return _without_comments(text).strip()


def several(text: str) -> list[str]:
    """The mailboxes of a ``To:`` or ``Cc:`` as they are written, without their display names.

    Groups (RFC 5322 §3.4) give their members; what is empty is left out. Takes time in proportion
    to the text, whatever it is.
    """
    return [found for piece in _pieces(text) if (found := bare(piece))]


def _pieces(text: str) -> Iterator[str]:
    """What commas separate, outside quotes, comments and angle brackets."""
    start = depth = 0
    quoted = escaped = angle = False
    for place, character in enumerate(text):
        if escaped:
            escaped = False
        elif character == "\\" and (quoted or depth):
            escaped = True
        elif character == '"' and not depth:
            quoted = not quoted
        elif quoted:
            continue
        elif character in "()":
            depth = max(depth + (1 if character == "(" else -1), 0)
        elif depth:
            continue
        elif character in "<>":
            angle = character == "<"
        elif character in ",;" and not angle:
            yield text[start:place]
            start = place + 1
        elif character == ":" and not angle:
            start = place + 1  # the name of a group
    yield text[start:]


def _outside_quotes(text: str, wanted: str, start: int = 0) -> int:
    quoted = escaped = False
    for place in range(start, len(text)):
        character = text[place]
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == wanted and not quoted:
            return place
    return -1


def _without_comments(text: str) -> str:
    if "(" not in text:
        return text
    kept: list[str] = []
    depth = 0
    quoted = False
    for character in text:
        if character == '"' and not depth:
            quoted = not quoted
        if character == "(" and not quoted:
            depth += 1
        elif character == ")" and depth:
            depth -= 1
        elif not depth:
            kept.append(character)
    return "".join(kept)


def _unquoted(local: str) -> str:
    if len(local) >= 2 and local[0] == local[-1] == '"':
        return re.sub(r"\\(.)", r"\1", local[1:-1])
    return local


def _quoted(local: str) -> str:
    if _ATOMS.fullmatch(local):
        return local
    return '"' + re.sub(r'(["\\])', r"\\\1", local) + '"'
