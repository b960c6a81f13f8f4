"""Provisioning files: the forms, their faults, and what a file changes."""

from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw import demo
from smsgw.provisioning import (
    Account,
    Carrier,
    Credential,
    Number,
    Provisioning,
    ProvisioningError,
    Route,
    diff,
    parse,
)
from smsgw.provisioning.accounts import Pool
from smsgw.provisioning.actions import ActionRoute
from smsgw.provisioning.operators import Operator
from smsgw.provisioning.routing import Filter, Network, Price, PriceList

SAMPLE = Path(__file__).parents[1] / "etc" / "provisioning.toml"
HASH = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA"


def faults(text: str, known: Provisioning | None = None) -> list[str]:
    with pytest.raises(ProvisioningError) as caught:
        parse(text, "p.toml", known)
    return caught.value.lines


def faults_of(text: str) -> list[str]:
    try:
        parse(text, "p.toml")
    except ProvisioningError as error:
        return error.lines
    return []


def changes(old: Provisioning, new: Provisioning, prune: bool = False) -> list[str]:
    found = diff(old, new, prune, verify=lambda kept, password: kept == f"{HASH}{password}")
    return [line for change in found for line in change.lines]


def stored(**accounts: Account) -> Provisioning:
    return Provisioning(accounts=dict(accounts))


def test_sample_is_read_whole() -> None:
    """etc/provisioning.toml loads, each key into the attribute of its name."""
    found = parse(SAMPLE.read_text(), "provisioning.toml")
    acme = found.accounts["acme"]
    assert (acme.rate, acme.senders, acme.country) == (50, ["ACME", "447700900000"], "44")
    assert acme.credential[0] == Credential(
        "smpp",
        "acme",
        "secret12",
        allow=["127.0.0.0/8", "::1"],
        binds=4,
        window=50,
        profile="standard",
    )
    assert acme.number == [Number("447700900000", ["smpp"])]
    assert found.carriers["north"] == Carrier(
        "north", host="127.0.0.1", port=2776, system_id="smsgw", password="secret", window=100
    )
    assert found.routes["default"] == Route("default", [""], ["north"], "0.0100")


def test_demo_is_an_account_with_a_simulated_carrier() -> None:
    """The demo's file loads; its logins are for this machine only."""
    found = parse(demo.provisioning("secret12", "other"), "demo")
    logins = found.accounts["demo"].credential
    assert [(one.kind, one.username, one.password) for one in logins] == [
        ("smpp", "demo", "secret12"),
        ("http", "demo", "other"),
        ("http", "447700900000", "other"),
        ("smtp", "demo", "other"),
    ]
    assert all(one.allow == ["127.0.0.0/8", "::1"] for one in logins)
    assert found.carriers["simulator"].kind == "simulator"
    assert found.routes["default"].prefixes == [""]


def test_an_account_of_the_link_profile_has_five_messages_a_second() -> None:
    """L-R10: that is its rate until it sets one, 0 for none; other accounts have none."""

    def rate(profile: str, key: str = "") -> float:
        login = f"""
[[account]]
name = "a"
{key}
[[account.credential]]
kind = "smpp"
username = "a"
password = "secret12"
profile = "{profile}"
"""
        return parse(login, "p.toml").accounts["a"].rate

    assert rate("link") == 5
    assert rate("link", "rate = 50") == 50
    assert rate("link", "rate = 0") == 0
    assert rate("standard") == 0


