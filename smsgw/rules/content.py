"""Content rules: which messages are refused for what they say (``[[filter]]``, reason 55)."""

import re
from collections.abc import Iterable

from smsgw.message import Message
from smsgw.provisioning.routing import Filter
from smsgw.rules import filters
from smsgw.rules.filters import Members, Test


class ContentRules:
    """All filters compiled."""

    def __init__(self, forms: Iterable[Filter], members: Members) -> None:
        """``members`` tells which accounts are in a group."""
        self._rules = [
            (
                one.name,
                filters.words_of(one.text),
                tuple(one.prefixes),
                _asked(one, members),
                re.compile(one.text).search,
            )
            for one in forms
        ]

    def refuses(self, message: Message) -> str | None:
        """Name of the first filter that stops the message, None if none does.

        The name is for operators, not for who sent the message.
        """
        lower = filters.lowered(message)
        for name, words, prefixes, test, search in self._rules:
            # For nearly all messages this is all that is looked at.
            if words and lower is not None:
                for word in words:
                    if word in lower:
                        break
                else:
                    continue
            if (
                message.destination.startswith(prefixes)
                and (test is None or not test(message))
                and search(filters.text_of(message))
            ):
                return name
        return None


def compiled(forms: Iterable[Filter], members: Members) -> ContentRules | None:
    """The rules of these filters, None if there are none."""
    forms = list(forms)
    return ContentRules(forms, members) if forms else None


def _asked(form: Filter, members: Members) -> Test | None:
    """The test for what a filter asks for beside destination and text, None for nothing."""
    tests = []
    if form.accounts or form.groups:
        tests.append(filters.by_account(form.accounts, form.groups, members))
    if form.sources:
        tests.append(filters.by_source(form.sources))
    return filters.all_of(tests)
