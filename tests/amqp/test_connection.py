"""A connection and its channels, without a socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from smsgw.amqp.errors import (
    ChannelClosed,
    ConnectionClosed,
    ConnectionLost,
    ConsumerCancelled,
    LoginRefused,
    MisuseError,
    Nacked,
    NoRoom,
    NotFound,
    ProtocolFault,
    Returned,
    Silent,
)
from smsgw.amqp.heartbeat import FRAME as HEARTBEAT
from tests.amqp.recorded import RECORDED
from tests.amqp.wires import Wire, content, deliver, frame, outcome, raw_frame, ready


def test_the_handshake_is_that_of_0_9_1_with_capabilities():
    """The header is 0-0-9-1, and the broker learns what the client can do."""
    wire = Wire()
    assert wire.transport.value() == b"AMQP\x00\x00\x09\x01"
    opened = outcome(Deferred.fromCoroutine(wire.connection.open()))
    wire.send(RECORDED["handshake"])
    assert opened == [None]
    sent = wire.transport.value()
    assert b"\x0aconsumer_c" not in sent
    assert b"consumer_cancel_notifyt\x01" in sent
    assert b"connection.blockedt\x01" in sent
    assert b"\x05PLAIN\x00\x00\x00\x0c\x00guest\x00guest" in sent
    assert wire.asked() == [
        "connection.start-ok",
        "connection.tune-ok",
        "connection.open",
    ]
    assert wire.connection.server["product"] == "RabbitMQ"
    verifyObject(IPushProducer, wire.connection)


def test_a_refused_login_says_so():
    """With the recorded answer to a wrong password; the text is the broker's."""
    wire = Wire()
    opened = outcome(Deferred.fromCoroutine(wire.connection.open()))
    wire.send(RECORDED["login_refused"])
    assert isinstance(opened[0], LoginRefused)
    assert "Login was refused" in str(opened[0])


def test_a_mechanism_that_is_not_offered_is_not_tried():
    """No password goes to a broker that asks for something else."""
    wire = Wire(mechanism="EXTERNAL")
    opened = outcome(Deferred.fromCoroutine(wire.connection.open()))
    wire.send(frame(0, "connection.start", 0, 9, {}, b"PLAIN AMQPLAIN", b"en_US"))
    assert "takes PLAIN, AMQPLAIN, not EXTERNAL" in str(opened[0])
    assert b"guest" not in wire.transport.value()


def test_external_sends_no_password():
    """The certificate that TLS has shown says who it is."""
    wire = Wire(mechanism="EXTERNAL")
    Deferred.fromCoroutine(wire.connection.open())
    wire.send(frame(0, "connection.start", 0, 9, {}, b"PLAIN EXTERNAL", b"en_US"))
    assert wire.asked() == ["connection.start-ok"]
    assert b"guest" not in wire.transport.value()


def test_a_handshake_that_stands_still_is_given_up():
    """A broker that accepts and says nothing is left after ``handshake_s``."""
    wire = Wire(handshake_s=15)
    opened = outcome(Deferred.fromCoroutine(wire.connection.open()))
    wire.clock.advance(14.9)
    assert not opened
    wire.clock.advance(0.2)
    assert isinstance(opened[0], Silent)
    assert wire.transport.aborted


@pytest.mark.parametrize(("theirs", "agreed"), [(60, 10), (5, 5), (0, 10)])
def test_the_shorter_heartbeat_is_agreed(theirs, agreed):
    """0 means that the broker does not mind; ours is 10 s."""
    wire = Wire()
    Deferred.fromCoroutine(wire.connection.open())
    wire.send(frame(0, "connection.start", 0, 9, {}, b"PLAIN", b"en_US"))
    wire.send(frame(0, "connection.tune", 100, 8192, theirs))
    assert wire.connection.heartbeat == agreed
    assert (wire.connection.max_channel, wire.connection.max_frame) == (100, 8192)


