"""Actions: of the routes of an account, which one is for an MO or a report, and where its actions
bring it (E-D20, E-D21 of ``spec/aerialink.md``).

Comes from: ``inbound`` and ``settle``, before they look at numbers' targets and the callback.
Goes on to: the queues of the targets, which ``deliver`` attends.
"""

from smsgw.message import Direction, Message
from smsgw.provisioning import Account
from smsgw.provisioning.actions import ActionRoute, target_of
from smsgw.provisioning.targets import NULL, Target
from smsgw.queues import Kind
from smsgw.rules.filters import text_of
from smsgw.rules.numbers import first_word

_EVENTS = {Kind.MO: "MO", Kind.RECEIPT: "DLR", Kind.PROGRESS: "CDA", Kind.READ: "DLR"}


def targets_for(message: Message, account: Account, kind: Kind) -> list[Target] | None:
    """Where the account's routes bring the event ``kind`` of a message; None if none of them is for
    it, so that its numbers' targets or its callback are meant.

    The first route by ``sequence`` is used that lets the message pass and has an action for the
    event; all of these are run. NULL is an action for every event that brings it nowhere.
    """
    event = _EVENTS[kind]
    for one in sorted(account.route, key=lambda route: route.sequence):
        if not _passes(one, message):
            continue
        found = [target_of(action, event, _kind(message)) for action in one.actions]
        meant = [target for target in found if target is not None]
        if meant:
            return list(dict.fromkeys(target for target in meant if target is not NULL))
    return None


def _kind(message: Message) -> str:
    """What its sender made it: an MMS is one to who sent it, though it went as an SMS with a
    link."""
    return "sms" if message.multimedia is None else "mms"


def _passes(route: ActionRoute, message: Message) -> bool:
    inbound = message.direction == Direction.MO
    code = message.destination if inbound else message.source
    if route.code and route.code.upper() != code.removeprefix("+").upper():
        return False
    if route.kind and route.kind != _kind(message):
        return False
    if route.keyword:
        return inbound and first_word(text_of(message)) == route.keyword
    return True
