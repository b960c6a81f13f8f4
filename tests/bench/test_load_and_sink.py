"""The load generator and the sink agree on what has passed between them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def exchange(*options: str, receipts: str = "none") -> tuple[dict[str, Any], dict[str, Any]]:
    """The figures of a load and of the sink that it goes to directly."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.sink", "--receipts", receipts],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as sink:
        assert sink.stdin
        assert sink.stdout
        port = json.loads(sink.stdout.readline())["port"]
        load = subprocess.run(
            [sys.executable, "-m", "bench.load", str(port), *options],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        sink.stdin.write("report\n")
        sink.stdin.flush()
        return json.loads(load.stdout), json.loads(sink.stdout.readline())


def test_every_message_is_counted_at_both_ends() -> None:
    """As many arrive as are submitted, more than a ring of prebuilt PDUs on each bind."""
    load, sink = exchange("--messages", "30000", "--binds", "2")
    assert (load["submitted"], load["accepted"], load["unanswered"]) == (30000, 30000, 0)
    assert sink["arrived"] == sum(sink["ticks"].values()) == 30000


def test_receipts_come_for_those_that_ask() -> None:
    """With receipts each message has one, it is answered, and the load waits for the last."""
    load, sink = exchange("--messages", "2000", "--receipts", receipts="asked")
    assert load["receipts"] == sink["receipts_sent"] == 2000
    load, sink = exchange("--messages", "100", receipts="asked")
    assert load["receipts"] == sink["receipts_sent"] == 0


def test_a_rate_is_kept() -> None:
    """A paced load submits no more than its rate allows in its time."""
    load, sink = exchange("--seconds", "0.5", "--rate", "1000")
    assert 0 < load["submitted"] <= 501
    assert sink["arrived"] == load["submitted"]
