"""The sender's states, duplicates, loops and states: spec/mm4.md sections 4, 8 and 10."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.message import Media, MessageState, Multimedia
from smsgw.mm4 import transactions, translate
from smsgw.mm4.fields import Expiry
from smsgw.mm4.pdus import DeliveryReportReq, ForwardRes
from smsgw.mm4.transactions import FINAL, TABLE, Act, Event, Phase, Policy, Sending
from smsgw.mm4.words import Extension, RequestStatus, Status
from smsgw.refusals import Reason
from tests.mm4 import examples

MINUTE = 60_000
UNTIL = 72 * 60 * MINUTE
ASKING = Policy()


def run(*events, policy=ASKING, now=0, until=UNTIL):
    """The phase and the last step after these events."""
    sending = Sending()
    for event in events:
        step = transactions.step(sending, event, now, until, policy)
    return sending.phase, step


def test_the_way_of_a_message():
    """Section 4: queued, mailed, accepted, reported."""
    sending = Sending()
    acts = []
    for event in (Event.TAKEN, Event.OK, Event.INTERIM, Event.REPORT):
        acts.append(transactions.step(sending, event, 0, UNTIL, ASKING).act)
    assert acts == [Act.AWAIT, Act.ACKNOWLEDGE, Act.INTERIM, Act.REPORT]
    assert sending.phase is Phase.REPORTED


def test_without_an_ack_request_mailed_is_accepted():
    """Section 4."""
    phase, step = run(Event.TAKEN, policy=Policy(ack=False))
    assert (phase, step.act) == (Phase.ACCEPTED, Act.ACKNOWLEDGE)


def test_a_response_may_count_as_delivery():
    """Section 9: a setting for peers that send no reports."""
    policy = Policy(response_is_delivery=True)
    assert run(Event.TAKEN, Event.OK, policy=policy)[0] is Phase.REPORTED


def test_temporary_failures_are_retried_after_growing_pauses_T9():
    """1, 5, 15, 30, 60 minutes, then hourly."""
    sending = Sending()
    pauses = []
    for _ in range(8):
        step = transactions.step(sending, Event.TEMPORARY, 0, UNTIL, ASKING)
        assert step.act is Act.RETRY
        pauses.append(step.due // MINUTE)
    assert pauses == [1, 5, 15, 30, 60, 60, 60, 60]


def test_a_retry_is_never_after_the_lifetime_T9():
    """The last one is at its end; then the message expires."""
    phase, step = run(Event.TEMPORARY, until=20_000)
    assert (phase, step.due) == (Phase.QUEUED, 20_000)
    phase, step = run(Event.TEMPORARY, now=UNTIL)
    assert (phase, step.act) == (Phase.EXPIRED, Act.EXPIRE)
    assert run(Event.EXPIRY)[0] is Phase.EXPIRED


def test_a_permanent_failure_is_final_T9():
    """550: REJECTED."""
    assert run(Event.PERMANENT) == (Phase.REJECTED, transactions.Step(Act.REJECT))


def test_a_silent_peer_is_asked_three_times_more_T9():
    """Ten minutes each, then the state is unknown."""
    sending = Sending()
    acts = []
    for _ in range(4):
        taken = transactions.step(sending, Event.TAKEN, 0, UNTIL, ASKING)
        assert (taken.act, taken.due) == (Act.AWAIT, 10 * MINUTE)
        acts.append(transactions.step(sending, Event.SILENCE, 0, UNTIL, ASKING).act)
    assert acts == [Act.REPEAT, Act.REPEAT, Act.REPEAT, Act.GIVE_UP]
    assert sending.phase is Phase.UNANSWERED


@pytest.mark.parametrize("late", [Event.OK, Event.REPORT, Event.ERROR, Event.INTERIM])
def test_what_comes_after_that_still_counts(late):
    """UNKNOWN is not final."""
    sending = Sending(Phase.UNANSWERED)
    assert transactions.step(sending, late, 0, UNTIL, ASKING).act is not Act.NOTHING


@pytest.mark.parametrize("status", RequestStatus)
def test_responses_are_retried_or_final(status):
    """Section 4: network problem and unspecified as 4xx, any other error final."""
    phase, step = run(Event.TAKEN, transactions.answered(ForwardRes(status=status)))
    if status is RequestStatus.OK:
        assert phase is Phase.ACCEPTED
    elif status in (RequestStatus.NETWORK_PROBLEM, RequestStatus.UNSPECIFIED):
        assert (phase, step.act, step.due) == (Phase.QUEUED, Act.RETRY, MINUTE)
    else:
        assert (phase, step.act) == (Phase.REJECTED, Act.REJECT)


def test_a_temporary_error_after_the_lifetime_is_final():
    """There is no time left to try again."""
    late = run(Event.TAKEN, Event.TEMPORARY_ERROR, now=UNTIL)
    assert late[0] is Phase.REJECTED


def test_every_event_has_its_place_in_every_phase():
    """The table is whole, and what is final stays."""
    assert set(TABLE) == {(phase, event) for phase in Phase for event in Event}
    assert all(TABLE[p, e] == (p, Act.NOTHING) for p in FINAL for e in Event)


happening = st.tuples(st.sampled_from(Event), st.integers(0, UNTIL * 2))


@given(st.lists(happening, max_size=30), st.booleans())
def test_any_events_keep_a_message_bounded(events, ack):
    """At most three repeats; due times lie within the lifetime or one waiting time."""
    sending = Sending()
    policy = Policy(ack=ack)
    final = None
    for event, now in events:
        step = transactions.step(sending, event, now, UNTIL, policy)
        assert sending.repeats <= policy.repeats
        assert step.due <= max(UNTIL, now + policy.response_timeout_s * 1000)
        if final is not None:
            assert (sending.phase, step.act) == (final, Act.NOTHING)
        if sending.phase in FINAL:
            final = sending.phase


@pytest.mark.parametrize(
    ("status", "extension", "state"),
    [
        (Status.RETRIEVED, "", MessageState.DELIVERED),
        (Status.EXPIRED, "", MessageState.EXPIRED),
        (Status.REJECTED, "", MessageState.REJECTED),
        (Status.REJECTED, Extension.BY_RECIPIENT, MessageState.REJECTED),
        (Status.REJECTED, Extension.BY_OTHER_RS, MessageState.UNDELIVERABLE),
        (Status.DEFERRED, "", MessageState.ENROUTE),
        (Status.FORWARDED, "", MessageState.ENROUTE),
        (Status.INDETERMINATE, "", MessageState.UNKNOWN),
        (Status.UNRECOGNISED, "", MessageState.UNKNOWN),
        (Status.UNREACHABLE, "", MessageState.UNDELIVERABLE),
    ],
)
def test_reports_give_the_states_of_the_table_T7(status, extension, state):
    """Section 8, and ruling 29 for Unreachable; Deferred and Forwarded are interim."""
    assert transactions.state_of(status, extension) is state
    interim = transactions.reported(DeliveryReportReq(status=status)) is Event.INTERIM
    assert interim == (state is MessageState.ENROUTE)


@pytest.mark.parametrize("state", MessageState)
def test_our_reports_say_what_a_peer_reads_back(state):
    """A state that MM4 has a word for comes back; those it has none for are near it."""
    outcome = transactions.outcome_of(state)
    near = {
        MessageState.DELETED: MessageState.REJECTED,
        MessageState.SKIPPED: MessageState.REJECTED,
        MessageState.SCHEDULED: MessageState.ENROUTE,
        MessageState.ACCEPTED: MessageState.ENROUTE,
    }
    assert transactions.state_of(outcome.status, outcome.extension) is near.get(state, state)


@pytest.mark.parametrize("asked", ["delivery_report", "relay_report"])
def test_reports_are_sent_when_asked_for_and_final(asked):
    """Section 4: to the user or to the relay; not before the end."""
    wanted = Multimedia(**{asked: True})
    assert transactions.report_wanted(wanted, MessageState.DELIVERED)
    assert transactions.report_wanted(wanted, MessageState.UNKNOWN)
    assert not transactions.report_wanted(wanted, MessageState.ENROUTE)
    assert not transactions.report_wanted(Multimedia(), MessageState.DELIVERED)


@pytest.mark.parametrize("reason", Reason)
def test_every_refusal_has_a_status_of_mm4(reason):
    """I4: one of the eight errors, and the one for another try if that may succeed."""
    status, text = transactions.refused(reason)
    assert status is not RequestStatus.OK
    assert (status is RequestStatus.NETWORK_PROBLEM) == reason.answer.temporary
    assert text == f"{reason.answer.rest} {reason.answer.text}"


@pytest.mark.parametrize(
    ("reason", "status", "text"),
    [
        (Reason.OPTED_OUT, RequestStatus.SERVICE_DENIED, "52 Opted Out"),
        (
            Reason.SOURCE_NOT_PROVISIONED,
            RequestStatus.SERVICE_DENIED,
            "1022 Source not provisioned",
        ),
        (Reason.TOO_LARGE, RequestStatus.CONTENT_NOT_ACCEPTED, "1014 Message too long"),
        (Reason.NO_ROUTE, RequestStatus.ADDRESS_UNRESOLVED, "50 Not Sent"),
    ],
)
def test_refusals_in_the_words_of_mm4_T6(reason, status, text):
    """Section 5.2 and ruling 20."""
    assert transactions.refused(reason) == (status, text)
    assert transactions.refused(reason, "447700900123")[1] == f"{text}: 447700900123"


def test_a_repeat_is_known_by_peer_message_and_recipient_T4():
    """Ruling 16: whatever its transaction id; another recipient of it is new."""
    known = {transactions.delivery_key("north", "mm-17", "447700900123")}
    found = transactions.sort(
        "north", "mm-17", ["447700900123", "447700900456", "447700900456"], known
    )
    assert (found.fresh, found.repeated) == (["447700900456"], ["447700900123"])
    for peer, message in (("south", "mm-17"), ("north", "mm-18")):
        assert transactions.sort(peer, message, ["447700900123"], known).fresh == ["447700900123"]


@given(st.lists(st.text(), min_size=3, max_size=3), st.lists(st.text(), min_size=3, max_size=3))
def test_keys_are_told_apart_T4(one, other):
    """Two keys are the same for the same peer, message and recipient only."""
    keys = transactions.delivery_key(*one), transactions.delivery_key(*other)
    assert (keys[0] == keys[1]) == (one == other)
    assert transactions.answer_key(*one[:2]) != keys[0]
    assert len(keys[0]) == 16


def test_loops_end():
    """Section 4: more than 30 hops, or a forward counter over its limit."""
    assert transactions.loops(examples.forward_req(), 30) == ""
    assert "Received" in transactions.loops(examples.forward_req(), 31)
    assert transactions.loops(examples.forward_req(forward_counter=10), 0) == ""
    assert "forwarded" in transactions.loops(examples.forward_req(forward_counter=11), 0)


def test_a_message_is_sent_on_with_the_next_counter_and_a_date():
    """Ruling 19; ids and system are ours, the rest is the sender's."""
    request = examples.forward_req(
        extra={"X-Mms-VASP-ID": "Traffic"}, previously_sent_by=["1, a@b"]
    )
    kept = translate.multimedia(request, [Media("image/gif", "a.gif", "a", "00", 1)], "smil")
    assert (kept.message_id, kept.read_reply, kept.relay_report) == (
        request.message_id,
        True,
        False,
    )
    sent = translate.forward(
        kept,
        source=examples.ALICE,
        to=[examples.BOB],
        cc=[],
        system="us@example.com",
        transaction_id="1",
        message_id="2",
        mail_id="3@example.com",
        date=1000,
        expires_at=5000,
        ack=True,
        report=True,
    )
    assert sent == examples.forward_req(
        sender="us@example.com",
        originator_system="us@example.com",
        transaction_id="1",
        message_id="2",
        mail_id="3@example.com",
        date=1000,
        expiry=Expiry(at=5000),
        forward_counter=2,
        extra={"X-Mms-VASP-ID": "Traffic"},
        previously_sent_by=["1, a@b"],
    )


def _rows():
    """The published table: what changes or is done, by phase and event."""
    for (phase, event), (to, act) in TABLE.items():
        if act is not Act.NOTHING:
            yield f"| {phase.value} | {event.value} | {to.value} | {act.value} |"


def test_the_published_states_are_these():
    """docs/protocols/mm4.md has every step of the table, and no other."""
    page = (Path(__file__).parents[2] / "docs" / "protocols" / "mm4.md").read_text()
    section = page.partition("| state | event |")[2].partition("\n\n")[0]
    assert section.splitlines()[2:] == list(_rows()), "replace the rows by these"
