"""The session.

What is legal when, windows, timers, unbinding; two of them back to back in memory.
"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from smsgw.smpp.codec import encode, encode_all
from smsgw.smpp.constants import MAX_SEQUENCE, RESPONSE, Command, Status, Tag
from smsgw.smpp.events import (
    BindRefused,
    BindRequested,
    Bound,
    MisuseError,
    Requests,
    Responses,
    Timers,
)
from smsgw.smpp.framing import Framer
from smsgw.smpp.pdu import (
    CLASSES,
    AlertNotification,
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    BroadcastSm,
    CancelSm,
    DataSm,
    DataSmResp,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Outbind,
    ParamRetrieve,
    Pdu,
    QuerySm,
    QuerySmResp,
    ReplaceSm,
    SmeAddress,
    SubmitMulti,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    UnbindResp,
)
from smsgw.smpp.session import Session
from smsgw.smpp.states import BOUND, LEAVING, TABLE, Input, Role, State, picture

QUIET = Timers(enquire_after_s=0)
BINDS = {"tx": BindTransmitter, "rx": BindReceiver, "trx": BindTransceiver}
VERSION = [(Tag.SC_INTERFACE_VERSION, b"\x34")]


def said(session: Session) -> list[Pdu]:
    """What a session has to say, decoded."""
    return Framer().feed(session.take())


def smsc(kind: str = "", timers: Timers = QUIET, version: int = 0x34, **windows: int) -> Session:
    """An SMSC's session at time 0, bound as ``kind``."""
    session = Session(Role.SMSC, timers, 0.0)
    if kind:
        session.receive(encode(BINDS[kind](sequence=1, interface_version=version)), 0.0)
        session.accept(
            CLASSES[BINDS[kind].COMMAND | RESPONSE](),
            0.0,
            version=version,
            tlvs=version >= 0x34,
            **windows,
        )
        session.take()
    return session


def esme(kind: str = "", timers: Timers = QUIET, window: int = 10, tlvs: bool = True) -> Session:
    """An ESME's session at time 0, bound as ``kind``.

    Without ``tlvs`` to an SMSC of version 3.3.
    """
    session = Session(Role.ESME, timers, 0.0, window_out=window)
    if kind:
        bind = BINDS[kind](interface_version=0x34)
        session.bind(bind, 0.0)
        response = bind.response(system_id=b"smsc", tlvs=VERSION if tlvs else [])
        assert [type(event) for event in session.receive(encode(response), 0.0)] == [Bound]
        session.take()
    return session


def submit(sequence: int = 0, text: bytes = b"Hi") -> SubmitSm:
    return SubmitSm(sequence=sequence, destination_addr=b"447700900123", short_message=text)


# Binding


@pytest.mark.parametrize(
    ("kind", "state"),
    [("tx", State.BOUND_TX), ("rx", State.BOUND_RX), ("trx", State.BOUND_TRX)],
)
def test_both_ends_reach_the_state_of_the_bind(kind: str, state: State) -> None:
    """A bind request and its answer bring client and server to the same state."""
    client, server = esme(), smsc()
    client.bind(BINDS[kind](system_id=b"acme", interface_version=0x34), 0.0)
    (event,) = server.receive(client.take(), 0.0)
    assert isinstance(event, BindRequested)
    assert event.pdu.system_id == b"acme"
    server.accept(event.pdu.response(system_id=b"smsc", tlvs=VERSION), 0.0)
    (event,) = client.receive(server.take(), 0.0)
    assert isinstance(event, Bound)
    assert (client.state, server.state) == (state, state)
    assert (client.version, client.tlvs) == (0x34, True)
    assert client.room == (0 if kind == "rx" else 10)
    assert server.room == (0 if kind == "tx" else 1)


def test_without_sc_interface_version_the_smsc_is_taken_for_33() -> None:
    """A client that is not told the server's version sends it no TLVs (spec/smpp.md §5)."""
    client = esme("trx", tlvs=False)
    assert (client.version, client.tlvs) == (0x33, False)
    client.request([(SubmitSm(tlvs=[(Tag.USER_MESSAGE_REFERENCE, b"\0\1")]), None)], 0.0)
    (pdu,) = said(client)
    assert pdu.tlvs == []


def test_a_refused_bind_ends_the_clients_session() -> None:
    """A bind response with an error is told with its status, and the connection is to be closed."""
    client = esme()
    client.bind(BindTransceiver(), 0.0)
    refusal = BindTransceiver(sequence=1).response(Status.ESME_RINVPASWD)
    assert client.receive(encode(refusal), 0.0) == [BindRefused(Status.ESME_RINVPASWD)]
    assert client.ended == "bind refused: ESME_RINVPASWD"


def test_a_bind_that_is_nacked_is_refused() -> None:
    """A generic_nack with the bind's sequence number is the answer to the bind (E-D23)."""
    client = esme()
    client.bind(BindTransceiver(), 0.0)
    nack = GenericNack(sequence=1, status=Status.ESME_RINVCMDID)
    assert client.receive(encode(nack), 0.0) == [BindRefused(Status.ESME_RINVCMDID)]


