"""``smsgw simulate --mm4``: an MMSC for those who have none."""

import subprocess
import sys
from pathlib import Path

import pytest
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from smsgw.mm4 import headers, mime
from smsgw.mm4.mime import Content, Part
from smsgw.mm4.pdus import ForwardReq
from smsgw.testing.mmsc import Mmsc, MmscScript
from smsgw.testing.simulated_mmsc import main, told
from tests.folders import temporary_folder
from tests.running import Running, free_ports

GATEWAY = "mms.example.com"
GIF = b"GIF89a" + bytes(40)


class MmscProcess(Running):
    """It as a process; ``more`` are its options."""

    name = "mmsc"

    def __init__(self, directory: Path, gateway_port: int, *more: str) -> None:
        super().__init__(directory)
        (self.port,) = free_ports(1)
        ports = ["--port", str(self.port), "--gateway-port", str(gateway_port)]
        self.options = [*ports, *more]

    def command(self) -> list[str]:
        """``smsgw simulate --mm4`` of this interpreter."""
        return [sys.executable, "-m", "smsgw.cli", "simulate", "--mm4", *self.options]

    def ready(self) -> bool:
        """True once its message has gone."""
        return "brought:" in self.output


class ProgramTest(TestCase):
    """Against an MMSC in the gateway's place, on real sockets."""

    timeout = 60

    async def test_it_brings_a_message_and_tells_what_comes_back(self) -> None:
        """``--mo``: its picture comes as it is in the file; the response and the report of it are
        a line each."""
        folder = Path(temporary_folder(self))
        (folder / "photo.gif").write_bytes(GIF)
        gateway = Mmsc(MmscScript(GATEWAY, retry_s=0.1), reactor)
        await gateway.start()
        self.addCleanup(gateway.stop)
        mo = f"447700900123=447700900000@{GATEWAY}"
        photo = str(folder / "photo.gif")
        process = MmscProcess(
            folder, gateway.port, "--mo", mo, "--subject", "Look", "--file", photo
        )
        gateway.gateway_port = process.port
        self.addCleanup(process.kill)
        await deferToThread(process.start)
        [got] = gateway.received
        assert GIF in [part.content for part in got.content.parts]
        assert got.pdu.from_ == "+447700900123/TYPE=PLMN@mms.example.net"
        await deferToThread(
            process.wait_until, lambda: "Retrieved" in process.output, "no report was told"
        )
        assert "'Look': smil.xml application/smil" in process.output
        assert "MM4_forward.RES mo-" in process.output


def test_a_message_that_no_gateway_takes_is_told_with_the_remedy(tmp_path: Path) -> None:
    """In one line, and status 1."""
    (nobody,) = free_ports(1)
    process = MmscProcess(tmp_path, nobody, "--mo", f"447700900123=447700900000@{GATEWAY}")
    ended = subprocess.run(process.command(), capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert line.startswith("smsgw simulate: not brought: ")
    assert f"on port {nobody} and have a carrier of kind mm4 with domain mms.example.net" in line


def test_a_message_is_told_with_its_parts() -> None:
    """Type and size of each, in one line."""
    body = mime.write(Content([Part("image/gif", "a.gif", "a", content=GIF)]))
    pdu = ForwardReq(
        from_="a@x.example",
        to=["b@y.example"],
        sender="s@x.example",
        date=1_800_000_000_000,
        mail_id="1@x.example",
        transaction_id="t",
        message_id="m",
    )
    octets = headers.write(pdu, body.content_type) + body.octets
    assert told(octets, "b@y.example") == (
        f"MMS m from a@x.example to b@y.example: a.gif image/gif {len(GIF)}"
    )
    assert told(b"Subject: Hi\r\n\r\nHi", "b@y.example") == "a mail that is no MM4"
    assert told(b"X-Mms-Message-Type: X\r\n\r\n", "b").startswith("not MM4: ")


def test_options_that_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    """One line that says what is wrong."""
    with pytest.raises(SystemExit) as ended:
        main(["--mo", "here"])
    assert ended.value.code == 2
    assert "must be like" in capsys.readouterr().err
