"""The relay dialect: a customer sets and reads where the messages of its number go
(``spec/aql.md`` 2 to 4)."""

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Protocol
from urllib.parse import urlencode

from attrs import frozen
from sqlalchemy.exc import DBAPIError
from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from smsgw.addresses import url_fault
from smsgw.config import Config
from smsgw.dialects import Aql
from smsgw.http import parameters
from smsgw.http.auth import Doors, Identity, PasswordAuth
from smsgw.http.parameters import Pairs, Unreadable
from smsgw.http.site import Answer, Request, Response, Site
from smsgw.login import Login
from smsgw.provisioning import Account, Change, Number, Provisioning, ProvisioningError
from smsgw.provisioning.targets import check_detail
from smsgw.rules.tables import Tables
from smsgw.store import provision, schema
from smsgw.store.journal import StoreFailed
from smsgw.store.secrets import SecretsUnusable
from smsgw.toml import Wrong

_log = Logger()

PATH = "/sms/sms-relay.api.php"
_DIALECT = "aql"
_INTERFACE = "relay"
_LONGEST_FORMAT = 1024  # characters of return-format (Q-D10)

OK, BAD_REQUEST, UNAUTHORISED, FAILED, BAD_COMMAND = 200, 400, 401, 500, 600
BAD_NUMBER, BAD_TYPE, BAD_DETAIL = 69001, 69003, 69004
# Q-R21: these and no others.
DESCRIPTIONS = {
    OK: "OK",
    BAD_REQUEST: "Bad request",
    UNAUTHORISED: "Authentication error",
    FAILED: "Internal system error",
    BAD_COMMAND: "Invalid Command",
    BAD_NUMBER: "Number not valid",
    BAD_TYPE: "action-type is invalid",
    BAD_DETAIL: "action-detail is invalid for the provided action-type",
}
_SETTABLE = ("null-route", "email", "httpget", "httppost")  # Q-R13: not mvno
_CALLED = ("httpget", "httppost")
_PUNCTUATION = re.compile(r"[\s+()-]")
# %% first: what it stands for begins no placeholder.
_PLACEHOLDER = re.compile(r"%%|%([A-Za-z_-]+)%|\\n|\\t")
_WRITTEN = {"%%": "%", "\\n": "\n", "\\t": "\t"}
# A % that is neither a variable nor an escape (Q-D12, Q-D13).
_STRAY = re.compile(r"%(?![odmtxui]|[0-9A-Fa-f]{2})")
# Q-R14.
LEFT_MVNO = (
    "left mvno for {method}: messages to this number go to its SIM no more, and what is not "
    "delivered because of that is not the operator's responsibility"
)


class Provisioner(Protocol):
    """What changes the provisioning (``service.Gateway``)."""

    def change(
        self,
        prepare: Callable[[Provisioning], list[Change]],
        dry_run: bool,
        who: str,
        action: schema.ActionRow | None = None,
    ) -> Awaitable[tuple[list[str], int]]:
        """Provision what ``prepare`` makes of what is there, and enter ``action`` with it."""
        ...


class Fault(Exception):
    """The request is refused with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(DESCRIPTIONS[status])
        self.status = status


@frozen
class Asked:
    """A request's parameters by name, and the form of its answer; ``command`` is in lower case."""

    given: Mapping[str, str]
    url: bool = False  # return-mode=url
    template: str = ""

    @property
    def command(self) -> str:
        """What is to be done."""
        return self.given.get("command", "").strip().lower()


_NOTHING = Asked({})


def read(request: Request) -> tuple[Asked, bool]:
    """What is asked, and whether each parameter is there once at most and can be read."""
    good = request.method in ("GET", "POST")
    try:
        query = parameters.of_query(request)
        body = parameters.of_body(request) if request.method == "POST" else []
    except Unreadable:
        return _NOTHING, False
    found: dict[str, str] = {}
    for pairs in (query, body):  # the body wins (Q-D2)
        one = _named(pairs)
        good = good and len(one) == len(pairs)
        found.update(one)
    mode = found.get("return-mode", "").strip().lower()
    template = found.get("return-format", "")
    good = good and mode in ("", "url", "plain") and len(template) <= _LONGEST_FORMAT
    url = mode == "url"
    return Asked(found, url, "" if url else template), good