def test_a_refused_client_may_try_again_until_the_session_init_time() -> None:
    """After a refusal the session is open again, and its time to bind still runs."""
    server = smsc()
    server.receive(encode(BindTransceiver(sequence=1)), 1.0)
    server.refuse(BindTransceiver(sequence=1).response(Status.ESME_RINVPASWD))
    (answer,) = said(server)
    assert (answer.COMMAND, answer.status) == (Command.BIND_TRANSCEIVER_RESP, 0x0E)
    assert server.state is State.OPEN
    assert server.deadline() == 10.0
    server.tick(10.0)
    assert server.ended == "no bind within 10 s"


def test_no_time_runs_while_the_owner_checks_a_bind() -> None:
    """The session-init timer ends with a complete bind request (spec/smpp.md §7)."""
    server = smsc()
    server.receive(encode(BindTransceiver(sequence=1)), 1.0)
    server.tick(100.0)
    assert not server.ended


def test_an_unanswered_bind_times_out() -> None:
    """A client does not wait longer than the response time for its bind."""
    client = esme()
    client.bind(BindTransceiver(), 0.0)
    assert client.deadline() == 30.0
    client.tick(30.0)
    assert client.ended == "no answer to the bind within 30 s"


def test_answering_a_bind_that_does_not_wait_is_misuse() -> None:
    """accept and refuse need a bind; a second answer is a bug."""
    server = smsc("trx")
    with pytest.raises(MisuseError):
        server.accept(BindTransceiver().response(), 0.0)
    with pytest.raises(MisuseError):
        esme("trx").bind(BindTransceiver(), 0.0)


# What is legal when (spec/smpp.md §6)

SUBMITS: list[Pdu] = [
    submit(),
    SubmitMulti(dest_addresses=[SmeAddress(1, 1, b"447700900123")]),
    DataSm(),
    QuerySm(),
    CancelSm(),
    ReplaceSm(),
]


def states() -> dict[str, Session]:
    open_, binding, unbound = smsc(), smsc(), smsc("trx", window_in=5)
    binding.receive(encode(BindTransceiver(sequence=1)), 0.0)
    # One answer of ours is outstanding, so that the session stays UNBOUND.
    unbound.receive(encode(submit(1)) + encode(Unbind(sequence=2)), 0.0)
    leaving = smsc("trx", window_in=5)
    leaving.unbind(0.0)
    leaving.take()
    return {
        "open": open_,
        "binding": binding,
        "tx": smsc("tx"),
        "rx": smsc("rx"),
        "trx": smsc("trx"),
        "leaving": leaving,
        "unbound": unbound,
    }


@pytest.mark.parametrize("state", ["open", "binding", "tx", "rx", "trx", "leaving", "unbound"])
@pytest.mark.parametrize("pdu", SUBMITS, ids=lambda pdu: type(pdu).__name__)
def test_submits_are_served_where_an_esme_may_send_them(state: str, pdu: Pdu) -> None:
    """Bound as transmitter or transceiver serves; anywhere else the answer is 0x04 in kind."""
    session = states()[state]
    pdu.sequence = 77
    events = session.receive(encode(pdu), 1.0)
    if state in ("tx", "trx", "leaving"):
        assert events == [Requests([pdu])]
        assert session.take() == b""
    else:
        assert events == []
        (answer,) = said(session)
        assert answer == pdu.response(Status.ESME_RINVBNDSTS)
    assert not session.ended


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("binding", 0x05),
        ("tx", 0x05),
        ("rx", 0x05),
        ("trx", 0x05),
        ("leaving", 0x05),
        ("unbound", 0x04),
    ],
)
@pytest.mark.parametrize("kind", BINDS)
def test_a_second_bind_is_refused(state: str, status: int, kind: str) -> None:
    """A bind in a bound session is answered with ESME_RALYBND; nothing else happens."""
    session = states()[state]
    before = session.state
    assert session.receive(encode(BINDS[kind](sequence=9)), 1.0) == []
    assert said(session) == [BINDS[kind](sequence=9).response(status)]
    assert session.state is before


@pytest.mark.parametrize("state", ["open", "binding", "tx", "rx", "trx", "leaving", "unbound"])
def test_enquire_link_is_answered_in_every_state(state: str) -> None:
    """The session answers by itself, and the owner hears nothing of it."""
    session = states()[state]
    assert session.receive(encode(EnquireLink(sequence=9)), 1.0) == []
    assert said(session) == [EnquireLinkResp(sequence=9)]


@pytest.mark.parametrize("pdu", [DeliverSm(), DataSm()], ids=lambda pdu: type(pdu).__name__)
@pytest.mark.parametrize(("kind", "served"), [("tx", False), ("rx", True), ("trx", True)])
def test_deliveries_are_served_where_an_smsc_may_send_them(
    kind: str, pdu: Pdu, served: bool
) -> None:
    """Bound as receiver or transceiver serves; a transmitter answers 0x04."""
    client = esme(kind)
    pdu.sequence = 5
    events = client.receive(encode(pdu), 0.0)
    assert events == ([Requests([pdu])] if served else [])
    assert said(client) == ([] if served else [pdu.response(Status.ESME_RINVBNDSTS)])


