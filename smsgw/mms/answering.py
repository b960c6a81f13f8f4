"""Answering: how each request is answered: by a response in a mail of its own if it asked for one,
else by SMTP (``spec/mm4.md`` §4, §7)."""

import time
from collections.abc import Callable, Mapping

from attrs import frozen
from twisted.logger import Logger

from smsgw.flow.exchange import Exchange, carrier_peer, customer_peer, mmsc_of
from smsgw.flow.replies import Replies
from smsgw.identities import Identities
from smsgw.mm4 import headers, pdus, transactions
from smsgw.mm4.pdus import DeliveryReportReq, ForwardReq, Request
from smsgw.mm4.words import Extension, RequestStatus, Status
from smsgw.provisioning import Account
from smsgw.queues import Queues, Transaction
from smsgw.refusals import Reason, Refusal
from smsgw.rules.tables import Tables
from smsgw.smtp.envelope import Envelope
from smsgw.smtp.peers import Peer
from smsgw.smtp.replies import LOCAL_ERROR, Reply
from smsgw.store.changes import StoreFailed

_log = Logger()

# Domains that one account without an MMSC of its own may have answered within this time.
DOMAINS = 20
_DOMAINS_MS = 3600_000

# Reasons that are ours and not of the request: the peer is to send it again, whatever it asked for.
_OURS = frozenset(
    {
        Reason.STORE_FAILED,
        Reason.SHUTTING_DOWN,
        Reason.INTERNAL_ERROR,
        Reason.NOT_READABLE,
    }
)


@frozen
class Verdict:
    """What is answered for one recipient, or for all: by MM4, or by SMTP."""

    status: RequestStatus
    text: str
    reply: Reply
    ours: bool = False  # it failed for a reason of our own: it is as if it had not come


OK = Verdict(RequestStatus.OK, "", Reply(250, "2.0.0", "Ok"))


def refused(refusal: Refusal) -> Verdict:
    """The verdict that a refusal is."""
    status, text = transactions.refused(refusal.reason, refusal.detail)
    code, enhanced = refusal.reason.answer.smtp.split(" ", 1)
    return Verdict(status, text, Reply(int(code), enhanced, text), refusal.reason in _OURS)


def detail_of(status: RequestStatus, detail: str) -> str:
    """The status text of a request that cannot be read."""
    reason = {
        RequestStatus.CONTENT_NOT_ACCEPTED: Reason.UNSUPPORTED_FORMAT,
        RequestStatus.UNSUPPORTED_MESSAGE: Reason.METHOD_NOT_ALLOWED,
    }.get(status, Reason.BAD_REQUEST)
    return f"{reason.answer.rest} {reason.answer.text}: {detail}"


