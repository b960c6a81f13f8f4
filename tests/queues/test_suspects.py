"""Which queues are suspected of being forgotten by the broker, for how long, and who is blamed."""

from typing import Any

import pytest
from attrs import define
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.testing import Clock

from smsgw.amqp.errors import ChannelGone, ConnectionClosed, ConnectionLost
from smsgw.queues.suspects import SOON_S, YOUNG_S, Suspects

QUEUE = "carrier:a"
FAULT = ConnectionClosed(541, "INTERNAL_ERROR")


@define(eq=False)
class _Asked:
    queue: str
    broken: bool = False
    alone: bool = False


class _Scene:
    def __init__(self) -> None:
        self.clock = Clock()
        self.silent: list[str] = []
        self.suspects = Suspects(self.clock, self.silent.append)

    def fault(self, connection: Any, *asked: _Asked, error: Exception = FAULT) -> None:
        """The connection ends while these are asked for."""
        if not asked:
            raise error
        with self.suspects.asking(asked[0], connection):
            self.fault(connection, *asked[1:], error=error)


@pytest.fixture
def scene() -> _Scene:
    return _Scene()


def test_a_queue_made_shortly_before_a_loss_is_suspected(scene: _Scene) -> None:
    """One that was made longer ago than ``YOUNG_S`` is not."""
    scene.suspects.made("old")
    scene.clock.advance(YOUNG_S - 1)
    scene.suspects.made(QUEUE)
    assert QUEUE not in scene.suspects
    scene.clock.advance(1.1)
    scene.suspects.broker_lost()
    assert QUEUE in scene.suspects
    assert "old" not in scene.suspects
    assert scene.suspects.within(QUEUE, 10) == SOON_S
    assert scene.suspects.within(QUEUE, 1) == 1
    assert scene.suspects.within("old", 10) == 10


def test_a_suspect_that_is_made_anew_is_one_no_more(scene: _Scene) -> None:
    """It is there for certain; but it is young again."""
    scene.suspects.made(QUEUE)
    scene.suspects.broker_lost()
    scene.suspects.made(QUEUE)
    assert QUEUE not in scene.suspects
    scene.suspects.broker_lost()
    assert QUEUE in scene.suspects


def test_a_batch_that_is_confirmed_clears_a_suspect(scene: _Scene) -> None:
    """It was told of nobody, and no call is left."""
    scene.suspects.made(QUEUE)
    scene.suspects.broker_lost()
    confirmed: Deferred[None] = Deferred()
    scene.suspects.expect(QUEUE, confirmed)
    confirmed.callback(None)
    assert QUEUE not in scene.suspects
    assert scene.clock.getDelayedCalls() == []


def test_a_suspect_is_told_of_once_for_all_its_batches(scene: _Scene) -> None:
    """The first one counts the time."""
    scene.suspects.made(QUEUE)
    scene.suspects.broker_lost()
    scene.suspects.expect(QUEUE, Deferred())
    scene.clock.advance(SOON_S - 0.1)
    scene.suspects.expect(QUEUE, Deferred())
    assert scene.silent == []
    scene.clock.advance(0.2)
    assert scene.silent == [QUEUE]
    scene.clock.advance(SOON_S)
    assert scene.silent == [QUEUE]


def test_nothing_is_expected_of_a_connection_that_is_gone(scene: _Scene) -> None:
    """Its batches are published again; the queue stays suspected."""
    scene.suspects.made(QUEUE)
    scene.suspects.broker_lost()
    scene.suspects.expect(QUEUE, Deferred())
    scene.suspects.expect_nothing()
    scene.clock.advance(SOON_S + 1)
    assert scene.silent == []
    assert QUEUE in scene.suspects


def test_a_consumer_that_is_begun_clears_a_suspect(scene: _Scene) -> None:
    """Also one that was to be asked for alone."""
    one = _Asked(QUEUE, alone=True)
    scene.suspects.made(QUEUE)
    scene.suspects.broker_lost()
    with scene.suspects.asking(one, object()):  # type: ignore[arg-type]
        pass
    assert QUEUE not in scene.suspects
    assert not one.alone


def test_one_end_of_a_connection_is_judged_once(scene: _Scene) -> None:
    """All that were asked for on it hear of the fault; the last ones are not the only ones."""
    first, second = _Asked("a"), _Asked("b")
    with pytest.raises(ConnectionClosed):
        scene.fault(object(), first, second)
    assert (first.broken, first.alone) == (second.broken, second.alone) == (False, True)


def test_a_fault_is_that_of_the_only_one_asked_for(scene: _Scene) -> None:
    """However old it is."""
    one = _Asked(QUEUE)
    with pytest.raises(ConnectionClosed):
        scene.fault(object(), one)
    assert one.broken


def test_a_fault_after_a_late_answer_accuses_nobody(scene: _Scene) -> None:
    """What was late is known to be broken, and may have been the cause."""
    connection = object()
    with pytest.raises(TimeoutError):
        scene.fault(connection, _Asked("late"), error=TimeoutError())
    one = _Asked(QUEUE)
    with pytest.raises(ConnectionClosed):
        scene.fault(connection, one)
    assert (one.broken, one.alone) == (False, True)


@pytest.mark.parametrize(
    "error", [ConnectionClosed(320, "CONNECTION_FORCED"), ConnectionLost("cut"), ChannelGone("-")]
)
def test_other_ends_blame_no_queue(scene: _Scene, error: Exception) -> None:
    """A broker that is stopped, a cable, a channel: none of them says anything of a queue."""
    one = _Asked(QUEUE)
    with pytest.raises(type(error)):
        scene.fault(object(), one, error=error)
    assert (one.broken, one.alone) == (False, False)
