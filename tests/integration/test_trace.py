"""The wire view on real sockets: what `smsgw trace` shows, and what Wireshark makes of its file."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import smpplib.client
import smpplib.exceptions

from tests.running import GatewayProcess, environment

PROVISIONING = """\
[[account]]
name = "acme"
[[account.credential]]
kind = "smpp"
username = "acme"
password = "secret12"
allow = ["127.0.0.0/8"]
[[account.number]]
address = "447700900000"
[[carrier]]
name = "simulated"
kind = "simulator"
[[route]]
name = "default"
prefixes = [""]
carriers = ["simulated"]
"""
MMSC = """\
[[carrier]]
name = "mmsc"
kind = "mm4"
domain = "mms.example.net"
host = "127.0.0.1"
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway with the built-in simulated carrier."""
    with GatewayProcess(tmp_path_factory.mktemp("gateway")) as running:
        running.apply(PROVISIONING)
        yield running


class Tracing:
    """``smsgw trace`` while something happens."""

    def __init__(self, gateway: GatewayProcess, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "smsgw.cli", "-c", str(gateway.config), "trace", *arguments],
            cwd=gateway.directory,
            env=environment() | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        # It says so once the gateway copies.
        assert self._process.stderr is not None
        assert self._process.stderr.readline().startswith("watching ")
        self.lines: list[str] = []

    def until(self, *words: str) -> str:
        """The next line with all these words; the ones before it are in ``lines`` too."""
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            self.lines.append(line)
            if all(word in line for word in words):
                return line
        raise AssertionError(f"{words} did not come: {self.lines} {self._process.stderr.read()}")

    def __enter__(self) -> "Tracing":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=30)


def client(gateway: GatewayProcess) -> smpplib.client.Client:
    """Connected, not bound."""
    found = smpplib.client.Client("127.0.0.1", gateway.smpp_port, allow_unknown_opt_params=True)
    found.connect()
    return found


def send(esme: smpplib.client.Client, text: bytes) -> None:
    esme.send_message(
        source_addr_ton=5,
        source_addr="ACME",
        dest_addr_ton=1,
        dest_addr_npi=1,
        destination_addr="447700900123",
        short_message=text,
    )
    esme.read_once()


def test_a_bind_that_does_not_work_is_seen(gateway: GatewayProcess) -> None:
    """From the connection on: who, with what, and the answer; never the password."""
    with Tracing(gateway, "acme", "--seconds", "60") as trace:
        esme = client(gateway)
        with pytest.raises(smpplib.exceptions.PDUError):
            esme.bind_transceiver(system_id="acme", password="wrong123")
        line = trace.until("bind_transceiver", 'system_id="acme"')
        assert 'password="********"' in line
        trace.until("bind_transceiver_resp", "ESME_RINVPASWD")
        esme.disconnect()
        trace.until("closed")
        assert "connected" in trace.lines[0]
        assert "wrong123" not in "".join(trace.lines)


def test_texts_are_masked_unless_asked_for(gateway: GatewayProcess) -> None:
    """With --text they are there; on the carrier's side it is the same."""
    for options, seen in (((), False), (("--text",), True)):
        for name in ("acme", "simulated"):
            with Tracing(gateway, name, "--json", *options) as trace:
                esme = client(gateway)
                esme.bind_transceiver(system_id="acme", password="secret12")
                send(esme, b"number 4711")
                line = json.loads(trace.until('"submit_sm"'))
                text = "number 4711" if seen else "*" * 11
                assert line["fields"]["short_message"] == text
                assert (b"number 4711".hex() in line["octets"]) is seen
                assert line["serving"] is (name == "acme")
                trace.until('"submit_sm_resp"', "ESME_ROK")
                esme.unbind()
                esme.disconnect()


def test_a_session_that_is_there_already_is_seen_from_now_on(gateway: GatewayProcess) -> None:
    """Nobody has to bind again."""
    esme = client(gateway)
    esme.bind_transceiver(system_id="acme", password="secret12")
    with Tracing(gateway, "acme", "--kind", "account") as trace:
        send(esme, b"Hello")
        assert "->" in trace.until("submit_sm", '"447700900123"')
        assert "<-" in trace.until("submit_sm_resp", "message_id=")
    esme.unbind()
    esme.disconnect()


def test_wireshark_reads_the_file(gateway: GatewayProcess, tmp_path: Path) -> None:
    """Both directions, as SMPP, and nothing is malformed."""
    pcap = tmp_path / "wire.pcap"
    with Tracing(gateway, "acme", "--pcap", str(pcap)) as trace:
        esme = client(gateway)
        esme.bind_transceiver(system_id="acme", password="secret12")
        send(esme, b"Hello")
        esme.unbind()
        trace.until("unbind_resp")
        esme.disconnect()
    read = subprocess.run(
        ["tshark", "-r", str(pcap), "-Y", "smpp", "-T", "fields"]
        + [part for name in FIELDS for part in ("-e", name)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    rows = [line.split("\t") for line in read.stdout.splitlines()]
    assert [row[0] for row in rows] == [
        "0x00000009",
        "0x80000009",
        "0x00000004",
        "0x80000004",
        "0x00000006",
        "0x80000006",
    ]
    assert rows[0][1:3] == ["acme", "********"]
    assert rows[0][3] == "127.0.0.1"
    assert not any(row[4] for row in rows)


FIELDS = ("smpp.command_id", "smpp.system_id", "smpp.password", "ip.src", "_ws.malformed")


def test_who_is_not_provisioned_is_told(gateway: GatewayProcess) -> None:
    """One line, and status 1."""
    with pytest.raises(AssertionError, match="there is no account or carrier nobody"):
        gateway.cli("trace", "nobody", "--seconds", "1")


def test_a_carrier_of_kind_mm4_has_no_wire_view_and_that_is_told(gateway: GatewayProcess) -> None:
    """It has no PDUs of SMPP to wait for."""
    gateway.apply(PROVISIONING + MMSC)
    with pytest.raises(AssertionError, match="carrier mmsc is of kind mm4; a trace shows SMPP"):
        gateway.cli("trace", "mmsc", "--seconds", "1")


def test_a_trace_ends_by_itself_and_is_audited(gateway: GatewayProcess) -> None:
    """After its seconds; who looked is kept."""
    assert gateway.cli("trace", "acme", "--seconds", "1") == ""
    assert "trace acme account, 1 s" in gateway.cli("audit", "--kind", "trace")
