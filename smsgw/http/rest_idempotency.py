"""Requests that are repeated with their Idempotency-Key get the first answer again (E-D11).

What is kept is written in the transaction of the messages that the answer tells of: neither is
there without the other, whatever crashes. Answers without a transaction are not kept: nothing was
done, so that the request may be tried again.
"""

from collections.abc import Callable
from hashlib import blake2b

import msgspec
from attrs import frozen
from twisted.internet.defer import Deferred

from smsgw.flow.lists import Runner
from smsgw.http.render import JSON
from smsgw.http.rest_bodies import Attachment, ParameterError, Parameters
from smsgw.http.rest_front import Asked
from smsgw.http.site import Response
from smsgw.queues import Transaction
from smsgw.refusals import Reason
from smsgw.store import answers
from smsgw.store.answers import Kept

HEADER = b"idempotency-key"
LONGEST = 64  # characters
_REPLAYED = (b"Idempotency-Replayed", b"true")
Name = tuple[str, str, str]  # account, credential, key


def _as_asked(file: Attachment) -> tuple[str, str, str]:
    """What tells one attachment from another."""
    return file.name, file.type, file.digest


_encode = msgspec.json.Encoder(order="sorted", enc_hook=_as_asked).encode


@frozen
class Keeping:
    """What of one request is kept: its answer, in the transaction of its messages."""

    name: Name
    asked: bytes

    def keep(self, response: Response, transaction: Transaction, at: int) -> None:
        """Adds the answer to the transaction; ``at`` is now in ms."""
        kept = Kept(self.asked, at, response.status, response.content_type, response.body)
        transaction.changes.answers.append(answers.row(*self.name, kept))


class Repeats:
    """Knows which requests were answered."""

    def __init__(self, runner: Runner, now: Callable[[], float]) -> None:
        """``now`` gives seconds since 1970."""
        self._runner = runner
        self._now = now
        # Requests that are being answered: what waits for the same key.
        self._under_way: dict[Name, list[Deferred[None]]] = {}

    async def answer(
        self,
        asked: Asked,
        parameters: Parameters,
        first: Callable[[Keeping], "Deferred[Response]"],
    ) -> Response:
        """The answer that was kept, or that of ``first``, which keeps it."""
        key = asked.request.headers[HEADER].decode("latin-1")
        if not (1 <= len(key) <= LONGEST and key.isascii() and key.isprintable()):
            raise ParameterError(
                Reason.PARAMETER_INVALID, f"Idempotency-Key (1 to {LONGEST} ASCII characters)"
            )
        name = asked.login.account, asked.login.credential, key
        digest = blake2b(_encode(parameters), digest_size=16).digest()
        while name in self._under_way:
            waiting: Deferred[None] = Deferred()
            self._under_way[name].append(waiting)
            await waiting
        self._under_way[name] = []
        try:
            return await self._answered(name, digest, first)
        finally:
            for one in self._under_way.pop(name):
                one.callback(None)

    async def _answered(
        self, name: Name, digest: bytes, first: Callable[[Keeping], "Deferred[Response]"]
    ) -> Response:
        now = int(self._now() * 1000)
        kept = await self._runner.run(lambda c: answers.find(c, *name, now))
        if kept is None:
            return await first(Keeping(name, digest))
        if kept.asked != digest:
            raise ParameterError(
                Reason.CONFLICT, "this Idempotency-Key was used for another request"
            )
        content_type = kept.content_type or JSON.content_type
        return Response(kept.status, kept.body, content_type, [_REPLAYED])
