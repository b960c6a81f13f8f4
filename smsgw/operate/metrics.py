"""Figures for Prometheus, read from plain integers when they are asked for: the hot path pays an
addition."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from smsgw.service import Gateway


class Metrics(Collector):
    """A registry of its own with the gateway's figures and those of the process."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
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
        g = self._gateway
        yield _counters(
            "smsgw_messages_accepted",
            "Messages acknowledged to their submitter.",
            "account",
            g.acceptance.accepted,
        )
        yield _counters(
            "smsgw_messages_refused",
            "Messages refused.",
            "reason",
            {reason.name.lower(): n for reason, n in g.acceptance.refused.items()},
        )
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
            yield _counters(f"smsgw_carrier_{name}", words, "carrier", values)
        yield _gauges(
            "smsgw_carrier_links_up",
            "Links bound.",
            "carrier",
            {n: sum(link.up for link in s.links) for n, s in sides.items()},
        )
        yield _gauges(
            "smsgw_carrier_outstanding",
            "submit_sm not settled yet.",
            "carrier",
            {n: s.outstanding for n, s in sides.items()},
        )
        yield _gauges("smsgw_sessions", "Bound ESMEs.", "account", g.esmes.sessions())
        resident = g.queues.resident()
        yield _gauges(
            "smsgw_queue_ready", "In memory.", "queue", {n: r[0] for n, r in resident.items()}
        )
        yield _gauges(
            "smsgw_queue_taken", "Under way.", "queue", {n: r[1] for n, r in resident.items()}
        )
        for name, words, value in (
            ("smsgw_handovers", "Receipts and MO handed over.", g.handover.delivered),
            ("smsgw_handovers_refused", "Refused by the account.", g.handover.refused),
            ("smsgw_handovers_unanswered", "The account did not answer.", g.handover.unanswered),
            ("smsgw_mo_accepted", "MO stored for an account.", g.inbound.received),
            ("smsgw_receipts_matched", "Receipts matched.", g.awaited.matched),
            ("smsgw_receipts_unmatched", "Receipts of no known message.", g.awaited.unmatched),
            ("smsgw_mo_nobodys", "MO for numbers of no account.", g.inbound.nobodys),
            ("smsgw_logins_failed", "Logins refused.", g.doors.failed),
            ("smsgw_journal_transactions", "Commits.", g.journal.transactions),
            ("smsgw_journal_changes", "Changes committed.", g.journal.changes),
            ("smsgw_journal_failures", "Commits that failed.", g.journal.failures),
            ("smsgw_journal_seconds", "Time spent in commits.", g.journal.seconds),
        ):
            yield CounterMetricFamily(name, words, value=value)
        yield GaugeMetricFamily(
            "smsgw_receipts_early", "Receipts without their response yet.", value=g.awaited.early
        )


def _counters(name: str, words: str, label: str, values: dict[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, words, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _gauges(name: str, words: str, label: str, values: dict[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, words, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
