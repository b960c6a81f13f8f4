"""What a customer changes by itself, and its access keys, in the store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from smsgw.provisioning import ProvisioningError, parse
from smsgw.store import audit, provision, schema
from smsgw.store.database import close_store, open_store
from smsgw.store.provision import Absent, prepare_relay

KEY = "A1b2C3d4E5f6G7h"
OTHER_KEY = "z" * 15
URL = "http://www.example.com/in?id=%i"
LOGIN = '[[account.credential]]\nkind = "http"\nusername = "{}"\npassword = "secret12"\n'
TEXT = f"""\
[[account]]
name = "acme"
callback_secret = "s1gned"
{LOGIN.format("acme")}access_key = "{KEY}"
[[account.number]]
address = "447700900000"
targets = ["alice@example.com"]
secret = "s3cret"
[[account.number]]
address = "60777"
keyword = "WIN"
[[account.number]]
address = "60777"
"""


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    """A connection to a store with an account."""
    engine = open_store(f"sqlite:///{tmp_path}/smsgw.db")
    with engine.begin() as connection:
        changes = provision.prepare(provision.load(connection), TEXT, "p.toml")
        provision.apply(connection, changes, "tester", 1)
        yield connection
    close_store(engine)


def test_a_relay_changes_its_number_alone(connection: Connection) -> None:
    """Secrets, logins, keys and the other numbers stay, and one line says what changed."""
    before = provision.load(connection)
    changes = prepare_relay(before, "acme", "447700900000", "httpget", URL)
    action = schema.ActionRow(7, 2, "acme by relay", "relay", "447700900000", "left mvno")
    assert provision.apply(connection, changes, "acme by relay", 2, action=action) == 2
    after = provision.load(connection)
    account = after.accounts["acme"]
    number = account.number[0]
    assert (number.method, number.detail, number.secret) == ("httpget", URL, "s3cret")
    number.method = number.detail = ""
    assert account == before.accounts["acme"]
    [change] = changes
    assert all("447700900000" in line for line in change.lines)
    assert [one.detail for one in audit.read(connection) if one.kind == "relay"] == ["left mvno"]


def test_the_same_again_is_no_change(connection: Connection) -> None:
    """Nor is anything entered in the audit."""
    for _ in range(2):
        changes = prepare_relay(
            provision.load(connection), "acme", "447700900000", "email", "a@example.com"
        )
        provision.apply(connection, changes, "acme by relay", 2)
    assert changes == []
    assert provision.version(connection) == 2


def test_of_several_rules_it_is_the_one_without_keyword(connection: Connection) -> None:
    """The others stay as the operator has set them."""
    changes = prepare_relay(provision.load(connection), "acme", "60777", "null-route", "")
    provision.apply(connection, changes, "acme by relay", 2)
    numbers = provision.load(connection).accounts["acme"].number
    assert [(one.keyword, one.method) for one in numbers[1:]] == [("WIN", ""), ("", "null-route")]


def test_what_is_not_there_cannot_be_changed(connection: Connection) -> None:
    """Another number, and another account."""
    old = provision.load(connection)
    for account, number in (("acme", "447700900001"), ("other", "447700900000")):
        with pytest.raises(Absent):
            prepare_relay(old, account, number, "null-route", "")


def test_what_is_no_detail_is_refused(connection: Connection) -> None:
    """As in a file."""
    old = provision.load(connection)
    with pytest.raises(ProvisioningError):
        prepare_relay(old, "acme", "447700900000", "httpget", "ftp://www.example.com/")


def test_an_access_key_is_kept_encrypted(connection: Connection) -> None:
    """It is loaded as it was, and can be read neither in the store nor in the audit (W-D11)."""
    account = provision.load(connection).accounts["acme"]
    assert account.credential[0].access_key == KEY
    changed = TEXT.replace(KEY, OTHER_KEY)
    changes = provision.prepare(provision.load(connection), changed, "p.toml")
    assert changes[0].lines == ["~ account acme: credential http acme access_key (changed)"]
    provision.apply(connection, changes, "tester", 2)
    texts = [*connection.execute(select(schema.provision.c.document)).scalars()]
    texts += [*connection.execute(select(schema.audit.c.after)).scalars()]
    assert not any(KEY in text or OTHER_KEY in text for text in texts)
    assert KEY not in repr(account)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LOGIN.format("b") + 'access_key = "short"', "15 letters and digits"),
        (LOGIN.format("b").replace("http", "smpp") + f'access_key = "{KEY}"', "kind http"),
        (
            LOGIN.format("b")
            + f'access_key = "{KEY}"\n'
            + LOGIN.format("c")
            + f'access_key = "{KEY}"',
            "must be unique",
        ),
    ],
)
def test_faults_of_access_keys(text: str, said: str) -> None:
    """Each tells what would be right, and none shows the key."""
    with pytest.raises(ProvisioningError) as caught:
        parse(f'[[account]]\nname = "b"\n{text}\n', "p.toml")
    lines = "\n".join(caught.value.lines)
    assert said in lines
    assert KEY not in lines
