"""``sms.cgi``, the outbound API of the aaisp dialect, and its fetch service for softphones
(``spec/aaisp.md`` 4.3 and 4.4).
"""

import itertools
import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol
from xml.sax.saxutils import escape

from attrs import define
from twisted.internet.defer import Deferred

from smsgw.config import Config
from smsgw.dialects import Aaisp
from smsgw.flow.decide import Outcome
from smsgw.http import smscgi_message
from smsgw.http.auth import Doors, Identity, PasswordAuth
from smsgw.http.site import PLAIN_TEXT, Answer, Request, Response, Site
from smsgw.http.smscgi_message import INTERFACE, Fault, Fields, Maker, present
from smsgw.login import Login
from smsgw.message import Message
from smsgw.provisioning import Account
from smsgw.refusals import Reason, Refusal
from smsgw.rules.tables import Tables
from smsgw.text.reading import read

PATHS = ("/sms.cgi", "")  # the second is the root (A-D17)
FETCHED = 100  # messages of one answer to a fetch
_XML = "text/xml; charset=utf-8"
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
# What a softphone is told by the HTTP status (A-D35); all else is 400.
_STATUSES = {
    "Authentication failed": 401,
    "Not authorised from this address": 401,
    "Insufficient credit": 402,
    "Too many requests": 429,
    "Internal error": 500,
}
# Of faults that the server finds before a request is whole; all else is BAD_REQUEST.
_SERVER_FAULTS = {413: Reason.TOO_LARGE, 500: Reason.INTERNAL_ERROR}
_MISSING = {"da": "No destination", "ud": "No message"}
_PARTS = re.compile(r"(\d+) parts(?:, limit (\d+))?")
# Characters that no XML document may have (XML 1.0 §2.2).
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_NOT_VISIBLE = re.compile(r"[^ -~]")


class Acceptance(Protocol):
    """Where messages are handed in (``flow/accept.py``)."""

    def accept(self, login: Login, messages: list[Message]) -> Deferred[list[Outcome]]:
        """One outcome for each message, in order."""
        ...


# (account, number, id, how many): MO to the number with later ids, the first of them first.
Received = Callable[[str, str, int, int], Awaitable[list[Message]]]


def add(site: Site, smscgi: "SmsCgi") -> None:
    """Add the script's addresses to a site."""
    for path in PATHS:
        site.add(path, smscgi.answer, refuse=smscgi.refuse, dialect=INTERFACE)


@define
class _Asked:
    """A request and the form that its answer has."""

    fields: Fields
    xml: bool = False
    preamble: bool = False
    limit: int = 0  # of parts


