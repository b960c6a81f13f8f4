"""A client that loads gateways by REST, and takes its receipts by callbacks; both keep books."""

from collections.abc import Sequence
from itertools import count, cycle
from typing import Any

import treq
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from smsgw.message import MessageState, Receipt
from smsgw.testing.sinks import Answer, HttpSink, Received
from tests.integration.books import NUMBER, POLL_S, Books

PATIENCE_S = 10.0  # for one answer; then the request is repeated
STATES = {
    "DELIVRD": MessageState.DELIVERED,
    "EXPIRED": MessageState.EXPIRED,
    "UNDELIV": MessageState.UNDELIVERABLE,
    "REJECTD": MessageState.REJECTED,
}


class BookedCallbacks(HttpSink):
    """Where the account's ``callback`` leads."""

    def __init__(self, reactor: Any, books: Books) -> None:
        super().__init__(reactor)
        self.books = books

    def take(self, request: Received) -> Answer:
        """A receipt is entered; acknowledgements of carriers are only answered."""
        told = request.fields
        if told["messageType"] == "Receipt":
            handset = told["destination"]
            self.books.receipts[handset].append(self.books.run)
            state = STATES[told["messageState"]]
            self.books.receipt_of[handset] = Receipt(told["transactionGUIDlinked"], int(state))
        return super().take(request)


class BookedWeb:
    """Sends messages by REST, to one node after the other, a bounded number at a time. A request
    that has no good answer is repeated with its Idempotency-Key at the next node until it has one,
    also when no new ones are begun any more."""

    def __init__(self, reactor: Any, books: Books, ports: Sequence[int], window: int) -> None:
        """``ports`` of 127.0.0.1; ``window``: requests at a time."""
        self.books = books
        self.loading = False
        self.under_way: set[Deferred[None]] = set()
        self.repeated = 0
        self._reactor = reactor
        self._ports = cycle(ports)
        self._window = window
        self._numbers = count(1)

    def fill(self) -> None:
        """Begins as many requests as there is room for."""
        while self.loading and len(self.under_way) < self._window:
            done = Deferred.fromCoroutine(self._message())
            self.under_way.add(done)
            done.addBoth(self._over, done)

    def stop(self) -> None:
        """Waits for no answer any more."""
        self.loading = False
        for one in list(self.under_way):
            one.cancel()

    def _over(self, result: Any, done: "Deferred[None]") -> Any:
        self.under_way.discard(done)
        self.fill()
        return result

    async def _message(self) -> None:
        number = next(self._numbers)
        handset = f"44779{number:07d}"
        text = f"request {number} ".ljust(40, ".")
        self.books.submitted[handset] = text.encode()
        document = {
            "source": NUMBER,
            "destination": handset,
            "messageText": text,
            "registeredDelivery": 1,
        }
        while True:
            try:
                answer = await self._asked(document, f"key-{number}")
            except CancelledError:
                return
            except Exception:  # of many kinds, for what becomes of connections
                answer = None
            if answer is not None:
                self.books.acknowledged[handset] = answer
                return
            self.repeated += 1
            await deferLater(self._reactor, POLL_S)

    async def _asked(self, document: dict[str, Any], key: str) -> str | None:
        """The GUID of the message, None if it is to be tried again."""
        answer = await treq.post(
            f"http://127.0.0.1:{next(self._ports)}/v4/messages",
            json=document,
            auth=("acme", "secret12"),
            headers={"Idempotency-Key": key},
            persistent=False,
            timeout=PATIENCE_S,
        )
        found = await answer.json()
        if answer.code in (500, 503):
            return None
        self.books.web_answers[answer.code] += 1
        return str(found["aerialink"]["transactions"]["transaction"]["transactionGUID"])
