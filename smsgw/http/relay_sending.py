"""The outbound API of the relay dialect's family: ``sms_gw.php``, ``postmsg.php`` and
``postmsg-concat.php`` (``spec/aql.md`` 7)."""

import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from smsgw.addresses import url_fault
from smsgw.config import Config
from smsgw.flow.decide import Outcome
from smsgw.flow.money import Balances
from smsgw.http import auth, parameters
from smsgw.http.auth import Doors, Identity, PasswordAuth
from smsgw.http.parameters import Unreadable
from smsgw.http.relay import shutting_down
from smsgw.http.site import Answer, Request, Response, Site
from smsgw.http.websmpp_sending import Acceptance
from smsgw.login import Login
from smsgw.message import Message
from smsgw.provisioning import Account
from smsgw.provisioning.targets import report_of
from smsgw.refusals import Reason, Refusal
from smsgw.rules import money
from smsgw.rules.tables import Tables
from smsgw.text import transliterate
from smsgw.toml import Wrong

_DIALECT = "aql"
_INTERFACE = "relay"
_BODY_LIMIT = 1 << 19  # octets
_REPLACE = (
    0x41  # protocol_id of a message that replaces its sender's last (3GPP TS 23.040 §9.2.3.9)
)
_LATE_MS = 5 * 60_000  # a clock that goes slow is no fault of sendtime
_REPORT_LONGEST = 1000  # characters; each message keeps it
# What people put between digits. A letter is none of it: without it the number would be another.
_BETWEEN = re.compile(r"[\s()./-]")

QUEUED, PARTIALLY, UNAUTHORISED, DESTINATION, SEND_TIME, CREDIT, UNDEFINED = 0, 1, 2, 3, 4, 5, 9
DESCRIPTIONS = {
    QUEUED: "Queued",
    PARTIALLY: "Queued partially",
    UNAUTHORISED: "Authentication error",
    DESTINATION: "Destination number(s) error",
    SEND_TIME: "Send time error",
    CREDIT: "Insufficient credit or invalid number of messages/destinations",
    UNDEFINED: "Undefined error",
}
# websmpp's code of a reason -> what it is here.
_STATUS = {
    "HTTP04": UNAUTHORISED,
    "HTTP05": UNAUTHORISED,
    "HTTP11": UNAUTHORISED,
    "HTTP15": UNAUTHORISED,
    "HTTP26": UNAUTHORISED,
    "HTTP09": DESTINATION,
    "HTTP23": DESTINATION,
    "HTTP22": SEND_TIME,
    "HTTP10": CREDIT,
    "HTTP18": CREDIT,
    "HTTP24": CREDIT,
}
# The same in the words of the older resources.
_WORDS = {
    QUEUED: "AQSMS-OK",
    PARTIALLY: "AQSMS-OK",
    UNAUTHORISED: "AQSMS-AUTHERROR",
    DESTINATION: "AQSMS-INVALID_DESTINATION",
    CREDIT: "AQSMS-NOCREDIT",
}
_NO_MESSAGE = "AQSMS-NOMSG"
_OTHER = "AQSMS-ERROR"

Given = Mapping[str, str]
# What became of it and how many parts that cost, as a response.
Say = Callable[[int, int], Response]


class Fault(Exception):
    """The request as a whole is refused."""

    def __init__(self, status: int) -> None:
        super().__init__(DESCRIPTIONS[status])
        self.status = status


def status_of(refusal: Refusal) -> int:
    """The status of a refusal."""
    if refusal.reason is Reason.SHUTTING_DOWN:
        return UNDEFINED
    return _STATUS.get(refusal.reason.answer.websmpp, UNDEFINED)


def add(site: Site, sending: "RelaySending") -> None:
    """Add the outbound API to a site."""
    for path, resource, refuse in (
        ("sms_gw.php", sending.send, sending.refuse),
        ("postmsg.php", sending.post, sending.refuse_post),
        ("postmsg-concat.php", sending.post, sending.refuse_post),
    ):
        site.add(f"/sms/{path}", resource, body_limit=_BODY_LIMIT, refuse=refuse, dialect="relay")