def test_an_idle_connection_sends_heartbeats():
    """One every half interval, none while something else is sent."""
    wire, channel = ready()
    channel.publish("", "q", b"x")
    wire.transport.clear()
    for _ in range(4):
        wire.clock.advance(2.5)
        wire.send(HEARTBEAT)
    assert wire.transport.value() == HEARTBEAT
    for _ in range(2):
        wire.clock.advance(2.5)
        wire.send(HEARTBEAT)
    assert wire.transport.value() == HEARTBEAT * 2


def test_a_silent_broker_is_left_after_two_intervals():
    """The connection really closes, and whoever waits learns why (AMQP 0-9-1 §4.2.7)."""
    wire, channel = ready()
    published = outcome(channel.publish("", "q", b"x"))
    for _ in range(7):
        wire.clock.advance(2.5)
    assert not published
    wire.clock.advance(2.5)
    wire.clock.advance(2.5)
    assert isinstance(published[0], Silent)
    assert wire.transport.aborted
    assert wire.clock.getDelayedCalls() == []


def test_a_broker_that_is_heard_is_not_left():
    """Any octets are a sign of life."""
    wire, _ = ready()
    for _ in range(40):
        wire.clock.advance(2.5)
        wire.send(HEARTBEAT)
    assert wire.connection.reason is None


def test_publish_fires_on_the_brokers_ack():
    """Not when it is written (I1); ``multiple`` confirms all before it, out of order or not."""
    wire, channel = ready()
    told = [outcome(channel.publish("", "q", b"x")) for _ in range(5)]
    assert told == [[]] * 5
    wire.send(frame(1, "basic.ack", 2, False))
    assert [bool(one) for one in told] == [False, True, False, False, False]
    wire.send(frame(1, "basic.ack", 4, True))
    assert [bool(one) for one in told] == [True, True, True, True, False]
    wire.send(frame(1, "basic.nack", 5, False, False))
    assert isinstance(told[4][0], Nacked)
    assert channel.unconfirmed == 0


def test_ack_of_zero_with_multiple_is_all():
    """AMQP 0-9-1: tag 0 stands for everything outstanding."""
    wire, channel = ready()
    told = [outcome(channel.publish("", "q", b"x")) for _ in range(3)]
    wire.send(frame(1, "basic.ack", 0, True))
    assert told == [[None]] * 3


@given(st.data())
def test_every_publish_is_answered_once(data):
    """Any order of single and multiple acks and nacks settles each message exactly once."""
    wire, channel = ready()
    count = data.draw(st.integers(1, 20))
    told = [outcome(channel.publish("", "q", b"x")) for _ in range(count)]
    left = set(range(1, count + 1))
    while left:
        tag = data.draw(st.sampled_from(sorted(left)))
        multiple, ack = data.draw(st.booleans()), data.draw(st.booleans())
        name = "basic.ack" if ack else "basic.nack"
        wire.send(frame(1, name, tag, multiple, *(() if ack else (False,))))
        done = {one for one in left if one == tag or (multiple and one < tag)}
        for one in done:
            assert len(told[one - 1]) == 1
            assert isinstance(told[one - 1][0], type(None) if ack else Nacked)
        left -= done
        assert channel.unconfirmed == len(left)


def test_a_returned_message_is_the_one_that_fails():
    """The recorded return is of message 2; 1 and 3 are not touched, its own ack finds nobody."""
    wire, channel = ready()
    told = [outcome(channel.publish("", "q", b"x")) for _ in range(3)]
    wire.send(RECORDED["return"])
    assert isinstance(told[1][0], Returned)
    assert told[1][0].code == 312
    assert told[0] == told[2] == []
    assert len(told[1]) == 1


def test_the_window_bounds_what_is_unconfirmed():
    """Beyond it nothing is written (I5), and whoever waits is told when there is room."""
    wire = Wire()
    wire.open()
    channel = wire.channel(window=2)
    told = [outcome(channel.publish("", "q", b"x")) for _ in range(2)]
    assert channel.room == 0
    wire.transport.clear()
    refused = outcome(channel.publish("", "q", b"x"))
    assert isinstance(refused[0], NoRoom)
    assert wire.transport.value() == b""
    waiting = outcome(channel.when_room())
    assert not waiting
    wire.send(frame(1, "basic.ack", 1, False))
    assert waiting == [None]
    assert told[0] == [None]
    assert channel.room == 1


