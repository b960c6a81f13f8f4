"""Which test shows which rule of SMPP: ``rules.toml`` read, checked and published.

``python -m tests.conformance.rules`` writes ``docs/protocols/smpp-conformance.md`` anew.
"""

import ast
import tomllib
from functools import cache
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).with_name("rules.toml")
PAGE = ROOT / "docs" / "protocols" / "smpp-conformance.md"

# What must have a row: the numbered requirements and decisions that concern SMPP, each description
# by itself, and the sections of SMPP 3.3 and 3.4.
REQUIRED = (
    *(f"L-R{number}" for number in range(1, 29)),
    *(f"L-D{number}" for number in range(1, 30)),
    *(f"W-R{number}" for number in range(1, 31)),
    *(f"W-D{number}" for number in range(1, 33)),
    *(f"E-D{number}" for number in range(22, 30)),
    *(f"R{number}" for number in range(1, 15)),
)
SECTIONS = range(1, 16)  # of which each has rows S1.1, S1.2, ...

_HEAD = """\
# SMPP: rule by rule

For integrators and operators who want to know whether a rule of SMPP, or of a profile, is kept:
each has a test that shows it, and `make test` runs them all. Rules S*n.m* restate sections of
SMPP 3.3 and 3.4; L- are those of the `link` profile, W- of `websmpp`, E- of REST accounts, and R
how we decide where these disagree. What is spoken, told in one piece: [smpp.md](smpp.md).

This page is made from `tests/conformance/rules.toml` (`python -m tests.conformance.rules`); a test
compares the two.
"""


@frozen
class Rule:
    """One row: what is said, and the tests (pytest's names for them) that show it."""

    id: str
    says: str
    tests: list[str]


def sections() -> list[tuple[str, list[Rule]]]:
    """Title and rules of each section, in the order of the file."""
    table = tomllib.loads(TABLE.read_text("utf-8"))
    return [
        (section["title"], [Rule(id, **row) for id, row in section["rules"].items()])
        for section in table["section"]
    ]


@cache
def tests_of(path: str) -> frozenset[str]:
    """The tests of a file, by its source: ``test_x`` and ``TestY::test_z``."""
    found = set()
    for node in ast.parse((ROOT / path).read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{one}" for one in _functions(node)}
    return frozenset(found | set(_functions(ast.parse((ROOT / path).read_text("utf-8")))))


def _functions(node: ast.Module | ast.ClassDef) -> list[str]:
    return [
        one.name
        for one in node.body
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name.startswith("test")
    ]


def exists(test: str) -> bool:
    """True if there is such a test."""
    path, _, name = test.partition("::")
    return (ROOT / path).is_file() and name in tests_of(path)


def page() -> str:
    """The published page."""
    lines = [_HEAD]
    for title, rules in sections():
        lines += [f"## {title}", "", "| | rule | shown by |", "|---|---|---|"]
        for rule in rules:
            tests = ", ".join(f"`{test.removeprefix('tests/')}`" for test in rule.tests)
            lines.append(f"| {rule.id} | {rule.says} | {tests} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
