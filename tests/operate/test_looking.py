"""What is only shown, when the store does not answer."""

from typing import Any

from sqlalchemy.exc import OperationalError
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from smsgw.operate.looking import look
from smsgw.operate.operator import Unavailable
from smsgw.store.journal import StoreFailed


class Journal:
    """Answers every look alike."""

    def __init__(self, answer: Deferred[Any]) -> None:
        self._answer = answer

    def view(self, function: Any) -> Deferred[Any]:
        """See ``Journal.view``."""
        return self._answer


class LookTests(SynchronousTestCase):
    def told(self, error: Exception) -> str:
        """What an operator is told of it."""
        journal: Any = Journal(fail(error))
        done = Deferred.fromCoroutine(look(journal, lambda c: None))
        return str(self.failureResultOf(done, Unavailable).value)

    def test_why_there_is_no_answer_is_told_with_what_to_do(self) -> None:
        """The connection is lost, or a statement fails."""
        lost = self.told(StoreFailed("the connection to the store was lost"))
        assert lost == "store: the connection to the store was lost; mend that and ask again"
        broken = self.told(OperationalError("SELECT 1", {}, Exception("disk I/O error")))
        assert broken == "store: disk I/O error; mend that and ask again"

    def test_what_was_read_is_given(self) -> None:
        """As it is."""
        journal: Any = Journal(succeed([1, 2]))
        done = Deferred.fromCoroutine(look(journal, lambda c: None))
        assert self.successResultOf(done) == [1, 2]
