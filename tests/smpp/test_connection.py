"""One write for a batch, timers, back-pressure, the end: connections on transports in memory."""

from typing import Any

import pytest
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from smsgw.smpp.codec import encode, encode_all
from smsgw.smpp.connection import SmppConnection
from smsgw.smpp.constants import Status, Tag
from smsgw.smpp.events import Answer, MisuseError, Timers
from smsgw.smpp.pdu import (
    AlertNotification,
    Bind,
    BindTransceiver,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    Pdu,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    UnbindResp,
)
from smsgw.smpp.states import Role
from tests.smpp.wires import TcpTransport

QUIET = Timers(enquire_after_s=0)


class Notes:
    """An owner that notes everything."""

    def __init__(self) -> None:
        self.batches: list[list[Pdu]] = []
        self.answers: list[Answer] = []
        self.events: list[str] = []
        self.reason = ""
        self.then: Any = None  # called with the connection and each batch

    def bind_requested(self, connection: SmppConnection, pdu: Bind) -> None:
        self.events.append("bind requested")
        connection.accept(
            pdu.response(tlvs=[(Tag.SC_INTERFACE_VERSION, b"\x34")]), window_out=5, window_in=5
        )

    def bound(self, connection: SmppConnection) -> None:
        self.events.append("bound")

    def bind_refused(self, connection: SmppConnection, status: int) -> None:
        self.events.append(f"refused {status}")

    def requests_received(self, connection: SmppConnection, pdus: list[Pdu]) -> None:
        self.batches.append(pdus)
        if self.then:
            self.then(connection, pdus)

    def responses_received(self, connection: SmppConnection, answers: list[Answer]) -> None:
        self.answers += answers

    def closed(self, connection: SmppConnection, reason: str) -> None:
        self.events.append("closed")
        self.reason = reason


class Bench:
    """One connection on a clock and a transport in memory."""

    def __init__(self, role: Role, timers: Timers = QUIET, **options: Any) -> None:
        self.clock = Clock()
        self.owner = Notes()
        self.transport = TcpTransport()
        self.connection = SmppConnection(role, self.owner, self.clock, timers, **options)
        self.connection.makeConnection(self.transport)
        if role is Role.SMSC:
            self.hear(BindTransceiver(sequence=1, interface_version=0x34))
        else:
            bind = BindTransceiver(interface_version=0x34)
            self.connection.bind(bind)
            self.hear(bind.response(tlvs=[(Tag.SC_INTERFACE_VERSION, b"\x34")]))
        self.transport.clear()
        self.transport.writes = 0

    def hear(self, *pdus: Pdu) -> None:
        self.connection.dataReceived(encode_all(pdus))

    def lose(self, reason: Exception | None = None) -> None:
        self.connection.connectionLost(Failure(reason or ConnectionDone()))


def answer_all(connection: SmppConnection, pdus: list[Pdu]) -> None:
    connection.respond([SubmitSmResp(sequence=pdu.sequence, message_id=b"1") for pdu in pdus])


