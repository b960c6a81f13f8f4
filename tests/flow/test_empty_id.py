"""Parts that a carrier acknowledged without an id."""

from smsgw.flow.awaited import normalise
from smsgw.message import MessageState
from smsgw.smpp.pdu import SubmitSmResp
from smsgw.store import schema
from tests.flow.journey import JourneyCase


class EmptyIdTests(JourneyCase):
    def test_an_answer_without_an_id_is_matched_by_no_receipt(self) -> None:
        """Neither by one without an id nor by one with 0, also after a restart."""
        assert [normalise(x) for x in ("", "0", "000", "00aF")] == ["", "0", "0", "af"]
        message = self.journey.accepted(registered_delivery=1)
        taker = self.journey.taker()
        answer = SubmitSmResp()
        self.journey.result(self.journey.settlement.settle("north", [(taker.taken[0], answer)]))
        assert self.journey.entries() == []
        assert [part.carrier_id for part in self.journey.rows(schema.part)] == [""]
        for id in ("", "0"):
            self.journey.receive(id)
            assert message.state == MessageState.ENROUTE
        self.journey.restart()
        self.journey.receive("")
        assert self.journey.stored(message).state == MessageState.ENROUTE