def test_all_faults_are_told_at_once() -> None:
    """Faults of values, missing keys, duplicates and references come together, by line."""
    assert faults(
        """\
[[account]]
name = "acme"
rates = 5
[[account.credential]]
kind = "smpp"
username = "acme"
password = "longer than 8"
allow = ["10.0.0.1/8", "localhost"]
[[account.credential]]
kind = "smpp"
username = "acme"
password = "secret12"
[[account.number]]
address = "+447700900000"
targets = ["www.example.com/in?"]
[[account]]
name = "acme"
[[carrier]]
name = "mms"
kind = "mm5"
[[carrier]]
name = "north"
[[route]]
name = "default"
prefixes = [""]
carriers = ["nroth"]
"""
    ) == [
        'p.toml:3: account.rates: unknown key; did you mean "rate"?',
        "p.toml:7: account.credential.password: has 13 characters; an SMPP password has 8 at most",
        'p.toml:8: account.credential.allow: "10.0.0.1/8" has host bits set; '
        'it must be "10.0.0.0/8"',
        'p.toml:8: account.credential.allow: "localhost" is not allowed; it must be an address or '
        'block such as "192.0.2.10", "10.0.0.0/8", "::1", or "*" for anywhere',
        'p.toml:11: account.credential.username: "acme" of kind smpp is taken at p.toml:6; '
        "it must be unique",
        'p.toml:14: account.number.address: "+447700900000" is not allowed; it must be 3 to '
        '15 digits in international form without + or 00, such as "447700900000", '
        'leading digits with "*" such as "44770090*", a name of 1 to 11 characters with a letter, '
        "or an ICCID",
        'p.toml:15: account.number.targets: unknown target "www.example.com/in?"; it must be smpp, '
        "mm4, null, a URL, an e-mail address, @name@host, a mobile number, or an ICCID, after at "
        "most one of + * !",
        'p.toml:17: account.name: "acme" is taken at p.toml:2; it must be unique',
        'p.toml:20: carrier.kind: "mm5" is not allowed; it must be "smpp", "mm4" or "simulator" '
        '(did you mean "mm4"?)',
        "p.toml:21: carrier: host is missing; a carrier of kind smpp needs it",
        "p.toml:21: carrier: system_id is missing; a carrier of kind smpp needs it",
        "p.toml:21: carrier: password is missing; a carrier of kind smpp needs it",
        'p.toml:26: route.carriers: no carrier "nroth"; add [[carrier]], known are mms, north',
    ]


