"""query_sm, cancel_sm and replace_sm about messages that a carrier has, over real sockets."""

from typing import Any

from smsgw.message import MessageState
from smsgw.smpp import translate
from smsgw.smpp.constants import Status
from smsgw.smpp.pdu import CancelSm, QuerySm, ReplaceSm
from smsgw.testing.esme import Esme
from smsgw.testing.script import SmscScript
from tests.integration.scene import HANDSET
from tests.journeys.gateway import GatewayCase

SLOW = {"asks": True, "delay_s": 3000.0}  # it has them for long
ALL = {"query": "carrier", "cancel": "carrier", "replace": "carrier"}
OF_33 = {"version": "3.3", "bind": "transmitter+receiver", "response_id": "hex"}


class PassedOnTest(GatewayCase):
    """Issue 4: on the carrier side the same operations are passed through or answered by us."""

    async def sent(self, esme: Esme, **fields: Any) -> bytes:
        """The id of a message that the carrier has acknowledged."""
        answer = await esme.submit("ACME", HANDSET, **{"registered_delivery": 1, **fields})
        assert answer.status == 0, answer
        await self.shows(answer.message_id, carrier="north")
        return bytes(answer.message_id)

    def about(self, cls: Any, id: bytes, **fields: Any) -> Any:
        return cls(message_id=id, source_addr_ton=5, source_addr=b"ACME", **fields)

    async def test_query_sm_is_answered_with_what_the_carrier_says(self) -> None:
        """It says ENROUTE, then DELIVERED: so does the answer, and the receipt comes with it."""
        north = await self.north(SmscScript(receipts="none", **SLOW), **ALL)
        esme = await self.esme()
        id = await self.sent(esme)
        answer = await esme.request(self.about(QuerySm, id))
        assert (answer.status, answer.message_state) == (0, MessageState.ENROUTE)
        (asked,) = north.smsc.asked.questions
        ((carrier_id, kept),) = north.smsc.asked.kept.items()
        assert (asked.message_id, asked.source_addr) == (carrier_id, b"ACME")

        kept.ends_at = 0.0
        answer = await esme.request(self.about(QuerySm, id))
        assert (answer.status, answer.message_state) == (0, MessageState.DELIVERED)
        assert answer.message_id == id
        await esme.delivered(1)
        assert esme.receipts[0].state == MessageState.DELIVERED
        await self.shows(id, state="DELIVRD")

    async def test_the_carrier_is_not_asked_unless_its_form_says_so(self) -> None:
        """``local`` is the default: query_sm from our state, cancel_sm 0x11, replace_sm 0x13."""
        north = await self.north(SmscScript(**SLOW))
        esme = await self.esme()
        id = await self.sent(esme)
        answer = await esme.request(self.about(QuerySm, id))
        assert (answer.status, answer.message_state) == (0, MessageState.ENROUTE)
        assert (await esme.request(self.about(CancelSm, id))).status == Status.ESME_RCANCELFAIL
        replaced = await esme.request(self.about(ReplaceSm, id, short_message=b"x"))
        assert replaced.status == Status.ESME_RREPLACEFAIL
        assert north.smsc.asked.questions == []

    async def test_a_carrier_that_does_not_answer_leaves_our_own_state(self) -> None:
        """Within its response time-out; meanwhile the session's other requests are served."""
        north = await self.north(SmscScript(**SLOW), response_timeout_s=1.0, **ALL)
        esme = await self.esme()
        id = await self.sent(esme)
        north.smsc.script.deaf = True
        asking = esme.request(self.about(QuerySm, id))
        refused = await esme.request(self.about(QuerySm, b"0" * 31 + b"1"))
        assert refused.status == Status.ESME_RINVMSGID
        assert not asking.called
        answer = await asking
        assert (answer.status, answer.message_state) == (0, MessageState.ENROUTE)

    async def test_cancel_sm_is_passed_on(self) -> None:
        """The carrier deletes it: DELETED with our code 221, and the receipt says so."""
        north = await self.north(SmscScript(**SLOW), **ALL)
        esme = await self.esme()
        id = await self.sent(esme)
        answer = await esme.request(self.about(CancelSm, id))
        assert answer.status == 0
        await esme.delivered(1)
        assert (esme.receipts[0].state, esme.receipts[0].error) == (MessageState.DELETED, "221")
        await self.shows(id, state="DELETED")
        (kept,) = north.smsc.asked.kept.values()
        assert kept.state == MessageState.DELETED
        again = await esme.request(self.about(CancelSm, id))
        assert again.status == Status.ESME_RCANCELFAIL

    async def test_cancel_sm_that_the_carrier_refuses_is_0x11(self) -> None:
        """It has been delivered there; the message goes its way."""
        north = await self.north(SmscScript(receipts="none", **SLOW), **ALL)
        esme = await self.esme()
        id = await self.sent(esme)
        (kept,) = north.smsc.asked.kept.values()
        kept.ends_at = 0.0
        answer = await esme.request(self.about(CancelSm, id))
        assert answer.status == Status.ESME_RCANCELFAIL
        await self.shows(id, state="ENROUTE")

    async def test_cancel_by_rest_is_passed_on(self) -> None:
        """The same message by DELETE of REST."""
        await self.north(SmscScript(**SLOW), **ALL)
        esme = await self.esme()
        id = (await self.sent(esme)).decode()
        guid = "-".join((id[:8], id[8:12], id[12:16], id[16:20], id[20:]))
        status, _ = await self.cancel(guid)
        assert status == 200
        await self.shows(id, state="DELETED")

    async def test_cancel_of_a_long_message_is_one_question_for_each_part(self) -> None:
        """All of them are deleted, and the message with the last."""
        north = await self.north(SmscScript(**SLOW), **ALL)
        esme = await self.esme()
        id = await self.sent(esme, text=b"x" * 200)
        await north.smsc.when(lambda: len(north.smsc.asked.kept) == 2)
        answer = await esme.request(self.about(CancelSm, id))
        assert answer.status == 0
        assert len(north.smsc.asked.questions) == 2
        await self.shows(id, state="DELETED")

    async def test_replace_sm_is_passed_on(self) -> None:
        """The carrier has the new text, and the message shows it."""
        north = await self.north(SmscScript(**SLOW), **ALL)
        esme = await self.esme()
        id = await self.sent(esme)
        answer = await esme.request(
            self.about(ReplaceSm, id, short_message=b"Better", registered_delivery=1)
        )
        assert answer.status == 0
        (kept,) = north.smsc.asked.kept.values()
        assert kept.pdu.short_message == b"Better"
        assert (await self.gateway.message("acme", _number(id))).parts == [b"Better"]

    async def test_replace_sm_of_more_than_a_part_fails(self) -> None:
        """A carrier replaces one part by one part; it is not even asked."""
        north = await self.north(SmscScript(**SLOW), **ALL)
        esme = await self.esme()
        id = await self.sent(esme)
        answer = await esme.request(self.about(ReplaceSm, id, short_message=b"x" * 200))
        assert answer.status == Status.ESME_RREPLACEFAIL
        assert north.smsc.asked.questions == []

    async def test_a_carrier_of_33_is_asked_by_its_eight_hex_digits(self) -> None:
        """Query, replace and cancel work for 3.3 too (spec/smpp.md §4)."""
        north = await self.north(SmscScript(**SLOW, version="3.3"), **OF_33, **ALL)
        esme = await self.esme()
        id = await self.sent(esme)
        assert (await esme.request(self.about(QuerySm, id))).message_state == MessageState.ENROUTE
        replaced = await esme.request(self.about(ReplaceSm, id, short_message=b"Better"))
        assert replaced.status == 0
        assert (await esme.request(self.about(CancelSm, id))).status == 0
        names = {one.message_id for one in north.smsc.asked.questions}
        assert names == set(north.smsc.asked.kept)
        assert len(names.pop()) == 8
        assert north.smsc.counts.tlvs_in_33 == 0


def _number(id: bytes) -> int:
    return translate.id_of(id.decode())[0]
