"""Bound ESMEs: the SMPP edge's gate into the journey (``smpp.gate.Gate``)."""

import time
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from smsgw.config import Config
from smsgw.doors import Doors, login_of
from smsgw.esmes.binds import Binds
from smsgw.esmes.submissions import Submissions, within_profile
from smsgw.esmes.submitted import Submitted
from smsgw.flow.accept import Acceptance
from smsgw.flow.decide import Outcome
from smsgw.flow.handover import Handover
from smsgw.login import Login
from smsgw.message import Message
from smsgw.refusals import Refusal
from smsgw.rules.tables import Tables
from smsgw.smpp import translate
from smsgw.smpp.esme import EsmeSession
from smsgw.smpp.gate import Asked
from smsgw.smpp.pdu import (
    DataSm,
    SubmitMulti,
    SubmitSm,
    SubmitSmResp,
)

_log = Logger()

_V34 = 0x34


class Wordings:
    """How ids and receipts are written for an account: its dialect's settings with its own over
    them."""

    def __init__(self, config: Config, tables: Callable[[], Tables]) -> None:
        self._config = config
        self._tables = tables
        self._version = -1
        self._known: dict[tuple[str, str], tuple[str, bool, bool]] = {}

    def receipts(self, account: str, profile: str) -> tuple[str, bool, bool]:
        """See ``flow.handover.Wording``; the id format is that of submit_sm_resp too."""
        tables = self._tables()
        if tables.version != self._version:
            self._known.clear()
            self._version = tables.version
        known = self._known.get((account, profile))
        if known is None:
            known = self._known[account, profile] = self._read(tables, account, profile)
        return known

    def _read(self, tables: Tables, account: str, profile: str) -> tuple[str, bool, bool]:
        form = tables.accounts.get(account)
        own = form.settings if form is not None else {}
        if profile == "link":
            link = self._config.link.for_account(own.get("link", {}))
            return link.id_format, link.dlr_format == "seconds", True
        if profile == "websmpp":
            ams = self._config.ams.for_account(own.get("ams", {}))
            return ams.id_format, ams.dlr_format == "seconds", False
        standard = self._config.aerialink.for_account(own.get("aerialink", {}))
        return standard.id_format, standard.dlr_format == "seconds", False


