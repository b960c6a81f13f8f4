"""Which number a message from a handset is for: its address, then its first word."""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from attrs import define, field

from smsgw.provisioning import Account, Number
from smsgw.provisioning.targets import Target, targets_of


class Rule(NamedTuple):
    """A number, whose it is, and where its messages go."""

    account: Account
    number: Number
    targets: list[Target]


_FIRST_WORD = re.compile(r"[\W_]*([^\W_]+)")


def first_word(text: str) -> str:
    """The first run of letters and digits in capitals, "" if there is none."""
    found = _FIRST_WORD.match(text)
    return found[1].upper() if found else ""


@define
class _Rules:
    """The rules of one address."""

    plain: Rule | None = None
    keywords: dict[str, Rule] = field(factory=dict)

    def add(self, rule: Rule) -> None:
        keyword = rule.number.keyword
        if keyword:
            self.keywords[keyword] = rule
        else:
            self.plain = rule

    def all(self) -> list[Rule]:
        plain = [self.plain] if self.plain is not None else []
        return [*plain, *self.keywords.values()]

    def match(self, text: Callable[[], str]) -> Rule | None:
        if self.keywords:
            return self.keywords.get(first_word(text()), self.plain)
        return self.plain


class NumberTable:
    """The numbers of all accounts.

    The address itself goes before wildcards, a longer wildcard before a shorter one; of the rules
    of one address, that whose keyword is the first word of the text, then the one without keyword.
    An address of which no rule is meant leaves the message to the next shorter wildcard.
    """

    def __init__(self, accounts: Iterable[Account]) -> None:
        self._exact: dict[str, _Rules] = {}
        self._wildcards: dict[str, _Rules] = {}
        for account in accounts:
            for number in account.number:
                address = number.address
                if address.endswith("*"):
                    rules = self._wildcards.setdefault(address[:-1], _Rules())
                else:
                    rules = self._exact.setdefault(address, _Rules())
                rules.add(Rule(account, number, targets_of(number, account)))
        self._lengths = sorted({len(prefix) for prefix in self._wildcards}, reverse=True)

    def find(self, address: str, text: Callable[[], str]) -> Rule | None:
        """The account and number that a message to ``address`` (without ``+``) is for.

        ``text`` gives what it says; it is asked only where that matters.
        """
        rules = self._exact.get(address)
        rule = rules.match(text) if rules is not None else None
        if rule is None and self._lengths:
            for length in self._lengths:
                # A wildcard is for what begins with its digits, and for the digits alone.
                rules = self._wildcards.get(address[:length]) if len(address) >= length else None
                rule = rules.match(text) if rules is not None else None
                if rule is not None:
                    break
        return rule

    def meant_by(self, address: str) -> list[Rule]:
        """All rules that a message to ``address`` (without ``+``) may be for, whatever it says."""
        exact = self._exact.get(address)
        found = exact.all() if exact is not None else []
        for length in self._lengths:
            rules = self._wildcards.get(address[:length]) if len(address) >= length else None
            found += rules.all() if rules is not None else []
        return found

    def has(self, account: str, address: str) -> bool:
        """True if a wildcard of ``account`` is for ``address``."""
        for length in self._lengths:
            rules = self._wildcards.get(address[:length])
            if rules is not None and any(rule.account.name == account for rule in rules.all()):
                return True
        return False

    def of(self, address: str) -> list[Rule]:
        """All rules of exactly this address, the one without keyword first."""
        wildcard = address.endswith("*")
        rules = self._wildcards.get(address[:-1]) if wildcard else self._exact.get(address)
        return rules.all() if rules is not None else []
