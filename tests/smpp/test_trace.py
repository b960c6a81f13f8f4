"""The wire view: which connections are copied, what is held and lost, what is masked."""

from typing import Any

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from smsgw.smpp import trace
from smsgw.smpp.codec import decode, encode, encode_all
from smsgw.smpp.constants import Tag
from smsgw.smpp.pdu import (
    BindTransceiver,
    BindTransceiverResp,
    DataSm,
    DeliverSm,
    EnquireLink,
    Outbind,
    SmeAddress,
    SubmitMulti,
    SubmitSm,
)
from smsgw.smpp.shown import shown
from smsgw.smpp.trace import Tap, TooManyWatchers, Traces

ACME = ("account", "acme")


@define(eq=False)
class Wire:
    """A connection as a tap sees it."""

    peer: str = "192.0.2.7"
    tap: Tap | None = None
    serving: bool = True
    unread: bytes = b""
    has_tlvs: bool = True


def a_bind(system_id: bytes = b"acme") -> bytes:
    return encode(BindTransceiver(sequence=1, system_id=system_id, password=b"secret12"))


class TracesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.there: dict[Any, list[Any]] = {}
        self.traces = Traces(
            lambda subject: self.there.get(subject, []),
            {"acme": "acme", "other": "other"}.get,  # type: ignore[arg-type]
            lambda: 1000.0,
        )

    def seen(self, watch: trace.Watch) -> list[str]:
        return [one.event or shown(one.octets).pdu for one in watch.take(1000)[0]]

    def test_nobody_watching_there_is_no_tap(self) -> None:
        """A connection has one only while somebody watches."""
        wire = Wire()
        self.traces.meet(wire)
        assert wire.tap is None
        watch = self.traces.start(ACME)
        self.traces.meet(wire)
        assert wire.tap is not None
        self.traces.stop(watch)
        assert wire.tap is None
        self.traces.stop(watch)

    def test_what_came_before_the_bind_is_told_after_it(self) -> None:
        """The client is not known before; a second bind with another name makes it another's."""
        watch = self.traces.start(ACME)
        wire = Wire()
        self.traces.meet(wire)
        wire.tap.received(encode(EnquireLink(sequence=1)))
        assert self.seen(watch) == []
        wire.tap.received(a_bind())
        assert self.seen(watch) == ["connected", "enquire_link", "bind_transceiver"]
        wire.tap.sent(encode(BindTransceiverResp(sequence=1, status=0x0E)))
        wire.tap.received(a_bind(b"nobody"))
        wire.tap.received(a_bind())
        assert self.seen(watch)[-2:] == ["bind_transceiver"] * 2

    def test_a_client_of_somebody_else_is_let_go(self) -> None:
        """When it is bound, and was never watched."""
        watch = self.traces.start(ACME)
        wire = Wire()
        self.traces.meet(wire)
        wire.tap.received(a_bind(b"other"))
        wire.tap.sent(encode(BindTransceiverResp(sequence=1)))
        assert wire.tap is None
        assert self.seen(watch) == []

    def test_a_carriers_connections_are_its_own(self) -> None:
        """Those that are there, and those that are made."""
        old, new, other = Wire(serving=False), Wire(serving=False), Wire(serving=False)
        self.there["carrier", "north"] = [old]
        watch = self.traces.start(("carrier", "north"))
        self.traces.meet(new, "north")
        self.traces.meet(other, "south")
        assert other.tap is None
        for wire in (old, new):
            wire.tap.sent(a_bind())
        assert self.seen(watch) == ["connected", "bind_transceiver", "bind_transceiver"]
        new.tap.closed("unbound")
        assert self.seen(watch) == ["closed: unbound"]
        assert new.tap is None

    def test_a_tap_begins_in_the_middle_of_a_pdu(self) -> None:
        """What has come of it is known to the session."""
        octets = encode_all([EnquireLink(sequence=1), EnquireLink(sequence=2)])
        wire = Wire(unread=octets[:5])
        self.there[ACME] = [wire]
        watch = self.traces.start(ACME)
        for n in range(5, len(octets)):
            wire.tap.received(octets[n : n + 1])
        assert self.seen(watch) == ["enquire_link"] * 2

    def test_octets_that_are_no_smpp_are_shown_once(self) -> None:
        """Such as TLS at a listener without it."""
        wire = Wire()
        self.there[ACME] = [wire]
        watch = self.traces.start(ACME)
        wire.tap.received(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(20))
        wire.tap.received(bytes(100))
        (frame,), _ = watch.take(10)
        assert shown(frame.octets).fault

    def test_what_does_not_fit_is_counted(self) -> None:
        """The session never waits for the watcher."""
        wire = Wire()
        self.there[ACME] = [wire]
        watch = self.traces.start(ACME)
        octets = encode(DeliverSm(tlvs=[(Tag.MESSAGE_PAYLOAD, bytes(60_000))]))
        for _ in range(100):
            wire.tap.sent(octets)
        frames, lost = watch.take(1000)
        assert len(frames) + lost == 100
        assert sum(len(frame.octets) for frame in frames) <= trace.OCTETS
        wire.tap.sent(octets)
        assert watch.take(1000)[1] == 0

    def test_a_flood_before_the_bind_is_forgotten(self) -> None:
        """Of a client that is not known the last 50 PDUs are kept."""
        watch = self.traces.start(ACME)
        wire = Wire()
        self.traces.meet(wire)
        for _ in range(1000):
            wire.tap.received(encode(EnquireLink(sequence=1)))
        wire.tap.received(a_bind())
        assert len(self.seen(watch)) == 50

    def test_a_few_may_watch(self) -> None:
        """More are told to wait."""
        watches = [self.traces.start(ACME) for _ in range(trace.MOST)]
        with pytest.raises(TooManyWatchers):
            self.traces.start(ACME)
        self.traces.stop(watches[0])
        self.traces.start(ACME)


