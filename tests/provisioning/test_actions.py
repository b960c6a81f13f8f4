"""The form of an account's routes, and what becomes of their secrets (E-D20, E-D21)."""

import pytest

from smsgw.provisioning import documents, parse
from smsgw.provisioning.actions import Action
from smsgw.provisioning.forms import Provisioning
from smsgw.provisioning.parse import ProvisioningError
from smsgw.provisioning.reach import Reach

ACCOUNT = '[[account]]\nname = "acme"\n'
HTTP = 'type = "SMS-MO-HTTP", url = "https://www.example.com/in"'


def faults(text: str, known: Provisioning | None = None) -> list[str]:
    """What is wrong with a file."""
    with pytest.raises(ProvisioningError) as caught:
        parse(text, "p.toml", known)
    return caught.value.lines


def route(action: str, sequence: str = "1") -> str:
    """A route with one action."""
    return f"[[account.route]]\nsequence = {sequence}\nactions = [{{ {action} }}]\n"


def test_a_route_with_all_its_keys() -> None:
    """Its keyword is in capitals, as first words are compared."""
    more = 'username = "u", password = "p", hmac_secret = "s", method = "GET", format = "xml"'
    text = ACCOUNT + route(f"{HTTP}, {more}") + 'code = "447700900000"\nkeyword = "vote"\n'
    [found] = parse(text + 'kind = "sms"\n', "p.toml").accounts["acme"].route
    assert (found.sequence, found.code, found.keyword, found.kind) == (
        1,
        "447700900000",
        "VOTE",
        "sms",
    )
    [action] = found.actions
    assert (action.method, action.format, action.username) == ("GET", "xml", "u")
    assert "'s'" not in repr(action)


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ('type = "SMS-MO-HTTP"', "url is missing; an action of type SMS-MO-HTTP needs it"),
        ('type = "MM4"', '"MM4" needs an MMSC; add domain (and host)'),
        ('type = "MM4", url = "https://h/"', "an action of type MM4 has no such key"),
        ('type = "EMAIL"', "to is missing; an action of type EMAIL needs an address"),
        ('type = "NULL", url = "https://h/"', "an action of type NULL has no such key"),
        (HTTP + ', to = "a@b.example"', "only an action of type EMAIL has one"),
        (HTTP + ', password = "x"', "given without username"),
        (HTTP + ', format = "yaml"', '"yaml" is not allowed'),
        ('type = "SMS-MO-HTTP", url = "ftp://h/"', '"ftp://h/" is no URL'),
    ],
)
def test_each_fault_is_told(action: str, said: str) -> None:
    """With its line and what would be right."""
    lines = faults(ACCOUNT + route(action))
    assert any(said in line and line.startswith("p.toml:") for line in lines), lines


def test_sequences_are_unique_and_actions_are_there() -> None:
    """Otherwise nobody knows which route is first, or what it does."""
    lines = faults(ACCOUNT + route(HTTP) + route(HTTP))
    assert any("1 is taken at p.toml:4; it must be unique" in line for line in lines), lines
    lines = faults(ACCOUNT + "[[account.route]]\nsequence = 1\n")
    assert any("actions is missing" in line for line in lines)


def test_a_private_address_needs_leave() -> None:
    """As for callbacks (E-D19)."""
    known = Provisioning(reach=Reach(frozenset(), toots=False))
    action = HTTP.replace("www.example.com", "127.0.0.1")
    lines = faults(ACCOUNT + route(action), known)
    assert any("allow_private_callbacks in [aerialink]" in line for line in lines), lines


def test_documents_show_no_secret_and_keep_it() -> None:
    """As it is sent back, it stays; it belongs to its type and URL."""
    text = ACCOUNT + route(f'{HTTP}, username = "u", password = "p4ss", hmac_secret = "s3cret"')
    known = parse(text, "p.toml")
    document = documents.document(known.accounts["acme"])
    [action] = document["route"][0]["actions"]
    assert (action["password"], action["hmac_secret"]) == (documents.SET, documents.SET)
    again = documents.provisioned("account", "acme", document, known).accounts["acme"]
    assert again.route[0].actions == [
        Action(
            "SMS-MO-HTTP",
            "https://www.example.com/in",
            username="u",
            password="p4ss",
            hmac_secret="s3cret",
        )
    ]
