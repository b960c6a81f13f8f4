"""What a gateway listens on: SMPP, HTTP for customers, HTTP for operators."""

import errno
from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from attrs import evolve
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from smsgw.certificates import Certificates, endpoint_of
from smsgw.config import Http, HttpSite, SmppListener
from smsgw.flow.callers import CarrierCallers
from smsgw.http import admin, relay, relay_sending, rest, smscgi, websmpp
from smsgw.http.pages import Pages
from smsgw.http.rest_media import Attachments
from smsgw.http.server import HttpServerFactory, Uploads
from smsgw.http.site import Site, misdirected
from smsgw.preface import PrefaceFactory
from smsgw.smpp.outbind import OutbindFactory
from smsgw.smpp.profile import PROFILES, Profile
from smsgw.smpp.server import SmppServerFactory
from smsgw.smtp.peers import Peers
from smsgw.smtp.server import SmtpServerFactory

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
        self.smtp: list[SmtpServerFactory] = []
        self._uploads = Uploads(gateway.media.spool, gateway.media.run)
        self._attachments: Attachments | None = None
        self._pages = Pages(
            gateway.journal, gateway.message, gateway.media, gateway.settlement, gateway.queues
        )
        self.callers = CarrierCallers(gateway.current, lambda: gateway.carriers.sides)
        self.calls: list[OutbindFactory] = []  # of carriers, by outbind
        self.sites: list[Site] = []  # that are served, for their figures
        self.accesses: list[admin.Access] = []  # of the operators' endpoints
        self.open = False  # all of them listen

    async def start(self) -> None:
        """Listens on all of them; raises CannotStart."""
        gateway = self._gateway
        config = gateway.config
        roles = config.node.roles
        for listener in config.smpp.listen if "smpp" in roles else ():
            profile = self.profile(listener.profile)
            factory = SmppServerFactory(gateway.esmes, profile, gateway.reactor, gateway.traces)
            await self._open(listener.endpoint, self._prefaced(listener, factory), "smpp.listen")
            self._smpp.append(factory)
        for endpoint in config.smpp.outbind_listen if "carriers" in roles else ():
            calls = OutbindFactory(self.callers, gateway.reactor)
            await self._open(endpoint, calls, "smpp.outbind_listen")
            self.calls.append(calls)
        if "http" in roles:
            await self._open_http()
        for endpoint in config.http.admin:
            await self._open_admin(endpoint)
        if "smtp" in roles:
            await self._open_smtp()
        self.open = True

    async def _open_http(self) -> None:
        config = self._gateway.config
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
            await self._show(site, own, "http.site.listen")
        await self._show(customers, config.http, "http.listen")

    def _dialects(self) -> dict[str, Callable[[Site], None]]:
        """By their names in the configuration, what adds each dialect to a site."""
        gateway = self._gateway
        config, acceptance = gateway.config, gateway.acceptance
        private = config.aerialink.allow_private_callbacks
        self._attachments = Attachments(gateway.media, gateway.reactor, private)
        a_rest = rest.Rest(
            config,
            gateway.current,
            gateway.doors,
            acceptance,
            gateway,
            attachments=self._attachments,
        )
        script = smscgi.SmsCgi(
            config, gateway.current, gateway.doors, acceptance, gateway.pending.received
        )
        tables, doors, balances = gateway.current, gateway.doors, gateway.balances
        allot = gateway.identities.allot
        a_websmpp = websmpp.WebSmpp(
            config, tables, doors, acceptance, gateway, gateway, balances, allot, gateway.reactor
        )
        a_relay = relay.Relay(
            config, tables, doors, gateway, allot, draining=lambda: acceptance.draining
        )
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

    async def _show(self, site: Site, where: Http | HttpSite, key: str) -> None:
        """Shows a site to whoever connects to one of the endpoints."""
        for one in {id(s): s for s in (site, *site.hosts.values())}.values():
            self._pages.add(one)
        self.sites.append(site)
        server = HttpServerFactory(site, self._gateway.reactor, uploads=self._uploads)
        self._http.append(server)
        for endpoint in where.listen:
            factory: Factory = server
            if where.proxy:
                factory = PrefaceFactory(server, self._gateway.reactor, proxies=where.proxy_from)
            await self._open(endpoint, factory, key)

    async def close(self) -> None:
        """Takes no new connection on any."""
        self.open = False
        for calls in self.calls:
            calls.stop()
        closing = [port.stopListening() for port in self._ports]
        await DeferredList([d for d in closing if d is not None], consumeErrors=True)

    async def drain(self, seconds: float) -> None:
        """Ends the connections, each when what is under way is answered: so long for ESMEs, and so
        long again for HTTP."""
        await gatherResults([factory.drain(seconds) for factory in self._smpp])
        await gatherResults([server.drain(seconds) for server in self._http])
        if self._attachments is not None:
            await self._attachments.stop()
        await gatherResults([Deferred.fromCoroutine(server.drain(seconds)) for server in self.smtp])

    async def _open_smtp(self) -> None:
        """One server on all endpoints, so that its bounds hold for all of them together."""
        gateway = self._gateway
        smtp = gateway.config.smtp
        domains = {one.lower() for one in (smtp.domains.mm4, smtp.domains.sms) if one}
        if not domains or not smtp.listen:
            return
        try:
            key = smtp.private_key or smtp.certificate
            tls = Certificates(key, smtp.certificate, client_ca=smtp.client_ca)
        except Exception as error:  # of several libraries
            if smtp.certificate:
                raise CannotStart(
                    f"smtp.certificate: {error or type(error).__name__}; "
                    "mend certificate, private_key, client_ca"
                ) from error
            tls = None
        server = SmtpServerFactory(
            Peers(gateway.current, gateway.doors, smtp.reply_from),
            gateway.receive_mail,
            gateway.refused_recipient,
            host=smtp.domains.mm4 or smtp.domains.sms,
            domains=domains,
            clock=gateway.reactor,
            spool=gateway.media.spool,
            tls=tls,
            asks_certificate=bool(smtp.client_ca),
            allow_plain_auth=gateway.config.mm4.allow_plain_auth,
            max_size=smtp.max_size,
            connections=smtp.connections,
            peer_connections=smtp.peer_connections,
            overloaded=lambda: bool(gateway.journal.failing),
            run=gateway.media.run,
        )
        self.smtp.append(server)
        factory: Factory = server
        if smtp.proxy:
            factory = PrefaceFactory(server, gateway.reactor, proxies=smtp.proxy_from)
        for endpoint in smtp.listen:
            await self._open(endpoint, factory, "smtp.listen", smtp.client_ca)

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

    def profile(self, name: str) -> Profile:
        """A profile as the configuration has it."""
        return evolve(
            PROFILES[name],
            system_id=self._gateway.config.smpp.system_id.encode(),
            **self._profile_settings(name),
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

    async def _open(self, endpoint: str, factory: Any, key: str, client_ca: str = "") -> str:
        """Listens; the address that it listens on, "" for a unix socket."""
        try:
            port = await endpoint_of(self._gateway.reactor, endpoint, client_ca).listen(factory)
        except Exception as error:
            why = getattr(error, "socketError", None) or error
            taken = getattr(why, "errno", 0) == errno.EADDRINUSE
            remedy = "stop what uses it, or change the endpoint" if taken else "mend the endpoint"
            raise CannotStart(f"{key}: cannot listen on {endpoint}: {why}; {remedy}") from error
        self._ports.append(port)
        _log.info("{key}: listening on {endpoint}", key=key, endpoint=endpoint)
        return getattr(port.getHost(), "host", "")
