"""The operator's view of a running gateway, over its admin API. For the command line; it blocks."""

import re
import socket
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from smsgw.flow.dead import Which
from smsgw.operate.account_views import AccountView, BalanceView, LedgerView
from smsgw.operate.dead_views import DeadView
from smsgw.operate.list_views import ListView, MemberView, NumbersChanged
from smsgw.operate.node_views import CarrierView, NodeView, SessionView
from smsgw.operate.operator import (
    Applied,
    AuditView,
    Check,
    Health,
    MessageView,
    QueueView,
    RouteView,
    Sent,
    Unavailable,
)
from smsgw.operate.wire_views import WireView

T = TypeVar("T")
TIMEOUT_S = 60.0


class NotRunning(Exception):
    """Nobody listens on the admin endpoint."""


class _UnixConnection(HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_S)
        try:
            self.sock.connect(self._path)
        except OSError:
            self.sock.close()
            raise


def admin_endpoint(endpoints: list[str]) -> str | None:
    """Of ``http.admin`` the endpoint for the command line.

    The first unix socket, else the first TCP port.
    """
    for kind in ("unix", "tcp"):
        for one in endpoints:
            if one.startswith(f"{kind}:") and not one.startswith("tcp:0"):
                return one
    return None


class RemoteOperator:
    """An Operator at the other end of ``endpoint``, a ``unix:`` or ``tcp:`` one."""

    def __init__(self, endpoint: str, token: str = "") -> None:
        """``token`` is that of an operator, for a TCP endpoint."""
        kind, where, *options = [
            part.replace("\\:", ":") for part in re.split(r"(?<!\\):", endpoint)
        ]
        self.endpoint = endpoint
        self._path = where if kind == "unix" else ""
        interfaces = [one.removeprefix("interface=") for one in options if "interface=" in one]
        host = interfaces[0] if interfaces else ""
        if host in ("", "0.0.0.0", "::"):  # noqa: S104  # compared, not bound
            host = "127.0.0.1"
        # Host and port of a TCP endpoint.
        self.address = (host, 0 if self._path else int(where))
        self._headers: dict[str, str] = {}
        if token and not self._path:
            self._headers["Authorization"] = f"Bearer {token}"

    def by(self, who: str) -> "RemoteOperator":
        """See Operator. With a token, the gateway goes by its operator."""
        self._headers["Smsgw-Who"] = quote(who, safe=" ")
        return self

    @property
    def lists(self) -> "RemoteLists":
        """See Operator."""
        return RemoteLists(self)

    @property
    def dead(self) -> "RemoteDead":
        """See Operator."""
        return RemoteDead(self)

    @property
    def sessions(self) -> "RemoteSessions":
        """See Operator."""
        return RemoteSessions(self)

    async def accounts(self) -> list[AccountView]:
        """See Operator."""
        return self._read("/admin/accounts", list[AccountView])

    async def carriers(self) -> list[CarrierView]:
        """See Operator."""
        return self._read("/admin/carriers", list[CarrierView])

    async def queues(self) -> list[QueueView]:
        """See Operator."""
        return self._read("/admin/queues", list[QueueView])

    async def nodes(self) -> list[NodeView]:
        """See Operator."""
        return self._read("/admin/nodes", list[NodeView])

    async def message(self, id_text: str) -> MessageView | None:
        """See Operator."""
        status, body = self._ask("GET", f"/admin/messages/{quote(id_text, safe='')}")
        return None if status == 404 else self._decoded(status, body, MessageView)

    async def apply(self, text: str, file: str, prune: bool, dry_run: bool, who: str) -> Applied:
        """See Operator."""
        asked = {"text": text, "file": file, "prune": prune, "dry_run": dry_run, "who": who}
        return self._decoded(*self._ask("POST", "/admin/apply", asked), Applied)

    async def send(
        self, account: str, source: str, destination: str, text: str, receipt: bool
    ) -> Sent:
        """See Operator."""
        asked = {
            "account": account,
            "from": source,
            "to": destination,
            "text": text,
            "receipt": receipt,
        }
        return self._decoded(*self._ask("POST", "/admin/messages", asked), Sent)

    async def cancel(self, id_text: str) -> Sent:
        """See Operator."""
        path = f"/admin/messages/{quote(id_text, safe='')}/cancel"
        return self._decoded(*self._ask("POST", path, {}), Sent)

    async def route(self, account: str, source: str, destination: str, text: str) -> RouteView:
        """See Operator."""
        asked = {"account": account, "from": source, "to": destination, "text": text}
        return self._decoded(*self._ask("POST", "/admin/route", asked), RouteView)

    async def balance(self, account: str) -> BalanceView:
        """See Operator."""
        asked = self._ask("GET", f"/admin/balances/{quote(account, safe='')}")
        return self._decoded(*asked, BalanceView)

    async def top_up(
        self, account: str, amount: str, text: str, correct: bool = False
    ) -> BalanceView:
        """See Operator."""
        asked = {"account": account, "amount": amount, "text": text, "correct": correct}
        return self._decoded(*self._ask("POST", "/admin/topups", asked), BalanceView)

    async def statement(
        self, account: str, since: int, until: int, after: int
    ) -> list[LedgerView] | None:
        """See Operator."""
        path = f"/admin/statements/{quote(account, safe='')}"
        status, body = self._ask("GET", f"{path}?since={since}&until={until}&after={after}")
        return None if status == 404 else self._decoded(status, body, list[LedgerView])

    async def health(self) -> Health:
        """See Operator."""
        return self._checks("/health")

    async def ready(self) -> Health:
        """See Operator."""
        return self._checks("/health/ready")

    async def audit(self, since: int, kind: str, name: str, after: str) -> list[AuditView]:
        """See Operator."""
        asked = urlencode({"since": since, "kind": kind, "name": name, "after": after})
        return self._read(f"/admin/audit?{asked}", list[AuditView])

    def watch(self, name: str, kind: str, seconds: int, text: bool) -> Iterator[WireView]:
        """The PDUs of an account's or a carrier's connections, as they pass, for so long.

        ``kind`` is "account", "carrier", or "" where the name tells; ``text``: with the texts of
        messages. Returns when the gateway copies. Raises Unavailable, now or while it goes on.
        """
        asked = {"name": name, "seconds": seconds}
        if kind:
            asked["kind"] = kind
        path = f"/admin/trace{'/text' if text else ''}?{urlencode(asked)}"
        connection = self._connection()
        try:
            connection.request("GET", path, headers=self._headers)
            response = connection.getresponse()
            if response.status != 200:
                self._decoded(response.status, response.read(), WireView)
        except (OSError, HTTPException) as error:
            connection.close()
            raise self._unreachable(error) from None
        except Unavailable:
            connection.close()
            raise
        return self._lines(connection, response)

    def _lines(self, connection: HTTPConnection, response: HTTPResponse) -> Iterator[WireView]:
        try:
            # Quiet times have an empty line now and then, so silence is a fault.
            while line := response.readline():
                if line.strip():
                    yield msgspec.json.decode(line, type=WireView)
        except (OSError, HTTPException) as error:
            raise self._unreachable(error) from None
        finally:
            connection.close()

    def _checks(self, path: str) -> Health:
        body = self._ask("GET", path)[1]
        checks = msgspec.json.decode(body, type=dict[str, Any]).get("checks", [])
        return Health(msgspec.convert(checks, list[Check]))

    def ping(self) -> None:
        """Raises NotRunning if nobody listens, Unavailable if nobody can be reached."""
        connection = self._connection()
        try:
            connection.connect()
        except (ConnectionRefusedError, FileNotFoundError):
            raise NotRunning from None
        except OSError as error:
            raise self._unreachable(error) from None
        finally:
            connection.close()

    def _connection(self) -> HTTPConnection:
        if self._path:
            return _UnixConnection(self._path)
        return HTTPConnection(*self.address, timeout=TIMEOUT_S)

    def _unreachable(self, error: Exception) -> Unavailable:
        remedy = "see the gateway's log"
        if isinstance(error, PermissionError):
            remedy = "run this command as the gateway's user"
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Unavailable(f"{self.endpoint}: {' '.join(said.split())}; {remedy}")

    def _read(self, path: str, shape: type[T]) -> T:
        return self._decoded(*self._ask("GET", path), shape)

    def _ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        connection = self._connection()
        try:
            if body is None:
                connection.request(method, path, headers=self._headers)
            else:
                content = {"Content-Type": "application/json", **self._headers}
                connection.request(method, path, msgspec.json.encode(body), content)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, HTTPException) as error:
            raise self._unreachable(error) from None
        finally:
            connection.close()

    def _decoded(self, status: int, body: bytes, shape: type[T]) -> T:
        """``body`` in ``shape``; 422 is an answer that tells why nothing was done."""
        try:
            if status < 300 or status == 422:
                return msgspec.json.decode(body, type=shape)
            said = msgspec.json.decode(body, type=dict[str, str]).get("error", "")
        except (msgspec.DecodeError, msgspec.ValidationError):
            said = ""
        if status == 401:
            said += "; commands take it from SMSGW_TOKEN"
        raise Unavailable(said or f"{self.endpoint}: HTTP status {status}; see the gateway's log")


