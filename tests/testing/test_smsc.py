"""The scriptable SMSC does what its script says, good and bad, towards the scriptable ESME."""

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.test.iosim import FakeTransport, IOPump, connect

from smsgw.message import MessageState
from smsgw.smpp.constants import Status, Tag
from smsgw.smpp.pdu import DeliverSm, Pdu, QuerySm, SubmitSm, SubmitSmResp
from smsgw.smpp.tlv import get
from smsgw.testing.esme import Esme, LostError, submit_sm
from smsgw.testing.script import Plan, SmscScript, read
from smsgw.testing.smsc_server import Smsc
from smsgw.testing.smsc_session import SmscSession

NOON = 1_773_489_600.0  # 2026-03-14 12:00:00 UTC


class Joined:
    """An SMSC and ESMEs joined in memory, with a clock of their own."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.script = SmscScript(seed=1, **settings)
        self.smsc = Smsc(self.script, self.clock, now=lambda: NOON + self.clock.seconds())
        self.pumps: list[IOPump] = []

    def esme(self, kind: str = "transceiver", **fields: Any) -> Esme:
        """One more connection, bound unless ``kind`` is empty."""
        session = self.smsc.buildProtocol(None)
        esme = Esme()
        self.pumps.append(
            connect(
                session,
                FakeTransport(session, isServer=True),
                esme,
                FakeTransport(esme, isServer=False),
            )
        )
        if kind:
            got = self.result(esme.bind(kind, **fields))
            assert got.status == 0, got
        return esme

    def flush(self) -> None:
        """Move octets until there are no more."""
        moved = True
        while moved:
            moved = sum(pump.flush() for pump in self.pumps) > 0

    def pass_time(self, seconds: float) -> None:
        """Let time pass, octets first and afterwards."""
        self.flush()
        self.clock.advance(seconds)
        self.flush()

    def result(self, deferred: "Deferred[Pdu]") -> Any:
        """What ``deferred`` fires with once all octets are there; None while it waits."""
        got: list[Any] = []
        deferred.addBoth(got.append)
        self.flush()
        return got[0] if got else None

    def submit(self, esme: Esme, **fields: Any) -> Any:
        """The response to one submit_sm; None if none comes."""
        return self.result(esme.submit(registered_delivery=1, **fields))


def test_bind_tells_the_version_to_a_client_of_3_4_only() -> None:
    """sc_interface_version goes to clients of 3.4 or later, never to 3.3 (spec/smpp.md §5)."""
    joined = Joined()
    for version, expected in ((0x34, 0x34), (0x50, 0x34), (0x33, None)):
        esme = joined.esme("")
        response = joined.result(esme.bind(version=version))
        assert response.status == 0
        assert get(response, Tag.SC_INTERFACE_VERSION) == expected


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({"system_id": "other"}, Status.ESME_RINVSYSID),
        ({"password": "other"}, Status.ESME_RINVPASWD),
        ({"bind_status": 0x0D}, Status.ESME_RBINDFAIL),
    ],
)
def test_bind_is_refused(settings: dict[str, Any], status: int) -> None:
    """A wrong system_id or password, and a script that says so, refuse a bind."""
    joined = Joined(**settings)
    esme = joined.esme("")
    assert joined.result(esme.bind()).status == status
    assert joined.smsc.counts.binds_refused == 1


def test_more_binds_than_the_limit_are_refused() -> None:
    """max_binds counts the sessions that are bound at the same time."""
    joined = Joined(max_binds=1)
    first = joined.esme()
    assert joined.result(joined.esme("").bind()).status == Status.ESME_RALYBND
    first.close()
    assert joined.result(joined.esme("").bind()).status == 0


def test_submit_before_bind_has_the_wrong_bind_status() -> None:
    """A submit_sm in OPEN or on a receiver is answered with 0x04 (spec/smpp.md §6)."""
    joined = Joined()
    assert joined.submit(joined.esme("")).status == Status.ESME_RINVBNDSTS
    assert joined.submit(joined.esme("receiver")).status == Status.ESME_RINVBNDSTS


def test_other_operations_are_unknown() -> None:
    """An operation that it does not serve has its own response with ESME_RINVCMDID."""
    joined = Joined()
    response = joined.result(joined.esme().request(QuerySm(message_id=b"1")))
    assert response.status == Status.ESME_RINVCMDID


def test_a_receipt_follows_its_delay() -> None:
    """delay_s after the response comes the receipt, with its addresses swapped."""
    joined = Joined(delay_s=2.0)
    esme = joined.esme()
    response = joined.submit(esme, source="447700900000", destination="447700900123")
    joined.pass_time(1.9)
    assert not esme.deliveries
    joined.pass_time(0.2)
    pdu = esme.deliveries[0]
    assert (pdu.source_addr, pdu.destination_addr) == (b"447700900123", b"447700900000")
    receipt = esme.receipts[0]
    assert (receipt.id, receipt.state) == (response.message_id.decode(), MessageState.DELIVERED)
    assert receipt.text == "hello"
    assert joined.smsc.counts.receipts_answered == 1


@pytest.mark.parametrize(
    ("asked", "states", "count"),
    [
        (0, {"DELIVRD": 1}, 0),
        (1, {"DELIVRD": 1}, 1),
        (1, {"UNDELIV": 1}, 1),
        (2, {"DELIVRD": 1}, 0),
        (2, {"UNDELIV": 1}, 1),
        (3, {"DELIVRD": 1}, 1),
        (3, {"UNDELIV": 1}, 0),
    ],
)
def test_a_receipt_comes_if_it_is_asked_for(
    asked: int, states: dict[str, float], count: int
) -> None:
    """registered_delivery bits 1-0 decide by the outcome (spec/smpp.md §8)."""
    joined = Joined(states=states)
    esme = joined.esme()
    joined.result(esme.submit(registered_delivery=asked))
    joined.pass_time(1)
    assert len(esme.deliveries) == count


def test_states_come_by_their_weights() -> None:
    """A state of weight 0 never comes, the others both do."""
    joined = Joined(states={"DELIVRD": 1, "EXPIRED": 1, "REJECTD": 0})
    esme = joined.esme()
    for _ in range(50):
        joined.submit(esme)
    joined.pass_time(1)
    assert {r.state for r in esme.receipts} == {MessageState.DELIVERED, MessageState.EXPIRED}
    assert len(esme.receipts) == 50


def test_receipts_keep_their_rate() -> None:
    """receipt_rate spaces receipts out."""
    joined = Joined(receipt_rate=10.0)
    esme = joined.esme()
    for _ in range(20):
        joined.submit(esme)
    joined.pass_time(1.01)
    assert 9 <= len(esme.deliveries) <= 11
    joined.pass_time(1.01)
    assert len(esme.deliveries) == 20


def test_receipts_keep_the_window() -> None:
    """No more than receipt_window deliver_sm wait for an answer."""
    joined = Joined(receipt_window=3)
    esme = joined.esme()
    esme.answer = lambda pdu: None
    for _ in range(5):
        joined.submit(esme)
    joined.pass_time(0.1)
    assert len(esme.deliveries) == 3
    esme.send([pdu.response() for pdu in esme.deliveries])
    joined.flush()
    assert len(esme.deliveries) == 5


def test_ids_are_written_in_their_bases() -> None:
    """response_id and receipt_id write the same number differently (spec/smpp.md §4)."""
    joined = Joined(response_id="hex", receipt_id="decimal", receipt_tlvs=False)
    esme = joined.esme()
    response = joined.submit(esme)
    joined.pass_time(0.1)
    assert int(response.message_id, 16) == int(esme.receipts[0].id)


def test_a_client_of_3_3_gets_eight_hex_digits() -> None:
    """message_id has 8 hex digits at most in 3.3 (spec/smpp.md §4)."""
    joined = Joined()
    response = joined.submit(joined.esme("transmitter", version=0x33))
    assert len(response.message_id) == 8
    assert int(response.message_id, 16) >= 0


def test_refusals_come_by_their_share() -> None:
    """A share of 1 refuses all with that status, and refused messages get no receipt."""
    joined = Joined(refusals={Status.ESME_RMSGQFUL: 1.0})
    esme = joined.esme()
    response = joined.submit(esme)
    joined.pass_time(1)
    assert (response.status, response.message_id) == (Status.ESME_RMSGQFUL, b"")
    assert not esme.deliveries


def test_throttle_lets_its_rate_pass() -> None:
    """Beyond ``throttle`` submit_sm a second the answer is ESME_RTHROTTLED, then it goes on."""
    joined = Joined(throttle=2.0)
    esme = joined.esme()
    statuses = [joined.submit(esme).status for _ in range(3)]
    assert statuses == [0, 0, Status.ESME_RTHROTTLED]
    joined.pass_time(1)
    assert joined.submit(esme).status == 0


def test_answers_wait() -> None:
    """answer_delay_s holds responses back."""
    joined = Joined(answer_delay_s=3.0)
    esme = joined.esme()
    waiting = esme.submit()
    joined.pass_time(2.9)
    assert esme.unanswered == 1
    joined.pass_time(0.2)
    assert joined.result(waiting).status == 0


def test_silence_takes_nothing() -> None:
    """A silenced message has neither response nor receipt."""
    joined = Joined(silence=1.0, receipts="all")
    esme = joined.esme()
    assert joined.submit(esme) is None
    joined.pass_time(10)
    assert not esme.deliveries
    assert joined.smsc.counts.submits == 1


def test_a_lost_response_leaves_the_receipt() -> None:
    """The message was taken: its receipt comes although its response does not."""
    joined = Joined(lost_responses=1.0)
    esme = joined.esme()
    assert joined.submit(esme) is None
    joined.pass_time(1)
    assert len(esme.receipts) == 1


def test_double_responses_come_twice() -> None:
    """The second response has the same sequence number and is one too many."""
    joined = Joined(double_responses=1.0)
    esme = joined.esme()
    response = joined.submit(esme)
    assert esme.other == [response]


def test_an_early_receipt_is_before_its_response() -> None:
    """With early_receipts the deliver_sm is on the wire before the submit_sm_resp."""
    joined = Joined(early_receipts=1.0, delay_s=60.0)
    esme = joined.esme()
    kinds: list[type[Pdu]] = []
    received = esme.pdus_received

    def note(pdus: Any) -> None:
        kinds.extend(type(pdu) for pdu in pdus)
        received(pdus)

    esme.pdus_received = note  # type: ignore[method-assign]
    response = joined.submit(esme)
    assert kinds == [DeliverSm, SubmitSmResp]
    assert esme.receipts[0].id == response.message_id.decode()


@pytest.mark.parametrize(("setting", "count"), [("lost_receipts", 0), ("double_receipts", 2)])
def test_receipts_come_never_or_twice(setting: str, count: int) -> None:
    """lost_receipts and double_receipts change how many receipts there are."""
    joined = Joined(**{setting: 1.0})
    esme = joined.esme()
    joined.submit(esme)
    joined.pass_time(1)
    assert len(esme.receipts) == count


def test_reset_after_its_number_of_submits() -> None:
    """The submit_sm that is the last one has no answer, and the connection is gone."""
    joined = Joined(reset_after=3)
    esme = joined.esme()
    assert [joined.submit(esme).status for _ in range(2)] == [0, 0]
    assert isinstance(joined.submit(esme).value, LostError)
    assert (esme.open, joined.smsc.counts.resets) == (False, 1)


def test_disconnects_after_its_time() -> None:
    """disconnect_after_s ends a bound connection without unbind."""
    joined = Joined(disconnect_after_s=5.0)
    esme = joined.esme()
    joined.pass_time(5.1)
    assert not esme.open
    assert not esme.other


def test_slow_reading_pauses_the_transport() -> None:
    """read_rate makes it read no more until the octets it has read are paid for."""
    joined = Joined(read_rate=100.0)
    session = joined.smsc.buildProtocol(None)
    transport = StringTransport()
    session.makeConnection(transport)
    session.dataReceived(bytes.fromhex("00000010000000150000000000000002") * 10)
    assert transport.producerState == "paused"
    joined.clock.advance(1.5)
    assert transport.producerState == "paused"
    joined.clock.advance(0.2)
    assert transport.producerState == "producing"


def test_deaf_answers_nothing() -> None:
    """A deaf SMSC answers neither submit_sm nor enquire_link, but reads."""
    joined = Joined()
    esme = joined.esme()
    joined.script.deaf = True
    assert joined.submit(esme) is None
    assert joined.smsc.counts.submits == 1


def test_mo_traffic_has_its_rate_and_end() -> None:
    """mo_rate messages a second go to a receiving session, mo_count in all."""
    joined = Joined(mo_rate=4.0, mo_count=6, mo_text="no. {n}", mo_to="60777")
    joined.esme("transmitter")
    esme = joined.esme("receiver")
    for _ in range(4):
        joined.pass_time(0.26)
    assert [pdu.short_message for pdu in esme.messages] == [b"no. 1", b"no. 2", b"no. 3", b"no. 4"]
    for _ in range(20):
        joined.pass_time(0.26)
    assert len(esme.messages) == 6
    assert esme.messages[0].destination_addr == b"60777"
    assert joined.smsc.counts.mo_answered == 6


def test_a_long_mo_comes_in_parts() -> None:
    """A text that does not fit one short message is split with a UDH."""
    joined = Joined()
    esme = joined.esme()
    assert joined.smsc.mobile_originated("447700900123", "447700900000", "x" * 200) == 2
    joined.flush()
    assert [pdu.esm_class & 0x40 for pdu in esme.messages] == [0x40, 0x40]


@pytest.mark.parametrize("ending", [Esme.close, Esme.reset])
def test_what_was_not_answered_goes_out_again(ending: "Callable[[Esme], None]") -> None:
    """An unanswered deliver_sm waits for the next session when its own has ended."""
    joined = Joined()
    first = joined.esme()
    first.answer = lambda pdu: None
    joined.smsc.mobile_originated("447700900123", "447700900000", "again")
    joined.flush()
    ending(first)
    joined.flush()
    second = joined.esme()
    joined.flush()
    assert [pdu.short_message for pdu in second.messages] == [b"again"]
    assert joined.smsc.counts.mo_answered == 1


def test_a_temporary_refusal_is_tried_again() -> None:
    """ESME_RX_T_APPN brings the deliver_sm back after retry_s, ESME_RX_P_APPN never."""
    joined = Joined(retry_s=5.0)
    esme = joined.esme()
    answers = [Status.ESME_RX_T_APPN, Status.ESME_RX_P_APPN]
    esme.answer = lambda pdu: answers.pop(0)
    joined.smsc.mobile_originated("447700900123", "447700900000", "again")
    joined.pass_time(4.9)
    assert len(esme.deliveries) == 1
    joined.pass_time(0.2)
    joined.pass_time(60)
    assert len(esme.deliveries) == 2
    assert joined.smsc.counts.deliveries_refused == 1


def test_an_answer_that_does_not_come_is_waited_for_only_so_long() -> None:
    """After deliver_timeout_s the deliver_sm goes out again."""
    joined = Joined(deliver_timeout_s=10.0)
    esme = joined.esme()
    esme.answer = lambda pdu: None
    joined.smsc.mobile_originated("447700900123", "447700900000", "hello?")
    for _ in range(3):
        joined.pass_time(5)
    assert len(esme.deliveries) == 2


def test_decide_goes_before_the_settings() -> None:
    """A test's own decision counts; where it has none the settings do."""
    joined = Joined(refusals={0x45: 1.0})
    joined.script.decide = lambda pdu: Plan() if pdu.short_message == b"good" else None
    esme = joined.esme()
    assert joined.submit(esme, text=b"good").status == 0
    assert joined.submit(esme, text=b"bad").status == 0x45


