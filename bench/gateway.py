"""The processes of a scenario: the gateway with a store of its own, and the sink as its carrier."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
_TICK = os.sysconf("SC_CLK_TCK")

_CONFIG = """\
[node]
name = "node{number}"
number = {number}
[store]
url = "{store}"
folder = "{folder}"
[broker]
url = "{broker}"
[[smpp.listen]]
endpoint = "tcp:{smpp}:interface=127.0.0.1"
profile = "standard"
[http]
listen = ["tcp:{http}:interface=127.0.0.1"]
admin = ["unix:{folder}/admin.sock:mode=600"]
[aerialink]
allow_plain_http = "loopback"
[aql]
max_destinations = 10000
[log]
level = "warn"
"""

_PROVISIONING = """\
[[account]]
name = "bench"
{account}
[[account.credential]]
kind = "smpp"
username = "bench"
password = "bench"
allow = ["127.0.0.0/8"]
binds = 1000
window = {window}
[[account.credential]]
kind = "http"
username = "bench"
password = "bench"
allow = ["127.0.0.0/8"]
[[account.credential]]
kind = "http"
username = "447700900000"
password = "bench"
allow = ["127.0.0.0/8"]
[[account.number]]
address = "447700900000"
targets = ["smpp"]
[[carrier]]
name = "sink"
kind = "smpp"
host = "127.0.0.1"
port = {carrier}
system_id = "bench"
password = "bench"
binds = {binds}
window = {window}
[[route]]
name = "default"
prefixes = [""]
carriers = ["sink"]
{more}
"""

# What a message may have to pass, and those of the bench pass: price, opt-out and quota; and all
# that there is.
_PRICED = {
    "account": """\
balance = "1000000.00"
price_list = "bench"
quota_day = 1_000_000_000
quota_month = 10_000_000_000
senders = ["ACME", "447700900000"]
""",
    "more": """\
[[network]]
name = "one"
mcc = "234"
mnc = "10"
prefixes = ["4477009"]
[[price_list]]
name = "bench"
[[price_list.price]]
prefix = "44"
price = "0.0200"
[[price_list.price]]
mcc = "234"
mnc = "10"
price = "0.0150"
""",
}
_ALL = {
    "account": _PRICED["account"]
    + """\
groups = ["gold"]
duplicate_window_s = 3_600
""",
    "more": _PRICED["more"]
    + """\
