"""Families of metrics as Prometheus has them, made of plain numbers by their labels."""

from collections.abc import Mapping
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)

from smsgw.figures import Histogram
from smsgw.message import MessageState

Labels = tuple[str, ...]
Values = Mapping[Any, float]  # by label values: tuples of as many as there are labels


def by_state(values: Mapping[tuple[str, int], int]) -> dict[Labels, float]:
    """``values`` by carrier and state, with the state as receipts name it."""
    return {(carrier, MessageState(state).stat): n for (carrier, state), n in values.items()}


def single(values: Mapping[str, float]) -> dict[Labels, float]:
    """``values`` by one label."""
    return {(name,): value for name, value in values.items()}


def by_queue(values: Mapping[str, float], largest: bool = False) -> dict[Labels, float]:
    """Those of carriers by name; others, of which there are many and whose names tell of
    customers' addresses, by their kind."""
    result: dict[Labels, float] = {}
    for queue, value in values.items():
        kind = queue.partition(":")[0]
        labels = (queue if kind == "carrier" else kind,)
        before = result.get(labels, 0.0)
        result[labels] = max(before, value) if largest else before + value
    return result


def counters(name: str, words: str, labels: Labels, values: Values) -> CounterMetricFamily:
    """A family of counters."""
    family = CounterMetricFamily(name, words, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def gauges(name: str, words: str, labels: Labels, values: Values) -> GaugeMetricFamily:
    """A family of gauges."""
    family = GaugeMetricFamily(name, words, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def histogram(name: str, words: str, values: Histogram) -> HistogramMetricFamily:
    """A histogram without labels."""
    total = 0
    buckets = []
    for bound, count in zip([*map(str, values.bounds), "+Inf"], list(values.counts), strict=True):
        total += count
        buckets.append((bound, total))
    return HistogramMetricFamily(name, words, buckets=buckets, sum_value=values.sum)
