"""E-mail as an edge: an ordinary mail becomes an SMS or an MMS (``spec/aerialink.md`` E-D31 to
E-D33, rulings 23 and 24), and the reply to a mailed message becomes an SMS to who sent it."""

import re
import time
from collections.abc import Awaitable, Callable, Sequence

from attrs import define, evolve
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw.config import Config
from smsgw.flow.accept import Acceptance
from smsgw.flow.decide import Outcome
from smsgw.flow.mailed import report_refusal
from smsgw.identities import to_guid
from smsgw.login import Login
from smsgw.media import MediaStore
from smsgw.message import TEXT_KEPT, Direction, Message, Multimedia
from smsgw.mm4 import addresses, content
from smsgw.mm4.fields import TooMuch
from smsgw.mm4.mime import Content, ContentFault
from smsgw.provisioning import Account
from smsgw.provisioning import targets as provisioned
from smsgw.queues import Transaction
from smsgw.refusals import Reason, Refusal
from smsgw.rules.tables import Tables
from smsgw.smtp import asking, plain, replies
from smsgw.smtp.envelope import Envelope
from smsgw.smtp.grammar import Recipient
from smsgw.smtp.peers import Peer
from smsgw.smtp.plain import PlainMail
from smsgw.smtp.receipts import said
from smsgw.smtp.replies import Reply
from smsgw.smtp.reply_address import ReplyAddresses
from smsgw.store.changes import StoreFailed
from smsgw.store.records import Records

_log = Logger()

INTERFACE = "smtp"
NO_SENDER = "From names no sender of the account, and it has no default one"
_SUBJECT_MOST = 250
_LARGE = 32_768  # octets of a mail that is read on a thread
_GUIDS = 12  # on one line of an answer
_MESSAGE_ID = re.compile(r"mo\.([0-9]{1,19})\.[0-9]{1,19}@.+")

# Account None: nobody knows who is meant.
Found = Callable[[str | None, int], Awaitable[Message | None]]


@define
class _Asked:
    """One recipient: what it is to be sent, or why nothing is."""

    recipient: Recipient
    message: Message
    account: Account | None = None  # of a reply, whoever brings it
    refusal: Refusal | Reply | None = None


@define
class _Origin:
    """What the messages of one mail have in common."""

    mail: PlainMail
    envelope: Envelope
    login: Login | None
    account: Account | None


