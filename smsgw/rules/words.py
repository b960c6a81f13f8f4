"""Words without which a regular expression cannot match: to look for them first costs a tenth of
what the expression costs."""

from re import _constants, _parser  # type: ignore[attr-defined]  # what a pattern is made of
from typing import Any

_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT)
_LEAST = 2  # characters of a word that is worth looking for
_MOST = 8  # words that are worth looking for, rather than for the pattern itself

Words = frozenset[str]


def needed(pattern: str) -> Words | None:
    """Words in ASCII and lower case of which every text in ASCII that ``pattern`` is found in has
    one, if it is written in lower case; None if no such words are known."""
    words = _of_all(_parser.parse(pattern))
    return words if words is not None and len(words) <= _MOST else None


def _of_all(items: Any) -> Words | None:
    """The best words of what must match one after the other."""
    found: list[Words] = []
    run = ""
    for operation, argument in items:
        if operation is _constants.LITERAL and argument < 128:
            run += chr(argument).lower()
            continue
        found.append(frozenset((run,)))
        run = ""
        words = _of(operation, argument)
        if words is not None:
            found.append(words)
    found.append(frozenset((run,)))
    best = max(found, key=lambda words: (min(map(len, words)), -len(words)))
    return best if min(map(len, best)) >= _LEAST else None


def _of(operation: Any, argument: Any) -> Words | None:
    if operation is _constants.SUBPATTERN:
        return _of_all(argument[-1])
    if operation is _constants.ATOMIC_GROUP:
        return _of_all(argument)
    if operation in _REPEATS and argument[0]:
        return _of_all(argument[2])
    if operation is _constants.BRANCH:
        words: Words = frozenset()
        for items in argument[1]:
            more = _of_all(items)
            if more is None:
                return None
            words |= more
        return words
    return None
