"""A gateway and a simulated SMSC as processes of their own, for tests from the outside."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner

from smsgw import cli

ROOT = Path(__file__).resolve().parent.parent
TWISTD = Path(sys.executable).with_name("twistd")
READY_S = 30.0  # a start on a busy machine, imports and migrations included
STOP_S = 30.0
POLL_S = 0.05

CONFIG = """\
[node]
name = "test"
[store]
url = "sqlite:///{directory}/smsgw.db"
[[smpp.listen]]
endpoint = "tcp:{smpp_port}:interface=127.0.0.1"
profile = "standard"
[http]
listen = ["tcp:{http_port}:interface=127.0.0.1"]
admin = ["unix:{directory}/admin.sock:mode=600", "tcp:{admin_port}:interface=127.0.0.1"]
[aerialink]
allow_plain_http = "loopback"
"""


# Below those that the system gives to clients, which would be taken again before a server has
# them; and each of the processes that tests run in has its own.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
# Two runs at the same time do not begin with the same ones.
_PORTS = (12_000 + 2_500 * _WORKER + n % 2_500 for n in itertools.count(os.getpid() * 97))


def free_ports(count: int) -> list[int]:
    """TCP ports of 127.0.0.1 that nobody listens on now, all different."""
    found: list[int] = []
    while len(found) < count:
        port = next(_PORTS)
        with socket.socket() as one:
            # A connection of a former test that is still being closed is in nobody's way.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
    return found


def environment() -> dict[str, str]:
    """The environment in which a process finds this source tree from any folder."""
    path = os.environ.get("PYTHONPATH")
    found = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{path}" if path else str(ROOT)}
    if found.pop("PYTHONDONTWRITEBYTECODE", ""):
        # Not beside the sources, then; but to compile all of them is a third of a start.
        found["PYTHONPYCACHEPREFIX"] = str(ROOT / ".pytest_cache" / "bytecode")
    return found


class Running:
    """One process in a folder, whose output goes to a file there.

    As a context manager it is started, and ended whatever happens; if the test fails, what the
    process wrote is shown.
    """

    name = "process"

    def __init__(self, directory: Path) -> None:
        """``directory`` must exist; it is the process's current folder."""
        self.directory = directory
        self.log = directory / f"{self.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """What is run."""
        raise NotImplementedError

    def ready(self) -> bool:
        """True once it serves; asked again and again after the start."""
        raise NotImplementedError

    @property
    def output(self) -> str:
        """What it has written so far, standard output and error, over all its starts."""
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    @property
    def pid(self) -> int | None:
        """Of the running process, None if there is none."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start it, and return when it serves. AssertionError with its output if it does not."""
        assert self._process is None, f"{self.name} is running"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.directory,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self.wait_until(self.ready, "did not come up")
        except BaseException:
            self.kill()
            raise

    def wait_until(self, condition: Callable[[], bool], otherwise: str) -> None:
        """Return when ``condition`` is true.

        AssertionError with the output if the process ends, or ``READY_S`` pass, before.
        """
        deadline = time.monotonic() + READY_S
        while not condition():
            code = self._wait(POLL_S)
            if code is not None:
                self._process = None
                raise AssertionError(f"{self.name} ended with code {code}:\n{self.output}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name} {otherwise} in {READY_S} s:\n{self.output}")

    def stop(self) -> int:
        """End it in order with SIGTERM; its exit code (-15 where the signal is passed on)."""
        assert self._process is not None, f"{self.name} is not running"
        self._process.send_signal(signal.SIGTERM)
        code = self._wait(STOP_S)
        if code is None:
            self.kill()
            raise AssertionError(f"{self.name} did not end in {STOP_S} s:\n{self.output}")
        self._process = None
        return code

    def kill(self) -> None:
        """End it at once with SIGKILL, as a crash would; nothing if it is not running."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def restart(self) -> None:
        """Start it again on the same ports and store; in order if it is running."""
        if self._process is not None:
            self.stop()
        self.start()

    def _wait(self, seconds: float) -> int | None:
        assert self._process is not None
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self.kill()
            print(f"--- {self.name} wrote:\n{self.output}", file=sys.stderr)
        elif self._process is not None:
            self.stop()


class GatewayProcess(Running):
    """The gateway, as ``twistd -n smsgw`` runs it: free ports, and a store in its folder."""

    name = "gateway"

    def __init__(self, directory: Path, config: str = "") -> None:
        """``config`` is TOML added to the configuration file (tables that it does not have)."""
        super().__init__(directory)
        self.smpp_port, self.http_port, self.admin_port = free_ports(3)
        self.config = directory / "smsgw.toml"
        self.config.write_text(
            CONFIG.format(
                directory=directory,
                smpp_port=self.smpp_port,
                http_port=self.http_port,
                admin_port=self.admin_port,
            )
            + config
        )

    def command(self) -> list[str]:
        """``twistd`` of this interpreter, in the foreground."""
        return [str(TWISTD), "-n", "smsgw", "--config", str(self.config)]

    def ready(self) -> bool:
        """True once its admin port answers, healthy or not (when empty it has nothing to be up)."""
        try:
            self.admin("/health")
        except OSError:
            return False
        return True

    def admin(self, path: str) -> tuple[int, bytes]:
        """Status and body of a GET of the admin API. OSError if it cannot be reached."""
        url = f"http://127.0.0.1:{self.admin_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.read()

    def cli(self, *arguments: str) -> str:
        """Standard output of ``smsgw -c CONFIG`` with ``arguments``; AssertionError if it fails.

        In this process: the start of another takes longer than what most commands do.
        """
        done = CliRunner().invoke(cli.main, ["-c", str(self.config), *arguments])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, (
            f"smsgw {' '.join(arguments)} ended with {done.exit_code}:\n"
            f"{done.stdout}{done.stderr}\n--- gateway wrote:\n{self.output}"
        )
        return done.stdout

    def apply(self, provisioning: str, *options: str) -> str:
        """``smsgw apply --yes`` of TOML text; what the command wrote."""
        file = self.directory / "provisioning.toml"
        file.write_text(provisioning)
        return self.cli("apply", "--yes", *options, str(file))

    def carrier_is_up(self, name: str) -> bool:
        """True if ``smsgw carriers`` says that the carrier is up."""
        carriers = json.loads(self.cli("carriers", "--json"))
        return any(one["name"] == name and one["state"] == "up" for one in carriers)


class SmscProcess(Running):
    """A simulated SMSC (``smsgw.testing.smsc``) on a free port; its settings are TOML."""

    name = "smsc"

    def __init__(self, directory: Path, script: str = "") -> None:
        """``directory`` must not be that of another one."""
        super().__init__(directory)
        (self.port,) = free_ports(1)
        self.script = directory / "smsc.toml"
        self.script.write_text(script)

    def command(self) -> list[str]:
        """``smsgw simulate`` of this interpreter."""
        endpoint = f"tcp:{self.port}:interface=127.0.0.1"
        simulate = ["simulate", "--listen", endpoint, "--script", str(self.script)]
        return [sys.executable, "-m", "smsgw.cli", *simulate]

    def ready(self) -> bool:
        """True once it says that it listens."""
        return "simulated SMSC on" in self.output

    def carrier(self, name: str) -> str:
        """Provisioning of this SMSC as a carrier."""
        return (
            f'[[carrier]]\nname = "{name}"\nkind = "smpp"\nhost = "127.0.0.1"\nport = {self.port}\n'
            'system_id = "smsgw"\npassword = "secret"\n'
        )