def test_alert_notification_has_no_answer_and_no_place_in_the_window() -> None:
    """It is handed on, and nothing waits for a response."""
    client = esme("rx")
    (event,) = client.receive(encode(AlertNotification(sequence=5)), 0.0)
    assert isinstance(event, Requests)
    assert client.unanswered == 0


@pytest.mark.parametrize("pdu", [Outbind(sequence=5), AlertNotification(sequence=5)])
def test_what_only_an_smsc_says_is_nacked_when_a_client_says_it(pdu: Pdu) -> None:
    """Operations without a response: generic_nack with 0x03, before a bind with 0x04 (L-D11)."""
    for server, status in ((smsc("trx"), Status.ESME_RINVCMDID), (smsc(), Status.ESME_RINVBNDSTS)):
        server.receive(encode(pdu), 0.0)
        assert said(server) == [GenericNack(sequence=5, status=status)]


def test_the_picture_in_the_documentation_is_drawn_from_the_table() -> None:
    """docs/design/session.md shows the table as it is."""
    page = Path(__file__).parents[2] / "docs" / "design" / "session.md"
    drawn = page.read_text().split("<!-- picture -->\n")[1].split("<!-- end of picture -->")[0]
    assert drawn == picture()


def test_every_state_but_closed_can_be_left_by_losing_the_connection() -> None:
    """No state is a trap, and the table leads nowhere from CLOSED."""
    for state in State:
        assert ((state, Input.LOST) in TABLE) is (state is not State.CLOSED)
        assert state is not State.CLOSED or not any(pair[0] is state for pair in TABLE)


# Faults of the peer (spec/smpp.md §1)


def test_an_unknown_command_is_nacked_and_the_session_goes_on() -> None:
    """generic_nack with 0x03 and the request's sequence number."""
    server = smsc("trx", window_in=5)
    unknown = bytes.fromhex("00000010 00000999 00000000 0000000f")
    assert server.receive(unknown + encode(submit(16)), 0.0) == [Requests([submit(16)])]
    assert said(server) == [GenericNack(sequence=15, status=Status.ESME_RINVCMDID)]
    assert server.faults == 1


def test_a_short_body_is_answered_in_kind_and_the_session_goes_on() -> None:
    """A body shorter than its fields: response of that operation with 0x02 (ruling 5)."""
    server = smsc("trx", window_in=5)
    short = bytes.fromhex("00000012 00000004 00000000 00000007 0000")
    assert server.receive(short + encode(submit(8)), 0.0) == [Requests([submit(8)])]
    assert said(server) == [SubmitSmResp(sequence=7, status=Status.ESME_RINVCMDLEN)]


def test_a_lost_frame_boundary_is_nacked_and_ends_the_session() -> None:
    """command_length below 16 or above the limit: generic_nack 0x02 and close."""
    for length in ("0000000f", "00011171", "ffffffff"):
        server = smsc("trx")
        server.receive(bytes.fromhex(length + "00000004 00000000 00000007"), 0.0)
        assert said(server) == [GenericNack(sequence=7, status=Status.ESME_RINVCMDLEN)]
        assert server.ended.startswith("framing lost")
        assert server.receive(encode(submit(8)), 0.0) == []
        assert server.take() == b""


def test_what_came_before_a_lost_boundary_is_still_handed_on() -> None:
    """The requests of the same read come first; their answers are dropped."""
    server = smsc("trx", window_in=5)
    events = server.receive(encode(submit(1)) + b"\0\0\0\1" + bytes(12), 0.0)
    assert events == [Requests([submit(1)])]
    server.take()
    server.respond([SubmitSmResp(sequence=1, message_id=b"1")], 0.0)
    assert server.take() == b""


def test_a_spoilt_response_answers_its_request_by_its_status() -> None:
    """A carrier's ROK is one, however its body reads: else the message would go out again (I2)."""
    client = esme("trx")
    client.request([(submit(), "a"), (submit(), "b")], 0.0)
    client.take()
    (first, _) = client._outgoing.entries
    header = b"\0\0\0\x51\x80\0\0\4\0\0\0\0" + first.to_bytes(4, "big")
    assert client.receive(header + b"x" * 65, 1.0) == [Responses([("a", SubmitSmResp(first))])]
    assert client.take() == b""
    assert client.outstanding == 1


def test_an_unknown_response_command_is_dropped() -> None:
    """Neither an answer nor an end."""
    server = smsc("trx")
    server.receive(bytes.fromhex("00000010 80000999 00000000 0000000f"), 0.0)
    assert server.take() == b""
    assert not server.ended


@pytest.mark.parametrize("kind", ["smsc", "esme"])
@given(data=st.lists(st.binary(max_size=80), max_size=5))
@settings(max_examples=60, deadline=None)
def test_any_octets_leave_a_session_that_works_or_has_ended(kind: str, data: list[bytes]) -> None:
    """Whatever a peer sends, no exception comes out, and the windows hold."""
    session = smsc("trx", window_in=3) if kind == "smsc" else esme("trx")
    for octets in data:
        session.receive(octets, 1.0)
        session.tick(2.0)
    assert session.unanswered <= 3 or kind == "esme"
    Framer().feed(session.take())


