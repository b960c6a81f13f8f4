"""Link: makes of an MMS whose carriers take none an SMS with a link to a page that shows it.

Comes from: ``decide``, on a route with ``mms = "link"``. Goes on to: ``decide`` again, which codes
the text and counts its parts; the page is ``http/pages.py``.
"""

import secrets
import string

from attrs import evolve

from smsgw.message import Message
from smsgw.provisioning import Account
from smsgw.refusals import Reason, Refusal
from smsgw.text import coding, parts

PATH = "/m/"
MOST_PARTS = 3  # the page shows the text whole, so that the SMS need not
# 130 random bits (ruling 30), of characters that phones know at the end of a link.
_TOKEN = 22
_LETTERS = string.ascii_letters + string.digits
_CUT = "..."


class Links:
    """Makes the links of a gateway."""

    def __init__(self, public_url: str) -> None:
        """``public_url`` is the base of what is handed out, "": nothing is."""
        self._base = public_url

    def __call__(self, message: Message, account: Account) -> Refusal | None:
        """Makes an SMS of an MMS; or says why not."""
        url = self.url(message)
        if not url:
            return Refusal(Reason.NO_ROUTE, "no http.public_url, so there are no links to MMS")
        multimedia = message.multimedia
        shown = "" if multimedia is None else multimedia.text.strip() or multimedia.subject.strip()
        most = min(account.max_parts, message.max_parts or account.max_parts, MOST_PARTS)
        message.kind = "sms"
        message.parts = []
        message.text = with_link(shown, url, most)
        return None

    def url(self, message: Message) -> str:
        """Where a page shows the message; "" if no links are handed out. The page is there once
        the message is stored."""
        if not self._base or message.multimedia is None:
            return ""
        token = message.multimedia.link or _token()
        message.multimedia = evolve(message.multimedia, link=token)
        return f"{self._base}{PATH}{token}"


def _token() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(_TOKEN))


def with_link(text: str, url: str, most: int) -> str:
    """``text``, cut if need be, with ``url`` after it, in ``most`` parts of an SMS at most."""
    whole = f"{text} {url}".strip()
    if _count(whole) <= most:
        return whole
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if _count(_cut(text, middle, url)) <= most:
            low = middle
        else:
            high = middle - 1
    return _cut(text, low, url) if low else url


def _cut(text: str, length: int, url: str) -> str:
    return f"{text[:length].rstrip()}{_CUT} {url}"


def _count(text: str) -> int:
    data_coding, octets = coding.smallest(text)
    return parts.count(octets, data_coding)
