"""Decide: whether one message is taken, as what, by which route and at which price.

Comes from: ``accept``, message by message. Goes on to: back to it, with the message filled in, or
with a refusal.
"""

from collections.abc import Callable, Set

from attrs import define
from twisted.logger import Logger

from smsgw.flow import route
from smsgw.flow.company import Company
from smsgw.flow.lists import Lists
from smsgw.flow.money import Balances
from smsgw.flow.quotas import Quotas
from smsgw.identities import Identities
from smsgw.message import UDHI, Message
from smsgw.provisioning import Account
from smsgw.refusals import Reason, Refusal
from smsgw.rules import money
from smsgw.rules.duplicates import Duplicates
from smsgw.rules.limits import TokenBucket
from smsgw.rules.listed import Asked
from smsgw.rules.price import PriceTable
from smsgw.rules.tables import Tables
from smsgw.rules.tree import Standing, standing
from smsgw.text import coding, national, numbers, parts, transliterate

_log = Logger()

# What an account has that sets no other: spec/aerialink.md 4.3, spec/link-smpp.md L-D21.
DEFAULT_VALIDITY_MS = 48 * 3600_000
MAX_VALIDITY_MS = 7 * 24 * 3600_000
MAX_SCHEDULE_MS = 30 * 24 * 3600_000  # spec/aerialink.md 4.3 scheduleTime
MMS_VALIDITY_MS = 72 * 3600_000  # spec/mm4.md §4, for one that names no expiry
# Edges whose clients may send from a number of 16 digits (W-D20, section 7 of spec/aql.md).
_LONG_SENDERS = ("websmpp", "relay")

Outcome = Message | Refusal
# Makes of an MMS an SMS with a link to it, with ``text`` (or ``parts``) and kind "sms"; its
# ``multimedia`` stays, and so do its references to media. Or says why not.
Link = Callable[[Message, Account], Refusal | None]


@define
class Terms:
    """What holds for the messages of one account that are decided together: it is looked up once.

    What they use of quotas and balance is counted here, until ``accept`` charges it for all of
    them; before that no other terms are made.
    """

    account: Account
    tables: Tables
    place: Standing
    now: float  # seconds since 1970
    now_ms: int
    limited: frozenset[str] | None  # senders and pools that the login may use, None: all
    trial: bool  # rates do not count
    senders: frozenset[str] | None
    lists: Asked | None
    prices: PriceTable | None
    payer: str  # the account above that is charged, "" if it is the account itself
    funds: int | None  # what the payer may spend, None: any amount
    room: int  # message parts that quotas leave
    parts: int = 0  # of what was accepted
    cost: int = 0


