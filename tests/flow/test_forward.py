"""Forward: an MO for a mobile or SIM target becomes a message of its number's account."""

from attrs import evolve
from twisted.trial.unittest import TestCase

from smsgw.message import UDHI, Message, MessageState, Multimedia
from smsgw.provisioning import Account, Number, Provisioning, Route
from smsgw.rules import money
from smsgw.store import schema
from tests.flow import mmsc
from tests.flow.journey import DESTINATION, NORTH, SOURCE, Journey, Taker
from tests.flow.targets import TargetCase, with_targets

MOBILE = "447700900555"
SIM = "8944000000000000001"


class ForwardCase(TargetCase):
    def setUp(self) -> None:
        super().setUp()
        self.to("+" + MOBILE)

    def route(self, **fields: object) -> None:
        """The one route has these."""
        provisioning = self.journey.provisioning
        provisioning.routes["uk"] = evolve(provisioning.routes["uk"], **fields)
        self.journey.provision(provisioning)

    def account(self, **fields: object) -> None:
        provisioning = self.journey.provisioning
        provisioning.accounts["acme"] = evolve(provisioning.accounts["acme"], **fields)
        self.journey.provision(provisioning)

    def forwarded(self, taker: Taker | None = None) -> list[Message]:
        """What waits for the carrier."""
        taker = taker or self.journey.taker(NORTH)
        return [entry.message for entry in taker.taken]

    def texts(self) -> list[bytes]:
        return [message.parts[0] for message in self.forwarded()]


class MobileTests(ForwardCase):
    def test_it_is_sent_from_the_number_that_received_it(self) -> None:
        """A-D8: where the route takes no foreign senders, with the sender in the text."""
        mo = self.mo(b"Hi")
        [message] = self.forwarded()
        assert (message.source, message.destination) == (SOURCE, MOBILE)
        assert message.parts == [b"From +%s: Hi" % DESTINATION.encode()]
        assert (message.via, message.account, message.interface) == (SOURCE, "acme", "forward")
        assert self.state(mo)[0] is MessageState.DELIVERED

    def test_it_keeps_its_sender_where_the_route_takes_such(self) -> None:
        """A-D8: though it is none of the account's."""
        self.account(senders=["ACME"])
        self.route(foreign_senders=True)
        self.mo(b"Hi")
        [message] = self.forwarded()
        assert (message.source, message.parts) == (DESTINATION, [b"Hi"])
        assert message.via == SOURCE

    def test_it_is_charged_part_by_part(self) -> None:
        """A-D8: to the number's owner, in the transaction that ends the MO (I8)."""
        self.mo(b"x" * 150)
        [message, again] = self.forwarded()
        assert message is again
        [row] = self.journey.rows(schema.ledger)
        assert (row.account, row.amount, row.message) == ("acme", -200, message.id)

    def test_a_source_that_may_not_send_is_put_in_the_text(self) -> None:
        """A handset's number may be none that a carrier takes."""
        self.route(foreign_senders=True)
        assert self.journey.mo(source_addr=b"", source_addr_ton=0) == 0
        [message] = self.forwarded()
        assert message.source == SOURCE

    def test_a_flash_is_sent_as_flash(self) -> None:
        """A-D4, prefix !."""
        self.to("!" + MOBILE)
        self.mo()
        [message] = self.forwarded()
        assert message.data_coding == 0x10

    def test_octets_go_as_they_are(self) -> None:
        """What is no text, or has ports, has no room for a sender."""
        octets = b"\x06\x05\x04\x23\xf4\x00\x00" + b"x" * 133
        assert self.journey.mo(short_message=octets, esm_class=UDHI) == 0
        assert self.journey.mo(short_message=b"\x00\xff", data_coding=4) == 0
        [segment, binary] = self.forwarded()
        assert (segment.parts, segment.esm_class) == ([octets], UDHI)
        assert (binary.parts, binary.data_coding) == ([b"\x00\xff"], 4)
        assert {segment.source, binary.source} == {SOURCE}

    def test_flash_octets_of_an_alphabet_without_class_stay_as_they_are(self) -> None:
        """Latin-1 has no class 0."""
        self.to("!" + MOBILE)
        octets = b"\x06\x05\x04\x23\xf4\x00\x00x"
        assert self.journey.mo(short_message=octets, esm_class=UDHI, data_coding=3) == 0
        [message] = self.forwarded()
        assert message.data_coding == 3

    def test_a_national_number_is_one_of_the_account_s_country(self) -> None:
        """As everywhere (ruling 10)."""
        self.to("07700900555")
        self.mo()
        assert self.forwarded()[0].destination == MOBILE

    def test_beside_other_targets(self) -> None:
        """Each gets it."""
        self.to(MOBILE, "https://a.example/")
        mo = self.mo()
        assert len(self.forwarded()) == 1
        assert self.state(mo)[0] is MessageState.ENROUTE
        self.http.tell("delivered")
        assert self.state(mo)[0] is MessageState.DELIVERED


