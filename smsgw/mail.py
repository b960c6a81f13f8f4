"""E-mail: brings messages and reports to mailboxes, by the operator's relay or by MX.

One connection, one mail. What the receiving server says decides: 2yz it is delivered, 5yz it is
refused for good, anything else is tried again (ruling 17).
"""

import socket
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred

from smsgw.config import Config
from smsgw.flow import attached
from smsgw.flow.targets import DELIVERED, FAILED, REFUSED, Delivery, Told
from smsgw.media import MediaStore, Missing
from smsgw.message import Message, Multimedia
from smsgw.outward import TLS_FAILED, Turns, UnderWay, why
from smsgw.provisioning.targets import is_action, masked
from smsgw.smtp import dsn, receipts
from smsgw.smtp.client import Mail as SmtpMail
from smsgw.smtp.client import Outcome, Place, Result, send_once
from smsgw.smtp.exchangers import TakesNoMail, exchangers
from smsgw.smtp.reply_address import ReplyAddresses
from smsgw.text import reports
from smsgw.text.letters import (
    Attached,
    Letter,
    message_letter,
    multimedia_letter,
    notice_letter,
    relay_letter,
    report_letter,
)
from smsgw.text.reading import read

_SMTP = 25
_COMMAND_S = 30.0  # how long a server may take for one answer
_WHOLE_S = 120.0  # and all of it
_LARGE = 16  # mails with media at a time
_LARGE_OF_ONE = 2  # and of one account


