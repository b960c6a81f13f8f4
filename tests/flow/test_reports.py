"""Reports that a message asked for: which code is told, once, and nothing after the last."""

from typing import Any

from smsgw.message import Message, MessageState
from smsgw.smpp.pdu import SubmitSmResp
from smsgw.text import reports
from tests.flow.journey import JourneyCase

S = MessageState
URL = "https://r.example/dlr?%code"


class ReportTests(JourneyCase):
    """``srr`` of A-D40; the codes are those that the messenger is given."""

    def send(self, parts: int = 1, **fields: Any) -> Message:
        """A message of so many parts, which the carrier has: a0, or a0.0, a0.1 ..."""
        text = "x" * (160 if parts == 1 else 153 * parts)
        return self.journey.sent(
            parts=[],
            text=text,
            interface="sms.cgi",
            registered_delivery=0x11,
            report_to=URL,
            **fields,
        )

    def told(self) -> list[tuple[str, int]]:
        """Event and code of what the messenger has been given, which it delivers."""
        deliveries = self.journey.messengers["http"].tell("delivered")
        return [(d.event, d.part or reports.code_of(d.event, d.message)) for d in deliveries]

    def all_told(self) -> list[int]:
        """The codes, one after the other."""
        codes: list[int] = []
        while self.journey.messengers["http"].under_way:
            codes += [code for _, code in self.told()]
        return codes

    def test_what_the_carrier_says_on_the_way_is_4_and_told_once(self) -> None:
        """Whatever it calls the state (ruling 11); the end is told all the same."""
        for state in (S.ENROUTE, S.ACCEPTED, S.UNKNOWN):
            name = f"n{state}"
            self.journey.sent(name, interface="sms.cgi", registered_delivery=1, report_to=URL)
            for _ in range(2):
                self.journey.receive(name, state, intermediate=True)
            self.journey.receive(name)
            assert self.all_told()[-1] == 1
        self.send()
        assert self.all_told() == [8]
        self.journey.receive("a0", S.ENROUTE, intermediate=True, error="027")
        self.journey.receive("a0", S.ACCEPTED, intermediate=True)
        assert self.all_told() == [4]
        self.journey.receive("a0")
        assert self.all_told() == [1]

    def test_the_first_part_that_fails_ends_the_report(self) -> None:
        """2 at once, not after the last part, and then nothing."""
        message = self.send(3)
        assert self.all_told() == [8]
        self.journey.receive("a0.1", S.UNDELIVERABLE)
        assert self.all_told() == [2]
        assert message.state == S.ENROUTE
        self.journey.receive("a0.1", S.UNDELIVERABLE)
        self.journey.receive("a0.0", S.ACCEPTED, intermediate=True)
        self.journey.receive("a0.2", S.EXPIRED)
        assert self.all_told() == []
        self.journey.receive("a0.0")
        assert message.state == S.UNDELIVERABLE
        assert self.all_told() == []

    def test_the_last_part_that_fails_is_told_once_too(self) -> None:
        """As it ends the message."""
        message = self.send(2)
        assert self.all_told() == [8]
        self.journey.receive("a0.0")
        self.journey.receive("a0.1", S.REJECTED)
        assert message.state == S.REJECTED
        assert self.all_told() == [2]

    def test_progress_that_waits_is_dropped_once_a_part_has_failed(self) -> None:
        """2 is final: no 8 comes after it."""
        self.send(2)
        self.journey.messengers["http"].tell("failed")
        self.journey.receive("a0.0", S.UNDELIVERABLE)
        assert self.all_told() == [2]
        self.journey.clock.advance(30)
        assert self.all_told() == []

    def test_a_part_that_the_carrier_refuses_is_16_if_it_has_none(self) -> None:
        """And 2 if it has another; of all delivered it is 1 (A-D40)."""
        self.journey.provisioning.routes["uk"].carriers = ["north"]
        self.journey.provision(self.journey.provisioning)
        for refused in (0, 1):
            message = self.journey.accepted(
                parts=[],
                text="x" * 200,
                interface="sms.cgi",
                registered_delivery=0x11,
                report_to=URL,
            )
            taker = self.journey.taker()
            answers: list[Any] = []
            for entry in sorted(taker.taken, key=lambda one: one.part):
                no = entry.part == refused
                answer = SubmitSmResp(status=0x0B if no else 0, message_id=b"b%d" % refused)
                answers.append((entry, answer))
            self.journey.result(self.journey.settlement.settle("north", answers))
            self.journey.queues.unsubscribe("carrier:north", taker)
            assert self.all_told() == [16 if refused == 0 else 2]
            self.journey.receive(f"b{refused}")
            assert S(message.state).final
            assert self.all_told() == []
        self.send(2)
        self.journey.receive("a0.0")
        self.journey.receive("a0.1")
        assert self.all_told()[-1] == 1

    def test_reports_survive_a_restart_with_their_code(self) -> None:
        """The code is in the queue's entry."""
        self.send(2)
        assert self.all_told() == [8]
        self.journey.receive("a0.1", S.UNDELIVERABLE)
        self.journey.messengers["http"].tell("failed")
        self.journey.restart()
        self.journey.clock.advance(30)
        assert self.all_told() == [2]