class RemoteLists:
    """The lists at the other end."""

    def __init__(self, remote: RemoteOperator) -> None:
        self._remote = remote

    async def all(self, account: str | None) -> list[ListView]:
        """See ListOperator."""
        whose = "" if account is None else f"?account={quote(account, safe='')}"
        return self._remote._decoded(
            *self._remote._ask("GET", f"/admin/lists{whose}"), list[ListView]
        )

    async def make(self, account: str, name: str, type: str, source: str) -> ListView:
        """See ListOperator."""
        asked = {"account": account, "name": name, "type": type, "source": source}
        return self._remote._decoded(*self._remote._ask("POST", "/admin/lists", asked), ListView)

    async def rename(self, id: str, name: str) -> ListView | None:
        """See ListOperator."""
        return self._of(id, "POST", "", ListView, {"name": name})

    async def delete(self, id: str) -> ListView | None:
        """See ListOperator."""
        return self._of(id, "DELETE", "", ListView)

    async def members(self, id: str, after: str) -> list[MemberView] | None:
        """See ListOperator."""
        return self._of(id, "GET", f"/members?after={quote(after, safe='')}", list[MemberView])

    async def add(self, id: str, numbers: Sequence[str]) -> NumbersChanged | None:
        """See ListOperator."""
        return self._of(id, "POST", "/members", NumbersChanged, {"numbers": numbers})

    async def remove(self, id: str, numbers: Sequence[str]) -> NumbersChanged | None:
        """See ListOperator."""
        return self._of(id, "POST", "/members/delete", NumbersChanged, {"numbers": numbers})

    def _of(self, id: str, method: str, path: str, shape: type[T], body: object = None) -> T | None:
        status, answer = self._remote._ask(method, f"/admin/lists/{quote(id, safe='')}{path}", body)
        return None if status == 404 else self._remote._decoded(status, answer, shape)


