"""How accounts, carriers, queues and messages are shown, from what the store alone knows."""

import re
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, case, func, select

from smsgw.flow.quotas import Quotas
from smsgw.flow.targets import account_of, account_queue
from smsgw.identities import from_guid, to_guid
from smsgw.message import Direction, Message, MessageState
from smsgw.operate.account_views import AccountView, BalanceView
from smsgw.operate.node_views import CarrierView, NodeView
from smsgw.operate.operator import MessageView, QueueView
from smsgw.provisioning import Account, Carrier
from smsgw.provisioning.targets import masked
from smsgw.rules import money
from smsgw.rules.tree import standing
from smsgw.store import batches, ledger, nodes, records, schema

_TEXT = 200  # characters of a top-up's text
_MOST_TOGETHER = 1_000  # messages of one request that are shown
_MOST = 10**17  # ten-thousandths; a balance above could overflow


def parse_id(text: str) -> int | None:
    """The message id in ``text``.

    Decimal, UUID form or 32 hex digits; None if it is none of them.
    """
    text = text.strip()
    if text.isascii() and text.isdecimal() and len(text) <= 19:
        number = int(text)
        return number if 0 < number < 1 << 63 else None
    found = from_guid(text)
    return found[0] if found else None


def account_view(account: Account) -> AccountView:
    """``account`` as provisioned."""
    return AccountView(
        name=account.name,
        parent=account.parent,
        suspended=account.suspended,
        expires=account.expires,
        balance=account.balance,
        rate=account.rate,
        quota_day=account.quota_day,
        quota_month=account.quota_month,
        logins=[f"{one.kind} {one.username}" for one in account.credential],
        numbers=[one.address for one in account.number],
    )


def with_standing(
    shown: Sequence[AccountView], accounts: Mapping[str, Account], quotas: Quotas, now: float
) -> None:
    """Tells of each account what holds because of those above it, and what it has used; ``now`` is
    seconds since 1970."""
    for one in shown:
        account = accounts[one.name]
        place = standing(account, accounts)
        one.suspended = place.suspended
        one.currency = place.currency
        one.expired = place.expires_at <= now * 1000
        one.used_day, one.used_month = quotas.used(account, now)


def with_balances(accounts: Sequence[AccountView], balances: dict[str, int]) -> None:
    """Tells of each account that has a balance what it is now."""
    for one in accounts:
        if one.name in balances:
            one.balance = money.shown(balances[one.name])


def read_balance(connection: Connection, account: str) -> BalanceView:
    """What the account has, or that there is no such account."""
    found = ledger.balance(connection, account)
    if found is None:
        return BalanceView(account, error=f"there is no account {account}; see: smsgw accounts")
    amount, limit = found
    shown_limit = None if limit is None else money.shown(limit)
    currency = ledger.currency(connection, account)
    return BalanceView(account, money.shown(amount), shown_limit, currency=currency)


def top_up_entry(
    view: BalanceView, amount: str, text: str, correct: bool, id: int, at: int
) -> schema.LedgerRow | str:
    """The entry that adds ``amount`` to the balance that ``view`` shows, or takes it off with
    ``correct``; or why it cannot be."""
    if view.error:
        return view.error
    added = 0
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,4})?", amount):
        added = money.amount(amount)
    if not added:
        return (
            f"{amount[:40]} is no amount; it must be above 0, such as 25.00, with at most "
            f"{money.PLACES} digits after the point"
        )
    if not correct and money.amount(view.balance) + added > _MOST:
        return "the balance would be too large; add less"
    if correct and not text:
        return "a correction needs a text that says why"
    if correct and view.credit_limit is not None:
        most = money.amount(view.balance) + money.amount(view.credit_limit)
        if added > most:
            return not_covered(max(0, most))
    if len(text) > _TEXT or not text.isprintable():
        return f"the text must be printable, of at most {_TEXT} characters"
    if correct:
        return schema.LedgerRow(id, view.account, at, -added, money.Entry.CORRECTION, None, text)
    return schema.LedgerRow(id, view.account, at, added, money.Entry.TOP_UP, None, text)


def not_covered(most: int) -> str:
    """Why a correction is refused; ``most`` is what the account has, in ten-thousandths."""
    return f"the account has not so much; at most {money.shown(most)} can be taken off"


def carrier_view(carrier: Carrier) -> CarrierView:
    """``carrier`` as provisioned, with no link up."""
    peer = f"{carrier.host or carrier.domain}:{carrier.connect_port}"
    if carrier.kind == "simulator":
        peer = ""
    elif carrier.only_calls:
        peer = f"calls from {', '.join(carrier.outbind_allow)}"
    return CarrierView(
        name=carrier.name,
        kind=carrier.kind,
        peer=peer,
        links={"simulator": 1, "mm4": 0}.get(carrier.kind, carrier.binds),
        window=carrier.window,
    )


