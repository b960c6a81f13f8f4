"""The messenger of customers' MMSCs: brings them multimedia messages (and short ones, as a text),
and reports of what they sent.

A message is handed over when its request has been answered ``Ok``. Until then the same request,
with the same ids, is sent again when no answer comes in time, three times (``spec/mm4.md`` §4). An
answer that comes to another node is told to all of them (``reports``).
"""

import re
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, TimeoutError, maybeDeferred, succeed
from twisted.logger import Logger

from smsgw.config import Config
from smsgw.flow.exchange import Exchange, mmsc_of
from smsgw.flow.targets import DELIVERED, FAILED, GIVEN_UP, REFUSED, STOPPED, Delivery, Told
from smsgw.media import MediaStore, Missing
from smsgw.message import Message, MessageState, Multimedia
from smsgw.mm4 import addresses, content, headers, mails, mime, transactions, translate
from smsgw.mm4.mime import Content, Part
from smsgw.mm4.pdus import DeliveryReportReq, ForwardReq, ForwardRes, ReadReplyReq
from smsgw.mm4.words import RequestStatus
from smsgw.outward import Turns, UnderWay
from smsgw.provisioning import Credential
from smsgw.smtp.client import Mail, Outcome, Result, temporary
from smsgw.text.reading import read

_log = Logger()

REPEATS = 3
_TEXT = "text.txt"
_REQUEST = re.compile(r"fw-([0-9]{1,19})", re.ASCII)
_THREADED = 256 * 1024  # octets of media from which on a mail is written on a thread
_LARGE = 16  # mails with media that are in memory at a time
_LARGE_OF_ONE = 2  # and of one account


