"""Forms as JSON documents: nothing is lost on the way, and secrets only go in."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.provisioning import Provisioning, ProvisioningError, parse
from smsgw.provisioning.documents import SET, document, merged, provisioned
from smsgw.provisioning.forms import KINDS

ROOT = Path(__file__).parents[2]
SAMPLE = (ROOT / "etc" / "provisioning.toml").read_text()
TEXT = """
[[network]]
name = "one"
mcc = "234"
mnc = "10"
prefixes = ["4477"]
[[price_list]]
name = "gold"
price = [{ prefix = "44", price = "0.02" }]
[[carrier]]
name = "sim"
kind = "simulator"
states = { DELIVRD = 9, UNDELIV = 1 }
[[carrier]]
name = "north"
host = "north.example.com"
system_id = "smsgw"
password = "hush-hus"
[[account]]
name = "acme"
callback = "https://www.example.com/dlr"
callback_secret = "hush-hush"
settings = { link = { dlr_format = "minutes" } }
[[account.credential]]
kind = "smpp"
username = "acme"
password = "hush-hus"
[[account.number]]
address = "447700900000"
secret = "hush-hush"
[[operator]]
name = "ops"
token_hash = "%s"
[[filter]]
name = "none"
text = "casino"
accounts = ["acme"]
""" % ("0" * 64)


def known() -> Provisioning:
    """All of ``TEXT``, with hashes in place of passwords as the store has them."""
    found = parse(TEXT, "t")
    for account in found.accounts.values():
        for login in account.credential:
            login.password, login.password_hash = "", "$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA"
    return found


def everything(of: Provisioning) -> list[tuple[str, str, Any]]:
    return [(kind, name, form) for kind in KINDS for name, form in of.of(kind).items()]


@pytest.mark.parametrize("text", [TEXT, SAMPLE])
def test_a_document_gives_the_form_back(text: str) -> None:
    """By way of JSON; its secrets are those that were there."""
    before = known() if text == TEXT else parse(text, "t")
    if text != TEXT:
        for account in before.accounts.values():
            for login in account.credential:
                login.password, login.password_hash = "", "$argon2id$v=19$m=1,t=1,p=1$c$a"
    for kind, name, form in everything(before):
        plain = json.loads(json.dumps(document(form)))
        assert provisioned(kind, name, plain, before).of(kind)[name] == form


def test_no_secret_is_in_a_document() -> None:
    """Passwords, their hashes, keys of signatures, hashes of tokens."""
    text = json.dumps([document(form) for _, _, form in everything(known())])
    for secret in ("hush", "argon2", "0" * 64):
        assert secret not in text
    assert text.count(SET) == 5


def test_faults_have_the_path_in_the_document() -> None:
    """With the indexes of lists."""
    number = {"address": "447700900000", "language": "xx"}
    with pytest.raises(ProvisioningError) as caught:
        provisioned("account", "b", {"number": [{"address": "1"}, number]}, Provisioning())
    assert {path for path, _ in caught.value.faults} == {
        ("number", 0, "address"),
        ("number", 1, "language"),
    }


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(
    sorted({key for form in KINDS.values() for key in form.__annotations__}) + ["x"]
)


@given(st.sampled_from(sorted(KINDS)), st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_json_is_provisioned_or_refused_with_its_keys(kind: str, given: dict[str, Any]) -> None:
    """And crashes nothing."""

    def outcome() -> Any:
        try:
            return provisioned(kind, "north", given, known()).of(kind)
        except ProvisioningError as error:
            return error.faults

    assert outcome()


DOCUMENTS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


@given(DOCUMENTS, DOCUMENTS)
def test_a_merge_holds_all_that_was_given(before: dict[str, Any], change: dict[str, Any]) -> None:
    """What is given is there, null is gone, and the rest is as it was (RFC 7396)."""
    after = merged(before, change)
    for key, value in before.items():
        if key not in change:
            assert after[key] is value
    for key, value in change.items():
        if value is None:
            assert key not in after
        elif not isinstance(value, dict):
            assert after[key] is value


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merges_are_those_of_the_rfc(before: Any, change: Any, after: Any) -> None:
    """Examples of RFC 7396, appendix A."""
    assert merged(before, change) == after