class Mail:
    """The messenger of targets of kind "email"."""

    def __init__(
        self,
        config: Config,
        reactor: Any,
        resolver: Any = None,
        port: int = _SMTP,
        media: MediaStore | None = None,
    ) -> None:
        """``resolver`` is a ``twisted.names`` one, None: the system's; ``port`` that of mail
        exchangers; ``media`` has those of multimedia messages."""
        self._media = media
        # A mail with media is large: few are in memory at a time, and few of one account.
        self._turns = Turns(_LARGE, _LARGE_OF_ONE)
        self._config = config.smtp
        self._aaisp = config.aaisp
        self._private = config.aaisp.allow_private_callbacks
        self._reactor = reactor
        self._resolver = resolver
        self._port = port
        # What is offered and fails is done without: a mail in clear is better than none.
        offered = not config.smtp.relay or config.smtp.relay_tls == "offered"
        self._modes = ("offered", "none") if offered else (config.smtp.relay_tls,)
        self._domain = config.smtp.domains.sms or socket.gethostname()
        self._under_way = UnderWay(reactor)
        # Makes the addresses that replies to messages go to; None: there are none.
        self.replying: ReplyAddresses | None = None

    def deliver(self, delivery: Delivery) -> Deferred[Told]:
        """Fires with how it went; the detail is an SMTP reply code or a few words."""
        if delivery.event == "mo" and delivery.message.kind == "mms" and self._media is not None:
            return self._under_way.run(self._in_turn(delivery, self._media))
        return self._under_way.run(self._deliver(self._letter(delivery)))

    def stop(self) -> Deferred[None]:
        """Fires when no mail is under way any more."""
        return self._under_way.stop()

    async def _in_turn(self, delivery: Delivery, media: MediaStore) -> Told:
        async def sent() -> Told:
            try:
                letter = await media.run(self._with_media, delivery, media)
            except Missing:
                return Told(REFUSED, "its media are over")
            except OSError as error:
                return Told(FAILED, f"its media: {error}")
            return await self._deliver(letter)

        return await self._turns.run(delivery.account.name, sent)

    def _with_media(self, delivery: Delivery, media: MediaStore) -> Letter:
        """The mail of a multimedia message. Blocks. Raises ``Missing``, OSError."""
        message, get = delivery.message, media.get_here
        multimedia = message.multimedia or Multimedia()
        reading = evolve(
            read(message, delivery.account.time_zone), text=attached.text_of(multimedia, get)
        )
        files = [
            Attached(one.type, one.name, one.charset, get(one.digest))
            for one in attached.attached(multimedia)
        ]
        name = f"mo.{message.id}.{delivery.entry_id}"
        return multimedia_letter(
            reading,
            multimedia.subject,
            files,
            delivery.target.address,
            name,
            self._domain,
            self._reply_to(message),
        )

    def _reply_to(self, message: Message) -> str:
        """Where a reply to an MO becomes an SMS to who sent it (ruling 24), "" if nowhere."""
        if self.replying is None:
            return ""
        return self.replying.write(message.source.removeprefix("+"), message.id)

    def _notification(self, delivery: Delivery, name: str) -> Letter | None:
        """What became of a message that came by mail (RFC 3464); no notification is ever sent of a
        notification, since its envelope has no sender."""
        message = delivery.message
        report = receipts.report(message, delivery.event, delivery.part)
        if report is None:
            return None
        at = message.done_at or message.carrier_at or message.accepted_at
        octets = dsn.write(report, self._domain, name, at)
        return Letter("", message.report_to, octets)

    async def _deliver(self, letter: Letter | None) -> Told:
        if letter is None:
            return Told(DELIVERED, "not mailed")
        asked = Deferred.fromCoroutine(self._send(letter))
        late = self._reactor.callLater(_WHOLE_S, asked.cancel)
        try:
            return await asked
        finally:
            if late.active():
                late.cancel()

    def _letter(self, delivery: Delivery) -> Letter | None:
        message, target, account = delivery.message, delivery.target, delivery.account
        reading = read(message, account.time_zone)
        kind = "mo" if delivery.event == "mo" else "report"
        name = f"{kind}.{message.id}.{delivery.entry_id}"
        if delivery.event == "mo" and target.dialect == "aql":
            return relay_letter(reading, target.address, message.id, name, self._domain)
        if delivery.event == "mo":
            reply_to = self._reply_to(message)
            return message_letter(
                reading, target.address, target.prefix, name, self._domain, reply_to
            )
        if delivery.event != "notice" and message.mailed and not is_action(target.text):
            return self._notification(delivery, name)
        if delivery.event == "notice":
            name = f"notice.{message.id}.{delivery.entry_id}"
            place = masked(message.targets[delivery.part])
            return notice_letter(reading, place, target.address, message.id, name, self._domain)
        code = delivery.part or reports.code_of(delivery.event, message)
        settings = self._aaisp.for_account(account.settings.get("aaisp", {}))
        if code in (reports.ACCEPTED, reports.BUFFERED) and not settings.mail_progress:
            return None
        last = message.done_at or message.carrier_at or message.accepted_at
        done = datetime.fromtimestamp(last / 1000, reading.at.tzinfo)
        return report_letter(code, reading, message.id, done, target.address, name, self._domain)

    async def _send(self, letter: Letter) -> Told:
        mail = SmtpMail(letter.sender, [letter.recipient], _lines(letter.octets))
        detail = "no mail exchanger"
        try:
            for place in await self._places(letter.recipient):
                for tls in self._modes:
                    try:
                        told = await send_once(
                            self._reactor, evolve(place, tls=tls), self._domain, mail, _COMMAND_S
                        )
                        return _told(told[letter.recipient])
                    except CancelledError:
                        raise
                    except Exception as fault:
                        detail = why(fault) or str(fault)
                    if detail != TLS_FAILED:
                        break
        except CancelledError as fault:
            detail = why(fault)
        except TakesNoMail as refusal:
            return Told(REFUSED, str(refusal))
        return Told(FAILED, detail)

    async def _places(self, recipient: str) -> Sequence[Place]:
        """Where mail for ``recipient`` is taken, in the order to try."""
        config = self._config
        if config.relay:
            host, _, port = config.relay.rpartition(":")
            username, password = config.relay_username, config.relay_password
            relay = Place(
                host.strip("[]"), int(port), username=username, password=password, private=True
            )
            return [relay]
        hosts = await exchangers(recipient.rpartition("@")[2], self._resolver)
        return [Place(host, self._port, private=self._private) for host in hosts]


def _lines(octets: bytes) -> bytes:
    """A letter, whose lines end with a line feed alone, as SMTP has it."""
    return octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _told(outcome: Outcome) -> Told:
    result = {Result.DELIVERED: DELIVERED, Result.PERMANENT: REFUSED}.get(outcome.result, FAILED)
    return Told(result, outcome.words)
