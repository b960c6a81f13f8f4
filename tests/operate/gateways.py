"""A gateway that does not listen, on a journal without a thread and a clock that tests move."""

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from smsgw.config import Config
from smsgw.service import Gateway, parts
from smsgw.service import gateway as living
from smsgw.store.secrets import hash_password
from tests.journals import SynchronousJournal, a_store

NORTH = """\
[[account]]
name = "acme"
rate = 50
[[account.credential]]
kind = "smpp"
username = "acme"
password_hash = "{hash}"
allow = ["*"]
[[account.number]]
address = "447700900000"

[[carrier]]
name = "north"
host = "192.0.2.1"
system_id = "smsgw"
password = "secret"
window = 10
binds = 2

[[route]]
name = "uk"
prefixes = ["44"]
carriers = ["north"]
""".format(hash=hash_password("secret12"))


def a_gateway(test: TestCase) -> Gateway:
    """A gateway with an empty store; ``gateway.journal`` is a ``SynchronousJournal``."""
    test.patch(parts, "Journal", lambda engine, _: SynchronousJournal(engine))
    test.patch(living, "deferToThread", lambda f, *a, **k: succeed(f(*a, **k)))
    gateway = Gateway(Config(), a_store(test), Clock())
    test.addCleanup(gateway.journal.stop)
    return gateway


def result(test: TestCase, coroutine: Any) -> Any:
    """What a coroutine that has nothing to wait for returns."""
    return test.successResultOf(Deferred.fromCoroutine(coroutine))


def provision(test: TestCase, gateway: Gateway, text: str = NORTH) -> None:
    """Provisions the gateway by its operator."""
    applied = result(test, gateway.operator.apply(text, "test.toml", False, False, "test"))
    assert not applied.errors, applied.errors
