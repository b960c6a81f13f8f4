"""Receiving: what becomes of a mail that came whole. MM4 goes by its type, other mail to whoever
serves e-mail.

A request that can be read gets "250" and its response by MM4; what is no more than mail, or asks
for no response, is refused by SMTP (``spec/mm4.md`` §7).
"""

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.logger import Logger

from smsgw.media import MediaStore
from smsgw.mm4 import addresses, headers
from smsgw.mm4.addresses import Kind
from smsgw.mm4.headers import Corrupt, Mail
from smsgw.mm4.pdus import ForwardReq, Pdu, Request
from smsgw.mms.answering import Answering, Verdict, detail_of
from smsgw.mms.forwards import Forwards
from smsgw.mms.reports import CustomerReports
from smsgw.rules.numbers import NumberTable
from smsgw.rules.tables import Tables
from smsgw.smtp import replies
from smsgw.smtp.envelope import Envelope
from smsgw.smtp.grammar import Recipient
from smsgw.smtp.peers import Peer
from smsgw.smtp.replies import Reply

_log = Logger()

SYSTEMS = frozenset({"system-user", "postmaster", "mmsc", "mms-relay"})  # local parts of our own
_LARGE = 4  # mails that are read from files at once: each is in memory then
NOT_MM4 = Reply(554, "5.6.1", "Not a multimedia message (X-Mms-Message-Type is missing)")

Plain = Callable[[Envelope, bytes], Deferred[Reply]]


class Upstream(Protocol):
    """Whoever sent messages to carriers, and awaits what they say of them
    (``flow.mm4_answers``)."""

    def concerns(self, pdu: Pdu) -> bool:
        """True for what says something of a message."""

    def receive(self, carrier: str, pdu: Pdu) -> Deferred[bool]:
        """Fires with True when what a carrier says is durable; False if it is to be said again."""


class Receiving:
    """The ``receive`` of the SMTP server."""

    def __init__(
        self,
        tables: Callable[[], Tables],
        media: MediaStore,
        answering: Answering,
        forwards: Forwards,
        reports: CustomerReports,
        upstream: Upstream,
        domain: str,
    ) -> None:
        """``domain`` is our MMS domain, in lower case."""
        self._tables = tables
        self._media = media
        self._answering = answering
        self.forwards = forwards
        self._reports = reports
        self._upstream = upstream
        self._domain = domain
        self._reading = DeferredSemaphore(_LARGE)
        self._senders: tuple[Tables, frozenset[str] | None] | None = None
        # E-mail that is no MM4, and recipients of its domain; nobody serves it without them.
        self.plain: Plain | None = None
        self.plain_recipient: Callable[[Peer, Recipient], Reply | None] = lambda peer, recipient: (
            replies.NO_SUCH_USER
        )
        # For operators: MM4 received, by type and whether it was taken.
        self.received: dict[tuple[str, str], int] = {}

    def receive(self, envelope: Envelope) -> Deferred[Reply]:
        """See ``smtp.envelope.Receive``."""
        if envelope.content.in_file:
            return self._reading.run(self._whole, envelope)
        return self._whole(envelope)

    def _whole(self, envelope: Envelope) -> Deferred[Reply]:
        return Deferred.fromCoroutine(self._receive(envelope))

    async def _receive(self, envelope: Envelope) -> Reply:
        content = envelope.content
        octets = await self._media.run(content.read) if content.in_file else content.read()
        if envelope.peer.world:  # it brings replies, and nothing else
            return await self.plain(envelope, octets) if self.plain else NOT_MM4
        try:
            mail = headers.read(octets)
        except Corrupt as corrupt:
            return await self._corrupt(envelope, corrupt)
        if mail.pdu is None:
            return await self.plain(envelope, octets) if self.plain else NOT_MM4
        reply = await self._dispatch(envelope, mail, octets)
        key = mail.pdu.TYPE.value, "taken" if reply.good else "refused"
        self.received[key] = self.received.get(key, 0) + 1
        return reply

    async def _dispatch(self, envelope: Envelope, mail: Mail, octets: bytes) -> Reply:
        pdu, peer = mail.pdu, envelope.peer
        if isinstance(pdu, ForwardReq):
            return await self.forwards.receive(envelope, mail, pdu, octets)
        if peer.carrier:
            # Responses to our reports are not awaited.
            asked = pdu is not None and self._upstream.concerns(pdu)
            if pdu is not None and asked and not await self._upstream.receive(peer.carrier, pdu):
                return replies.LOCAL_ERROR
            return Reply(250, "2.0.0", envelope.id)
        return await self._reports.receive(envelope, pdu)

    async def _corrupt(self, envelope: Envelope, corrupt: Corrupt) -> Reply:
        """It says that it is MM4, and cannot be served as such."""
        _log.info(
            "MM4 {peer}: {status}: {detail}",
            peer=envelope.address,
            status=corrupt.status,
            detail=corrupt.detail,
        )
        refused = Reply(554, "5.6.0", f"{corrupt.status}: {corrupt.detail}")
        verdict = Verdict(corrupt.status, detail_of(corrupt.status, corrupt.detail), refused)
        key = "corrupt", "refused"
        self.received[key] = self.received.get(key, 0) + 1
        if not isinstance(corrupt.request, Request):
            return refused
        return await self._answering.whole(envelope, corrupt.request, verdict)

    # Recipients.

    def refused_recipient(self, peer: Peer, recipient: Recipient) -> Reply | None:
        """Why RCPT is refused, None if it is not (ruling 23)."""
        if recipient.domain != self._domain or peer.world:
            return self.plain_recipient(peer, recipient)
        if recipient.local.lower() in SYSTEMS:
            return None
        tables = self._tables()
        country = self._country(peer, tables)
        found = addresses.read(recipient.address, country)
        if not isinstance(found, addresses.Mm4Address) or found.kind is Kind.MAIL:
            return replies.NO_SUCH_USER
        if peer.carrier:
            known = _has(tables.numbers, found.text) or self._is_sender(found.text, tables)
            return None if known else replies.NO_SUCH_USER
        return None if found.kind is not Kind.NAME else replies.NO_SUCH_USER

    def _country(self, peer: Peer, tables: Tables) -> str:
        if peer.carrier:
            return tables.carriers[peer.carrier].country if peer.carrier in tables.carriers else ""
        account = tables.accounts.get(peer.login.account) if peer.login is not None else None
        return account.country if account is not None else ""

    def _is_sender(self, text: str, tables: Tables) -> bool:
        """True if some account may have sent from it, so that a report about that may come."""
        if self._senders is None or self._senders[0] is not tables:
            every = list(tables.senders.values())
            known = frozenset(one for own in every if own is not None for one in own)
            self._senders = tables, None if None in every else known
        senders = self._senders[1]
        return senders is None or text in senders


def _has(numbers: NumberTable, address: str) -> bool:
    return bool(numbers.meant_by(address))