MM4 = '[[carrier]]\nname = "c"\nkind = "mm4"\ndomain = "d.example.com"\n'
ROUTE = '[[route]]\nname = "r"\nprefixes = [""]\ncarriers = []\n'
ONE_CARRIER = ROUTE.replace("[]", '["c"]')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[[account]]\nname = "a"\n[[account.credential]]\nkind = "http"\nusername = "u"',
            "password",
        ),
        (
            '[[account]]\nname = "a"\n[[account.credential]]\nkind = "http"\nusername = "u"\n'
            f'password = "p"\npassword_hash = "{HASH}"',
            "only one of the two",
        ),
        (
            '[[account]]\nname = "a"\n[[account.credential]]\nkind = "http"\nusername = "u"\n'
            'password_hash = "md5"',
            "smsgw hash-password",
        ),
        (
            '[[account]]\nname = "a"\n[[account.credential]]\nkind = "smpp"\n'
            'username = "sixteen-octets-x"\npassword = "p"',
            "15 at most",
        ),
        (
            '[[account]]\nname = "a"\n[[account.credential]]\nkind = "smtq"\n'
            'username = "u"\npassword = "p"',
            'it must be "smpp", "http" or "smtp"',
        ),
        (
            '[[account]]\nname = "a"\n[[account.credential]]\nkind = "smtp"\n'
            'username = "u"\npassword = "p"\nidentify = "address"\nallow = ["*"]',
            'and without "*"',
        ),
        (
            '[[account]]\nname = "a"\n[[account.credential]]\nkind = "http"\n'
            'username = "u"\npassword = "p"\nidentify = "address"',
            "only a login of kind smtp",
        ),
        (
            '[[account]]\nname = "a"\n[[account.credential]]\nkind = "smtp"\n'
            'username = "u"\npassword = "p"\nhost = "mmsc.example.net"',
            "add domain = ...",
        ),
        (MM4.replace('domain = "d.example.com"\n', ""), "domain is missing"),
        (MM4 + "tls = true", 'must be "none", "offered" or "required"'),
        (MM4 + 'tls_ca = "ca.pem"', 'without tls = "required"'),
        (MM4 + 'username = "u"', "add password = ..."),
        (MM4 + 'system_id = "u"', "a carrier of kind mm4 has no such key"),
        (MM4 + "retry_s = []", "a list such as [60, 300, 900]"),
        (MM4 + "max_size = 100", "10000 to 5242880"),
        ('[[carrier]]\nname = "c"\ndomain = "d"', "a carrier of kind smpp has no such key"),
        ('[[carrier]]\nname = "c"\ntls = "required"', "it must be true or false"),
        ('[[carrier]]\nname = "c"\npassword = "ninechars"', "at most 8 are allowed"),
        (
            '[[account]]\nname = "a"\n[[account.credential]]\nkind = "http"\n'
            'username = "u:v"\npassword = "p"',
            "has a colon",
        ),
        (
            '[[account]]\nname = "a"\n[[account.credential]]\nkind = "http"\n'
            'username = "u"\npassword = "p"\ncertificate = "client"',
            "only a login of kind smpp",
        ),
        (
            '[[account]]\nname = "a"\n[[account.credential]]\nkind = "smpp"\n'
            'username = "u"\npassword = "p"\ncertificate = "sha256:00"',
            "64 hex digits",
        ),
        (
            '[[carrier]]\nname = "c"\nhost = "h"\nsystem_id = "s"\npassword = "grün"',
            "beyond ASCII",
        ),
        ('[[account]]\nname = "a"\nsenders = ["+447700900000"]', "without +"),
        ('[[account]]\nname = "a"\nsenders = ["twelve chars"]', "1 to 11 characters"),
        ('[[account]]\nname = "a"\nbalance = 100.0', '"0.0100"'),
        ('[[account]]\nname = "a"\n[account.settings.link]\ndlr_fromat = "x"', '"dlr_format"'),
        (
            '[[account]]\nname = "a"\n[account.settings.link]\ndlr_format = "x"',
            '"seconds" or "minutes"',
        ),
        ('[[account]]\nname = "a"\n[account.settings.linked]\n', '"link"'),
        ('[[account]]\nname = "a"\n[account.settings.mm4]\nx = 1', "unknown key"),
        ('[[account]]\nname = "a"\nsettings = 1', "[account.settings.link]"),
        ('[account]\nname = "a"', "[[account]]"),
        ('[[carrier]]\nname = "c"\nkind = "simulator"\nhost = "h"', "leave it out"),
        ('[[carrier]]\nname = "c"\nkind = "simulator"\nstates = { GONE = 1 }', "DELIVRD = 95"),
        ('[[route]]\nname = "r"\nprefixes = []\ncarriers = []', '[""] takes all'),
        ('[[route]]\nname = "r"\nprefixes = ["+44"]\ncarriers = []', "0 to 15 digits"),
        ('[[route]]\nname = "r"\nprefixes = [""]\ncarriers = ["c"]', "there is none yet"),
        (ROUTE + 'text = "("', "is no regular expression"),
        (ROUTE + 'text = ""', "1 to 200 characters"),
        (ROUTE + 'text = "(a+)+b"', "may take too long"),
        (ROUTE + 'text = "a.*b.*c"', "may take too long"),
        (ROUTE + 'text = "(a|b|ab){0,99}c"', "may take too long"),
        (ROUTE + 'text = "(?:a|a){1,13}z"', "may take too long"),
        (ROUTE + f'text = "{"a" * 201}"', "1 to 200 characters"),
        (ROUTE + 'hours = "8-20"', '"08:00-20:00"'),
        (ROUTE + 'hours = "08:00-24:01"', '"08:00-20:00"'),
        (ROUTE + 'hours = "08:00-08:00"', '"08:00-20:00"'),
        (ROUTE + 'hours = "08:00-20:00"\ntime_zone = "Europe/Londn"', "is no time zone"),
        (ROUTE + 'hours = "08:00-20:00"\ntime_zone = 1', "is no time zone"),
        (ROUTE + 'time_zone = "Europe/London"', "given without hours"),
        (ROUTE + 'sources = ["+44"]', "1 to 15 leading digits"),
        (ROUTE + 'accounts = ["acme"]', 'no account "acme"; add [[account]]'),
        ('[[filter]]\nname = "f"\ntext = "x"\naccounts = ["acme"]', 'no account "acme"; add'),
        ('[[filter]]\nname = "f"\ntext = "(a*)*"', "may take too long"),
        (ROUTE + 'select = "cheapest"', '"least-cost"'),
        (ROUTE + 'kinds = ["fax"]', '"mms"'),
        (ROUTE + "queue_time_s = -1", "0 to 604800"),
        (ONE_CARRIER + "queue_time_s = 1", "given with one carrier"),
        (ONE_CARRIER + "failover_undelivered = true", "given with one carrier"),
        (ROUTE.replace('""', '"", "44"') + "sim = true", '"44" begins no ICCID'),
        ('[[routes]]\nname = "r"', 'did you mean "route"?'),
        ('[[account]\nname = "r"', "TOML"),
    ],
)
def test_fault_says_what_would_be_right(text: str, said: str) -> None:
    """Each kind of fault names the remedy."""
    assert any(said in line for line in faults(text)), faults(text)


