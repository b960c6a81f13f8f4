"""The websmpp dialect: submission, status, balance and coverage over GET and POST
(``spec/ams-websmpp.md``)."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from smsgw.config import Config
from smsgw.dialects import Ams
from smsgw.flow.money import Balances
from smsgw.http import coverage, websmpp_asked, websmpp_content
from smsgw.http.auth import Doors, Identity, PasswordAuth
from smsgw.http.site import Answer, Request, Response, Site
from smsgw.http.websmpp_answers import Answers, json, word
from smsgw.http.websmpp_asked import Asked
from smsgw.http.websmpp_content import Refused
from smsgw.http.websmpp_sending import Acceptance, Sending, Surroundings
from smsgw.login import Login
from smsgw.message import Direction, Message
from smsgw.provisioning import Account
from smsgw.refusals import Reason, Refusal
from smsgw.rules.price import coverage as coverage_lines
from smsgw.rules.tables import AllowList, Tables
from smsgw.store.batches import Batch

_log = Logger()

BASE = "/websmpp"
BODY_LIMIT = 2 * 1024 * 1024  # octets (W-D10)
KEPT_MS = 30 * 24 * 3600_000  # how long states are told (W-D30)
_DIALECT = "ams"
_INTERFACE = "websmpp"
_PEERS = 10_000
_FILES = 32  # coverage lists that are kept


class KeyDoors(Doors, Protocol):
    """Where logins are checked, access keys too."""

    def by_access_key(self, key: str, peer: str) -> Login | Refusal:
        """Check an access key."""
        ...

    def allowed(self, kind: str, peer: str) -> bool:
        """True if some credential of the kind may come from the address."""
        ...

    def admits(self, allow: AllowList, peer: str) -> bool:
        """True if the allow-list lets the address in."""
        ...


class Submitted(Protocol):
    """Where what was submitted is looked up. Fails with whatever the store fails with."""

    def message(self, account: str | None, id: int) -> Awaitable[Message | None]:
        """The message with this id; ``account`` None: whoever's it is."""
        ...

    def batch(self, id: int) -> Awaitable[Batch | None]:
        """The messages of the request with this id."""
        ...


def add(site: Site, websmpp: "WebSmpp") -> None:
    """Add the four services to a site, and an answer for every other path below their base."""
    for path, resource in (
        ("/", websmpp.unknown),
        ("/websms", websmpp.submit),
        ("/websmsstatus", websmpp.status),
        ("/balanceReport", websmpp.balance),
        ("/downloadcoverage", websmpp.coverage),
    ):
        site.add(
            BASE + path, resource, body_limit=BODY_LIMIT, refuse=websmpp.refuse, dialect="websmpp"
        )


