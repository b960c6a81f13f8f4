"""Figures for Prometheus, read from plain numbers when they are asked for: the hot path pays an
addition.

Series are bounded: accounts after the first ``MOST`` are counted together under ``others``, and
queues that are not of a carrier under their kind.
"""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from smsgw.operate.families import (
    Labels,
    Values,
    by_queue,
    by_state,
    counters,
    gauges,
    histogram,
    single,
)
from smsgw.queues.broker import BrokerQueues
from smsgw.queues.wire import BrokerWire
from smsgw.smtp.client import Result

if TYPE_CHECKING:
    from smsgw.service import Gateway

MOST = 1_000  # accounts with series of their own
OTHERS = "(others)"  # no account can have this name


class Metrics(Collector):
    """A registry of its own with the gateway's figures and those of the process."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._named: set[str] = set()  # accounts with series of their own
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.registry.register(self)

    def describe(self) -> list[Metric]:
        """No look at the figures while they are registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All figures of the gateway."""
        yield from self._messages()
        yield from self._carriers()
        yield from self._mmscs()
        yield from self._mail()
        yield from self._accounts()
        yield from self._queues()
        yield from self._journal()
        yield from self._node()

    def _messages(self) -> Iterator[Metric]:
        acceptance = self._gateway.acceptance
        yield counters(
            "smsgw_messages_accepted",
            "Messages acknowledged to their submitter.",
            ("account", "interface"),
            self._by_account(acceptance.accepted),
        )
        yield counters(
            "smsgw_parts_accepted",
            "Parts of the messages accepted.",
            ("account",),
            self._by_account({(name,): n for name, n in acceptance.parts.items()}),
        )
        yield counters(
            "smsgw_messages_refused",
            "Messages refused.",
            ("reason",),
            {(reason.name.lower(),): n for reason, n in acceptance.refused.items()},
        )
        yield counters(
            "smsgw_optout_words",
            "Words of handsets that were obeyed: stop, start, help.",
            ("word",),
            {(keyword.value,): n for keyword, n in self._gateway.optouts.obeyed.items()},
        )
        yield counters(
            "smsgw_messages_ended",
            "Messages that reached a last state.",
            ("carrier", "state"),
            by_state(self._gateway.settlement.ended),
        )
        yield histogram(
            "smsgw_accept_seconds",
            "Until a batch of accepted messages was durable.",
            acceptance.waited,
        )

    def _carriers(self) -> Iterator[Metric]:
        g = self._gateway
        sides = g.carriers.sides
        for name, words, values in (
            ("submits", "submit_sm sent.", {n: s.sent for n, s in sides.items()}),
            ("refusals", "Answers with an error.", {n: s.refused for n, s in sides.items()}),
            ("unanswered", "No answer came.", {n: s.unanswered for n, s in sides.items()}),
            (
                "throttlings",
                "Slowed down by the carrier.",
                {n: s.throttled for n, s in sides.items()},
            ),
            ("receipts", "Receipts received.", {n: s.receipts_received for n, s in sides.items()}),
            ("mo", "MO received.", {n: s.mo_received for n, s in sides.items()}),
        ):
            yield counters(f"smsgw_carrier_{name}", words, ("carrier",), single(values))
        for name, words, figures in (
            (
                "links_up",
                "Links bound.",
                {n: sum(link.up for link in s.links) for n, s in sides.items()},
            ),
            ("links", "Links that there should be.", {n: len(s.links) for n, s in sides.items()}),
            (
                "outstanding",
                "submit_sm not settled yet.",
                {n: s.outstanding for n, s in sides.items()},
            ),
            (
                "window",
                "submit_sm that may be outstanding on all links.",
                {n: s.form.window * len(s.links) for n, s in sides.items()},
            ),
            (
                "delivery_rate",
                "Share of recent final receipts that say delivered, 0 to 1.",
                {n: g.tables.rates.of(n) for n in sides},
            ),
        ):
            yield gauges(f"smsgw_carrier_{name}", words, ("carrier",), single(figures))

    def _mmscs(self) -> Iterator[Metric]:
        g = self._gateway
        sides = g.mmscs.sides
        heard = {**g.mm4_answers.elsewhere, **sides}  # some are mailed to by other nodes
        for name, words, values in (
            ("mails", "Mails with a message.", {n: s.sent for n, s in sides.items()}),
            ("refusals", "Messages refused for good.", {n: s.refused for n, s in sides.items()}),
            (
                "unanswered",
                "Mails that no response came to in time.",
                {n: s.unanswered for n, s in sides.items()},
            ),
            ("responses", "Responses received.", {n: s.responses for n, s in heard.items()}),
            (
                "reports",
                "Delivery reports and read replies received.",
                {n: s.reports for n, s in heard.items()},
            ),
        ):
            yield counters(f"smsgw_mm4_{name}", words, ("carrier",), single(values))
        for name, words, figures in (
            (
                "up",
                "1 if it was reached when it was tried last; absent before it was tried.",
                {n: s.up for n, s in sides.items() if s.since},
            ),
            ("outstanding", "Mails under way.", {n: s.outstanding for n, s in sides.items()}),
        ):
            yield gauges(f"smsgw_mm4_{name}", words, ("carrier",), single(figures))
        yield CounterMetricFamily(
            "smsgw_mm4_unmatched",
            "Responses and reports of no known message.",
            value=g.mm4_answers.unmatched,
        )

    def _mail(self) -> Iterator[Metric]:
        g = self._gateway
        servers = g.listeners.smtp
        refusals: dict[Labels, float] = {}
        for server in servers:
            for code, n in server.refusals.items():
                refusals[(str(code),)] = refusals.get((str(code),), 0) + n
        yield counters("smsgw_smtp_refusals", "Answers of 4yz and 5yz.", ("code",), refusals)
        for name, words, value in (
            ("opened", "Connections of clients.", sum(one.opened_ever for one in servers)),
            ("mails", "Mails taken.", sum(one.accepted for one in servers)),
            ("logins_failed", "AUTH refused.", sum(one.failed_logins for one in servers)),
        ):
            yield CounterMetricFamily(f"smsgw_smtp_{name}", words, value=value)
        yield GaugeMetricFamily(
            "smsgw_smtp_connections",
            "Clients that are connected.",
            value=sum(len(one.connections) for one in servers),
        )
        yield counters(
            "smsgw_smtp_sent",
            "Recipients of mails to MMSCs and mail servers, by what became of them.",
            ("result",),
            {(one.value,): g.exchange.results[one] for one in Result},
        )
        states = g.exchange.states
        yield GaugeMetricFamily(
            "smsgw_smtp_out_waiting", "Mails that wait for a connection.", value=states["waiting"]
        )
        yield gauges(
            "smsgw_smtp_out_connections",
            "Connections to MMSCs and mail servers.",
            ("state",),
            {(one,): states[one] for one in ("connecting", "busy", "idle")},
        )
        yield CounterMetricFamily(
            "smsgw_media_removed",
            "Files of media that were collected.",
            value=g.collector.removed,
        )

    def _accounts(self) -> Iterator[Metric]:
        g = self._gateway
        sessions = {(name,): n for name, n in g.esmes.sessions().items()}
        yield gauges("smsgw_sessions", "Bound ESMEs.", ("account",), self._by_account(sessions))
        for name, words, value in (
            ("smsgw_handovers", "Receipts and MO handed over.", g.handover.delivered),
            ("smsgw_handovers_refused", "Refused by the account.", g.handover.refused),
            ("smsgw_handovers_unanswered", "The account did not answer.", g.handover.unanswered),
            ("smsgw_mo_accepted", "MO stored for an account.", g.inbound.received),
            ("smsgw_mo_nobodys", "MO for numbers of no account.", g.inbound.nobodys),
            ("smsgw_alerts_received", "alert_notification of carriers.", g.alerts.received),
            ("smsgw_alerts_nobodys", "Those for numbers of no account.", g.alerts.nobodys),
            ("smsgw_mo_joined", "Long MO joined of their parts.", g.inbound.joining.joined),
            (
                "smsgw_mo_parts_unjoined",
                "Parts of MO that went on without the rest (998).",
                g.inbound.joining.unjoined,
            ),
            ("smsgw_receipts_matched", "Receipts matched.", g.awaited.matched),
            ("smsgw_receipts_unmatched", "Receipts of no known message.", g.awaited.unmatched),
            (
                "smsgw_logins_failed",
                "Logins and tokens refused.",
                g.doors.failed + sum(one.failed for one in g.listeners.accesses),
            ),
        ):
            yield CounterMetricFamily(name, words, value=value)
        yield counters(
            "smsgw_deliveries",
            "Tries to bring something to a target that is no session.",
            ("target", "result"),
            g.deliveries.results,
        )
        yield GaugeMetricFamily(
            "smsgw_receipts_early", "Receipts without their response yet.", value=g.awaited.early
        )

    def _queues(self) -> Iterator[Metric]:
        g = self._gateway
        resident = g.queues.resident()
        for n, (name, words) in enumerate(
            (("ready", "Entries in memory."), ("taken", "Entries under way."))
        ):
            counted = {queue: float(found[n]) for queue, found in resident.items()}
            yield gauges(f"smsgw_queue_{name}", words, ("queue",), by_queue(counted))
        if g.wire is not None and isinstance(g.queues, BrokerQueues):
            yield from _broker(g.wire, g.queues)
        sampled = g.sampler.queues
        waiting = {one.name: float(one.waiting) for one in sampled}
        due = {one.name: float(one.due) for one in sampled}
        now_ms = time.time() * 1000
        ages = {one.name: max(0.0, now_ms - one.oldest) / 1000 for one in sampled}
        for name, words, values in (
            ("waiting", "Entries in the store, those of later times too.", by_queue(waiting)),
            ("due", "Entries in the store whose time has come.", by_queue(due)),
            (
                "oldest_seconds",
                "For how long the oldest entry has been due.",
                by_queue(ages, largest=True),
            ),
        ):
            yield gauges(f"smsgw_queue_{name}", words, ("queue",), values)
        yield GaugeMetricFamily(
            "smsgw_dead_letters", "Handovers that were given up and kept.", value=g.sampler.dead
        )

    def _journal(self) -> Iterator[Metric]:
        journal = self._gateway.journal
        for name, words, value in (
            ("smsgw_journal_transactions", "Commits.", journal.transactions),
            ("smsgw_journal_changes", "Changes committed.", journal.changes),
            ("smsgw_journal_failures", "Commits that failed.", journal.failures),
            (
                "smsgw_messages_removed",
                "Messages removed because they ended more than store.retention_days ago.",
                self._gateway.retention.removed,
            ),
        ):
            yield CounterMetricFamily(name, words, value=value)
        yield histogram("smsgw_journal_commit_changes", "Changes of a commit.", journal.sizes)
        yield histogram("smsgw_journal_commit_seconds", "Time that it took.", journal.durations)

    def _node(self) -> Iterator[Metric]:
        g = self._gateway
        answered: dict[Labels, float] = {}
        for site in g.listeners.sites:
            for (dialect, status), n in site.answered.items():
                labels = dialect or "none", str(status)
                answered[labels] = answered.get(labels, 0) + n
        yield counters("smsgw_http_answers", "HTTP answers.", ("dialect", "status"), answered)
        binds = g.esmes.binds
        for name, words, count in (
            ("probed_sessions", "Sessions asked for a sign of life.", binds.probed),
            ("early_binds", "Binds too soon after a broken connection.", binds.early),
            ("outbind_calls", "Clients called by outbind.", g.outbinds.made),
            ("outbind_calls_in_vain", "Those that did not bind.", g.outbinds.in_vain),
            (
                "outbinds_refused",
                "Calls of carriers that were refused.",
                sum(calls.refused for calls in g.listeners.calls),
            ),
        ):
            yield CounterMetricFamily(f"smsgw_{name}", words, value=count)
        yield histogram(
            "smsgw_reactor_lag_seconds", "How late the reactor called back.", g.sampler.lag
        )
        yield GaugeMetricFamily(
            "smsgw_provisioning_version", "Version in force.", value=g.tables.version
        )
        registry = g.registry
        alive, deaths = (len(registry.alive), registry.deaths) if registry is not None else (1, 0)
        yield GaugeMetricFamily("smsgw_nodes", "Nodes that live, as this one sees it.", value=alive)
        yield CounterMetricFamily(
            "smsgw_node_deaths", "Nodes that this one declared dead.", value=deaths
        )

    def _by_account(self, values: Values) -> dict[Labels, float]:
        """``values``, whose first label is an account, with those of many accounts summed up.

        An account that has a series keeps it, so that counters never fall.
        """
        result: dict[Labels, float] = {}
        for (account, *rest), value in values.items():
            if account not in self._named:
                if len(self._named) < MOST:
                    self._named.add(account)
                else:
                    account = OTHERS
            labels = account, *rest
            result[labels] = result.get(labels, 0) + value
        return result


def _broker(wire: BrokerWire, queues: BrokerQueues) -> Iterator[Metric]:
    for name, words, value in (
        ("up", "1 while both connections to the broker are there.", not wire.reason),
        ("blocked", "1 while the broker takes no batches.", wire.blocked),
        ("unconfirmed", "Batches that the broker has not answered for.", wire.unconfirmed),
        ("outbox_entries", "Entries that the broker has not got yet.", queues.outbox.entries),
    ):
        yield GaugeMetricFamily(f"smsgw_broker_{name}", words, value=float(value))
    for name, words, value in (
        ("published", "Batches that the broker has confirmed.", queues.outbox.published),
        ("failures", "Batches that had to be published again.", queues.outbox.failures),
        ("parked", "What came from the broker and was no batch.", wire.parked),
    ):
        yield CounterMetricFamily(f"smsgw_broker_{name}", words, value=float(value))
