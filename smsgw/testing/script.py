"""What a simulated SMSC does: settings, and the plan that they make for each message."""

from collections.abc import Callable
from random import Random
from typing import Any

from attrs import define, field, frozen

from smsgw.message import STATE_BY_STAT, MessageState
from smsgw.smpp.constants import Status
from smsgw.smpp.pdu import SubmitSm
from smsgw.toml import (
    Reader,
    Wrong,
    choice,
    custom,
    flag,
    integer,
    number,
    secret,
    shown,
    text,
)


@frozen
class Plan:
    """What becomes of one submit_sm."""

    # command_status of the response; with another than 0 there is no receipt.
    status: int = 0
    # False: as if it had never come: no response, no receipt.
    taken: bool = True
    # How often the response is sent: 0 = lost, 2 = twice.
    responses: int = 1
    state: MessageState = MessageState.DELIVERED
    receipts: int = 1
    # The receipt goes out before the response.
    early: bool = False


MAX_WEIGHT = 1_000_000
_SHARE = number(0, 1)
_BASES = choice("decimal", "hex")


def _setting(default: Any, check: dict[str, Any], meaning: str) -> Any:
    """A field with its check (``smsgw.toml``) and what its option's help says."""
    return field(default=default, metadata={**check, "help": meaning})


def _between(value: object, least: float, most: float) -> bool:
    """True for a number within the bounds, which nan and infinity are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _weights(value: Any) -> dict[str, float]:
    if (
        not isinstance(value, dict)
        or any(stat not in STATE_BY_STAT for stat in value)
        or not all(_between(weight, 0, MAX_WEIGHT) for weight in value.values())
        or not sum(value.values())
    ):
        raise Wrong(
            f"{shown(value)} of wrong content; it must be weights of states such as "
            "{ DELIVRD = 95, UNDELIV = 5 }"
        )
    return value


def _refusals(value: Any) -> dict[int, float]:
    right = 'shares of statuses such as { "0x14" = 0.1, "0x45" = 0.02 }, at most 1 together'
    if not isinstance(value, dict):
        raise Wrong(f"{shown(value)} is not allowed; it must be {right}")
    shares = {}
    for status, share in value.items():
        try:
            code = int(str(status), 0)
        except ValueError:
            code = 0
        # 0 would be no refusal, and 32 bits are what a PDU has room for.
        if not 1 <= code < 1 << 32 or not _between(share, 0, 1):
            raise Wrong(f"{shown(status)} is no status with its share; it must be {right}")
        shares[code] = float(share)
    if sum(shares.values()) > 1:
        raise Wrong(f"these shares do not add up; they must be {right}")
    return shares


@define
class SmscScript:
    """Settings of a simulated SMSC; times in seconds, shares from 0 (never) to 1 (always).

    They may be changed while it runs. The defaults are those of a good carrier.
    """

    # Who may bind.
    system_id: str = _setting("", text(15), "system_id that may bind; empty = any")
    password: str = _setting("", secret(8), "its password; empty = any")
    max_binds: int = _setting(0, integer(0, 10_000), "sessions at the same time; 0 = any number")
    bind_status: int = _setting(0, integer(0, 2**32 - 1), "status that refuses all binds")

    # 3.3: no bind_transceiver, no TLVs either way, ids of eight hex digits (spec/smpp.md §4).
    version: str = _setting("3.4", choice("3.4", "3.3"), "the SMPP that it speaks")
    asks: bool = _setting(False, flag(), "query_sm, cancel_sm, replace_sm are served")

    # Answers.
    answer_delay_s: float = _setting(0.0, number(0, 3600), "from submit_sm to its response")
    refusals: dict[int, float] = field(
        factory=dict,
        metadata={
            **custom(_refusals),
            "help": "statuses that refuse, and how often: 0x14=0.1,0x45=0.02",
        },
    )
    throttle: float = _setting(
        0.0, number(0, 1_000_000), "submit_sm/s, beyond them ESME_RTHROTTLED; 0 = off"
    )
    # Readings of one id differ between response and receipt at some carriers (spec/smpp.md §4).
    response_id: str = _setting("decimal", _BASES, "how the response writes the message id")
    receipt_id: str = _setting("decimal", _BASES, "how the receipt writes it")

    # Receipts.
    receipts: str = _setting("asked", choice("asked", "all", "none"), "which messages get one")
    delay_s: float = _setting(0.0, number(0, 86_400), "from the response to the receipt")
    states: dict[str, float] = field(
        factory=lambda: {"DELIVRD": 1},
        metadata={**custom(_weights), "help": "weights: DELIVRD=95,UNDELIV=5"},
    )
    receipt_rate: float = _setting(0.0, number(0, 1_000_000), "receipts/s at most; 0 = any")
    receipt_window: int = _setting(100, integer(1, 10_000), "unanswered deliver_sm of a session")
    receipt_marks: bool = _setting(True, flag(), "esm_class 0x04 in them")
    receipt_tlvs: bool = _setting(True, flag(), "receipted_message_id and message_state in them")
    deliver: str = _setting(
        "deliver_sm", choice("deliver_sm", "data_sm"), "what brings receipts and MO, from 3.4 on"
    )
    deliver_timeout_s: float = _setting(
        30.0, number(0.1, 3600), "after which an unanswered deliver_sm is sent again"
    )
    retry_s: float = _setting(5.0, number(0, 3600), "after which one refused for now is sent again")

    # Mobile-originated traffic, to any session that receives.
    mo_rate: float = _setting(0.0, number(0, 100_000), "mobile-originated messages/s")
    mo_from: str = _setting("447700900123", text(20), "their source")
    mo_to: str = _setting("447700900000", text(20), "their destination")
    mo_text: str = _setting("Message {n}", text(1000), "their text; {n} counts them")
    mo_count: int = _setting(0, integer(0, 10**9), "how many deliver_sm; 0 = without end")

    # Misbehaviour.
    silence: float = _setting(0.0, _SHARE, "share of submit_sm neither taken nor answered")
    lost_responses: float = _setting(0.0, _SHARE, "share taken whose response is lost")
    double_responses: float = _setting(0.0, _SHARE, "share answered twice")
    early_receipts: float = _setting(0.0, _SHARE, "share of receipts before the response")
    lost_receipts: float = _setting(0.0, _SHARE, "share of receipts that never come")
    double_receipts: float = _setting(0.0, _SHARE, "share of receipts that come twice")
    reset_after: int = _setting(
        0, integer(0, 10**9), "submit_sm of a connection, the last of which resets it; 0 = off"
    )
    disconnect_after_s: float = _setting(
        0.0, number(0, 86_400), "after which a bound connection is closed; 0 = off"
    )
    read_rate: float = _setting(0.0, number(0, 1e9), "octets/s that it reads; 0 = as they come")
    deaf: bool = _setting(False, flag(), "everything is read, nothing at all is answered")

    seed: int = _setting(0, integer(0, 2**63), "of what is left to chance; 0 = another each time")
    # For tests: decides before all of the above; None leaves it to them.
    decide: Callable[[SubmitSm], Plan | None] | None = None

    def plan(self, pdu: SubmitSm, chance: Random) -> Plan:
        """What becomes of ``pdu``."""
        if self.decide is not None:
            decided = self.decide(pdu)
            if decided is not None:
                return decided
        if self.silence and chance.random() < self.silence:
            return Plan(taken=False)
        if self.refusals:
            drawn = chance.random()
            for status, share in self.refusals.items():
                drawn -= share
                if drawn < 0:
                    return Plan(status=status)
        responses = receipts = 1
        if self.lost_responses and chance.random() < self.lost_responses:
            responses = 0
        elif self.double_responses and chance.random() < self.double_responses:
            responses = 2
        if self.lost_receipts and chance.random() < self.lost_receipts:
            receipts = 0
        elif self.double_receipts and chance.random() < self.double_receipts:
            receipts = 2
        state = self._state(chance)
        if not self._wanted(pdu.registered_delivery, state):
            receipts = 0
        early = bool(self.early_receipts) and chance.random() < self.early_receipts
        return Plan(responses=responses, state=state, receipts=receipts, early=early)

    def _state(self, chance: Random) -> MessageState:
        stats = self.states
        if len(stats) == 1:
            return STATE_BY_STAT[next(iter(stats))]
        return STATE_BY_STAT[chance.choices(list(stats), list(stats.values()))[0]]

    def _wanted(self, registered_delivery: int, state: MessageState) -> bool:
        """True if a receipt of ``state`` is due (registered_delivery bits 1-0, spec/smpp.md §8)."""
        if self.receipts != "asked":
            return self.receipts == "all"
        asked = registered_delivery & 3
        if asked == 2:
            return state != MessageState.DELIVERED
        return asked == 1 or (asked == 3 and state == MessageState.DELIVERED)


def read(content: str, file: str, more: "dict[str, Any] | None" = None) -> SmscScript:
    """The settings of a TOML text and, before them, of the table ``more``.

    Raises ``ValueError`` with one line for each fault, ``file`` named in it.
    """
    reader = Reader(content, file)
    reader.table.update(more or {})
    script = None if reader.lines else reader.build(SmscScript, reader.table)
    if script is None:
        raise ValueError("\n".join(reader.lines))
    return script


THROTTLED = Plan(status=Status.ESME_RTHROTTLED)