@given(
    pdus=st.lists(
        st.builds(
            lambda command, sequence, status: (
                b"\0\0\0\x10"
                + command.to_bytes(4, "big")
                + status.to_bytes(4, "big")
                + sequence.to_bytes(4, "big")
            ),
            st.sampled_from([int(command) for command in Command]),
            st.integers(0, 4),
            st.sampled_from([0, 8]),
        ),
        max_size=12,
    ),
    role=st.sampled_from([smsc, esme]),
)
@settings(max_examples=100, deadline=None)
def test_any_headers_in_any_order_are_survived(pdus: list[bytes], role: object) -> None:
    """Every command in any state, with sequence numbers that may mean our own requests."""
    session = role("trx")  # type: ignore[operator]
    session.unbind(0.0)
    for octets in pdus:
        session.receive(octets, 1.0)
    answers = said(session)
    assert len(answers) <= len(pdus) + 1


@pytest.mark.parametrize(("kind", "goes"), [("tx", False), ("rx", True), ("trx", True)])
def test_a_notification_is_in_no_window(kind: str, goes: bool) -> None:
    """alert_notification awaits nothing; nothing happens where we may not send it, nor at the
    end."""
    server = smsc(kind, window_out=1)
    server.notify(AlertNotification(source_addr=b"447700900123"), 1.0)
    alerts = said(server)
    assert [pdu.sequence for pdu in alerts] == ([1] if goes else [])
    assert server.outstanding == 0
    assert server.room == (1 if goes else 0)
    server.end("over")
    server.notify(AlertNotification(), 2.0)
    assert said(server) == []


# Versions


def test_a_33_session_knows_no_operation_of_34() -> None:
    """data_sm in 3.3 is an unknown command: generic_nack with 0x03."""
    server = smsc("tx", version=0x33)
    server.receive(encode(DataSm(sequence=3)), 0.0)
    assert said(server) == [GenericNack(sequence=3, status=Status.ESME_RINVCMDID)]


@pytest.mark.parametrize(
    "pdu", [ParamRetrieve(sequence=3, param_name=b"x"), BroadcastSm(sequence=3)]
)
def test_a_34_session_knows_no_operation_of_33_or_50(pdu: Pdu) -> None:
    """What only 3.3 or 5.0 has is an unknown command: generic_nack with 0x03."""
    server = smsc("trx")
    server.receive(encode(pdu), 0.0)
    assert said(server) == [GenericNack(sequence=3, status=Status.ESME_RINVCMDID)]


def test_a_33_session_serves_the_operations_of_33() -> None:
    """param_retrieve is legal for a 3.3 transmitter."""
    server = smsc("tx", version=0x33)
    pdu = ParamRetrieve(sequence=3, param_name=b"window_size")
    assert server.receive(encode(pdu), 0.0) == [Requests([pdu])]


@pytest.mark.parametrize(("status", "seen"), [(0x432, 0x45), (0xC2, 0x45), (0x58, 0x58), (0, 0)])
def test_a_33_client_sees_only_statuses_of_33(status: int, seen: int) -> None:
    """Nothing from 0xC0 on is sent to a 3.3 client (spec/smpp.md §4)."""
    server = smsc("tx", version=0x33)
    server.receive(encode(submit(1)), 0.0)
    server.respond([SubmitSmResp(sequence=1, status=status, message_id=b"00BC614E")], 0.0)
    assert said(server)[0].status == seen


def test_tlvs_travel_in_neither_direction_of_a_33_session() -> None:
    """Octets after the fields are ignored, and TLVs of ours left out."""
    server = smsc("tx", version=0x33, window_in=3)
    tagged = SubmitSm(sequence=1, tlvs=[(Tag.USER_MESSAGE_REFERENCE, b"\0\1")])
    junk = bytearray(encode(SubmitSm(sequence=2)) + b"\1\2\3")
    junk[3] += 3
    events = server.receive(encode(tagged) + junk, 0.0)
    assert events == [Requests([SubmitSm(sequence=1), SubmitSm(sequence=2)])]
    server.respond([SubmitSmResp(sequence=1, message_id=b"1", tlvs=[(0x0428, b"\1")])], 0.0)
    assert said(server) == [SubmitSmResp(sequence=1, message_id=b"1")]


# Windows


def test_requests_of_one_read_are_one_event_and_one_write() -> None:
    """A batch stays a batch, in both directions."""
    client, server = esme("trx"), smsc("trx", window_in=10)
    client.request([(submit(text=b"%d" % n), n) for n in range(10)], 0.0)
    (event,) = server.receive(client.take(), 0.0)
    assert isinstance(event, Requests)
    assert len(event.pdus) == 10
    server.respond(
        [SubmitSmResp(sequence=pdu.sequence, message_id=pdu.short_message) for pdu in event.pdus],
        0.0,
    )
    (event,) = client.receive(server.take(), 0.0)
    assert isinstance(event, Responses)
    assert [(context, pdu.message_id) for context, pdu in event.answers] == [
        (n, b"%d" % n) for n in range(10)
    ]