def test_a_blocked_broker_has_no_room():
    """connection.blocked: nothing is written until it is unblocked; what was written waits."""
    wire, channel = ready()
    told = outcome(channel.publish("", "q", b"x"))
    wire.send(frame(0, "connection.blocked", "low on memory"))
    assert channel.room == 0
    assert wire.connection.blocked == "low on memory"
    refused = outcome(channel.publish("", "q", b"x"))
    assert isinstance(refused[0], NoRoom)
    assert "low on memory" in str(refused[0])
    waiting = outcome(channel.when_room())
    assert told == waiting == []
    wire.send(frame(0, "connection.unblocked"))
    assert waiting == [None]
    assert channel.room == 999


def test_a_socket_that_takes_nothing_has_no_room():
    """Back-pressure: no room while the transport is full, though a series begun goes on."""
    wire, channel = ready()
    wire.connection.pauseProducing()
    assert channel.room == 0
    waiting = outcome(channel.when_room())
    assert outcome(channel.publish("", "q", b"x")) == []
    wire.connection.resumeProducing()
    assert waiting == [None]


def test_channel_flow_is_obeyed():
    """The broker may stop a single channel."""
    wire, channel = ready()
    wire.send(frame(1, "channel.flow", False))
    assert wire.asked() == ["channel.flow-ok"]
    assert channel.room == 0
    waiting = outcome(channel.when_room())
    wire.send(frame(1, "channel.flow", True))
    assert waiting == [None]
    assert channel.room == 1000


def consuming():
    """A consumer, its batches, and why it was cancelled."""
    wire, channel = ready()
    batches, reasons, made = [], [], []
    consume = channel.consume("q", batches.append, reasons.append)
    Deferred.fromCoroutine(consume).addCallback(made.append)
    wire.send(frame(1, "basic.consume-ok", "smsgw.1.1"))
    wire.transport.clear()
    return wire, channel, made[0], batches, reasons


def test_deliveries_come_by_batches_and_are_settled():
    """A batch for a read; ack, nack and reject go out as they are asked for."""
    wire, channel, _, batches, _ = consuming()
    wire.send(deliver(1, b"a") + deliver(2, b"b"))
    assert [[one.body for one in batch] for batch in batches] == [[b"a", b"b"]]
    channel.ack(2, multiple=True)
    assert wire.transport.value() == frame(1, "basic.ack", 2, True)
    wire.transport.clear()
    channel.nack(3, multiple=True, requeue=False)
    channel.nack(4)
    channel.reject(5)
    assert wire.transport.value() == (
        frame(1, "basic.nack", 3, True, False)
        + frame(1, "basic.nack", 4, False, True)
        + frame(1, "basic.reject", 5, False)
    )


def test_a_consumer_that_the_broker_cancels_is_told():
    """With the recorded notice that its queue was deleted; the channel goes on."""
    wire, channel, consumer, _, reasons = consuming()
    wire.send(frame(1, "basic.cancel", "smsgw.1.1", True))
    assert [type(one) for one in reasons] == [ConsumerCancelled]
    assert not consumer.active
    assert channel.reason is None


def test_what_comes_after_a_cancel_goes_back():
    """Deliveries on their way while a consumer is cancelled are put back to the queue."""
    wire, channel, consumer, batches, reasons = consuming()
    done = outcome(Deferred.fromCoroutine(channel.cancel(consumer)))
    wire.transport.clear()
    wire.send(deliver(1, b"late") + frame(1, "basic.cancel-ok", "smsgw.1.1"))
    assert done == [None]
    assert batches == reasons == []
    assert wire.transport.value() == frame(1, "basic.nack", 1, False, True)


def test_a_consumer_that_raises_loses_its_channel():
    """Nothing is acknowledged for it: the broker gives its messages to another."""
    wire, channel = ready()
    reasons = []

    def take(batch):
        raise RuntimeError("broken")

    Deferred.fromCoroutine(channel.consume("q", take, reasons.append))
    wire.send(frame(1, "basic.consume-ok", "smsgw.1.1"))
    wire.transport.clear()
    wire.send(deliver(1, b"a"))
    assert wire.asked() == ["channel.close"]
    assert len(reasons) == 1
    wire.send(deliver(2, b"late") + frame(1, "channel.close-ok"))
    assert wire.connection.reason is None
    assert wire.channel().number == 1


