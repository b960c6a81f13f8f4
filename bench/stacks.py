"""py-spy beside a scenario: where the gateway's threads spend their time."""

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.gateway import RESULTS, Gateway

TOP = 25
# Frames of these files carry every call and tell nothing: the reactor's and the thread's plumbing.
_PLUMBING = {
    "app.py",
    "_twistd_unix.py",
    "base.py",
    "context.py",
    "epollreactor.py",
    "log.py",
    "posixbase.py",
    "tcp.py",
    "threading.py",
    "twistd",
    "twistd.py",
}


class Profile:
    """Records while it is entered; writes raw stacks and a summary of them into the results.

    ``result`` then has the functions that most samples were in, with their share in percent.
    """

    def __init__(self, gateway: Gateway, name: str, wanted: bool) -> None:
        self._pid = gateway.process.pid
        self._raw = RESULTS / f"{name}.stacks.txt"
        self._wanted = wanted
        self._process: subprocess.Popen[bytes] | None = None
        self.result: dict[str, Any] = {}

    def __enter__(self) -> "Profile":
        if self._wanted:
            py_spy = Path(sys.executable).parent / "py-spy"
            self._process = subprocess.Popen(
                [
                    str(py_spy),
                    "record",
                    f"--pid={self._pid}",
                    "--rate=200",
                    "--format=raw",
                    "--threads",
                    "--nonblocking",
                    f"--output={self._raw}",
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)
        if self._raw.exists():
            own, within = summary(self._raw.read_text("utf-8", "replace"))
            self.result = {"profile_own": own, "profile_within": within}
            for title, shares in (("own time", own), ("with what it calls", within)):
                print(f"  {self._raw.stem}: {title}", file=sys.stderr)
                for name, share in shares.items():
                    print(f"    {share:5.1f} %  {name}", file=sys.stderr)


def summary(stacks: str) -> tuple[dict[str, float], dict[str, float]]:
    """Percent of samples by thread and function: itself on top of the stack, and anywhere on it."""
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    total = 0
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        if not count.isdigit():
            continue
        thread, *frames = stack.split(";")
        names = [f"[{thread.split()[-1].strip('()')[:16]}] {short(frame)}" for frame in frames]
        if not names:
            continue
        total += int(count)
        own[names[-1]] += int(count)
        for name in set(names):
            if name.rpartition(" (")[2].rstrip(")") not in _PLUMBING:
                within[name] += int(count)

    def top(counts: Counter[str]) -> dict[str, float]:
        return {name: round(n * 100 / max(1, total), 1) for name, n in counts.most_common(TOP)}

    return top(own), top(within)


def short(frame: str) -> str:
    """``function (file.py)``, without the line."""
    function, _, place = frame.partition(" (")
    return f"{function} ({os.path.basename(place.rstrip(')')).partition(':')[0]})"
