"""An MMSC on the test's clock: what it is mailed, and what it says."""

from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, maybeDeferred

from smsgw.flow.exchange import SYSTEM
from smsgw.flow.mm4_answers import Mm4Answers
from smsgw.flow.multimedia import MultimediaSide
from smsgw.flow.replies import Replies
from smsgw.message import Media, Message, Multimedia
from smsgw.mm4 import headers
from smsgw.mm4.content import media as kept_of
from smsgw.mm4.mime import Part
from smsgw.mm4.pdus import DeliveryReportReq, ForwardReq, ForwardRes, Pdu, ReadReplyReq
from smsgw.mm4.words import ReadStatus, RequestStatus, Status
from smsgw.provisioning import Account, Carrier, Number, Provisioning, Route
from smsgw.s3 import Missing
from smsgw.smtp.client import Mail, Outcome, outcome_of, temporary
from tests.flow.journey import SOURCE, Journey, a_message

DOMAIN = "mms.example.com"
MMSC = "mms.example.net"
PICTURE = Part("image/gif", "photo.gif", "photo", "photo.gif", b"GIF89a" + bytes(200))
TEXT = Part("text/plain", "text.txt", "text", "text.txt", "Grüße".encode(), "utf-8")


@define(eq=False)
class FakeOutgoing:
    """The connections to one peer: the test says how each mail went."""

    under_way: list[tuple[Mail, Deferred[dict[str, Outcome]]]] = field(factory=list)
    sent: list[Mail] = field(factory=list)

    def send(self, mail: Mail) -> Deferred[dict[str, Outcome]]:
        done: Deferred[dict[str, Outcome]] = Deferred()
        self.under_way.append((mail, done))
        self.sent.append(mail)
        return done

    def tell(self, outcome: Outcome) -> None:
        """So went what is under way."""
        told, self.under_way = self.under_way, []
        for mail, done in told:
            done.callback(dict.fromkeys(mail.recipients, outcome))

    def say(self, code: int, text: str = "") -> None:
        """The SMTP server's answer to all that is under way; 0: it is not reached."""
        self.tell(outcome_of(code, text) if code else temporary(text or "connection refused"))

    def pdus(self) -> list[Pdu]:
        """What was mailed so far."""
        found = [headers.read(mail.content).pdu for mail in self.sent]
        assert all(one is not None for one in found)
        return found  # type: ignore[return-value]


@define(eq=False)
class FakeExchange:
    """Peers and the connections to them."""

    domain: str = DOMAIN
    peers: dict[str, FakeOutgoing] = field(factory=dict)

    @property
    def system(self) -> str:
        return f"{SYSTEM}@{self.domain}"

    def of(self, peer: str) -> FakeOutgoing:
        return self.peers.setdefault(peer, FakeOutgoing())


