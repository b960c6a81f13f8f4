"""Where customers are answered: how many domains one without an MMSC may name."""

from typing import Any

from smsgw.flow.exchange import Exchange
from smsgw.identities import Identities
from smsgw.login import Login
from smsgw.mm4.pdus import DeliveryReportReq, ForwardReq
from smsgw.mms.answering import DOMAINS, Answering, refused
from smsgw.provisioning import Account, Credential, Provisioning
from smsgw.queues import Transaction
from smsgw.refusals import Reason, Refusal
from smsgw.rules.tables import Tables
from smsgw.smtp.envelope import Envelope
from smsgw.smtp.grammar import Sender
from smsgw.smtp.peers import Peer

HOUR = 3600.0


def _envelope(peer: Peer) -> Envelope:
    nothing: Any = None
    sender = Sender("")
    return Envelope("1", peer, "192.0.2.1", "x", True, sender, [], nothing, 0)


class Place:
    """The account acme, with or without an MMSC, and a clock."""

    def __init__(self, **smtp: Any) -> None:
        self.now = 1000.0
        login = Credential("smtp", "acme", **smtp)
        tables = Tables(Provisioning(accounts={"acme": Account("acme", credential=[login])}))
        others: Any = None
        exchange: Exchange = others
        self.answering = Answering(
            lambda: tables, exchange, others, others, Identities(1), lambda: self.now
        )

    def ask(self, address: str, request: Any = None, **fields: Any) -> str:
        """What SMTP says to a request that is to be answered there, "" if nothing."""
        given = {"originator_system": address, "sender": address, "ack_request": True, **fields}
        pdu = request or ForwardReq(**given)
        peer = Peer(login=Login("acme", "acme", kind="smtp"))
        reply = self.answering.crowded(_envelope(peer), pdu)
        return reply.octets.decode() if reply is not None else ""


def test_one_domain_too_many_is_refused_by_smtp() -> None:
    """With 452, which says why and that it may be tried later; those that are known go on."""
    place = Place()
    for n in range(DOMAINS):
        assert place.ask(f"mm@mms{n}.example.org") == ""
    said = place.ask("mm@one.more.example")
    assert said.startswith("452 4.3.2 1032 Throughput exceeded: one.more.example is one domain too")
    assert place.ask("mm@MMS3.example.org") == ""


def test_the_domain_named_longest_ago_makes_room_after_an_hour() -> None:
    """The others stay."""
    place = Place()
    for n in range(DOMAINS):
        place.now += 1
        place.ask(f"mm@mms{n}.example.org")
    place.now += HOUR - DOMAINS + 1
    place.ask("mm@mms0.example.org")
    assert place.ask("mm@one.more.example").startswith("452")
    place.now += 1
    assert place.ask("mm@one.more.example") == ""
    assert place.ask("mm@mms1.example.org").startswith("452")
    assert place.ask("mm@mms0.example.org") == ""


def test_nothing_is_counted_where_nobody_is_answered() -> None:
    """Without a wish for a response or a report; an empty address; reports are answered to who sent
    them."""
    place = Place()
    for n in range(DOMAINS + 5):
        assert place.ask(f"mm@mms{n}.example.org", ack_request=False) == ""
    for n in range(DOMAINS):
        report = DeliveryReportReq(sender=f"mm@mms{n}.example.org", ack_request=True)
        assert place.ask("", report) == ""
    assert place.ask("mm@one.more.example", delivery_report=True, ack_request=False)


def test_reports_of_what_is_refused_count_too() -> None:
    """They go to the domain of From, which may be any; nothing is reported to one without."""
    for wish in ("delivery_report", "relay_report"):
        place = Place()
        for n in range(DOMAINS - 1):
            more = {"from_": f"447700900000@mms{n}.example.org", wish: True}
            assert place.ask("mm@mms.example.org", None, **more) == ""
        more = {"from_": "447700900000", wish: True}
        assert place.ask("mm@mms.example.org", None, **more) == ""
        more = {"from_": "447700900000@one.more.example", wish: True}
        assert place.ask("mm@mms.example.org", None, **more).startswith("452")
        place.answering.report(
            _envelope(Peer(login=Login("acme", "acme", kind="smtp"))),
            ForwardReq(from_="447700900000", sender="mm@mms.example.org", delivery_report=True),
            "+447700900123/TYPE=PLMN@gateway.example.com",
            refused(Refusal(Reason.BAD_DESTINATION)),
            Transaction(),
        )


def test_a_customer_with_an_mmsc_may_name_any() -> None:
    """Everything goes to that."""
    place = Place(host="192.0.2.1", domain="mms.acme.example")
    for n in range(DOMAINS + 5):
        assert place.ask(f"mm@mms{n}.example.org") == ""