def test_arrivals_are_kept_and_awaited() -> None:
    """``submits`` has what came, and ``arrived`` fires at its number."""
    joined = Joined()
    esme = joined.esme()
    fired: list[None] = []
    joined.smsc.arrived(2).addCallback(fired.append)
    joined.submit(esme, text=b"one")
    assert not fired
    joined.submit(esme, text=b"two")
    assert fired == [None]
    assert [pdu.short_message for pdu in joined.smsc.submits] == [b"one", b"two"]
    assert isinstance(joined.smsc.submits[0], SubmitSm)


def test_batches_are_answered_in_one_write() -> None:
    """Requests of one read are answered together."""
    joined = Joined()
    session = joined.smsc.buildProtocol(None)
    assert isinstance(session, SmscSession)
    transport = StringTransport()
    session.makeConnection(transport)
    writes: list[bytes] = []
    transport.write = writes.append  # type: ignore[method-assign]
    session.transmits = True
    session.pdus_received([submit_sm() for _ in range(10)])
    assert len(writes) == 1


def test_malformed_octets_get_their_nack() -> None:
    """A PDU of an unknown command is answered; a lost frame boundary ends the connection."""
    joined = Joined()
    esme = joined.esme()
    esme.send_raw(bytes.fromhex("000000100000ffff000000000000000f"))
    joined.flush()
    assert [(pdu.status, pdu.sequence) for pdu in esme.other] == [(Status.ESME_RINVCMDID, 15)]
    esme.send_raw(bytes.fromhex("0000000f000000150000000000000010"))
    joined.flush()
    assert esme.other[-1].status == Status.ESME_RINVCMDLEN
    assert not esme.open


