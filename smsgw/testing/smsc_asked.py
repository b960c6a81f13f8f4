"""What a simulated SMSC knows of the messages it took, and answers when it is asked about them."""

from collections import OrderedDict

from attrs import define, evolve

from smsgw.message import MessageState
from smsgw.smpp import times
from smsgw.smpp.constants import Status
from smsgw.smpp.pdu import CancelSm, Pdu, QuerySm, ReplaceSm, SubmitSm
from smsgw.testing.script import Plan

Question = QuerySm | CancelSm | ReplaceSm


@define(eq=False)
class Kept:
    """One message: as it came, or as replace_sm made it, and what becomes of it when."""

    pdu: SubmitSm
    state: MessageState
    ends_at: float  # seconds since 1970


class Asked:
    """The messages of one SMSC that can be asked about, the last ``most`` of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.kept: OrderedDict[bytes, Kept] = OrderedDict()  # by the id in submit_sm_resp
        self._by_pdu: dict[int, Kept] = {}
        self.questions: list[Question] = []

    def keep(self, id: bytes, pdu: SubmitSm, plan: Plan, ends_at: float) -> None:
        """A message was taken under ``id``; it ends as the plan says at ``ends_at``."""
        if not self._most:
            return
        self.kept[id] = self._by_pdu[_key(pdu)] = Kept(pdu, plan.state, ends_at)
        while len(self.kept) > self._most:
            _, old = self.kept.popitem(last=False)
            self._by_pdu.pop(_key(old.pdu), None)

    def plan(self, pdu: SubmitSm, plan: Plan) -> Plan:
        """What has become of ``plan`` meanwhile."""
        kept = self._by_pdu.get(_key(pdu))
        return evolve(plan, state=kept.state) if kept is not None else plan

    def answer(self, pdu: Question, now: float) -> Pdu:
        """The answer at ``now``, in seconds since 1970."""
        self.questions.append(pdu)
        kept = self.kept.get(pdu.message_id)
        if kept is None:
            return pdu.response(Status.ESME_RINVMSGID)
        if kept.pdu.source_addr != pdu.source_addr:
            return pdu.response(_FAILED[type(pdu)])
        pending = now < kept.ends_at
        if isinstance(pdu, QuerySm):
            date = b"" if pending else times.format_absolute(int(kept.ends_at * 1000))
            state = MessageState.ENROUTE if pending else kept.state
            return pdu.response(
                message_id=pdu.message_id, message_state=int(state), final_date=date
            )
        if not pending:
            return pdu.response(_FAILED[type(pdu)])
        if isinstance(pdu, CancelSm):
            kept.state, kept.ends_at = MessageState.DELETED, now
        else:
            kept.pdu.short_message = pdu.short_message
        return pdu.response()


_FAILED: dict[type[Pdu], Status] = {
    QuerySm: Status.ESME_RQUERYFAIL,
    CancelSm: Status.ESME_RCANCELFAIL,
    ReplaceSm: Status.ESME_RREPLACEFAIL,
}


def _key(pdu: SubmitSm) -> int:
    """Of this object, which is held as long as the key is."""
    return id(pdu)
