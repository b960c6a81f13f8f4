"""The REST API of the aerialink dialect: sending and status of messages (``spec`` 4.1 to 4.3)."""

from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, Protocol, TypeGuard
from uuid import uuid4

from twisted.internet.defer import Deferred

from smsgw import identities
from smsgw.config import Config
from smsgw.dialects import Aerialink
from smsgw.http import rest_codes, rest_parameters
from smsgw.http.auth import BasicAuth, Doors, Identity
from smsgw.http.render import JSON, SUFFIXES, Document, Format, HeaderList, iso, wanted
from smsgw.http.rest_parameters import ParameterError
from smsgw.http.site import UNIX, Answer, Request, Response, Site
from smsgw.login import Login
from smsgw.message import Direction, Message, MessageState
from smsgw.refusals import Reason, Refusal
from smsgw.rules.tables import Tables

BASE = "/v4"
_AUTHENTICATE = (b"WWW-Authenticate", b'Basic realm="smsgw", charset="UTF-8"')
_DIALECT = "aerialink"

Outcome = Message | Refusal


class Acceptance(Protocol):
    """Where messages are handed in (``flow/accept.py``)."""

    def accept(self, login: Login, messages: list[Message]) -> Deferred[list[Outcome]]:
        """One outcome for each message, in order."""
        ...


class Records(Protocol):
    """Where messages are looked up."""

    def message(self, account: str | None, id: int) -> Awaitable[Message | None]:
        """The message with this id, if it is the account's."""
        ...


def add(site: Site, rest: "Rest") -> None:
    """Add the API's resources to a site."""
    site.add(BASE + "/", rest.unknown, refuse=rest.refuse)
    site.add(BASE + "/messages/", rest.message, refuse=rest.refuse)
    for suffix in ("", *(f".{suffix}" for suffix in SUFFIXES)):
        site.add(f"{BASE}/messages{suffix}", rest.messages, refuse=rest.refuse)


