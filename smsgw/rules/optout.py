"""Opting out: large sets of numbers in memory, and the words by which handsets say it (E-D12 to
E-D14 of ``spec/aerialink.md``)."""

import re
import unicodedata
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from enum import Enum

from attrs import frozen

from smsgw.provisioning.accounts import OptOutWords
from smsgw.refusals import Reason
from smsgw.text import numbers

_CHUNK = 8_192  # numbers of one array, at most twice: what one addition may have to move
_LARGEST = (1 << 64) - 1
LONGEST = 60  # characters of a message that may be a keyword


# Of every number that was ever in a set, its last bits: most numbers are in none, and this tells
# so in a tenth of the time.
_MARKS = bytearray(1 << 20)
_LAST_BITS = len(_MARKS) - 1


def may_be_listed(value: int) -> bool:
    """False if a number (``value_of``) is in no set."""
    return _MARKS[value & _LAST_BITS] != 0


class NumberSet:
    """A set of numbers, 8 bytes each and about a microsecond to ask; and of leading digits.

    Numbers that 64 bits hold are in sorted arrays of bounded size, so that adding one never moves
    many; whatever else is a member (an ICCID of 20 digits, a short code with a leading 0) is in a
    plain set. A member that ends with ``*`` stands for all numbers that begin with what is before
    it.
    """

    __slots__ = ("_chunks", "_highest", "_lengths", "_others", "_prefixes")

    def __init__(self, members: Iterable[str] = ()) -> None:
        self._others: set[str] = set()
        self._prefixes: set[str] = set()
        self._lengths: tuple[int, ...] = ()
        values = array("Q")
        for one in members:
            value = value_of(one)
            if value is None:
                self._add_other(one)
            else:
                values.append(value)
        self._chunks: list[array[int]] = []
        ordered = sorted(set(values))
        for value in ordered:
            _MARKS[value & _LAST_BITS] = 1
        for start in range(0, len(ordered), _CHUNK):
            self._chunks.append(array("Q", ordered[start : start + _CHUNK]))
        self._highest = [chunk[-1] for chunk in self._chunks]  # of each chunk

    def __len__(self) -> int:
        return sum(map(len, self._chunks)) + len(self._others) + len(self._prefixes)

    def __contains__(self, member: str) -> bool:
        """True if exactly this is a member."""
        return self.has(member, value_of(member))

    def has(self, member: str, value: int | None) -> bool:
        """``member in self``, for who asks several sets: ``value`` is ``value_of(member)``."""
        if value is None:
            return member[:-1] in self._prefixes if member[-1:] == "*" else member in self._others
        highest = self._highest
        place = bisect_left(highest, value)
        if place == len(highest):
            return False
        chunk = self._chunks[place]
        return chunk[bisect_left(chunk, value)] == value

    def matches(self, number: str) -> bool:
        """True if the number is a member, or begins with the leading digits of one."""
        return self.covers(number, value_of(number))

    def covers(self, number: str, value: int | None) -> bool:
        """``matches``, for who asks several sets: ``value`` is ``value_of(number)``."""
        return self.has(number, value) or self.begins(number)

    def begins(self, number: str) -> bool:
        """True if the number begins with the leading digits of a member."""
        prefixes = self._prefixes
        return any(number[:length] in prefixes for length in self._lengths)

    @property
    def has_prefixes(self) -> bool:
        """True if some members are leading digits."""
        return bool(self._prefixes)

    def add(self, member: str) -> None:
        """It is a member now."""
        value = value_of(member)
        if value is None:
            self._add_other(member)
            return
        _MARKS[value & _LAST_BITS] = 1
        if not self._chunks:
            self._chunks.append(array("Q", [value]))
            self._highest.append(value)
            return
        place = min(bisect_left(self._highest, value), len(self._highest) - 1)
        chunk = self._chunks[place]
        at = bisect_left(chunk, value)
        if at < len(chunk) and chunk[at] == value:
            return
        chunk.insert(at, value)
        if len(chunk) > 2 * _CHUNK:
            self._chunks.insert(place + 1, chunk[_CHUNK:])
            del chunk[_CHUNK:]
            self._highest.insert(place, chunk[-1])
            place += 1
        self._highest[place] = self._chunks[place][-1]

    def discard(self, member: str) -> None:
        """It is no member now."""
        value = value_of(member)
        if value is None:
            self._others.discard(member)
            if member[-1:] == "*" and member[:-1] in self._prefixes:
                self._prefixes.remove(member[:-1])
                self._measure()
            return
        place = bisect_left(self._highest, value)
        if place == len(self._highest):
            return
        chunk = self._chunks[place]
        at = bisect_left(chunk, value)
        if chunk[at] == value:
            del chunk[at]
            if chunk:
                self._highest[place] = chunk[-1]
            else:
                del self._chunks[place], self._highest[place]

    def _add_other(self, member: str) -> None:
        if member[-1:] == "*":
            self._prefixes.add(member[:-1])
            self._measure()
        else:
            self._others.add(member)

    def _measure(self) -> None:
        self._lengths = tuple(sorted({len(one) for one in self._prefixes}))


def key_of(source: str) -> str:
    """A source as lists compare it: an alphanumeric one without case."""
    return source if source.isdigit() else source.upper()


def value_of(member: str) -> int | None:
    """A number as an integer, None if that would not tell it from all others."""
    if member.isdecimal() and member.isascii() and member[0] != "0" and len(member) <= 20:
        value = int(member)
        if value <= _LARGEST:
            return value
    return None


class Keyword(Enum):
    """What a handset asks for with one word."""

    STOP = "stop"
    START = "start"
    HELP = "help"


