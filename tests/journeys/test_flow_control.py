"""Flow control of issue 4 over real sockets: ESME_RTHROTTLED and ESME_RMSGQFUL both ways, adaptive
rate, a queue over its limit, a store that fails."""

from twisted.python.failure import Failure

from smsgw.message import MessageState
from smsgw.smpp.constants import Status
from smsgw.store.journal import StoreFailed
from smsgw.testing.esme import submit_sm
from smsgw.testing.script import Plan, SmscScript
from tests.integration.scene import HANDSET, NUMBER, account, carrier, route
from tests.journeys.gateway import GatewayCase
from tests.running import free_ports

TOO_MUCH = (Status.ESME_RTHROTTLED, Status.ESME_RMSGQFUL)


class FlowControlTest(GatewayCase):
    """Whoever says that it is too much gets it later, and nothing is lost."""

    async def test_a_client_over_its_rate_or_a_full_queue_is_told_so(self) -> None:
        """0x58 beyond the account's rate, 0x14 when the carrier's queue is at its limit."""
        (port,) = free_ports(1)  # nobody listens: what is accepted waits
        down = carrier("north", port, queue_limit=2)
        await self.apply(account(), down, route("north"))
        esme = await self.esme()
        answers = [await answer for answer in esme.requests([submit_sm() for _ in range(2)])]
        assert [answer.status for answer in answers] == [0, 0]
        assert (await esme.submit()).status == Status.ESME_RMSGQFUL

        await self.apply(account(rate=1), carrier("north", port), route("north"))
        answers = [await answer for answer in esme.requests([submit_sm() for _ in range(3)])]
        assert Status.ESME_RTHROTTLED in [answer.status for answer in answers]
        (waiting,) = (count for name, count in (await self.waiting()).items() if "north" in name)
        assert waiting == 2 + sum(answer.status == 0 for answer in answers)

    async def test_a_carrier_that_says_too_much_gets_it_later_and_more_slowly(self) -> None:
        """Both statuses: the link pauses and halves what it has outstanding; all arrive once."""
        for status in TOO_MUCH:
            refusing = [5]  # so many are refused

            def decide(pdu: object, status: int = status, refusing: list[int] = refusing) -> "Plan":
                refusing[0] -= 1
                return Plan(status=status if refusing[0] >= 0 else 0)

            north = await self.north(SmscScript(decide=decide), window=8)
            esme = await self.esme()
            before = north.smsc.counts.accepted
            answers = esme.requests([submit_sm(text=b"%d" % n) for n in range(8)])
            assert [(await answer).status for answer in answers] == [0] * 8
            side = self.gateway.carriers.sides["north"]
            await north.smsc.when(lambda n=north, b=before: n.smsc.counts.accepted - b == 8)
            assert side.throttled == 1
            texts = {pdu.short_message for pdu in north.smsc.submits}
            assert texts == {b"%d" % n for n in range(8)}
            assert north.smsc.counts.refused == 5

    async def test_a_client_that_says_too_much_gets_its_mo_later(self) -> None:
        """Both statuses in deliver_sm_resp; the MO is handed over once it is taken."""
        north = await self.north()
        esme = await self.esme()
        statuses = [*TOO_MUCH, Status.ESME_ROK]
        esme.answer = lambda pdu: statuses.pop(0)
        north.smsc.mobile_originated(HANDSET, NUMBER, "Hi")
        await esme.delivered(3)
        assert [pdu.short_message for pdu in esme.messages] == [b"Hi"] * 3
        assert statuses == []
        assert north.smsc.counts.mo_answered == 1

    async def test_a_store_that_fails_pushes_back_on_both_sides(self) -> None:
        """The client gets ESME_RSYSERR, the carrier ESME_RX_T_APPN for its MO, which it repeats."""
        north = await self.north(SmscScript(retry_s=0.2))
        esme = await self.esme()
        whole = self.gateway.journal._written
        failing = Failure(StoreFailed("disk full"))
        self.gateway.journal._written = lambda connection, batch: failing
        assert (await esme.submit()).status == Status.ESME_RSYSERR
        north.smsc.mobile_originated(HANDSET, NUMBER, "Hi")
        await north.smsc.when(lambda: north.smsc.counts.deliveries_retried >= 1)
        self.gateway.journal._written = whole
        await esme.delivered(1)
        answer = await esme.submit(registered_delivery=1)
        assert answer.status == 0
        await esme.delivered(2)
        assert [one.state for one in esme.receipts] == [MessageState.DELIVERED]
