"""Questions asked together: each has its answer, and none waits that need not."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from smsgw.gathering import Gathering


class GatheringTest(SynchronousTestCase):
    """What is asked of ``asked`` is answered by hand."""

    def setUp(self) -> None:
        """Nothing is asked yet."""
        self.asked: list[tuple[list[int], Deferred[Any]]] = []

    def ask(self, several: list[int]) -> Deferred[Any]:
        """Keeps it."""
        answer: Deferred[Any] = Deferred()
        self.asked.append((several, answer))
        return answer

    def test_one_alone_is_asked_at_once_and_others_wait_together(self) -> None:
        """The first goes at once; what comes meanwhile goes as one, ``most`` at a time, in order;
        each gets its own answer."""
        gathering: Gathering[int, int] = Gathering(self.ask, 3)
        answers = [gathering(n) for n in range(6)]
        assert [several for several, _ in self.asked] == [[0]]
        for place, several in enumerate([[0], [1, 2, 3], [4, 5]]):
            assert self.asked[place][0] == several
            self.asked[place][1].callback([n * 10 for n in several])
        found = [self.successResultOf(one) for one in answers]
        assert found == [0, 10, 20, 30, 40, 50]

    def test_failure_is_of_its_question(self) -> None:
        """An exception among the answers fails its question; a failure of all fails all that were
        asked, and the next are asked nevertheless."""
        gathering: Gathering[int, int] = Gathering(self.ask, 3)
        answers = [gathering(n) for n in range(4)]
        self.asked[0][1].errback(ZeroDivisionError())
        self.failureResultOf(answers[0], ZeroDivisionError)
        self.asked[1][1].callback([1, OSError(), 3])
        assert self.successResultOf(answers[1]) == 1
        self.failureResultOf(answers[2], OSError)
        assert self.successResultOf(answers[3]) == 3

    def test_question_that_cannot_be_asked_fails(self) -> None:
        """``ask`` that raises is a failure, and keeps no place."""

        def ask(several: list[int]) -> Deferred[Any]:
            raise RuntimeError("not started")

        gathering: Gathering[int, int] = Gathering(ask, 3)
        for n in range(2):
            self.failureResultOf(gathering(n), RuntimeError)
