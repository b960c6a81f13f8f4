"""Exchange: the MMSCs and mail servers that MM4 goes to, each with the connections to it.

Comes from: ``replies`` and the messengers, which name a peer. Goes on to: ``smtp.outgoing``.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from smsgw.config import Config
from smsgw.provisioning import Account, Carrier, Credential
from smsgw.rules.tables import Tables
from smsgw.smtp.client import Place, Result
from smsgw.smtp.outgoing import Outgoing, places_of

SYSTEM = "system-user"  # local part of our system address (spec/mm4.md §2)
_KEPT = 500  # destinations without a connection that are remembered
_SMTP = 25


def carrier_peer(name: str) -> str:
    """A carrier as a peer."""
    return f"carrier:{name}"


def customer_peer(account: str, login: str, domain: str) -> str:
    """A customer as a peer: the MMSC of its login (or of another of the account), else whoever
    takes the mail of ``domain``."""
    return f"customer:{account} {login} {domain.lower()}"


def mmsc_of(account: Account, login: str = "") -> Credential | None:
    """The login that names the MMSC of an account, that of ``login`` if it does; None if none
    does."""
    found = [one for one in account.credential if one.kind == "smtp" and one.domain]
    return next((one for one in found if one.username == login), found[0] if found else None)


class Exchange:
    """Gives the connections to each peer."""

    def __init__(self, config: Config, tables: Callable[[], Tables], reactor: Any) -> None:
        self._config = config.smtp
        self._private = config.mm4.allow_private_callbacks
        self._tables = tables
        self._reactor = reactor
        self._known: dict[tuple[Place, str], Outgoing] = {}
        # What a carrier's form comes to, which is asked for each mail.
        self._carriers: dict[str, tuple[Carrier, Outgoing]] = {}
        self._stopping = False
        self.results: Counter[Result] = Counter()  # of all mails, by recipient
        # For tests: a ``twisted.names`` resolver, and the port of mail exchangers.
        self.resolver: Any = None
        self.port = _SMTP

    @property
    def domain(self) -> str:
        """Our own MMS domain."""
        return self._config.domains.mm4.lower()

    @property
    def system(self) -> str:
        """Our system address."""
        return f"{SYSTEM}@{self.domain}"

    def of(self, peer: str) -> Outgoing | None:
        """The connections to a peer (``carrier_peer``, ``customer_peer``), None if it is gone."""
        kind, _, rest = peer.partition(":")
        tables = self._tables()
        if kind == "carrier":
            form = tables.carriers.get(rest)
            return self.to_carrier(form) if form is not None and form.kind == "mm4" else None
        name, login, domain = (*rest.split(" "), "", "")[:3]
        account = tables.accounts.get(name)
        return self.to_customer(account, login, domain) if account is not None else None

    def to_carrier(self, form: Carrier) -> Outgoing:
        """The connections to a carrier's MMSC."""
        kept = self._carriers.get(form.name)
        if kept is not None and kept[0] is form:
            return kept[1]
        place = Place(
            form.host,
            form.connect_port if form.host else form.port or self.port,
            tls=form.starttls,
            tls_ca=form.tls_ca,
            username=form.username if form.password else "",
            password=form.password,
            plain_login=form.starttls == "none",
            private=bool(form.host),
        )
        found = self._outgoing(place, form.domain)
        self._carriers[form.name] = form, found
        return found

    def to_customer(self, account: Account, login: str, domain: str) -> Outgoing | None:
        """The connections to an account's MMSC, or to whoever takes the mail of ``domain``."""
        mmsc = mmsc_of(account, login)
        if mmsc is not None:
            # An operator has named the host; a domain's exchangers are the world's to choose.
            port = mmsc.port if mmsc.host else self.port
            place = Place(mmsc.host, port, private=bool(mmsc.host) or self._private)
            return self._outgoing(place, mmsc.domain)
        config = self._config
        if config.relay:
            host, _, port_text = config.relay.rpartition(":")
            relay = Place(
                host.strip("[]"),
                int(port_text),
                tls=config.relay_tls,
                username=config.relay_username,
                password=config.relay_password,
                private=True,
            )
            return self._outgoing(relay, "")
        return (
            self._outgoing(Place("", self.port, private=self._private), domain) if domain else None
        )

    def _outgoing(self, place: Place, domain: str) -> Outgoing:
        key = place, domain.lower()
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _KEPT:
                self._known = {k: one for k, one in self._known.items() if one.connections}
                self._carriers.clear()
            found = self._known[key] = Outgoing(
                self._reactor,
                places_of(domain, place, self.resolver),
                self.domain,
                results=self.results,
            )
            if self._stopping:
                # For a mail that was being written meanwhile: it is refused for now, as by others.
                found.stop()
        return found

    @property
    def states(self) -> Counter[str]:
        """How many connections there are, by what they do; and how many mails wait for one."""
        found: Counter[str] = Counter(connecting=0, busy=0, idle=0, waiting=0)
        for one in self._known.values():
            found.update(one.states)
            found["waiting"] += one.waiting
        return found

    def stop(self) -> Deferred[Any]:
        """Ends all connections, and makes none any more; fires when there are none."""
        self._stopping = True
        return gatherResults([one.stop() for one in self._known.values()], consumeErrors=True)

    def abort(self) -> None:
        """Ends them at once."""
        for one in self._known.values():
            one.abort()