@pytest.mark.parametrize(("window", "allowed"), [(1, True), (100, True), (101, False), (0, False)])
def test_a_window_is_100_at_most(window: int, allowed: bool) -> None:
    """E-D24: what a session would not be given is refused rather than cut in silence."""
    text = (
        '[[account]]\nname = "a"\n[[account.credential]]\nkind = "smpp"\nusername = "u"\n'
        f'password = "p"\nwindow = {window}\n'
    )
    told = f"p.toml:7: account.credential.window: {window} is not allowed; "
    told += "it must be a whole number from 1 to 100"
    assert faults_of(text) == ([] if allowed else [told])


@pytest.mark.parametrize(
    ("address", "allowed"),
    [("447700900000", True), ("80123", True), ("00447700900000", False), ("07700900000", False)],
)
def test_a_number_is_in_international_form(address: str, allowed: bool) -> None:
    """With a 0 in front no message would ever be for it."""
    lines = faults_of(f'[[account]]\nname = "a"\n[[account.number]]\naddress = "{address}"\n')
    assert bool(lines) is not allowed
    assert all("without + or 00" in line for line in lines)


SIMULATED = '[[carrier]]\nname = "c"\nkind = "simulator"\n'


def test_a_carriers_own_errors_are_read_as_written() -> None:
    """Receipt errors and command_statuses, each with one of our codes."""
    text = SIMULATED + '[carrier.errors]\n"045" = 103\nABS = 107\n"0x0401" = 128\n'
    found = parse(text, "p.toml").carriers["c"]
    assert found.errors == {"045": 103, "ABS": 107, "0x0401": 128}
    before = Provisioning(carriers={"c": Carrier("c", kind="simulator", errors={"045": 103})})
    after = Provisioning(carriers={"c": found})
    assert changes(before, after) == [
        "~ carrier c: + errors ABS: 107",
        "~ carrier c: + errors 0x0401: 128",
    ]
    assert changes(after, after) == []


def test_faults_of_a_carriers_errors_are_told_by_line() -> None:
    """Unknown codes, what no carrier can say, and the same error twice in other words."""
    assert faults(
        SIMULATED
        + """\
[carrier.errors]
"045" = 106
"46" = "103"
"47" = true
"a b" = 103
"0xyz" = 103
ABS = 107
abs = 103
"""
    ) == [
        "p.toml:5: carrier.errors.045: 106 is no response code; it must be one of the codes in "
        "docs/operate/provisioning.md, such as 206",
        'p.toml:6: carrier.errors.46: "103" is no response code; it must be one of the codes in '
        "docs/operate/provisioning.md, such as 206",
        "p.toml:7: carrier.errors.47: true is no response code; it must be one of the codes in "
        "docs/operate/provisioning.md, such as 206",
        "p.toml:8: carrier.errors.a b: is no error of a carrier; it must be 1 to 10 characters "
        "without blanks",
        "p.toml:9: carrier.errors.0xyz: is no command_status; it must be 0x and 1 to 8 hex digits",
        'p.toml:11: carrier.errors.abs: "abs" is taken at p.toml:10; it must be unique',
    ]
    (line,) = faults(SIMULATED + "errors = 5\n")
    assert line.startswith("p.toml:4: carrier.errors: 5 is not allowed; it must be a table")


@pytest.mark.parametrize("weight", ["0xfffffffffffffffffffffffffffff", "1_000_001", "-1", "true"])
def test_weights_are_bounded(weight: str) -> None:
    """The simulator adds them up as floats."""
    text = f'[[carrier]]\nname = "c"\nkind = "simulator"\nstates = {{ DELIVRD = {weight} }}\n'
    (line,) = faults(text)
    assert "DELIVRD = 95" in line


def test_a_fault_is_one_line_whatever_the_value() -> None:
    """A name with a line break is escaped wherever it stands, a number too long is a fault."""
    lines = faults(
        '[[carrier]]\nname = "a\\nb"\nkind = "c\\nd"\n'
        '[[carrier]]\nname = "a\\nb"\nkind = "simulator"\n'
        '[[route]]\nname = "r"\nprefixes = [""]\ncarriers = ["e\\nf"]\n'
    )
    assert len(lines) == 6
    assert all(line.startswith("p.toml:") and line.isprintable() for line in lines)
    assert faults(f"[[account]]\nrate = {'1' * 5000}") == [
        "p.toml:2: TOML: a number of too many digits; the file must be TOML 1.0"
    ]
    assert "a number of too many digits is not allowed" in "".join(
        faults(f"[[account]]\nrate = 0x{'f' * 5000}")
    )


def test_secrets_are_not_in_faults() -> None:
    """A fault of a password does not show it."""
    text = '[[carrier]]\nname = "c"\nhost = "h"\nsystem_id = "s"\npassword = "much too long"\n'
    (line,) = faults(text)
    assert "much" not in line
    assert "has 13 characters" in line


def test_store_counts_for_references_and_duplicates() -> None:
    """A route may name a carrier of the store.

    A login or number of another stored account is taken.
    """
    known = stored(
        other=Account(
            "other",
            credential=[Credential("smpp", "u", password_hash=HASH)],
            number=[Number("447700900000")],
        )
    )
    known.carriers["north"] = Carrier("north")
    text = '[[route]]\nname = "r"\nprefixes = [""]\ncarriers = ["north"]\n'
    assert parse(text, "p.toml", known).routes["r"].carriers == ["north"]
    account = """\
[[account]]
name = "NAME"
[[account.credential]]
kind = "smpp"
username = "u"
password = "p"
[[account.number]]
address = "447700900000"
"""
    assert faults(account.replace("NAME", "acme"), known) == [
        'p.toml:5: account.credential.username: "u" of kind smpp is taken at account "other" '
        "in the store; it must be unique",
        'p.toml:8: account.number.address: "447700900000" is taken at account "other" '
        "in the store; it must be unique",
    ]
    assert parse(account.replace("NAME", "other"), "p.toml", known).accounts["other"]


def account(name: str, *lines: str) -> str:
    return "\n".join(["[[account]]", f'name = "{name}"', *lines, ""])


def test_a_tree_of_accounts_has_three_levels() -> None:
    """In any order, and together with what the store has (F-17)."""
    known = stored(top=Account("top"), middle=Account("middle", parent="top"))
    text = account("low", 'parent = "middle"')
    assert parse(text, "p.toml", known).accounts["low"].parent == "middle"
    assert faults(text + account("lowest", 'parent = "low"'), known) == [
        "p.toml:6: account.parent: the tree would have more than 3 levels; "
        "choose an account further up"
    ]
    # What is below in the store counts as well.
    assert parse(account("top", 'parent = "new"') + account("new"), "p.toml", known)
    known.accounts["low"] = Account("low", parent="middle")
    assert faults(account("top", 'parent = "new"') + account("new"), known) == [
        "p.toml:3: account.parent: the tree would have more than 3 levels; "
        "choose an account further up"
    ]


def test_an_account_is_not_part_of_itself() -> None:
    """Nor by way of others, of the file or of the store."""
    assert faults(account("a", 'parent = "a"')) == [
        "p.toml:3: account.parent: it is part of itself by a; break the circle"
    ]
    known = stored(b=Account("b", parent="a"), c=Account("c", parent="b"))
    assert faults(account("a", 'parent = "c"'), known) == [
        "p.toml:3: account.parent: it is part of itself by c of b of a; break the circle"
    ]


def test_a_parent_must_be_there() -> None:
    """In the file or in the store."""
    assert faults(account("a", 'parent = "nobody"') + account("b")) == [
        'p.toml:3: account.parent: no account "nobody"; add [[account]], known are b'
    ]
    assert faults(account("a", 'parent = "nobody"')) == [
        'p.toml:3: account.parent: no account "nobody"; add [[account]], there is none yet'
    ]


def test_a_parent_has_the_same_currency() -> None:
    """The fault is told of what the file has; an account without a currency goes with any."""
    top = account("top", 'currency = "GBP"')
    assert faults(top + account("low", 'currency = "EUR"', 'parent = "top"')) == [
        'p.toml:6: account.currency: "EUR" is not that of "top" above it; it must be "GBP"'
    ]
    known = stored(low=Account("low", parent="top", currency="EUR"))
    assert faults(top, known) == [
        'p.toml:3: account.currency: "GBP" is not that of "low", a part of it; it must be "EUR"'
    ]
    assert parse(top + account("low", 'parent = "top"'), "p.toml").accounts
    between = account("low", 'parent = "top"')
    assert faults(top + between + account("lowest", 'currency = "EUR"', 'parent = "low"')) == [
        'p.toml:9: account.currency: "EUR" is not that of "top" above it; it must be "GBP"'
    ]


def test_a_file_without_operators_prunes_none() -> None:
    """It would open the admin API of this machine to everybody."""
    ops = Operator("ops", "0" * 64)
    old = Provisioning(accounts={"a": Account("a")}, operators={"ops": ops})
    found = diff(old, Provisioning(), prune=True, verify=lambda *_: False)
    assert [change.lines for change in found] == [["- account a"]]
    other = Provisioning(operators={"other": Operator("other", "1" * 64)})
    found = diff(old, other, prune=True, verify=lambda *_: False)
    assert ["- operator ops"] in [change.lines for change in found]


def test_pools_have_different_names() -> None:
    """A name stands for one list of senders."""
    pool = '[[account.pool]]\nname = "shared"\nsenders = ["ACME"]\n'
    assert parse(account("a", pool) + account("b", pool), "p.toml").accounts
    assert faults(account("a", pool, pool)) == [
        'p.toml:8: account.pool.name: "shared" is taken at p.toml:4; it must be unique'
    ]


def test_diff_tells_made_changed_and_deleted() -> None:
    """Lines begin with +, ~ and -.

    Carriers come before routes that name them, and go after them.
    """
    old = stored(gone=Account("gone"), same=Account("same"))
    old.carriers = {"north": Carrier("north", window=50), "gone": Carrier("gone")}
    old.routes = {"gone": Route("gone", [""], ["gone"])}
    new = stored(same=Account("same"), acme=Account("acme"))
    new.carriers = {"north": Carrier("north", window=100, rate=2.5)}
    new.routes = {"default": Route("default", [""], ["north"])}
    kept = [
        "~ carrier north: rate: 0 -> 2.5",
        "~ carrier north: window: 50 -> 100",
        "+ account acme",
        "+ route default",
    ]
    assert changes(old, new) == kept
    assert changes(old, new, prune=True) == [
        *kept,
        "- route gone",
        "- account gone",
        "- carrier gone",
    ]


