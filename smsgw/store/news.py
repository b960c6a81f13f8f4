"""News: what one node changed that others have in memory, told by PostgreSQL in the transaction
that changes it.

Theory of operation. Whoever writes such a change sends a notification in the same transaction
(NOTIFY), so it arrives when the change is there to be read, and not at all if it is taken back. A
connection that listens gets every notification from its LISTEN on; so after each new connection all
is read again, and from then on nothing is missed. Once a second that connection is asked for the
version of the provisioning as well: the answer shows that the connection lives, and makes up for a
notification that was not sent. A store of one process (SQLite) has no news.
"""

import os
import select
from collections.abc import Callable, Iterable, Sequence
from threading import Event, Thread
from typing import Any

from sqlalchemy import Connection, Engine, func
from sqlalchemy import select as query
from twisted.logger import Logger

from smsgw.store import lines

_log = Logger()

CHANNEL = "smsgw"
PROVISIONED = "provisioned"
_LIST, _MEMBERS, _BALANCE, _PROBE = "list", "members", "balance", "probe"
_RESPONSE = "mm4"
_END = "end"
_POLL_S = 1.0
_LEAST_S, _MOST_S = 0.5, 5.0  # between two tries to connect
_LONGEST = 7_000  # octets of a notification; the server takes 8,000
_TEXT = 500  # characters of a response's text
_FEW = 400  # members that are told one by one; of more the whole list is read


class News:
    """What was told, gathered until somebody reads it."""

    def __init__(self) -> None:
        self.version = 0  # of the provisioning
        self.everything = False  # a new connection: anything may have been missed
        self.lists: set[int] = set()  # to be read whole
        self.members: set[tuple[int, str]] = set()  # list, number
        self.balances: set[str] = set()  # accounts
        self.probes: set[str] = set()  # logins whose sessions are to show that they are there
        # Account, transaction, status, text: what customers' MMSCs have answered at other nodes.
        self.responses: list[tuple[str, str, str, str]] = []
        self.ends: set[str] = set()  # sessions that an operator wants ended

    def add(self, payload: str) -> None:
        """Takes a notification; one that a newer release sent and this one does not know is left
        out."""
        kind, _, rest = payload.partition(" ")
        if kind == _LIST and rest.isdecimal():
            self.lists.add(int(rest))
        elif kind == _MEMBERS:
            id, _, numbers = rest.partition(" ")
            if id.isdecimal():
                self.members.update((int(id), number) for number in numbers.split(","))
        elif kind == _BALANCE:
            self.balances.add(rest)
        elif kind == _PROBE:
            self.probes.add(rest)
        elif kind == _RESPONSE and rest.count(" ") >= 3:
            account, transaction, status, text = rest.split(" ", 3)
            self.responses.append((account, transaction, status, text))
        elif kind == _END:
            self.ends.add(rest)

    def merge(self, later: "News") -> None:
        """Takes what was told later."""
        self.version = max(self.version, later.version)
        self.everything = self.everything or later.everything
        self.lists |= later.lists
        self.members |= later.members
        self.balances |= later.balances
        self.probes |= later.probes
        self.responses += later.responses
        self.ends |= later.ends


def of_list(id: int) -> str:
    """A list was made, renamed, deleted, or many of its members changed."""
    return f"{_LIST} {id}"


def of_members(changed: Iterable[tuple[int, str]]) -> list[str]:
    """Members (list, number) came or went."""
    by_list: dict[int, list[str]] = {}
    for id, number in changed:
        by_list.setdefault(id, []).append(number)
    told = []
    for id, numbers in by_list.items():
        payload = f"{_MEMBERS} {id} {','.join(dict.fromkeys(numbers))}"
        few = len(numbers) <= _FEW and len(payload.encode()) < _LONGEST
        told.append(payload if few else of_list(id))
    return told


def of_balance(account: str) -> str:
    """An account was topped up."""
    return f"{_BALANCE} {account}"


def of_probe(credential: str) -> str:
    """A login wants to bind, and its sessions are in the way."""
    return f"{_PROBE} {credential}"


def of_end(session: str) -> str:
    """An operator wants the session with this id ended, by the node that has it."""
    return f"{_END} {session}"


def of_response(account: str, transaction: str, status: str, text: str) -> str:
    """An account's MMSC has answered a request of a node that awaits it; the first three have no
    spaces."""
    return f"{_RESPONSE} {account} {transaction} {status} {text[:_TEXT]}".replace("\0", "")


def tell(connection: Connection, payloads: Sequence[str]) -> None:
    """Tells all nodes, when the transaction of ``connection`` is committed."""
    if connection.dialect.name == "postgresql" and payloads:
        told = query(*(func.pg_notify(CHANNEL, payload) for payload in payloads))
        connection.execute(told)


class Listener:
    """A thread with a connection of its own that hears the news."""

    def __init__(self, engine: Engine, reactor: Any, told: Callable[[News], None]) -> None:
        """``engine`` is one on PostgreSQL; ``told`` is called on the reactor's thread, once a
        second at the least while the store answers."""
        self._engine = engine
        self._reactor = reactor
        self._told = told
        self._ending = Event()
        self._woken, self._wake = os.pipe()
        self._thread = Thread(target=self._serve, name="news", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._ending.set()
        os.write(self._wake, b".")
        self._thread.join(_MOST_S)

    def _serve(self) -> None:
        delay = _LEAST_S
        failing = False
        while not self._ending.is_set():
            try:
                connection = self._connected()
            except Exception as error:
                why = error
            else:
                if failing:
                    _log.info("news of other nodes: heard again")
                delay, failing = _LEAST_S, False
                try:
                    self._listen(connection)
                    return
                except Exception as error:
                    why = error
                finally:
                    connection.close()
            if not failing:
                # What is in memory stays in force, and is read again with the next connection.
                _log.warn("news of other nodes: not heard: {why}", why=lines.why(why))
            failing = True
            self._ending.wait(delay)
            delay = min(2 * delay, _MOST_S)

    def _connected(self) -> Any:
        """The driver's own connection, which no pool gets back."""
        pooled = self._engine.raw_connection()
        driver: Any = pooled.driver_connection
        pooled.detach()
        driver.autocommit = True
        driver.execute(f"LISTEN {CHANNEL}")
        return driver

    def _listen(self, driver: Any) -> None:
        heard: list[str] = []
        driver.add_notify_handler(lambda one: heard.append(one.payload))
        first = True
        while not self._ending.is_set():
            news = News()
            news.everything, first = first, False
            # Reading an answer brings the notifications that came before it.
            version = driver.execute("SELECT max(version) FROM audit").fetchone()[0]
            news.version = version or 0
            while heard:
                news.add(heard.pop())
            self._reactor.callFromThread(self._told, news)
            select.select([driver.fileno(), self._woken], [], [], _POLL_S)
