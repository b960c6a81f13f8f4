"""Posts to the fediverse, against a server that keeps to the rules of Mastodon's API."""

import re
from typing import Any
from urllib.parse import parse_qs

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from smsgw.config import Config
from smsgw.dialects import Aaisp
from smsgw.flow.targets import DELIVERED, FAILED, REFUSED, Told
from smsgw.http.fediverse import LONGEST, Fediverse, posts
from smsgw.testing.sinks import SILENCE, Answer, HttpSink, Received
from smsgw.text.reading import read
from tests.deliveries import delivery, mo
from tests.outside import World

TARGET = "@alice@social.example.com"
# Of Account::MENTION_RE: who is mentioned in a post.
MENTIONS = re.compile(r"(?<![=/\w])@([A-Za-z0-9_]+(?:@[\w.-]+)?)")


class Mastodon:
    """The rules of ``POST /api/v1/statuses``."""

    def __init__(self) -> None:
        self.statuses: dict[str, dict[str, str]] = {}  # by Idempotency-Key
        self.busy = 0  # so many requests are too many

    def answer(self, request: Received) -> Answer:
        """Posts, or says why not."""
        if (request.method, request.target) != ("POST", "/api/v1/statuses"):
            return Answer(404)
        if request.headers.get("authorization") != "Bearer t0ken":
            return Answer(401, b'{"error":"The access token is invalid"}')
        if self.busy:
            self.busy -= 1
            return Answer(429, b'{"error":"Too many requests"}')
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if not form.get("status") or len(form["status"]) > 500:
            return Answer(422, b'{"error":"Validation failed"}')
        if form.get("visibility") not in ("public", "unlisted", "private", "direct"):
            return Answer(422, b'{"error":"Validation failed"}')
        self.statuses.setdefault(request.headers["idempotency-key"], form)
        return Answer(200, b'{"id":"1"}')


class Posts(TestCase):
    """Deliveries to a server on loopback."""

    timeout = 20

    async def begin(self, *answers: Any, token: str = "t0ken") -> None:
        """Starts the server; ``answers`` come instead of its own."""
        self.world = World()
        self.server = Mastodon()
        self.sink = sink = HttpSink(self.world)
        sink.answers = answers or [self.server.answer]
        port = await sink.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(sink.stop()))
        aaisp = Aaisp(fediverse_base_url=f"http://127.0.0.1:{port}", fediverse_token=token)
        self.fediverse = Fediverse(Config(aaisp=aaisp), self.world)
        self.addCleanup(self.fediverse.stop)

    async def post(self, text: str = "Grüße", target: str = TARGET, **given: Any) -> Told:
        """Delivers one message."""
        return await self.fediverse.deliver(delivery(mo(text, **given), target))

    async def test_direct_post_that_mentions_the_person(self) -> None:
        """Visible to nobody else (A-R7, A-D15)."""
        await self.begin()
        assert await self.post() == Told(DELIVERED, "HTTP 200")
        assert list(self.server.statuses.values()) == [
            {"status": f"{TARGET} SMS from 447700900123: Grüße", "visibility": "direct"}
        ]

    async def test_prefixes(self) -> None:
        """+ gives the number as in E.123, ! the text alone (A-D4)."""
        await self.begin()
        await self.post(target="+" + TARGET)
        assert self.sink.requests[-1].fields["status"].startswith(f"{TARGET} SMS from +447700")
        await self.post(target="!" + TARGET)
        assert self.sink.requests[-1].fields["status"] == f"{TARGET} Grüße"

    async def test_long_text_is_several_posts(self) -> None:
        """Each with the mention, none too long, together the whole text."""
        await self.begin()
        text = " ".join(f"word{n}" for n in range(200))
        assert (await self.post(text)).result == DELIVERED
        said = [one["status"] for one in self.server.statuses.values()]
        assert len(said) > 2
        assert "".join(one.removeprefix(f"{TARGET} ") for one in said) == (
            f"SMS from 447700900123: {text}"
        )

    async def test_retry_posts_nothing_twice(self) -> None:
        """The key of each post is the same at every attempt."""
        await self.begin()
        text = "x" * 1000
        accept = self.server.answer
        self.sink.answers = [accept, 503, accept]
        assert await self.post(text) == Told(FAILED, "HTTP 503")
        assert (await self.post(text)).result == DELIVERED
        assert list(self.server.statuses) == ["555-0", "555-1", "555-2"]
        assert len(self.sink.requests) == 5

    async def test_too_many_requests_are_tried_later(self) -> None:
        """429 is no refusal."""
        await self.begin()
        self.server.busy = 1
        assert await self.post() == Told(FAILED, "HTTP 429")
        assert (await self.post()).result == DELIVERED

    async def test_what_answers_mean(self) -> None:
        """A wrong token is the operator's fault, not the person's: the message waits."""
        for status, result in ((422, REFUSED), (404, REFUSED), (401, FAILED), (403, FAILED)):
            await self.begin(status)
            assert await self.post() == Told(result, f"HTTP {status}")
        await self.begin(token="wrong")
        assert await self.post() == Told(FAILED, "HTTP 401")

    async def test_silence(self) -> None:
        """No answer in fifteen seconds."""
        await self.begin(SILENCE)
        told = self.fediverse.deliver(delivery(mo(), TARGET))
        await self.sink.when(lambda: len(self.sink.requests) == 1)
        self.world.clock.advance(15)
        assert await told == Told(FAILED, "no answer in time")

    async def test_without_an_account_nothing_is_posted(self) -> None:
        """The token was taken away after the target was saved."""
        await self.begin(token="")
        told = await self.post()
        assert told == Told(FAILED, "no fediverse account is configured")


@given(
    st.text(st.sampled_from("ab@. \u200b/ü") | st.characters(codec="utf-8"), max_size=1500),
    st.text(max_size=11),
    st.sampled_from(["", "+", "!"]),
)
def test_nobody_else_is_mentioned(text: str, source: str, prefix: str) -> None:
    """Whatever a text says: posts are short enough, and go to the person alone (I6)."""
    for post in posts(read(mo(text=text, source=source)), TARGET, prefix):
        assert len(post) <= LONGEST
        assert MENTIONS.findall(post) == [TARGET[1:]]


def test_no_character_is_lost() -> None:
    """The posts without their mentions are the text; only invisible characters are added."""
    text = ("mail bob@example.com or @bob@evil.example " * 40).strip()
    said = [post.removeprefix(f"{TARGET} ") for post in posts(read(mo(text=text)), TARGET, "!")]
    assert "".join(said).replace("\u200b", "") == text
    assert "bob@example.com" in said[0]
