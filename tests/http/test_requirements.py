"""Every numbered requirement and decision of the HTTP dialects has a test that names it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from smsgw.config import Config
from smsgw.dialects import DIALECTS, account_keys

TESTS = Path(__file__).parents[1]

# How many there are in each of the specifications: aerialink, ams-websmpp, aaisp, aql.
COUNTS = {
    "E-R": 31,
    "E-D": 33,
    "W-R": 30,
    "W-D": 32,
    "A-R": 33,
    "A-D": 41,
    "Q-R": 25,
    "Q-D": 23,
}

_SMPP = "of the SMPP interface: tests/conformance, docs/protocols"
_MAIL = "of the mail interfaces (MM4, SMTP)"
# What is no matter of HTTP, and why.
ELSEWHERE = {
    **dict.fromkeys((f"E-R{n}" for n in (3, 12, 13, 14, 15, 16)), _SMPP),
    "E-R18": "names all interfaces; each of them has requirements of its own",
    "E-R19": _MAIL,
    **dict.fromkeys((f"E-D{n}" for n in range(22, 30)), _SMPP),
    **dict.fromkeys((f"E-D{n}" for n in range(30, 34)), _MAIL),
    **dict.fromkeys((f"W-R{n}" for n in range(1, 9)), _SMPP),
    **dict.fromkeys((f"W-D{n}" for n in (1, 2, 3, 4)), _SMPP),
}

_ID = r"([EWAQ])[-_]([RD])(\d+)"
_NAMED = re.compile(rf"(?<![A-Za-z0-9]){_ID}(?:(?: to |_to_)[EWAQ][-_][RD](\d+))?", re.I)


def named(text: str) -> Iterator[str]:
    """The ids in a text, those of a range one by one."""
    for letter, kind, first, last in _NAMED.findall(text):
        for number in range(int(first), int(last or first) + 1):
            yield f"{letter}-{kind}{number}".upper()


def cited() -> set[str]:
    """The ids that the name or the docstring of some test has."""
    found: set[str] = set()
    for file in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if node.name.startswith("test"):
                found.update(named(f"{node.name} {ast.get_docstring(node) or ''}"))
    return found


def test_every_requirement_of_http_has_a_test() -> None:
    """Named by its id; what is not of HTTP is listed with the reason."""
    all = {f"{kind}{n}" for kind, most in COUNTS.items() for n in range(1, most + 1)}
    assert set(ELSEWHERE) <= all
    assert sorted(all - set(ELSEWHERE) - cited()) == []


def test_ids_are_found_in_names_and_texts() -> None:
    """In either case, alone and as a range; not in the middle of words."""
    text = "test_e_r21_to_e_r23_and_A_D17 (W-D13 to W-D16, Q-R3) SE-R9 R1"
    ids = ["E-R21", "E-R22", "E-R23", "A-D17", *(f"W-D{n}" for n in range(13, 17)), "Q-R3"]
    assert list(named(text)) == ids


# Settings that a decision names, with the default that it gives.
SETTINGS: dict[str, dict[str, object]] = {
    "aerialink": {
        "fold_auth_errors": False,
        "max_destinations": 100,
        "open_if_empty": False,
        "allow_get_submit": False,
        "root": "aerialink",
        "max_parts": 8,
        "smpp_vendor_status": True,
        "retry_count": 10,
        "retry_interval_s": 900,
        "allow_private_callbacks": False,
    },
    "ams": {
        "max_tx": 10,
        "strict_system_type": False,
        "http_status_errors": False,
        "hide_unknown_user": False,
        "auto_type": True,
        "allow_amp_hash": False,
        "max_parts": 6,
        "default_zone": "UTC",
        "bare_response": False,
        "status_auth": False,
        "sync_submit": False,
        "require_bound_route": False,
    },
    "aaisp": {
        "join_parts": True,
        "allow_private_callbacks": False,
        "multi_da": False,
        "default_limit": 10,
        "legacy": True,
        "preamble": False,
        "mail_progress": False,
    },
    "aql": {"allow_private_callbacks": False, "join_parts": True, "leave_mvno": False},
}
# Those of which a decision says that an account may have its own.
OWN = {
    "aerialink": {"max_destinations", "allow_get_submit", "registered_delivery"},
    "ams": {"auto_type", "max_parts", "bare_response", "enabled"},
    "aaisp": {"join_parts", "multi_da", "default_limit", "preamble", "legacy", "mail_progress"},
    "aql": {"join_parts", "leave_mvno"},
}


def test_settings_of_decisions_have_their_defaults() -> None:
    """Of the whole gateway by ``[dialect]``, of an account by ``[account.settings.dialect]``
    (ruling 28)."""
    for dialect, settings in SETTINGS.items():
        made = DIALECTS[dialect]()
        assert {name: getattr(made, name) for name in settings} == settings
    for dialect, names in OWN.items():
        assert names <= set(account_keys(dialect))
    assert Config().store.retention_days == 30  # W-D30
