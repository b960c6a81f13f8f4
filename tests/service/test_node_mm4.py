"""MM4 over two nodes on one store: whichever node an MMSC says something to."""

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from sqlalchemy import select
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from smsgw.config import Domains, Smtp
from smsgw.flow import mm4_answers
from smsgw.login import Login
from smsgw.message import Message, MessageState, Multimedia
from smsgw.mm4.content import media
from smsgw.mm4.mime import Part
from smsgw.mm4.pdus import DeliveryReportReq, ForwardRes, ReadReplyRes
from smsgw.mm4.transactions import Phase, Sending
from smsgw.mm4.words import RequestStatus, Status
from smsgw.service import Gateway
from smsgw.smpp.pdu import DeliverSm
from smsgw.store import schema
from smsgw.testing.mmsc import Mmsc, MmscScript
from tests import postgresql
from tests.folders import temporary_folder
from tests.integration.books import until
from tests.integration.scene import HANDSET, NUMBER, account, until_asked
from tests.queues.brokers import MemoryBroker
from tests.running import free_ports
from tests.service.nodes import NodesCase

DOMAIN = "mms.example.com"
TEXT = Part("text/plain", "text.txt", "text", "text.txt", b"hello", "utf-8")


@pytest.mark.timeout(90)
class Mm4Tests(NodesCase):
    """``a`` mails to the MMSC; ``b`` has no more than the SMTP edge, and is told what it says."""

    async def setUp(self) -> None:
        self.url = postgresql.a_database(self)
        self.folder = Path(temporary_folder(self))
        self.broker = MemoryBroker()
        self.ports = {}
        self.a, _ = await self.mailing(0, ["http", "smtp", "carriers", "handover", "scheduler"])
        self.b, port = await self.mailing(1, ["smtp"])
        self.at(self.a)
        # It says nothing of itself: the test has it say things.
        self.mmsc = Mmsc(MmscScript(response=None, reports=[]), reactor, port)
        await self.mmsc.start()
        self.addCleanup(self.mmsc.stop)
        await self.apply(
            account(),
            f'[[carrier]]\nname = "mmsc"\nkind = "mm4"\nhost = "127.0.0.1"\n'
            f'port = {self.mmsc.port}\ndomain = "{self.mmsc.script.domain}"\n'
            'allow = ["127.0.0.1"]\nrate = 10\n',
            '[[route]]\nname = "mms"\nprefixes = [""]\ncarriers = ["mmsc"]\nprice = "0.05"\n',
        )
        await until(reactor, lambda: self.b.tables.version == 1, "the provisioning")
        assert [*self.a.mmscs.sides] == ["mmsc"]
        assert not self.b.mmscs.sides

    async def mailing(self, number: int, roles: list[str]) -> tuple[Gateway, int]:
        """A node that takes mail, and where."""
        [port] = free_ports(1)
        listen = [f"tcp:{port}:interface=127.0.0.1"]
        smtp = Smtp(listen=listen, domains=Domains(mm4=DOMAIN))
        return await self.node(number, roles, smtp=smtp), port

    async def accepted(self) -> Message:
        """A message that ``a`` has accepted."""
        await self.a.media.put(TEXT.content)
        message = Message(
            NUMBER,
            HANDSET,
            kind="mms",
            parts=[b""],
            multimedia=Multimedia(media=[media(TEXT)], read_reply=True),
            registered_delivery=1,
            interface="rest",
        )
        [outcome] = await self.a.acceptance.accept(Login("acme", "acme", window=10), [message])
        assert isinstance(outcome, Message), outcome
        return outcome

    async def mailed(self) -> Message:
        """One that has been mailed, which waits for its response."""
        message = await self.accepted()

        async def waits() -> bool:
            return [Sending.of(n).phase for n, _ in await self.entries()] == [Phase.MAILED]

        await until_asked(waits, "a mail without a response")
        return message

    async def entries(self) -> list[Any]:
        """Attempts and owner of what waits for the MMSC."""
        q = schema.queue.c
        query = select(q.attempts, q.taken).where(q.queue == "carrier:mmsc")
        return await self.b.journal.run(lambda c: list(c.execute(query)))

    async def stored(self, message: Message) -> Any:
        """State of the message in the store."""
        m = schema.message.c
        query = select(m.state, m.done_at).where(m.id == message.id)
        return await self.b.journal.run(lambda c: c.execute(query).one())

    async def respond(self, status: RequestStatus = RequestStatus.OK) -> None:
        """``MM4_forward.RES`` to the last mail, by SMTP to ``b``: it has answered with 250."""
        request = self.mmsc.received[-1].pdu
        answer = ForwardRes(
            transaction_id=request.transaction_id,
            message_id=request.message_id,
            sender=self.mmsc.system,
            to=request.answer_to,
            mail_id="res-1@mms.example.net",
            status=status,
        )
        await self.mmsc.say(answer, request.answer_to)

    async def report(self, status: Status) -> None:
        """``MM4_delivery_report.REQ`` of the last mail."""
        got = self.mmsc.received[-1]
        await self.mmsc.report(got.pdu, got.recipient, status)

    async def test_the_response_the_report_and_the_read_reply_come_to_another_node(self) -> None:
        """Issue 7, I3: by its row, as if they came to the one that mailed it; the answers go out,
        and nothing is mailed again."""
        message = await self.mailed()
        await self.respond()
        assert await self.entries() == []
        assert (await self.stored(message)).state == MessageState.ENROUTE
        await self.report(Status.RETRIEVED)
        assert (await self.stored(message)).state == MessageState.DELIVERED
        got = self.mmsc.received[-1]
        await self.mmsc.read(got.pdu, got.recipient)
        await until(reactor, lambda: len(self.mmsc.answers) == 2, "answers to both requests")
        assert [one.status for one in self.mmsc.answers] == [RequestStatus.OK] * 2
        assert isinstance(self.mmsc.answers[-1], ReadReplyRes)
        found = await self.a.message("acme", message.id)
        assert found is not None
        assert found.state == MessageState.DELIVERED
        assert found.read_at > 0
        assert len(self.mmsc.received) == 1
        heard = self.b.mm4_answers.elsewhere["mmsc"]
        assert (heard.responses, heard.reports, self.b.mm4_answers.unmatched) == (1, 2, 0)

    async def test_a_refusal_at_another_node_ends_the_message(self) -> None:
        """REJECTED, with the carrier's word for it (``spec/mm4.md`` §8)."""
        message = await self.mailed()
        await self.respond(RequestStatus.CONTENT_NOT_ACCEPTED)
        assert await self.entries() == []
        assert (await self.stored(message)).state == MessageState.REJECTED

    async def test_a_temporary_error_at_another_node_has_it_mailed_again(self) -> None:
        """By the node that mails; ``b`` has only put it off."""
        form = self.b.tables.carriers["mmsc"]
        self.b.tables.carriers["mmsc"] = evolve(form, retry_s=[0.0])
        await self.mailed()
        await self.respond(RequestStatus.NETWORK_PROBLEM)
        await until(reactor, lambda: len(self.mmsc.received) == 2, "another mail")
        first, second = (one.pdu for one in self.mmsc.received)
        assert (first.transaction_id, first.message_id) == (
            second.transaction_id,
            second.message_id,
        )

    async def test_a_response_that_overtakes_the_250_waits_for_it(self) -> None:
        """I1: while ``a`` has the entry, ``b`` looks again until it can have it."""
        held: list[Any] = []
        commit = self.a.settlement.persist

        def later(transaction: Any) -> "Deferred[None]":
            done: Deferred[None] = Deferred()
            held.append(lambda: commit(transaction).chainDeferred(done))
            return done

        self.patch(self.a.settlement, "persist", later)
        message = await self.accepted()
        await until(reactor, lambda: len(held) == 1, "the mail is taken, and that is not stored")
        responding = Deferred.fromCoroutine(self.respond())
        await until(reactor, lambda: self.b.mm4_answers.waiting == 1, "the other node waits")
        assert not responding.called
        held.pop()()
        await responding
        assert await self.entries() == []
        assert self.b.mm4_answers.unmatched == 0
        assert (await self.stored(message)).state == MessageState.ENROUTE

    async def test_an_entry_that_another_node_keeps_is_to_be_answered_again(self) -> None:
        """False, which SMTP says as 451: what the MMSC said is neither lost nor unmatched."""
        message = await self.mailed()
        q = schema.queue
        taking = q.update().where(q.c.message == message.id).values(taken=1)
        await self.b.journal.run(lambda c: c.execute(taking).rowcount)
        self.patch(mm4_answers, "_LOOKS_S", (0.0, 0.0))
        request = self.mmsc.received[-1].pdu
        answer = ForwardRes(transaction_id=request.transaction_id, status=RequestStatus.OK)
        assert await self.b.mm4_answers.receive("mmsc", answer) is False
        assert self.b.mm4_answers.unmatched == 0
        await self.b.journal.run(lambda c: c.execute(taking.values(taken=0)).rowcount)
        assert await self.b.mm4_answers.receive("mmsc", answer) is True
        assert await self.entries() == []

    async def test_a_report_that_is_told_to_both_nodes_ends_the_message_once(self) -> None:
        """I3, I8: one end, one receipt, whoever is first."""
        message = await self.mailed()
        await self.respond()
        got = self.mmsc.received[-1]
        report = DeliveryReportReq(
            status=Status.EXPIRED,
            transaction_id="dr-1",
            message_id=got.pdu.message_id,
            sender=self.mmsc.system,
            from_=got.recipient,
            to=[got.pdu.from_],
        )
        both = [one.mm4_answers.receive("mmsc", report) for one in (self.a, self.b)]
        assert [await one for one in both] == [True, True]
        assert (await self.stored(message)).state == MessageState.EXPIRED
        ended = [n for g in (self.a, self.b) for n in g.settlement.ended.values()]
        assert sum(ended) == 1

    async def test_a_customers_mmsc_may_answer_at_another_node(self) -> None:
        """Issue 7: the node that hands over an MO is told of ``MM4_forward.RES``, and the MO is
        delivered, mailed once."""
        theirs = Mmsc(
            MmscScript(domain="mms.example.org", reports=[]), reactor, self.mmsc.gateway_port
        )
        await theirs.start()
        self.addCleanup(theirs.stop)
        number = "447700900999"
        await self.apply(
            '[[account]]\nname = "own"\n[[account.credential]]\nkind = "smtp"\n'
            'username = "own"\npassword = "secret12"\nallow = ["127.0.0.1"]\n'
            'identify = "address"\nhost = "127.0.0.1"\n'
            f'port = {theirs.port}\ndomain = "mms.example.org"\n'
            f'[[account.number]]\naddress = "{number}"\ntargets = ["mm4"]\n',
            '[[carrier]]\nname = "north"\nkind = "smpp"\nhost = "127.0.0.1"\nport = 9\n'
            'system_id = "x"\npassword = "y"\n',
        )
        await until(reactor, lambda: self.b.tables.version == 2, "the provisioning")
        mo = DeliverSm(source_addr=HANDSET.encode(), destination_addr=number.encode())
        mo.short_message = b"hello"
        await self.a.inbound.receive("north", [mo])
        m = schema.message.c

        async def delivered() -> bool:
            query = select(m.state).where(m.account == "own")
            states = await self.b.journal.run(lambda c: list(c.execute(query).scalars()))
            return states == [int(MessageState.DELIVERED)]

        await until_asked(delivered, "the end of the MO")
        assert len(theirs.received) == 1


@pytest.mark.timeout(90)
class RateTests(NodesCase):
    """What an MMSC takes, of two nodes that mail to it."""

    async def test_each_node_mails_an_equal_part_of_the_rate(self) -> None:
        """``rate`` is that of the carrier, not of each node."""
        self.at(self.a)
        await self.apply(
            account(),
            '[[carrier]]\nname = "mmsc"\nkind = "mm4"\nhost = "127.0.0.1"\nport = 9\n'
            'domain = "mms.example.net"\nrate = 10\n',
        )

        def rates() -> list[float]:
            sides = [one.mmscs.sides.get("mmsc") for one in (self.a, self.b)]
            return [side.bucket.rate for side in sides if side is not None]

        await until(reactor, lambda: rates() == [5.0, 5.0], "each has its part")
