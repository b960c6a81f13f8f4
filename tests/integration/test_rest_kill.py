"""What REST has answered stands after a kill (I1), also for who asks again with its key (E-D11)."""

import base64
import json
import sqlite3
import threading
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.integration.scene import HANDSET, NUMBER, SECRET, account, route
from tests.running import GatewayProcess

BOUNDARY = "b0undary"
# Nobody is there, so what is accepted waits.
MMSC = """\
[[carrier]]
name = "mmsc"
kind = "mm4"
host = "127.0.0.1"
port = 1
domain = "mms.example.net"
"""


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


def upload(gateway: GatewayProcess, number: int) -> str:
    """The GUID of an MMS with a picture of its own, of more than a body that stays in memory."""
    picture = b"GIF89a" + number.to_bytes(4, "big") * 100_000
    fields = {"source": NUMBER, "destination": HANDSET, "messageText": f"mms {number}"}
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.gif"\r\n'
        "Content-Type: image/gif\r\n\r\n"
    )
    body = "".join([*parts, head]).encode() + picture + f"\r\n--{BOUNDARY}--\r\n".encode()
    basic = base64.b64encode(f"acme:{SECRET}".encode()).decode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{gateway.http_port}/v4/messages",
        body,
        {
            "Authorization": f"Basic {basic}",
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        },
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        found = json.loads(answer.read())["aerialink"]["transactions"]["transaction"]
    return str(found["transactionGUID"])


def test_mms_that_rest_has_answered_have_their_media_after_a_kill(tmp_path: Path) -> None:
    """Killed at any moment between a picture's file and the commit of its message: what was
    answered is there with its file, no row is without one, and files of no message are no harm."""
    acknowledged: list[str] = []
    loading = True

    def load() -> None:
        number = 0
        while loading:
            number += 1
            try:
                acknowledged.append(upload(gateway, number))
            except (OSError, ValueError):  # urllib's faults are OSErrors; an answer cut short
                gone.wait(0.05)

    gone = threading.Event()  # never set: a pause between two tries
    with GatewayProcess(tmp_path) as gateway:
        gateway.apply(account(country="44") + MMSC + route("mmsc"))
        loader = threading.Thread(target=load)
        loader.start()
        try:
            while len(acknowledged) < 5:
                assert loader.is_alive()
                gone.wait(0.003)
            gateway.kill()
            gateway.start()
        finally:
            loading = False
            loader.join()
        for guid in acknowledged:
            assert guid in ask(gateway, f"/v4/messages/{guid}").decode()
    with closing(sqlite3.connect(tmp_path / "smsgw.db")) as store:
        digests = [row[0] for row in store.execute("SELECT DISTINCT digest FROM media")]
    sizes = [(tmp_path / "media" / one[:2] / one).stat().st_size for one in digests]
    assert sum(size > 400_000 for size in sizes) >= len(acknowledged)
