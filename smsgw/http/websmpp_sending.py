"""Submission by websmpp: a request becomes messages of one id, which are taken or refused together
(``spec/ams-websmpp.md`` 2.3, W-D9, W-D12, W-D27)."""

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime

from smsgw.dialects import Ams
from smsgw.flow.accept import Whole
from smsgw.flow.decide import Outcome
from smsgw.http import websmpp_content
from smsgw.http.site import Answer, Response
from smsgw.http.websmpp_answers import Answers, json
from smsgw.http.websmpp_asked import Asked
from smsgw.http.websmpp_content import MOST_BY_GET, MOST_BY_POST, Content, Refused
from smsgw.login import Login
from smsgw.message import Message, MessageState
from smsgw.provisioning import Account
from smsgw.queues import Transaction
from smsgw.refusals import Reason, Refusal
from smsgw.rules.tables import Tables
from smsgw.store import batches
from smsgw.text.times import parse_schtime

_SENDERS = 10_000  # that are remembered
# Of one destination: the others are sent all the same (W-D9). Any other reason is of the account or
# of the gateway, and holds for the whole request.
_OF_ONE = frozenset(
    {
        Reason.BAD_DESTINATION,
        Reason.BAD_DESTINATION_TON,
        Reason.BLOCKED,
        Reason.OPTED_OUT,
        Reason.NO_ROUTE,
        Reason.FILTERED,
        Reason.DUPLICATE,
    }
)


class Acceptance(Protocol):
    """Where messages are handed in (``flow/accept.py``)."""

    draining: bool

    def accept(
        self, login: Login, messages: list[Message], whole: Whole | None = None
    ) -> Deferred[list[Outcome]]:
        """One outcome for each message, in order."""
        ...

    def count(self, reason: Reason, messages: int) -> None:
        """Count messages that are not even handed in, for operators."""
        ...


class Surroundings(Protocol):
    """What a submission asks of the gateway besides."""

    def contacts(self, account: str, name: str, most: int) -> Coroutine[Any, Any, list[str] | None]:
        """The first ``most`` numbers of a list of contacts, None if there is no such list."""
        ...

    def when_answered(self, message: Message) -> Deferred[None]:
        """Fires when a carrier has taken the message, or none does."""
        ...

    def is_up(self, carrier: str) -> bool:
        """True if the carrier has a link up."""
        ...


@define
class _Sending:
    """A submission on its way through acceptance."""

    asked: Asked
    login: Login
    settings: Ams
    rejected: list[str]  # entries that are no numbers
    id: int = 0  # of the batch, 0 for a single message
    messages: list[Message] = field(factory=list)


