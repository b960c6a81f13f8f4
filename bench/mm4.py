"""The MM4 scenario: multimedia messages with a picture of 30 kB, stored before they are answered,
and brought to the carrier; and what memory 100 connections with mails of 5 MB take."""

import json
import subprocess
import sys
import threading
import time
from typing import Any

from bench.gateway import ROOT, Failed, Gateway, environment, free_port

_CONFIG = """\
[store]
url = "sqlite:///{folder}/smsgw.db"
[smpp]
listen = []
[http]
listen = []
admin = ["unix:{folder}/admin.sock:mode=600"]
[smtp]
listen = ["tcp:{smtp}:interface=127.0.0.1"]
domains = {{ mm4 = "mms.example.com" }}
peer_connections = 200
[mm4]
allow_plain_auth = true
[log]
level = "warn"
"""
_PROVISIONING = """\
[[account]]
name = "bench"
[[account.credential]]
kind = "smtp"
username = "bench"
password = "bench"
allow = ["127.0.0.0/8"]
[[carrier]]
name = "mmsc"
kind = "mm4"
host = "127.0.0.1"
port = {carrier}
domain = "mms.example.net"
tls = "none"
ack = false
[[route]]
name = "default"
prefixes = [""]
carriers = ["mmsc"]
"""


class Mm4Gateway(Gateway):
    """A gateway that speaks MM4 only."""

    def __init__(self, carrier: int, keep: bool = False) -> None:
        self.smpp = self.http = self.smtp = free_port()
        folder = self._folder(keep)
        config = _CONFIG.format(folder=folder, smtp=self.smtp)
        self._start(config, _PROVISIONING.format(carrier=carrier))


class Mm4Sink:
    """The carrier's MMSC in its own process."""

    def __init__(self) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "bench.mm4_load", "sink", "--port", str(self.port)]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._line()

    def _line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline() or "null")
        if answer is None:
            raise Failed("the sink has ended")
        return answer

    def report(self) -> dict[str, Any]:
        """What has arrived, and when the last of it."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._line()

    def wait(self, count: int, stall_s: float = 20.0) -> dict[str, Any]:
        """The report once so many have arrived, or none has for ``stall_s``."""
        last, since = -1, time.monotonic()
        while True:
            report = self.report()
            now = time.monotonic()
            if report["arrived"] >= count or now - since > stall_s:
                return report
            if report["arrived"] != last:
                last, since = report["arrived"], now
            time.sleep(0.1)

    def stop(self) -> None:
        """Ends it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


def load(port: int, connections: int, messages: int, size: int) -> dict[str, Any]:
    """What a load found."""
    options = {"port": port, "connections": connections, "messages": messages, "size": size}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "bench.mm4_load", "load", *words]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"the load failed:\n{done.stderr[-2000:]}")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def small(gateway: Mm4Gateway, sink: Mm4Sink, messages: int) -> dict[str, Any]:
    """One run with pictures of 30 kB: durable messages/s, and messages/s at the carrier."""
    before = sink.report()["arrived"]
    figures = load(gateway.smtp, 16, messages, 30_000)
    arrived = sink.wait(before + messages)
    lasted = arrived["last_arrival"] - figures["first_submit"]
    return {
        "messages_per_s": figures["answers_per_s"],
        "through_per_s": round((arrived["arrived"] - before) / lasted, 1),
        "accepted": figures["accepted"],
        "arrived": arrived["arrived"] - before,
        "p50_ms": figures["p50_ms"],
        "p99_ms": figures["p99_ms"],
    }


def large(gateway: Mm4Gateway, sink: Mm4Sink, connections: int = 100) -> dict[str, Any]:
    """Mails of 5 MB on many connections at once: how much the gateway's memory grows at most."""
    at_first = gateway.rss_mb()
    most = [at_first]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            most.append(gateway.rss_mb())

    watching = threading.Thread(target=watch)
    watching.start()
    before = sink.report()["arrived"]
    try:
        # 3.7 MB are 5 MB in base64.
        figures = load(gateway.smtp, connections, connections * 2, 3_700_000)
        sink.wait(before + figures["accepted"])
    finally:
        over.set()
        watching.join()
    return {
        "large_accepted": figures["accepted"],
        "large_connections": connections,
        "rss_mb_before": round(at_first, 1),
        "rss_mb_most": round(max(most), 1),
    }


def run(runs: int, messages: int, keep: bool = False) -> dict[str, Any]:
    """The scenario: the median run of the small messages, and then the large ones."""
    sink = Mm4Sink()
    gateway = None
    try:
        gateway = Mm4Gateway(sink.port, keep)
        small(gateway, sink, max(50, messages // 20))
        every = []
        for n in range(runs):
            every.append(small(gateway, sink, messages))
            print(
                f"  mm4 run {n + 1}: {every[-1]['messages_per_s']:,}", file=sys.stderr, flush=True
            )
        every.sort(key=lambda one: float(one["messages_per_s"]))
        middle = dict(every[(len(every) - 1) // 2])
        middle["messages_per_s_of_runs"] = [one["messages_per_s"] for one in every]
        middle.update(large(gateway, sink))
        return middle
    finally:
        sink.stop()
        if gateway is not None:
            gateway.stop()