def test_diff_goes_into_logins_numbers_and_settings() -> None:
    """What changed inside an account is told by login, number and setting."""
    before = Account(
        "a",
        settings={"link": {"dlr_format": "seconds"}},
        credential=[Credential("smpp", "u", password_hash=HASH), Credential("http", "k", "x")],
        number=[Number("447700900000")],
    )
    after = attrs.evolve(
        before,
        balance="10.00",
        settings={"link": {"dlr_format": "minutes"}},
        credential=[
            Credential("smpp", "u", password_hash=HASH, allow=["*"]),
            Credential("smpp", "v", "secret"),
        ],
        number=[Number("447700900000"), Number("447700900001")],
    )
    assert changes(stored(a=before), stored(a=after)) == [
        '~ account a: balance: none -> "10.00"',
        '~ account a: settings link dlr_format: "seconds" -> "minutes"',
        '~ account a: credential smpp u allow: [] -> ["*"]',
        "~ account a: - credential http k",
        "~ account a: + credential smpp v",
        "~ account a: + number 447700900001",
    ]


def test_known_password_is_no_change() -> None:
    """The password whose hash the store has leaves the hash as it is.

    Another one is told without showing it.
    """
    old = stored(a=Account("a", credential=[Credential("http", "k", password_hash=f"{HASH}known")]))
    same = stored(a=Account("a", credential=[Credential("http", "k", "known")]))
    other = stored(a=Account("a", credential=[Credential("http", "k", "other")]))
    assert changes(old, same) == []
    assert changes(old, other) == ["~ account a: credential http k password (changed)"]


names = st.text("abcz._-019", min_size=1, max_size=8).filter(lambda name: name[0] not in "._-")
accounts = st.builds(
    Account,
    name=names,
    rate=st.sampled_from([0.0, 5.0]),
    senders=st.lists(st.sampled_from(["ACME", "447700900000"]), unique=True),
    number=st.lists(st.builds(Number, st.just("447700900000")), max_size=1),
)
carriers = st.builds(Carrier, name=names, window=st.integers(1, 100), password=st.just("x"))
routes = st.builds(Route, name=names, prefixes=st.just([""]), carriers=st.lists(names, max_size=2))
provisionings = st.builds(
    lambda a, c, r: Provisioning(
        {one.name: one for one in a}, {one.name: one for one in c}, {one.name: one for one in r}
    ),
    st.lists(accounts, max_size=3),
    st.lists(carriers, max_size=3),
    st.lists(routes, max_size=3),
)


@given(provisionings, provisionings, st.booleans())
def test_changes_lead_from_old_to_new(old: Provisioning, new: Provisioning, prune: bool) -> None:
    """Doing the changes gives the new state; a second time there is nothing to do."""
    found = diff(old, new, prune, verify=lambda *_: False)
    result = Provisioning(dict(old.accounts), dict(old.carriers), dict(old.routes))
    for change in found:
        assert change.lines
        result.of(change.kind).pop(change.name, None)
        if change.after is not None:
            result.of(change.kind)[change.name] = change.after
    for kind in ("account", "carrier", "route"):
        expected = new.of(kind) if prune else {**old.of(kind), **new.of(kind)}
        assert result.of(kind) == expected
    assert diff(result, new, prune, verify=lambda *_: False) == []


@given(st.text(max_size=80) | st.text("[]account.=\"'\n{}, ", max_size=80))
def test_any_text_gives_a_provisioning_or_faults(text: str) -> None:
    """No text makes it fail in another way than with faults."""
    assert all(line.startswith("p.toml:") for line in faults_of(text))


values = st.recursive(
    st.integers()
    | st.sampled_from(['"smpp"', '""', '"\\u0000"', "true", "1.5", "nan", "07:00:00"]),
    lambda inner: (
        st.lists(inner, max_size=2).map(lambda items: f"[{', '.join(map(str, items))}]")
        | inner.map(lambda value: f"{{ kind = {value} }}")
    ),
    max_leaves=4,
)
FORMS = {
    "account": Account,
    "account.credential": Credential,
    "account.number": Number,
    "account.pool": Pool,
    "account.route": ActionRoute,
    "carrier": Carrier,
    "route": Route,
    "network": Network,
    "price_list": PriceList,
    "price_list.price": Price,
    "filter": Filter,
    "operator": Operator,
}


@given(st.data())
def test_any_value_of_any_key_is_taken_or_told(data: st.DataObject) -> None:
    """A value of any type at any key of any form is taken or told."""
    table = data.draw(st.sampled_from(sorted(FORMS)))
    keys = [one.name for one in attrs.fields(FORMS[table])]
    chosen = data.draw(st.lists(st.sampled_from(keys), unique=True, max_size=4))
    lines = [f"{key} = {data.draw(values)}" for key in chosen]
    above = table.partition(".")[0]
    parent = f'[[{above}]]\nname = "a"\n' if "." in table else ""
    text = f"{parent}[[{table}]]\n" + "\n".join(lines)
    assert all(line.startswith("p.toml:") for line in faults_of(text))


def test_deep_nesting_is_a_fault() -> None:
    """A text nested beyond measure is refused in one line."""
    assert faults("x = " + "[" * 5000) == [
        "p.toml:1: TOML: nested too deeply; the file must be TOML 1.0"
    ]


def test_manual_has_every_key() -> None:
    """docs/operate/provisioning.md names each key of each form."""
    manual = (SAMPLE.parents[1] / "docs" / "operate" / "provisioning.md").read_text()
    for table, form in FORMS.items():
        section = manual.partition(f"`[[{table}]]`")[2].partition("`[[")[0]
        for key in attrs.fields(form):
            if key.name not in ("settings", "credential", "number", "route"):
                assert f"\n| `{key.name}` |" in section, f"{table}.{key.name}"


@pytest.mark.parametrize(
    "pattern",
    [
        "(?i)(code|pin).{0,20}[0-9]{4,8}",
        r"^Your .* is \d{6}$",
        "a+",
        "(?:code|otp|pin) ?[0-9]{4}",
        "(?=.*code)bank",
        "(ab){3}(?P<x>c)(?P=x)?",
        "\u0416",
    ],
)
def test_patterns_that_cannot_take_long_are_allowed(pattern: str) -> None:
    """Words, one repeat, bounded ones beside it."""
    text = ROUTE.replace("[]", '["c"]') + f"text = '{pattern}'\n"
    known = Provisioning(carriers={"c": Carrier("c")})
    assert parse(text, "p.toml", known).routes["r"].text == pattern


def test_what_needs_a_next_carrier_is_taken_with_two() -> None:
    """And a route for SIMs with what begins an ICCID, or is begun by it."""
    text = (
        ROUTE.replace("[]", '["c", "d"]').replace('""', '"", "8", "89445"')
        + "queue_time_s = 30\nfailover_undelivered = true\nsim = true\n"
    )
    known = Provisioning(carriers={"c": Carrier("c"), "d": Carrier("d")})
    route = parse(text, "p.toml", known).routes["r"]
    assert (route.queue_time_s, route.failover_undelivered, route.sim) == (30, True, True)


def test_a_route_is_read_with_all_its_filters() -> None:
    """Their keys are those of the form; accounts may be in the store."""
    text = (
        ROUTE.replace("[]", '["c"]') + 'accounts = ["acme"]\nsources = ["44", "ACME"]\n'
        'hours = "22:00-06:00"\ntime_zone = "Europe/London"\nselect = "round-robin"\n'
        'failover_down = false\ngroups = ["gold"]\ntags = ["codes"]\nkinds = ["sms"]\n'
    )
    known = Provisioning({"acme": Account("acme")}, {"c": Carrier("c")})
    assert parse(text, "p.toml", known).routes["r"] == Route(
        "r",
        [""],
        ["c"],
        accounts=["acme"],
        sources=["44", "ACME"],
        hours="22:00-06:00",
        time_zone="Europe/London",
        select="round-robin",
        failover_down=False,
        groups=["gold"],
        tags=["codes"],
        kinds=["sms"],
    )