@given(
    st.lists(st.sampled_from([EnquireLink(sequence=1), SubmitSm(short_message=b"x" * 90)])),
    st.lists(st.integers(1, 60)),
    st.integers(0, 200),
)
def test_frames_are_the_pdus_however_the_stream_is_cut(
    pdus: list[Any], cuts: list[int], begun: int
) -> None:
    """Also if the tap was put on in the middle, as long as what had come is known."""
    stream = encode_all(pdus)
    whole = [encode(pdu) for pdu in pdus]
    begun = min(begun, len(stream))
    read, before = 0, b""
    for octets in whole:  # what the session had read of the PDU that was under way
        if read + len(octets) > begun:
            before = stream[read:begun]
            break
        read += len(octets)
    else:
        read = len(stream)
    wire = Wire(unread=before)
    traces = Traces(lambda _: [wire], lambda _: "", lambda: 0.0)
    watch = traces.start(ACME)
    assert wire.tap is not None
    at = begun
    for cut in [*cuts, len(stream)]:
        wire.tap.received(stream[at : at + cut])
        at += cut
    assert b"".join(frame.octets for frame in watch.take(1000)[0]) == stream[read:]


class ShownTests(SynchronousTestCase):
    def test_passwords_are_masked_always(self) -> None:
        """All of one length, whatever theirs is."""
        for password in (b"a", b"secret12"):
            for cls in (BindTransceiver, Outbind):
                one = shown(encode(cls(system_id=b"acme", password=password)), text=True)
                assert one.fields["password"] == "********"
                assert password not in one.octets.partition(b"acme")[2]
        assert shown(encode(BindTransceiver())).fields["password"] == ""

    def test_a_bind_that_cannot_be_read_shows_its_header(self) -> None:
        """Its password may stand anywhere."""
        octets = a_bind()
        broken = (len(octets) - 9).to_bytes(4, "big") + octets[4:-9]
        one = shown(broken, text=True)
        assert one.pdu == "bind_transceiver"
        assert one.fault
        assert b"secret" not in one.octets
        assert len(one.octets) == len(broken)

    def test_texts_are_masked_and_headers_are_not(self) -> None:
        """In short_message and message_payload, of all operations that have them."""
        header = b"\x05\x00\x03\x07\x02\x01"
        for pdu in (
            SubmitSm(esm_class=0x40, short_message=header + b"hello"),
            SubmitSm(short_message=b"hello"),
            DataSm(tlvs=[(Tag.MESSAGE_PAYLOAD, b"hello"), (Tag.SAR_MSG_REF_NUM, b"\0\1")]),
        ):
            octets = encode(pdu)
            one = shown(octets)
            assert one.octets == octets.replace(b"hello", b"*****")
            assert shown(octets, text=True).octets == octets
        assert one.fields["message_payload"] == "*****"
        assert one.fields["sar_msg_ref_num"] == 1

    def test_a_receipt_is_shown_but_for_what_it_quotes(self) -> None:
        """Its id and state are what people look for."""
        text = b"id:4711 sub:001 dlvrd:001 submit date:2601010000 done date:2601010000 stat:DELIVRD"
        one = shown(encode(DeliverSm(esm_class=4, short_message=text + b" err:000 text:secret")))
        assert one.fields["short_message"] == (text + b" err:000 text:******").decode()
        assert b"secret" not in one.octets

    def test_lists_of_addresses_are_named(self) -> None:
        """As JSON can say them."""
        one = shown(encode(SubmitMulti(dest_addresses=[SmeAddress(1, 1, b"447700900123")])))
        assert one.fields["dest_addresses"][0]["destination_addr"] == "447700900123"


@given(st.binary(min_size=16, max_size=200), st.sampled_from([4, 5, 9, 0x103, 0x80000004]))
def test_any_octets_are_shown(octets: bytes, command: int) -> None:
    """It never fails, and what it gives is as long as its length says or stars."""
    octets = len(octets).to_bytes(4, "big") + command.to_bytes(4, "big") + octets[8:]
    for text in (False, True):
        one = shown(octets, text=text)
        assert int.from_bytes(one.octets[:4], "big") == len(one.octets)
        if not one.fault:
            decode(one.octets)