class Rest:
    """The resources below ``/v4``."""

    def __init__(
        self,
        config: Config,
        tables: Callable[[], Tables],
        doors: Doors,
        acceptance: Acceptance,
        records: Records,
    ) -> None:
        """``tables`` gives the tables in force; an account's country and settings are in them."""
        self._acceptance = acceptance
        self._auth = BasicAuth(doors, tables)
        self._records = records
        self._tables = tables
        self._settings = config.aerialink
        self._root = self._settings.root
        self._plain_allowed = lru_cache(1000)(self._settings.plain_allowed)
        # Of the tables that they were made of: account -> its country, its settings.
        self._accounts: dict[str, tuple[str, Aerialink]] = {}
        self._accounts_of: Tables | None = None

    # --- The resources.

    def messages(self, request: Request) -> Answer:
        """``POST /v4/messages`` and ``GET /v4/messages?transactionGUID=``."""
        if request.method == "POST":
            return self._identified(request, self._submit)
        if request.method == "GET":
            return self._identified(request, self._queried)
        return self._not_allowed(request, b"GET, HEAD, POST")

    def message(self, request: Request) -> Answer:
        """``GET /v4/messages/{transactionGUID}``."""
        if request.method != "GET":
            return self._not_allowed(request, b"GET, HEAD")
        name = request.path.rstrip("/")[len(BASE) + len("/messages/") :]
        if name == "send":  # submission by GET (E-D8)
            return self._not_allowed(request, b"", "send by POST to /v4/messages")
        return self._identified(request, self._status, name.removesuffix(".json"))

    def unknown(self, request: Request) -> Response:
        """Every other path."""
        return self._refusal(Refusal(Reason.NOT_FOUND, request.path), wanted(request) or JSON)

    def refuse(self, status: int, text: str) -> Response:
        """A fault that the server found before a resource was asked, in the words of this API."""
        reason = rest_codes.SERVER_FAULTS.get(status, Reason.BAD_REQUEST)
        # The server's texts begin with the HTTP phrase; what follows it is the detail.
        detail = text.partition(", " if status == 500 else ": ")[2]
        response = self._refusal(Refusal(reason, detail), JSON)
        response.status = status
        return response

    def _not_allowed(self, request: Request, allowed: bytes, hint: str = "") -> Response:
        refusal = Refusal(Reason.METHOD_NOT_ALLOWED, hint)
        return self._refusal(refusal, wanted(request) or JSON, [(b"Allow", allowed)])

    # --- Who asks, and in which format.

    def _identified(
        self, request: Request, answer: Callable[..., Answer], *arguments: Any
    ) -> Answer:
        """The answer to a request whose sender is known, else the refusal of the login."""
        form = wanted(request)
        if form is None:
            return self._refusal(Refusal(Reason.UNSUPPORTED_FORMAT, "answers are JSON"), JSON)
        if not (request.secure or request.peer == UNIX or self._plain_allowed(request.peer)):
            return self._refusal(Refusal(Reason.PERMISSION_DENIED, "HTTPS is needed"), form)
        identity = self._auth.identify(request)
        if isinstance(identity, Login):
            return answer(request, identity, form, *arguments)
        if isinstance(identity, Deferred):
            return identity.addCallback(self._checked, request, form, answer, arguments)
        return self._unidentified(identity, form)

    def _checked(
        self,
        identity: Identity,
        request: Request,
        form: Format,
        answer: Callable[..., Answer],
        arguments: tuple[Any, ...],
    ) -> Response | Deferred[Response]:
        if isinstance(identity, Login):
            found = answer(request, identity, form, *arguments)
            if isinstance(found, (Response, Deferred)):
                return found
            return Deferred.fromCoroutine(found)
        return self._unidentified(identity, form)

    def _unidentified(self, refusal: Refusal, form: Format) -> Response:
        code = refusal.reason.answer.rest
        if self._settings.fold_auth_errors and 1001 <= code <= 1005:
            return self._error(401, rest_codes.AUTHENTICATION, "", form, [_AUTHENTICATE])
        return self._refusal(refusal, form)

    def _account(self, name: str) -> tuple[str, Aerialink]:
        """Country and settings of an account."""
        tables = self._tables()
        if tables is not self._accounts_of:
            self._accounts_of = tables
            self._accounts = {}
        found = self._accounts.get(name)
        if found is None:
            account = tables.accounts.get(name)
            if account is None:  # it went between login and now; acceptance says so
                return "44", self._settings
            settings = self._settings.for_account(account.settings.get(_DIALECT, {}))
            found = self._accounts[name] = (account.country, settings)
        return found

    # --- Sending.

    def _submit(self, request: Request, login: Login, form: Format) -> Answer:
        country, settings = self._account(login.account)
        try:
            messages = rest_parameters.submission(
                rest_parameters.read_body(request), login, country, settings.max_destinations
            )
        except ParameterError as error:
            return self._refusal(error.refusal, form)
        if len(messages) == 1:
            only = messages[0]
            if isinstance(only, Refusal):
                return self._refusal(only, form)
            only.max_parts = settings.max_parts
            return self._acceptance.accept(login, [only]).addCallback(self._sent, only, form)
        passed = [m for m in messages if isinstance(m, Message)]
        for message in passed:
            message.max_parts = settings.max_parts
        accepting = self._acceptance.accept(login, passed)
        return accepting.addCallback(self._sent_several, messages, form)

    def _sent(self, outcomes: list[Outcome], message: Message, form: Format) -> Response:
        outcome = outcomes[0]
        if _is_error(outcome):
            return self._refusal(outcome, form)
        transaction = _submitted(outcome, message)
        document = {
            "code": transaction["code"],
            "codeText": transaction["codeText"],
            "transactions": {"transaction": transaction},
        }
        return form.response(200, self._root, document)

    def _sent_several(
        self, outcomes: list[Outcome], messages: list[Outcome], form: Format
    ) -> Response:
        """``messages``: those that were handed in, and the refusals of those that were not."""
        handed_in = iter(outcomes)
        transactions: list[Document] = []
        errors: list[Refusal] = []
        # Of the transactions that exist: 200 does not come with the code of an error (E-R23).
        codes: list[int] = []
        for message in messages:
            if isinstance(message, Refusal):
                errors.append(message)
                transactions.append(_refused(message, message.detail))
                continue
            outcome = next(handed_in)
            if _is_error(outcome):
                errors.append(outcome)
                transactions.append(_refused(outcome, message.destination))
            else:
                transactions.append(_submitted(outcome, message))
                codes.append(transactions[-1]["code"])
        if len(errors) == len(messages):
            return self._refusal(errors[0], form)
        code = rest_codes.ACCEPTED if rest_codes.ACCEPTED in codes else codes[0]
        document = {
            "code": code,
            "codeText": rest_codes.TEXTS[code],
            "batchGUID": str(uuid4()),
            "transactions": {"transaction": transactions},
        }
        return form.response(200, self._root, document)

    # --- Status.

    def _queried(self, request: Request, login: Login, form: Format) -> Answer:
        guid = request.query.get("transactionGUID", [""])[0]
        if not guid:
            return self._refusal(Refusal(Reason.PARAMETER_MISSING, "transactionGUID"), form)
        return self._status(request, login, form, guid)

    async def _status(self, _: Request, login: Login, form: Format, guid: str) -> Response:
        found = identities.from_guid(guid)
        if found is None:
            return self._refusal(Refusal(Reason.UNKNOWN_MESSAGE), form)
        id, kind = found
        message = await self._records.message(login.account, id)
        if message is None or (kind == identities.RECEIPT and not _has_receipt(message)):
            return self._refusal(Refusal(Reason.UNKNOWN_MESSAGE), form)
        document = {"transactions": {"transaction": _transaction(message, kind)}}
        return form.response(200, self._root, document)

    # --- Errors.

    def _refusal(
        self, refusal: Refusal, form: Format, headers: HeaderList | None = None
    ) -> Response:
        answer = refusal.reason.answer
        headers = headers or []
        if answer.http == 401:
            headers.append(_AUTHENTICATE)
        wait = rest_codes.RETRY_AFTER.get(refusal.reason)
        if wait is not None:
            headers.append((b"Retry-After", wait))
        return self._error(answer.http, answer.rest, rest_codes.detail(refusal), form, headers)

    def _error(
        self, status: int, code: int, detail: str, form: Format, headers: HeaderList
    ) -> Response:
        document = {
            "code": code,
            "errorCode": rest_codes.error_code(code),
            "detail": detail or rest_codes.TEXTS[code],
        }
        return form.response(status, self._root, document, headers)