class Sending:
    """Takes submissions of identified users."""

    def __init__(
        self,
        tables: Callable[[], Tables],
        acceptance: Acceptance,
        surroundings: Surroundings,
        allot: Callable[[], int],
        answers: Answers,
        clock: IReactorTime,
        now: Callable[[], float],
    ) -> None:
        """``tables`` gives the tables in force, ``allot`` ids, ``now`` seconds since 1970."""
        self._tables = tables
        self._acceptance = acceptance
        self._around = surroundings
        self._allot = allot
        self._answers = answers
        self._clock = clock
        self._now = now
        # Senders that were good: (account, kind of login, its name, sender), of the tables that
        # they were checked by.
        self._senders: set[tuple[str, str, str, str]] = set()
        self._senders_of: Tables | None = None

    def submit(self, asked: Asked, login: Login, account: Account, settings: Ams) -> Answer:
        """Accepts what is asked. Raises Refused, in the order of W-D12."""
        group = asked.get("group")
        if group and not asked.entries:
            return self._submit_group(asked, login, account, settings, group)
        if asked.entries is None:
            asked.entries = websmpp_content.split(asked.given.get("mno", ""))
        return self._send(asked, login, account, settings)

    async def _submit_group(
        self, asked: Asked, login: Login, account: Account, settings: Ams, group: str
    ) -> Response:
        """To a list of contacts (F-4)."""
        try:
            found = await self._around.contacts(account.name, group, MOST_BY_POST + 1)
            if found is None:
                raise Refused(Reason.BAD_DESTINATION, f"no list {group[:40]}")
            asked.entries = found
            return await self._send(asked, login, account, settings)
        except Refused as refused:
            return self._answers.error(refused.refusal, asked)

    def _send(
        self, asked: Asked, login: Login, account: Account, settings: Ams
    ) -> Deferred[Response]:
        tables = self._tables()
        source = asked.get("sid")
        self._check_sender(source, login, account, tables)
        limit = MOST_BY_GET if asked.by_get else MOST_BY_POST
        # Of more than may be, no more is looked at: 2 MB hold a million of them.
        contents = self._contents(asked, settings, limit)
        entries = asked.entries or []
        count = len(entries)
        if count > limit:
            entries = entries[:limit]
        found = websmpp_content.destinations(entries, account.country)
        if count > limit:
            raise Refused(Reason.TOO_MANY_DESTINATIONS, str(count))
        most = min(settings.max_parts, account.max_parts)
        websmpp_content.check_parts(contents, most)
        at = self._schedule(asked, settings)
        sending = _Sending(asked, login, settings, found.rejected)
        if asked.texts is None:
            pairs = [(number, contents[0]) for number in found.numbers]
        else:
            pairs = _addressed(entries, contents, account.country)
        messages = [
            websmpp_content.message(source, number, content, at, most) for number, content in pairs
        ]
        whole = partial(self._together, sending)
        accepting = self._acceptance.accept(login, messages, whole)
        return accepting.addCallback(self._accepted, sending, messages)

    def _check_sender(self, sid: str, login: Login, account: Account, tables: Tables) -> None:
        """Raises Refused if ``sid`` is no sender of the login. Clients send from few senders, so
        what was good is remembered as long as nothing is provisioned anew."""
        if tables is not self._senders_of or len(self._senders) >= _SENDERS:
            self._senders_of = tables
            self._senders.clear()
        key = account.name, login.kind, login.credential, sid
        if key not in self._senders:
            limited = tables.limited.get((login.kind, login.credential))
            allowed = (tables.senders[account.name], limited)
            websmpp_content.sender(sid, account, allowed, tables.pools.get(account.name, ()))
            self._senders.add(key)

    def _schedule(self, asked: Asked, settings: Ams) -> int:
        """When it is to go out, ms; 0: at once. Raises Refused."""
        schtime = asked.get("schtime")
        if not schtime:
            return 0
        gmt, now_ms = asked.given.get("gmt", ""), int(self._now() * 1000)
        at = parse_schtime(schtime, gmt, now_ms, ZoneInfo(settings.default_zone))
        if isinstance(at, Refusal):
            raise Refused(at.reason, at.detail)
        return at

    def _contents(self, asked: Asked, settings: Ams, limit: int) -> list[Content]:
        if asked.texts is None:
            return [websmpp_content.content(asked.given, settings)]
        if not asked.texts:
            raise Refused(Reason.BAD_DESTINATION, "custom is empty")
        return [
            websmpp_content.content({**asked.given, "text": text}, settings)
            for text in asked.texts[:limit]
        ]

    def _together(
        self, sending: _Sending, outcomes: Sequence[Outcome], transaction: Transaction
    ) -> Refusal | None:
        """What is decided about all messages of a request: one id, or one refusal."""
        require = sending.settings.require_bound_route
        if len(outcomes) == 1 and not require:
            only = outcomes[0]
            if isinstance(only, Refusal):
                return only
            sending.messages = [only]
            return None
        accepted = [one for one in outcomes if isinstance(one, Message)]
        for outcome in outcomes:
            if isinstance(outcome, Refusal) and outcome.reason not in _OF_ONE:
                return outcome
        if not accepted:
            return _farthest(outcomes)
        if require and not any(
            self._around.is_up(carrier) for message in accepted for carrier in message.carriers
        ):
            return Refusal(Reason.NOT_CONNECTED)
        kept = [one if isinstance(one, Message) else one.message for one in outcomes]
        sending.messages = [one for one in kept if one is not None]
        if len(sending.messages) > 1:
            sending.id = self._allot()
            at = accepted[0].accepted_at
            row = batches.row(sending.id, sending.login.account, at, sending.messages)
            transaction.changes.batches.append(row)
        return None

    def _accepted(
        self, outcomes: list[Outcome], sending: _Sending, messages: list[Message]
    ) -> Response | Deferred[Response]:
        accepted = [one for one in outcomes if isinstance(one, Message)]
        if not accepted:
            return self._answers.error(_farthest(outcomes), sending.asked)
        if len(accepted) < len(outcomes):
            for outcome, message in zip(outcomes, messages, strict=True):
                if isinstance(outcome, Refusal):
                    sending.rejected.append(message.destination)
        if sending.settings.sync_submit:
            return Deferred.fromCoroutine(self._answered(sending, accepted))
        return self._success(sending, len(accepted))

    async def _answered(self, sending: _Sending, accepted: list[Message]) -> Response:
        """Waits for the carriers' answers (``ams.sync_submit``)."""
        waiting = [self._around.when_answered(one) for one in accepted if not one.schedule_at]
        all = DeferredList(waiting, consumeErrors=True)
        late = self._clock.callLater(sending.settings.sync_timeout_s, _cancel, waiting)
        try:
            await all
        except CancelledError:
            pass
        finally:
            if late.active():
                late.cancel()
        refused = [one for one in accepted if MessageState(one.state).final and not one.carrier]
        if len(refused) == len(accepted):
            return self._answers.error(Refusal(Reason.REFUSED_BY_CARRIER), sending.asked)
        return self._success(sending, len(accepted))

    def _success(self, sending: _Sending, accepted: int) -> Response:
        """W-D25, W-D26."""
        id = str(sending.id or sending.messages[0].id)
        asked = sending.asked
        if asked.campaign:
            return json(
                {"response": {"status": "OK", "batch_id": id, **_counts(sending, accepted)}}
            )
        if asked.as_json:
            return json({"status": "OK", "respId": id, **_counts(sending, accepted)})
        text = id if sending.settings.bare_response else f"Response: {id}"
        return Response(200, text.encode())


def _addressed(
    entries: Sequence[str], contents: Sequence[Content], country: str
) -> list[tuple[str, Content]]:
    """The numbers among ``entries``, each with its own content; the same twice is sent once."""
    pairs: dict[tuple[str, Content], None] = {}
    for entry, content in zip(entries, contents, strict=True):
        number = websmpp_content.destination(entry, country)
        if not isinstance(number, Reason):
            pairs[number, content] = None
    return list(pairs)


def _farthest(outcomes: Sequence[Outcome]) -> Refusal:
    """Why nothing was accepted: of the refusals the one that came farthest in W-D12's order."""
    refusals = [one for one in outcomes if isinstance(one, Refusal)]
    others = [one for one in refusals if one.reason.answer.websmpp != "HTTP09"]
    return (others or refusals)[0]


def _counts(sending: _Sending, accepted: int) -> dict[str, Any]:
    return {"accepted": accepted, "rejected": sending.rejected}


def _cancel(waiting: list[Deferred[None]]) -> None:
    for one in waiting:
        one.cancel()
