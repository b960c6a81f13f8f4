"""``smsgw migrate-store``: a gateway goes on with PostgreSQL where it stopped with SQLite."""

import json
from pathlib import Path

import pytest

from tests.integration.stores import entries, laws_of_the_store
from tests.postgresql import installed, server
from tests.running import GatewayProcess, SmscProcess

PROVISIONING = """\
[[account]]
name = "acme"
balance = "5"
[[account.credential]]
kind = "http"
username = "acme"
password = "secret12"
allow = ["*"]
[[route]]
name = "default"
prefixes = [""]
carriers = ["north"]
price = "0.01"
"""


def test_what_waited_in_sqlite_is_sent_from_postgresql(tmp_path: Path) -> None:
    """Messages that waited for a carrier are moved with the provisioning (passwords of carriers
    too) and the money, and are sent after the next start."""
    if not installed():
        pytest.skip("postgresql or psycopg is not installed")
    smsc = SmscProcess(_folder(tmp_path, "smsc"))
    gateway = GatewayProcess(_folder(tmp_path, "gateway"))
    url = server().a_database()
    sqlite = f"sqlite:///{gateway.directory}/smsgw.db"
    try:
        with gateway:
            gateway.apply(PROVISIONING + smsc.carrier("north"))
            ids = [
                gateway.cli("send", "--account", "acme", "ACME", f"44770090012{n}", "Hello").strip()
                for n in range(3)
            ]
        folder = _folder(tmp_path, "var")
        said = gateway.cli("migrate-store", "--folder", str(folder), sqlite, url)
        assert "3 messages, 3 queue entries, 4 ledger entries" in said
        assert "balances add up to 4.9700" in said
        assert entries(url) == 3
        assert laws_of_the_store(url) == []
        text = gateway.config.read_text()
        here = f'"{url}"\nfolder = "{folder}"'
        gateway.config.write_text(text.replace(f'"{sqlite}"', here))
        # Without a gateway the commands read the store themselves.
        assert json.loads(gateway.cli("status", "--json", ids[0]))["state"] == "ENROUTE"
        with smsc, gateway:
            gateway.wait_until(
                lambda: json.loads(gateway.cli("queues", "--json")) == [], "did not send"
            )
            assert gateway.cli("balance", "acme").strip() == "4.97"
        assert entries(url) == 0
        assert laws_of_the_store(url) == []
    finally:
        server().drop(url)


def test_a_fault_is_one_line(tmp_path: Path) -> None:
    """Of a store that is not there, the reason and nothing else."""
    gateway = GatewayProcess(_folder(tmp_path, "gateway"))
    with pytest.raises(AssertionError, match=r"smsgw: store.url: .*nonsense is no URL|is no URL"):
        gateway.cli("migrate-store", "nonsense", "sqlite:////x.db")


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder
