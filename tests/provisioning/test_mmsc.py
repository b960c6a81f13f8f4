"""A number whose messages go to the account's own MMSC."""

import pytest

from smsgw.flow.exchange import mmsc_of
from smsgw.provisioning import ProvisioningError, parse
from smsgw.provisioning.targets import MM4, targets_of

ACCOUNT = """
[[account]]
name = "acme"
[[account.number]]
address = "447700900000"
targets = ["mm4"]
[[account.credential]]
kind = "smtp"
username = "first"
password = "secret12"
[[account.credential]]
kind = "smtp"
username = "acme"
password = "secret12"
"""


def test_needs_a_login_that_names_it() -> None:
    """The fault says what to add."""
    with pytest.raises(ProvisioningError) as told:
        parse(ACCOUNT, "p.toml")
    [line] = told.value.lines
    assert '"mm4" needs an MMSC; add domain (and host)' in line


def test_is_that_of_the_login_that_names_one() -> None:
    """Whichever login a message came by, the MMSC is the one that there is."""
    account = parse(ACCOUNT + 'domain = "mms.example.org"\n', "p.toml").accounts["acme"]
    assert targets_of(account.number[0], account) == [MM4]
    for login in ("", "first", "acme"):
        found = mmsc_of(account, login)
        assert found is not None
        assert found.domain == "mms.example.org"
