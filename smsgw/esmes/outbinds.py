"""Clients that are called: when something waits for an account and nobody is bound to receive it,
its client is connected to and asked by outbind to bind.

Theory of operation. Every second, and only if some login has an ``outbind``, ``review`` looks at
each of them: at the queue of its account, its sessions, and what became of the last call. The
connection is a session like any other: it is served by ``EsmeSession``, which knows that it was
called. A call in vain is repeated, later each time.
"""

from collections.abc import Callable
from typing import Any, Protocol

from attrs import define, field
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw.config import Config
from smsgw.esmes.gate import Esmes
from smsgw.flow.targets import account_queue
from smsgw.outward import endpoint_to, why
from smsgw.provisioning import Account, Credential
from smsgw.provisioning.outbind import split
from smsgw.rules.tables import Tables
from smsgw.smpp.connection import SmppConnection
from smsgw.smpp.esme import EsmeSession
from smsgw.smpp.pdu import Outbind
from smsgw.smpp.profile import STANDARD, Profile
from smsgw.smpp.server import SmppServerFactory
from smsgw.smpp.states import BOUND
from smsgw.smpp.trace import Traces

_log = Logger()

REVIEW_S = 1.0
WAIT_S = 5.0  # after the first call in vain, and between two calls at least
MOST_WAIT_S = 300.0


class Waiting(Protocol):
    """What the queues tell."""

    def waiting(self, queue: str) -> int:
        """How many entries the queue has."""


@define(eq=False)
class Call:
    """How one login is called, and how that went."""

    state: str = ""  # "", "connecting", "outbound", "bound", "waiting"
    reason: str = ""  # of the last call in vain
    at: float = 0.0  # not before; reactor seconds
    vain: int = 0
    connecting: "Deferred[Any] | None" = None
    connection: SmppConnection | None = None
    # Of this and of earlier calls, as long as they have connections.
    factories: list[SmppServerFactory] = field(factory=list)


class Outbinds:
    """Calls the clients of one gateway."""

    def __init__(
        self,
        config: Config,
        tables: Callable[[], Tables],
        esmes: Esmes,
        queues: Waiting,
        profile: Callable[[str], Profile],
        reactor: Any,
        traces: Traces | None = None,
    ) -> None:
        """``profile`` gives that of a name, with its settings."""
        self._config = config
        self._tables = tables
        self._esmes = esmes
        self._queues = queues
        self._profile = profile
        self._reactor = reactor
        self._traces = traces
        self._version = -1
        self._logins: list[tuple[Account, Credential]] = []
        self.calls: dict[str, Call] = {}  # by system_id
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor
        self.made = 0  # calls, for operators, since the start
        self.in_vain = 0

    def start(self) -> None:
        """Begin to look."""
        self._looking.start(REVIEW_S, now=False)

    def stop(self, seconds: float) -> "Deferred[Any]":
        """Call nobody any more, and end the sessions in order; fires when they have ended, after
        ``seconds`` at the latest.
        """
        if self._looking.running:
            self._looking.stop()
        calls, self.calls = list(self.calls.values()), {}
        for call in calls:
            if call.connecting is not None:
                call.connecting.cancel()
        return gatherResults([f.drain(seconds) for call in calls for f in call.factories])

    def shown(self, account: str) -> str:
        """For operators: how the calls of an account's clients stand; "" if none is going on."""
        calls = [
            self.calls[login.username]
            for form, login in self._logins
            if form.name == account and login.username in self.calls
        ]
        return ", ".join(
            f"{one.state}: {one.reason}" if one.reason else one.state
            for one in calls
            if one.state not in ("", "bound")
        )

    def _look(self) -> None:
        try:
            self.review()
        except Exception:
            _log.failure("outbind: review")

    def review(self) -> None:
        """Call those for whom something waits."""
        tables = self._tables()
        if tables.version != self._version:
            self._version = tables.version
            self._logins = [
                (account, login)
                for account in tables.accounts.values()
                for login in account.credential
                if login.outbind
            ]
            names = {login.username for _, login in self._logins}
            for name in [one for one in self.calls if one not in names]:
                if not self._under_way(name, self.calls[name]):
                    del self.calls[name]
        for account, login in self._logins:
            call = self.calls.setdefault(login.username, Call())
            if not self._under_way(login.username, call) and self._wanted(account, call):
                self._call(account, login, call)

    def _under_way(self, name: str, call: Call) -> bool:
        """True while the last call is not over; what became of it is noted."""
        call.factories = [one for one in call.factories if one.connections]
        if call.connecting is not None:
            return True
        if call.connection is None:
            return False
        session = call.connection.session
        if session.state in BOUND and call.state != "bound":
            call.state, call.reason, call.vain = "bound", "", 0
        if not session.ended:
            return True
        owner, call.connection = call.connection.owner, None
        if isinstance(owner, EsmeSession) and owner.bound_at:
            call.vain, call.reason = 0, ""
            call.state, call.at = "", self._reactor.seconds() + WAIT_S
        else:
            self._failed(name, call, session.ended)
        return False

    def _wanted(self, account: Account, call: Call) -> bool:
        """True if something waits for the account and none of its sessions can take it."""
        if self._reactor.seconds() < call.at:
            return False
        if not self._queues.waiting(account_queue(account.name)):
            return False
        if self._tables().standing[account.name].suspended:
            return False
        return not any(one.receives for one in self._esmes.binds.of(account.name))

    def _call(self, account: Account, login: Credential, call: Call) -> None:
        host, port = split(login.outbind)
        profile = self._profile(login.profile or STANDARD.name)
        factory = SmppServerFactory(
            self._esmes, profile, self._reactor, self._traces, called=login.username
        )
        call.factories.append(factory)
        self.made += 1
        call.state = "connecting"
        private = self._config.smpp.outbind_private
        call.connecting = endpoint_to(self._reactor, host, port, private).connect(factory)
        system_id = login.outbind_system_id or self._config.smpp.system_id

        def connected(connection: SmppConnection) -> None:
            call.connecting = None
            call.connection = connection
            if connection.session.ended:
                return
            call.state = "outbound"
            _log.info(
                "outbind: {name} ({account}) called at {where}",
                name=login.username,
                account=account.name,
                where=login.outbind,
            )
            connection.outbind(
                Outbind(system_id=system_id.encode(), password=login.outbind_password.encode())
            )

        def failed(failure: Failure) -> None:
            call.connecting = None
            fault = failure.value
            words = why(fault) if fault is not None else ""
            self._failed(login.username, call, words or failure.getErrorMessage())

        call.connecting.addCallbacks(connected, failed)

    def _failed(self, name: str, call: Call, reason: str) -> None:
        """A call was in vain; one line for each reason, however often it is repeated."""
        if self.calls.get(name) is not call:
            return  # given up at a stop
        self.in_vain += 1
        if reason != call.reason:
            _log.warn(
                "outbind: {name} called in vain: {reason}; called again while something waits",
                name=name,
                reason=reason,
            )
        call.state, call.reason = "waiting", reason
        wait = min(MOST_WAIT_S, WAIT_S * 2.0 ** min(call.vain, 10))
        call.vain += 1
        call.at = self._reactor.seconds() + wait
