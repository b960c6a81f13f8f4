"""What a gateway listens on: SMPP, HTTP for customers, HTTP for operators."""

import errno
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from attrs import evolve
from twisted.internet.defer import DeferredList, gatherResults
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from smsgw.certificates import Certificates, endpoint_of
from smsgw.config import SmppListener
from smsgw.http import admin, relay, relay_sending, rest, smscgi, websmpp
from smsgw.http.server import HttpServerFactory
from smsgw.http.site import Site, misdirected
from smsgw.preface import PrefaceFactory
from smsgw.smpp.profile import PROFILES
from smsgw.smpp.server import SmppServerFactory

if TYPE_CHECKING:
    from smsgw.service import Gateway

_log = Logger()


class CannotStart(Exception):
    """The gateway cannot start; the text is one line that says why and what to do."""


class Listeners:
    """All endpoints of one gateway."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._ports: list[IListeningPort] = []
        self._smpp: list[SmppServerFactory] = []
        self._http: list[HttpServerFactory] = []
        self.sites: list[Site] = []  # that are served, for their figures
        self.accesses: list[admin.Access] = []  # of the operators' endpoints
        self.open = False  # all of them listen

    async def start(self) -> None:
        """Listens on all of them; raises CannotStart."""
        gateway = self._gateway
        config = gateway.config
        for listener in config.smpp.listen:
            profile = evolve(
                PROFILES[listener.profile],
                system_id=config.smpp.system_id.encode(),
                **self._profile_settings(listener.profile),
            )
            factory = SmppServerFactory(gateway.esmes, profile, gateway.reactor, gateway.traces)
            await self._open(listener.endpoint, self._prefaced(listener, factory), "smpp.listen")
            self._smpp.append(factory)
        served = self._dialects()
        customers = Site()
        for dialect in config.http.dialects:
            served[dialect](customers)
        for own in config.http.site:
            site = Site()
            for dialect in own.dialects:
                served[dialect](site)
            if not own.listen:
                customers.hosts.update(dict.fromkeys(own.hosts, site))
                continue
            if own.hosts:
                site, shown = Site(misdirected), site
                site.hosts.update(dict.fromkeys(own.hosts, shown))
            await self._show(site, own.listen, "http.site.listen")
        await self._show(customers, config.http.listen, "http.listen")
        for endpoint in config.http.admin:
            await self._open_admin(endpoint)
        self.open = True

    def _dialects(self) -> dict[str, Callable[[Site], None]]:
        """By their names in the configuration, what adds each dialect to a site."""
        gateway = self._gateway
        config, acceptance = gateway.config, gateway.acceptance
        a_rest = rest.Rest(config, gateway.current, gateway.doors, acceptance, gateway)
        script = smscgi.SmsCgi(
            config, gateway.current, gateway.doors, acceptance, gateway.pending.received
        )
        tables, doors, balances = gateway.current, gateway.doors, gateway.balances
        allot = gateway.identities.allot
        a_websmpp = websmpp.WebSmpp(
            config, tables, doors, acceptance, gateway, gateway, balances, allot, gateway.reactor
        )
        a_relay = relay.Relay(config, tables, doors, gateway, allot)
        sending = relay_sending.RelaySending(config, tables, doors, acceptance, balances)

        def add_relay(site: Site) -> None:
            relay.add(site, a_relay)
            relay_sending.add(site, sending)

        return {
            "websmpp": lambda site: websmpp.add(site, a_websmpp),
            "relay": add_relay,
            "rest": lambda site: rest.add(site, a_rest),
            "sms.cgi": lambda site: smscgi.add(site, script),
        }

    async def _show(self, site: Site, endpoints: Sequence[str], key: str) -> None:
        """Shows a site to whoever connects to one of the endpoints."""
        self.sites.append(site)
        server = HttpServerFactory(site, self._gateway.reactor)
        self._http.append(server)
        for endpoint in endpoints:
            await self._open(endpoint, server, key)

    async def close(self) -> None:
        """Takes no new connection on any."""
        self.open = False
        closing = [port.stopListening() for port in self._ports]
        await DeferredList([d for d in closing if d is not None], consumeErrors=True)

    async def drain(self, seconds: float) -> None:
        """Ends the connections, each when what is under way is answered: so long for ESMEs, and so
        long again for HTTP."""
        await gatherResults([factory.drain(seconds) for factory in self._smpp])
        await gatherResults([server.drain(seconds) for server in self._http])

    async def _open_admin(self, endpoint: str) -> None:
        site = Site()
        access = admin.Access(lambda: self._gateway.tables.provisioning.operators)
        self.accesses.append(access)
        admin.add(site, self._gateway.operator, self._gateway.metrics.registry, access)
        server = HttpServerFactory(site, self._gateway.reactor)
        host = await self._open(endpoint, server, "http.admin")
        self._http.append(server)
        self.sites.append(site)
        access.loopback = bool(host) and ip_address(host).is_loopback
        if access.bare:
            _log.info(
                "http.admin: {endpoint}: there is no operator yet, so whoever is on this machine "
                "may do everything; make one with: smsgw token NAME --role admin --apply",
                endpoint=endpoint,
            )
        elif host and not access.loopback and not endpoint.startswith("ssl:"):
            _log.warn(
                "http.admin: {endpoint} is open to other machines, and tokens cross the network "
                "in the clear; use an ssl: endpoint, or add :interface=127.0.0.1",
                endpoint=endpoint,
            )

    def _prefaced(self, listener: SmppListener, factory: SmppServerFactory) -> Factory:
        """With what its connections begin with, if anything."""
        tls = None
        if listener.tls != "off":
            try:
                tls = Certificates(
                    listener.private_key or listener.certificate,
                    listener.certificate,
                    client_ca=listener.client_ca,
                    client_required=listener.client_certificate == "required",
                )
            except Exception as error:  # of several libraries
                raise CannotStart(
                    f"smpp.listen: TLS of {listener.endpoint}: {error or type(error).__name__}; "
                    "mend certificate, private_key, client_ca"
                ) from error
        elif not listener.proxy:
            return factory
        return PrefaceFactory(
            factory,
            self._gateway.reactor,
            proxies=listener.proxy_from if listener.proxy else None,
            tls=tls,
            plain=listener.tls != "always",
        )

    def _profile_settings(self, profile: str) -> dict[str, Any]:
        if profile == "link":
            link = self._gateway.config.link
            return {
                "idle_s": float(link.idle_close_s),
                "enquire_after_s": link.enquire_after_s,
                "idle_unbind": link.idle_unbind,
                "accept_v33": link.accept_v33,
                "failed_binds": 1 if link.close_on_auth_fail else 3,
            }
        if profile == "websmpp":
            return {"strict_system_type": self._gateway.config.ams.strict_system_type}
        if profile == "standard":
            return {"vendor_statuses": self._gateway.config.aerialink.smpp_vendor_status}
        return {}

    async def _open(self, endpoint: str, factory: Any, key: str) -> str:
        """Listens; the address that it listens on, "" for a unix socket."""
        try:
            port = await endpoint_of(self._gateway.reactor, endpoint).listen(factory)
        except Exception as error:
            why = getattr(error, "socketError", None) or error
            taken = getattr(why, "errno", 0) == errno.EADDRINUSE
            remedy = "stop what uses it, or change the endpoint" if taken else "mend the endpoint"
            raise CannotStart(f"{key}: cannot listen on {endpoint}: {why}; {remedy}") from error
        self._ports.append(port)
        _log.info("{key}: listening on {endpoint}", key=key, endpoint=endpoint)
        return getattr(port.getHost(), "host", "")