def test_requests_around_a_small_thing_stay_one_event() -> None:
    """An enquire_link between submits does not split the batch."""
    server = smsc("trx", window_in=10)
    data = encode(submit(1)) + encode(EnquireLink(sequence=2)) + encode(submit(3))
    assert server.receive(data, 0.0) == [Requests([submit(1), submit(3)])]


def test_the_outgoing_window_is_never_exceeded() -> None:
    """room says how many go; more is our own misuse, and nothing of it is sent."""
    client = esme("trx", window=3)
    client.request([(submit(), 1), (submit(), 2)], 0.0)
    client.take()
    assert client.room == 1
    with pytest.raises(MisuseError):
        client.request([(submit(), 3), (submit(), 4)], 0.0)
    assert client.take() == b""
    assert client.outstanding == 2


def test_a_pdu_that_cannot_be_encoded_spoils_no_more_than_its_batch() -> None:
    """ValueError, nothing sent, nothing registered, and the session goes on."""
    client = esme("trx", window=3)
    with pytest.raises(ValueError, match="destination_addr"):
        client.request([(submit(), 1), (SubmitSm(destination_addr=b"9" * 30), 2)], 0.0)
    assert (client.take(), client.room) == (b"", 3)
    client.request([(submit(), 1)], 0.0)
    assert len(said(client)) == 1


def test_requests_beyond_the_incoming_window_are_throttled() -> None:
    """ESME_RTHROTTLED at once, for that request only; enquire_link is never counted (L-D9)."""
    server = smsc("trx", window_in=2)
    data = encode_all([submit(1), submit(2), submit(3), EnquireLink(sequence=4), submit(5)])
    assert server.receive(data, 0.0) == [Requests([submit(1), submit(2)])]
    assert said(server) == [
        SubmitSmResp(sequence=3, status=Status.ESME_RTHROTTLED),
        EnquireLinkResp(sequence=4),
        SubmitSmResp(sequence=5, status=Status.ESME_RTHROTTLED),
    ]
    assert server.throttled == 2
    server.respond([SubmitSmResp(sequence=2, message_id=b"2")], 0.0)
    assert server.receive(encode(submit(6)), 0.0) == [Requests([submit(6)])]


def test_answers_may_come_in_any_order() -> None:
    """Each finds its context by its sequence number (E-D24)."""
    client = esme("trx", window=3)
    client.request([(submit(), "a"), (submit(), "b"), (submit(), "c")], 0.0)
    sent = [pdu.sequence for pdu in said(client)]
    data = [encode(SubmitSmResp(sequence=sent[n], message_id=b"%d" % n)) for n in (2, 0, 1)]
    (event,) = client.receive(b"".join(data), 0.0)
    assert isinstance(event, Responses)
    assert [context for context, _ in event.answers] == ["c", "a", "b"]


def test_a_second_answer_is_a_stray() -> None:
    """A response whose request is answered already is counted and dropped."""
    client = esme("trx")
    client.request([(submit(), "a")], 0.0)
    answer = said(client)[0].response(message_id=b"1")
    assert len(client.receive(encode(answer), 0.0)) == 1
    assert client.receive(encode(answer), 0.0) == []
    assert (client.strays, client.take()) == (1, b"")


def test_a_response_of_another_kind_answers_nothing() -> None:
    """A query_sm_resp does not answer a submit_sm that has its sequence number."""
    client = esme("trx")
    client.request([(submit(), "a")], 0.0)
    (pdu,) = said(client)
    assert client.receive(encode(QuerySmResp(sequence=pdu.sequence)), 0.0) == []
    assert client.outstanding == 1


def test_a_generic_nack_answers_the_request_it_names() -> None:
    """It is given back with its status; one that names none is dropped."""
    client = esme("trx")
    client.request([(submit(), "a")], 0.0)
    (pdu,) = said(client)
    assert client.receive(encode(GenericNack(sequence=0, status=2)), 0.0) == []
    nack = GenericNack(sequence=pdu.sequence, status=3)
    assert client.receive(encode(nack), 0.0) == [Responses([("a", nack)])]


def test_an_unanswered_request_is_given_back_and_a_late_answer_dropped() -> None:
    """After the response time the context comes back with None, and its place is free."""
    client = esme("trx", window=2)
    client.request([(submit(), "a")], 0.0)
    client.request([(submit(), "b")], 5.0)
    sent = said(client)
    assert client.deadline() == 30.0
    assert client.tick(29.9) == []
    assert client.tick(30.0) == [Responses([("a", None)])]
    assert (client.room, client.deadline()) == (1, 35.0)
    assert client.receive(encode(sent[0].response(message_id=b"1")), 31.0) == []
    assert client.strays == 1
    assert client.tick(35.0) == [Responses([("b", None)])]


