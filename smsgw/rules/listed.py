"""What the lists in force say of one message: blocked, opted out, or neither (E-D12, E-D15 of
``spec/aerialink.md``)."""

from attrs import define, field

from smsgw.refusals import Reason
from smsgw.rules.optout import NumberSet, key_of, may_be_listed, value_of
from smsgw.text import numbers

NO_LISTS: dict[int, NumberSet] = {}


@define
class ListsOfAccount:
    """The lists of one account that are asked for each message."""

    blocks: dict[int, NumberSet] = field(factory=dict)
    # By the number that they are for, "" = all.
    optouts: dict[str, dict[int, NumberSet]] = field(factory=dict)

    def opted_out(self, source: str, destination: str, all: bool) -> bool:
        """``all``: whatever the number is that the opt-out was sent to."""
        return self.has_opted_out(source, destination, value_of(destination), all)

    def has_opted_out(self, source: str, destination: str, value: int | None, all: bool) -> bool:
        """``opted_out``, where ``value_of(destination)`` is known."""
        optouts = self.optouts
        for key in optouts if all else ("", source):
            for members in optouts.get(key, NO_LISTS).values():
                if members.has(destination, value):
                    return True
        return False


@define
class Asked:
    """What is asked for each message of one account, in one turn of the reactor."""

    _blocks: list[NumberSet]  # its own, of those above it, and of the operator
    _prefixes: list[NumberSet]  # those of them that have leading digits
    _optouts: ListsOfAccount | None
    _all: bool  # an opt-out holds for all numbers of the account

    def refuses(self, source: str, destination: str, exempt: bool = False) -> Reason | None:
        """Why a message must not be sent, None if it may.

        ``exempt`` leaves opt-outs aside (E-D14).
        """
        for members in self._prefixes:
            if members.begins(destination):
                return Reason.BLOCKED
        # It has been normalised: digits, and nearly always those of a number.
        plain = len(destination) <= numbers.MAX_DIGITS and destination[0] != "0"
        value = int(destination) if plain else value_of(destination)
        if value is not None and not may_be_listed(value):
            return None
        for members in self._blocks:
            if members.has(destination, value):
                return Reason.BLOCKED
        optouts = self._optouts
        if (
            optouts is not None
            and not exempt
            and optouts.has_opted_out(key_of(source), destination, value, self._all)
        ):
            return Reason.OPTED_OUT
        return None
