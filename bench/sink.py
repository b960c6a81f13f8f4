"""A carrier that costs a few microseconds a message: answers submit_sm, counts, sends receipts.

Run as ``python -m bench.sink``; prints ``{"port": ...}``, then obeys lines on its standard input:
``report`` prints the figures as one line of JSON, ``reset`` forgets them, the end of input ends it.
"""

import argparse
import contextlib
import json
import os
import select
import socket
import sys
import time
from collections import Counter, deque

from bench.wire import (
    BINDS,
    DELIVER,
    ENQUIRE,
    HEADER,
    READ,
    RESPONSE,
    SUBMIT,
    UNBIND,
    cpu_seconds,
)

ID_DIGITS = 16
_RECEIVING = {BINDS["receiver"], BINDS["transceiver"]}


class Peer:
    """One connection of the gateway."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.rest = b""
        self.pending = bytearray()
        self.receives = False
        self.outstanding = 0
        self.sequence = 0


class Sink:
    """All connections, the receipts that wait, and the figures."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.listener = socket.create_server((options.host, options.port), backlog=64)
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.epoll = select.epoll()
        self.epoll.register(self.listener, select.EPOLLIN)
        self.epoll.register(0, select.EPOLLIN)
        self.peers: dict[int, Peer] = {}
        # Unique also over restarts: microseconds since 1970, plus one for each message.
        self.next_id = time.time_ns() // 1000
        self.due: deque[tuple[float, list[tuple[int, bytes]]]] = deque()
        self.ready: deque[tuple[int, bytes]] = deque()
        self.date = (0, b"")
        self.reset()

    def reset(self) -> None:
        """Forget all figures."""
        self.arrived = self.receipts_sent = self.receipts_answered = 0
        self.receipts_refused: Counter[int] = Counter()
        self.first = self.last = 0.0
        self.ticks: Counter[int] = Counter()
        self.cpu = cpu_seconds()

    def report(self) -> dict[str, object]:
        """Counts, and times of CLOCK_MONOTONIC in s; ``ticks``: arrivals by tenth of a second."""
        used = cpu_seconds() - self.cpu
        span = self.last - self.first
        return {
            "arrived": self.arrived,
            "first_arrival": self.first,
            "last_arrival": self.last,
            "arrivals_per_s": round(self.arrived / span, 1) if span > 0 else 0,
            "ticks": {str(tick): n for tick, n in sorted(self.ticks.items())},
            "receipts_sent": self.receipts_sent,
            "receipts_answered": self.receipts_answered,
            "receipts_refused": {f"0x{s:02x}": n for s, n in self.receipts_refused.items()},
            "receipts_waiting": len(self.ready) + sum(len(batch) for _at, batch in self.due),
            "peers": len(self.peers),
            "cpu_s": round(used, 3),
            "cpu_us_per_message": round(used / max(1, self.arrived) * 1e6, 2),
        }

    def run(self) -> None:
        """Serve until the standard input ends."""
        while True:
            wait = 1.0
            if self.ready:
                self.send_receipts()
            if self.due:
                wait = max(0.0, min(wait, self.due[0][0] - time.monotonic()))
            for fd, event in self.epoll.poll(wait):
                if fd == 0:
                    if not self.command():
                        return
                elif fd == self.listener.fileno():
                    self.accept()
                else:
                    peer = self.peers[fd]
                    if event & select.EPOLLOUT:
                        self.flush(peer)
                    if event & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                        self.read(peer)
            if self.due:
                now = time.monotonic()
                while self.due and self.due[0][0] <= now:
                    self.ready.extend(self.due.popleft()[1])

    def command(self) -> bool:
        """Obey the lines that wait on the standard input; False at its end."""
        octets = os.read(0, 4096)
        for word in octets.split():
            if word == b"report":
                print(json.dumps(self.report()), flush=True)
            elif word == b"reset":
                self.reset()
                print("{}", flush=True)
        return bool(octets)

    def accept(self) -> None:
        """Take one new connection."""
        sock, _address = self.listener.accept()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.peers[sock.fileno()] = Peer(sock)
        self.epoll.register(sock, select.EPOLLIN)

    def drop(self, peer: Peer) -> None:
        """Forget a connection; its unanswered receipts are lost, as with a real carrier's crash."""
        self.epoll.unregister(peer.sock)
        del self.peers[peer.sock.fileno()]
        peer.sock.close()

    def write(self, peer: Peer, octets: bytes) -> None:
        """Write, and keep what the socket does not take."""
        if peer.pending:
            peer.pending += octets
            return
        done = 0
        with contextlib.suppress(OSError):
            done = peer.sock.send(octets)
        if done < len(octets):
            peer.pending += octets[done:]
            self.epoll.modify(peer.sock, select.EPOLLIN | select.EPOLLOUT)

    def flush(self, peer: Peer) -> None:
        """Write what was kept."""
        with contextlib.suppress(OSError):
            del peer.pending[: peer.sock.send(peer.pending)]
        if not peer.pending:
            self.epoll.modify(peer.sock, select.EPOLLIN)

    def read(self, peer: Peer) -> None:
        """Count and answer what has come in on one connection."""
        try:
            data = peer.sock.recv(READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.drop(peer)
            return
        if peer.rest:
            data = peer.rest + data
        mode = self.options.receipts
        unpack, pack = HEADER.unpack_from, HEADER.pack
        size = 16 + ID_DIGITS + 1
        number = first = self.next_id
        out: list[bytes] = []
        receipts: list[tuple[int, bytes]] = []
        position, end = 0, len(data)
        while end - position >= 16:
            length, command, status, sequence = unpack(data, position)
            if position + length > end:
                break
            if command == SUBMIT:
                out.append(pack(size, SUBMIT | RESPONSE, 0, sequence) + b"%016d\0" % number)
                if mode != "none":
                    swapped = swap(data, position + 16, mode == "asked")
                    if swapped:
                        receipts.append((number, swapped))
                number += 1
            elif command == DELIVER | RESPONSE:
                peer.outstanding -= 1
                self.receipts_answered += 1
                if status:
                    self.receipts_refused[status] += 1
            elif command in BINDS.values():
                peer.receives = command in _RECEIVING
                out.append(pack(21, command | RESPONSE, 0, sequence) + b"sink\0")
            elif command in (ENQUIRE, UNBIND):
                out.append(pack(16, command | RESPONSE, 0, sequence))
            position += length
        peer.rest = data[position:]
        if out:
            self.write(peer, b"".join(out))
        if number > first:
            self.next_id = number
            now = self.last = time.monotonic()
            self.first = self.first or now
            self.arrived += number - first
            self.ticks[int(now * 10)] += number - first
            if receipts:
                self.due.append((now + self.options.delay, receipts))

    def send_receipts(self) -> None:
        """Give the receipts that are ready to the connections that have room, evenly."""
        receivers = [p for p in self.peers.values() if p.receives and not p.pending]
        if not receivers:
            return
        share = -(-len(self.ready) // len(receivers))
        second = int(time.time())
        if second != self.date[0]:
            self.date = (second, time.strftime("%y%m%d%H%M%S", time.gmtime(second)).encode())
        date = self.date[1]
        tail = b" sub:001 dlvrd:001 submit date:%s done date:%s stat:DELIVRD err:000 text:bench"
        tail = tail % (date, date)
        pack = HEADER.pack
        # What follows the addresses: esm_class 4, nine more fields, sm_length.
        middle = b"\x04\0\0\0\0\0\0\0\0" + bytes((3 + ID_DIGITS + len(tail),)) + b"id:"
        fixed = 17 + len(middle) + ID_DIGITS + len(tail)
        for peer in receivers:
            count = min(self.options.window - peer.outstanding, share, len(self.ready))
            if count <= 0:
                continue
            sequence = peer.sequence
            out = []
            for _ in range(count):
                number, swapped = self.ready.popleft()
                sequence = sequence % 0x7FFFFFFF + 1
                out.append(
                    b"%b\0%b%b%016d%b"
                    % (
                        pack(fixed + len(swapped), DELIVER, 0, sequence),
                        swapped,
                        middle,
                        number,
                        tail,
                    )
                )
            peer.sequence = sequence
            peer.outstanding += count
            self.receipts_sent += count
            self.write(peer, b"".join(out))


def swap(data: bytes, start: int, asked: bool) -> bytes:
    """Destination and source, each with TON and NPI, of the submit_sm whose body is at ``start``.

    Empty if ``asked`` and registered_delivery asks for no receipt.
    """
    find = data.index
    source = find(0, start) + 1
    destination = find(0, source + 2) + 1
    after = find(0, destination + 2) + 1
    if asked and not data[find(0, find(0, after + 3) + 1) + 1] & 3:
        return b""
    return data[destination:after] + data[source:destination]


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--receipts", choices=("none", "asked", "all"), default="none")
    parser.add_argument("--delay", type=float, default=0, help="s from submit_sm to its receipt")
    parser.add_argument("--window", type=int, default=100, help="unanswered receipts of one bind")
    sink = Sink(parser.parse_args())
    print(json.dumps({"port": sink.port}), flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        sink.run()
    if sys.stdin.isatty():
        print(json.dumps(sink.report(), indent=2))


if __name__ == "__main__":
    main()
