"""The text of an HTML mail, for those who read only text (ruling 24).

Tags are cut by one regular expression in one pass: the library's parser takes minutes for 64 kB of
hostile markup.
"""

import re
from html import unescape

MOST = 1_048_576  # characters of markup that are read; what fits into messages is far less
QUOTED = "-----Original Message-----"  # stands where what is answered begins

_LINES = frozenset(
    ("address", "article", "blockquote", "br", "dd", "div", "dl", "dt", "footer", "form", "h1")
    + ("h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "ol", "p", "pre", "section", "table")
    + ("tr", "ul")
)
_CELLS = frozenset({"td", "th"})
# Whoever wrote the mail did not write what follows: Gmail, Outlook, Yahoo, Thunderbird.
_ANSWERED = re.compile(r"\b(gmail_quote|divRplyFwdMsg|appendonsend|yahoo_quoted|moz-cite-prefix)")
# What is no tag, a lone "<" included, is text. A tag ends before the next one at the latest.
_PIECE = re.compile(r"<(?:(/?)([A-Za-z][A-Za-z0-9]*)([^<>]*)|[!?][^<>]*|/[^<>]*)>|[^<]+|<")
_HIDES = re.compile(r"<(?:!--|(style|script|head|title|template)(?=[\s/>]))")
_NAMED = re.compile(r"\b(?:class|id)\s*=")
_BLANKS = re.compile(r"[ \t\r\n\f]+")
_EMPTY = re.compile(r"\n{3,}")


def text_of(markup: str) -> str:
    """The text of ``markup``, with LF between lines; what is quoted in it has ``> `` in front.

    Takes time in proportion to the markup, of which ``MOST`` characters are read.
    """
    reader = _Reader()
    for piece in _PIECE.finditer(_without_hidden(markup[:MOST])):
        if piece[2] is None:
            if not piece[0].startswith(("<!", "<?", "</")):
                reader.write(unescape(piece[0]))
        elif piece[1]:
            reader.end(piece[2].lower())
        else:
            reader.start(piece[2].lower(), piece[3])
    return reader.text


def _without_hidden(markup: str) -> str:
    """Without what is never shown; an element that is not closed hides all that follows."""
    lower = markup.lower()
    kept: list[str] = []
    start = 0
    for found in _HIDES.finditer(lower):
        if found.start() < start:
            continue
        kept.append(markup[start : found.start()])
        end = "-->" if found[1] is None else f"</{found[1]}"
        closed = lower.find(end, found.end())
        if closed < 0:
            start = len(markup)
            break
        if found[1] is None:
            start = closed + len(end)
        else:
            closing = lower.find(">", closed)
            start = closing + 1 if closing >= 0 else len(markup)
    kept.append(markup[start:])
    return "".join(kept)


class _Reader:
    """Gathers lines."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line: list[str] = []
        self._quotes = 0

    @property
    def text(self) -> str:
        """What has been read."""
        self._end_line()
        return _EMPTY.sub("\n\n", "\n".join(self._lines)).strip("\n")

    def start(self, tag: str, attributes: str) -> None:
        """A tag that opens an element."""
        if tag in _LINES:
            self._end_line(empty=tag in ("br", "p"))
        elif tag in _CELLS and self._line:
            self._line.append(" ")
        if tag == "blockquote":
            self._quotes += 1
        if _ANSWERED.search(attributes) and _NAMED.search(attributes.lower()):
            self._end_line()
            self._lines.append(QUOTED)

    def end(self, tag: str) -> None:
        """A tag that closes one."""
        if tag in _LINES:
            self._end_line()
        if tag == "blockquote":
            self._quotes = max(0, self._quotes - 1)

    def write(self, text: str) -> None:
        """Text between tags."""
        self._line.append(text)

    def _end_line(self, empty: bool = False) -> None:
        line = _BLANKS.sub(" ", "".join(self._line)).replace("\xa0", " ").strip(" ")
        self._line = []
        if line:
            self._lines.append(f"> {line}" if self._quotes else line)
        elif empty and self._lines:
            self._lines.append("")
