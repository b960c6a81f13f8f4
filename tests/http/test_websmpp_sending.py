"""What a websmpp submission remembers from one request to the next."""

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from smsgw.config import Config
from smsgw.http.websmpp_answers import Answers
from smsgw.http.websmpp_asked import Asked
from smsgw.http.websmpp_content import Refused
from smsgw.http.websmpp_sending import Sending
from smsgw.identities import Identities
from smsgw.login import Login
from smsgw.message import Message
from smsgw.provisioning import parse
from smsgw.queues import Transaction
from smsgw.refusals import Reason
from smsgw.rules.tables import Tables

_PROVISIONED = """\
[[account]]
name = "acme"
senders = {account}
[[account.credential]]
kind = "http"
username = "any"
password = "12345"
[[account.credential]]
kind = "http"
username = "one"
password = "12345"
numbers = ["ONE"]
"""


class _Taking:
    """Accepts everything at once."""

    draining = False

    def __init__(self) -> None:
        self._allot = Identities(0).allot

    def accept(self, login: Login, messages: list[Message], whole: Any) -> Deferred[list[Any]]:
        """See ``flow/accept.py``."""
        for message in messages:
            message.id = self._allot()
        assert whole(messages, Transaction()) is None
        return succeed(list(messages))

    def count(self, reason: Reason, messages: int) -> None:
        """Nothing is refused here."""


class _Submitter:
    """Submits by ``Sending`` with the tables that are in force."""

    def __init__(self) -> None:
        self.provision('["ONE", "TWO"]')
        nothing: Any = SimpleNamespace()
        self._sending = Sending(
            lambda: self.tables,
            _Taking(),
            nothing,
            Identities(0).allot,
            Answers(False),
            Clock(),
            lambda: 0.0,
        )

    def provision(self, senders: str) -> None:
        """From now on these are the account's senders."""
        self.tables = Tables(parse(_PROVISIONED.format(account=senders), "test"))

    def submit(self, username: str, sid: str) -> bytes | Reason:
        """The answer's body, or why it is refused."""
        given = {"sid": sid, "mno": "447700900001", "type": "1", "text": "hello"}
        account = self.tables.accounts["acme"]
        login = Login("acme", username, "http")
        bodies: list[bytes] = []
        try:
            answer: Any = self._sending.submit(Asked(given), login, account, Config().ams)
        except Refused as refused:
            return refused.refusal.reason
        answer.addCallback(lambda response: bodies.append(response.body))
        return bodies[0]


@pytest.fixture
def submitter() -> _Submitter:
    """One with the senders ONE and TWO."""
    return _Submitter()


def test_a_sender_that_was_good_is_refused_once_it_is_taken_away(submitter: _Submitter) -> None:
    """W-D20: a sender holds as long as it is provisioned, however often it was used before."""
    for _ in range(2):
        assert isinstance(submitter.submit("any", "TWO"), bytes)
    submitter.provision('["ONE"]')
    assert submitter.submit("any", "TWO") is Reason.SOURCE_NOT_PROVISIONED
    assert isinstance(submitter.submit("any", "ONE"), bytes)


def test_a_sender_of_one_login_is_not_another_logins(submitter: _Submitter) -> None:
    """W-D20, I6: what one login of an account may send from says nothing about another's."""
    assert isinstance(submitter.submit("any", "TWO"), bytes)
    for _ in range(2):
        assert submitter.submit("one", "TWO") is Reason.SOURCE_NOT_PROVISIONED
    assert isinstance(submitter.submit("one", "ONE"), bytes)


def test_a_sender_that_was_refused_is_good_once_it_is_provisioned(submitter: _Submitter) -> None:
    """W-D20: only good senders are remembered, and only for the tables that they are in."""
    assert submitter.submit("any", "THREE") is Reason.SOURCE_NOT_PROVISIONED
    submitter.provision('["THREE"]')
    assert isinstance(submitter.submit("any", "THREE"), bytes)
