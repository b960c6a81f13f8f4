"""On which line of a TOML text each key stands, which tomllib does not tell."""

import re
import tomllib
from bisect import bisect_right

Path = tuple[str | int, ...]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BASIC = re.compile(r'"(?:[^"\\]|\\.)*"')
_LITERAL = re.compile(r"'[^']*'")
_LONG_BASIC = re.compile(r'"""(?:[^\\]|\\.)*?"""(?:"{1,2}(?!"))?', re.DOTALL)
_LONG_LITERAL = re.compile(r"'''.*?'''(?:'{1,2}(?!'))?", re.DOTALL)
_PLAIN = re.compile(r"[^,\]}#\n]*")


def positions(text: str) -> dict[Path, int]:
    """The line of each key, table and list item of ``text``, which tomllib must accept."""
    return _Scanner(text).scan()


class _Scanner:
    """Walks over valid TOML and notes where things stand.

    Values themselves are tomllib's matter.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._newlines = [match.start() for match in re.finditer("\n", text)]
        self._found: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        self._pass(_BLANK)
        while self._at < len(self._text):
            if self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._pair(table)
            self._pass(_BLANK)
        return self._found

    def _pass(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise ValueError(f"not TOML at offset {self._at}")
        self._at = match.end()
        return match[0]

    def _take(self, what: str) -> bool:
        if not self._text.startswith(what, self._at):
            return False
        self._at += len(what)
        return True

    def _note(self, path: Path, offset: int) -> None:
        self._found.setdefault(path, bisect_right(self._newlines, offset - 1) + 1)

    def _header(self) -> Path:
        start = self._at
        several = self._take("[[")
        if not several:
            self._take("[")
        keys = self._keys()
        self._take("]]" if several else "]")
        path: Path = ()
        for depth, key in enumerate(keys):
            path = (*path, key)
            if several and depth == len(keys) - 1:
                self._counts[path] = self._counts.get(path, 0) + 1
                self._note(path, start)
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
            self._note(path, start)
        return path

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._pass(_SPACE)
            if self._text[self._at] in "\"'":
                quoted = self._pass(_BASIC if self._text[self._at] == '"' else _LITERAL)
                keys.append(str(tomllib.loads(f"k = {quoted}")["k"]))
            else:
                keys.append(self._pass(_BARE_KEY))
            self._pass(_SPACE)
            if not self._take("."):
                return keys

    def _pair(self, table: Path) -> None:
        start = self._at
        path = table
        for key in self._keys():
            path = (*path, key)
            self._note(path, start)
        self._take("=")
        self._pass(_SPACE)
        self._skip_value(path)

    def _skip_value(self, path: Path) -> None:
        if self._text.startswith('"""', self._at):
            self._pass(_LONG_BASIC)
        elif self._text.startswith("'''", self._at):
            self._pass(_LONG_LITERAL)
        elif self._text.startswith('"', self._at):
            self._pass(_BASIC)
        elif self._text.startswith("'", self._at):
            self._pass(_LITERAL)
        elif self._take("["):
            self._items(path)
        elif self._take("{"):
            self._pass(_BLANK)
            while not self._take("}"):
                self._pair(path)
                self._pass(_BLANK)
                self._take(",")
                self._pass(_BLANK)
        else:
            self._pass(_PLAIN)

    def _items(self, path: Path) -> None:
        count = 0
        self._pass(_BLANK)
        while not self._take("]"):
            self._note((*path, count), self._at)
            self._skip_value((*path, count))
            count += 1
            self._pass(_BLANK)
            self._take(",")
            self._pass(_BLANK)