def test_a_body_beyond_the_bound_is_rejected():
    """It goes where dead letters go, the others are taken."""
    wire = Wire(max_body=10)
    wire.open()
    channel = wire.channel()
    batches = []
    Deferred.fromCoroutine(channel.consume("q", batches.append))
    wire.send(frame(1, "basic.consume-ok", "smsgw.1.1"))
    wire.transport.clear()
    wire.send(deliver(1, b"x" * 11) + deliver(2, b"y"))
    assert [one.body for one in batches[0]] == [b"y"]
    assert wire.transport.value() == frame(1, "basic.reject", 1, False)


def test_a_channel_error_is_typed_and_the_connection_goes_on():
    """The recorded 404; everything that waited on the channel fails with it, at once."""
    wire, channel = ready()
    told = outcome(channel.publish("", "q", b"x"))
    asked = outcome(Deferred.fromCoroutine(channel.declare_queue("nosuch", passive=True)))
    wire.transport.clear()
    wire.send(RECORDED["not_found"])
    assert wire.asked() == ["channel.close-ok"]
    assert isinstance(asked[0], NotFound)
    assert isinstance(told[0], NotFound)
    assert isinstance(asked[0], ChannelClosed)
    assert asked[0].code == 404
    assert wire.connection.reason is None
    again = outcome(Deferred.fromCoroutine(channel.declare_queue("q")))
    assert isinstance(again[0], NotFound)
    channel.ack(1)
    assert wire.transport.value() == b""


def lose(wire):
    wire.connection.connectionLost(Failure(ConnectionDone()))


def close_by_broker(wire):
    wire.send(frame(0, "connection.close", 320, "CONNECTION_FORCED - shutdown", 0, 0))


def break_protocol(wire):
    wire.send(b"\x01\x00\x01\x00\x00\x00\x00\x00")


@pytest.mark.parametrize(
    ("end", "kind"),
    [(lose, ConnectionLost), (close_by_broker, ConnectionClosed), (break_protocol, ProtocolFault)],
)
def test_when_the_connection_ends_everybody_is_told_at_once(end, kind):
    """Confirms, methods, room, consumers and the owner all get the one typed reason."""
    wire, channel, _, _, reasons = consuming()
    told = [
        outcome(channel.publish("", "q", b"x")),
        outcome(Deferred.fromCoroutine(channel.declare_queue("a"))),
        outcome(Deferred.fromCoroutine(channel.declare_queue("b"))),
        outcome(Deferred.fromCoroutine(wire.connection.channel_for())),
        outcome(wire.connection.when_ended()),
        reasons,
    ]
    wire.connection.pauseProducing()
    told.append(outcome(channel.when_room()))
    end(wire)
    reason = wire.connection.reason
    assert type(reason) is kind
    assert told == [[reason]] * 7
    assert outcome(channel.publish("", "q", b"x")) == [reason]
    assert outcome(channel.when_room()) == [reason]
    assert outcome(wire.connection.when_ended()) == [reason]
    assert outcome(Deferred.fromCoroutine(wire.connection.channel_for())) == [reason]
    wire.clock.advance(5)
    assert wire.clock.getDelayedCalls() == []


def test_a_fault_is_told_to_the_broker():
    """connection.close with the code goes out before the socket is closed."""
    wire, _ = ready()
    break_protocol(wire)
    assert wire.asked() == ["connection.close"]
    assert not wire.transport.connected