class Esmes:
    """All sessions of all SMPP listeners."""

    def __init__(
        self,
        doors: Doors,
        acceptance: Acceptance,
        handover: Handover,
        wordings: Wordings,
        submitted: Submitted,
        submissions: Submissions,
        binds: Binds,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._submitted = submitted
        self._submissions = submissions
        self._doors = doors
        self._acceptance = acceptance
        self._handover = handover
        self._wordings = wordings
        self._now = now
        # The password hash by which each session came in.
        self._admitted: dict[EsmeSession, str] = {}
        self.binds = binds

    def allowed(self, peer: str) -> bool:
        """See ``Gate``."""
        return self._doors.allowed("smpp", peer)

    def login(self, system_id: str, password: str, peer: str) -> Deferred[Login | Refusal]:
        """See ``Gate``."""
        return self._doors.login("smpp", system_id, password, peer)

    def login_called(self, system_id: str, password: str, peer: str) -> Deferred[Login | Refusal]:
        """See ``Gate``."""
        return self._doors.login("smpp", system_id, password, peer, called=True)

    def admit(self, session: EsmeSession, login: Login, bind_type: str) -> Deferred[Refusal | None]:
        """See ``Gate``."""
        return self.binds.admit(session, login, bind_type)

    def bound(self, session: EsmeSession) -> None:
        """See ``Gate``."""
        login = session.login
        _log.info(
            "esme {name} ({account}) bound as {type} from {peer}",
            name=login.credential,
            account=login.account,
            type=session.bind_type,
            peer=session.peer,
        )
        self.binds.bound(session)
        self._admitted[session] = self._doors.proof(login)
        if session.receives:
            self._handover.bound(session)

    def unbound(self, session: EsmeSession) -> None:
        """See ``Gate``."""
        login = session.login
        _log.info(
            "esme {name} ({account}) from {peer} is gone: {reason}",
            name=login.credential,
            account=login.account,
            peer=session.peer,
            reason=session.close_reason,
        )
        self.binds.unbound(session)
        self._admitted.pop(session, None)
        self._handover.unbound(session)

    def review(self, tables: Tables) -> None:
        """The provisioning has changed, or an account has expired: whose login could no longer bind
        as it did is unbound, others stay."""
        now_ms = self._now() * 1000
        for session, proof in list(self._admitted.items()):
            login = session.login
            found = tables.credentials.get((login.kind, login.credential))
            place = tables.standing.get(login.account)
            if (
                found is None
                or place is None
                or found[0].name != login.account
                or place.suspended
                or place.expires_at <= now_ms
                or not login_of(found[0], found[1], place).may_bind(session.bind_type)
                or found[1].password_hash != proof
                or found[1].certificate != login.certificate
                or not (session.called_as or self._doors.admits(found[2], session.peer))
            ):
                _log.info("esme {name}: its login is no longer good", name=login.credential)
                session.unbind()

    def submit(self, session: EsmeSession, pdus: list[SubmitSm]) -> None:
        """See ``Gate``: what the fields already rule out is refused here, the rest is for
        ``accept``."""
        now_ms = int(self._now() * 1000)
        refused: list[SubmitSmResp] = []
        messages: list[Message] = []
        sequences: list[int] = []
        replacing: list[tuple[int, Message]] = []
        for pdu in pdus:
            message = translate.message_of(pdu, now_ms, session.profile.any_coding)
            if pdu.schedule_delivery_time or pdu.validity_period or pdu.replace_if_present_flag:
                message = within_profile(message, pdu, session.profile, now_ms)
            if isinstance(message, Refusal):
                status = session.profile.status(message.reason)
                refused.append(SubmitSmResp(sequence=pdu.sequence, status=status))
                self._acceptance.count(message.reason, 1)
            else:
                if session.version < _V34:
                    message.alias = self._submissions.next_alias(now_ms)
                if pdu.replace_if_present_flag:
                    replacing.append((pdu.sequence, message))
                    continue
                messages.append(message)
                sequences.append(pdu.sequence)
        if refused:
            session.answer(refused)
        if messages:
            done = self._acceptance.accept(session.login, messages)
            done.addCallback(self._answer, session, sequences)
        # After the others, so that one of them may be what is replaced.
        for sequence, message in replacing:
            done = self._submitted.replacing(session.login, message)
            done.addCallback(self._answer, session, [sequence])

    def send(self, session: EsmeSession, pdus: list[SubmitMulti | DataSm]) -> None:
        """See ``Gate``."""
        self._submissions.send(session, pdus)

    def ask(self, session: EsmeSession, pdus: list[Asked]) -> None:
        """See ``Gate``."""
        self._submitted.ask(session, pdus)

    def _answer(self, outcomes: list[Outcome], session: EsmeSession, sequences: list[int]) -> None:
        login = session.login
        id_format = self._wordings.receipts(login.account, login.profile)[0]
        id_text = translate.id_text
        answers = []
        for outcome, sequence in zip(outcomes, sequences, strict=True):
            if isinstance(outcome, Refusal):
                status = session.profile.status(outcome.reason)
                answers.append(SubmitSmResp(sequence=sequence, status=status))
            else:
                name = id_text(outcome, id_format).encode()
                answers.append(SubmitSmResp(sequence=sequence, message_id=name))
        session.answer(answers)

    def delivered(self, session: EsmeSession, answers: list[tuple[object, int | None]]) -> None:
        """See ``Gate``."""
        self._handover.delivered_to(session, answers)

    def sessions(self) -> dict[str, int]:
        """For operators: bound sessions by account."""
        counts: dict[str, int] = {}
        for session in self.binds.all():
            counts[session.login.account] = counts.get(session.login.account, 0) + 1
        return counts