class WebSmpp:
    """The resources below ``/websmpp``."""

    def __init__(
        self,
        config: Config,
        tables: Callable[[], Tables],
        doors: KeyDoors,
        acceptance: Acceptance,
        submitted: Submitted,
        surroundings: Surroundings,
        balances: Balances,
        allot: Callable[[], int],
        clock: IReactorTime,
        now: Callable[[], float] = time.time,
        run: Callable[..., Deferred[bytes]] = deferToThread,
    ) -> None:
        """``tables`` gives the tables in force, ``allot`` ids, ``now`` seconds since 1970; ``run``
        runs what takes long elsewhere."""
        self._settings = config.ams
        self._tables = tables
        self._doors = doors
        self._auth = PasswordAuth(doors, tables, now)
        self._acceptance = acceptance
        self._submitted = submitted
        self._balances = balances
        self._now = now
        self._answers = Answers(config.ams.http_status_errors)
        self._sending = Sending(tables, acceptance, surroundings, allot, self._answers, clock, now)
        # Addresses that some allow-list names, of the tables that they were looked up in.
        self._named: dict[str, bool] = {}
        self._named_of: Tables | None = None
        # Coverage lists by user and kind, of the tables that they were made of.
        self._files: dict[tuple[str, str], bytes] = {}
        self._files_of: Tables | None = None
        self._run = run

    # --- The services.

    def submit(self, request: Request) -> Answer:
        """``/websmpp/websms``."""
        if request.head_only:  # nobody would see the id
            return self._answers.error(Refusal(Reason.METHOD_NOT_ALLOWED))
        return self._asked(request, ("user", "userid"), ("pass", "password"), "send", self._send)

    def balance(self, request: Request) -> Answer:
        """``/websmpp/balanceReport``."""
        return self._asked(
            request, ("userid", "user"), ("password", "pass"), "balance", self._balance
        )

    def coverage(self, request: Request) -> Answer:
        """``/websmpp/downloadcoverage``."""
        return self._asked(
            request, ("userid", "user"), ("password", "pass"), "balance", self._coverage
        )

    def status(self, request: Request) -> Answer:
        """``/websmpp/websmsstatus``."""
        try:
            asked = websmpp_asked.read(request)
        except Refused as refused:
            return self._answers.error(refused.refusal)
        if self._settings.status_auth or asked.get("user", "userid", "accesskey"):
            return self._identified(
                request, asked, ("user", "userid"), ("pass", "password"), "status", self._status
            )
        if not self._settings.enabled or self._acceptance.draining:
            return self._answers.error(self._closed(), asked)
        return self._status(request, asked, None)

    def unknown(self, _: Request) -> Response:
        """Every other path below the base."""
        return self._answers.error(Refusal(Reason.NOT_FOUND))

    def refuse(self, status: int, text: str) -> Response:
        """A fault that the server found before a resource was asked (W-D6)."""
        reason = Reason.INTERNAL_ERROR if status >= 500 else Reason.BAD_REQUEST
        response = self._answers.error(Refusal(reason, text))
        response.status = status
        return response

    # --- Who asks.

    def _asked(
        self,
        request: Request,
        user: tuple[str, ...],
        password: tuple[str, ...],
        resource: str,
        then: Callable[[Request, Asked, Login], Answer],
    ) -> Answer:
        try:
            asked = websmpp_asked.read(request)
        except Refused as refused:
            return self._answers.error(refused.refusal)
        return self._identified(request, asked, user, password, resource, then)

    def _identified(
        self,
        request: Request,
        asked: Asked,
        user: tuple[str, ...],
        password: tuple[str, ...],
        resource: str,
        then: Callable[[Request, Asked, Login], Answer],
    ) -> Answer:
        name, word, key = asked.get(*user), asked.get(*password), asked.get("accesskey")
        refusal = self._unavailable(name, key)
        if refusal is None and (asked.twice or not (key or (name and word))):
            refusal = Refusal(Reason.PARAMETER_INVALID, asked.twice or "user and pass are needed")
        if refusal is not None:
            return self._answers.error(refusal, asked)
        if key:
            identity: Any = self._doors.by_access_key(key, request.peer)
        else:
            identity = self._auth.identify(name, word, request)
        if isinstance(identity, (Login, Refusal)):
            return self._entered(identity, request, asked, resource, then)
        answer: Answer = identity.addCallback(self._checked, request, asked, resource, then)
        return answer

    def _checked(
        self,
        identity: Identity,
        request: Request,
        asked: Asked,
        resource: str,
        then: Callable[[Request, Asked, Login], Answer],
    ) -> Response | Deferred[Response]:
        found = self._entered(identity, request, asked, resource, then)
        if isinstance(found, (Response, Deferred)):
            return found
        return Deferred.fromCoroutine(found)

    def _entered(
        self,
        identity: Identity,
        request: Request,
        asked: Asked,
        resource: str,
        then: Callable[[Request, Asked, Login], Answer],
    ) -> Answer:
        if isinstance(identity, Login):
            if not identity.may(resource, _INTERFACE):
                identity = Refusal(Reason.PERMISSION_DENIED, resource)
            else:
                try:
                    return then(request, asked, identity)
                except Refused as refused:
                    if resource == "send":
                        self._acceptance.count(refused.refusal.reason, 1)
                    return self._answers.error(refused.refusal, asked)
        if identity.reason is Reason.UNKNOWN_LOGIN and self._settings.hide_unknown_user:
            identity = Refusal(Reason.WRONG_PASSWORD)
        return self._answers.error(identity, asked)

    def _unavailable(self, user: str, key: str) -> Refusal | None:
        """Whether the service is shut, for all or for this account: HTTP11."""
        if self._acceptance.draining or not self._settings.enabled:
            return self._closed()
        tables = self._tables()
        found = tables.access_keys.get(key) if key else tables.credentials.get(("http", user))
        if found is not None:
            account = found[0]
            if tables.standing[account.name].suspended or not self._of(account).enabled:
                return Refusal(Reason.ACCOUNT_INACTIVE)
        return None

    def _closed(self) -> Refusal:
        draining = self._acceptance.draining
        return Refusal(Reason.SHUTTING_DOWN if draining else Reason.ACCOUNT_INACTIVE)

    def _of(self, account: Account) -> Ams:
        return self._settings.for_account(account.settings.get(_DIALECT, {}))

    def _account(self, login: Login) -> Account:
        account = self._tables().accounts.get(login.account)
        if account is None:  # it went this moment
            raise Refused(Reason.ACCOUNT_INACTIVE)
        return account

    def _send(self, _: Request, asked: Asked, login: Login) -> Answer:
        account = self._account(login)
        return self._sending.submit(asked, login, account, self._of(account))

    # --- Status.

    async def _status(self, request: Request, asked: Asked, login: Login | None) -> Response:
        id = asked.get("respid")
        if not (id.isascii() and id.isdigit() and len(id) <= 19):
            return self._answers.error(Refusal(Reason.BAD_MESSAGE_ID), asked)
        try:
            found = await self._find(int(id))
        except Exception as error:
            _log.error("websmsstatus: the store does not answer: {why}", why=error)
            return self._answers.error(Refusal(Reason.NOT_READABLE), asked)
        if found is not None and int(self._now() * 1000) - _last_of(found) > KEPT_MS:
            found = None
        if not self._may_ask(request.peer, login, found):
            return self._answers.error(Refusal(Reason.PERMISSION_DENIED), asked)
        if found is None:
            return self._answers.error(Refusal(Reason.UNKNOWN_MESSAGE), asked)
        messages = found.messages
        number = asked.get("mno")
        if number:
            account = self._tables().accounts.get(found.account)
            plain = websmpp_content.destination(number, account.country if account else "44")
            messages = [one for one in messages if one.destination == plain][:1]
            if not messages:
                return self._answers.error(Refusal(Reason.UNKNOWN_MESSAGE), asked)
        words = [(one.destination, word(one)) for one in messages]
        if asked.as_json:
            states = [{"mno": number, "state": state} for number, state in words]
            return json({"status": "OK", "respId": id, "states": states})
        if len(found.messages) == 1 or number:
            return Response(200, words[0][1].encode())
        return Response(200, "\n".join(f"{number}:{state}" for number, state in words).encode())

    async def _find(self, id: int) -> Batch | None:
        """A message that was sent, by whatever dialect (W-D5), or those of one request."""
        if id >= 1 << 63:  # the store has none, and could not even look for it
            return None
        message = await self._submitted.message(None, id)
        if message is None:
            return await self._submitted.batch(id)
        if message.direction != Direction.MT:
            return None
        return Batch(message.account, message.accepted_at, [message])

    def _may_ask(self, peer: str, login: Login | None, found: Batch | None) -> bool:
        """W-D30."""
        tables = self._tables()
        if login is not None:
            if found is None or found.account == login.account:
                return True
            above = tables.lineage.get(found.account, ())
            return any(one.name == login.account for one in above)
        if self._is_named(peer, tables):
            return True
        if found is None:
            return self._doors.allowed("http", peer)
        # A login that may come from anywhere opens the states of its own account.
        return any(
            account.name == found.account and self._doors.admits(allow, peer)
            for account, _, allow in tables.credentials.values()
        )

    def _is_named(self, peer: str, tables: Tables) -> bool:
        """True if an allow-list names the address; ``*`` names none."""
        if tables is not self._named_of or len(self._named) >= _PEERS:
            self._named_of = tables
            self._named = {}
        named = self._named.get(peer)
        if named is None:
            named = self._named[peer] = any(
                self._doors.admits(allow, peer)
                for _, credential, allow in tables.credentials.values()
                if credential.allow and "*" not in credential.allow
            )
        return named

    # --- Balance and coverage.

    def _balance(self, _: Request, asked: Asked, login: Login) -> Response:
        """W-D31: what the account that pays has."""
        places = self._tables().standing
        payer = places[self._account(login).name].payer
        currency = places[payer.name].currency
        units, rest = divmod(abs(amount := self._balances.of(payer.name)), 10_000)
        number = f"{'-' if amount < 0 else ''}{units}.{rest:04d}"
        if asked.as_json:
            return json({"status": "OK", "balance": number, "currency": currency})
        return Response(200, f"{number} {currency}".rstrip().encode())

    def _coverage(self, request: Request, asked: Asked, login: Login) -> Answer:
        """W-D32."""
        form = coverage.FORMS.get(asked.get("format") or "1")
        if form is None:
            raise Refused(Reason.BAD_REQUEST, "format is 1, 2 or 3")
        tables = self._tables()
        place = tables.standing[self._account(login).name]
        name = next((one.price_list for one in place.lineage if one.price_list), "")
        prices = tables.provisioning.price_lists.get(name)
        networks = tables.provisioning.networks.values()
        lines = coverage_lines(prices, networks, place.currency) if prices is not None else []
        if not lines:
            raise Refused(Reason.UNKNOWN_MESSAGE, "the account has no price list")
        user = login.credential
        file = f"{coverage.file_name(user)}.{form.suffix}"
        headers = [(b"Content-Disposition", f'attachment; filename="{file}"'.encode("ascii"))]

        if tables is not self._files_of or len(self._files) >= _FILES:
            self._files_of = tables
            self._files = {}
        key = user, form.suffix
        known = self._files.get(key)
        if known is not None:
            return Response(200, known, form.content_type, headers)

        def written(octets: bytes) -> Response:
            if tables is self._files_of:
                self._files[key] = octets
            return Response(200, octets, form.content_type, headers)

        # A list of a thousand networks takes a second to set as PDF.
        return self._run(form.write, lines, user).addCallback(written)


def _last_of(batch: Batch) -> int:
    """When something last happened to the messages of a request, ms; they may have been scheduled
    long ahead."""
    times = (max(one.schedule_at, one.done_at) for one in batch.messages)
    return max(batch.accepted_at, max(times, default=0))
