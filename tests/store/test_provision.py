"""Provisioning in the store: kept, versioned, audited, and without a secret that can be read."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select

from smsgw import demo
from smsgw.provisioning import Provisioning, ProvisioningError, parse
from smsgw.store import provision, schema
from smsgw.store.database import close_store, open_store
from smsgw.store.secrets import SecretsUnusable, Vault, hash_password, verify

NORTH = """
[[carrier]]
name = "north"
host = "127.0.0.1"
system_id = "smsgw"
password = "upstream"
"""
TEXT = demo.provisioning("secret12", "http-secret") + NORTH


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    """A connection to an empty store, in a transaction."""
    engine = open_store(f"sqlite:///{tmp_path}/smsgw.db")
    with engine.begin() as connection:
        yield connection
    close_store(engine)


def applied(connection: Connection, text: str, prune: bool = False, at: int = 1) -> int:
    changes = provision.prepare(provision.load(connection), text, "p.toml", prune)
    return provision.apply(connection, changes, "tester", at)


def test_empty_store_has_version_0(connection: Connection) -> None:
    """Nothing was ever provisioned: version 0 and nothing in it."""
    assert provision.version(connection) == 0
    assert provision.load(connection) == Provisioning()


def test_what_was_applied_is_loaded(connection: Connection) -> None:
    """What is loaded is what was applied, with hashes in place of login passwords."""
    assert applied(connection, TEXT) == 1
    expected = parse(TEXT, "p.toml")
    found = provision.load(connection)
    assert found.version == 1
    for login, plain in zip(
        found.accounts["demo"].credential, expected.accounts["demo"].credential, strict=True
    ):
        assert verify(login.password_hash, plain.password)
        login.password_hash, login.password = "", plain.password
    assert found == expected


def test_secrets_of_actions_are_encrypted(connection: Connection) -> None:
    """They are sent on, so they can be read again; the audit only says that they are set."""
    action = (
        '{ type = "SMS-MO-HTTP", url = "https://h.example/", username = "u", '
        'password = "p4ssw0rd", '
        'hmac_secret = "s3cret" }'
    )
    text = f'[[account]]\nname = "acme"\n[[account.route]]\nsequence = 1\nactions = [{action}]\n'
    applied(connection, text)
    [found] = provision.load(connection).accounts["acme"].route[0].actions
    assert (found.password, found.hmac_secret) == ("p4ssw0rd", "s3cret")
    kept = [*connection.execute(select(schema.provision.c.document)).scalars()]
    audited = [*connection.execute(select(schema.audit.c.after)).scalars()]
    for text in kept + audited:
        assert "p4ssw0rd" not in text
        assert "s3cret" not in text
    assert audited[0].count("(set)") == 2
    changed = text_of_change(connection, "s3cret", "an0ther", action)
    assert changed == ["~ account acme: route (changed)"]


def text_of_change(connection: Connection, old: str, new: str, action: str) -> list[str]:
    """The lines that tell of a changed secret."""
    action = action.replace(old, new)
    text = f'[[account]]\nname = "acme"\n[[account.route]]\nsequence = 1\nactions = [{action}]\n'
    changes = provision.prepare(provision.load(connection), text, "p.toml")
    return [line for change in changes for line in change.lines]


def test_applying_again_changes_nothing(connection: Connection) -> None:
    """The same file a second time is no change and no new version."""
    applied(connection, TEXT)
    assert provision.plan(connection, parse(TEXT, "p.toml")) == []
    assert provision.plan(connection, parse(TEXT, "p.toml"), prune=True) == []
    assert applied(connection, TEXT) == 1


def test_only_what_changed_gets_the_new_version(connection: Connection) -> None:
    """A row's version is that of its last change; the highest is the version of the whole."""
    applied(connection, TEXT)
    assert applied(connection, TEXT.replace('prefixes = [""]', 'prefixes = ["44"]')) == 2
    rows = connection.execute(select(schema.provision))
    assert {row.name: row.version for row in rows} == {
        "demo": 1,
        "north": 1,
        "simulator": 1,
        "mmsc": 1,
        "mms": 1,
        "default": 2,
    }
    assert provision.version(connection) == 2


def test_prune_deletes_what_the_file_does_not_have(connection: Connection) -> None:
    """Without prune the rest is kept, with it deleted."""
    applied(connection, TEXT)
    assert applied(connection, NORTH) == 1
    assert applied(connection, NORTH, prune=True) == 2
    found = provision.load(connection)
    assert (list(found.carriers), found.accounts, found.routes) == (["north"], {}, {})


