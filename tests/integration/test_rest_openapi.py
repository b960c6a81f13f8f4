"""The REST API's OpenAPI document is checked against the running gateway with schemathesis."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.integration.scene import SECRET, account, route
from tests.running import GatewayProcess, environment

# What a document and its server may disagree about.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
    "missing_required_header",
    "unsupported_method",
)


def test_the_document_is_what_the_gateway_does(tmp_path: Path) -> None:
    """Every operation, with parameters that fit and that do not: each answer is described."""
    with GatewayProcess(tmp_path) as gateway:
        simulator = '[[carrier]]\nname = "sim"\nkind = "simulator"\n'
        gateway.apply(account(country="1") + simulator + route("sim"))
        url = f"http://127.0.0.1:{gateway.http_port}/v4/openapi.json"
        with urllib.request.urlopen(url, timeout=10) as answer:
            document = json.load(answer)
        assert document["openapi"] == "3.1.0"
        done = subprocess.run(
            [
                str(Path(sys.executable).with_name("schemathesis")),
                "run",
                url,
                f"--auth=acme:{SECRET}",
                f"--checks={','.join(CHECKS)}",
                "--phases=examples,coverage,fuzzing",
                "--max-examples=8",
                "--generation-deterministic",
                "--suppress-health-check=all",
                "--no-color",
            ],
            cwd=tmp_path,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