class RemoteSessions:
    """The sessions at the other end."""

    def __init__(self, remote: RemoteOperator) -> None:
        self._remote = remote

    async def page(self, account: str, carrier: str, after: str) -> list[SessionView]:
        """See SessionOperator."""
        asked = urlencode({"account": account, "carrier": carrier, "after": after})
        return self._remote._read(f"/admin/sessions?{asked}", list[SessionView])

    async def end(self, id: str) -> SessionView | None:
        """See SessionOperator."""
        status, body = self._remote._ask("POST", "/admin/sessions/end", {"id": id})
        return None if status == 404 else self._remote._decoded(status, body, SessionView)


class RemoteDead:
    """The dead letters at the other end."""

    def __init__(self, remote: RemoteOperator) -> None:
        self._remote = remote

    async def page(self, which: Which, after: int) -> list[DeadView]:
        """See DeadOperator."""
        asked = {"account": which.account, "queue": which.queue, "after": after}
        return self._remote._read(f"/admin/dead?{urlencode(asked)}", list[DeadView])

    async def put_back(self, which: Which) -> int:
        """See DeadOperator."""
        return self._change("retry", which)

    async def drop(self, which: Which) -> int:
        """See DeadOperator."""
        return self._change("drop", which)

    def _change(self, what: str, which: Which) -> int:
        every = which == Which()
        asked = {"ids": which.ids, "account": which.account, "queue": which.queue, "all": every}
        answer = self._remote._ask("POST", f"/admin/dead/{what}", asked)
        return self._remote._decoded(*answer, dict[str, int])["count"]
