"""The Messages resource of the REST API: sending, status, cancelling (``spec`` 4.3)."""

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from msgspec import UNSET
from twisted.internet.defer import Deferred

from smsgw import identities
from smsgw.flow.accept import Beside
from smsgw.flow.lists import Runner
from smsgw.http import rest_answers, rest_parameters
from smsgw.http.rest_answers import Result, is_error
from smsgw.http.rest_bodies import (
    ParameterError,
    Parameters,
    flag,
    integer,
    needed,
    read_body,
    read_query,
    text_of,
)
from smsgw.http.rest_documents import Outcome, Status, Submitted, TransactionsFound
from smsgw.http.rest_front import Asked, Customer, Endpoint, Front, Parameter
from smsgw.http.rest_idempotency import HEADER, LONGEST, Keeping, Repeats
from smsgw.http.site import Answer, Response
from smsgw.login import Login
from smsgw.message import Direction, Message
from smsgw.provisioning import Account
from smsgw.queues import Transaction
from smsgw.refusals import Reason, Refusal
from smsgw.store import batches, outstanding
from smsgw.store import lists as stored_lists

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


class Acceptance(Protocol):
    """Where messages are handed in (``flow/accept.py``)."""

    def accept(
        self, login: Login, messages: list[Message], *, beside: Beside | None = None
    ) -> Deferred[list[Result]]:
        """One outcome for each message, in order."""
        ...

    def consider(
        self, account: Account, message: Message, *, limited: frozenset[str] | None = None
    ) -> Result:
        """What it would say now to a message; nothing is kept, charged or counted."""
        ...


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
    ) -> None:
        """``runner`` reads the store, ``allot`` gives ids, ``operator_id`` the network of a number;
        ``now`` seconds since 1970."""
        self._operator_id = operator_id
        self._front = front
        self._acceptance = acceptance
        self._records = records
        self._runner = runner
        self._allot = allot
        self._now = now
        self._repeats = Repeats(runner, now)

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
                self.submit,
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
                self.submit_by_get,
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

    # --- Sending.

    def submit(self, asked: Asked) -> Answer:
        """``POST /v4/messages``."""
        return self._submit(asked, read_body(asked.request))

    def submit_by_get(self, asked: Asked) -> Answer:
        """``GET /v4/messages/send`` (E-D8)."""
        allowed = self._front.customer(asked.login.account).settings.allow_get_submit
        if not allowed or asked.request.head_only:
            refusal = Refusal(Reason.METHOD_NOT_ALLOWED, "send by POST to /v4/messages")
            return self._front.refusal(refusal, asked.form, [(b"Allow", b"")])
        return self._submit(asked, read_query(asked.request))

    def _submit(self, asked: Asked, parameters: Parameters) -> Answer:
        if HEADER in asked.request.headers:
            return self._repeats.answer(
                asked,
                parameters,
                lambda kept: Deferred.fromCoroutine(self._first(asked, parameters, kept)),
            )
        return self._sending(asked, parameters, None)

    async def _first(self, asked: Asked, parameters: Parameters, kept: Keeping) -> Response:
        found = self._sending(asked, parameters, kept)
        return found if isinstance(found, Response) else await found

    def _sending(self, asked: Asked, parameters: Parameters, kept: Keeping | None) -> Answer:
        customer = self._front.customer(asked.login.account)
        if "listId" in parameters:
            named = rest_parameters.list_of(parameters)
            if named:
                return self._to_list(asked, parameters, customer, named, kept)
        return self._hand_in(asked, parameters, customer, None, kept)

    async def _to_list(
        self,
        asked: Asked,
        parameters: Parameters,
        customer: Customer,
        named: str,
        kept: Keeping | None,
    ) -> Response:
        """To every member of a list of the account."""
        settings = customer.settings
        if not settings.lists:
            raise ParameterError(Reason.NOT_ENABLED, "lists")
        id, _ = identities.from_guid(named) or (0, 0)
        found = await self._runner.run(lambda c: stored_lists.by_id(c, id))
        if found is None or found.account != asked.login.account:
            raise ParameterError(Reason.UNKNOWN_LIST, named[:40])
        members: list[str] = []
        page: list[stored_lists.Member] = []
        while not members or len(page) == stored_lists.PAGE:
            after = members[-1] if members else ""
            page = await self._runner.run(partial(stored_lists.page, list=id, after=after))
            members += [one[0] for one in page]
            if len(members) > settings.max_list:
                raise ParameterError(
                    Reason.TOO_MANY_DESTINATIONS, f"the list has more than {settings.max_list}"
                )
            if not page:
                break
        if not members:
            raise ParameterError(Reason.PARAMETER_INVALID, "listId: the list is empty")
        answer = self._hand_in(asked, parameters, customer, members, kept)
        return answer if isinstance(answer, Response) else await answer

    def _hand_in(
        self,
        asked: Asked,
        parameters: Parameters,
        customer: Customer,
        members: list[str] | None,
        kept: Keeping | None,
    ) -> Response | Deferred[Response]:
        settings = customer.settings
        messages = rest_parameters.submission(
            parameters,
            asked.login,
            customer.country,
            settings.max_destinations,
            customer.sender,
            settings.registered_delivery,
            members,
        )
        if "dryRun" in parameters and flag(parameters, "dryRun"):
            return self._consider(asked, messages, customer)
        if len(messages) == 1 and members is None:
            only = messages[0]
            if isinstance(only, Refusal):
                return self._front.refusal(only, asked.form)
            only.max_parts = settings.max_parts
            beside = None
            if kept is not None:
                beside = self._beside(kept, lambda results: self._sent(results, asked, only))
            accepting = self._acceptance.accept(asked.login, [only], beside=beside)
            return accepting.addCallback(self._sent, asked, only)
        passed = [m for m in messages if isinstance(m, Message)]
        for message in passed:
            message.max_parts = settings.max_parts
        batch = self._allot()
        beside = self._beside(
            kept, lambda results: self._sent_several(results, asked, messages, batch), batch
        )
        accepting = self._acceptance.accept(asked.login, passed, beside=beside)
        return accepting.addCallback(self._sent_several, asked, messages, batch)

    def _beside(
        self, kept: Keeping | None, answer: Callable[[list[Result]], Response], batch: int = 0
    ) -> Beside:
        """Writes with the messages what they are together: a batch, and the answer about them."""

        def beside(results: list[Result], transaction: Transaction) -> None:
            now = int(self._now() * 1000)
            if batch:
                made = [one if isinstance(one, Message) else one.message for one in results]
                known = [one for one in made if one is not None and one.id]
                row = batches.row(batch, known[0].account, now, known)
                transaction.changes.batches.append(row)
            if kept is not None:
                kept.keep(answer(results), transaction, now)

        return beside

    def _sent(self, results: list[Result], asked: Asked, message: Message) -> Response:
        result = results[0]
        if is_error(result):
            return self._front.refusal(result, asked.form)
        outcome = rest_answers.submitted(result, message)
        return self._front.document(asked, rest_answers.alone(outcome))

    def _sent_several(
        self, results: list[Result], asked: Asked, messages: list[Result], batch: int
    ) -> Response:
        """``messages``: those that were handed in, and the refusals of those that were not."""
        outcomes, errors = _outcomes(results, messages)
        if len(errors) == len(messages):
            return self._front.refusal(errors[0], asked.form)
        return self._front.document(asked, rest_answers.together(outcomes, batch))

    def _consider(self, asked: Asked, messages: list[Result], customer: Customer) -> Response:
        """What would become of them; nothing is sent."""
        account = customer.account
        if account is None:
            return self._front.refused(asked, Reason.ACCOUNT_INACTIVE)
        login = asked.login
        limited = self._front.tables().limited.get((login.kind, login.credential))
        outcomes: list[Outcome] = []
        errors: list[Refusal] = []
        for one in messages:
            result: Result = one
            if isinstance(one, Message):
                one.max_parts = customer.settings.max_parts
                one.tag = one.tag or login.tag
                result = self._acceptance.consider(account, one, limited=limited)
            if is_error(result):
                errors.append(result)
                number = one.destination if isinstance(one, Message) else result.detail
                outcomes.append(rest_answers.refused(result, number))
            elif isinstance(one, Message):
                outcomes.append(rest_answers.considered(result, one, account.currency))
        if len(errors) == len(messages):
            return self._front.refusal(errors[0], asked.form)
        several = len(outcomes) > 1
        document = (rest_answers.together(outcomes, 0)) if several else None
        document = document or rest_answers.alone(outcomes[0])
        document.batch_guid = UNSET
        document.dry_run = True
        return self._front.document(asked, document)

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


def _outcomes(results: list[Result], messages: list[Result]) -> tuple[list[Outcome], list[Refusal]]:
    """One for each of ``messages``, and the refusals of those that have no transaction."""
    handed_in = iter(results)
    outcomes: list[Outcome] = []
    errors: list[Refusal] = []
    for message in messages:
        if isinstance(message, Refusal):
            errors.append(message)
            outcomes.append(rest_answers.refused(message, message.detail))
            continue
        result = next(handed_in)
        if is_error(result):
            errors.append(result)
            outcomes.append(rest_answers.refused(result, message.destination))
        else:
            outcomes.append(rest_answers.submitted(result, message))
    return outcomes, errors


__all__ = ["CURSOR", "MAX_ROWS", "MOST_ROWS", "ROWS", "Messages"]