class RefusedTests(ForwardCase):
    def test_without_a_route_it_is_refused_for_good(self) -> None:
        """A dead letter; the refused message is kept, as every edge's is."""
        self.to("33611111111")
        mo = self.mo()
        assert self.forwarded() == []
        [(queue, reason)] = self.dead()
        assert queue == "target:acme 33611111111"
        assert reason.startswith("Not Sent") or "route" in reason.lower()
        assert self.state(mo)[0] is MessageState.REJECTED

    def test_without_credit_it_waits(self) -> None:
        """What passes is tried by the schedule."""
        self.account(balance="0.00")
        mo = self.mo()
        [entry] = self.journey.entries()
        assert entry.attempts == 1
        self.account(balance=None)
        self.later(30)
        assert len(self.forwarded()) == 1
        assert self.state(mo)[0] is MessageState.DELIVERED

    def test_what_is_not_stored_is_tried_again(self) -> None:
        """Neither sent nor ended, and nothing is charged."""
        self.to(MOBILE, "https://a.example/")
        taker = self.journey.taker(NORTH)
        self.account(suspended=True)
        mo = self.mo()
        self.account(suspended=False)
        self.journey.journal.broken = "disk full"
        self.later(30)
        self.journey.journal.broken = ""
        self.later(1)
        assert self.forwarded(taker) == []
        assert self.journey.rows(schema.ledger) == []
        assert self.journey.balances.of("acme") == 0
        assert mo.acknowledged == {}
        self.later(120)
        assert len(self.forwarded(taker)) == 1
        self.http.tell("delivered")
        assert self.state(mo)[0] is MessageState.DELIVERED
        assert self.journey.balances.of("acme") == -money.amount("0.01")

    def test_a_crash_leaves_all_or_nothing(self) -> None:
        """That it goes on and that it is handed over is one transaction."""
        self.account(suspended=True)
        self.mo()
        self.account(suspended=False)
        self.journey.journal.waiting = True
        self.later(30)
        self.journey.journal.forget()
        self.journey.restart()
        assert len(self.forwarded()) == 1
        assert len(self.journey.rows(schema.ledger)) == 1