class CustomerMmscs:
    """The messenger of targets of kind "mm4"."""

    def __init__(
        self,
        config: Config,
        exchange: Exchange,
        media: MediaStore,
        reactor: Any,
        now: Callable[[], float],
    ) -> None:
        self._timeout_s = config.mm4.response_timeout_s
        self._exchange = exchange
        self._media = media
        self._reactor = reactor
        self._now = now
        # (account, transaction id) -> who waits for the response.
        self._awaited: dict[tuple[str, str], Deferred[ForwardRes]] = {}
        self._under_way = UnderWay(reactor)
        self._turns = Turns(_LARGE, _LARGE_OF_ONE)

    def deliver(self, delivery: Delivery) -> Deferred[Told]:
        """See ``flow.targets.Messenger``."""
        if delivery.event == "mo":
            return self._under_way.run(self._hand_over(delivery))
        if delivery.event in ("receipt", "read"):
            return self._under_way.run(self._report(delivery))
        return succeed(Told(DELIVERED, "not mailed"))

    def stop(self) -> Deferred[None]:
        """Fires when nothing is under way any more; what waits for a response is asked again after
        a start."""
        for waiting in list(self._awaited.values()):
            waiting.cancel()
        return self._under_way.stop()

    def responded(self, account: str, pdu: ForwardRes) -> bool:
        """A customer's MMSC has answered a request; False if it is none that waits."""
        waiting = self._awaited.get((account, pdu.transaction_id))
        if waiting is None or waiting.called:
            return False
        waiting.callback(pdu)
        return True

    def told(self, account: str, transaction: str, status: str, text: str) -> None:
        """It has answered so at another node."""
        try:
            word = RequestStatus(status)
        except ValueError:
            word = RequestStatus.UNSPECIFIED  # of a newer release
        response = ForwardRes(transaction_id=transaction, status=word, status_text=text)
        self.responded(account, response)

    def entry_of(self, transaction: str) -> int:
        """The queue entry that a request of ours is for, 0 if it is none of ours."""
        found = _REQUEST.fullmatch(transaction)
        number = int(found[1]) if found else 0
        return number if number < 1 << 63 else 0

    async def _hand_over(self, delivery: Delivery) -> Told:
        mmsc = mmsc_of(delivery.account)
        if mmsc is None:
            return Told(REFUSED, "the account has no MMSC any more")
        for _ in range(1 + REPEATS):
            told = await self._ask(delivery, mmsc)
            if told is not None:
                return told
        return Told(GIVEN_UP, "no response")

    async def _ask(self, delivery: Delivery, mmsc: Credential) -> Told | None:
        """Sends the request and awaits its response; None if there is none in time."""
        account, request = delivery.account.name, self._request(delivery, mmsc)
        # The response may come before the answer of SMTP is read.
        waiting: Deferred[ForwardRes] = Deferred()
        key = account, request.transaction_id
        self._awaited[key] = waiting
        try:
            # Only what is being sent is in memory; what waits for its response is not.
            outcome = await self._turns.run(account, lambda: self._mail(delivery, mmsc, request))
            if outcome.result is not Result.DELIVERED and not waiting.called:
                return _told(outcome)
            return _answered(await waiting.addTimeout(self._timeout_s, self._reactor))
        except Missing:
            return Told(REFUSED, "its media are no longer kept")
        except OSError as error:
            return Told(FAILED, f"its media: {error}")
        except TimeoutError:
            return None
        except CancelledError:
            return STOPPED
        finally:
            if self._awaited.get(key) is waiting:
                del self._awaited[key]
            waiting.addErrback(lambda _: None)
            waiting.cancel()

    async def _mail(self, delivery: Delivery, mmsc: Credential, request: ForwardReq) -> Outcome:
        """What became of the mail. Raises ``Missing``, OSError."""
        parts = await self._content(delivery.message)
        outgoing = self._exchange.to_customer(delivery.account, mmsc.username, mmsc.domain)
        if outgoing is None:
            return temporary("the account has no MMSC any more")
        message = delivery.message
        recipient = _user(message.destination, message.destination_ton, mmsc)
        size = sum(len(part.content) for part in parts.parts)
        # Writing takes CPU.
        run = self._media.run if size > _THREADED else maybeDeferred
        mail: Mail = await run(_mail, self._exchange.system, recipient, request, parts)
        outcomes = await outgoing.send(mail)
        return outcomes[recipient]

    async def _content(self, message: Message) -> Content:
        """What a message says. Raises ``Missing``."""
        kept = message.multimedia
        if kept is None:
            text = read(message).text.encode()
            return Content([Part("text/plain", _TEXT, "text", _TEXT, text, "utf-8")])
        return Content(
            [content.part(one, await self._media.get(one.digest)) for one in kept.media], kept.start
        )

    def _request(self, delivery: Delivery, mmsc: Credential) -> ForwardReq:
        message, exchange = delivery.message, self._exchange
        kept = message.multimedia or Multimedia()
        recipient = _user(message.destination, message.destination_ton, mmsc)
        source = addresses.of_source(message.source, message.source_ton)
        name = f"fw-{delivery.entry_id}"
        return translate.forward(
            kept,
            source=addresses.write(source, exchange.domain),
            to=kept.to or [recipient],
            cc=kept.cc,
            system=exchange.system,
            transaction_id=name,
            message_id=mails.message_id(message, exchange.domain),
            mail_id=f"{name}@{exchange.domain}",
            date=message.accepted_at,
            expires_at=kept.expires_at,
            ack=True,
            # Told by the response already (ruling 17); what the MMSC reports of itself goes on.
            report=kept.delivery_report,
            relay_report=kept.relay_report,
        )

    async def _report(self, delivery: Delivery) -> Told:
        """What became of a message that the customer sent by MM4."""
        message, exchange, account = delivery.message, self._exchange, delivery.account
        kept = message.multimedia
        if kept is None:
            return Told(DELIVERED, "not mailed")
        mmsc = mmsc_of(account, message.credential)
        domain = mmsc.domain if mmsc is not None else kept.originator_system.rpartition("@")[2]
        outgoing = exchange.to_customer(account, message.credential, domain)
        if outgoing is None:
            return Told(REFUSED, "the account has no MMSC, and named no address")
        source = addresses.of_source(message.source, message.source_ton)
        recipient = addresses.write(source, domain)
        pdu = self._report_pdu(delivery, kept)
        pdu.to = [recipient]
        outcomes = await outgoing.send(Mail(exchange.system, [recipient], headers.write(pdu)))
        return _told(outcomes[recipient])

    def _report_pdu(self, delivery: Delivery, kept: Multimedia) -> DeliveryReportReq | ReadReplyReq:
        message, exchange = delivery.message, self._exchange
        to = addresses.of_source(message.destination, message.destination_ton)
        name = f"{'rr' if delivery.event == 'read' else 'dr'}-{delivery.entry_id}"
        pdu: DeliveryReportReq | ReadReplyReq
        if delivery.event == "read":
            pdu = ReadReplyReq()
        else:
            outcome = transactions.outcome_of(MessageState(message.state))
            pdu = DeliveryReportReq(
                status=outcome.status,
                extension=outcome.extension,
                status_text=message.network_error,
                forward_to_ua=kept.delivery_report,
            )
        pdu.from_ = addresses.write(to, exchange.domain)
        pdu.sender = exchange.system
        pdu.date = message.done_at or int(self._now() * 1000)
        pdu.mail_id = f"{name}@{exchange.domain}"
        pdu.transaction_id = name
        pdu.message_id = kept.message_id
        pdu.ack_request = False  # it is sent until it is taken
        return pdu


def _user(number: str, ton: int, mmsc: Credential) -> str:
    """A number as a mailbox at a customer's MMSC."""
    return addresses.write(addresses.of_source(number.removeprefix("+"), ton), mmsc.domain.lower())


def _mail(system: str, recipient: str, request: ForwardReq, parts: Content) -> Mail:
    def written(eight_bit: bool) -> bytes:
        body = mime.write(parts, eight_bit=eight_bit)
        return headers.write(request, body.content_type) + body.octets

    return Mail(system, [recipient], written(True), lambda: written(False))


def _told(outcome: Outcome) -> Told:
    result = {Result.DELIVERED: DELIVERED, Result.PERMANENT: REFUSED}.get(outcome.result, FAILED)
    return Told(result, outcome.words)


def _answered(response: ForwardRes) -> Told:
    if response.status is RequestStatus.OK:
        return Told(DELIVERED)
    why = f"{response.status} {response.status_text}".strip()
    return Told(FAILED if response.status.temporary else REFUSED, why)
