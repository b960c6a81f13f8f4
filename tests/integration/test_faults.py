"""Carriers and ESMEs that misbehave or are away: no message is lost or told twice."""

from collections import Counter

import pytest
from twisted.internet import reactor

from smsgw.message import MessageState
from smsgw.smpp.constants import Status
from smsgw.testing.esme import Esme, submit_sm
from smsgw.testing.script import Plan, SmscScript
from smsgw.testing.smsc import SimulatedCarrier
from tests.integration.books import until
from tests.integration.scene import HANDSET, NUMBER, Scene, account, carrier, route, until_asked
from tests.running import GatewayProcess, free_ports


def handsets(count: int) -> list[str]:
    """Different destinations."""
    return [f"4477009{n:05d}" for n in range(count)]


class FaultTest(Scene):
    """One gateway in a process of its own for all of them; each provisions anew."""

    @pytest.fixture(autouse=True)
    def _with_gateway(self, gateway: GatewayProcess) -> None:
        self.gateway = gateway
        self.smpp_port, self.http_port = gateway.smpp_port, gateway.http_port
        self.admin_port = gateway.admin_port

    async def north(self, script: "SmscScript | None" = None, **settings: int) -> SimulatedCarrier:
        """The only carrier, bound."""
        north = await self.smsc(script)
        await self.apply(account(), carrier("north", north.port, **settings), route("north"))
        await north.smsc.bound()
        return north

    async def submit(self, esme: Esme, count: int) -> list[bytes]:
        """The ids of messages to ``count`` handsets, accepted, that ask for receipts."""
        answers = esme.requests(
            [
                submit_sm(NUMBER, handset, b"hello", registered_delivery=1)
                for handset in handsets(count)
            ]
        )
        ids = []
        for answer in answers:
            response = await answer
            assert response.status == 0, response
            ids.append(response.message_id)
        return ids

    async def receipted_once(self, esme: Esme, ids: list[bytes], stat: str = "DELIVRD") -> None:
        """Every message has its receipt, just one, and nothing waits."""
        wanted = Counter(id.decode() for id in ids)
        await until(reactor, lambda: len(esme.receipts) >= len(ids), "the receipts")

        async def at_rest() -> bool:
            return await self.waiting() == {}

        await until_asked(at_rest, "empty queues")
        assert Counter(receipt.id for receipt in esme.receipts) == wanted
        assert {MessageState(receipt.state).stat for receipt in esme.receipts} == {stat}
        for id in ids:
            assert (await self.message(id))["state"] == stat

    # The carrier.

    async def test_a_carrier_that_never_answers(self) -> None:
        """Its window times out, the entries go back to the queue, and out when it answers again."""
        north = await self.north(SmscScript(silence=1), window=5, response_timeout_s=1)
        esme = await self.esme()
        ids = await self.submit(esme, 12)
        await north.smsc.arrived(5)
        assert (await self.waiting())["carrier:north"] == 12
        (shown,) = await self.admin("/admin/carriers")
        assert shown["outstanding"] <= 5
        await north.smsc.arrived(15)
        assert (await self.waiting())["carrier:north"] == 12
        north.smsc.script.silence = 0
        await self.receipted_once(esme, ids)

    async def test_a_carrier_that_is_deaf(self) -> None:
        """One that answers not even enquire_link is given up, and bound again when it hears."""
        north = await self.north(window=5, response_timeout_s=1, enquire_s=1)
        esme = await self.esme()
        north.smsc.script.deaf = True
        ids = await self.submit(esme, 7)
        await until(reactor, lambda: north.smsc.counts.connections > 1, "another connection")
        north.smsc.script.deaf = False
        await self.receipted_once(esme, ids)

    async def test_a_carrier_that_is_down(self) -> None:
        """Messages wait, and go out when it is reached again."""
        (port,) = free_ports(1)
        await self.apply(account(), carrier("north", port), route("north"))
        esme = await self.esme()
        ids = await self.submit(esme, 5)
        assert await self.waiting() == {"carrier:north": 5}
        assert (await self.message(ids[0]))["queued"] == ["carrier:north"]
        north = await self.smsc(port=port)
        await self.receipted_once(esme, ids)
        assert north.smsc.counts.submits == 5

    async def test_receipts_before_their_responses(self) -> None:
        """They are kept until it is known which message they are of."""
        await self.north(SmscScript(early_receipts=1, answer_delay_s=0.05))
        esme = await self.esme()
        await self.receipted_once(esme, await self.submit(esme, 20))

    async def test_receipts_that_come_twice(self) -> None:
        """The account is told once, the carrier hears ESME_ROK twice."""
        north = await self.north(SmscScript(double_receipts=1))
        esme = await self.esme()
        await self.receipted_once(esme, await self.submit(esme, 20))
        await north.smsc.when(lambda: north.smsc.counts.receipts_answered == 40)
        assert len(esme.receipts) == 20

    async def test_receipts_that_never_come(self) -> None:
        """The message stays under way, nothing waits in a queue, and others go on."""
        north = await self.north(SmscScript(lost_receipts=1))
        esme = await self.esme()
        lost = await self.submit(esme, 3)
        await north.smsc.arrived(3)
        north.smsc.script.lost_receipts = 0
        await self.receipted_once(esme, await self.submit(esme, 3))
        for id in lost:
            shown = await self.message(id)
            assert (shown["state"], shown["final"], shown["queued"]) == ("ENROUTE", False, [])

    async def test_responses_that_come_twice(self) -> None:
        """The second says nothing."""
        north = await self.north(SmscScript(double_responses=1))
        esme = await self.esme()
        await self.receipted_once(esme, await self.submit(esme, 20))
        assert north.smsc.counts.submits == 20

    async def test_responses_that_are_lost(self) -> None:
        """The message goes out once more, and the account is told once."""
        seen: Counter[bytes] = Counter()

        def decide(pdu: object) -> Plan | None:
            seen[pdu.destination_addr] += 1  # type: ignore[attr-defined]
            return Plan(responses=0) if seen[pdu.destination_addr] == 1 else None  # type: ignore[attr-defined]

        north = await self.north(SmscScript(decide=decide), response_timeout_s=1)
        esme = await self.esme()
        await self.receipted_once(esme, await self.submit(esme, 10))
        assert set(seen.values()) == {2}
        assert north.smsc.counts.responses_lost == 10

    async def test_a_connection_that_is_reset(self) -> None:
        """What had no answer goes out again on the next one."""
        north = await self.north(SmscScript(reset_after=4), window=3)
        esme = await self.esme()
        ids = await self.submit(esme, 10)
        await until(reactor, lambda: north.smsc.counts.resets >= 1, "a reset")
        north.smsc.script.reset_after = 0
        await self.receipted_once(esme, ids)
        again = Counter(pdu.destination_addr for pdu in north.smsc.submits)
        assert len(again) == 10
        assert sum(again.values()) - 10 <= 3 * north.smsc.counts.resets

    async def test_a_temporary_refusal_is_tried_again(self) -> None:
        """ESME_RMSGQFUL is no end: the message waits a little, and goes out again."""
        seen: Counter[bytes] = Counter()

        def decide(pdu: object) -> Plan | None:
            seen[pdu.destination_addr] += 1  # type: ignore[attr-defined]
            first = seen[pdu.destination_addr] == 1  # type: ignore[attr-defined]
            return Plan(status=Status.ESME_RMSGQFUL) if first else None

        await self.north(SmscScript(decide=decide))
        esme = await self.esme()
        await self.receipted_once(esme, await self.submit(esme, 4))

    async def test_garbage_from_a_carrier_ends_its_link_only(self) -> None:
        """Octets that are no PDU: the link is made anew, the ESME's session stays."""
        north = await self.north()
        esme = await self.esme()
        north.smsc.send_raw(b"\0\0\0\3" + b"\xff" * 60)
        await north.smsc.when(lambda: north.smsc.counts.binds == 2)
        await self.receipted_once(esme, await self.submit(esme, 3))

    # The account.

    async def test_an_esme_that_is_away(self) -> None:
        """Its receipts and MO wait for its next bind."""
        north = await self.north()
        esme = await self.esme(kind="transmitter")
        ids = await self.submit(esme, 3)
        await esme.unbind()
        north.smsc.mobile_originated(HANDSET, NUMBER, "hello back")
        await north.smsc.when(lambda: north.smsc.counts.mo_answered == 1)
        await north.smsc.when(lambda: north.smsc.counts.receipts_answered == 3)
        assert await self.waiting() == {"account:acme": 4}
        later = await self.esme(kind="receiver")
        await later.delivered(4)
        assert [pdu.short_message for pdu in later.messages] == [b"hello back"]
        await self.receipted_once(later, ids)

    async def test_an_esme_that_leaves_without_answering(self) -> None:
        """What it got and did not answer comes again on its next bind."""
        await self.north()
        esme = await self.esme()
        esme.answer = lambda _: None
        ids = await self.submit(esme, 3)
        await esme.delivered(3)
        esme.reset()
        await esme.closed()
        await self.receipted_once(await self.esme(), ids)

    async def test_an_esme_that_cannot_take_it_now(self) -> None:
        """ESME_RX_T_APPN: it is tried again; ESME_RX_P_APPN: it is not."""
        await self.north()
        esme = await self.esme()
        said = iter([Status.ESME_RX_T_APPN, Status.ESME_ROK, Status.ESME_RX_P_APPN])
        esme.answer = lambda _: next(said)
        await self.submit(esme, 1)
        await esme.delivered(2)
        await self.submit(esme, 1)
        await esme.delivered(3)

        async def at_rest() -> bool:
            return await self.waiting() == {}

        await until_asked(at_rest, "empty queues")
        assert esme.delivered_count == 3

    async def test_an_mo_for_nobody_is_refused(self) -> None:
        """A number that no account has: the carrier hears so, and may tell the handset."""
        north = await self.north()
        north.smsc.mobile_originated(HANDSET, "447700900999", "anybody there?")
        await north.smsc.when(lambda: north.smsc.counts.deliveries_refused == 1)
        assert await self.waiting() == {}

    async def test_a_validity_that_ends_while_the_carrier_is_down(self) -> None:
        """The account hears EXPIRED, and the carrier never gets the message."""
        (port,) = free_ports(1)
        await self.apply(account(), carrier("north", port), route("north"))
        esme = await self.esme()
        answer = await esme.submit(registered_delivery=1, validity_period=b"000000000001000R")
        assert answer.status == 0
        await self.receipted_once(esme, [answer.message_id], "EXPIRED")
        north = await self.smsc(port=port)
        await self.submit(esme, 1)
        await esme.delivered(2)
        assert [pdu.destination_addr.decode() for pdu in north.smsc.submits] == handsets(1)