class LoopTests(ForwardCase):
    def setUp(self) -> None:
        super().setUp()
        provisioning = with_targets(MOBILE)
        provisioning.accounts["other"] = Account("other", number=[Number(MOBILE, [SOURCE])])
        self.journey.provision(provisioning)

    def back(self, message: Message) -> None:
        """The carrier brings back what was sent to one of our numbers."""
        for octets in message.parts:
            assert (
                self.journey.mo(
                    source_addr=message.source.encode(),
                    destination_addr=message.destination.encode(),
                    short_message=octets,
                    esm_class=message.esm_class,
                    data_coding=message.data_coding,
                )
                == 0
            )

    def test_two_numbers_that_forward_to_each_other_do_so_once(self) -> None:
        """A-D7: what was forwarded is not forwarded again."""
        taker = self.journey.taker(NORTH)
        self.mo()
        [message] = self.forwarded(taker)
        self.back(message)
        assert len(self.forwarded(taker)) == 1
        assert self.dead() == [(f"target:other {SOURCE}", "loop")]
        [mo] = [row for row in self.journey.rows(schema.message) if row.account == "other"]
        assert self.stored(mo.id).via == SOURCE

    def test_nor_is_a_long_one(self) -> None:
        """Its parts are joined before it is known where they go."""
        taker = self.journey.taker(NORTH)
        self.mo(b"x" * 200)
        [message] = list({id(one): one for one in self.forwarded(taker)}.values())
        assert len(message.parts) == 2
        self.back(message)
        assert len(self.forwarded(taker)) == 2
        assert self.dead() == [(f"target:other {SOURCE}", "loop")]

    def test_other_targets_get_it(self) -> None:
        """They are told the number before (``via``)."""
        account = Account("other", number=[Number(MOBILE, ["https://a.example/"])])
        self.journey.provisioning.accounts["other"] = account
        self.journey.provision(self.journey.provisioning)
        taker = self.journey.taker(NORTH)
        self.mo()
        self.back(self.forwarded(taker)[0])
        [delivery] = self.http.tell("delivered")
        assert delivery.message.via == SOURCE

    def test_the_same_words_from_somebody_else_are_no_loop(self) -> None:
        """Source, destination and text are compared, and for an hour."""
        taker = self.journey.taker(NORTH)
        self.mo()
        message = self.forwarded(taker)[0]
        self.back(evolve(message, source="447700900777"))
        assert len(self.forwarded(taker)) == 2
        self.later(3601)
        self.back(message)
        assert len(self.forwarded(taker)) == 3
        assert self.dead() == []


class SimTests(ForwardCase):
    def setUp(self) -> None:
        super().setUp()
        self.to(SIM)
        provisioning: Provisioning = self.journey.provisioning
        provisioning.routes["sim"] = Route("sim", [""], ["south"], sim=True)
        self.journey.provision(provisioning)

    def test_a_sim_gets_it_by_the_route_for_sims(self) -> None:
        """A-D16, with the source that it had."""
        self.account(senders=["ACME"])
        mo = self.mo(b"Hi")
        [message] = self.forwarded(self.journey.taker("carrier:south"))
        assert (message.source, message.destination) == (DESTINATION, SIM)
        assert message.parts == [b"Hi"]
        assert self.state(mo)[0] is MessageState.DELIVERED

    def test_a_number_of_the_mobile_network_goes_to_its_sim(self) -> None:
        """Q-R11."""
        routes = self.journey.provisioning.routes
        self.to(method="mvno", detail=SIM)
        self.journey.provisioning.routes = routes
        self.journey.provision(self.journey.provisioning)
        self.mo()
        assert len(self.forwarded(self.journey.taker("carrier:south"))) == 1


class MultimediaTests(TestCase):
    def test_it_goes_on_as_an_mms(self) -> None:
        """With its media, from the number that received it; the counter is one higher, so that
        circles end, and no report is asked for that its sender would get twice."""
        provisioning = mmsc.provisioned()
        provisioning.accounts["acme"].number[0].targets = ["+" + MOBILE]
        journey = Journey(self, provisioning)
        self.addCleanup(journey.check)
        scene = mmsc.Scene(journey)
        for counter in (3, 4):  # that it looks like one that was forwarded does not matter
            kept = Multimedia(
                media=[scene.media.keep(mmsc.PICTURE)],
                subject="Look",
                forward_counter=counter,
                delivery_report=True,
                to=["+447700900777@mms.example.net"],
            )
            mo = Message(DESTINATION, SOURCE, kind="mms", parts=[b""], multimedia=kept)
            taken = journey.inbound.multimedia("mmsc", [mo], lambda outcomes, transaction: None)
            assert journey.result(taken) == [mo]
            request = scene.request()
            assert request.from_.startswith(f"+{SOURCE}/")
            assert request.to == [f"+{MOBILE}/TYPE=PLMN@{mmsc.MMSC}"]
            assert request.subject == f"From +{DESTINATION}: Look"
            assert (request.forward_counter, request.delivery_report) == (counter + 1, False)
            assert journey.stored(mo).state == MessageState.DELIVERED
            scene.outgoing().say(250)
            scene.respond()
        assert len(journey.rows(schema.media)) == 4
