"""Reads what follows DATA up to the line with the single dot: chunks in, checked content out.

Only CR LF ends a line. A bare CR or LF, and NUL, make the whole mail refused (554), and are never
taken for the end of it: what one server takes for the end and another does not is how mail is
smuggled. Lines have 998 octets at most (RFC 5322 §2.1.1).
"""

from smsgw.smtp import replies
from smsgw.smtp.replies import Reply

LINE_MOST = 998  # octets without CR LF
_END = b"\r\n.\r\n"


class DataReader:
    """The content of one mail.

    ``fault`` is why it is refused; from then on no content comes out, but its end is still found.
    """

    def __init__(self, size_most: int) -> None:
        """``size_most`` bounds the content, in octets after dots are undone."""
        self.size = 0  # octets of content so far
        self.taken = 0  # octets that were read, content or not
        self.fault: Reply | None = None
        self.rest = b""  # what came after the end
        self.over = False
        self._size_most = size_most
        self._tail = b""  # the begin of a line that is not over
        self._mid_line = False  # the begin of that line was dropped

    def feed(self, data: bytes) -> bytes:
        """The content that ``data`` brings, in whole lines, dots undone; b"" once there is a
        fault."""
        self.taken += len(data)
        # The CR LF before makes a dot at the begin look like any other.
        before = b"" if self._mid_line else b"\r\n"
        block = before + self._tail + data
        end = block.find(_END)
        if end >= 0:
            self.over = True
            self.rest = block[end + len(_END) :]
            block = block[: end + 2]
            self._tail = b""
        else:
            cut = block.rfind(b"\r\n") + 2
            if cut < 2:
                cut = 0
            block, self._tail = block[:cut], block[cut:]
            if cut:
                self._mid_line = False
            self._bound_tail()
        # Without the CR LF that was put before.
        if len(block) <= len(before):
            return b""
        return self._checked(block, len(before))

    def give_up(self, reply: Reply) -> None:
        """It cannot be kept: it is read to its end, and that is the answer then."""
        if self.fault is None:
            self.fault = reply

    def _bound_tail(self) -> None:
        # A doubled dot and a CR whose LF is to come are no part of the line.
        if len(self._tail) > LINE_MOST + 2:
            self._refuse(replies.LINE_TOO_LONG)
            self._tail = self._tail[-1:] if self._tail.endswith(b"\r") else b""
            self._mid_line = True

    def _checked(self, block: bytes, skip: int) -> bytes:
        if self.fault is not None and self.fault != replies.TOO_LARGE:
            return b""
        ends = block.count(b"\r\n")
        if ends != block.count(b"\n") or ends != block.count(b"\r") or b"\0" in block:
            self._refuse(replies.BAD_CONTENT)
            return b""
        plain = block.replace(b"\r\n.", b"\r\n")[skip:]
        if _has_long_line(plain):
            self._refuse(replies.LINE_TOO_LONG)
            return b""
        self.size += len(plain)
        if self.size > self._size_most:
            self._refuse(replies.TOO_LARGE)
        return b"" if self.fault is not None else plain

    def _refuse(self, reply: Reply) -> None:
        # That it is too large is said only if nothing worse is wrong with it.
        if self.fault is None or self.fault == replies.TOO_LARGE:
            self.fault = reply


def _has_long_line(lines: bytes) -> bool:
    """True if one of these, which end in CR LF, is too long. Looks at one end in a thousand octets
    only."""
    place, size = 0, len(lines)
    while place < size:
        end = lines.rfind(b"\n", place, place + LINE_MOST + 2)
        if end < 0:
            return True
        place = end + 1
    return False


def stuffed(content: bytes) -> bytes:
    """Content with CR LF lines as it is sent: dots at the begin of lines doubled, and the last line
    ended."""
    content = content.replace(b"\r\n.", b"\r\n..")
    if content.startswith(b"."):
        content = b"." + content
    return content if not content or content.endswith(b"\r\n") else content + b"\r\n"
