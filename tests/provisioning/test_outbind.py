"""The keys of outbind: what they need, where they may lead, and that their secrets are kept."""

from typing import Any

import pytest
from sqlalchemy import Connection, select

from smsgw.dialects import Aaisp, Aerialink, Aql
from smsgw.provisioning import Provisioning, ProvisioningError
from smsgw.provisioning.outbind import split
from smsgw.provisioning.parse import parse
from smsgw.provisioning.reach import EVERYWHERE, Reach
from smsgw.store import provision, schema
from tests.store.test_provision import applied, connection  # noqa: F401 - a fixture

LOGIN = """\
[[account]]
name = "acme"
[[account.credential]]
kind = "{kind}"
username = "acme"
password = "secret12"
profile = "{profile}"
"""
CARRIER = """\
[[carrier]]
name = "north"
system_id = "smsgw"
password = "secret"
"""
CALLS = """\
outbind = true
outbind_system_id = "theirs"
outbind_password = "calling"
outbind_allow = ["192.0.2.0/24"]
"""


def a_login(keys: str, kind: str = "smpp", profile: str = "standard") -> str:
    return LOGIN.format(kind=kind, profile=profile) + keys


def faults(text: str, reach: Reach = EVERYWHERE) -> list[str]:
    """What a file is refused for."""
    try:
        parse(text, "p.toml", Provisioning(reach=reach))
    except ProvisioningError as error:
        return error.lines
    return []


@pytest.mark.parametrize("where", ["esme.example.com:2775", "192.0.2.7:1", "[2001:db8::7]:65535"])
def test_a_client_is_called_at_host_and_port(where: str) -> None:
    """A name or an address, with its port."""
    assert faults(a_login(f'outbind = "{where}"\noutbind_password = "ours"\n')) == []
    host, port = split(where)
    assert f"{host}:{port}" == where.replace("[", "").replace("]", "")


@pytest.mark.parametrize(
    "where", ["", "host", "host:0", "host:65536", ":2775", "http://host:1", "a b:1", "h:1\\n", 7]
)
def test_anything_else_is_a_fault(where: Any) -> None:
    """Told with what would be right."""
    value = f'"{where}"' if isinstance(where, str) else where
    (line,) = faults(a_login(f"outbind = {value}\n"))
    assert line.startswith("p.toml:8: account.credential.outbind: ")
    assert '"esme.example.com:2775"' in line


def test_a_login_of_another_kind_or_profile_is_not_called() -> None:
    """HTTP has no outbind, and no operation of link is outbind (L-R17)."""
    key = 'outbind = "esme.example.com:2775"\n'
    assert faults(a_login(key, kind="http")) == [
        "p.toml:8: account.credential.outbind: only a login of kind smpp has one; leave it out"
    ]
    assert faults(a_login(key, profile="link")) == [
        "p.toml:8: account.credential.outbind: the link profile has no outbind; leave it out"
    ]
    assert faults(a_login('outbind_password = "ours"\n')) == [
        "p.toml:8: account.credential.outbind_password: given without outbind; add outbind = ..."
    ]


def test_a_client_is_called_at_public_addresses_only_unless_it_is_allowed() -> None:
    """I6: not into the operator's own network."""
    text = a_login('outbind = "10.0.0.1:2775"\n')
    nowhere = Reach.of(Aaisp(), Aql(), Aerialink())
    assert faults(text, nowhere) == [
        'p.toml:8: account.credential.outbind: "10.0.0.1:2775" is not an address of the public '
        "internet; it must be a public address, unless the configuration has outbind_private in "
        "[smpp]"
    ]
    assert faults(text, Reach.of(Aaisp(), Aql(), Aerialink(), True)) == []
    assert faults(a_login('outbind = "[::1]:2775"\n'), nowhere) != []
    assert faults(a_login('outbind = "localhost:2775"\n'), nowhere) != []


def test_a_carrier_that_calls_says_who_it_is_and_whence() -> None:
    """All three keys are needed; a host only where we connect as well."""
    assert faults(CARRIER + CALLS) == []
    assert faults(CARRIER + "outbind = true\n" + 'host = "smsc.example.com"\n') == [
        f"p.toml:1: carrier: {key} is missing; a carrier with outbind needs it"
        for key in ("outbind_system_id", "outbind_password", "outbind_allow")
    ]
    pair = CARRIER + CALLS + 'bind = "transmitter+receiver"\n'
    assert faults(pair) == ["p.toml:1: carrier: host is missing; a carrier of kind smpp needs it"]
    assert faults(pair + 'host = "smsc.example.com"\n') == []


def test_keys_of_a_carrier_that_does_not_call_are_faults() -> None:
    """And SMPP 3.3 has no outbind."""
    host = CARRIER + 'host = "smsc.example.com"\n'
    assert faults(host + 'outbind_allow = ["192.0.2.1"]\n') == [
        "p.toml:6: carrier.outbind_allow: given without outbind; add outbind = true"
    ]
    assert faults(host + CALLS + 'version = "3.3"\n') == [
        "p.toml:6: carrier.outbind: SMPP 3.3 has no outbind; leave it out"
    ]


def test_the_passwords_are_ascii() -> None:
    """A PDU holds nothing else that both ends read alike."""
    words = "has characters beyond ASCII; an SMPP password is ASCII"
    login = a_login('outbind = "esme.example.com:1"\noutbind_password = "gehe\\u00efm"\n')
    assert faults(login) == [f"p.toml:9: account.credential.outbind_password: {words}"]
    carrier = CARRIER + CALLS.replace("calling", "gehe\\u00efm")
    assert faults(carrier) == [f"p.toml:7: carrier.outbind_password: {words}"]


def test_the_passwords_are_encrypted(connection: Connection) -> None:  # noqa: F811
    """They are sent or compared, so they can be read again; store and audit do not show them."""
    login = a_login('outbind = "esme.example.com:1"\noutbind_password = "ours5"\n')
    applied(connection, login + CARRIER + CALLS)
    found = provision.load(connection)
    assert found.accounts["acme"].credential[0].outbind_password == "ours5"
    assert found.carriers["north"].outbind_password == "calling"
    assert found.carriers["north"].password == "secret"
    kept = [*connection.execute(select(schema.provision.c.document)).scalars()]
    for text in [*kept, *connection.execute(select(schema.audit.c.after)).scalars()]:
        assert "ours5" not in text
        assert "calling" not in text