class EmailSubmission:
    """Takes mails that are no MM4."""

    def __init__(
        self,
        config: Config,
        tables: Callable[[], Tables],
        acceptance: Acceptance,
        known: Records,
        media: MediaStore,
        found: Found,
        allot: Callable[[], int],
        now: Callable[[], float] = time.time,
    ) -> None:
        """``found`` looks a message up by account (None: any) and id; ``now`` gives seconds since
        1970."""
        self._sms = config.smtp.domains.sms.lower()
        self._aerialink = config.aerialink
        self._mm4 = config.mm4
        self._tables = tables
        self._acceptance = acceptance
        self._known = known
        self._media = media
        self._found = found
        self._allot = allot
        self._now = now
        # None: replies are not served.
        self.replying: ReplyAddresses | None = None

    # Commands.

    def refused_recipient(self, peer: Peer, recipient: Recipient) -> Reply | None:
        """Why a recipient of a mail is refused at RCPT; None if it is not."""
        now = int(self._now() * 1000)
        replying = self.replying
        mine = replying is not None and recipient.domain == self._sms
        if mine and replying is not None and replying.is_one(recipient.local):
            known = replying.read(recipient.local, now)
            return None if known is not None else replies.NO_SUCH_USER
        if peer.login is None:
            return replies.NO_SUCH_USER if peer.world else replies.NOT_A_CUSTOMER
        account = self._tables().accounts.get(peer.login.account)
        country = account.country if account is not None else ""
        destination = asking.destination(recipient, country)
        return said(destination, recipient.local) if isinstance(destination, Reason) else None

    # Content.

    def receive(self, envelope: Envelope, octets: bytes) -> Deferred[Reply]:
        """Fires with the answer once what is accepted is durable (I1). ``octets`` are the mail."""

        def failed(failure: Failure) -> Reply:
            _log.failure("mail {id}", failure, id=envelope.id)
            return replies.LOCAL_ERROR

        return Deferred.fromCoroutine(self._receive(envelope, octets)).addErrback(failed)

    async def _receive(self, envelope: Envelope, octets: bytes) -> Reply:
        peer = envelope.peer
        if peer.carrier:
            return replies.NOT_A_CUSTOMER
        try:
            if len(octets) > _LARGE:
                mail = await self._media.run(lambda: plain.read(octets))
            else:
                mail = plain.read(octets)
        except (ContentFault, TooMuch) as fault:
            detail = fault.detail if isinstance(fault, ContentFault) else str(fault)
            return said(Reason.BAD_REQUEST, detail)
        if mail.automatic or not envelope.sender.address:
            return replies.AUTOMATIC
        login = peer.login
        account = self._tables().accounts.get(login.account) if login is not None else None
        if login is not None and not login.may("send", INTERFACE):
            return said(Reason.PERMISSION_DENIED)
        origin = _Origin(mail, envelope, login, account)
        asked = [await self._ask(one, origin) for one in envelope.recipients]
        await self._give_content(asked, origin)
        return await self._submit(asked, origin)

    async def _ask(self, recipient: Recipient, origin: _Origin) -> _Asked:
        """What one recipient is to get, without the content of an MMS."""
        mail = origin.mail
        message = Message("", "", interface=INTERFACE)
        asked = _Asked(recipient, message)
        replying = self.replying
        if recipient.domain == self._sms and replying and replying.is_one(recipient.local):
            asked.refusal = await self._reply(asked, origin, replying)
        elif origin.account is None:
            asked.refusal = replies.NO_SUCH_USER
        else:
            asked.refusal = await self._new(asked, origin, origin.account)
        message.mailed = asking.origin(recipient, origin.envelope, mail)
        report_to = message.report_to or origin.envelope.sender.address
        asking.ask_reports(message, report_to, recipient, mail.registered)
        if asked.refusal is None:
            asked.refusal = asking.options(message, mail)
        return asked

    async def _new(self, asked: _Asked, origin: _Origin, account: Account) -> Refusal | None:
        """A message of a customer to a number."""
        mail, message = origin.mail, asked.message
        destination = asking.destination(asked.recipient, account.country)
        message.destination = asked.recipient.local
        if isinstance(destination, Reason):
            return Refusal(destination, asked.recipient.local)
        message.destination = destination
        text, source = mail.text, mail.source
        if asked.recipient.domain != self._sms:
            message.kind, message.parts = "mms", [b""]
        else:
            answered = await self._answered(destination, account, mail)
            if answered is not None:
                text, source = mail.reply, source or answered.destination.removeprefix("+")
            settings = self._aerialink.for_account(account.settings.get("aerialink", {}))
            if settings.prepend_subject and mail.subject:
                text = f"{mail.subject}\n{text}"
        message.source = source or self._code_of(mail.sender, account)
        return None if message.kind == "mms" else asking.say(message, text)

    async def _answered(self, number: str, account: Account, mail: PlainMail) -> Message | None:
        """The message from ``number`` to the account that a mail answers by its In-Reply-To (ruling
        29), None if it answers none."""
        for name in mail.answers:
            found = _MESSAGE_ID.fullmatch(name)
            mo = await self._found(account.name, int(found[1])) if found else None
            if (
                mo is not None
                and mo.direction == Direction.MO
                and mo.source.removeprefix("+") == number
            ):
                return mo
        return None

    async def _reply(
        self, asked: _Asked, origin: _Origin, replying: ReplyAddresses
    ) -> Refusal | Reply | None:
        """The reply to a mailed message: it may come by any server, if it is from the mailbox that
        the message went to."""
        mail, message = origin.mail, asked.message
        replied = replying.read(asked.recipient.local, int(self._now() * 1000))
        mo = await self._found(None, replied.message) if replied else None
        if replied is None or mo is None or mo.direction != Direction.MO:
            return replies.NO_SUCH_USER
        account = self._tables().accounts.get(mo.account)
        login = origin.login
        if account is None or (login is not None and login.account != mo.account):
            return replies.NO_SUCH_USER
        mailbox = _mailbox(mo, (mail.sender, origin.envelope.sender.address))
        if login is None and not mailbox:
            return replies.NOT_YOUR_REPLY
        if mail.bulk:
            return replies.AUTOMATIC
        asked.account = account
        message.destination = replied.number
        message.source = mo.destination.removeprefix("+")
        message.report_to = mailbox
        return asking.say(message, mail.reply)

    def _code_of(self, mailbox: str, account: Account) -> str:
        """The sender that a mailbox's local part names, if the account has it, else "" (E-D32)."""
        found = addresses.read(mailbox, account.country)
        if isinstance(found, Reason) or found.kind is addresses.Kind.MAIL:
            return ""
        tables = self._tables()
        senders = tables.senders.get(account.name)
        own = senders is not None and found.text in senders
        if not own and not tables.numbers.has(account.name, found.text):
            own = any(one.account.name == account.name for one in tables.numbers.of(found.text))
            return found.text if own else ""
        return found.text

    # An MMS's content.

    async def _give_content(self, asked: Sequence[_Asked], origin: _Origin) -> None:
        """Keeps the media of the MMS of a mail, once for all of them."""
        wanting = [one for one in asked if one.message.kind == "mms" and one.refusal is None]
        if not wanting or origin.account is None:
            return
        settings = self._mm4.for_account(origin.account.settings.get("mm4", {}))
        mail = origin.mail
        given = asking.content(mail)
        if not given.parts:
            for one in wanting:
                one.refusal = Refusal(Reason.PARAMETER_MISSING, "text or attachment")
            return

        def admit() -> Content:
            return content.admit(given, drop=settings.drop_unaccepted).content

        try:
            admitted = await self._media.run(admit)
        except ContentFault as fault:
            for one in wanting:
                one.refusal = Refusal(Reason.UNSUPPORTED_FORMAT, fault.detail)
            return
        try:
            for part in admitted.parts:
                await self._media.put(part.content)
        except OSError as error:
            _log.error("media: not kept: {why}", why=error)
            for one in wanting:
                one.refusal = Refusal(Reason.STORE_FAILED)
            return
        media = [content.media(part) for part in admitted.parts]
        kept = Multimedia(
            media=media,
            start=admitted.start,
            subject=mail.subject[:_SUBJECT_MOST],
            text=mail.text[:TEXT_KEPT],
        )
        for one in wanting:
            one.message.multimedia = evolve(kept)

    # To the journey.

    async def _submit(self, asked: list[_Asked], origin: _Origin) -> Reply:
        ready = [one for one in asked if one.refusal is None]
        messages = [one.message for one in ready]

        def beside(outcomes: list[Outcome], transaction: Transaction) -> None:
            for one, outcome in zip(ready, outcomes, strict=True):
                one.refusal = outcome if isinstance(outcome, Refusal) else None
            if any(isinstance(outcome, Message) for outcome in outcomes):
                self._tell_refused(asked, origin, transaction)

        outcomes: list[Outcome] = []
        if ready and origin.login is not None:
            outcomes = await self._acceptance.accept(origin.login, messages, beside=beside)
        elif ready:
            outcomes = await self._accept_replies(ready, beside)
        for one, outcome in zip(ready, outcomes, strict=True):
            one.refusal = outcome if isinstance(outcome, Refusal) else None
        return _answer(asked)

    async def _accept_replies(
        self, ready: list[_Asked], beside: Callable[[list[Outcome], Transaction], None]
    ) -> list[Outcome]:
        """Has replies accepted that came without a login, each for the account whose message it
        answers."""
        transaction = Transaction()
        transaction.changes.new = True
        outcomes: list[Outcome] = []
        for one in ready:
            assert one.account is not None
            outcomes.append(self._acceptance.add(one.account, one.message, transaction))
        beside(outcomes, transaction)
        if transaction.changes.messages:
            try:
                await self._acceptance.commit(transaction, outcomes)
            except StoreFailed as fault:
                _log.error("mail: not stored: {why}", why=fault)
                return [Refusal(Reason.STORE_FAILED) for _ in outcomes]
        return outcomes

    def _tell_refused(
        self, asked: Sequence[_Asked], origin: _Origin, transaction: Transaction
    ) -> None:
        """Some of a mail is accepted, so who mailed it is told of the rest by mail (ruling 23)."""
        now = int(self._now() * 1000)
        for one in asked:
            refusal, message = one.refusal, one.message
            if refusal is None or message.mailed is None or not message.report_to:
                continue
            if "failure" not in message.mailed.notify:
                continue
            if isinstance(refusal, Reply):
                refusal = Refusal(Reason.BAD_DESTINATION, one.recipient.local)
            account = one.account or origin.account
            if account is None:
                continue
            message.account = account.name
            report_refusal(message, refusal, transaction, self._known, self._allot, now)