def _is_error(outcome: Outcome) -> TypeGuard[Refusal]:
    """True if there is no transaction: what was processed but not sent has one (E-R23)."""
    return isinstance(outcome, Refusal) and outcome.reason.answer.http != 200


def _submitted(outcome: Outcome, message: Message) -> Document:
    """The transaction of a message that was accepted, or refused with a code of its own."""
    if isinstance(outcome, Message):
        code, state, count = rest_codes.ACCEPTED, "ENROUTE", len(outcome.parts)
    else:
        code, state, count = outcome.reason.answer.rest, "REJECTD", 0
        message = outcome.message or message
    return {
        "transactionGUID": identities.to_guid(message.id) if message.id else None,
        "messageType": "Submit",
        "code": code,
        "codeText": rest_codes.TEXTS[code],
        "extendedStatusCode": rest_codes.extended_code(message, code),
        "messageState": state,
        "source": message.source,
        "destination": message.destination,
        "parts": count,
        "clientReference": message.client_reference,
        "submitDate": iso(message.accepted_at),
    }


def _refused(refusal: Refusal, destination: str) -> Document:
    """What stands in an answer for several in place of a transaction that does not exist."""
    code = refusal.reason.answer.rest
    return {
        "transactionGUID": None,
        "code": code,
        "codeText": rest_codes.TEXTS[code],
        "errorCode": rest_codes.error_code(code),
        "detail": rest_codes.detail(refusal),
        "destination": destination,
    }


def _has_receipt(message: Message) -> bool:
    """Whether a carrier's final receipt came for it, which is a transaction of its own (F-5)."""
    return bool(message.carrier_at) and MessageState(message.state).final


def _transaction(message: Message, kind: int) -> Document:
    """All that is known of a message; of its receipt if ``kind`` is that."""
    guid, receipt = identities.to_guid(message.id), None
    message_type = "Deliver" if message.direction == Direction.MO else "Submit"
    if _has_receipt(message):
        receipt = identities.to_guid(message.id, identities.RECEIPT)
    linked = receipt
    if kind == identities.RECEIPT:
        guid, linked, message_type = str(receipt), guid, "Receipt"
    code = rest_codes.code_of(message)
    return {
        "transactionGUID": guid,
        "transactionGUIDlinked": linked,
        "messageType": message_type,
        "code": code,
        "codeText": rest_codes.TEXTS[code],
        "extendedStatusCode": rest_codes.extended_code(message, code),
        "messageState": rest_codes.state_name(message),
        "networkErrorCode": message.network_error or None,
        "source": message.source,
        "destination": message.destination,
        "parts": len(message.parts),
        "dcs": message.data_coding,
        "clientReference": message.client_reference,
        "operatorId": None,
        "submitDate": iso(message.accepted_at),
        "carrierDate": iso(message.carrier_at),
        "doneDate": iso(message.done_at),
        "retryCount": 0,
        "nextRetryDate": None,
    }
