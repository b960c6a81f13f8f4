"""The Messages resource of the REST API: status and cancelling (``spec`` 4.3); what is sent goes to
``rest_sending.py``."""

import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from smsgw import identities
from smsgw.flow.lists import Runner
from smsgw.http import rest_answers
from smsgw.http.rest_answers import Result
from smsgw.http.rest_bodies import (
    Parameters,
    integer,
    needed,
    read_query,
    text_of,
)
from smsgw.http.rest_documents import Status, Submitted, TransactionsFound
from smsgw.http.rest_front import Asked, Endpoint, Front, Parameter
from smsgw.http.rest_idempotency import LONGEST
from smsgw.http.rest_media import Attachments
from smsgw.http.rest_sending import Acceptance, Sending
from smsgw.http.site import Answer, Response
from smsgw.message import Direction, Message
from smsgw.refusals import Reason, Refusal
from smsgw.store import batches, outstanding

MOST_ROWS = 100
ROWS = 50

_GUID = {"type": "string", "format": "uuid"}
_KEY = Parameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": "^[!-~]+$"},
    "The same key within 24 hours gives the same answer again, and nothing is sent twice.",
    place="header",
)
CURSOR = Parameter(
    "cursor", {"type": "string", "maxLength": 100}, "nextCursor of the page before this one."
)
MAX_ROWS = Parameter(
    "maxRows",
    {"type": "integer", "minimum": 1, "maximum": MOST_ROWS, "default": ROWS},
    "How many there may be on a page.",
)


class Records(Protocol):
    """Where messages are looked up, and cancelled."""

    def message(self, account: str | None, id: int) -> Awaitable[Message | None]:
        """The message with this id, if it is the account's."""
        ...

    def cancel(self, account: str | None, id: int) -> Awaitable[Message | Refusal]:
        """Cancels it, if it is the account's own and still pending."""
        ...


class Messages:
    """``/v4/messages``."""

    def __init__(
        self,
        front: Front,
        acceptance: Acceptance,
        records: Records,
        runner: Runner,
        allot: Callable[[], int],
        operator_id: Callable[[str], int | None],
        now: Callable[[], float] = time.time,
        attachments: Attachments | None = None,
    ) -> None:
        """``runner`` reads the store, ``allot`` gives ids, ``operator_id`` the network of a number;
        ``now`` seconds since 1970; ``attachments`` makes the content of MMS, which are not sent
        without."""
        self._operator_id = operator_id
        self._front = front
        self._records = records
        self._runner = runner
        self._sending = Sending(front, acceptance, runner, allot, now, attachments)

    def endpoints(self) -> list[Endpoint]:
        """What can be asked here."""
        one = "/messages/{transactionGUID}"
        batch = Parameter("batchGUID", _GUID, "All transactions of this submission, in order.")
        guid = Parameter("transactionGUID", _GUID, "The transaction; or batchGUID.")
        sent = (400, 402, 404, 409, 413, 415)
        return [
            Endpoint(
                "POST",
                "/messages",
                "send",
                "Send a message to one or several destinations",
                self._sending.submit,
                Submitted,
                (_KEY,),
                "message",
                sent,
            ),
            Endpoint(
                "GET",
                "/messages",
                "status",
                "State of a message, or of all of a batch",
                self.queried,
                Status,
                (guid, batch, CURSOR, MAX_ROWS),
                faults=(400, 404),
            ),
            Endpoint(
                "GET",
                "/messages/send",
                "send",
                "Send a message by GET, where the account may",
                self._sending.submit_by_get,
                Submitted,
                (_KEY,),
                "message in query",
                (400, 402, 404, 405, 409),
            ),
            Endpoint("GET", one, "status", "State of a message", self.status, Status, faults=[404]),
            Endpoint(
                "DELETE",
                one,
                "send",
                "Cancel a message that waits to be sent",
                self.cancel,
                Status,
                faults=(404, 409),
            ),
            Endpoint(
                "POST",
                one + "/cancel",
                "send",
                "Cancel a message that waits to be sent",
                self.cancel,
                Status,
                faults=(404, 409),
            ),
        ]

    # --- Status.

    def queried(self, asked: Asked) -> Answer:
        """``GET /v4/messages?transactionGUID=`` or ``?batchGUID=``."""
        parameters = read_query(asked.request)
        batch = text_of(parameters, "batchGUID")
        if batch:
            return self._batch(asked, parameters, batch)
        return self._status(asked, needed(parameters, "transactionGUID"))

    def status(self, asked: Asked) -> Answer:
        """``GET /v4/messages/{transactionGUID}``."""
        return self._status(asked, asked.names["transactionGUID"])

    async def _status(self, asked: Asked, guid: str) -> Response:
        id, kind = identities.from_guid(guid) or (0, identities.MESSAGE)
        message = await self._records.message(asked.login.account, id) if id else None
        if message is None or (
            kind == identities.RECEIPT and not rest_answers.has_receipt(message)
        ):
            return self._front.refused(asked, Reason.UNKNOWN_MESSAGE)
        reports = None
        if message.direction == Direction.MT and message.registered_delivery:
            reports = await self._runner.run(lambda c: outstanding.of_message(c, id))
        found = rest_answers.transaction(message, kind, reports, self._operator(message))
        return self._front.document(asked, Status(TransactionsFound(found)))

    async def _batch(self, asked: Asked, parameters: Parameters, guid: str) -> Response:
        rows = integer(parameters, "maxRows", 1, MOST_ROWS) or ROWS
        start = integer(parameters, "cursor", 0, 10**9) or 0
        id, kind = identities.from_guid(guid) or (0, identities.RECEIPT)
        account = asked.login.account
        found = None
        if kind == identities.MESSAGE:
            found = await self._runner.run(lambda c: batches.page(c, account, id, start, rows))
        if found is None:
            return self._front.refused(asked, Reason.UNKNOWN_MESSAGE)
        messages, more = found
        document = Status(
            TransactionsFound(
                [rest_answers.transaction(one, operator_id=self._operator(one)) for one in messages]
            ),
            batch_guid=identities.to_guid(id),
            next_cursor=str(start + rows) if more else None,
        )
        return self._front.document(asked, document)

    def _operator(self, message: Message) -> int | None:
        """The network of the handset."""
        inbound = message.direction == Direction.MO
        return self._operator_id(message.source if inbound else message.destination)

    async def cancel(self, asked: Asked) -> Response:
        """``DELETE /v4/messages/{transactionGUID}``, ``POST`` of its ``/cancel``."""
        guid = asked.names["transactionGUID"]
        id, kind = identities.from_guid(guid) or (0, identities.RECEIPT)
        outcome: Result = Refusal(Reason.UNKNOWN_MESSAGE)
        if kind == identities.MESSAGE:
            outcome = await self._records.cancel(asked.login.account, id)
        if isinstance(outcome, Refusal):
            return self._front.refusal(outcome, asked.form)
        found = TransactionsFound(rest_answers.transaction(outcome, kind))
        return self._front.document(asked, Status(found))


__all__ = ["CURSOR", "MAX_ROWS", "MOST_ROWS", "ROWS", "Messages"]
