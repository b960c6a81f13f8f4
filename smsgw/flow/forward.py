"""Forward: makes an MO a message to another handset or SIM (A-R9, A-R15), and knows it again when
it comes back.

Comes from: ``deliver``, with an MO for a mobile or SIM target. Goes on to: ``accept``, as a message
of the account whose number received it.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

from attrs import evolve

from smsgw.flow import route
from smsgw.flow.accept import Acceptance
from smsgw.flow.decide import Outcome
from smsgw.message import UDHI, Direction, Message
from smsgw.provisioning import Account
from smsgw.provisioning.targets import Target
from smsgw.queues import Transaction
from smsgw.refusals import Reason, Refusal
from smsgw.rules.tables import Tables
from smsgw.text import coding, numbers, parts

_KEPT = 10_000  # forwarded parts that are known again
_KEPT_S = 3600.0

# Of reasons that hold until somebody does something, those after which a later try may pass.
_PASSING = frozenset({Reason.QUOTA_EXCEEDED, Reason.NO_CREDIT, Reason.ACCOUNT_INACTIVE})
_SENDER = frozenset({Reason.SOURCE_NOT_PROVISIONED, Reason.BAD_SOURCE, Reason.BAD_SOURCE_TON})


def passing(reason: Reason) -> bool:
    """True if what was refused for ``reason`` may be accepted at a later try."""
    return reason.answer.temporary or reason in _PASSING


class Forwarding:
    """What was forwarded from number to number lately.

    Nothing on the way says that a message was forwarded, so that of two numbers that forward to
    each other each would get it again and again (A-D7). One that comes in as it was sent out has
    been forwarded before.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        # (source, destination, octets) of a part -> when it was sent, and the number before
        self._sent: OrderedDict[tuple[str, str, bytes], tuple[float, str]] = OrderedDict()

    def sent(self, message: Message) -> None:
        """This goes out, forwarded by the number ``message.via``."""
        if message.multimedia is not None:
            return  # its counter ends its circles (spec/mm4.md §4, Loops)
        for octets in (*message.parts, *_joined(message)):
            key = (message.source, message.destination, octets)
            self._sent[key] = (self._now(), message.via)
            self._sent.move_to_end(key)
        while len(self._sent) > _KEPT:
            self._sent.popitem(last=False)

    def via(self, message: Message) -> str:
        """The number that forwarded an MO that has just come in, "" if none did."""
        if not self._sent or message.multimedia is not None:
            return ""
        source, destination = message.source.lstrip("+"), message.destination.lstrip("+")
        known = self._sent.get((source, destination, message.parts[0]))
        return known[1] if known is not None and self._now() - known[0] < _KEPT_S else ""


def _joined(message: Message) -> list[bytes]:
    """What a long message is when it comes in again and its parts are joined (``join``)."""
    if len(message.parts) < 2:
        return []
    return [parts.without_concatenation(message.parts[0]) + parts.join(message.parts)]


def forward(
    mo: Message,
    target: Target,
    account: Account,
    tables: Tables,
    acceptance: Acceptance,
    transaction: Transaction,
) -> Outcome:
    """Has ``account`` send ``mo`` on to ``target``; the outcome, in ``transaction``.

    It keeps its source where the route takes such (A-D8), and always on the way to a SIM, which is
    where it was meant to arrive.
    """
    destination = numbers.normalise_destination(target.address, 0, account.country)
    if isinstance(destination, Reason):
        return Refusal(destination, target.address)
    via = mo.destination.removeprefix("+")
    message = Message(
        source=mo.source,
        destination=destination,
        source_ton=mo.source_ton,
        protocol_id=mo.protocol_id,
        interface="forward",
        account=account.name,
        direction=Direction.MT,
        via=via,
    )
    kept = mo.multimedia
    whole = kept is None and not mo.esm_class & UDHI
    text = coding.decode(mo.data_coding, mo.parts[0]) if whole else None
    flash = target.prefix == "!"
    if kept is not None:
        message.kind, message.parts = "mms", [b""]
        # Reports are for who sent it, and are of the message that came.
        message.multimedia = evolve(
            kept,
            delivery_report=False,
            relay_report=False,
            read_reply=False,
            to=[],
            cc=[],
            link="",
            expires_at=0,
        )
    elif text is not None:
        message.text, message.flash = text, flash
    else:
        message.parts, message.esm_class = list(mo.parts), mo.esm_class & UDHI
        message.data_coding = mo.data_coding
        if flash:
            with suppress(ValueError):  # not every alphabet has a class 0
                message.data_coding = coding.flash(mo.data_coding)
    if target.kind == "sim" or _takes_foreign(message, tables):
        outcome = acceptance.add(account, evolve(message), transaction)
        if not (isinstance(outcome, Refusal) and outcome.reason in _SENDER):
            return outcome
    message.source, message.source_ton = via, 0
    shown = f"+{mo.source.lstrip('+')}" if mo.source.lstrip("+").isdigit() else mo.source
    if message.multimedia is not None:
        message.multimedia.subject = f"From {shown}: {message.multimedia.subject}".rstrip(": ")
    elif text is not None:
        message.text = f"From {shown}: {text}"
    return acceptance.add(account, message, transaction)


def _takes_foreign(message: Message, tables: Tables) -> bool:
    chosen = route.choose(message, tables)
    return chosen is not None and chosen.foreign_senders