def test_a_sequence_number_used_twice_is_answered_twice() -> None:
    """Clients that number every request 1 get an answer for each."""
    server = smsc("trx", window_in=5)
    server.receive(encode(submit(1)) * 2, 0.0)
    assert server.unanswered == 2
    server.respond([SubmitSmResp(sequence=1, message_id=b"1")] * 2, 0.0)
    assert (len(said(server)), server.unanswered) == (2, 0)


def test_answering_what_does_not_wait_is_misuse() -> None:
    """A second answer is a bug of ours: nothing of the batch goes out, and the rest still waits."""
    server = smsc("trx", window_in=5)
    server.receive(encode(submit(1)) + encode(submit(2)), 0.0)
    with pytest.raises(MisuseError):
        server.respond([SubmitSmResp(sequence=1), SubmitSmResp(sequence=3)], 0.0)
    assert (server.take(), server.unanswered) == (b"", 2)
    server.respond([SubmitSmResp(sequence=1), SubmitSmResp(sequence=2)], 0.0)
    assert len(said(server)) == 2


def test_the_sequence_number_wraps_to_1() -> None:
    """After 0x7FFFFFFF comes 1 (spec/smpp.md §1)."""
    client = esme("trx")
    client._sequence = MAX_SEQUENCE - 1
    client.request([(submit(), 0), (submit(), 1)], 0.0)
    assert [pdu.sequence for pdu in said(client)] == [MAX_SEQUENCE, 1]


def test_a_lost_connection_gives_every_context_back_once() -> None:
    """close returns what has no answer, and then nothing more."""
    client = esme("trx")
    client.request([(submit(), "a"), (submit(), "b")], 0.0)
    sent = said(client)
    client.receive(encode(sent[0].response(message_id=b"1")), 0.0)
    assert client.close() == [("b", None)]
    assert client.close() == []
    assert (client.state, client.room) == (State.CLOSED, 0)


# Keep-alive (E-D25, L-D3, L-D4, ruling 3)

ALIVE = Timers(enquire_after_s=60, enquire_misses=2)


def test_silence_is_broken_by_an_enquire_link() -> None:
    """After 60 s without a PDU of the peer one goes out; its answer starts the silence anew."""
    server = smsc("trx", ALIVE)
    assert server.deadline() == 60.0
    server.tick(60.0)
    (ask,) = said(server)
    assert isinstance(ask, EnquireLink)
    server.receive(encode(ask.response()), 61.0)
    assert server.deadline() == 121.0
    server.tick(120.0)
    assert server.take() == b""


def test_two_unanswered_enquire_links_in_a_row_end_the_session() -> None:
    """The second follows when the first has had its 30 s, and so does the end."""
    server = smsc("trx", ALIVE)
    server.tick(60.0)
    server.tick(90.0)
    assert [type(pdu) for pdu in said(server)] == [EnquireLink, EnquireLink]
    assert not server.ended
    server.tick(120.0)
    assert server.ended == "enquire_link unanswered"


def test_a_peer_that_speaks_without_answering_enquire_link_is_alive() -> None:
    """Silence is what is measured."""
    server = smsc("trx", ALIVE, window_in=9)
    server.tick(60.0)
    server.receive(encode(submit(1)), 70.0)
    server.tick(90.0)
    server.tick(130.0)
    assert len(said(server)) == 2
    assert not server.ended


def test_a_generic_nack_to_enquire_link_shows_life() -> None:
    """A peer that does not know the operation is there all the same."""
    server = smsc("trx", Timers(enquire_after_s=60))
    server.tick(60.0)
    (ask,) = said(server)
    server.receive(encode(GenericNack(sequence=ask.sequence, status=3)), 61.0)
    server.tick(90.0)
    assert not server.ended


def test_an_idle_session_is_unbound() -> None:
    """After idle_s without activity: unbind, and close after the grace time (L-D3)."""
    server = smsc("trx", Timers(enquire_after_s=0, idle_s=300))
    assert server.deadline() == 300.0
    server.tick(300.0)
    (pdu,) = said(server)
    assert isinstance(pdu, Unbind)
    assert server.deadline() == 305.0
    server.tick(305.0)
    assert server.ended == "no answer to unbind"


def test_an_idle_session_may_be_closed_without_a_word() -> None:
    """Where the profile says so (L-D3, link.idle_unbind); nothing was broken by it (L-D5)."""
    server = smsc("trx", Timers(enquire_after_s=0, idle_s=300, idle_unbind=False))
    server.tick(300.0)
    assert said(server) == []
    assert server.ended == "idle for 300 s"
    assert server.orderly


def test_a_clients_enquire_link_is_activity_and_its_answers_to_ours_are_not() -> None:
    """Ruling 3: a client that is silent but answers is closed, one that asks is kept."""
    timers = Timers(enquire_after_s=120, idle_s=300)
    server = smsc("trx", timers)
    server.tick(120.0)
    (ask,) = said(server)
    server.receive(encode(ask.response()), 121.0)
    server.tick(241.0)
    server.receive(encode(said(server)[0].response()), 242.0)
    server.tick(300.0)
    assert server.state in LEAVING
    server = smsc("trx", timers)
    server.receive(encode(EnquireLink(sequence=1)), 290.0)
    server.tick(300.0)
    assert server.state in BOUND


