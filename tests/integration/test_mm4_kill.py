"""``kill -9`` while mails come in: what was answered with 250 is there, and no file without a
message stays (I1)."""

import os
import smtplib
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from tests.journeys.mm4_scene import (
    CUSTOMER_DOMAIN,
    CUSTOMER_SYSTEM,
    GIF,
    HANDSET,
    NUMBER,
    OURS,
    SECRET,
    at,
    content,
    forward,
    written,
)
from tests.running import GatewayProcess, free_ports

PROVISIONED = f"""
[[account]]
name = "acme"
[[account.credential]]
kind = "smtp"
username = "acme"
password = "{SECRET}"
allow = ["127.0.0.0/8"]
[[carrier]]
name = "mmsc"
kind = "mm4"
host = "127.0.0.1"
port = 9
domain = "mms.example.net"
[[route]]
name = "all"
prefixes = [""]
carriers = ["mmsc"]
"""


def mail(n: int) -> bytes:
    """A request with a picture that no other has."""
    pdu = forward(NUMBER, CUSTOMER_DOMAIN, HANDSET, message_id=f"m{n}", transaction_id=f"t{n}")
    return written(pdu, content(picture=GIF + n.to_bytes(4, "big") + bytes(200_000)))


class Sender(threading.Thread):
    """Sends until the gateway is gone; knows what was answered."""

    def __init__(self, port: int, first: int) -> None:
        super().__init__()
        self.port, self.first = port, first
        self.accepted: list[int] = []

    def run(self) -> None:
        try:
            with smtplib.SMTP("127.0.0.1", self.port, "mms.example.org", timeout=20) as client:
                client.ehlo()
                client.login("acme", SECRET)
                for n in range(self.first, self.first + 10_000):
                    client.sendmail(CUSTOMER_SYSTEM, [at(HANDSET, OURS)], mail(n))
                    self.accepted.append(n)
        except (OSError, smtplib.SMTPException):
            return  # it was killed


def rows(folder: Path, query: str) -> list[str]:
    """What the store says."""
    with closing(sqlite3.connect(f"{folder}/smsgw.db")) as store:
        return [str(row[0]) for row in store.execute(query)]


def test_nothing_acknowledged_is_lost_and_no_file_is_left_over(tmp_path: Path) -> None:
    """I1: after the kill every acknowledged message and its media are there; after the collection
    at the next start, every file has a message, and nothing half written is left."""
    (port,) = free_ports(1)
    config = (
        f'[smtp]\nlisten = ["tcp:{port}:interface=127.0.0.1"]\n'
        f'domains = {{ mm4 = "{OURS}" }}\n[mm4]\nallow_plain_auth = true\n'
    )
    with GatewayProcess(tmp_path, config) as gateway:
        gateway.apply(PROVISIONED)
        senders = [Sender(port, first * 10_000) for first in range(4)]
        for one in senders:
            one.start()
        gateway.wait_until(lambda: sum(len(one.accepted) for one in senders) > 40, "took too few")
        gateway.kill()
        for one in senders:
            one.join()
        accepted = {n for one in senders for n in one.accepted}
        media = tmp_path / "media"
        files = {file.name for file in media.glob("??/*")}
        seen = rows(tmp_path, "SELECT count(*) FROM mm4_seen")
        assert int(seen[0]) >= len(accepted)
        referenced = set(rows(tmp_path, "SELECT DISTINCT digest FROM media"))
        assert referenced <= files
        pictures = rows(tmp_path, "SELECT digest FROM media WHERE size > 200000")
        assert len(set(pictures)) >= len(accepted)
        count = rows(tmp_path, "SELECT count(*) FROM message")
        # As a crash between the file and its message leaves it.
        orphan, half = media / "ab" / ("ab" * 32), media / "tmp" / "half"
        for file in (orphan, half):
            file.write_bytes(b"nobody's")
            os.utime(file, (1, 1))
        gateway.start()
        gateway.wait_until(
            lambda: not orphan.exists() and not half.exists(), "left what nobody refers to"
        )
        # A repeat of what was acknowledged is not a second message.
        with smtplib.SMTP("127.0.0.1", port, "mms.example.org", timeout=20) as client:
            client.ehlo()
            client.login("acme", SECRET)
            client.sendmail(CUSTOMER_SYSTEM, [at(HANDSET, OURS)], mail(min(accepted)))
        gateway.stop()
        assert rows(tmp_path, "SELECT count(*) FROM message") == count
        left = {file.name for file in media.glob("??/*")}
        assert left == set(rows(tmp_path, "SELECT DISTINCT digest FROM media"))