[[route]]
name = "codes"
prefixes = ["44"]
carriers = ["sink"]
priority = -1
text = "(?i)(code|pin).{0,20}[0-9]{4,8}"
[[route]]
name = "gold"
prefixes = ["44"]
carriers = ["sink"]
groups = ["gold"]
sources = ["4477"]
[[filter]]
name = "lottery"
text = "(?i)you have won .{0,40}prize"
[[filter]]
name = "crypto"
prefixes = ["44"]
groups = ["gold"]
text = "(?i)free (bitcoin|tokens)"
""",
}
_RULES = {"": dict.fromkeys(_ALL, ""), "priced": _PRICED, "all": _ALL}
_LISTED = 10_000  # numbers of each list that the rules have


def provisioning(carrier: int, window: int, binds: int, rules: str = "") -> str:
    """What a gateway of the bench is provisioned with; ``carrier`` is the port of its sink."""
    more = _RULES[rules]
    return _PROVISIONING.format(carrier=carrier, window=window, binds=binds, **more)


class Failed(Exception):
    """A scenario could not be run; the text says why."""


def free_port() -> int:
    """A TCP port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def environment() -> dict[str, str]:
    """This process's environment with the checkout importable."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path}


class Sink:
    """``bench.sink`` in its own process."""

    def __init__(self, port: int, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.sink", "--port", str(port), *options],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._line()

    def _line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise Failed("the sink has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def say(self, word: str) -> dict[str, Any]:
        """``report`` or ``reset``."""
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self._line()

    def wait(self, what: str, count: int, stall_s: float = 20.0) -> dict[str, Any]:
        """The report once its ``what`` is at least ``count``, or has not moved for ``stall_s``."""
        last, since = -1, time.monotonic()
        while True:
            report = self.say("report")
            now = time.monotonic()
            if report[what] >= count or now - since > stall_s:
                return report
            if report[what] != last:
                last, since = report[what], now
            time.sleep(0.25)

    def stop(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


class Gateway:
    """``twistd -n smsgw`` in its own process and folder; its carrier is the sink at ``carrier``."""

    cpu: int | None = None  # the one that every gateway runs on, None: any

    def __init__(
        self,
        carrier: int,
        window: int = 50,
        binds: int = 4,
        keep: bool = False,
        rules: str = "",
        store: str = "",
        broker: str = "embedded:",
        beside: "Gateway | None" = None,
    ) -> None:
        """``rules``: what a message has to pass, "" (nothing), "priced" or "all"; ``store`` and
        ``broker`` are URLs, a file of SQLite and none unless they are given; ``beside`` is
        a node of the same store, of which this one is the next."""
        self.smpp, self.http = free_port(), free_port()
        folder = self._folder(keep)
        self.number = 0
        if beside is not None:
            self.number = beside.number + 1
            shutil.copy(beside.folder / "smsgw.key", folder)
        config = _CONFIG.format(
            folder=folder,
            smpp=self.smpp,
            http=self.http,
            store=store or f"sqlite:///{folder}/smsgw.db",
            broker=broker,
            number=self.number,
        )
        self._start(config, provisioning(carrier, window, binds, rules))
        if rules:
            try:
                self._lists()
            except Failed:
                self.stop()
                raise

    def _folder(self, keep: bool) -> Path:
        """Makes its folder: beside the results, so that the store is on a disk and not in memory
        as /tmp may be."""
        RESULTS.mkdir(exist_ok=True)
        self.keep = keep
        self.folder = Path(tempfile.mkdtemp(prefix="run-", dir=RESULTS))
        return self.folder

    def _start(self, config: str, provisioned: str) -> None:
        self.config = self.folder / "smsgw.toml"
        self.config.write_text(config, "utf-8")
        file = self.folder / "provisioning.toml"
        file.write_text(provisioned, "utf-8")
        self.log = self.folder / "gateway.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [self._twistd(), "-n", "--pidfile=", "smsgw", "-c", str(self.config)],
                cwd=self.folder,
                env=environment(),
                stdout=log,
                stderr=log,
                preexec_fn=self._pin if self.cpu is not None else None,
            )
        try:
            self._listening()
            self._smsgw("apply", "--yes", str(file))
        except Failed:
            self.stop()
            raise

    def _pin(self) -> None:
        assert self.cpu is not None
        os.sched_setaffinity(0, {self.cpu})

    @staticmethod
    def _twistd() -> str:
        return str(Path(sys.executable).parent / "twistd")

    def _listening(self) -> None:
        end = time.monotonic() + 30
        for port in (self.smpp, self.http):
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                if self.process.poll() is not None or time.monotonic() > end:
                    raise Failed(f"the gateway does not listen:\n{self.tail()}")
                time.sleep(0.1)

    def _smsgw(self, *words: str) -> None:
        command = [sys.executable, "-m", "smsgw.cli", "-c", str(self.config), *words]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode:
            raise Failed(f"{words[0]} failed:\n{done.stdout}{done.stderr}\n{self.tail()}")

    def _lists(self) -> None:
        """Numbers that have opted out, of the number that the bench sends from, and blocked
        ones."""
        numbers = self.folder / "numbers.csv"
        numbers.write_text("".join(f"4479{n:08d}\n" for n in range(_LISTED)), "utf-8")
        for owner, name, options in (
            ("bench", "stops", ("--type", "optout", "--source", "447700900000")),
            ("bench", "blocked", ("--type", "block")),
            ("-", "all", ("--type", "block")),
        ):
            self._smsgw("list", "create", *options, "--", owner, name)
            self._smsgw("list", "import", "--", owner, name, str(numbers))

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text("utf-8", "replace")[-3000:]

    def cpu_seconds(self) -> dict[str, float]:
        """User and system time of each thread, by its number: the first is the reactor's."""
        used = {}
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        for n, task in enumerate(sorted(tasks, key=lambda one: int(one.name))):
            with contextlib.suppress(OSError):
                fields = (task / "stat").read_text().rpartition(")")[2].split()
                used[str(n)] = (int(fields[11]) + int(fields[12])) / _TICK
        return used

    def rss_mb(self) -> float:
        """Resident memory in MB."""
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) / 1024
        return 0.0

    def store_mb(self) -> float:
        """The store's files in MB."""
        return sum(f.stat().st_size for f in self.folder.glob("smsgw.db*")) / 1e6

    def stop(self) -> int:
        """SIGTERM, and the exit status; its folder goes unless it is kept."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        return self.process.returncode


class Idle:
    """``bench.idle`` in its own process: so many binds that do nothing."""

    def __init__(self, port: int, binds: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.idle", str(port), "--binds", str(binds)],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            raise Failed("idle: not all could bind")

    def stop(self) -> dict[str, Any]:
        """End it: how many enquire_links it answered, and how many binds were lost."""
        out, _ = self.process.communicate("\n", timeout=30)
        figures: dict[str, Any] = json.loads(out)
        return figures


def load(module: str, port: int, **options: object) -> dict[str, Any]:
    """The figures of one run of ``bench.load`` or ``bench.http_load``."""
    with loading(module, port, **options) as process:
        out, err = process.communicate()
    if process.returncode:
        raise Failed(f"{module}: {err.strip()}")
    figures: dict[str, Any] = json.loads(out)
    return figures


def loading(module: str, port: int, **options: object) -> "subprocess.Popen[str]":
    """A load generator that has just been started; its figures come on its standard output."""
    command = [sys.executable, "-m", f"bench.{module}", str(port)]
    for name, value in options.items():
        if value is True:
            command.append(f"--{name}")
        elif value is not False and value is not None:
            command += [f"--{name}", str(value)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