def with_others(view: CarrierView, here: bool, others: Sequence[nodes.NodeRow]) -> None:
    """Adds to a carrier, as this node sees it, the links of other nodes; ``here`` says that this
    one has links as well."""
    links = [(row, one) for row in others for one in row.links if one.carrier == view.name]
    if not links:
        return
    view.outstanding += sum(one.outstanding for _, one in links)
    bound = [(row, one) for row, one in links if one.name]
    view.links = (view.links if here else 0) + len(bound)
    view.links_up += sum(one.up for _, one in bound)
    # Of what is not up this node tells of its own first.
    best = next((one for _, one in links if one.up and one.since), links[0][1])
    if view.state != "up" and best.since and (best.up or not view.since):
        view.state, view.since = best.state, best.since
    down = [f"{row.name}: {one.reason}" for row, one in links if one.reason]
    if not view.reason and down:
        view.reason = down[0]


def message_view(message: Message, queued: Sequence[str] = ()) -> MessageView:
    """``message``, and the names of the queues that hold an entry of it. Its text is not shown."""
    acknowledged = message.acknowledged
    mo = message.direction == Direction.MO
    return MessageView(
        id=str(message.id),
        guid=to_guid(message.id),
        direction=Direction(message.direction).name,
        account=message.account,
        source=message.source,
        destination=message.destination,
        parts=len(message.parts),
        state=MessageState(message.state).stat,
        final=MessageState(message.state).final,
        error=message.error,
        network_error=message.network_error,
        route=message.route,
        # What an MO has there are its targets.
        carrier=message.carriers[0] if mo and message.carriers else message.carrier,
        carrier_ids=[]
        if mo
        else [acknowledged[number].carrier_id for number in sorted(acknowledged)],
        accepted_at=message.accepted_at,
        carrier_at=message.carrier_at,
        done_at=message.done_at,
        interface=message.interface,
        client_reference=message.client_reference or "",
        queued=list(queued),
        targets=[_target(message, n) for n in range(len(message.targets))],
        kind=message.kind,
        media=[
            f"{one.name} {one.type} {one.size}"
            for one in (message.multimedia.media if message.multimedia else ())
        ],
        read_at=message.read_at,
    )


def _target(message: Message, number: int) -> str:
    """A target of an MO and how its delivery stands."""
    outcome = message.acknowledged.get(number)
    # Of a single one the message says it.
    single = len(message.targets) == 1
    state = message.state if single or outcome is None else outcome.state
    if outcome is None and not single:
        state = MessageState.ENROUTE
    return f"{masked(message.targets[number])} {MessageState(state).stat}"


def read_queues(connection: Connection, now_ms: int) -> list[QueueView]:
    """All queues that have entries, by name."""
    c = schema.queue.c
    due = func.sum(case((c.due <= now_ms, 1), else_=0))
    query = select(c.queue, func.count(), due, func.min(c.due)).group_by(c.queue).order_by(c.queue)
    found: dict[str, QueueView] = {}
    for row in connection.execute(query):
        view = QueueView(masked(row[0]), *row[1:])
        same = found.setdefault(view.name, view)
        if same is not view:
            # They differ only in what is not shown.
            same.waiting += view.waiting
            same.due += view.due
            same.oldest = min(same.oldest, view.oldest)
    return list(found.values())


def read_nodes(connection: Connection) -> list[NodeView]:
    """The nodes that share the store, by number."""
    sessions = nodes.sessions(connection)
    scheduler = nodes.leases(connection).get("scheduler")
    return [
        NodeView(
            one.number,
            one.name,
            list(one.roles),
            one.version,
            dict(one.carriers),
            sessions.get(one.number, 0),
            one.started_at,
            one.seen_at,
            one.number == scheduler,
        )
        for one in nodes.read(connection)
        if one.seen_at != nodes.LEFT
    ]


def waiting(queues: Sequence[QueueView]) -> dict[str, int]:
    """How many entries wait, by queue; those of an account's targets with those for its
    sessions."""
    found: dict[str, int] = {}
    for one in queues:
        account = account_of(one.name)
        name = account_queue(account) if account else one.name
        found[name] = found.get(name, 0) + one.waiting
    return found


def read_message(connection: Connection, id: int) -> MessageView | None:
    """The message with this id, or the one that stands for the request with this id; None if there
    is neither."""
    found = records.read(connection, [id])
    if not found:
        return _read_request(connection, id)
    c = schema.queue.c
    queued = connection.execute(select(c.queue).where(c.message == id).distinct()).scalars()
    return message_view(found[0], sorted({masked(one) for one in queued}))


def _read_request(connection: Connection, id: int) -> MessageView | None:
    """The messages of one request, for which one id stands."""
    together = batches.read(connection, id)
    first = batches.spokesman(together.messages) if together is not None else None
    view = read_message(connection, first.id) if first is not None else None
    if together is None or view is None:
        return None
    said = [
        f"{one.id} {MessageState(one.state).stat} {one.destination}" for one in together.messages
    ]
    view.messages = said[:_MOST_TOGETHER]
    if len(said) > _MOST_TOGETHER:
        view.messages.append(f"and {len(said) - _MOST_TOGETHER} more")
    return view
