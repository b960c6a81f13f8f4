"""Decide: whether one message is taken, as what, by which route and at which price.

Comes from: ``accept``, message by message. Goes on to: back to it, with the message filled in, or
with a refusal.
"""

from collections.abc import Callable

from smsgw.flow import route
from smsgw.flow.money import Balances
from smsgw.identities import Identities
from smsgw.message import UDHI, Message
from smsgw.provisioning import Account
from smsgw.refusals import Reason, Refusal
from smsgw.rules import money
from smsgw.rules.limits import TokenBucket
from smsgw.rules.tables import Tables
from smsgw.text import coding, numbers, parts, transliterate

DEFAULT_VALIDITY_MS = 48 * 3600_000  # spec/aerialink.md 4.3, spec/link-smpp.md L-D21
MAX_VALIDITY_MS = 7 * 24 * 3600_000
MAX_SCHEDULE_MS = 30 * 24 * 3600_000  # spec/aerialink.md 4.3 scheduleTime

Outcome = Message | Refusal


class Decisions:
    """The steps of design section 3.1, in their order, and what they remember."""

    def __init__(
        self,
        identities: Identities,
        balances: Balances,
        is_up: Callable[[str], bool] = lambda carrier: True,
    ) -> None:
        """``is_up`` says whether a carrier has a link up."""
        self._identities = identities
        self._balances = balances
        self._is_up = is_up
        self._buckets: dict[str, TokenBucket] = {}

    def decide(self, message: Message, account: Account, tables: Tables, now: float) -> Outcome:
        """The message, with what the gateway decides filled in, or why it is refused."""
        # Address-normalised.
        destination = numbers.normalise_destination(
            message.destination, message.destination_ton, account.country
        )
        if isinstance(destination, Reason):
            return Refusal(destination, message.destination)
        if message.destination_ton != numbers.SHORT_CODE:
            message.destination_ton = numbers.INTERNATIONAL
            message.destination_npi = numbers.ISDN
        message.destination = destination
        source = numbers.detect_source(message.source, message.source_ton, account.country)
        if isinstance(source, Reason):
            return Refusal(source, message.source)
        message.source, message.source_ton, message.source_npi = source

        # Coded and counted in parts.
        refusal = self._code(message, account)
        if refusal is not None:
            return refusal

        # Checked.
        senders = tables.senders.get(account.name)
        if senders is not None and message.source not in senders:
            return Refusal(Reason.SOURCE_NOT_PROVISIONED, message.source)
        now_ms = int(now * 1000)
        start = now_ms
        if message.schedule_at > now_ms:
            if message.schedule_at > now_ms + MAX_SCHEDULE_MS:
                return Refusal(Reason.BAD_SCHEDULE, "more than 30 days ahead")
            start = message.schedule_at
        message.accepted_at = now_ms
        validity = message.validity_ms or DEFAULT_VALIDITY_MS
        message.expires_at = start + min(validity, MAX_VALIDITY_MS)

        # Routed and priced.
        chosen = route.choose(message, tables)
        if chosen is None:
            return Refusal(Reason.NO_ROUTE, f"no route for {message.destination}")
        message.route = chosen.name
        message.carriers = route.carriers(chosen, message, self._is_up)
        message.price = chosen.price

        message.charged = money.amount(message.price)
        if message.charged:
            cost = message.charged * len(message.parts)
            if not self._balances.covers(account, cost):
                return Refusal(Reason.NO_CREDIT, f"it costs {money.shown(cost)}")

        # Limited: last, so that what is refused for another reason uses up nothing.
        if not self.within_rate(account, len(message.parts), now):
            return throttled(account)
        return message

    def within_rate(self, account: Account, parts: int, now: float) -> bool:
        """True if the account may send so many parts now; they are counted."""
        if not account.rate:
            return True
        bucket = self._buckets.get(account.name)
        if bucket is None or bucket.rate != account.rate:
            bucket = self._buckets[account.name] = TokenBucket(account.rate)
        return bucket.take(parts, now)

    def _code(self, message: Message, account: Account) -> Refusal | None:
        """Codes a text in the smallest way that fits, and splits what is too long for one part."""
        if message.text is not None:
            try:
                if message.data_coding:
                    octets = coding.encode(message.text, message.data_coding)
                else:
                    message.data_coding, octets = coding.smallest(message.text)
                    if account.smart_encoding and message.data_coding != coding.GSM:
                        message.data_coding, octets = _smarter(message.text)
                if message.flash:
                    message.data_coding = coding.flash(message.data_coding)
            except ValueError as error:
                return Refusal(Reason.BAD_CODING, str(error))
            message.text = None
            message.parts = [octets]
        octets = message.parts[0]
        if message.esm_class & UDHI:
            header = parts.udh(octets)[0]
            limit = parts.capacity(message.data_coding, len(header)) + len(header)
            if len(octets) > limit or len(header) > parts.OCTETS:
                return Refusal(Reason.TOO_LONG, "more than one part")
            return None
        if len(octets) > 140:
            try:
                message.parts = parts.split(
                    octets, message.data_coding, self._identities.allot() & 0xFF
                )
            except ValueError as error:
                return Refusal(Reason.TOO_LONG, str(error))
            if len(message.parts) > 1:
                message.esm_class |= UDHI
                limit = min(account.max_parts, message.max_parts or account.max_parts)
                if len(message.parts) > limit:
                    detail = f"{len(message.parts)} parts, limit {limit}"
                    return Refusal(Reason.TOO_LONG, detail)
        return None


def throttled(account: Account) -> Refusal:
    """The refusal of what the account's rate does not let pass."""
    return Refusal(Reason.THROTTLED, f"{account.rate:g} parts a second")


def _smarter(text: str) -> tuple[int, bytes]:
    """Data coding and octets of a text that is not GSM: with look-alikes if these make it GSM, else
    as it is."""
    data_coding, octets = coding.smallest(transliterate.smart(text))
    return (data_coding, octets) if data_coding == coding.GSM else coding.smallest(text)