@pytest.mark.parametrize(
    "octets",
    [
        frame(1, "basic.ack", 1, False),  # nothing was published
        frame(1, "basic.ack", 2**63, True),
        frame(1, "basic.nack", 0, False, False),
        frame(2, "basic.ack", 1, False),  # no such channel
        frame(1, "queue.declare-ok", "q", 0, 0),  # answers nothing
        frame(1, "queue.declare", 0, "q", *([False] * 5), {}),  # not for a client
        frame(1, "connection.close", 320, "", 0, 0),  # not on channel 0
        frame(0, "channel.close", 404, "", 0, 0),
        frame(7, "channel.close", 404, "", 0, 0),
        frame(0, "connection.start", 0, 9, {}, b"PLAIN", b"en_US"),  # a second time
        frame(0, "connection.tune", 1, 4096, 1),
        raw_frame(1, 0, bytes.fromhex("000a0014")),  # no such method
        raw_frame(1, 1, bytes.fromhex("00140028 00")),  # ends too early
        frame(1, "channel.flow", True)[:-1] + b"\x00",
        deliver(1, b"x", channel=9),
        content(1, b"x"),
    ],
)
def test_what_no_broker_may_send_closes_the_connection(octets):
    """Each breach is a ProtocolFault, which harms nothing but this connection (I7)."""
    wire, channel = ready()
    wire.send(octets)
    assert isinstance(wire.connection.reason, ProtocolFault)
    assert channel.reason is wire.connection.reason


def test_a_wrong_answer_closes_the_connection():
    """An answer to another method means that both ends have lost each other."""
    wire, channel = ready()
    asked = outcome(Deferred.fromCoroutine(channel.declare_queue("q")))
    wire.send(frame(1, "exchange.declare-ok"))
    assert isinstance(asked[0], ProtocolFault)
    assert isinstance(wire.connection.reason, ProtocolFault)


@given(st.binary(max_size=300), st.booleans())
def test_any_octets_close_cleanly_or_change_nothing(octets, opened):
    """Nothing a broker sends raises out of the connection; if it ends, all are told."""
    wire = Wire()
    told = []
    if opened:
        wire.open()
        told.append(outcome(wire.channel().publish("", "q", b"x")))
    else:
        told.append(outcome(Deferred.fromCoroutine(wire.connection.open())))
    wire.send(octets)
    if wire.connection.reason is not None:
        assert told == [[wire.connection.reason]]


def test_names_that_do_not_fit_are_our_own_fault_and_harm_nothing():
    """txAMQP would stand still for good; here the next method goes on."""
    wire, channel = ready()
    asked = outcome(Deferred.fromCoroutine(channel.declare_queue("q" * 256)))
    assert isinstance(asked[0], ValueError)
    with pytest.raises(ValueError, match="255"):
        channel.publish("", "k" * 256, b"x")
    assert channel.unconfirmed == 0
    again = outcome(Deferred.fromCoroutine(channel.declare_queue("q")))
    wire.send(frame(1, "queue.declare-ok", "q", 3, 1))
    assert again == [("q", 3, 1)]


def test_publishing_without_confirms_is_misuse():
    """Nothing could say whether the message was taken."""
    wire = Wire()
    wire.open()
    made = []
    Deferred.fromCoroutine(wire.connection.channel_for()).addCallback(made.append)
    wire.send(frame(1, "channel.open-ok", b""))
    with pytest.raises(MisuseError):
        made[0].publish("", "q", b"x")


def test_closing_says_goodbye():
    """connection.close, the broker's answer, and all is over."""
    wire, channel = ready()
    told = outcome(channel.publish("", "q", b"x"))
    wire.transport.clear()
    closed = outcome(Deferred.fromCoroutine(wire.connection.close()))
    assert wire.asked() == ["connection.close"]
    assert not closed
    wire.send(RECORDED["close"])
    assert closed == [None]
    assert isinstance(told[0], ConnectionLost)


def test_closing_does_not_wait_for_ever():
    """A broker that does not answer the goodbye is left after two seconds."""
    wire, _ = ready()
    closed = outcome(Deferred.fromCoroutine(wire.connection.close()))
    wire.clock.advance(2)
    assert closed == [None]
    assert "without an answer" in str(wire.connection.reason)
    wire.clock.advance(2)
    assert wire.clock.getDelayedCalls() == []


def test_a_channels_number_is_used_again():
    """The lowest free one, so that a long life does not use them up."""
    wire, channel = ready()
    closed = outcome(Deferred.fromCoroutine(channel.close()))
    wire.send(frame(1, "channel.close-ok"))
    assert closed == [None]
    assert wire.channel().number == 1
