"""``make bench``: runs scenarios against a real gateway, prints a table, writes ``bench/results``.

Each scenario has a gateway of its own with an empty store, is warmed up, and is run several times;
the median counts. Run as ``python -m bench.run [SCENARIO ...]``.
"""

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from bench import mm4
from bench.gateway import (
    RESULTS,
    ROOT,
    Failed,
    Gateway,
    Idle,
    Sink,
    environment,
    free_port,
    load,
    loading,
)
from bench.servers import servers
from bench.stacks import Profile

Result = dict[str, Any]


def rate(count: int, start: float, end: float) -> float:
    """Events a second."""
    return round(count / (end - start), 1) if end > start else 0.0


def slowest_second(ticks: dict[str, int], start: float, end: float) -> int | None:
    """The fewest events in any second from ``start`` to ``end``, looked at every tenth of a second.

    None if they are not a whole second apart.
    """
    first, last = int(start * 10) + 1, int(end * 10)
    counts = [ticks.get(str(tick), 0) for tick in range(first, last)]
    return min((sum(counts[i : i + 10]) for i in range(len(counts) - 9)), default=None)


def threads(before: dict[str, float], after: dict[str, float], messages: int) -> dict[str, float]:
    """CPU microseconds a message of each thread of the gateway that used any."""
    used = {n: (after[n] - before.get(n, 0.0)) * 1e6 / max(1, messages) for n in after}
    return {n: round(us, 1) for n, us in used.items() if us >= 0.5}


