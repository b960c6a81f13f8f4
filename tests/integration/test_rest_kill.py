"""What REST has answered stands after a kill (I1), also for who asks again with its key (E-D11)."""

import base64
import json
import urllib.request
from pathlib import Path
from typing import Any

from tests.integration.scene import HANDSET, NUMBER, SECRET, account, route
from tests.running import GatewayProcess


def ask(gateway: GatewayProcess, path: str, document: Any = None, key: str = "") -> bytes:
    """The body of an answer to acme."""
    basic = base64.b64encode(f"acme:{SECRET}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/json"}
    if key:
        headers["Idempotency-Key"] = key
    body = None if document is None else json.dumps(document).encode()
    url = f"http://127.0.0.1:{gateway.http_port}{path}"
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=20) as answer:
        return bytes(answer.read())


def test_a_repeated_request_gets_its_answer_from_before_the_kill(tmp_path: Path) -> None:
    """The key, the batch and the members of a list are there, and nothing is sent twice."""
    batch = {"source": NUMBER, "destination": f"{HANDSET},447700900124", "messageText": "Once"}
    with GatewayProcess(tmp_path) as gateway:
        simulator = '[[carrier]]\nname = "sim"\nkind = "simulator"\n'
        gateway.apply(account(country="44") + simulator + route("sim"))
        made = json.loads(ask(gateway, "/v4/lists", {"name": "spring", "type": "contact"}))
        members = f"/v4/lists/{made['aerialink']['lists']['list']['listId']}/members"
        ask(gateway, members, {"numbers": [HANDSET]})
        first = ask(gateway, "/v4/messages", batch, "order-17")
        gateway.kill()
        gateway.start()
        assert ask(gateway, "/v4/messages", batch, "order-17") == first
        guid = json.loads(first)["aerialink"]["batchGUID"]
        found = json.loads(ask(gateway, f"/v4/messages?batchGUID={guid}"))
        assert len(found["aerialink"]["transactions"]["transaction"]) == 2
        report = ask(gateway, "/20100101/sms/report/?messageType=MT").decode()
        assert len(report.splitlines()) == 3
        shown = json.loads(ask(gateway, members))["aerialink"]["members"]["member"]
        assert [one["number"] for one in shown] == [HANDSET]