# Unbinding (spec/smpp.md §6)


def test_an_unbind_with_nothing_outstanding_is_answered_at_once() -> None:
    """unbind_resp, and the connection is to be closed."""
    server = smsc("trx")
    server.receive(encode(Unbind(sequence=9)), 0.0)
    assert said(server) == [UnbindResp(sequence=9)]
    assert (server.ended, server.orderly) == ("unbound by the peer", True)


def test_an_unbind_waits_for_outstanding_answers_of_both_sides() -> None:
    """No new request goes out; unbind_resp follows the last answer."""
    server = smsc("trx", window_in=5, window_out=5)
    server.request([(DeliverSm(), "d")], 0.0)
    (deliver,) = said(server)
    server.receive(encode(submit(8)) + encode(Unbind(sequence=9)), 1.0)
    assert (server.take(), server.room) == (b"", 0)
    events = server.receive(encode(deliver.response()), 2.0)
    assert events == [Responses([("d", deliver.response())])]
    assert server.take() == b""
    server.respond([SubmitSmResp(sequence=8, message_id=b"1")], 3.0)
    assert [pdu.COMMAND for pdu in said(server)] == [Command.SUBMIT_SM_RESP, Command.UNBIND_RESP]
    assert server.ended


def test_the_grace_time_bounds_the_wait_of_an_unbind() -> None:
    """After 5 s unbind_resp goes out whatever is outstanding; that comes back unanswered."""
    server = smsc("trx", window_out=5)
    server.request([(DeliverSm(), "d")], 0.0)
    server.take()
    server.receive(encode(Unbind(sequence=9)), 1.0)
    assert server.deadline() == 6.0
    server.tick(6.0)
    assert said(server) == [UnbindResp(sequence=9)]
    assert server.close() == [("d", None)]


def test_our_unbind_waits_for_outstanding_answers_and_serves_the_peer() -> None:
    """New requests of the peer are answered until unbind_resp; ours are no longer sent."""
    client, server = esme("trx"), smsc("trx", window_in=5)
    client.request([(submit(), "a")], 0.0)
    (event,) = server.receive(client.take(), 0.0)
    client.unbind(1.0)
    assert (client.take(), client.room) == (b"", 0)
    assert client.receive(encode(DeliverSm(sequence=5)), 1.0) == [Requests([DeliverSm(sequence=5)])]
    client.respond([DeliverSmResp(sequence=5)], 2.0)
    server.respond([pdu.response(message_id=b"1") for pdu in event.pdus], 2.0)
    client.take()
    client.receive(server.take(), 2.0)
    (unbind,) = said(client)
    assert isinstance(unbind, Unbind)
    server.receive(encode(unbind), 2.0)
    client.receive(server.take(), 2.0)
    assert (client.ended, server.ended) == ("unbound", "unbound by the peer")


def test_unbinds_that_cross_are_both_answered() -> None:
    """Each end answers the other's unbind and closes."""
    client, server = esme("trx"), smsc("trx")
    client.unbind(0.0)
    server.unbind(0.0)
    to_server, to_client = client.take(), server.take()
    server.receive(to_server, 0.0)
    client.receive(to_client, 0.0)
    assert [type(pdu) for pdu in said(client)] == [UnbindResp]
    assert [type(pdu) for pdu in said(server)] == [UnbindResp]
    assert client.ended
    assert server.ended


def test_unbind_and_its_answer_in_one_read_are_answered() -> None:
    """The peer's unbind just before its answer to ours still gets its own answer."""
    client = esme("trx")
    client.unbind(0.0)
    (ours,) = said(client)
    client.receive(encode(Unbind(sequence=7)) + encode(ours.response()), 0.0)
    assert said(client) == [UnbindResp(sequence=7)]


def test_a_nack_without_number_does_not_answer_an_unbind_that_is_still_to_come() -> None:
    """While our unbind waits for answers, a generic_nack with sequence number 0 changes nothing."""
    client = esme("trx")
    client.request([(submit(), "a")], 0.0)
    client.unbind(0.0)
    client.receive(encode(GenericNack(sequence=0, status=2)), 0.0)
    assert not client.ended


def test_unbinding_before_a_bind_just_ends() -> None:
    """There is nobody to say unbind to."""
    server = smsc()
    server.unbind(0.0)
    assert server.ended == "closed before a bind"


def test_an_unbind_before_a_bind_is_answered() -> None:
    """OPEN: answer and close."""
    server = smsc()
    server.receive(encode(Unbind(sequence=1)), 0.0)
    assert said(server) == [UnbindResp(sequence=1)]
    assert server.ended


# Two sessions back to back


