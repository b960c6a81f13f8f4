"""Frames, both ways, against what RabbitMQ sent."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.amqp.errors import ProtocolFault
from smsgw.amqp.frames import Confirm, Deliveries, MethodFrame, Reader, Return
from smsgw.amqp.methods import decode_method
from smsgw.amqp.properties import PERSISTENT, Properties, compile_properties, decode_properties
from smsgw.amqp.publishing import Publisher
from tests.amqp.recorded import RECORDED
from tests.amqp.wires import content, deliver, frame, raw_frame

ALL = b"".join(RECORDED[name] for name in RECORDED if name not in ("close", "login_refused"))


def read(octets, cuts=(), **bounds):
    """Events of the octets, in pieces that end at ``cuts``, and the fault."""
    reader = Reader(**bounds)
    reader.open.add(1)
    events = []
    for start, end in zip((0, *cuts), (*cuts, len(octets)), strict=True):
        events += reader.receive(octets[start:end])
    return events, reader.fault


def told(events):
    """What events say, however their deliveries were read together."""
    said = []
    for event in events:
        if isinstance(event, Deliveries):
            said += [
                (event.consumer, one.tag, one.body, one.routing_key, one.exchange, one.properties)
                for one in event.batch
            ]
        elif isinstance(event, Confirm):
            said.append((event.tag, event.multiple, event.ack))
        elif isinstance(event, Return):
            said.append((event.code, event.text, event.properties))
        else:
            said.append(event.payload)
    return said


def test_a_recorded_delivery_is_read_whole():
    """Body, key and properties are as they were published; a body that is no text stays bytes."""
    events, fault = read(RECORDED["deliver"])
    assert fault is None
    assert isinstance(events[0], MethodFrame)  # consume-ok
    (one,) = events[1].batch
    assert (one.tag, one.redelivered, one.body) == (1, False, b"hello\xff")
    assert (one.exchange, one.routing_key) == ("", "source")
    assert one.properties == Properties(
        content_type="text/plain",
        headers={"n": -1, "flag": True, "text": "é"},
        delivery_mode=2,
        message_id="1",
    )


def test_the_story_of_a_dead_letter_is_read():
    """x-death is an array of tables, which txAMQP cannot read."""
    events, _ = read(RECORDED["dead_letter"])
    (one,) = events[-1].batch
    (death,) = one.properties.headers["x-death"]
    assert (death["reason"], death["queue"], death["count"]) == ("rejected", "source", 1)


def test_a_recorded_return_comes_before_its_confirm():
    """The returned message is known by its number on the channel."""
    events, _ = read(RECORDED["return"])
    returned, confirm = events
    assert (returned.code, returned.text) == (312, "NO_ROUTE")
    assert returned.properties.message_id == str(confirm.tag)


@given(st.lists(st.integers(0, len(ALL)), max_size=30).map(sorted))
def test_any_chunking_reads_the_same(cuts):
    """Where reads end changes nothing of what is told."""
    events, fault = read(ALL, cuts)
    assert fault is None
    assert told(events) == told(read(ALL)[0])


def test_octet_by_octet_reads_the_same():
    """The smallest reads there are."""
    assert told(read(ALL, range(1, len(ALL)))[0]) == told(read(ALL)[0])


@given(st.binary(max_size=200), st.integers(0, len(ALL)))
def test_any_octets_are_read_or_a_fault(octets, at):
    """Nonsense, alone or in the midst of sense, gives events and at most a ProtocolFault."""
    for event in read(ALL[:at] + octets + ALL[at:])[0]:
        if isinstance(event, MethodFrame):
            with suppress(ProtocolFault):
                assert isinstance(decode_method(event.payload)[1], tuple)


@given(st.integers(0, len(ALL) - 1), st.integers(0, 255))
def test_any_octet_changed_is_read_or_a_fault(at, octet):
    """A flipped octet never raises anything else."""
    events, fault = read(ALL[:at] + bytes((octet,)) + ALL[at + 1 :])
    assert fault is None or fault.code in (501, 502, 504, 505)
    for event in events:
        if isinstance(event, Deliveries):
            for one in event.batch:
                with suppress(ProtocolFault):
                    assert isinstance(one.properties, Properties)
                    assert isinstance(one.routing_key, str)


def test_nothing_is_read_after_a_fault():
    """The first fault ends it."""
    reader = Reader()
    assert reader.receive(b"\xff" * 20) == []
    assert reader.fault is not None
    assert reader.receive(RECORDED["confirm"]) == []


@pytest.mark.parametrize(
    ("octets", "code", "text"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", 501, "no AMQP: b'HTTP/1.1"),
        (b"AMQP\x00\x01\x00\x00", 501, "speaks AMQP 1.0.0"),
        (b"\x01\x00\x01\x00\x10\x00\x00", 501, "1048576 octets"),
        (raw_frame(1, 1, b"\x00" * 4)[:-1] + b"\x00", 501, "without its end"),
        (raw_frame(1, 1, b"\x00"), 501, "without a method"),
        (raw_frame(8, 0, b"x"), 501, "heartbeat"),
        (raw_frame(8, 1, b""), 501, "heartbeat"),
        (content(1, b"x"), 505, "belongs to no method"),
        (frame(1, "basic.deliver", "t", 1, False, "", "") * 2, 505, "content was due"),
        (deliver(1, b"", channel=2), 504, "channel 2, which is not open"),
        (frame(1, "basic.deliver", "t", 1, False, "", "") + raw_frame(3, 1, b"x"), 505, "longer"),
        (
            frame(1, "basic.deliver", "t", 1, False, "", "") + raw_frame(2, 1, b"\x00" * 14),
            501,
            "class 0",
        ),
        (raw_frame(1, 1, bytes.fromhex("003c0050") + b"\x00"), 501, "confirm"),
    ],
)
def test_each_fault_has_its_code(octets, code, text):
    """AMQP 0-9-1 §4.2.3, §1.2: frame error 501, channel error 504, unexpected frame 505."""
    fault = read(octets)[1]
    assert fault.code == code
    assert text in str(fault)


def test_a_body_may_come_in_any_number_of_frames():
    """AMQP 0-9-1 §4.2.6.2: they are joined; frames of other channels may stand between."""
    head = frame(1, "basic.deliver", "t", 9, True, "x", "k")
    size = b"\x00\x3c\x00\x00" + (6).to_bytes(8, "big") + b"\x00\x00"
    other = frame(2, "channel.close-ok")
    octets = (
        head
        + raw_frame(2, 1, size)
        + raw_frame(3, 1, b"abc")
        + other
        + raw_frame(8, 0, b"")
        + raw_frame(3, 1, b"def")
    )
    events, fault = read(octets)
    assert fault is None
    assert events[1].batch[0].body == b"abcdef"
    assert events[1].batch[0].redelivered


def test_deliveries_of_one_read_are_one_batch():
    """One event for a consumer's deliveries that follow each other, in their order."""
    octets = b"".join(deliver(tag, b"%d" % tag) for tag in range(1, 101))
    events, _ = read(octets)
    assert [len(event.batch) for event in events] == [100]
    assert [one.tag for one in events[0].batch] == list(range(1, 101))