def _named(pairs: Pairs) -> dict[str, str]:
    return {name.strip().lower().replace("_", "-"): value for name, value in pairs}


def add(site: Site, relay: "Relay") -> None:
    """Add the relay API to a site."""
    site.add(PATH, relay.relay, refuse=relay.refuse, dialect="relay")


class Relay:
    """The one resource of the relay API."""

    def __init__(
        self,
        config: Config,
        tables: Callable[[], Tables],
        doors: Doors,
        provisioner: Provisioner,
        allot: Callable[[], int],
        now: Callable[[], float] = time.time,
        draining: Callable[[], bool] = lambda: False,
    ) -> None:
        """``tables`` gives the tables in force, ``allot`` ids, ``now`` seconds since 1970;
        ``draining`` says that the gateway stops."""
        self._settings = config.aql
        self._tables = tables
        self._auth = PasswordAuth(doors, tables, now)
        self._provisioner = provisioner
        self._allot = allot
        self._now = now
        self._draining = draining
        # A change reads and compiles all that is provisioned: customers wait for each other.
        self._turn = DeferredLock()

    def relay(self, request: Request) -> Answer:
        """Both commands. The checks stand in the order of Q-D4."""
        asked, good = read(request)
        if self._draining():
            return shutting_down(self._failed(FAILED, asked))
        try:
            if not good:
                raise Fault(BAD_REQUEST)
            if asked.command not in ("modify", "query"):
                raise Fault(BAD_COMMAND)
            needed = ["username", "password", "number"]
            if asked.command == "modify":
                needed.append("action-type")
                if request.head_only:  # a look must not change anything
                    raise Fault(BAD_REQUEST)
            given = asked.given
            if not all(given.get(name, "").strip() for name in needed):
                raise Fault(BAD_REQUEST)
        except Fault as fault:
            return self._failed(fault.status, asked)
        username, password = given["username"].strip(), given["password"]
        identity = self._auth.identify(username, password, request)
        if isinstance(identity, Deferred):
            return identity.addCallback(self._checked, asked)
        return self._entered(identity, asked)

    def refuse(self, status: int, text: str) -> Response:
        """A fault that the server found before the resource was asked, or the resource's own."""
        return self._failed(FAILED if status >= 500 else BAD_REQUEST, _NOTHING)

    def _checked(self, identity: Identity, asked: Asked) -> Response | Deferred[Response]:
        found = self._entered(identity, asked)
        if isinstance(found, (Response, Deferred)):
            return found
        return Deferred.fromCoroutine(found)

    def _entered(self, identity: Identity, asked: Asked) -> Answer:
        if not isinstance(identity, Login) or not identity.may("numbers", _INTERFACE):
            return self._failed(UNAUTHORISED, asked)
        try:
            account = self._tables().accounts.get(identity.account)
            if account is None:
                raise Fault(UNAUTHORISED)
            address = _address(asked.given["number"], account.country)
            number = account.relayed(address)
            limited = self._tables().limited.get((identity.kind, identity.credential))
            if number is None or (limited is not None and number.address not in limited):
                raise Fault(BAD_NUMBER)
            if asked.command == "query":
                return self._done(asked, address, number.method or "null-route", number.detail)
            settings = self._settings.for_account(account.settings.get(_DIALECT, {}))
            method, detail = self._wanted(asked.given, number, settings)
        except Fault as fault:
            return self._failed(fault.status, asked)
        return self._modify(asked, identity, account, number, method, detail)

    def _wanted(self, given: Mapping[str, str], number: Number, settings: Aql) -> tuple[str, str]:
        """Method and detail that are to be. Raises Fault."""
        method = given["action-type"].strip().lower()
        if method not in _SETTABLE or (number.method == "mvno" and not settings.leave_mvno):
            raise Fault(BAD_TYPE)
        if method == "null-route":
            return method, ""
        detail = given.get("action-detail", "").strip()
        try:
            check_detail(method, detail)
        except Wrong:
            raise Fault(BAD_DETAIL) from None
        if method in _CALLED:
            if _STRAY.search(detail):
                raise Fault(BAD_DETAIL)
            if not self._settings.allow_private_callbacks and any(
                url_fault(url) for url in detail.split(",")
            ):
                raise Fault(BAD_DETAIL)
        return method, detail

    async def _modify(
        self,
        asked: Asked,
        login: Login,
        account: Account,
        number: Number,
        method: str,
        detail: str,
    ) -> Response:
        address = number.address
        who = f"{account.name} by relay, login {login.credential}"
        action = None
        if number.method == "mvno":
            action = schema.ActionRow(
                self._allot(),
                int(self._now() * 1000),
                who,
                "relay",
                address,
                LEFT_MVNO.format(method=method),
            )
        if (number.method, number.detail) == (method, detail):
            return self._done(asked, address, method, detail)
        prepare = partial(
            provision.prepare_relay,
            account=account.name,
            address=address,
            method=method,
            detail=detail,
        )
        await self._turn.acquire()
        try:
            await self._provisioner.change(prepare, False, who, action)
        except provision.Absent:
            return self._failed(BAD_NUMBER, asked)
        except ProvisioningError as error:
            _log.warn("relay: {number} not changed: {why}", number=address, why=error)
            return self._failed(BAD_DETAIL, asked)
        except (StoreFailed, SecretsUnusable, DBAPIError) as error:
            _log.error("relay: {number} not changed: {why}", number=address, why=error)
            return self._failed(FAILED, asked)
        finally:
            self._turn.release()
        return self._done(asked, address, method, detail)

    # --- Answers: the outcome is in the text, and the HTTP status always 200 (Q-D6).

    def _done(self, asked: Asked, number: str, method: str, detail: str) -> Response:
        values = {
            "status": str(OK),
            "desc": DESCRIPTIONS[OK],
            "number": number,
            "action-type": method,
            "action-detail": detail,
        }
        if asked.url:
            return Response(200, urlencode(values).encode())
        if asked.template:
            values["description"] = values["desc"]
            values["command"] = asked.command
            return Response(200, _filled(asked.template, values).encode())
        text = (
            f"{OK}: {DESCRIPTIONS[OK]}\nnumber: {number}\n"
            f"  action-type: {method}\n  action-detail: {detail}\n"
        )
        return Response(200, text.encode())

    def _failed(self, status: int, asked: Asked) -> Response:
        words = DESCRIPTIONS[status]
        if asked.url:
            return Response(200, urlencode({"status": str(status), "desc": words}).encode())
        return Response(200, f"{status}: {words}\n".encode())


def shutting_down(response: Response) -> Response:
    """An answer in the words of a resource to who asks while the gateway stops (Q-D6): the only
    one with another status."""
    response.status = 503
    response.headers.append((b"Retry-After", b"5"))
    return response


def _address(text: str, country: str) -> str:
    """A number as people write it (Q-D3)."""
    plain = _PUNCTUATION.sub("", text)
    if plain.startswith("00"):
        return plain[2:]
    return country + plain[1:] if plain.startswith("0") else plain


def _filled(template: str, values: Mapping[str, str]) -> str:
    """The template with its placeholders replaced (Q-D10)."""

    def one(found: re.Match[str]) -> str:
        written = _WRITTEN.get(found[0])
        return written if written is not None else values.get(found[1].lower(), found[0])

    return _PLACEHOLDER.sub(one, template)
