"""Sending by the REST API: to one destination, to several, to a list; what would become of it, and
the same request twice (``spec`` 4.3)."""

import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from attrs import evolve
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
    read_body,
    read_query,
)
from smsgw.http.rest_documents import Outcome
from smsgw.http.rest_front import Asked, Customer, Front
from smsgw.http.rest_idempotency import HEADER, Keeping, Repeats
from smsgw.http.rest_media import Attachments
from smsgw.http.site import Answer, Response
from smsgw.login import Login
from smsgw.message import Message, Multimedia
from smsgw.provisioning import Account
from smsgw.queues import Transaction
from smsgw.refusals import Reason, Refusal
from smsgw.store import batches
from smsgw.store import lists as stored_lists


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


class Sending:
    """``POST /v4/messages`` and ``GET /v4/messages/send``."""

    def __init__(
        self,
        front: Front,
        acceptance: Acceptance,
        runner: Runner,
        allot: Callable[[], int],
        now: Callable[[], float] = time.time,
        attachments: Attachments | None = None,
    ) -> None:
        """See ``rest_messages.Messages``."""
        self._front = front
        self._acceptance = acceptance
        self._runner = runner
        self._allot = allot
        self._now = now
        self._attachments = attachments
        self._repeats = Repeats(runner, now)

    def submit(self, asked: Asked) -> Answer:
        """``POST /v4/messages``."""
        if asked.request.spool is not None and self._attachments is not None:
            reading = self._attachments.read(asked.request)
            return reading.addCallback(lambda parameters: self._submitted(asked, parameters))
        return self._submit(asked, read_body(asked.request))

    def _submitted(self, asked: Asked, parameters: Parameters) -> Response | Deferred[Response]:
        found = self._submit(asked, parameters)
        if isinstance(found, (Response, Deferred)):
            return found
        return Deferred.fromCoroutine(found)

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
        return self._answer(asked, parameters, None)

    async def _first(self, asked: Asked, parameters: Parameters, kept: Keeping) -> Response:
        found = self._answer(asked, parameters, kept)
        return found if isinstance(found, Response) else await found

    def _answer(self, asked: Asked, parameters: Parameters, kept: Keeping | None) -> Answer:
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
        trial = "dryRun" in parameters and flag(parameters, "dryRun") is True
        if not rest_parameters.is_multimedia(parameters):
            return self._go(asked, messages, customer, members is None, kept, trial)
        if not settings.mms or self._attachments is None:
            raise ParameterError(Reason.NOT_ENABLED, "MMS")
        making = self._attachments.multimedia(parameters, asked.login.account, not trial)

        def made(multimedia: Multimedia) -> Response | Deferred[Response]:
            for one in messages:
                if isinstance(one, Message):
                    one.multimedia = evolve(multimedia)
                    one.multimedia.delivery_report = bool(one.registered_delivery)
            return self._go(asked, messages, customer, members is None, kept, trial)

        return making.addCallback(made)

    def _go(
        self,
        asked: Asked,
        messages: list[Result],
        customer: Customer,
        named: bool,
        kept: Keeping | None,
        trial: bool,
    ) -> Response | Deferred[Response]:
        """Hands them in; ``named``: their destinations stood in the request."""
        settings = customer.settings
        if trial:
            return self._consider(asked, messages, customer)
        if len(messages) == 1 and named:
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
        tables = self._front.tables()
        limited = tables.limited.get((login.kind, login.credential))
        currency = tables.standing[account.name].currency
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
                outcomes.append(rest_answers.considered(result, one, currency))
        if len(errors) == len(messages):
            return self._front.refusal(errors[0], asked.form)
        several = len(outcomes) > 1
        document = (rest_answers.together(outcomes, 0)) if several else None
        document = document or rest_answers.alone(outcomes[0])
        document.batch_guid = UNSET
        document.dry_run = True
        return self._front.document(asked, document)


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