def test_a_body_beyond_the_bound_is_passed_over():
    """Memory is bounded (I5): nothing of the body is kept, what follows it is read."""
    events, fault = read(deliver(1, b"x" * 101) + deliver(2, b"y" * 100), max_body=100)
    assert fault is None
    first, second = events[0].batch
    assert (first.oversized, first.body) == (True, b"")
    assert (second.oversized, second.body) == (False, b"y" * 100)


def test_empty_bodies_are_messages():
    """A message without content has no body frame."""
    events, _ = read(deliver(1, b""))
    assert events[0].batch[0].body == b""


@given(
    st.text(max_size=40),
    st.text(max_size=40),
    st.binary(max_size=10_000),
    st.booleans(),
    st.integers(1, 2**40),
)
def test_what_is_published_would_be_delivered(exchange, key, body, mandatory, tag):
    """The frames of a message carry its parts, whatever they are; no frame is beyond the limit."""
    publisher = Publisher(1, 4096)
    for _ in range(2):  # the second time from frames that are kept ready
        octets = publisher.frames(exchange, key, mandatory, PERSISTENT, tag, body)
        at, kinds, joined = 0, [], b""
        while at < len(octets):
            length = int.from_bytes(octets[at + 3 : at + 7], "big")
            assert length + 8 <= 4096
            assert octets[at + 7 + length] == 0xCE
            payload = octets[at + 7 : at + 7 + length]
            kinds.append(octets[at])
            if octets[at] == 1:
                method, values = decode_method(payload)
                assert method.name == "publish"
                assert values == (0, exchange, key, mandatory, False)
            elif octets[at] == 2:
                assert int.from_bytes(payload[4:12], "big") == len(body)
                assert decode_properties(payload[12:]) == Properties(
                    delivery_mode=2, message_id=str(tag)
                )
            else:
                joined += payload
            at += 8 + length
        assert kinds[:2] == [1, 2]
        assert joined == body


def test_a_name_beyond_255_octets_is_our_own_fault():
    """Counted in octets, not characters, and refused before anything is written."""
    with pytest.raises(ValueError, match="255"):
        Publisher(1, 4096).frames("é" * 128, "", True, PERSISTENT, 1, b"")


def test_properties_are_written_with_any_message():
    """Headers with text beyond ASCII do not harm the frame."""
    made = compile_properties(Properties(headers={"é": "ü"}, delivery_mode=2, type="x"))
    octets = Publisher(1, 4096).frames("", "q", True, made, 12, b"body")
    header = octets[octets.index(b"\x02\x00\x01\x00\x00") + 7 + 12 :]
    assert decode_properties(header) == Properties(
        headers={"é": "ü"}, delivery_mode=2, type="x", message_id="12"
    )
