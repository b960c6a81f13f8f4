"""The admin API of a running gateway: tokens over TCP, forms, health, figures, audit."""

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.running import GatewayProcess, environment

PROVISIONING = """\
[[account]]
name = "acme"
balance = "10.00"
[[carrier]]
name = "sim"
kind = "simulator"
[[route]]
name = "all"
prefixes = [""]
carriers = ["sim"]
price = "0.01"
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """With an operator of each role, whose token is in ``tokens``."""
    running = GatewayProcess(tmp_path_factory.mktemp("admin"), '[log]\nlevel = "debug"\n')
    with running:
        running.apply(PROVISIONING)
        running.wait_until(lambda: running.carrier_is_up("sim"), "had no carrier up")
        yield running


@pytest.fixture(scope="module")
def tokens(gateway: GatewayProcess) -> dict[str, str]:
    """Role -> token."""
    roles = ("viewer", "operator", "admin")
    return {
        role: gateway.cli("token", f"the-{role}", "--role", role, "--apply").strip()
        for role in roles
    }


def ask(
    gateway: GatewayProcess, token: str, method: str, path: str, body: object = None
) -> tuple[int, Any]:
    """Status and decoded body of a request over TCP."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(
        f"http://127.0.0.1:{gateway.admin_port}{path}",
        None if body is None else json.dumps(body).encode(),
        headers,
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            status, content, text = answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as answer:
        status, content, text = answer.code, answer.headers["Content-Type"], answer.read()
    return status, json.loads(text) if content == "application/json" else text.decode()


def test_loopback_is_open_until_there_is_an_operator(gateway: GatewayProcess) -> None:
    """As the log says at the start; from then on a token is needed. This test comes first."""
    assert ask(gateway, "", "GET", "/admin/accounts")[0] == 200
    assert "there is no operator yet" in gateway.output


def test_a_role_may_what_it_may(gateway: GatewayProcess, tokens: dict[str, str]) -> None:
    """A viewer sees, an operator acts, an admin provisions; strangers get nothing."""
    send = {"account": "acme", "from": "1234", "to": "447700900123", "text": "Hi"}
    form = "/admin/provisioning/account/new"
    may = {
        role: [
            ask(gateway, token, "GET", "/admin/accounts")[0],
            ask(gateway, token, "POST", "/admin/messages", send)[0],
            ask(gateway, token, "PUT", form, {"rate": 5})[0],
        ]
        for role, token in {"": "", "wrong": "x", **tokens}.items()
    }
    assert may == {
        "": [401, 401, 401],
        "wrong": [401, 401, 401],
        "viewer": [200, 403, 403],
        "operator": [200, 201, 403],
        "admin": [200, 201, 201],
    }


def test_the_audit_names_the_operator(gateway: GatewayProcess, tokens: dict[str, str]) -> None:
    """Over TCP by the token, over the unix socket by the user of the command."""
    asked = {"account": "acme", "amount": "1.00", "text": "t"}
    assert ask(gateway, tokens["operator"], "POST", "/admin/topups", asked)[0] == 201
    gateway.cli("topup", "acme", "2.00", "--text", "t")
    rows = json.loads(gateway.cli("audit", "--kind", "topup", "--json"))
    assert [one["lines"] for one in rows] == [["1.00 t"], ["2.00 t"]]
    assert rows[0]["who"] == "the-operator"
    assert rows[1]["who"] not in ("unix", "the-operator")


def test_what_can_be_read_is_served_as_documented(
    gateway: GatewayProcess, tokens: dict[str, str]
) -> None:
    """Every GET of the OpenAPI document answers over the wire with a status that it names."""
    token = tokens["viewer"]
    status, document = ask(gateway, token, "GET", "/admin/openapi.json")
    assert status == 200
    for path, methods in document["paths"].items():
        if "get" not in methods:
            continue
        asked = path.replace("{kind}", "account").replace("{name}", "acme")
        asked = re.sub(r"{\w+}", "acme", asked)
        assert str(ask(gateway, token, "GET", asked)[0]) in methods["get"]["responses"], path


def test_it_is_live_and_ready(gateway: GatewayProcess) -> None:
    """Without a token; the command says the same with its status."""
    assert ask(gateway, "", "GET", "/health/live") == (200, {"ok": True, "checks": []})
    status, told = ask(gateway, "", "GET", "/health/ready")
    assert status == 200
    assert [one["name"] for one in told["checks"]] == [
        "store",
        "accepting",
        "listeners",
        "carriers",
    ]
    assert "carriers" in gateway.cli("health")


def test_figures_are_scraped_without_a_token(gateway: GatewayProcess) -> None:
    """With what was sent so far, the answers of this API, and the process's own."""
    gateway.cli("send", "--account", "acme", "1234", "447700900123", "Hi")
    status, text = ask(gateway, "", "GET", "/metrics")
    assert status == 200
    figures = {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if not line.startswith("#")
    }
    assert figures['smsgw_messages_accepted_total{account="acme",interface="cli"}'] >= 1
    assert figures['smsgw_carrier_links_up{carrier="sim"}'] == 1
    assert figures['smsgw_http_answers_total{dialect="admin",status="200"}'] > 0
    assert figures["smsgw_journal_commit_seconds_count"] > 0
    assert figures["smsgw_logins_failed_total"] == 3  # wrong tokens
    assert figures["process_cpu_seconds_total"] > 0


def test_a_message_is_followed_in_the_log(gateway: GatewayProcess) -> None:
    """At level debug each step is there with its id."""
    sent = gateway.cli("send", "--receipt", "--account", "acme", "1234", "447700900123", "Hi")
    id = sent.strip()
    gateway.wait_until(lambda: f"message {id} ended" in gateway.output, "did not end the message")
    for step in ("accepted", "sent", "answered", "receipt"):
        assert f"message {id} {step} " in gateway.output


def test_an_endpoint_for_other_machines_always_asks_for_a_token(tmp_path: Path) -> None:
    """From this machine too, and before there is an operator; the log says what to do about it."""
    running = GatewayProcess(tmp_path)
    loopback = f"tcp:{running.admin_port}:interface=127.0.0.1"
    text = running.config.read_text()
    running.config.write_text(text.replace(loopback, f"tcp:{running.admin_port}"))
    with running:
        status, told = ask(running, "", "GET", "/admin/accounts")
        assert (status, "smsgw token" in told["error"]) == (401, True)
        assert ask(running, "", "GET", "/health")[0] == 200
        assert "tokens cross the network in the clear" in running.output
        token = running.cli("token", "ops", "--apply").strip()
        assert ask(running, token, "GET", "/admin/accounts") == (200, [])


def test_commands_use_a_token_where_there_is_no_socket(
    gateway: GatewayProcess, tokens: dict[str, str], tmp_path: Path
) -> None:
    """Of the environment; without one the fault says what is missing."""
    config = tmp_path / "tcp.toml"
    port = gateway.admin_port
    config.write_text(f'[http]\nadmin = ["tcp:{port}:interface=127.0.0.1"]\n')

    def run(**more: str) -> "subprocess.CompletedProcess[str]":
        kept = {key: value for key, value in os.environ.items() if key != "SMSGW_TOKEN"}
        return subprocess.run(
            [sys.executable, "-m", "smsgw.cli", "-c", str(config), "accounts"],
            env={**kept, **{"PYTHONPATH": environment()["PYTHONPATH"]}, **more},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    refused = run()
    assert refused.returncode == 1
    assert "SMSGW_TOKEN" in refused.stderr
    assert "acme" in run(SMSGW_TOKEN=tokens["viewer"]).stdout