class Decisions:
    """The steps of design section 3.1, in their order, and what they remember."""

    def __init__(
        self,
        identities: Identities,
        balances: Balances,
        is_up: Callable[[str], bool] = lambda carrier: True,
        lists: Lists | None = None,
        duplicates: Duplicates | None = None,
        quotas: Quotas | None = None,
    ) -> None:
        """``is_up`` says whether a carrier has a link up."""
        self._identities = identities
        self._balances = balances
        self._is_up = is_up
        self._lists = lists or Lists()
        self._duplicates = duplicates or Duplicates()
        self._buckets: dict[str, TokenBucket] = {}
        # The part of each account's rate that this node lets pass: others have the rest.
        self.share = 1.0
        self._company = Company()
        # Queues that are over their limit: nothing more is taken for them.
        self.full: Set[str] = frozenset()
        # For an MMS whose route says ``mms = "link"`` and has no carrier that takes it as it is.
        self.link: Link | None = None
        self._quotas = quotas or Quotas()

    def terms(
        self,
        account: Account,
        tables: Tables,
        now: float,
        limited: frozenset[str] | None = None,
        trial: bool = False,
        credit: bool = True,
    ) -> Terms:
        """The terms of messages of ``account`` now.

        ``limited``: senders and pools that its login may use, None if all of the account's. With
        ``trial`` rates do not count; without ``credit`` it does not matter who can pay.
        """
        name = account.name
        place = tables.standing.get(name) or standing(account, tables.accounts)
        payer = place.payer
        return Terms(
            account,
            tables,
            place,
            now,
            int(now * 1000),
            limited,
            trial,
            tables.senders.get(name),
            self._lists.asked(place.lineage),
            tables.prices.get(name),
            payer.name if payer.name != name else "",
            self._balances.funds(payer) if credit else None,
            self._quotas.room(place.metered, int(now * 1000)),
        )

    def decide(self, message: Message, terms: Terms) -> Outcome:
        """The message, with what the gateway decides filled in, or why it is refused."""
        account, tables, place = terms.account, terms.tables, terms.place
        # Address-normalised.
        destination = numbers.normalise_destination(
            message.destination, message.destination_ton, account.country
        )
        if isinstance(destination, Reason):
            return Refusal(destination, message.destination)
        if len(destination) > numbers.MAX_DIGITS:
            # An ICCID is in no numbering plan; what a SIM's carrier wants is its form's.
            message.destination_ton = message.destination_npi = numbers.UNKNOWN
        elif message.destination_ton != numbers.SHORT_CODE:
            message.destination_ton = numbers.INTERNATIONAL
            message.destination_npi = numbers.ISDN
        message.destination = destination
        asked = message.source or account.sender
        if account.pool or not message.source:
            self._choose_sender(message, asked, account, tables)
        source = numbers.detect_source(message.source, message.source_ton, account.country)
        if isinstance(source, Reason) and message.interface in _LONG_SENDERS:
            source = numbers.long_source(message.source)
        if isinstance(source, Reason):
            return Refusal(source, message.source)
        message.source, message.source_ton, message.source_npi = source

        # Coded and counted in parts.
        refusal = self._code(message, account)
        if refusal is not None:
            return refusal

        # Checked.
        senders = terms.senders
        # What the gateway itself sends is from the number that a handset wrote to.
        own = message.via or message.exempt
        if (
            senders is not None
            and message.source not in senders
            and not own
            and not tables.numbers.has(account.name, message.source)
        ):
            return Refusal(Reason.SOURCE_NOT_PROVISIONED, message.source)
        limited = terms.limited
        if (
            limited is not None
            and message.source not in limited
            # The name of a pool stands for its senders.
            and (asked not in limited or asked not in tables.pools.get(account.name, ()))
        ):
            return Refusal(Reason.SOURCE_NOT_PROVISIONED, f"{message.source} by this login")
        if terms.lists is not None:
            reason = terms.lists.refuses(message.source, destination, message.exempt)
            if reason is not None:
                return Refusal(reason, destination)
        now_ms = terms.now_ms
        start = now_ms
        if message.schedule_at > now_ms:
            if message.schedule_at > now_ms + MAX_SCHEDULE_MS:
                return Refusal(Reason.BAD_SCHEDULE, "more than 30 days ahead")
            start = message.schedule_at
        if account.send_hours and not message.exempt:
            opens = self._opening(message, account, tables, start)
            if opens > start:
                start = message.schedule_at = opens
        message.accepted_at = now_ms
        validity = message.validity_ms or (
            account.validity * 60_000 if message.kind == "sms" else MMS_VALIDITY_MS
        )
        message.expires_at = start + min(validity, MAX_VALIDITY_MS)

        if tables.content is not None:
            # Who sent it is not told by which filter.
            filtered = tables.content.refuses(message)
            if filtered is not None:
                _log.debug(
                    "{account}: stopped by filter {filter}", account=account.name, filter=filtered
                )
                return Refusal(Reason.FILTERED)
        window_s = account.duplicate_window_s
        if window_s and self._duplicates.has(message, window_s, now_ms):
            return Refusal(Reason.DUPLICATE)

        # Routed and priced.
        together = self._company.key(message) if message.esm_class & UDHI else None
        way = None
        if together is not None:
            way = self._company.way(together, message, tables, now_ms)
        chosen = way[0] if way is not None else route.choose(message, tables)
        if chosen is None:
            return Refusal(Reason.NO_ROUTE, f"no route for {message.destination}")
        # Forwarded from handset to handset with the source that it had (A-D8).
        foreign = bool(message.via) and message.source != message.via
        if foreign and not (chosen.foreign_senders or chosen.sim):
            return Refusal(Reason.SOURCE_NOT_PROVISIONED, message.source)
        message.route = chosen.name
        message.carriers = way[1] if way else route.carriers(chosen, message, self._is_up, tables)
        if message.kind == "mms" and message.carriers[0] not in tables.mm4:
            refusal = self._as_link(message, account)
            if refusal is not None:
                return refusal
        if self.full and route.carrier_queue(message.carriers[0]) in self.full:
            return Refusal(Reason.QUEUE_FULL, f"the queue of {message.carriers[0]}")
        if together is not None:
            self._company.went(together, message, now_ms)
        elif tables.wide and len(message.parts) > 1 and message.carriers[0] in tables.wide:
            refusal = self._widen(message, account)
            if refusal is not None:
                return refusal
        message.queue_ms = chosen.queue_time_s * 1000
        message.price = chosen.price
        prices = terms.prices
        if prices is not None:
            priced = prices.find(destination)
            if priced is not None:
                message.price = priced.price

        count = len(message.parts)
        message.charged = money.amount(message.price)
        if message.charged:
            cost = message.charged * count
            if terms.payer:
                message.payer = terms.payer
            if terms.funds is not None and terms.cost + cost > terms.funds:
                return Refusal(Reason.NO_CREDIT, f"it costs {money.shown(cost)}")

        # Limited: last, so that what is refused for another reason uses up nothing.
        if terms.parts + count > terms.room:
            limits = (
                self._quotas.exceeded(one, terms.parts + count, now_ms) for one in place.metered
            )
            return Refusal(Reason.QUOTA_EXCEEDED, next(filter(None, limits), ""))
        if place.rated and not terms.trial:
            refusal = self.over_rate(place, count, terms.now)
            if refusal is not None:
                return refusal
        return message

    def _widen(self, message: Message, account: Account) -> Refusal | None:
        """Splits a message again, with references of 16 bits, which leave less room in a part."""
        header = parts.without_concatenation(message.parts[0])
        octets, reference = parts.join(message.parts), self._identities.allot() & 0xFFFF
        try:
            message.parts = parts.split(octets, message.data_coding, reference, header, wide=True)
        except ValueError as error:
            return Refusal(Reason.TOO_LONG, str(error))
        return _too_many(message, account)

    def _as_link(self, message: Message, account: Account) -> Refusal | None:
        """Makes an SMS of an MMS that its carrier cannot take; its price is that of its parts."""
        if self.link is None:
            return Refusal(Reason.NO_ROUTE, f"{message.carriers[0]} takes no MMS")
        return self.link(message, account) or self._code(message, account)

    def over_rate(self, place: Standing, parts: int, now: float) -> Refusal | None:
        """The refusal of what the rates of an account and of those above it do not let pass now;
        None if they do, and the parts are counted."""
        buckets = []
        for one in place.rated:
            bucket = self._buckets.get(one.name)
            rate = one.rate * self.share
            if bucket is None or bucket.rate != rate:
                bucket = self._buckets[one.name] = TokenBucket(rate)
            if not bucket.allows(parts, now):
                return Refusal(Reason.THROTTLED, f"{one.rate:g} parts a second")
            buckets.append(bucket)
        for bucket in buckets:
            bucket.spend(parts, now)
        return None

    def _choose_sender(
        self, message: Message, asked: str, account: Account, tables: Tables
    ) -> None:
        """Puts the default sender in place of none, and one of a pool's in place of its name."""
        pools = tables.pools.get(account.name)
        pool = pools.get(asked) if pools is not None else None
        chosen = pool.choose(message.destination) if pool is not None else asked
        if chosen != message.source:
            message.source, message.source_ton, message.source_npi = chosen, numbers.UNKNOWN, 0

    def _opening(self, message: Message, account: Account, tables: Tables, at_ms: int) -> int:
        """When the account's send windows let the message out, not before ``at_ms``."""
        hours = tables.send_hours.get(account.name)
        if hours is None:
            return at_ms
        # Neither a short code nor a SIM is in the numbering plan that tells the time zone.
        plain = message.destination_ton == numbers.INTERNATIONAL
        return hours.opening(message.destination, at_ms, "" if plain else account.time_zone)

    def _code(self, message: Message, account: Account) -> Refusal | None:
        """Codes a text in the smallest way that fits, and splits what is too long for one part."""
        if message.text is not None:
            try:
                header = b""
                if message.data_coding:
                    octets = coding.encode(message.text, message.data_coding)
                else:
                    message.data_coding, octets = coding.smallest(message.text)
                    if message.data_coding != coding.GSM:
                        message.data_coding, octets, header = _smaller(message.text, account)
                if message.flash:
                    message.data_coding = coding.flash(message.data_coding)
            except ValueError as error:
                return Refusal(Reason.BAD_CODING, str(error))
            message.text = None
            message.parts = [header + octets]
            if header:
                message.esm_class |= UDHI
        octets = message.parts[0]
        header = b""
        if message.esm_class & UDHI:
            header, text = parts.udh(octets)
            if len(text) <= parts.capacity(message.data_coding, len(header)):
                if len(header) > parts.OCTETS:
                    return Refusal(Reason.TOO_LONG, "more than one part")
                return None
            octets = text
        if header or len(octets) > 140:
            try:
                message.parts = parts.split(
                    octets, message.data_coding, self._identities.allot() & 0xFF, header
                )
            except ValueError as error:
                return Refusal(Reason.TOO_LONG, str(error))
            if len(message.parts) > 1:
                message.esm_class |= UDHI
                return _too_many(message, account)
        return None


def _too_many(message: Message, account: Account) -> Refusal | None:
    limit = min(account.max_parts, message.max_parts or account.max_parts)
    count = len(message.parts)
    return Refusal(Reason.TOO_LONG, f"{count} parts, limit {limit}") if count > limit else None


def _smaller(text: str, account: Account) -> tuple[int, bytes, bytes]:
    """Data coding, octets and user data header of a text that is not GSM: as GSM with look-alikes
    or with the account's national shift tables where it wants that, else as it is."""
    smart = transliterate.smart(text) if account.smart_encoding else text
    if account.smart_encoding:
        data_coding, octets = coding.smallest(smart)
        if data_coding == coding.GSM:
            return data_coding, octets, b""
    if account.national:
        found = national.encode(smart, national.LANGUAGES[account.national])
        if found is not None:
            return coding.GSM, found[1], found[0]
    return *coding.smallest(text), b""