@frozen
class Wording:
    """What one number understands, and what it answers; an empty answer is none."""

    words: Mapping[str, Keyword]  # as ``folded`` gives them
    answers: Mapping[Keyword, str]

    def keyword(self, text: str) -> Keyword | None:
        """What the whole of ``text`` asks for (E-D13)."""
        if len(text) > LONGEST:
            return None
        return self.words.get(folded(text))


def folded(text: str) -> str:
    """A text as keywords are compared: trimmed, without punctuation, case and accents."""
    letters = []
    for one in unicodedata.normalize("NFKD", text):
        category = unicodedata.category(one)
        # Marks, punctuation, symbols, and control characters other than white space.
        if category[0] not in "MPS" and (category[0] != "C" or one.isspace()):
            letters.append(one)
    return "".join(letters).strip().casefold()


@frozen
class _Language:
    stop: tuple[str, ...]
    start: tuple[str, ...]
    help: tuple[str, ...]
    stopped: str
    started: str
    helped: str


# E-D13's words are understood in every language; "{start}" and "{stop}" are the first words that
# the number understands.
_STOP = ("STOP", "STOPALL", "END", "CANCEL", "UNSUBSCRIBE", "QUIT", "ARRET")
_START = ("START", "UNSTOP", "YES")
_HELP = ("HELP", "INFO", "AIDE")
_LANGUAGES = {
    "en": _Language(
        _STOP,
        _START,
        _HELP,
        "You will receive no more messages from this number. Reply {start} to receive them again.",
        "You will receive messages from this number again. Reply {stop} to receive no more.",
        "Reply {stop} to receive no more messages from this number, {start} to receive them again.",
    ),
    "fr": _Language(
        (*_STOP, "ARRETER", "ANNULER", "DESABONNER", "DESINSCRIRE", "FIN"),
        (*_START, "OUI", "REPRENDRE"),
        _HELP,
        "Vous ne recevrez plus de messages de ce numéro. "
        "Répondez {start} pour les recevoir à nouveau.",
        "Vous recevrez à nouveau les messages de ce numéro. "
        "Répondez {stop} pour ne plus en recevoir.",
        "Répondez {stop} pour ne plus recevoir de messages de ce numéro, "
        "{start} pour les recevoir à nouveau.",
    ),
    "de": _Language(
        (*_STOP, "STOPP", "ENDE", "ABMELDEN", "ABBESTELLEN", "BEENDEN"),
        (*_START, "JA", "ANMELDEN"),
        (*_HELP, "HILFE"),
        "Sie erhalten keine Nachrichten mehr von dieser Nummer. "
        "Antworten Sie {start}, um sie wieder zu erhalten.",
        "Sie erhalten wieder Nachrichten von dieser Nummer. "
        "Antworten Sie {stop}, um keine mehr zu erhalten.",
        "Antworten Sie {stop}, um von dieser Nummer keine Nachrichten mehr zu erhalten, "
        "{start}, um sie wieder zu erhalten.",
    ),
    "es": _Language(
        (*_STOP, "BAJA", "PARAR", "CANCELAR", "FIN"),
        (*_START, "ALTA", "SI"),
        (*_HELP, "AYUDA"),
        # Without letters that GSM lacks, so that each is one part.
        "Usted queda dado de baja. Responda {start} para volver a recibir mensajes.",
        "Usted queda dado de alta. Responda {stop} para darse de baja.",
        "Responda {stop} para darse de baja, {start} para volver a recibir mensajes.",
    ),
}
NO_ANSWER = "-"


def wording(given: OptOutWords, language: str) -> Wording:
    """What a number understands and answers that is provisioned so.

    Of a word that is given twice, STOP comes before START before HELP: who wants to be left alone
    is.
    """
    default = _LANGUAGES[language]
    stop = given.stop or default.stop
    start = given.start or default.start
    words: dict[str, Keyword] = {}
    for keyword, all in (
        (Keyword.STOP, stop),
        (Keyword.START, start),
        (Keyword.HELP, given.help or default.help),
    ):
        for word in all:
            words.setdefault(folded(word), keyword)

    def answer(own: str, of_language: str) -> str:
        if own == NO_ANSWER:
            return ""
        return own or of_language.format(start=start[0], stop=stop[0])

    return Wording(
        words,
        {
            Keyword.STOP: answer(given.stopped, default.stopped),
            Keyword.START: answer(given.started, default.started),
            Keyword.HELP: answer(given.helped, default.helped),
        },
    )


_PREFIX = re.compile(r"\+?([0-9]{1,15}\*)")
_PUNCTUATION = re.compile(r"[^\w+]|_")
_ICCID = re.compile(r"89[0-9]{16,18}")


def member(text: str, type: str, country: str) -> str | None:
    """What somebody wrote into a list, as a member of it; None if it is no number.

    Numbers as people write them, in international digits afterwards: those that begin with a single
    0 are national and get ``country``, without which they are none. Digits that begin with another
    one are taken as they are, so that what a list shows can be written into it again. An ICCID is
    one too; and in a list of type "block" leading digits followed by ``*``.
    """
    text = text.strip()
    prefix = _PREFIX.fullmatch(text) if type == "block" else None
    if prefix:
        return prefix[1]
    if _ICCID.fullmatch(text):
        return text
    if len(text) > 40 or "*" in text:
        return None
    plain = _PUNCTUATION.sub("", text)
    if plain.isdecimal() and plain.isascii() and plain[0] != "0":
        return plain if 3 <= len(plain) <= numbers.MAX_DIGITS else None
    if not country and text.startswith("0") and not text.startswith("00"):
        return None
    number = numbers.friendly(text, country)
    return None if isinstance(number, Reason) else number
