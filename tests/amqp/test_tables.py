"""Field tables and properties, both ways."""

from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.amqp.errors import ProtocolFault
from smsgw.amqp.properties import PERSISTENT, Properties, compile_properties, decode_properties
from smsgw.amqp.tables import Timestamp, decode_table, encode_table

_TEXT = st.text(max_size=20)
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | _TEXT
    | st.binary(max_size=20)
    | st.integers(0, 2**64 - 1).map(Timestamp)
    | st.builds(
        lambda n, scale: Decimal(n).scaleb(-scale),
        st.integers(-(2**31), 2**31 - 1),
        st.integers(0, 9),
    )
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)
_TABLES = st.dictionaries(_TEXT, _VALUES, max_size=6)


@given(_TABLES)
def test_a_table_is_read_as_it_was_written(table):
    """decode(encode(x)) == x, with the types of all values (issue 7)."""
    found, end = decode_table(encode_table(table))
    assert end == len(encode_table(table))
    assert repr(found) == repr(table)


@given(st.binary(max_size=80))
def test_any_octets_are_a_table_or_a_fault(octets):
    """Nothing but ProtocolFault comes out of nonsense."""
    with suppress(ProtocolFault):
        assert isinstance(decode_table(octets)[0], dict)


def test_every_type_of_rabbitmq_is_read():
    """Each field type of RabbitMQ's own list, as its octets are."""
    values = {
        "74 01": True,
        "62 ff": -1,
        "42 ff": 255,
        "73 fffe": -2,
        "75 fffe": 65534,
        "49 ffffffff": -1,
        "69 ffffffff": 4294967295,
        "6c ffffffffffffffff": -1,
        "4c ffffffffffffffff": 2**64 - 1,
        "66 3fc00000": 1.5,
        "64 3ff8000000000000": 1.5,
        "44 02 0000007b": Decimal("1.23"),
        "53 00000002 6869": "hi",
        "53 00000001 ff": b"\xff",
        "78 00000002 6869": b"hi",
        "54 0000000000000001": Timestamp(1),
        "56": None,
        "41 00000002 7401": [True],
        "46 00000004 016b 7400": {"k": False},
    }
    for octets, value in values.items():
        raw = b"\x01v" + bytes.fromhex(octets)
        found = decode_table(len(raw).to_bytes(4, "big") + raw)[0]
        assert found == {"v": value}, octets
        assert type(found["v"]) is type(value)


@pytest.mark.parametrize(
    "value", [2**64, -(2**63) - 1, Decimal("1e30"), Decimal("NaN"), datetime(2026, 1, 1), object()]
)
def test_what_has_no_field_type_is_our_own_fault(value):
    """Values beyond the wire's types are refused before anything is written."""
    with pytest.raises((ValueError, TypeError)):
        encode_table({"v": value})


def test_a_date_is_a_timestamp():
    """An aware date is written in whole seconds, and read as Timestamp."""
    when = datetime(2026, 5, 1, 12, tzinfo=UTC)
    found = decode_table(encode_table({"t": when}))[0]["t"]
    assert isinstance(found, Timestamp)
    assert found.when == when


def test_tables_in_tables_are_bounded():
    """A table nested a thousand deep is a fault, not an exhausted stack."""
    octets = b"\x00\x00\x00\x00"
    for _ in range(1000):
        raw = b"\x00F" + octets
        octets = len(raw).to_bytes(4, "big") + raw
    with pytest.raises(ProtocolFault, match="deeper"):
        decode_table(octets)


_SHORT = st.none() | st.text(max_size=30)
_PROPERTIES = st.builds(
    Properties,
    content_type=_SHORT,
    content_encoding=_SHORT,
    headers=st.none() | _TABLES,
    delivery_mode=st.none() | st.sampled_from([1, 2]),
    priority=st.none() | st.integers(0, 255),
    correlation_id=_SHORT,
    reply_to=_SHORT,
    expiration=_SHORT,
    timestamp=st.none() | st.integers(0, 2**64 - 1),
    type=_SHORT,
    user_id=_SHORT,
    app_id=_SHORT,
    cluster_id=_SHORT,
)


@given(_PROPERTIES)
def test_properties_are_read_as_they_were_written(properties):
    """decode(encode(x)) == x, with the message id in its place."""
    made = compile_properties(properties)
    found = decode_properties(made.head + b"\x01" + b"7" + made.tail)
    assert found.message_id == "7"
    for name in Properties.__slots__:
        if name not in ("message_id", "__weakref__"):
            assert getattr(found, name) == getattr(properties, name)


@given(st.binary(max_size=60))
def test_any_octets_are_properties_or_a_fault(octets):
    """Nothing but ProtocolFault comes out of nonsense."""
    with suppress(ProtocolFault):
        assert isinstance(decode_properties(octets), Properties)


def test_the_message_id_is_the_layers():
    """A caller's own message id would break the finding of returned messages."""
    with pytest.raises(ValueError, match="message id"):
        compile_properties(Properties(message_id="mine"))


@pytest.mark.parametrize(
    "properties", [Properties(priority=256), Properties(timestamp=-1), Properties(type="x" * 256)]
)
def test_a_property_that_does_not_fit_is_named(properties):
    """The error says which property it is."""
    with pytest.raises(ValueError, match=r"priority|timestamp|type"):
        compile_properties(properties)


def test_persistent_is_delivery_mode_2():
    """What is published without properties survives a restart of the broker (I1)."""
    assert decode_properties(PERSISTENT.head + b"\x00" + PERSISTENT.tail).delivery_mode == 2
