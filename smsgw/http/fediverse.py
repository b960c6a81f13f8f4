"""Fediverse: brings messages to people there, as direct posts of the operator's own account.

It speaks the API of Mastodon, ``POST /api/v1/statuses`` (A-R7, A-D15).
"""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from twisted.internet.defer import Deferred

from smsgw.config import Config
from smsgw.flow.targets import DELIVERED, FAILED, REFUSED, Delivery, Told
from smsgw.http.outgoing import BadUrl, Outgoing, Unanswered
from smsgw.http.wording import FORM, Call
from smsgw.outward import UnderWay
from smsgw.text.reading import Reading, e123, read

LONGEST = 480  # characters of one post (A-D15)
_TIMEOUT_S = 15.0
# Answers that say nothing of the recipient: too busy, or the operator's token is not valid.
_TRY_AGAIN = (401, 403, 408, 429)
# What would be read as a mention: everyone who is mentioned in a direct post gets it.
_MENTION = re.compile(r"(?<![\w/=])@(?=\w)")


class Fediverse:
    """The messenger of targets of kind "toot"."""

    def __init__(self, config: Config, reactor: Any, trust: Any = None) -> None:
        """``trust`` is whose certificates are taken, None: the platform's."""
        self._url = config.aaisp.fediverse_base_url
        self._token = config.aaisp.fediverse_token
        self._outgoing = Outgoing(reactor, trust)
        self._under_way = UnderWay(reactor)

    def deliver(self, delivery: Delivery) -> Deferred[Told]:
        """Fires with how it went; the detail is an HTTP status or a few words."""
        return self._under_way.run(self._post(delivery))

    async def _post(self, delivery: Delivery) -> Told:
        if not (self._url and self._token):
            return Told(FAILED, "no fediverse account is configured")
        reading = read(delivery.message, delivery.account.time_zone)
        detail = ""
        for n, text in enumerate(posts(reading, delivery.target.address, delivery.target.prefix)):
            body = urlencode({"status": text, "visibility": "direct"}).encode()
            headers = {
                "Authorization": f"Bearer {self._token}",
                # What was posted before a later post failed is not posted again.
                "Idempotency-Key": f"{delivery.entry_id}-{n}",
            }
            call = Call("POST", f"{self._url}/api/v1/statuses", body, FORM)
            try:
                # The server is the operator's choice, so it may be anywhere.
                answer = await self._outgoing.ask(call, _TIMEOUT_S, private=True, headers=headers)
            except (BadUrl, Unanswered) as fault:
                return Told(FAILED, str(fault))
            status = answer.status
            detail = f"HTTP {status}"
            if 400 <= status < 500 and status not in _TRY_AGAIN:
                return Told(REFUSED, detail)
            if not 200 <= status < 300:
                return Told(FAILED, detail)
        return Told(DELIVERED, detail)

    def stop(self) -> Deferred[None]:
        """Fires when the posts under way have ended and no connection is kept."""
        return self._under_way.stop().addCallback(
            lambda _: Deferred.fromCoroutine(self._outgoing.stop())
        )


def posts(reading: Reading, person: str, prefix: str) -> Iterator[str]:
    """The posts that bring a message to ``person`` (``@name@host``), 480 characters each at
    most. Joined without their mentions they are its text."""
    source = e123(reading.oa) if prefix == "+" else reading.oa
    mention = f"{person} "
    start = mention if prefix == "!" else f"{mention}SMS from {_unmentioned(source)}: "
    left = _unmentioned(reading.text)
    while True:
        cut = _cut(left, LONGEST - len(start))
        yield start + left[:cut]
        left = left[cut:]
        if not left:
            return
        start = mention


def _unmentioned(text: str) -> str:
    return _MENTION.sub("@\u200b", text)


def _cut(text: str, room: int) -> int:
    """Where to cut ``text``: after the last blank that leaves more than half of the room used."""
    if len(text) <= room:
        return len(text)
    blank = text.rfind(" ", room // 2, room)
    cut = blank + 1 if blank >= 0 else room
    # An @ that begins a post is after a blank, where it stood within a word before.
    while text[cut] == "@" and cut > 1:
        cut -= 1
    return cut
