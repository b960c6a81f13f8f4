"""Reads TOML into attrs classes; a fault names its file, line and key and says what would be right.

A form is an attrs class whose fields carry a check as metadata::

    window: int = field(default=1, metadata=integer(1, 100))

A check takes the value as tomllib gives it and returns the value to keep, or raises ``Wrong``. All
faults of a file are collected, so that one run shows everything there is to mend.
"""

import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

import attrs

from smsgw.toml.lines import Path, positions

Check = Callable[[Any], Any]
T = TypeVar("T")

_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# More than Python may be told to write or read (sys.set_int_max_str_digits); no setting needs them.
_TOO_MANY_DIGITS = 10**600


class Wrong(Exception):
    """What is wrong with one value; its text is "what is wrong; what would be right"."""


# Checks.


def visible(text: str) -> str:
    """``text`` on one line: what would not show there is written as TOML escapes it."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    code = ord(character)
    return _ESCAPES.get(character) or (f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")


def _short(text: str) -> str:
    return visible(text if len(text) <= 60 else f"{text[:57]}...")


def shown(value: object) -> str:
    """``value`` in TOML's spelling, shortened to what fits a line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, int) and abs(value) >= _TOO_MANY_DIGITS:
        return "a number of too many digits"
    return _short(f'"{value}"' if isinstance(value, str) else str(value))


def _check(function: Check) -> dict[str, Any]:
    return {"check": function}


def text(maximum: int = 1000, pattern: str = "", right: str = "") -> dict[str, Any]:
    """A text of 1 to ``maximum`` characters that matches ``pattern``, which ``right`` describes."""
    expression = re.compile(pattern) if pattern else None
    right = right or f"a text of 1 to {maximum} characters"

    def check(value: Any) -> str:
        if (
            not isinstance(value, str)
            or not 1 <= len(value) <= maximum
            or not value.isprintable()
            or (expression is not None and not expression.fullmatch(value))
        ):
            raise Wrong(f"{shown(value)} is not allowed; it must be {right}")
        return value

    return _check(check)


def secret(maximum: int) -> dict[str, Any]:
    """A text of 1 to ``maximum`` characters that no message shows."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or not value.isprintable() or not value:
            raise Wrong(f"is not a text; it must be a text of 1 to {maximum} characters")
        if len(value) > maximum:
            raise Wrong(f"has {len(value)} characters; at most {maximum} are allowed")
        return value

    return _check(check)


def integer(minimum: int, maximum: int) -> dict[str, Any]:
    """A whole number from ``minimum`` to ``maximum``."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
            raise Wrong(
                f"{shown(value)} is not allowed; "
                f"it must be a whole number from {minimum} to {maximum}"
            )
        return value

    return _check(check)


def number(minimum: float, maximum: float) -> dict[str, Any]:
    """A number, whole or with a fraction, from ``minimum`` to ``maximum``."""

    def check(value: Any) -> float:
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not minimum <= value <= maximum
        ):
            raise Wrong(
                f"{shown(value)} is not allowed; "
                f"it must be a number from {minimum:g} to {maximum:g}"
            )
        return float(value)

    return _check(check)


def flag() -> dict[str, Any]:
    """true or false."""

    def check(value: Any) -> bool:
        if not isinstance(value, bool):
            raise Wrong(f"{shown(value)} is not allowed; it must be true or false")
        return value

    return _check(check)


def choice(*allowed: str | bool) -> dict[str, Any]:
    """One of ``allowed``."""
    right = choices(allowed)

    def check(value: Any) -> str | bool:
        for one in allowed:
            if type(one) is type(value) and one == value:
                return one
        names = [one for one in allowed if isinstance(one, str)]
        near = get_close_matches(value, names, 1) if isinstance(value, str) else []
        hint = f' (did you mean "{near[0]}"?)' if near else ""
        raise Wrong(f"{shown(value)} is not allowed; it must be {right}{hint}")

    return _check(check)