def test_unbind_ends_both_ways() -> None:
    """unbind is answered and the connection closed, whoever asks."""
    joined = Joined()
    esme = joined.esme()
    assert joined.result(esme.unbind()).status == 0
    assert not esme.open
    other = joined.esme()
    joined.smsc.unbind()
    joined.flush()
    assert other.ended_why is not None


def test_a_script_is_read_from_toml() -> None:
    """The settings are the keys, statuses may be hex, and what is given beside wins."""
    script = read('delay_s = 2\n[refusals]\n"0x14" = 0.5\n', "f.toml", {"delay_s": 3})
    assert (script.delay_s, script.refusals) == (3.0, {0x14: 0.5})


@pytest.mark.parametrize(
    "text",
    [
        'refusals = { "0x14" = nan }',
        'refusals = { "0x14" = true }',
        'refusals = { "0x14" = "0.5" }',
        f'refusals = {{ "0x14" = 0x{"f" * 5000} }}',
        'refusals = { "0" = 1 }',
        'refusals = { "0x100000000" = 1 }',
        "states = { DELIVRD = nan }",
        "states = { DELIVRD = inf }",
        f"states = {{ DELIVRD = 0x{'f' * 5000} }}",
    ],
)
def test_shares_statuses_and_weights_are_bounded(text: str) -> None:
    """What could not be drawn, or not be written into a PDU, is refused at the start."""
    with pytest.raises(
        ValueError, match=r"^f\.toml:1: (refusals|states): .*; it must be "
    ) as caught:
        read(text, "f.toml")
    assert str(caught.value).isprintable()


def test_a_bad_script_says_what_would_be_right() -> None:
    """Every fault is one line with file, line and key."""
    with pytest.raises(ValueError, match="unknown key") as caught:
        read("delay = 2\nstates = { DELIVERED = 1 }\nsilence = 3\n", "f.toml")
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["f.toml:1", "delay"],
        ["f.toml:2", "states"],
        ["f.toml:3", "silence"],
    ]
