"""Figures for Prometheus, read from plain numbers when they are asked for: the hot path pays an
addition.

Series are bounded: accounts after the first ``MOST`` are counted together under ``others``, and
queues that are not of a carrier under their kind.
"""

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from smsgw.figures import Histogram
from smsgw.message import MessageState

if TYPE_CHECKING:
    from smsgw.service import Gateway

MOST = 1_000  # accounts with series of their own
OTHERS = "(others)"  # no account can have this name
_Labels = tuple[str, ...]
_Values = Mapping[Any, float]  # by label values: tuples of as many as there are labels


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
        yield from self._accounts()
        yield from self._queues()
        yield from self._journal()
        yield from self._node()

    def _messages(self) -> Iterator[Metric]:
        acceptance = self._gateway.acceptance
        yield _counters(
            "smsgw_messages_accepted",
            "Messages acknowledged to their submitter.",
            ("account", "interface"),
            self._by_account(acceptance.accepted),
        )
        yield _counters(
            "smsgw_parts_accepted",
            "Parts of the messages accepted.",
            ("account",),
            self._by_account({(name,): n for name, n in acceptance.parts.items()}),
        )
        yield _counters(
            "smsgw_messages_refused",
            "Messages refused.",
            ("reason",),
            {(reason.name.lower(),): n for reason, n in acceptance.refused.items()},
        )
        yield _counters(
            "smsgw_optout_words",
            "Words of handsets that were obeyed: stop, start, help.",
            ("word",),
            {(keyword.value,): n for keyword, n in self._gateway.optouts.obeyed.items()},
        )
        yield _counters(
            "smsgw_messages_ended",
            "Messages that reached a last state.",
            ("carrier", "state"),
            _by_state(self._gateway.settlement.ended),
        )
        yield _histogram(
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
            yield _counters(f"smsgw_carrier_{name}", words, ("carrier",), _single(values))
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
            yield _gauges(f"smsgw_carrier_{name}", words, ("carrier",), _single(figures))

    def _accounts(self) -> Iterator[Metric]:
        g = self._gateway
        sessions = {(name,): n for name, n in g.esmes.sessions().items()}
        yield _gauges("smsgw_sessions", "Bound ESMEs.", ("account",), self._by_account(sessions))
        for name, words, value in (
            ("smsgw_handovers", "Receipts and MO handed over.", g.handover.delivered),
            ("smsgw_handovers_refused", "Refused by the account.", g.handover.refused),
            ("smsgw_handovers_unanswered", "The account did not answer.", g.handover.unanswered),
            ("smsgw_mo_accepted", "MO stored for an account.", g.inbound.received),
            ("smsgw_mo_nobodys", "MO for numbers of no account.", g.inbound.nobodys),
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
        yield _counters(
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
            by_queue = {queue: float(found[n]) for queue, found in resident.items()}
            yield _gauges(f"smsgw_queue_{name}", words, ("queue",), _by_queue(by_queue))
        sampled = g.sampler.queues
        waiting = {one.name: float(one.waiting) for one in sampled}
        due = {one.name: float(one.due) for one in sampled}
        now_ms = time.time() * 1000
        ages = {one.name: max(0.0, now_ms - one.oldest) / 1000 for one in sampled}
        for name, words, values in (
            ("waiting", "Entries in the store, those of later times too.", _by_queue(waiting)),
            ("due", "Entries in the store whose time has come.", _by_queue(due)),
            (
                "oldest_seconds",
                "For how long the oldest entry has been due.",
                _by_queue(ages, largest=True),
            ),
        ):
            yield _gauges(f"smsgw_queue_{name}", words, ("queue",), values)
        yield GaugeMetricFamily(
            "smsgw_dead_letters", "Handovers that were given up and kept.", value=g.sampler.dead
        )

    def _journal(self) -> Iterator[Metric]:
        journal = self._gateway.journal
        for name, words, value in (
            ("smsgw_journal_transactions", "Commits.", journal.transactions),
            ("smsgw_journal_changes", "Changes committed.", journal.changes),
            ("smsgw_journal_failures", "Commits that failed.", journal.failures),
        ):
            yield CounterMetricFamily(name, words, value=value)
        yield _histogram("smsgw_journal_commit_changes", "Changes of a commit.", journal.sizes)
        yield _histogram("smsgw_journal_commit_seconds", "Time that it took.", journal.durations)

    def _node(self) -> Iterator[Metric]:
        g = self._gateway
        answered: dict[_Labels, float] = {}
        for site in g.listeners.sites:
            for (dialect, status), n in site.answered.items():
                labels = dialect or "none", str(status)
                answered[labels] = answered.get(labels, 0) + n
        yield _counters("smsgw_http_answers", "HTTP answers.", ("dialect", "status"), answered)
        binds = g.esmes.binds
        for name, words, count in (
            ("probed_sessions", "Sessions asked for a sign of life.", binds.probed),
            ("early_binds", "Binds too soon after a broken connection.", binds.early),
        ):
            yield CounterMetricFamily(f"smsgw_{name}", words, value=count)
        yield _histogram(
            "smsgw_reactor_lag_seconds", "How late the reactor called back.", g.sampler.lag
        )
        yield GaugeMetricFamily(
            "smsgw_provisioning_version", "Version in force.", value=g.tables.version
        )

    def _by_account(self, values: _Values) -> dict[_Labels, float]:
        """``values``, whose first label is an account, with those of many accounts summed up.

        An account that has a series keeps it, so that counters never fall.
        """
        result: dict[_Labels, float] = {}
        for (account, *rest), value in values.items():
            if account not in self._named:
                if len(self._named) < MOST:
                    self._named.add(account)
                else:
                    account = OTHERS
            labels = account, *rest
            result[labels] = result.get(labels, 0) + value
        return result


def _by_state(values: Mapping[tuple[str, int], int]) -> dict[_Labels, float]:
    return {(carrier, MessageState(state).stat): n for (carrier, state), n in values.items()}


def _single(values: Mapping[str, float]) -> dict[_Labels, float]:
    return {(name,): value for name, value in values.items()}


def _by_queue(values: Mapping[str, float], largest: bool = False) -> dict[_Labels, float]:
    """Those of carriers by name; others, of which there are many and whose names tell of
    customers' addresses, by their kind."""
    result: dict[_Labels, float] = {}
    for queue, value in values.items():
        kind = queue.partition(":")[0]
        labels = (queue if kind == "carrier" else kind,)
        before = result.get(labels, 0.0)
        result[labels] = max(before, value) if largest else before + value
    return result


def _counters(name: str, words: str, labels: _Labels, values: _Values) -> CounterMetricFamily:
    family = CounterMetricFamily(name, words, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _gauges(name: str, words: str, labels: _Labels, values: _Values) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, words, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _histogram(name: str, words: str, values: Histogram) -> HistogramMetricFamily:
    total = 0
    buckets = []
    for bound, count in zip([*map(str, values.bounds), "+Inf"], list(values.counts), strict=True):
        total += count
        buckets.append((bound, total))
    return HistogramMetricFamily(name, words, buckets=buckets, sum_value=values.sum)