def _mailbox(mo: Message, senders: Sequence[str]) -> str:
    """The one of ``senders`` that an MO was mailed to, "" if it was to none of them."""
    for text in mo.targets:
        target = provisioned.read(text)
        if target.kind == "email":
            for sender in senders:
                if sender and sender.lower() == target.address.lower():
                    return sender
    return ""


def _answer(asked: Sequence[_Asked]) -> Reply:
    """``250 2.0.0 <GUID> 10`` if anything was accepted, else a refusal (ruling 23, E-D33)."""
    guids = [to_guid(one.message.id) for one in asked if one.refusal is None]
    if guids:
        lines = [",".join(guids[n : n + _GUIDS]) for n in range(0, len(guids), _GUIDS)]
        before = tuple(f"{line}," for line in lines[:-1])
        return Reply(250, "2.0.0", f"{lines[-1]} 10", before)
    said_to = [_refused(one, len(asked) > 1) for one in asked]
    # If a later try may fare better for one of them, it is for the client to make it.
    return next((one for one in said_to if one.code < 500), said_to[0])


def _refused(one: _Asked, several: bool) -> Reply:
    refusal = one.refusal
    if isinstance(refusal, Reply):
        return refusal
    assert refusal is not None
    destination = one.message.destination
    detail = refusal.detail
    if detail == destination and not several:
        detail = ""
    if refusal.reason is Reason.BAD_SOURCE and not detail:
        detail = NO_SENDER
    return said(refusal.reason, detail)