class Answering:
    """Writes responses."""

    def __init__(
        self,
        tables: Callable[[], Tables],
        exchange: Exchange,
        outbox: Replies,
        queues: Queues,
        identities: Identities,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._tables = tables
        self._exchange = exchange
        self._outbox = outbox
        self._queues = queues
        self._allot = identities.allot
        self._now = now
        # By account, when each domain was named last (ms); the one named longest ago first.
        self._named: dict[str, dict[str, int]] = {}

    def crowded(self, envelope: Envelope, request: Request) -> Reply | None:
        """What SMTP says if a customer names yet another domain to be answered at; None if it may.

        With an MMSC of its own everything goes there. Without one, each domain is looked up,
        connected to and remembered, so an account has a few at a time.
        """
        account = self._without_mmsc(envelope.peer)
        if account is None:
            return None
        asked = {self.by_mail(envelope, request)}
        if isinstance(request, ForwardReq) and _reported(request):
            # What was taken is reported to the one, what was refused to the other.
            asked.add(request.originator_system)
            if "@" in request.from_:
                asked.add(request.from_)
        now = int(self._now() * 1000)
        named = self._named.setdefault(account.name, {})
        for domain in {address.rpartition("@")[2].lower() for address in asked} - {""}:
            if domain not in named and len(named) >= DOMAINS:
                oldest = next(iter(named))
                if now - named[oldest] < _DOMAINS_MS:
                    words = f"{domain[:80]} is one domain too many; {DOMAINS} an hour are answered"
                    return refused(Refusal(Reason.THROTTLED, words)).reply
                del named[oldest]
            named.pop(domain, None)
            named[domain] = now
        return None

    def _without_mmsc(self, peer: Peer) -> Account | None:
        """The account of a customer that has no MMSC, so that it is answered where it says."""
        account = self._tables().accounts.get(peer.login.account) if peer.login else None
        return account if account is not None and mmsc_of(account) is None else None

    def by_mail(self, envelope: Envelope, request: Request) -> str:
        """The address that a response goes to, "" if none is wanted, or there is none."""
        if not request.wants_answer:
            return ""
        return request.answer_to or envelope.sender.address

    def put(
        self,
        envelope: Envelope,
        request: Request,
        verdicts: Mapping[str, Verdict],
        transaction: Transaction,
    ) -> None:
        """Adds the responses to the transaction: one if all recipients (addresses as written) have
        the same verdict, else one for each verdict, with the recipients that it is for."""
        to = self.by_mail(envelope, request)
        if not to:
            return
        together: dict[tuple[RequestStatus, str], list[str]] = {}
        for recipient, verdict in verdicts.items():
            together.setdefault((verdict.status, verdict.text), []).append(recipient)
        for (status, text), recipients in together.items():
            named = recipients if len(together) > 1 else None
            self._one(
                envelope.peer, request, to, Verdict(status, text, OK.reply), named, transaction
            )

    def report(
        self,
        envelope: Envelope,
        request: ForwardReq,
        recipient: str,
        verdict: Verdict,
        transaction: Transaction,
    ) -> None:
        """Adds a delivery report of a recipient who was refused, if reports were asked for."""
        if not _reported(request):
            return
        if "@" not in request.from_ and self._without_mmsc(envelope.peer) is not None:
            return  # there is no such place
        exchange, name = self._exchange, f"dr-{self._allot()}"
        report = DeliveryReportReq(
            from_=recipient,
            to=[request.from_],
            sender=exchange.system,
            date=int(self._now() * 1000),
            mail_id=f"{name}@{exchange.domain}",
            transaction_id=name,
            message_id=request.message_id,
            ack_request=False,
            forward_to_ua=request.delivery_report is True,
            status=Status.REJECTED,
            extension=Extension.BY_OTHER_RS,
            status_text=verdict.text,
        )
        octets = headers.write(report, quote_ids=self._quotes(envelope.peer))
        self._outbox.put(transaction, peer_of(envelope.peer, request.from_), request.from_, octets)

    async def whole(self, envelope: Envelope, request: Request, verdict: Verdict) -> Reply:
        """Answers a request as a whole; fires with what SMTP says."""
        transaction = Transaction()
        to = self.by_mail(envelope, request)
        if not to:
            return verdict.reply if verdict is not OK else Reply(250, "2.0.0", envelope.id)
        self._one(envelope.peer, request, to, verdict, None, transaction)
        return await self.commit(envelope, transaction)

    async def commit(self, envelope: Envelope, transaction: Transaction) -> Reply:
        """Makes the transaction durable; "250" only then."""
        try:
            await self._queues.commit(transaction)
        except StoreFailed as failed:
            _log.error("MM4: not stored: {why}", why=str(failed))
            return LOCAL_ERROR
        return Reply(250, "2.0.0", envelope.id)

    def _one(
        self,
        peer: Peer,
        request: Request,
        to: str,
        verdict: Verdict,
        recipients: list[str] | None,
        transaction: Transaction,
    ) -> None:
        name = f"res-{self._allot()}@{self._exchange.domain}"
        response = pdus.answer(
            request,
            verdict.status,
            sender=self._exchange.system,
            date=int(self._now() * 1000),
            mail_id=name,
            text=verdict.text,
            recipients=recipients,
        )
        response.to = to
        octets = headers.write(response, quote_ids=self._quotes(peer))
        self._outbox.put(transaction, peer_of(peer, to), to, octets)

    def _quotes(self, peer: Peer) -> bool:
        form = self._tables().carriers.get(peer.carrier) if peer.carrier else None
        return form is not None and form.quote_ids


def _reported(request: ForwardReq) -> bool:
    """True if reports are asked for."""
    return bool(request.delivery_report or request.relay_report)


def peer_of(peer: Peer, address: str) -> str:
    """The peer as ``replies`` knows it, for a mail to ``address``."""
    if peer.login is None:
        return carrier_peer(peer.carrier)
    domain = address.rpartition("@")[2]
    return customer_peer(peer.login.account, peer.login.credential, domain)