class SmsCgi:
    """The script."""

    def __init__(
        self,
        config: Config,
        tables: Callable[[], Tables],
        doors: Doors,
        acceptance: Acceptance,
        received: Received,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``tables`` gives the tables in force, ``now`` seconds since 1970."""
        self._settings = config.aaisp
        self._tables = tables
        self._auth = PasswordAuth(doors, tables, now)
        self._acceptance = acceptance
        self._received = received
        self._now = now
        self._reference = itertools.count(int(now())).__next__

    def answer(self, request: Request) -> Answer:
        """A message is sent by GET and by POST (A-R18), by nothing else."""
        asked = _Asked({}, preamble=self._settings.preamble)
        if request.head_only or request.method not in ("GET", "POST"):
            return _refused(Refusal(Reason.METHOD_NOT_ALLOWED), asked)
        try:
            fields = smscgi_message.fields_of(request)
        except Fault as fault:
            return _refused(fault.refusal, asked)
        asked.fields, asked.xml = fields, present(fields, "xml")
        username = smscgi_message.text(fields, "username")
        password = fields.get("password", b"").decode("utf-8", "replace")
        if not username or not password:
            return _refused(Refusal(Reason.CREDENTIALS_MISSING), asked)
        number = smscgi_message.number(username, self._settings.country)
        # What is no number is a guess like others, and counted like them.
        identity = self._auth.identify(number or username, password, request)
        if isinstance(identity, (Login, Refusal)):
            return self._checked(identity, asked, number)
        return identity.addCallback(self._checked, asked, number)

    def refuse(self, status: int, _: str) -> Response:
        """A fault that the server found, in the words of the script: HTTP 200 always (A-D33)."""
        reason = _SERVER_FAULTS.get(status, Reason.BAD_REQUEST)
        response = _refused(Refusal(reason), _Asked({}, preamble=self._settings.preamble))
        if status == 500:
            # Whether XML was asked for is not known here, and a softphone goes by the status.
            response.status = 500
        return response

    def _checked(
        self, identity: Identity, asked: _Asked, number: str
    ) -> Response | Deferred[Response]:
        if isinstance(identity, Refusal):
            return _refused(identity, asked)
        return self._identified(identity, asked, number)

    def _identified(
        self, login: Login, asked: _Asked, number: str
    ) -> Response | Deferred[Response]:
        fields, tables = asked.fields, self._tables()
        account = tables.accounts.get(login.account)
        if account is None or not _is_of(number, account, tables):
            return _refused(Refusal(Reason.UNKNOWN_LOGIN), asked)
        if present(fields, "fetch"):
            if not login.may("receive", INTERFACE):
                return _refused(Refusal(Reason.PERMISSION_DENIED), asked)
            return Deferred.fromCoroutine(self._fetched(account, asked, number))
        settings = self._settings.for_account(account.settings.get("aaisp", {}))
        asked.preamble = settings.preamble
        if not login.may("send", INTERFACE):
            return _refused(Refusal(Reason.PERMISSION_DENIED), asked)
        return self._submitted(login, account, settings, asked, number)

    def _submitted(
        self, login: Login, account: Account, settings: Aaisp, asked: _Asked, number: str
    ) -> Response | Deferred[Response]:
        if asked.xml and settings.multi_da:
            # A softphone asks once for each (F-8); one document is about one message.
            settings = settings.for_account({"multi_da": False})
        try:
            maker = Maker(account, settings, number, self._reference)
            messages = maker.messages(asked.fields)
        except Fault as fault:
            return _refused(fault.refusal, asked)
        passed = [one for one in messages if type(one) is Message]
        if not passed:
            return _answered(messages, messages, asked)
        asked.limit = passed[0].max_parts
        accepting = self._acceptance.accept(login, passed)
        return accepting.addCallback(_answered, messages, asked)

    async def _fetched(self, account: Account, asked: _Asked, number: str) -> Response:
        """What came to the number after ``last_id``, the oldest first (A-D36)."""
        written = smscgi_message.text(asked.fields, "last_id") or "0"
        if not (written.isascii() and written.isdigit() and len(written) < 19):
            refusal = Refusal(Reason.PARAMETER_INVALID, "last_id")
            return _refused(refusal, _Asked(asked.fields, xml=True))
        messages = await self._received(account.name, number, int(written), FETCHED)
        date = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="seconds")
        items = "".join(_item(one, account.time_zone) for one in messages)
        return _document(200, f"<date>{date}</date><unread_smss>{items}</unread_smss>")


def _is_of(number: str, account: Account, tables: Tables) -> bool:
    """Whether a number is one of the account's, by itself or by a wildcard."""
    if not number:
        return False
    for rule in tables.numbers.of(number):
        if rule.account.name == account.name:
            return True
    found = tables.numbers.find(number, str)
    return found is not None and found.account.name == account.name


# --- Answers.


def words(refusal: Refusal, limit: int = 0) -> str:
    """What follows ``ERR: `` (A-D34); ``limit`` is that of the message's parts."""
    reason, detail = refusal.reason, refusal.detail
    if reason is Reason.PARAMETER_MISSING:
        return _MISSING.get(detail, reason.answer.smscgi)
    if reason is Reason.PARAMETER_INVALID and detail.isidentifier():
        return f"Invalid {detail}"
    if reason is Reason.TOO_LONG:
        needed = _PARTS.search(detail)
        if needed is not None:
            return f"Message needs {needed[1]} parts, limit {needed[2] or limit}"
    if reason is Reason.TOO_MANY_DESTINATIONS and detail:
        return f"Only {detail} destinations allowed"
    return reason.answer.smscgi


def _refused(refusal: Refusal, asked: _Asked) -> Response:
    """The whole request comes to nothing."""
    said = words(refusal, asked.limit)
    if asked.xml:
        status = _STATUSES.get(said, 400)
        return _document(status, f"<status>ERR</status><error>{escape(said)}</error>")
    return _lines([(smscgi_message.text(asked.fields, "da"), f"ERR: {said}")], asked)


def _answered(outcomes: list[Outcome], messages: list[Outcome], asked: _Asked) -> Response:
    """``messages``: those that were handed in, and the refusals of those that were not."""
    if len(messages) == 1:
        outcome = outcomes[0]
        if isinstance(outcome, Refusal):
            return _refused(outcome, asked)
        if asked.xml:
            return _document(
                200,
                f"<status>OK</status><message_id>{outcome.id}</message_id>"
                f"<parts>{len(outcome.parts)}</parts>",
            )
        return _lines([(outcome.destination, _queued(outcome))], asked)
    handed_in = iter(outcomes)
    lines = []
    for message in messages:
        if isinstance(message, Refusal):
            lines.append((message.detail, f"ERR: {words(message)}"))
            continue
        outcome = next(handed_in)
        if isinstance(outcome, Refusal):
            lines.append((message.destination, f"ERR: {words(outcome, asked.limit)}"))
        else:
            lines.append((message.destination, _queued(outcome)))
    return _lines(lines, asked)


def _queued(message: Message) -> str:
    return f"OK: Queued {message.id} {len(message.parts)} part(s)"


def _lines(lines: list[tuple[str, str]], asked: _Asked) -> Response:
    """A line for each destination, after one that names it where a client wants that (F-2)."""
    if asked.preamble:
        said = "".join(
            # No line of the client's own making comes before ours.
            f"SMS message to {_NOT_VISIBLE.sub('?', da)}\n{line}\n"
            for da, line in lines
        )
    else:
        said = "".join(f"{line}\n" for _, line in lines)
    return Response(200, said.encode(), PLAIN_TEXT)


def _document(status: int, content: str) -> Response:
    return Response(status, f"{_DECLARATION}<response>{content}</response>".encode(), _XML)


def _item(message: Message, time_zone: str) -> str:
    reading = read(message, time_zone)
    return (
        f"<item><sms_id>{message.id}</sms_id><sending_date>{reading.iso}</sending_date>"
        f"<sender>{_xml(reading.oa)}</sender><sms_text>{_xml(reading.text)}</sms_text></item>"
    )


def _xml(said: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", said))
