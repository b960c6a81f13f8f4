"""etc/grafana/smsgw.json and etc/prometheus.yml: they fit what the gateway exposes."""

import json
import re
from pathlib import Path
from typing import Any

from prometheus_client import generate_latest
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from smsgw.amqp.address import parse_address
from smsgw.config import Config
from smsgw.identities import Identities
from smsgw.operate.metrics import Metrics
from smsgw.queues.broker import BrokerQueues
from smsgw.queues.wire import BrokerWire
from tests.operate.gateways import a_gateway

ROOT = Path(__file__).parents[2]
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}
LABELS = {
    "account",
    "carrier",
    "code",
    "dialect",
    "instance",
    "interface",
    "le",
    "queue",
    "reason",
    "result",
    "state",
    "status",
    "target",
    "word",
}


class DashboardTests(TestCase):
    def setUp(self) -> None:
        text = (ROOT / "etc" / "grafana" / "smsgw.json").read_text()
        self.dashboard: dict[str, Any] = json.loads(text)
        self.panels = [one for one in self.dashboard["panels"] if one["type"] != "row"]
        gateway = a_gateway(self)
        gateway.wire = BrokerWire(parse_address("amqp://127.0.0.1"), reactor)
        gateway.queues = BrokerQueues(
            gateway.journal, gateway.known, gateway.reactor, gateway.wire, Identities().allot
        )
        exposed = generate_latest(Metrics(gateway).registry).decode()
        self.exposed = {
            name + suffix: kind
            for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", exposed, re.MULTILINE)
            for suffix in SUFFIXES.get(kind, ())
        }

    def expressions(self) -> list[str]:
        return [target["expr"] for panel in self.panels for target in panel["targets"]]

    def test_it_is_a_dashboard(self) -> None:
        """Of a schema that Grafana reads: panels with ids, places that do not overlap, targets."""
        assert self.dashboard["schemaVersion"] >= 36
        assert self.dashboard["title"] == "smsgw"
        ids = [one["id"] for one in self.dashboard["panels"]]
        assert len(ids) == len(set(ids))
        taken: set[tuple[int, int]] = set()
        for panel in self.dashboard["panels"]:
            at = panel["gridPos"]
            assert at["x"] + at["w"] <= 24
            cells = {
                (x, y)
                for x in range(at["x"], at["x"] + at["w"])
                for y in range(at["y"], at["y"] + at["h"])
            }
            assert not cells & taken, panel["title"]
            taken |= cells
        for panel in self.panels:
            assert panel["title"]
            assert panel["targets"]
            references = [target["refId"] for target in panel["targets"]]
            assert len(references) == len(set(references))

    def test_every_figure_in_it_is_exposed(self) -> None:
        """By the very name; rates are of counters and histograms, what stands still is a gauge."""
        for expression in self.expressions():
            names = re.findall(r"\b(?:smsgw|process)_\w+", expression)
            assert names, expression
            for name in names:
                assert name in self.exposed, name
                moves = self.exposed[name] != "gauge"
                assert (f"rate({name}" in expression) == moves, expression

    def test_every_label_in_it_is_one_of_ours(self) -> None:
        """Those that figures are grouped by, and those that legends name."""
        panels = json.dumps(self.panels)
        used = set(re.findall(r"{{(\w+)}}", panels))
        for group in re.findall(r"by \(([\w, ]+)\)", panels):
            used |= set(group.split(", "))
        assert used <= LABELS

    def test_every_variable_is_defined(self) -> None:
        """Data source, job and instance."""
        defined = {one["name"] for one in self.dashboard["templating"]["list"]}
        used = set(re.findall(r"\$\{?([a-z]+)\b", json.dumps(self.panels)))
        assert used == defined == {"datasource", "job", "instance"}

    def test_every_figure_is_in_the_manual(self) -> None:
        """docs/operate/metrics.md has all of ours, and no others."""
        manual = (ROOT / "docs" / "operate" / "metrics.md").read_text()
        told = set(re.findall(r"^\| `(smsgw_\w+)`", manual, re.MULTILINE))
        ours = {
            re.sub("_(bucket|sum|count)$", "", name) if kind == "histogram" else name
            for name, kind in self.exposed.items()
            if name.startswith("smsgw_")
        }
        assert told == ours

    def test_the_scrape_is_of_the_default_endpoint(self) -> None:
        """etc/prometheus.yml asks where an smsgw without a configuration file answers."""
        text = (ROOT / "etc" / "prometheus.yml").read_text()
        [(host, port)] = re.findall(r'targets: \["([\d.]+):(\d+)"\]', text)
        assert f"tcp:{port}:interface={host}" in Config().http.admin