class End:
    """One end with its owner: what it holds unanswered, and what became of its requests."""

    def __init__(self, session: Session, request: type[Pdu]) -> None:
        self.session = session
        self.request = request
        self.inbox = b""  # written by the other end, not yet received
        self.held: list[Pdu] = []
        self.sent = 0
        self.answers: dict[object, Pdu | None] = {}
        self.closed = False

    def take(self, events: list[object]) -> None:
        for event in events:
            if isinstance(event, Requests):
                self.held += event.pdus
            elif isinstance(event, Responses):
                self.note(event.answers)

    def note(self, answers: list[tuple[object, Pdu | None]]) -> None:
        for context, pdu in answers:
            assert context not in self.answers
            self.answers[context] = pdu
            if isinstance(pdu, SubmitSmResp | DataSmResp) and not pdu.status:
                assert pdu.message_id == b"%d" % context


class BackToBack(RuleBasedStateMachine):
    """Whatever interleaving of requests, answers, unbinds and time: windows and matching hold."""

    @initialize(
        out=st.integers(1, 5),
        in_=st.integers(1, 5),
        misses=st.integers(1, 2),
        idle=st.sampled_from([0, 100]),
    )
    def begin(self, out: int, in_: int, misses: int, idle: int) -> None:
        timers = Timers(enquire_after_s=20, enquire_misses=misses, idle_s=idle)
        self.now = 0.0
        self.out, self.in_ = out, in_
        client = esme("trx", timers, window=out)
        server = smsc("trx", timers, window_out=out, window_in=in_)
        self.client = End(client, SubmitSm)
        self.server = End(server, DataSm)
        self.ends = (self.client, self.server)

    def settle(self, end: End) -> None:
        """Move what an end has written; close it if it has ended."""
        other = self.server if end is self.client else self.client
        octets = end.session.take()
        if not other.closed:
            other.inbox += octets
        if end.session.ended and not end.closed:
            end.closed = True
            end.inbox = b""
            end.held.clear()
            end.note(end.session.close())

    def end(self, first: bool) -> End:
        return self.client if first else self.server

    @rule(first=st.booleans(), number=st.integers(1, 5))
    def ask(self, first: bool, number: int) -> None:
        end = self.end(first)
        number = min(number, end.session.room)
        items = []
        for _ in range(number):
            end.sent += 1
            if end.request is SubmitSm:
                items.append((submit(text=b"%d" % end.sent), end.sent))
            else:
                payload = (Tag.MESSAGE_PAYLOAD, b"%d" % end.sent)
                items.append((DataSm(tlvs=[payload]), end.sent))
        if items:
            end.session.request(items, self.now)
        self.settle(end)

    @rule(first=st.booleans(), data=st.data())
    def answer(self, first: bool, data: st.DataObject) -> None:
        end = self.end(first)
        chosen = (
            data.draw(st.lists(st.sampled_from(range(len(end.held))), unique=True))
            if (end.held)
            else []
        )
        pdus = [end.held[n] for n in chosen]
        end.held = [pdu for n, pdu in enumerate(end.held) if n not in chosen]
        responses = []
        for pdu in pdus:
            text = pdu.short_message if isinstance(pdu, SubmitSm) else pdu.tlvs[0][1]
            responses.append(pdu.response(message_id=text))
        if responses:
            end.session.respond(responses, self.now)
        self.settle(end)

    @rule(first=st.booleans(), share=st.sampled_from([1.0, 1.0, 1.0, 0.5, 0.1]))
    def carry(self, first: bool, share: float) -> None:
        end = self.end(first)
        cut = int(len(end.inbox) * share)
        octets, end.inbox = end.inbox[:cut], end.inbox[cut:]
        end.take(end.session.receive(octets, self.now))
        self.settle(end)
        other = self.server if end is self.client else self.client
        if not end.inbox and other.closed and not end.closed:
            end.session.end("closed by the peer")
            self.settle(end)

    @rule(seconds=st.sampled_from([0.1, 0.1, 1.0, 1.0, 6.0, 31.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for end in self.ends:
            if end.session.deadline() <= self.now:
                end.take(end.session.tick(self.now))
                assert end.session.deadline() > self.now
            self.settle(end)

    @precondition(lambda self: self.client.sent > 8)
    @rule(first=st.booleans())
    def leave(self, first: bool) -> None:
        end = self.end(first)
        end.session.unbind(self.now)
        self.settle(end)

    @precondition(lambda self: self.client.sent > 12)
    @rule()
    def lose(self) -> None:
        for end in self.ends:
            end.session.end("connection lost")
            self.settle(end)

    @invariant()
    def windows_hold(self) -> None:
        if not hasattr(self, "ends"):
            return
        for end in self.ends:
            session = end.session
            assert session.unanswered == len(end.held)
            assert session.outstanding <= self.out
            assert session.outstanding == end.sent - len(end.answers)
            if session.state in BOUND:
                assert session.room == self.out - session.outstanding
            else:
                assert session.room == 0
        assert self.server.session.unanswered <= self.in_

    def teardown(self) -> None:
        if not hasattr(self, "ends"):
            return
        for end in self.ends:
            end.note(end.session.close())
            assert sorted(end.answers) == list(range(1, end.sent + 1))


BackToBack.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestBackToBack = BackToBack.TestCase