class RelaySending:
    """The resources that send, and tell the credit."""

    def __init__(
        self,
        config: Config,
        tables: Callable[[], Tables],
        doors: Doors,
        acceptance: Acceptance,
        balances: Balances,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``tables`` gives the tables in force; ``now`` seconds since 1970."""
        self._settings = config.aql
        self._private = config.aaisp.allow_private_callbacks  # of reports
        self._tables = tables
        self._auth = PasswordAuth(doors, tables, now)
        self._acceptance = acceptance
        self._balances = balances
        self._now = now

    def send(self, request: Request) -> Answer:
        """``/sms/sms_gw.php``."""
        return self._identified(request, "send", _said, self._send)

    def post(self, request: Request) -> Answer:
        """``/sms/postmsg.php`` and ``/sms/postmsg-concat.php``, with ``cmd=credit`` too."""
        return self._identified(request, "send", _posted, self._post)

    def refuse(self, status: int, text: str) -> Response:
        """A fault that the server found, or the resource's own."""
        return _said(UNDEFINED, 0)

    def refuse_post(self, status: int, text: str) -> Response:
        """The same for the older resources."""
        return _posted(UNDEFINED, 0)

    # --- Who asks.

    def _identified(
        self,
        request: Request,
        resource: str,
        say: Say,
        then: Callable[[Given, Login, Account], Answer],
    ) -> Answer:
        if self._acceptance.draining:
            return shutting_down(say(UNDEFINED, 0))
        try:
            if request.method not in ("GET", "POST") or request.head_only:
                return say(UNDEFINED, 0)
            pairs = parameters.of_query(request)
            if request.method == "POST":
                pairs += parameters.of_body(request)
        except Unreadable:
            return say(UNDEFINED, 0)
        given = {name.strip().lower(): value for name, value in pairs}
        username, password = given.get("username", "").strip(), given.get("password", "")
        if not username and b"authorization" in request.headers:
            username, password = auth.parse(request.headers[b"authorization"]) or ("", "")
        if not username or not password:
            return say(UNAUTHORISED, 0)
        identity = self._auth.identify(username, password, request)

        def entered(identity: Identity) -> Any:
            account = None
            if isinstance(identity, Login) and identity.may(resource, _INTERFACE):
                account = self._tables().accounts.get(identity.account)
            if account is None or not isinstance(identity, Login):
                return say(UNAUTHORISED, 0)
            try:
                return then(given, identity, account)
            except Fault as fault:
                return say(fault.status, 0)

        if isinstance(identity, (Login, Refusal)):
            found: Answer = entered(identity)
            return found
        return identity.addCallback(entered)

    # --- Sending.

    def _send(self, given: Given, login: Login, account: Account) -> Answer:
        text = given.get("message", "")
        destinations = _split(given.get("destination", ""))
        if not text:
            raise Fault(UNDEFINED)
        if not destinations:
            raise Fault(DESTINATION)
        if not _flag(given, "allow_unicode"):
            text = transliterate.to_gsm(text)
        common: dict[str, Any] = {
            "source": given.get("originator", "").strip(),
            "text": text,
            "flash": _flag(given, "flash"),
            "max_parts": _most(given.get("max_concat", "")),
            "schedule_at": self._send_time(given, account),
        }
        if _flag(given, "replace_sms"):
            common["protocol_id"] = _REPLACE
        report = given.get("dlr_url", "").strip()
        if report:
            common["report_to"] = self._report(report)
            common["registered_delivery"] = 1
        return self._accept(destinations, common, login, account, _said)

    def _post(self, given: Given, login: Login, account: Account) -> Answer:
        if given.get("cmd", "").strip().lower() == "credit":
            if not login.may("balance", _INTERFACE):
                raise Fault(UNAUTHORISED)
            payer = self._tables().standing[account.name].payer
            units = max(0, self._balances.of(payer.name) + money.amount(payer.credit_limit))
            return Response(200, f"AQSMS-CREDIT={units // 10**money.PLACES}".encode())
        text = given.get("message", "")
        destinations = _split(given.get("to_num", ""))
        if not text or not destinations:
            return Response(200, _NO_MESSAGE.encode())
        common = {
            "source": given.get("orig", "").strip(),
            "text": transliterate.to_gsm(text),
            "flash": _flag(given, "flash"),
        }
        return self._accept(destinations, common, login, account, _posted)

    def _accept(
        self,
        destinations: list[str],
        common: Mapping[str, Any],
        login: Login,
        account: Account,
        say: Say,
    ) -> Answer:
        settings = self._settings.for_account(account.settings.get(_DIALECT, {}))
        if len(destinations) > settings.max_destinations:
            raise Fault(CREDIT)
        messages = [
            Message(destination=one, interface=_INTERFACE, **common) for one in destinations
        ]

        def told(outcomes: list[Outcome]) -> Response:
            accepted = [one for one in outcomes if isinstance(one, Message)]
            refused = [one for one in outcomes if isinstance(one, Refusal)]
            if not accepted:
                return say(status_of(refused[0]), 0)
            parts = sum(len(one.parts) for one in accepted)
            return say(PARTIALLY if refused else QUEUED, parts)

        return self._acceptance.accept(login, messages).addCallback(told)

    def _send_time(self, given: Given, account: Account) -> int:
        """When it is to go out, ms; 0: at once. Raises Fault."""
        unix, plain = given.get("unix_sendtime", "").strip(), given.get("sendtime", "").strip()
        try:
            if unix:
                at = int(unix) * 1000
            elif plain:
                local = datetime.strptime(plain, "%Y-%m-%d %H:%M:%S")
                zone = ZoneInfo(account.time_zone)
                at = int(local.replace(tzinfo=zone).timestamp() * 1000)
            else:
                return 0
        except (ValueError, OverflowError):
            raise Fault(SEND_TIME) from None
        now = int(self._now() * 1000)
        if at < now - _LATE_MS:
            raise Fault(SEND_TIME)
        return at if at > now else 0

    def _report(self, url: str) -> str:
        try:
            if report_of(url).kind != "http":
                raise Fault(UNDEFINED)
        except Wrong:
            raise Fault(UNDEFINED) from None
        if len(url) > _REPORT_LONGEST or (not self._private and url_fault(url)):
            raise Fault(UNDEFINED)
        return url


def _split(text: str) -> list[str]:
    """The destinations, once each; what people put between digits is left out."""
    entries = (_BETWEEN.sub("", one) or one.strip() for one in text.split(","))
    return list(dict.fromkeys(one for one in entries if one))


def _flag(given: Given, name: str) -> bool:
    return given.get(name, "").strip().lower() in ("1", "true", "yes")


def _most(text: str) -> int:
    """``max_concat``; 0: no limit of its own. Raises Fault."""
    if not text.strip():
        return 0
    if not re.fullmatch(r"[0-9]{1,3}", text.strip()) or not 1 <= int(text) <= 255:
        raise Fault(CREDIT)
    return int(text)


def _said(status: int, credits: int) -> Response:
    return Response(200, f"{status}:{credits} {DESCRIPTIONS[status]}".encode())


def _posted(status: int, credits: int) -> Response:
    word = _WORDS.get(status, _OTHER)
    text = f"{word}:{credits}" if status in (QUEUED, PARTIALLY) else word
    return Response(200, text.encode())