def test_pruned_carriers_cannot_be_named(connection: Connection) -> None:
    """With prune a route may name carriers of the file only."""
    applied(connection, TEXT)
    route = '[[route]]\nname = "r"\nprefixes = [""]\ncarriers = ["north"]\n'
    assert applied(connection, route) == 2
    with pytest.raises(ProvisioningError):
        applied(connection, route, prune=True)


def test_no_secret_can_be_read_in_the_store(connection: Connection) -> None:
    """Logins are hashes, carrier passwords encrypted, and the audit has neither."""
    applied(connection, TEXT)
    applied(connection, TEXT.replace("secret12", "secret13").replace("upstream", "changed1"))
    documents = list(connection.execute(select(schema.provision.c.document)).scalars())
    audit = [
        column
        for row in connection.execute(select(schema.audit.c.before, schema.audit.c.after))
        for column in row
        if column
    ]
    for secret in ("secret12", "secret13", "http-secret", "upstream", "changed1"):
        assert not any(secret in text for text in documents + audit)
    assert not any("argon2" in text or "gAAAA" in text for text in audit)
    assert any("argon2id" in text for text in documents)


def test_audit_tells_who_changed_what(connection: Connection) -> None:
    """Each change leaves one row: who, when, what, and that a secret was changed."""
    applied(connection, TEXT, at=1000)
    changed = TEXT.replace("http-secret", "other-secret").replace("upstream", "changed1")
    applied(connection, changed, at=2000)
    rows = connection.execute(
        select(schema.audit).where(schema.audit.c.version == 2).order_by(schema.audit.c.number)
    ).all()
    assert [(row.at, row.who, row.kind, row.name) for row in rows] == [
        (2000, "tester", "carrier", "north"),
        (2000, "tester", "account", "demo"),
    ]
    assert '"password":"(set)"' in rows[0].before
    assert '"password":"(changed)"' in rows[0].after
    assert rows[1].after.count("(changed)") == 3  # both logins by HTTP, and that by SMTP
    assert rows[1].after.count("(set)") == 1


def test_changes_worked_out_for_an_older_version_are_refused(connection: Connection) -> None:
    """Two who change at the same time: the second is told, and nothing of it is written."""
    old = provision.load(connection)
    changes = provision.prepare(old, TEXT, "p.toml")
    applied(connection, NORTH)
    with pytest.raises(provision.VersionMoved):
        provision.apply(connection, changes, "late", 1, expected=old.version)
    assert provision.version(connection) == 1


def test_key_is_for_its_owner_only(connection: Connection, tmp_path: Path) -> None:
    """The key file stands beside the store, mode 600, and stays the same."""
    applied(connection, TEXT)
    key = tmp_path / "smsgw.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    content = key.read_bytes()
    applied(connection, TEXT.replace("upstream", "changed1"))
    assert key.read_bytes() == content
    assert sorted(path.name for path in tmp_path.iterdir() if "key" in path.name) == ["smsgw.key"]


def test_lost_or_wrong_key_is_told_with_the_remedy(connection: Connection, tmp_path: Path) -> None:
    """Without the right key the carriers' passwords cannot be had, and the line says what to do."""
    applied(connection, TEXT)
    key = tmp_path / "smsgw.key"
    key.unlink()
    with pytest.raises(SecretsUnusable, match="missing; restore it"):
        provision.load(connection)
    Vault(key).encrypt("makes another key")
    with pytest.raises(SecretsUnusable, match=r"not the key .* restore the right file"):
        provision.load(connection)
    key.write_text("rubbish")
    with pytest.raises(SecretsUnusable, match="damaged"):
        provision.load(connection)


def test_document_of_a_newer_form_is_read(connection: Connection) -> None:
    """Keys that this version does not know are passed over, absent ones get their default."""
    connection.execute(
        insert(schema.provision).values(
            kind="account", name="a", document='{"name":"a","later":[1]}', version=1
        )
    )
    assert provision.load(connection).accounts["a"].max_parts == 8


def test_hash_is_salted_and_checked() -> None:
    """Two hashes of one password differ, both are right; what is no hash fits nothing."""
    first, second = hash_password("secret"), hash_password("secret")
    assert first != second
    assert verify(first, "secret")
    assert verify(second, "secret")
    assert not verify(first, "Secret")
    assert not verify("", "secret")
