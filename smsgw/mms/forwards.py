"""Forwards: ``MM4_forward.REQ``, from customers (a message to send for each recipient) and from
carriers (a message for numbers of accounts).

Its media are durable before the message is committed, and "250" comes after that (I1). A repeat of
a request is answered as before, for each recipient, and delivered once (ruling 16); while the first
is still being taken, the second waits for it.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, DeferredLock, DeferredSemaphore
from twisted.logger import Logger

from smsgw.flow.accept import Acceptance
from smsgw.flow.decide import Outcome
from smsgw.flow.inbound import ANONYMOUS, Inbound
from smsgw.gathering import Gathering
from smsgw.identities import to_guid
from smsgw.login import Login
from smsgw.media import MediaStore
from smsgw.message import TEXT_KEPT, Direction, Message, Multimedia
from smsgw.mm4 import addresses, content, mime, transactions, translate
from smsgw.mm4.addresses import Kind, Mm4Address
from smsgw.mm4.headers import Mail
from smsgw.mm4.mime import ContentFault
from smsgw.mm4.pdus import ForwardReq
from smsgw.mm4.words import RequestStatus
from smsgw.mms.answering import OK, Answering, Verdict, detail_of, refused
from smsgw.queues import Transaction
from smsgw.refusals import Reason, Refusal
from smsgw.rules.tables import Tables
from smsgw.smtp.envelope import Envelope
from smsgw.smtp.peers import Peer
from smsgw.smtp.replies import Reply, of_failure
from smsgw.store import seen
from smsgw.store.changes import StoreFailed
from smsgw.store.journal import Journal
from smsgw.store.seen import SeenRow
from smsgw.text import numbers

_log = Logger()

INTERFACE = "mm4"
_SHOWN = 10  # ids in an SMTP answer
_LARGE = 4  # contents of more than this size are read at once
_LARGE_SIZE = 256 * 1024
_TOGETHER = 50  # requests whose recipients are looked up at once
_TON = {Kind.NUMBER: numbers.INTERNATIONAL, Kind.SHORT_CODE: numbers.SHORT_CODE}


@define
class _To:
    """One recipient: as RCPT wrote it, and what it names."""

    written: str
    address: Mm4Address | Reason
    key: bytes


@define
class _Request:
    """A request that is being taken."""

    envelope: Envelope
    pdu: ForwardReq
    to: list[_To]
    now: int
    multimedia: Multimedia = field(factory=Multimedia)
    verdicts: dict[str, Verdict] = field(factory=dict)
    ids: list[int] = field(factory=list)
    fresh: list[_To] = field(factory=list)  # recipients that are not repeated


class Forwards:
    """Takes ``MM4_forward.REQ``."""

    def __init__(
        self,
        tables: Callable[[], Tables],
        journal: Journal,
        media: MediaStore,
        acceptance: Acceptance,
        inbound: Inbound,
        answering: Answering,
        domain: str,
        forward_limit: int = transactions.FORWARD_LIMIT,
        drops: Callable[[str], bool] = lambda account: False,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``domain`` is our MMS domain; ``drops`` says whether parts of an account's messages are
        left out that are of no accepted type."""
        self._tables = tables
        self._journal = journal
        self._media = media
        self._acceptance = acceptance
        self._inbound = inbound
        self._answering = answering
        self._domain = domain
        self._limit = forward_limit
        self._drops = drops
        self._now = now
        # By peer and message id, requests under way.
        self._turns: dict[tuple[str, str], DeferredLock] = {}
        self._waiting: Counter[tuple[str, str]] = Counter()
        self._reading = DeferredSemaphore(_LARGE)
        self._seen: Gathering[list[bytes], dict[bytes, SeenRow]] = Gathering(self._find, _TOGETHER)
        self.repeated = 0  # for operators: recipients of requests that came again

    async def receive(
        self, envelope: Envelope, mail: Mail, pdu: ForwardReq, octets: bytes
    ) -> Reply:
        """Fires with what SMTP says, when that is durable."""
        key = _peer(envelope.peer), pdu.message_id
        turn = self._turns.setdefault(key, DeferredLock())
        self._waiting[key] += 1
        await turn.acquire()
        try:
            return await self._take(self._request(envelope, pdu), mail, octets)
        except (StoreFailed, OSError) as failed:
            _log.error("MM4_forward.REQ: not stored: {why}", why=str(failed))
            return of_failure(failed)
        finally:
            turn.release()
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._turns[key], self._waiting[key]

    def _request(self, envelope: Envelope, pdu: ForwardReq) -> _Request:
        peer = envelope.peer
        country = self._country(peer)
        found: dict[str, _To] = {}
        for one in envelope.recipients:
            address = addresses.read(one.address, country)
            named = address.text if isinstance(address, Mm4Address) else one.address
            key = transactions.delivery_key(_peer(peer), pdu.message_id, named)
            found.setdefault(named, _To(one.address, address, key))
        return _Request(envelope, pdu, list(found.values()), int(self._now() * 1000))

    def _country(self, peer: Peer) -> str:
        tables = self._tables()
        if peer.login is None:
            form = tables.carriers.get(peer.carrier)
            return form.country if form is not None else ""
        account = tables.accounts.get(peer.login.account)
        return account.country if account is not None else ""

    async def _take(self, request: _Request, mail: Mail, octets: bytes) -> Reply:
        crowded = self._answering.crowded(request.envelope, request.pdu)
        if crowded is not None:
            return crowded  # by SMTP only: a mail would go to that domain
        loop = transactions.loops(request.pdu, mail.hops, self._limit)
        if loop:
            return await self._all(request, refused(Refusal(Reason.PERMISSION_DENIED, loop)))
        # Looking up waits for the store, and keeping for the disk. Few requests are repeats, and
        # what those keep is there already.
        sorting = Deferred.fromCoroutine(self._sort(request))
        try:
            verdict = self._unable(request) or await self._read(request, mail, octets)
        finally:
            await sorting
        if request.fresh:
            if verdict is not None:
                return await self._all(request, verdict)
            login = request.envelope.peer.login
            if login is not None:
                not_stored = await self._submit(request, login)
            else:
                not_stored = await self._bring(request, request.envelope.peer.carrier)
        else:
            not_stored = await self._answer_only(request)
        return not_stored or self._smtp(request)

    async def _sort(self, request: _Request) -> None:
        """Tells new recipients from repeated ones, who get the answer that they got."""
        known = await self._seen([one.key for one in request.to])
        for one in request.to:
            row = known.get(one.key)
            if row is None:
                request.fresh.append(one)
            else:
                self.repeated += 1
                request.verdicts[one.written] = _again(row)

    def _find(self, several: list[list[bytes]]) -> Deferred[list[dict[bytes, SeenRow] | Exception]]:
        """The rows of all requests that ask, for each of them."""
        keys = [key for some in several for key in some]
        found = self._journal.run(partial(seen.find, keys=keys, now=int(self._now() * 1000)))
        return found.addCallback(lambda rows: [rows] * len(several))

    def _unable(self, request: _Request) -> Verdict | None:
        """Why the request cannot be taken, whoever its recipients are."""
        peer, pdu = request.envelope.peer, request.pdu
        if peer.login is not None and not peer.login.may("send", INTERFACE):
            return refused(Refusal(Reason.PERMISSION_DENIED, "this login may not send by MM4"))
        if pdu.expiry is not None and pdu.expiry.until(request.now) <= request.now:
            return refused(Refusal(Reason.BAD_VALIDITY, "it has expired"))
        return None

    async def _read(self, request: _Request, mail: Mail, octets: bytes) -> Verdict | None:
        """Reads the content and keeps its media; why it is not taken, None if it is."""
        login = request.envelope.peer.login
        drop = login is not None and self._drops(login.account)
        read = partial(_content, mail, octets, drop)
        try:
            if len(octets) > _LARGE_SIZE:
                admitted = await self._reading.run(self._media.run, read)
            else:
                admitted = read()
        except ContentFault as fault:
            text = detail_of(fault.status, fault.detail)
            return Verdict(fault.status, text, Reply(554, "5.6.0", f"{fault.status}: {text}"))
        if admitted.notes:
            _log.info("MM4_forward.REQ: {notes}", notes="; ".join(admitted.notes))
        parts = admitted.content.parts
        digests = await self._media.put_all([part.content for part in parts])
        kept = [content.media(*one) for one in zip(parts, digests, strict=True)]
        request.multimedia = translate.multimedia(request.pdu, kept, admitted.content.start)
        said = next((part.content for part in parts if part.type.startswith("text/")), b"")
        # Of UTF-8 no character has more than four octets.
        request.multimedia.text = said[: 4 * TEXT_KEPT].decode("utf-8", "ignore")[:TEXT_KEPT]
        return None

    def _message(self, request: _Request, to: _To) -> Message | Refusal:
        """The message for one recipient."""
        peer, pdu = request.envelope.peer, request.pdu
        if isinstance(to.address, Reason):
            return Refusal(to.address, to.written)
        if to.address.kind not in _TON:
            return Refusal(Reason.BAD_DESTINATION, to.written)
        source = self._source(peer, pdu)
        if source is None:
            return Refusal(Reason.SOURCE_NOT_PROVISIONED, pdu.from_)
        wanted = pdu.delivery_report is True or pdu.relay_report is True
        message = Message(
            source=source.text,
            source_ton=_TON.get(source.kind, numbers.ALPHANUMERIC),
            destination=to.address.text,
            destination_ton=_TON[to.address.kind],
            kind="mms",
            parts=[b""],
            multimedia=evolve(request.multimedia),
            interface=INTERFACE,
            registered_delivery=int(wanted),
        )
        until = pdu.expiry.until(request.now) if pdu.expiry is not None else 0
        if peer.login is not None:
            message.validity_ms = until - request.now if until else 0
            return message
        assert message.multimedia is not None
        message.multimedia.expires_at = until
        message.direction = Direction.MO
        message.report_to = pdu.from_
        return message

    def _source(self, peer: Peer, pdu: ForwardReq) -> Mm4Address | None:
        """Who sends it; None if that is nobody that a message can be from."""
        if peer.login is not None:
            # Whatever its domain, the local part is to be a code of the account.
            found = addresses.read(pdu.from_, self._country(peer))
            known = isinstance(found, Mm4Address) and found.kind is not Kind.MAIL
            return found if known and isinstance(found, Mm4Address) else None
        found = addresses.read(pdu.from_, self._country(peer), {peer.domain, self._domain})
        if isinstance(found, Mm4Address):
            return found
        return Mm4Address(Kind.NAME, ANONYMOUS) if pdu.visibility == "Hide" else None

    async def _submit(self, request: _Request, login: Login) -> Reply | None:
        """Has an account's messages accepted; what SMTP says if they are not stored."""
        made = [(to, self._message(request, to)) for to in request.fresh]
        good = [(to, one) for to, one in made if isinstance(one, Message)]
        bad = [(to, one) for to, one in made if isinstance(one, Refusal)]
        for _, one in bad:
            self._acceptance.count(one.reason, 1)
        committed = False

        def beside(outcomes: list[Outcome], transaction: Transaction) -> None:
            nonlocal committed
            committed = True
            told = zip((to for to, _ in good), outcomes, strict=True)
            self._settle(request, [*told, *bad], transaction)

        messages = [one for _, one in good]
        outcomes = await self._acceptance.accept(login, messages, beside=beside)
        ours = _ours(outcomes)
        if ours is not None:
            return ours
        if not committed:
            told = [*zip((to for to, _ in good), outcomes, strict=True), *bad]
            return await self._answer_only(request, told)
        request.ids = [one.id for one in outcomes if isinstance(one, Message)]
        return None

    async def _bring(self, request: _Request, carrier: str) -> Reply | None:
        """Brings a carrier's messages to the accounts that they are for."""
        made = [(to, self._message(request, to)) for to in request.fresh]
        good = [(to, one) for to, one in made if isinstance(one, Message)]
        bad = [(to, one) for to, one in made if isinstance(one, Refusal)]

        def beside(outcomes: list[Outcome], transaction: Transaction) -> None:
            told = zip((to for to, _ in good), outcomes, strict=True)
            self._settle(request, [*told, *bad], transaction)

        messages = [one for _, one in good]
        outcomes = await self._inbound.multimedia(carrier, messages, beside)
        request.ids = [one.id for one in outcomes if isinstance(one, Message)]
        return None

    def _settle(
        self, request: _Request, told: Sequence[tuple[_To, Outcome]], transaction: Transaction
    ) -> None:
        """Adds to the transaction of what was decided that it was, and the responses."""
        for to, outcome in told:
            verdict = OK if isinstance(outcome, Message) else refused(outcome)
            request.verdicts[to.written] = verdict
            # What failed for a reason that passes may be tried again with the same ids.
            if not verdict.status.temporary:
                row = SeenRow(to.key, request.now, verdict.status.value, verdict.text)
                transaction.changes.seen.append(row)
        envelope, pdu = request.envelope, request.pdu
        self._answering.put(envelope, pdu, request.verdicts, transaction)
        some = any(one.status is RequestStatus.OK for one in request.verdicts.values())
        if some and not self._answering.by_mail(envelope, pdu):
            # Nobody would be told: SMTP says one thing for all.
            for to, outcome in told:
                if isinstance(outcome, Refusal):
                    verdict = request.verdicts[to.written]
                    self._answering.report(envelope, pdu, to.written, verdict, transaction)

    async def _answer_only(
        self, request: _Request, told: Sequence[tuple[_To, Outcome]] = ()
    ) -> Reply | None:
        """Answers what brings no message; what SMTP says if that is not stored."""
        transaction = Transaction()
        self._settle(request, told, transaction)
        reply = await self._answering.commit(request.envelope, transaction)
        return None if reply.good else reply

    async def _all(self, request: _Request, verdict: Verdict) -> Reply:
        """The same verdict for all recipients, those included that had another before."""
        return await self._answering.whole(request.envelope, request.pdu, verdict)

    def _smtp(self, request: _Request) -> Reply:
        """What SMTP says of a request that is stored."""
        verdicts = list(request.verdicts.values())
        good = any(one.status is RequestStatus.OK for one in verdicts)
        if good or not verdicts or self._answering.by_mail(request.envelope, request.pdu):
            names = [to_guid(id) for id in request.ids[:_SHOWN]]
            return Reply(250, "2.0.0", ",".join(names) or request.envelope.id)
        return verdicts[0].reply


def _peer(peer: Peer) -> str:
    """Who sends, as the keys of ``seen`` have it."""
    return f"account:{peer.login.account}" if peer.login is not None else f"carrier:{peer.carrier}"


def _again(row: SeenRow) -> Verdict:
    """What was answered before."""
    status = RequestStatus(row.status)
    if status is RequestStatus.OK:
        return OK
    return Verdict(status, row.text, Reply(550, "5.7.1", row.text or status.value))


def _ours(outcomes: list[Outcome]) -> Reply | None:
    """What SMTP says if it is us who failed."""
    for one in outcomes:
        if isinstance(one, Refusal):
            verdict = refused(one)
            if verdict.ours:
                return verdict.reply
    return None


def _content(mail: Mail, octets: bytes, drop: bool) -> content.Admitted:
    """The content that goes on. Raises ``ContentFault``."""
    return content.admit(mime.parse(octets, mail.fields, mail.body), drop=drop)