class TestConnection(TestCase):
    def test_nagle_is_off_and_the_peer_is_named(self) -> None:
        """TCP_NODELAY on every connection (design §6)."""
        bench = Bench(Role.SMSC)
        assert bench.transport.no_delay
        assert bench.connection.peer == "192.0.2.7"

    def test_a_transport_that_is_not_tcp_works_too(self) -> None:
        """A unix socket or pipe has no Nagle and no host."""
        connection = SmppConnection(Role.SMSC, Notes(), Clock(), QUIET)
        connection.makeConnection(StringTransport(peerAddress=object()))
        assert connection.peer == "unix"

    def test_what_one_read_leads_to_is_one_write(self) -> None:
        """Answers to a batch, and to an enquire_link among it, go out together."""
        bench = Bench(Role.SMSC)
        bench.owner.then = answer_all
        bench.hear(SubmitSm(sequence=2), EnquireLink(sequence=3), SubmitSm(sequence=4))
        assert len(bench.owner.batches) == 1
        assert bench.transport.writes == 1
        assert sorted(pdu.sequence for pdu in bench.transport.said()) == [2, 3, 4]

    def test_a_batch_of_requests_is_one_write(self) -> None:
        """request writes once, and gives numbers in order."""
        bench = Bench(Role.SMSC)
        bench.connection.request([(DeliverSm(), n) for n in range(5)])
        assert bench.transport.writes == 1
        assert [pdu.sequence for pdu in bench.transport.said()] == [1, 2, 3, 4, 5]
        assert bench.connection.room == 0

    def test_answers_later_are_one_write(self) -> None:
        """respond outside of a read writes at once."""
        bench = Bench(Role.SMSC)
        bench.hear(SubmitSm(sequence=2), SubmitSm(sequence=3))
        answer_all(bench.connection, bench.owner.batches[0])
        assert bench.transport.writes == 1

    def test_one_timer_serves_all_requests(self) -> None:
        """The delayed call stands at the oldest deadline and moves when it comes."""
        bench = Bench(Role.SMSC)
        bench.connection.request([(DeliverSm(), 1), (DeliverSm(), 2)])
        bench.clock.advance(10)
        bench.connection.request([(DeliverSm(), 3)])
        assert len(bench.clock.getDelayedCalls()) == 1
        bench.clock.advance(20)
        assert bench.owner.answers == [(1, None), (2, None)]
        bench.clock.advance(10)
        assert bench.owner.answers == [(1, None), (2, None), (3, None)]

    def test_a_deadline_that_comes_nearer_moves_the_timer(self) -> None:
        """With an enquire_link far away, a request is still given up in time."""
        bench = Bench(Role.SMSC, Timers(enquire_after_s=600, response_s=5))
        bench.connection.request([(DeliverSm(), 1)])
        bench.clock.advance(5)
        assert bench.owner.answers == [(1, None)]

    def test_an_enquire_link_goes_out_by_itself(self) -> None:
        """Silence leads to enquire_link, and no answer to the end."""
        bench = Bench(Role.SMSC, Timers(enquire_after_s=60, enquire_misses=1))
        bench.clock.advance(60)
        assert [type(pdu) for pdu in bench.transport.said()] == [EnquireLink]
        bench.clock.advance(30)
        assert bench.transport.disconnecting
        bench.lose()
        assert bench.owner.reason == "enquire_link unanswered"

    def test_a_sign_of_life_may_be_asked_for(self) -> None:
        """One enquire_link for all who ask; whatever the peer says is the sign."""
        bench = Bench(Role.SMSC)
        asked = [bench.connection.probe(5) for _ in range(2)]
        assert [type(pdu) for pdu in bench.transport.said()] == [EnquireLink]
        bench.clock.advance(4)
        self.assertNoResult(asked[0])
        bench.hear(SubmitSm(sequence=2))
        for each in asked:
            assert self.successResultOf(each) is None
        bench.clock.advance(5)
        assert not bench.transport.closed

    def test_without_one_the_peer_is_cut_off(self) -> None:
        """Who asked is told when the owner knows that it is gone; also where it does not read."""
        for stalled in (False, True):
            bench = Bench(Role.SMSC)
            if stalled:
                bench.connection.pauseProducing()
            asked = bench.connection.probe(5)
            bench.clock.advance(5)
            assert bench.transport.aborted
            self.assertNoResult(asked)
            asked.addCallback(lambda _, bench=bench: bench.owner.events.copy())
            bench.lose()
            assert self.successResultOf(asked)[-1] == "closed"
            assert bench.owner.reason == "no answer to enquire_link within 5 s"

    def test_a_peer_that_we_do_not_read_is_taken_for_present(self) -> None:
        """Its answer would lie in the socket."""
        bench = Bench(Role.SMSC, intake_mark=0)
        bench.hear(SubmitSm(sequence=2))
        assert bench.transport.producerState == "paused"
        assert self.successResultOf(bench.connection.probe(5)) is None

    def test_a_connection_that_does_not_bind_is_closed(self) -> None:
        """The session-init time runs from the connection."""
        clock, transport = Clock(), TcpTransport()
        connection = SmppConnection(Role.SMSC, Notes(), clock, QUIET)
        connection.makeConnection(transport)
        clock.advance(10)
        assert transport.disconnecting
        connection.connectionLost(Failure(ConnectionDone()))
        assert not clock.getDelayedCalls()

    def test_a_backlog_stops_the_reading_and_answers_start_it(self) -> None:
        """Above the mark the peer is not read; at half of it, it is again."""
        bench = Bench(Role.ESME, intake_mark=4)
        bench.hear(*[DeliverSm(sequence=n) for n in range(1, 7)])
        assert bench.transport.producerState == "paused"
        bench.connection.respond([DeliverSmResp(sequence=n) for n in range(1, 4)])
        assert bench.transport.producerState == "paused"
        bench.connection.respond([DeliverSmResp(sequence=4)])
        assert bench.transport.producerState == "producing"

    def test_time_stands_still_while_nothing_is_read(self) -> None:
        """No request is given up, no peer called dead, while answers lie in the socket."""
        bench = Bench(Role.ESME, Timers(enquire_after_s=20), intake_mark=1)
        bench.connection.request([(SubmitSm(), "a")])
        bench.clock.advance(10)
        bench.hear(DeliverSm(sequence=1), DeliverSm(sequence=2))
        assert bench.transport.producerState == "paused"
        bench.transport.clear()
        bench.clock.advance(1000)
        assert bench.owner.answers == []
        bench.connection.respond([DeliverSmResp(sequence=1), DeliverSmResp(sequence=2)])
        bench.transport.clear()
        bench.clock.advance(19)
        assert bench.owner.answers == []
        assert bench.transport.value() == b""
        bench.clock.advance(1.1)
        assert bench.owner.answers == [("a", None)]
        assert [type(pdu) for pdu in bench.transport.said()] == [EnquireLink]

    def test_a_peer_that_does_not_read_is_not_read(self) -> None:
        """Full output stops the reading; when it has gone out, the reading goes on."""
        bench = Bench(Role.SMSC)
        assert bench.transport.streaming
        bench.transport.producer.pauseProducing()
        assert bench.transport.producerState == "paused"
        bench.clock.advance(29)
        bench.transport.producer.resumeProducing()
        assert bench.transport.producerState == "producing"
        bench.clock.advance(100)
        assert not bench.transport.aborted

    def test_a_peer_that_does_not_read_is_not_notified(self) -> None:
        """What has no response would pile up without bound (I5); the next one goes out again."""
        bench = Bench(Role.SMSC)
        bench.transport.producer.pauseProducing()
        bench.connection.notify(AlertNotification(source_addr=b"1"))
        bench.transport.producer.resumeProducing()
        bench.connection.notify(AlertNotification(source_addr=b"2"))
        assert [pdu.source_addr for pdu in bench.transport.said()] == [b"2"]

    def test_a_peer_that_does_not_read_for_long_is_cut_off(self) -> None:
        """After stall_s the connection is reset: what it does not read takes no memory for ever."""
        bench = Bench(Role.SMSC, stall_s=30)
        bench.connection.request([(DeliverSm(), "a")])
        bench.transport.producer.pauseProducing()
        bench.clock.advance(30)
        assert bench.transport.aborted
        bench.lose()
        assert bench.owner.reason == "the peer has not read for 30 s"
        assert bench.owner.answers == [("a", None)]
        assert not bench.clock.getDelayedCalls()

    def test_unbinding_a_paused_connection_reads_it_again(self) -> None:
        """The answer to our unbind must be heard."""
        bench = Bench(Role.ESME, intake_mark=1)
        bench.hear(DeliverSm(sequence=1), DeliverSm(sequence=2))
        assert bench.transport.producerState == "paused"
        bench.connection.unbind()
        assert bench.transport.producerState == "producing"
        bench.clock.advance(5)
        assert [type(pdu) for pdu in bench.transport.said()] == [Unbind]

    def test_the_peers_unbind_closes_our_half_first(self) -> None:
        """unbind_resp, half-close; if the peer never closes, cut off after the grace time."""
        bench = Bench(Role.SMSC)
        bench.hear(Unbind(sequence=9))
        assert bench.transport.said() == [UnbindResp(sequence=9)]
        assert bench.transport.half_closed
        assert not bench.transport.aborted
        bench.clock.advance(5)
        assert bench.transport.aborted
        bench.lose()
        assert (bench.owner.reason, bench.owner.events[-1]) == ("unbound by the peer", "closed")

    def test_nothing_is_heard_after_the_end(self) -> None:
        """What a peer sends after unbind_resp reaches nobody and is not answered."""
        bench = Bench(Role.SMSC)
        bench.hear(Unbind(sequence=9))
        bench.transport.clear()
        bench.hear(SubmitSm(sequence=10), EnquireLink(sequence=11))
        assert (bench.owner.batches, bench.transport.value()) == ([], b"")

    def test_our_unbind_ends_with_its_answer(self) -> None:
        """And no request can be made meanwhile."""
        bench = Bench(Role.ESME)
        bench.connection.unbind()
        (unbind,) = bench.transport.said()
        with pytest.raises(MisuseError):
            bench.connection.request([(SubmitSm(), 1)])
        bench.hear(unbind.response())
        assert bench.transport.half_closed
        bench.lose()
        assert bench.owner.reason == "unbound"

    def test_a_lost_connection_answers_every_request_and_then_says_closed(self) -> None:
        """Each context comes back with None before the owner hears of the end."""
        bench = Bench(Role.SMSC)
        bench.connection.request([(DeliverSm(), 1), (DeliverSm(), 2)])
        bench.lose(ConnectionLost())
        assert bench.owner.answers == [(1, None), (2, None)]
        assert bench.owner.events[-1] == "closed"
        assert "Connection" in bench.owner.reason
        assert not bench.clock.getDelayedCalls()
        bench.connection.respond([SubmitSmResp(sequence=1)])

    def test_the_peers_closing_is_called_so(self) -> None:
        """A connection closed without unbind has its words."""
        bench = Bench(Role.SMSC)
        bench.lose()
        assert bench.owner.reason == "closed by the peer"

    def test_an_owner_that_fails_costs_its_own_connection_only(self) -> None:
        """A bug in the journey is logged, and the connection closed."""
        bench, other = Bench(Role.SMSC), Bench(Role.SMSC)

        def fail(connection: SmppConnection, pdus: list[Pdu]) -> None:
            raise RuntimeError("bug")

        bench.owner.then = fail
        bench.hear(SubmitSm(sequence=2))
        assert bench.transport.disconnecting
        bench.lose()
        assert bench.owner.reason == "internal error"
        assert len(self.flushLoggedErrors(RuntimeError)) == 1
        other.hear(SubmitSm(sequence=2))
        assert len(other.owner.batches) == 1

    def test_an_owner_that_fails_still_gets_the_contexts_of_its_requests(self) -> None:
        """Those answered in the same read, then those that will have no answer; each once."""
        bench = Bench(Role.SMSC)
        sent = [DeliverSm(), DeliverSm(), DeliverSm()]
        bench.connection.request(list(zip(sent, "abc", strict=True)))

        def fail(connection: SmppConnection, pdus: list[Pdu]) -> None:
            raise RuntimeError("bug")

        bench.owner.then = fail
        first, second, _ = (pdu.response() for pdu in sent)
        bench.hear(first, SubmitSm(sequence=2), second, SubmitSm(sequence=3))
        assert bench.owner.answers == [("a", first), ("b", second)]
        assert len(bench.owner.batches) == 1
        bench.lose()
        assert bench.owner.answers[2:] == [("c", None)]
        assert bench.owner.reason == "internal error"
        assert len(self.flushLoggedErrors(RuntimeError)) == 1

    def test_garbage_is_nacked_and_closed(self) -> None:
        """An HTTP request on an SMPP port: generic_nack with 0x02, close, nothing kept."""
        bench = Bench(Role.SMSC)
        bench.connection.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        (nack,) = bench.transport.said()
        assert nack.status == Status.ESME_RINVCMDLEN
        assert bench.transport.disconnecting

    def test_a_flood_of_requests_is_throttled_and_kept_in_bounds(self) -> None:
        """Beyond the window each request is answered at once; only the window is kept."""
        bench = Bench(Role.SMSC)
        flood = b"".join([encode(SubmitSm(sequence=n)) for n in range(2, 1002)])
        for start in range(0, len(flood), 1000):
            bench.connection.dataReceived(flood[start : start + 1000])
        assert sum(map(len, bench.owner.batches)) == 5
        answers = bench.transport.said()
        assert len(answers) == 995
        assert {pdu.status for pdu in answers} == {Status.ESME_RTHROTTLED}
        assert bench.connection.session.unanswered == 5

    def test_a_pdu_in_small_pieces_is_one_request(self) -> None:
        """Octet by octet makes no difference."""
        bench = Bench(Role.SMSC)
        for octet in encode(SubmitSm(sequence=2, short_message=b"Hi")):
            bench.connection.dataReceived(bytes([octet]))
        assert bench.owner.batches == [[SubmitSm(sequence=2, short_message=b"Hi")]]

    def test_abort_cuts_off(self) -> None:
        """With the reason given to the owner."""
        bench = Bench(Role.SMSC)
        bench.connection.abort("shutting down")
        assert bench.transport.aborted
        bench.lose()
        assert bench.owner.reason == "shutting down"