@define(eq=False)
class FakeMedia:
    """A media store in memory."""

    files: dict[str, bytes] = field(factory=dict)
    broken: bool = False

    def keep(self, part: Part) -> Media:
        kept = kept_of(part)
        self.files[kept.digest] = part.content
        return kept

    def get_here(self, digest: str) -> bytes:
        if self.broken:
            raise OSError("disk")
        found = self.files.get(digest)
        if found is None:
            raise Missing(digest)
        return found

    def run(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        return maybeDeferred(function, *arguments)


def provisioned(**carrier: Any) -> Provisioning:
    """An account, two MMSCs and a route by them."""
    form = Carrier("mmsc", kind="mm4", host="127.0.0.1", domain=MMSC)
    return Provisioning(
        accounts={"acme": Account(name="acme", number=[Number(SOURCE)])},
        carriers={
            "mmsc": evolve(form, **carrier),
            "other": evolve(form, name="other", domain="mms.example.org"),
        },
        routes={"uk": Route("uk", ["44"], ["mmsc"], price="0.0500")},
    )


class Scene:
    """A journey with the carrier ``mmsc``, of which the test is the other end."""

    def __init__(self, journey: Journey) -> None:
        self.journey = journey
        self.media = FakeMedia()
        self.begin()

    def begin(self) -> None:
        """Makes what is beside the journey, at first and after a restart."""
        j = self.journey
        self.exchange: Any = FakeExchange()
        self.replies = Replies(
            j.current, self.exchange, j.journal, j.identities, j.clock, j.clock.seconds
        )
        self.sides = {
            name: MultimediaSide(
                form, j.queues, j.settlement, self.exchange, self.media, j.clock, j.clock.seconds
            )
            for name, form in j.tables.carriers.items()
            if form.kind == "mm4"
        }
        self.answers = Mm4Answers(
            lambda: self.sides,
            j.queues,
            j.pending,
            j.settlement,
            self.replies,
            self.exchange,
            j.identities,
            j.clock.seconds,
        )
        j.result(Deferred.fromCoroutine(self.replies.start()))
        for side in self.sides.values():
            side.start()

    def restart(self) -> None:
        """A new process on the same store."""
        self.journey.restart()
        self.begin()

    def outgoing(self, name: str = "mmsc") -> FakeOutgoing:
        """The connections to a carrier."""
        found: FakeOutgoing = self.exchange.of(f"carrier:{name}")
        return found

    def an_mms(self, *parts: Part, **fields: Any) -> Message:
        """A multimedia message as an edge hands it in, its media kept."""
        media = [self.media.keep(one) for one in parts or (PICTURE, TEXT)]
        given = {
            "kind": "mms",
            "parts": [b""],
            "multimedia": Multimedia(media=media, subject="Holiday", text="Grüße"),
            "registered_delivery": 1,
        }
        return a_message(**{**given, **fields})

    def accepted(self, *parts: Part, **fields: Any) -> Message:
        """One that has been accepted."""
        [outcome] = self.journey.accept(self.an_mms(*parts, **fields))
        assert isinstance(outcome, Message), outcome
        return outcome

    def mailed(self, **fields: Any) -> Message:
        """One that the SMTP server has taken."""
        message = self.accepted(**fields)
        self.outgoing().say(250)
        return message

    def advance(self, seconds: float) -> None:
        """Time goes by, in steps in which what is due comes up."""
        self.journey.clock.pump([1.0, seconds - 2.0, 1.0])

    def request(self) -> ForwardReq:
        """What was mailed last."""
        pdu = self.outgoing().pdus()[-1]
        assert isinstance(pdu, ForwardReq)
        return pdu

    def receive(self, pdu: Pdu, carrier: str = "mmsc") -> bool:
        """The MMSC says something; True if it need not say it again."""
        done: bool = self.journey.result(self.answers.receive(carrier, pdu))
        return done

    def respond(
        self,
        status: RequestStatus = RequestStatus.OK,
        request: ForwardReq | None = None,
        carrier: str = "mmsc",
    ) -> bool:
        """``MM4_forward.RES`` to what was mailed last, or to ``request``."""
        request = request or self.request()
        return self.receive(
            ForwardRes(transaction_id=request.transaction_id, status=status), carrier
        )

    def report(self, message: Message, status: Status, **fields: Any) -> bool:
        """``MM4_delivery_report.REQ`` of a message."""
        id = f"{message.id:x}@{DOMAIN}"
        whole = {**_WHOLE, **fields}
        return self.receive(DeliveryReportReq(message_id=id, status=status, **whole))

    def read(self, message: Message, status: ReadStatus = ReadStatus.READ, **fields: Any) -> bool:
        """``MM4_read_reply_report.REQ`` of a message."""
        id = f"{message.id:x}@{DOMAIN}"
        return self.receive(ReadReplyReq(message_id=id, status=status, **_WHOLE, **fields))

    def states(self) -> Sequence[tuple[int, int]]:
        """Due times and attempts of what waits for the carrier."""
        return [(row.due, row.attempts) for row in self.journey.entries("carrier:mmsc")]


_WHOLE: dict[str, Any] = {
    "transaction_id": "dr-1",
    "sender": f"system-user@{MMSC}",
    "from_": f"+447700900123/TYPE=PLMN@{MMSC}",
    "to": [f"+{SOURCE}/TYPE=PLMN@{DOMAIN}"],
    "mail_id": f"dr-1@{MMSC}",
}