def choices(allowed: Sequence[str | bool]) -> str:
    """``allowed`` as words: "a", "b" or "c"."""
    words = [shown(one) for one in allowed]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def list_of(
    item: dict[str, Any], least: int = 0, right: str = "a list", words: bool = False
) -> dict[str, Any]:
    """A list of at least ``least`` values that each pass the check of ``item``.

    With ``words`` a text is the list of its words.
    """
    return {"items": item["check"], "least": least, "right": right, "words": words}


def decimal(places: int) -> dict[str, Any]:
    """An amount of money as a text, so that no binary fraction bends it."""
    right = f'a text such as "0.0100", with at most {places} digits after the point'
    return text(20, rf"\d{{1,12}}(\.\d{{1,{places}}})?", right)


def form(cls: type) -> dict[str, Any]:
    """A table that makes one ``cls``."""
    return {"form": cls}


def forms(cls: type) -> dict[str, Any]:
    """An array of tables that makes a list of ``cls``."""
    return {"forms": cls}


def custom(check: Check) -> dict[str, Any]:
    """A check of the form's own."""
    return _check(check)


# Reading.


class Reader:
    """One TOML text on its way into attrs classes; ``lines`` tells its faults."""

    def __init__(self, text: str, file: str) -> None:
        """``file`` is the name that faults show.

        A syntax error leaves ``table`` empty and is a fault.
        """
        self._file = file
        self.dots = False  # whether a dot may stand for the _ in a key
        self._faults: list[tuple[int, Path, str]] = []
        self._positions: dict[Path, int] = {}
        self.table: dict[str, Any] = {}
        try:
            self.table = tomllib.loads(text)
            self._positions = positions(text)
        except tomllib.TOMLDecodeError as error:
            self._syntax_fault(text, str(error))
        except RecursionError:
            self.table = {}
            self._syntax_fault(text, "nested too deeply (at line 1, column 1)")
        except ValueError:
            if self.table:
                raise  # of positions: a bug
            self._syntax_fault(text, f"a number of too many digits {_longest_number(text)}")

    @classmethod
    def of(cls, table: dict[str, Any]) -> "Reader":
        """A reader of tables that were no TOML text, so that faults have keys and no lines."""
        reader = cls("", "")
        reader.table = table
        return reader

    @property
    def lines(self) -> list[str]:
        """All faults so far in the order of their lines.

        ``FILE:LINE: key: what is wrong; what would be right``.
        """
        faults = sorted(self._faults, key=_line_of)
        return [
            visible(f"{self._file}:{line}: {dotted(path)}: {said}") for line, path, said in faults
        ]

    @property
    def faults(self) -> list[tuple[Path, str]]:
        """All faults so far, each with the path of the value that is wrong."""
        return [(path, visible(said)) for _, path, said in self._faults]

    def fault(self, path: Path, said: str) -> None:
        """Keep one fault of the value at ``path``."""
        self._faults.append((self.line(path), path, said))

    def line(self, path: Path) -> int:
        """The line of ``path``, or of the nearest thing around it that the text has."""
        while path and path not in self._positions:
            path = path[:-1]
        return self._positions.get(path, 1)

    def where(self, path: Path) -> str:
        """``FILE:LINE`` of ``path``, or its key where there is no file."""
        return f"{self._file}:{self.line(path)}" if self._file else spelled(path)

    def _syntax_fault(self, text: str, error: str) -> None:
        found = re.search(r"\(at line (\d+), column \d+\)", error)
        line = int(found[1]) if found else text.count("\n") + 1
        what = re.sub(r" \(at .*\)$", "", error)
        self._faults.append((line, ("TOML",), f"{what}; the file must be TOML 1.0"))

    def build(self, cls: type[T], table: object, path: Path = ()) -> T | None:
        """A ``cls`` of ``table``, or None where a fault was found; the faults are kept."""
        if not isinstance(table, dict):
            self.fault(path, f"{shown(table)} is not allowed; it must be a table")
            return None
        every = attrs.fields(cls)  # type: ignore[arg-type]
        fields = {field.name: field for field in every if field.init}
        before = len(self._faults)
        values: dict[str, Any] = {}
        for key, value, place in self._keys(table, fields, path):
            if len(place) > len(path) + 1 and key in table:
                self.fault(place, f"given twice; leave out this or {key}")
                continue
            if key not in fields or not fields[key].metadata:
                self.unknown(place, [name for name in fields if fields[name].metadata])
                continue
            values[key] = self._value(fields[key].metadata, value, place)
        for name, field in fields.items():
            if field.default is attrs.NOTHING and name not in table:
                self.fault(path, f"{name} is missing; add {name} = ... (see the sample in etc/)")
        return cls(**values) if len(self._faults) == before else None

    def _keys(
        self, table: dict[str, Any], names: Collection[str], path: Path
    ) -> Iterator[tuple[str, Any, Path]]:
        """The keys of a table with their values and places; with ``dots``, ``retry.count`` is the
        name ``retry_count``."""
        for key, value in table.items():
            inner = value if self.dots and isinstance(value, dict) and key not in names else {}
            if inner and all(f"{key}_{one}" in names for one in inner):
                for one in inner:
                    yield f"{key}_{one}", inner[one], (*path, key, one)
            else:
                yield key, value, (*path, key)

    def unknown(self, path: Path, known: Sequence[str]) -> None:
        """Keep the fault of a key that its table does not have."""
        near = get_close_matches(str(path[-1]), known, 1)
        hint = f'did you mean "{near[0]}"?' if near else f"known keys are {', '.join(known)}"
        self.fault(path, f"unknown key; {hint}")

    def _value(self, metadata: Any, value: Any, path: Path) -> Any:
        if "form" in metadata:
            return self.build(metadata["form"], value, path)
        if "forms" in metadata:
            if not isinstance(value, list):
                self.fault(
                    path, f"{shown(value)} is not allowed; it must be written [[{dotted(path)}]]"
                )
                return []
            return [self.build(metadata["forms"], one, (*path, n)) for n, one in enumerate(value)]
        if "items" in metadata:
            return self._list(metadata, value, path)
        return self._checked(metadata["check"], value, path)

    def _list(self, metadata: Any, value: Any, path: Path) -> list[Any]:
        if metadata["words"] and isinstance(value, str):
            value = value.split()
        if not isinstance(value, list) or len(value) < metadata["least"]:
            empty = isinstance(value, list)
            what = "the list is empty" if empty else f"{shown(value)} is not allowed"
            self.fault(path, f"{what}; it must be {metadata['right']}")
            return []
        return [self._checked(metadata["items"], one, (*path, n)) for n, one in enumerate(value)]

    def _checked(self, check: Check, value: Any, path: Path) -> Any:
        try:
            return check(value)
        except Wrong as wrong:
            self.fault(path, str(wrong))
            return None


def _longest_number(text: str) -> str:
    """Where it is, as tomllib's faults say it."""
    runs = re.finditer(r"[0-9][0-9_]*", text)
    start = max(runs, key=lambda run: run.end() - run.start()).start()
    return f"(at line {text.count(chr(10), 0, start) + 1}, column 1)"


def _line_of(fault: tuple[int, Path, str]) -> int:
    return fault[0]


def spelled(path: Path) -> str:
    """``path`` with its indexes, such as ``number[0].address``."""
    text = "".join(f"[{one}]" if isinstance(one, int) else f".{_short(one)}" for one in path)
    return text.removeprefix(".")


def tables_of(parent: Any, key: str) -> list[tuple[int, dict[str, Any]]]:
    """The tables of the array ``key``, numbered.

    What has another shape is a fault found elsewhere.
    """
    value = parent.get(key)
    if not isinstance(value, list):
        return []
    return [(n, one) for n, one in enumerate(value) if isinstance(one, dict)]


def dotted(path: Path) -> str:
    """``path`` as a person writes it: without the indexes, which the line number tells."""
    return ".".join(_short(part) for part in path if isinstance(part, str)) or "file"
