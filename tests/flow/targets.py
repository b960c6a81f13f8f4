"""A journey in which messages from handsets go to targets that are no sessions."""

from typing import Any

from smsgw.message import Message, MessageState
from smsgw.provisioning import Account, Number, Provisioning
from smsgw.smpp.constants import Status
from smsgw.store import schema
from tests.flow.journey import SOURCE, JourneyCase, provisioned

URL = "https://a.example/in"
MAIL = "a@b.example"
CALLBACK = "https://a.example/callback"
S = MessageState


def with_targets(*targets: str, **fields: Any) -> Provisioning:
    """acme with these targets of its number."""
    result = provisioned()
    account = {name: fields.pop(name) for name in ("email", "callback") if name in fields}
    number = Number(SOURCE, list(targets), **fields)
    result.accounts["acme"] = Account("acme", number=[number], **account)
    return result


class TargetCase(JourneyCase):
    """What tests of targets do and look at."""

    def to(self, *targets: str, **fields: Any) -> None:
        """From now on messages of the number go there."""
        self.journey.provision(with_targets(*targets, **fields))

    def mo(self, text: bytes = b"Hi") -> Message:
        """An MO that has been taken."""
        before = set(self.ids())
        assert self.journey.mo(short_message=text) == Status.ESME_ROK
        [new] = set(self.ids()) - before
        return self.journey.known.known.get(new) or self.stored(new)

    def ids(self) -> list[int]:
        return [row.id for row in self.journey.rows(schema.message) if row.direction]

    def stored(self, id: int) -> Message:
        return self.journey.stored(Message("", "", id=id))

    def state(self, message: Message) -> tuple[MessageState, int, str]:
        read = self.stored(message.id)
        return S(read.state), read.error, read.network_error

    @property
    def http(self) -> Any:
        return self.journey.messengers["http"]

    @property
    def mail(self) -> Any:
        return self.journey.messengers["email"]

    def dead(self) -> list[tuple[str, str]]:
        return [(row.queue, row.reason) for row in self.journey.rows(schema.dead)]

    def later(self, seconds: float) -> None:
        self.journey.clock.advance(seconds)