class Bench:
    """The scenarios and what they share."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.results: dict[str, Result] = {}

    def runs(self, name: str, one: "Callable[[], Result]", key: str) -> Result:
        """Several runs of ``one``: the one with the median ``key``, and that figure of them all."""
        every = []
        for n in range(self.options.runs):
            result = one()
            every.append(result)
            print(f"  {name} run {n + 1}: {result[key]:,}", file=sys.stderr, flush=True)
        every.sort(key=lambda result: result[key])
        middle = dict(every[(len(every) - 1) // 2])
        middle[f"{key}_of_runs"] = [result[key] for result in every]
        return middle

    def smpp(self, receipts: bool) -> Result:
        """SMPP in, commit, SMPP out, and the receipts back: messages/s."""
        port = free_port()
        wanted = "asked" if receipts else "none"
        sink = Sink(port, "--receipts", wanted, "--window", str(self.options.window))
        gateway = None
        try:
            gateway = self._gateway(port, sink)
            self._one_smpp(gateway, sink, receipts, self.options.messages // 20)
            name = "receipts" if receipts else "smpp"
            with Profile(gateway, name, self.options.profile) as profile:
                result = self.runs(
                    name,
                    lambda: self._one_smpp(gateway, sink, receipts, self.options.messages),
                    "receipts_per_s" if receipts else "messages_per_s",
                )
            result.update(rss_mb=gateway.rss_mb(), store_mb=gateway.store_mb(), **profile.result)
            return result
        finally:
            sink.stop()
            if gateway is not None:
                gateway.stop()

    def scale(self) -> Result:
        """``smpp`` on one node of many: PostgreSQL and RabbitMQ, and what each of them costs."""
        with servers() as found:
            port = free_port()
            sink = Sink(port, "--receipts", "none", "--window", str(self.options.window))
            gateway = None
            try:
                gateway = self._gateway(port, sink, store=found.store, broker=found.broker)
                self._one_smpp(gateway, sink, False, self.options.messages // 20)

                def one() -> Result:
                    before, wal = found.cpu_seconds(), found.written()
                    result = self._one_smpp(gateway, sink, False, self.options.messages)
                    used = threads(before, found.cpu_seconds(), self.options.messages)
                    return {**result, "servers_us": used, **self._octets(wal, found.written())}

                with Profile(gateway, "scale", self.options.profile) as profile:
                    result = self.runs("scale", one, "messages_per_s")
                return {**result, **profile.result}
            finally:
                sink.stop()
                if gateway is not None:
                    gateway.stop()

    def scale_two(self) -> Result:
        """``scale`` on two nodes of one store, each with half of the load and links of its own."""
        with servers() as found, contextlib.ExitStack() as stack:
            port = free_port()
            sink = Sink(port, "--receipts", "none", "--window", str(self.options.window))
            stack.callback(sink.stop)
            places = {"store": found.store, "broker": found.broker}
            first = self._gateway(port, sink, **places)
            stack.callback(first.stop)
            options = self.options
            second = Gateway(
                port, options.window, options.binds, options.keep, beside=first, **places
            )
            stack.callback(second.stop)
            nodes = [first, second]
            self._two_nodes(nodes, sink, self.options.messages // 20)

            def one() -> Result:
                before, wal = found.cpu_seconds(), found.written()
                result = self._two_nodes(nodes, sink, self.options.messages)
                used = threads(before, found.cpu_seconds(), self.options.messages)
                return {**result, "servers_us": used, **self._octets(wal, found.written())}

            return self.runs("scale-two", one, "messages_per_s")

    def _octets(self, before: tuple[int, int], after: tuple[int, int]) -> Result:
        """What PostgreSQL wrote and keeps for a message."""
        log, kept = (
            round((b - a) / self.options.messages) for a, b in zip(before, after, strict=True)
        )
        return {"wal_bytes": log, "kept_bytes": kept}

    def _two_nodes(self, nodes: list[Gateway], sink: Sink, messages: int) -> Result:
        """Half of the messages to each node at once; CPU is what a message costs of each node."""
        sink.say("reset")
        before = [node.cpu_seconds() for node in nodes]
        loads = [
            loading(
                "load",
                node.smpp,
                binds=self.options.binds,
                window=self.options.window,
                messages=messages // len(nodes),
            )
            for node in nodes
        ]
        figures = []
        for process in loads:
            out, err = process.communicate()
            if process.returncode:
                raise Failed(f"load: {err.strip()}")
            figures.append(json.loads(out))
        accepted = sum(one["accepted"] for one in figures)
        arrived = sink.wait("arrived", accepted)
        start = min(one["first_submit"] for one in figures)
        result: Result = {
            "messages_per_s": rate(arrived["arrived"], start, arrived["last_arrival"]),
            "accepted": accepted,
            "refused": [one["refused"] for one in figures],
            "arrived": arrived["arrived"],
            "p50_ms": max(one["p50_ms"] for one in figures),
            "p99_ms": max(one["p99_ms"] for one in figures),
            "sink_us": arrived["cpu_us_per_message"],
            "load_us": max(one["cpu_us_per_message"] for one in figures),
        }
        for n, node in enumerate(nodes):
            used = threads(before[n], node.cpu_seconds(), messages // len(nodes))
            result[f"node{n}_us_by_thread"] = used
        return result

    def rules(self) -> Result:
        """SMPP in, commit, SMPP out, without rules, with price, opt-out and quota, and with all
        that a message may have to pass: messages/s of each, run by run in turn, and the ratios."""
        sides = {}
        try:
            for name, rules in (("plain", ""), ("rules", "priced"), ("all", "all")):
                port = free_port()
                sink = Sink(port, "--receipts", "none", "--window", str(self.options.window))
                sides[name] = (sink, self._gateway(port, sink, rules))
            counted: dict[str, list[Result]] = {name: [] for name in sides}
            # No two messages may be the same, or they would be duplicates; and one bind may send
            # more than its share.
            for n in range(self.options.runs + 1):
                messages = self.options.messages if n else self.options.messages // 20
                ring = messages * 3 // (2 * self.options.binds) + self.options.window
                for name, (sink, gateway) in sides.items():
                    wanted = self.options.profile and n == self.options.runs
                    with Profile(gateway, f"rules-{name}", wanted):
                        result = self._one_smpp(
                            gateway, sink, False, messages, ring=ring, mark=f"r{n}"
                        )
                    if result["refused"]:
                        raise Failed(f"{name}: refused: {result['refused']}")
                    if n:
                        counted[name].append(result)
                        shown = f"{result['messages_per_s']:,}"
                        print(f"  {name} run {n}: {shown}", file=sys.stderr, flush=True)
            found: Result = {}
            for name, results in counted.items():
                results.sort(key=lambda one: one["messages_per_s"])
                middle = results[(len(results) - 1) // 2]
                found[f"{name}_per_s"] = middle["messages_per_s"]
                found[f"{name}_per_s_of_runs"] = [one["messages_per_s"] for one in results]
                found[f"{name}_us_by_thread"] = middle["gateway_us_by_thread"]
            for name in ("rules", "all"):
                found[f"{name}_ratio"] = round(found[f"{name}_per_s"] / found["plain_per_s"], 3)
            return found
        finally:
            for sink, gateway in sides.values():
                sink.stop()
                gateway.stop()

    def _one_smpp(
        self, gateway: Gateway, sink: Sink, receipts: bool, messages: int, **more: object
    ) -> Result:
        sink.say("reset")
        before = gateway.cpu_seconds()
        figures = load(
            "load",
            gateway.smpp,
            binds=self.options.binds,
            window=self.options.window,
            messages=messages,
            receipts=receipts,
            **more,
        )
        arrived = sink.wait("arrived", figures["accepted"])
        used = threads(before, gateway.cpu_seconds(), messages)
        start = figures["first_submit"]
        result: Result = {
            "messages_per_s": rate(arrived["arrived"], start, arrived["last_arrival"]),
            "submitted": figures["submitted"],
            "accepted": figures["accepted"],
            "refused": figures["refused"],
            "arrived": arrived["arrived"],
            "slowest_second": slowest_second(arrived["ticks"], start, figures["last_submit"]),
            "answers_per_s": figures["answers_per_s"],
            "p50_ms": figures["p50_ms"],
            "p99_ms": figures["p99_ms"],
            "max_ms": figures["max_ms"],
            "gateway_us_by_thread": used,
            "load_us": figures["cpu_us_per_message"],
            "sink_us": arrived["cpu_us_per_message"],
        }
        if receipts:
            ticks = figures["receipt_ticks"]
            result["receipts"] = figures["receipts"]
            result["receipts_per_s"] = rate(figures["receipts"], start, figures["last_receipt"])
            result["slowest_receipt_second"] = slowest_second(ticks, start, figures["last_submit"])
        return result

    def http(self, name: str = "http", dialect: str = "rest", numbers: int = 1) -> Result:
        """Messages of one dialect over kept-alive connections: answers/s; with ``numbers``, that
        many destinations in each request: messages/s."""
        port = free_port()
        sink = Sink(port)
        gateway = None
        # Requests of one run.
        count = self.options.messages // (2 if numbers == 1 else numbers)
        try:
            gateway = self._gateway(port, sink)
            self._one_http(gateway, sink, max(1, count // 20), dialect, numbers)
            with Profile(gateway, name, self.options.profile) as profile:
                result = self.runs(
                    name,
                    lambda: self._one_http(gateway, sink, count, dialect, numbers),
                    "messages_per_s",
                )
            return {**result, **profile.result}
        finally:
            sink.stop()
            if gateway is not None:
                gateway.stop()

    def _one_http(
        self, gateway: Gateway, sink: Sink, requests: int, dialect: str, numbers: int
    ) -> Result:
        sink.say("reset")
        before = gateway.cpu_seconds()
        figures = load(
            "http_load",
            gateway.http,
            messages=requests,
            dialect=dialect,
            numbers=numbers,
            connections=8 if numbers == 1 else 1,
        )
        if figures["refused"]:
            raise Failed(f"{dialect}: a request was refused: {figures['refused_example']}")
        messages = figures["accepted"]
        arrived = sink.wait("arrived", messages)
        start = figures["first_submit"]
        return {
            "messages_per_s": figures["messages_per_s"],
            "arrivals_per_s": rate(arrived["arrived"], start, arrived["last_arrival"]),
            "submitted": figures["submitted"],
            "arrived": arrived["arrived"],
            "slowest_second": slowest_second(arrived["ticks"], start, figures["last_answer"]),
            "p50_ms": figures["p50_ms"],
            "p99_ms": figures["p99_ms"],
            "max_ms": figures["max_ms"],
            "gateway_us_by_thread": threads(before, gateway.cpu_seconds(), messages),
            "load_us": figures["cpu_us_per_message"],
        }

    def latency(self) -> Result:
        """The submit answer at half of the load of ``smpp``."""
        half = self.options.rate or self.results.get("smpp", {}).get("messages_per_s", 10_000) / 2
        port = free_port()
        sink = Sink(port)
        gateway = None
        try:
            gateway = self._gateway(port, sink)
            self._one_smpp(gateway, sink, False, self.options.messages // 20)

            def one() -> Result:
                sink.say("reset")
                before = gateway.cpu_seconds()
                figures = load(
                    "load",
                    gateway.smpp,
                    binds=self.options.binds,
                    window=self.options.window,
                    rate=half,
                    seconds=self.options.seconds,
                )
                arrived = sink.wait("arrived", figures["accepted"])
                keys = ("answers_per_s", "p50_ms", "p99_ms", "max_ms", "refused")
                return {
                    "load_per_s": round(half, 1),
                    **{key: figures[key] for key in keys},
                    "arrived": arrived["arrived"],
                    "submitted": figures["submitted"],
                    "gateway_us_by_thread": threads(
                        before, gateway.cpu_seconds(), figures["submitted"]
                    ),
                }

            with Profile(gateway, "latency", self.options.profile) as profile:
                result = self.runs("latency", one, "p99_ms")
            return {**result, **profile.result}
        finally:
            sink.stop()
            if gateway is not None:
                gateway.stop()

    def script(self, name: str) -> Result:
        """``bench/codec.py``, ``stack.py`` or ``routes.py``, which print JSON of their own."""
        path = ROOT / "bench" / f"{name}.py"
        done = subprocess.run(
            [sys.executable, str(path), "--json"],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=600,
        )
        if done.returncode:
            raise Failed(f"{path.name}: {done.stderr.strip()[-1000:]}")
        result: Result = json.loads(done.stdout.strip().splitlines()[-1])
        return result

    def memory(self, down: bool) -> Result:
        """Resident memory over ``--million`` messages; ``down``: while the carrier is away."""
        port = free_port()
        sink = None if down else Sink(port)
        gateway = None
        try:
            gateway = self._gateway(port, sink)
            samples: list[tuple[float, float]] = []
            process = loading(
                "load",
                gateway.smpp,
                binds=self.options.binds,
                window=self.options.window,
                messages=self.options.million,
            )
            start = time.monotonic()
            while process.poll() is None:
                samples.append((round(time.monotonic() - start, 1), round(gateway.rss_mb(), 1)))
                time.sleep(1)
            out, err = process.communicate()
            if process.returncode:
                raise Failed(f"load: {err.strip()}")
            figures = json.loads(out)
            result: Result = {
                "accepted": figures["accepted"],
                "refused": figures["refused"],
                "answers_per_s": figures["answers_per_s"],
                "p99_ms": figures["p99_ms"],
                "store_mb": round(gateway.store_mb(), 1),
            }
            if sink is None:
                sink = Sink(port)
                begun = time.monotonic()
                arrived = self._drained(gateway, sink, figures["accepted"], samples, start)
                result["drained_per_s"] = rate(arrived["arrived"], begun, arrived["last_arrival"])
            else:
                arrived = sink.wait("arrived", figures["accepted"])
            result["arrived"] = arrived["arrived"]
            sizes = [size for _at, size in samples]
            # The store's page cache and the allocator's arenas fill during the first quarter.
            result["rss_mb_after_a_quarter"] = sizes[len(sizes) // 4]
            result["rss_mb_at_the_end"] = sizes[-1]
            result["rss_mb_max"] = max(sizes)
            result["rss_mb_over_time"] = samples
            return result
        finally:
            if sink is not None:
                sink.stop()
            if gateway is not None:
                gateway.stop()

    def many_binds(self) -> Result:
        """Binds that do nothing: memory and CPU of each; and as many with a little to do: p99."""
        count = self.options.many_binds
        port = free_port()
        sink = Sink(port)
        gateway = None
        try:
            gateway = self._gateway(port, sink)
            # What the first sessions bring with them is not theirs. No messages before: the room
            # that they leave would hide what a session takes.
            Idle(gateway.smpp, 10).stop()
            before = gateway.rss_mb()
            idle = Idle(gateway.smpp, count)
            after = gateway.rss_mb()
            # Each is asked by enquire_link once a minute.
            begun, cpu = time.monotonic(), sum(gateway.cpu_seconds().values())
            time.sleep(self.options.idle_s)
            used = sum(gateway.cpu_seconds().values()) - cpu
            percent = used / (time.monotonic() - begun) * 100
            last = gateway.rss_mb()
            ended = idle.stop()
            # Each sends in its turn, one message a second unless --rate says otherwise.
            rate = self.options.rate or count
            begun, cpu = time.monotonic(), sum(gateway.cpu_seconds().values())
            figures = load(
                "load",
                gateway.smpp,
                binds=count,
                window=10,
                ring=64,
                rate=rate,
                seconds=self.options.seconds,
            )
            used = sum(gateway.cpu_seconds().values()) - cpu
            active = used / (time.monotonic() - begun) * 100
            return {
                "binds": count,
                "kb_of_each": round((after - before) * 1024 / count, 1),
                "kb_of_each_later": round((last - before) * 1024 / count, 1),
                "idle_cpu_percent": round(percent, 2),
                "enquire_links_answered": ended["answered"],
                "lost": ended["lost"],
                "load_per_s": rate,
                "active_cpu_percent": round(active, 1),
                "active_us_each": round(used / max(figures["accepted"], 1) * 1e6),
                "refused": figures["refused"],
                **{key: figures[key] for key in ("answers_per_s", "p50_ms", "p99_ms", "max_ms")},
            }
        finally:
            sink.stop()
            if gateway is not None:
                gateway.stop()

    def _drained(
        self,
        gateway: Gateway,
        sink: Sink,
        count: int,
        samples: list[tuple[float, float]],
        start: float,
    ) -> dict[str, Any]:
        """The sink's report when the queue has come, or has not moved for a minute and a half."""
        last, since = -1, time.monotonic()
        while True:
            report = sink.say("report")
            now = time.monotonic()
            samples.append((round(now - start, 1), round(gateway.rss_mb(), 1)))
            if report["arrived"] != last:
                last, since = report["arrived"], now
            # The links' back-off is a minute at most.
            if report["arrived"] >= count or now - since > 90:
                return report
            time.sleep(1)

    def _gateway(self, carrier: int, sink: Sink | None, rules: str = "", **places: str) -> Gateway:
        """A gateway whose links to ``sink`` are up."""
        options = self.options
        gateway = Gateway(carrier, options.window, options.binds, options.keep, rules, **places)
        if sink is not None and sink.wait("peers", options.binds)["peers"] < options.binds:
            tail = gateway.tail()
            gateway.stop()
            raise Failed(f"the gateway does not bind to its carrier:\n{tail}")
        return gateway

    def go(self, names: list[str]) -> int:
        """Run ``names`` and print the table; the number of scenarios that failed."""
        scenarios: dict[str, Callable[[], Result]] = {
            "codec": lambda: self.script("codec"),
            "stack": lambda: self.script("stack"),
            "routes": lambda: self.script("routes"),
            "smpp": lambda: self.smpp(receipts=False),
            "receipts": lambda: self.smpp(receipts=True),
            "scale": self.scale,
            "scale-two": self.scale_two,
            "http": self.http,
            "websmpp": lambda: self.http("websmpp", "websmpp"),
            "smscgi": lambda: self.http("smscgi", "smscgi"),
            "relay": lambda: self.http("relay", "relay"),
            "many": lambda: self.http("many", "websmpp", 10_000),
            "many-relay": lambda: self.http("many-relay", "relay", 10_000),
            "latency": self.latency,
            "rules": self.rules,
            "binds": self.many_binds,
            "mm4": lambda: mm4.run(
                self.options.runs, max(200, self.options.messages // 100), self.options.keep
            ),
            "memory": lambda: self.memory(down=False),
            "memory-down": lambda: self.memory(down=True),
        }
        RESULTS.mkdir(exist_ok=True)
        failed = 0
        for name in names:
            print(f"{name} ...", file=sys.stderr, flush=True)
            try:
                result = scenarios[name]()
            except Failed as error:
                print(f"{name}: {error}", file=sys.stderr)
                failed += 1
                continue
            result["scenario"] = name
            result["at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            result["machine"] = f"{os.cpu_count()} cores, Python {platform.python_version()}"
            (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n", "utf-8")
            self.results[name] = result
        table(self.results)
        return failed


def table(results: dict[str, Result]) -> None:
    """Print what counts of each scenario, and the goal it has."""
    rows = []

    def row(scenario: str, what: str, key: str, goal: str = "") -> None:
        value = results.get(scenario, {}).get(key)
        if value is not None:
            big = isinstance(value, int | float) and value >= 100
            shown = f"{value:,.0f}" if big else str(value)
            rows.append((scenario, what, shown, goal))

    row("codec", "submit_sm encoded/s", "encode_per_s", ">= 700,000")
    row("codec", "submit_sm decoded/s", "decode_per_s", ">= 500,000")
    row("stack", "round trips/s, one connection", "round_trips_per_second", ">= 40,000")
    row("routes", "decisions/s, 200,000 prefixes", "plain_per_s", ">= 200,000")
    row("routes", "decisions/s with filters on a tenth", "filtered_per_s")
    row("routes", "s to load", "filtered_load_s", "< 3")
    row("routes", "ms that others wait while it loads", "stall_ms", "< 50")
    row("smpp", "messages/s, first submit to last arrival", "messages_per_s", ">= 10,000")
    row("smpp", "arrivals in the slowest second", "slowest_second", ">= half of that")
    row("smpp", "p99 of the answer at full load, ms", "p99_ms")
    row("smpp", "us of CPU by thread of the gateway", "gateway_us_by_thread")
    row("receipts", "messages/s with receipt brought back", "receipts_per_s", ">= 5,000")
    row("receipts", "receipts in the slowest second", "slowest_receipt_second")
    row("receipts", "us of CPU by thread of the gateway", "gateway_us_by_thread")
    row("http", "POST /v4/messages/s, 8 connections", "messages_per_s", ">= 4,000")
    row("http", "p99 of the answer, ms", "p99_ms")
    row("http", "us of CPU by thread of the gateway", "gateway_us_by_thread")
    for scenario, what in (
        ("websmpp", "GET /websmpp/websms"),
        ("smscgi", "GET /sms.cgi"),
        ("relay", "GET /sms/sms_gw.php"),
    ):
        row(scenario, f"{what}/s, 8 connections", "messages_per_s", ">= 3,500")
        row(scenario, "p99 of the answer, ms", "p99_ms")
        row(scenario, "us of CPU by thread of the gateway", "gateway_us_by_thread")
    for scenario, what in (("many", "websmpp"), ("many-relay", "sms_gw.php")):
        row(scenario, f"messages/s by POST of 10,000 numbers, {what}", "messages_per_s", ">= 8,000")
        row(scenario, "slowest answer to one, ms", "max_ms", "< 2,000")
        row(scenario, "us of CPU by thread of the gateway", "gateway_us_by_thread")
    row("scale", "messages/s on PostgreSQL and RabbitMQ, one node", "messages_per_s", ">= 4,000")
    row("scale", "p99 of the submit answer, ms", "p99_ms")
    row("scale", "us of CPU by thread of the gateway", "gateway_us_by_thread")
    row("scale", "us of CPU of each server", "servers_us")
    row("scale", "octets of WAL a message", "wal_bytes")
    row("scale", "octets that a message keeps in the store", "kept_bytes")
    row("scale", "us of CPU of the load", "load_us")
    row("scale", "us of CPU of the sink", "sink_us")
    row("scale-two", "messages/s, two nodes on one store", "messages_per_s", ">= 4,000")
    row("scale-two", "p99 of the submit answer, ms", "p99_ms")
    row("scale-two", "us of CPU by thread of a node, each of its messages", "node0_us_by_thread")
    row("scale-two", "the same of the other node", "node1_us_by_thread")
    row("scale-two", "us of CPU of each server", "servers_us")
    row("scale-two", "octets of WAL a message", "wal_bytes")
    row("scale-two", "octets that a message keeps in the store", "kept_bytes")
    row("latency", "load, messages/s", "load_per_s")
    row("latency", "p50 of the submit answer, ms", "p50_ms")
    row("latency", "p99 of the submit answer, ms", "p99_ms", "< 50")
    row("latency", "us of CPU by thread of the gateway", "gateway_us_by_thread")
    row("rules", "messages/s without rules", "plain_per_s")
    row("rules", "messages/s with price, opt-out and quota", "rules_per_s")
    row("rules", "ratio of the two", "rules_ratio", ">= 0.8")
    row("rules", "messages/s with filters and duplicates too", "all_per_s")
    row("rules", "ratio of that", "all_ratio")
    row("rules", "us of CPU by thread without rules", "plain_us_by_thread")
    row("rules", "us of CPU by thread with price, opt-out and quota", "rules_us_by_thread")
    row("rules", "us of CPU by thread with filters and duplicates too", "all_us_by_thread")
    row("binds", "KB of resident memory of an idle bind", "kb_of_each", "< 60")
    row("binds", "the same after a round of enquire_link", "kb_of_each_later", "< 60")
    row("binds", "CPU of all of them, % of a core", "idle_cpu_percent", "< 1")
    row("binds", "messages/s over as many binds, each in its turn", "answers_per_s")
    row("binds", "p50 of their answers, ms", "p50_ms")
    row("binds", "p99 of their answers, ms", "p99_ms", "< 50")
    row("binds", "CPU of the gateway meanwhile, binds included, % of a core", "active_cpu_percent")
    row("binds", "CPU of a message, binds included, us", "active_us_each")
    row("mm4", "MM4 messages/s with a picture of 30 kB, durable", "messages_per_s", ">= 300")
    row("mm4", "the same until they are at the carrier", "through_per_s")
    row("mm4", "p99 of the answer, ms", "p99_ms")
    row("mm4", "RSS before 100 connections with mails of 5 MB, MB", "rss_mb_before")
    row("mm4", "RSS at most, MB", "rss_mb_most", "< 500 more")
    for scenario in ("memory", "memory-down"):
        row(scenario, "messages", "accepted")
        row(scenario, "messages/s", "answers_per_s")
        row(scenario, "drained afterwards, messages/s", "drained_per_s")
        row(scenario, "RSS after a quarter of the time, MB", "rss_mb_after_a_quarter")
        row(scenario, "RSS at the end, MB", "rss_mb_at_the_end", "the same")
        row(scenario, "RSS at most, MB", "rss_mb_max")
    widths = [max((len(r[n]) for r in rows), default=0) for n in range(4)]
    for cells in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        )


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    dialects = ["http", "websmpp", "smscgi", "relay", "many", "many-relay"]
    usual = ["codec", "stack", "routes", "smpp", "receipts", *dialects, "latency", "rules", "binds"]
    usual.append("mm4")
    every = [*usual, "memory", "memory-down", "scale", "scale-two"]
    parser.add_argument("scenario", nargs="*", metavar="SCENARIO", help=f"of {', '.join(every)}")
    parser.add_argument("--quick", action="store_true", help="one short run of each")
    parser.add_argument("--memory", action="store_true", help="the two memory scenarios too")
    parser.add_argument("--profile", action="store_true", help="py-spy on the gateway (adds cost)")
    parser.add_argument("--keep", action="store_true", help="keep the gateways' folders")
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--cpu", type=int, help="the one that the gateway runs on, any otherwise")
    parser.add_argument("--messages", type=int, default=0, help="of one run")
    parser.add_argument("--million", type=int, default=1_000_000, help="of a memory scenario")
    parser.add_argument("--binds", type=int, default=4)
    parser.add_argument("--window", type=int, default=50)
    parser.add_argument("--rate", type=float, default=0, help="load of latency; 0 = half of smpp's")
    parser.add_argument("--seconds", type=float, default=0, help="length of a latency run")
    parser.add_argument("--many-binds", type=int, default=1000, help="of the scenario binds")
    parser.add_argument("--idle-s", type=float, default=0, help="how long they are idle")
    options = parser.parse_args()
    Gateway.cpu = options.cpu
    options.idle_s = options.idle_s or (10 if options.quick else 65)
    unknown = [name for name in options.scenario if name not in every]
    if unknown:
        parser.error(f"no such scenario: {', '.join(unknown)}; there are {', '.join(every)}")
    options.runs = options.runs or (1 if options.quick else 3)
    options.messages = options.messages or (60_000 if options.quick else 200_000)
    options.seconds = options.seconds or (3 if options.quick else 10)
    names = options.scenario or [*usual, *(["memory", "memory-down"] if options.memory else [])]
    sys.exit(1 if Bench(options).go(names) else 0)


if __name__ == "__main__":
    main()
