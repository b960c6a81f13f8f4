"""Figures: each is what happened, and every one of them can be scraped."""

from typing import Any

from prometheus_client import generate_latest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from smsgw.flow.carrier import CarrierSide
from smsgw.http.site import Site
from smsgw.login import Login
from smsgw.message import Message, MessageState, Receipt
from smsgw.operate import metrics
from smsgw.operate.metrics import Metrics
from smsgw.operate.operator import QueueView
from smsgw.operate.sampler import LAG_S, QUEUES_S
from smsgw.smpp.pdu import DeliverSm
from smsgw.smpp.receipt import format_text
from smsgw.smtp.client import Mail, Place, Result
from smsgw.smtp.outgoing import Outgoing
from tests.flow.journey import FakeLink, FakeSession
from tests.operate.gateways import a_gateway, provision
from tests.smtp.wire import Server

_CODES = ("500", "503", "535")


class MetricsTests(TestCase):
    def setUp(self) -> None:
        self.gateway: Any = a_gateway(self)
        provision(self, self.gateway)
        self.metrics = Metrics(self.gateway)

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)

    def accept(self, destination: str = "447700900123") -> None:
        message = Message("447700900000", destination, parts=[b"Hello"], interface="smpp")
        login = Login("acme", "acme")
        self.successResultOf(self.gateway.acceptance.accept(login, [message]))

    def a_link(self) -> FakeLink:
        gateway = self.gateway
        side: Any = CarrierSide(
            gateway.tables.carriers["north"],
            gateway.queues,
            gateway.settlement,
            gateway.receipts,
            gateway.inbound,
            gateway.reactor,
        )
        link = FakeLink(side)
        side.links = [link, FakeLink(side)]
        gateway.carriers.sides["north"] = side
        link.come_up()
        return link

    def test_messages_are_counted_by_account_and_reason(self) -> None:
        """Accepted and refused."""
        self.accept()
        self.accept()
        self.accept("33123456789")
        by_smpp = {"account": "acme", "interface": "smpp"}
        assert self.value("smsgw_messages_accepted_total", **by_smpp) == 2
        assert self.value("smsgw_parts_accepted_total", account="acme") == 2
        assert self.value("smsgw_messages_refused_total", reason="no_route") == 1

    def test_a_carriers_figures_are_its_own(self) -> None:
        """Submits, refusals, throttlings, what has no answer, links and what is outstanding."""
        link = self.a_link()
        for _ in range(5):
            self.accept()
        link.answer(0x58, count=1)
        link.answer(0x0B, count=1)
        link.answer(count=1)
        assert self.value("smsgw_carrier_submits_total", carrier="north") == 5
        assert self.value("smsgw_carrier_refusals_total", carrier="north") == 2
        assert self.value("smsgw_carrier_throttlings_total", carrier="north") == 1
        assert self.value("smsgw_carrier_outstanding", carrier="north") == 2
        assert self.value("smsgw_carrier_links_up", carrier="north") == 1
        link.lose()
        assert self.value("smsgw_carrier_unanswered_total", carrier="north") == 2
        assert self.value("smsgw_carrier_links_up", carrier="north") == 0

    def test_what_carriers_send_is_counted(self) -> None:
        """Receipts matched and early, MO, and MO of nobody."""
        link = self.a_link()
        text = format_text(Receipt("x1", MessageState.DELIVERED), False)
        mo = DeliverSm(sequence=2, destination_addr=b"447700900000", short_message=b"Hi")
        lost = DeliverSm(sequence=3, destination_addr=b"447700900009", short_message=b"Hi")
        self.gateway.carriers.sides["north"].received(
            link, [DeliverSm(sequence=1, esm_class=4, short_message=text), mo, lost]
        )
        assert self.value("smsgw_carrier_receipts_total", carrier="north") == 1
        assert self.value("smsgw_carrier_mo_total", carrier="north") == 2
        assert self.value("smsgw_mo_nobodys_total") == 1
        assert self.value("smsgw_receipts_early") == 1
        assert self.value("smsgw_receipts_matched_total") == 0

    def test_sessions_and_handovers_are_counted(self) -> None:
        """Bound now; handed over and refused so far."""
        session: Any = FakeSession(Login("acme", "acme", window=5))
        self.gateway.esmes.bound(session)
        link = self.a_link()
        mo = DeliverSm(sequence=2, destination_addr=b"447700900000", short_message=b"Hi")
        link.side.received(link, [mo, mo])
        [(_, first), (_, second)] = session.delivered
        self.gateway.esmes.delivered(session, [(first, 0), (second, 0x65)])
        assert self.value("smsgw_sessions", account="acme") == 1
        assert self.value("smsgw_handovers_total") == 1
        assert self.value("smsgw_handovers_refused_total") == 1

    def test_queues_are_shown_as_they_stand(self) -> None:
        """What is ready in memory, and what is under way."""
        self.accept()
        assert self.value("smsgw_queue_ready", queue="carrier:north") == 1
        self.a_link()
        assert self.value("smsgw_queue_ready", queue="carrier:north") == 0
        assert self.value("smsgw_queue_taken", queue="carrier:north") == 1

    def test_the_journal_is_counted(self) -> None:
        """Transactions, changes, failures and seconds."""
        before = self.value("smsgw_journal_transactions_total") or 0
        self.accept()
        self.gateway.journal.broken = "disk full"
        self.accept()
        assert self.value("smsgw_journal_transactions_total") == before + 1
        assert self.value("smsgw_journal_failures_total") == 1
        assert (self.value("smsgw_journal_commit_seconds_sum") or 0) > 0
        assert self.value("smsgw_journal_commit_changes_bucket", le="+Inf") == before + 1
        assert self.value("smsgw_accept_seconds_count") == 1

    def test_messages_are_counted_by_their_end(self) -> None:
        """By the carrier that had them last, and the word of receipts."""
        link = self.a_link()
        self.accept()
        link.answer(0x0B)
        ended = {"carrier": "north", "state": "UNDELIV"}
        assert self.value("smsgw_messages_ended_total", **ended) == 1

    def test_a_carriers_window_is_shown_beside_its_use(self) -> None:
        """Of all its links; and how well it delivers, 1 until enough receipts tell."""
        self.a_link()
        assert self.value("smsgw_carrier_window", carrier="north") == 20
        assert self.value("smsgw_carrier_links", carrier="north") == 2
        assert self.value("smsgw_carrier_delivery_rate", carrier="north") == 1.0

    def test_queues_are_sampled_from_the_store(self) -> None:
        """How many wait, how many of them are due and since when; dead letters as well."""
        gateway = self.gateway
        self.accept()
        gateway.sampler.start()
        self.addCleanup(gateway.sampler.stop)
        assert self.value("smsgw_queue_waiting", queue="carrier:north") == 1
        assert self.value("smsgw_queue_due", queue="carrier:north") == 1
        assert (self.value("smsgw_queue_oldest_seconds", queue="carrier:north") or -1) >= 0
        assert self.value("smsgw_dead_letters") == 0
        self.accept()
        assert self.value("smsgw_queue_waiting", queue="carrier:north") == 1
        gateway.reactor.advance(QUEUES_S)
        assert self.value("smsgw_queue_waiting", queue="carrier:north") == 2

    def test_the_reactors_lateness_is_measured(self) -> None:
        """By how much later than asked for it calls back."""
        gateway = self.gateway
        gateway.sampler.start()
        self.addCleanup(gateway.sampler.stop)
        gateway.reactor.advance(LAG_S)
        assert self.value("smsgw_reactor_lag_seconds_bucket", le="0.001") == 1
        gateway.reactor.advance(LAG_S + 0.7)
        assert self.value("smsgw_reactor_lag_seconds_bucket", le="0.5") == 1
        assert self.value("smsgw_reactor_lag_seconds_bucket", le="1.0") == 2

    def test_http_answers_are_counted_by_dialect(self) -> None:
        """And status, over all listeners."""
        first, second = Site(), Site()
        first.answered["rest", 200] += 2
        second.answered["rest", 200] += 1
        second.answered["", 400] += 1
        self.gateway.listeners.sites += [first, second]
        assert self.value("smsgw_http_answers_total", dialect="rest", status="200") == 3
        assert self.value("smsgw_http_answers_total", dialect="none", status="400") == 1

    def test_mail_is_counted_by_what_was_said(self) -> None:
        """Clients, mails taken, refusals by code, failed logins; recipients of mails sent, and the
        connections for them."""
        server = Server()
        self.gateway.listeners.smtp.append(server.factory)
        client = server.connect()
        client.begin()
        client.send(b"hello\r\n.\r\n")
        client.say("NO SUCH", "RCPT TO:<x@y.example>", "AUTH PLAIN AGEAYg==")
        assert self.value("smsgw_smtp_connections") == 1
        assert self.value("smsgw_smtp_opened_total") == 1
        assert self.value("smsgw_smtp_mails_total") == 1
        assert self.value("smsgw_smtp_logins_failed_total") == 1
        codes = {code: self.value("smsgw_smtp_refusals_total", code=code) for code in _CODES}
        assert codes == dict.fromkeys(_CODES, 1.0)
        server.connect("203.0.113.9")
        assert self.value("smsgw_smtp_refusals_total", code="554") == 1
        self.gateway.exchange.results[Result.TEMPORARY] += 2
        assert self.value("smsgw_smtp_sent_total", result="temporary") == 2
        assert self.value("smsgw_smtp_sent_total", result="delivered") == 0
        exchange = self.gateway.exchange
        outgoing = Outgoing(Clock(), Deferred, "mms.example.com", results=exchange.results)
        exchange._known[Place("192.0.2.1"), "mms.example.net"] = outgoing
        sent = outgoing.send(Mail("a@b.example", ["c@mms.example.net"], b"x\r\n"))
        assert self.value("smsgw_smtp_out_waiting") == 1
        assert self.value("smsgw_smtp_out_connections", state="connecting") == 1
        assert self.value("smsgw_smtp_out_connections", state="idle") == 0
        outgoing.stop()
        assert self.successResultOf(sent)["c@mms.example.net"].result == Result.TEMPORARY
        assert self.value("smsgw_smtp_sent_total", result="temporary") == 3

    def test_series_are_bounded(self) -> None:
        """Accounts beyond the most are summed up, and those that have a series keep it."""
        self.patch(metrics, "MOST", 2)
        parts = self.gateway.acceptance.parts
        parts.update({"a": 1, "b": 2, "c": 4})
        assert self.value("smsgw_parts_accepted_total", account="a") == 1
        assert self.value("smsgw_parts_accepted_total", account="(others)") == 4
        parts.update({"d": 8, "b": 3})
        assert self.value("smsgw_parts_accepted_total", account="b") == 3
        assert self.value("smsgw_parts_accepted_total", account="(others)") == 12

    def test_queues_of_customers_are_not_named(self) -> None:
        """Their addresses are nobody else's business, and there are many: the kind is enough."""
        waiting = [
            QueueView("target:acme https://www.example.com/in?", 2, 2, 5),
            QueueView("target:b x@example.com", 3, 1, 1),
        ]
        self.gateway.sampler.queues = waiting
        assert self.value("smsgw_queue_waiting", queue="target") == 5
        assert "example.com" not in generate_latest(self.metrics.registry).decode()

    def test_failed_logins_are_counted(self) -> None:
        """Whatever their reason."""
        self.gateway.doors.login("smpp", "nobody", "x", "192.0.2.7")
        assert self.value("smsgw_logins_failed_total") == 1

    def test_all_can_be_scraped(self) -> None:
        """Also on a gateway where nothing has happened yet; the process's figures are there too."""
        text = generate_latest(self.metrics.registry).decode()
        assert "# TYPE smsgw_messages_accepted_total counter" in text or (
            "# TYPE smsgw_messages_accepted counter" in text
        )
        assert "\npython_gc_objects_collected_total" in text
        for line in text.splitlines():
            assert line.startswith("#") or len(line.rsplit(" ", 1)) == 2

    def test_no_two_gateways_share_figures(self) -> None:
        """Each registry is of its own gateway."""
        self.accept()
        other = Metrics(a_gateway(self))
        assert (
            other.registry.get_sample_value("smsgw_parts_accepted_total", {"account": "acme"})
            is None
        )
