"""An ESME load generator that costs a microsecond a message: prebuilt PDUs, epoll, headers only.

Run as ``python -m bench.load PORT``; prints one line of JSON when every answer (and receipt) is in.
Sequence numbers go round a ring of prebuilt PDUs that is far larger than the window, so that
sending is one write of a slice and nothing is built while it runs.
"""

import argparse
import contextlib
import json
import select
import socket
import sys
import time
from collections import Counter

from bench.wire import (
    ANSWER,
    BINDS,
    DELIVER,
    ENQUIRE,
    HEADER,
    READ,
    RESPONSE,
    SUBMIT,
    TICKS,
    UNBIND,
    bind,
    cpu_seconds,
    percentile,
)

RING = 8192  # prebuilt PDUs of one bind
_DESTINATIONS = 100_000


def submits(
    source: str, number: int, length: int, receipt: bool, ring: int, mark: str
) -> tuple[bytes, int]:
    """A ring of submit_sm with sequence numbers 1 to ``ring``, and the octets of one of them."""
    pdus = []
    for i in range(ring):
        text = f"{mark} {number:02d}/{i:06d} ".encode().ljust(length, b"x")[:length]
        ton, npi = (1, 1) if source.isdigit() else (5, 0)
        body = b"".join(
            (
                b"\0",
                bytes((ton, npi)) + source.encode() + b"\0",
                b"\x01\x01" + b"4477009%05d" % ((number * ring + i) % _DESTINATIONS) + b"\0",
                b"\0\0\0\0\0" + bytes((receipt, 0, 0, 0, len(text))),
                text,
            )
        )
        pdus.append(HEADER.pack(16 + len(body), SUBMIT, 0, i + 1) + body)
    return b"".join(pdus), len(pdus[0])


class Bind:
    """One bound connection: its ring, when each of its PDUs was sent, what waits to be written."""

    def __init__(self, options: argparse.Namespace, number: int) -> None:
        self.sock = socket.create_connection((options.host, options.port), timeout=30)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.sendall(bind(BINDS[options.bind], options.system_id, options.password))
        answer = b""
        while len(answer) < 16 or len(answer) < HEADER.unpack_from(answer)[0]:
            got = self.sock.recv(4096)
            if not got:
                raise SystemExit(f"bind {number}: closed by {options.host}:{options.port}")
            answer += got
        length, _command, status, _sequence = HEADER.unpack_from(answer)
        if status:
            raise SystemExit(f"bind {number}: refused with status 0x{status:02x}")
        self.rest = answer[length:]
        self.sock.setblocking(False)
        ring, self.size = submits(
            options.source, number, options.length, options.receipts, options.ring, options.mark
        )
        self.ring = memoryview(ring)
        self.sent_at = [0.0] * options.ring
        self.next = 0
        self.outstanding = 0
        self.pending = bytearray()
        self.lost = False

    def write(self, octets: "bytes | memoryview") -> bool:
        """Write or keep; False if something is kept until the socket can be written again."""
        if self.pending:
            self.pending += octets
            return False
        try:
            done = self.sock.send(octets)
        except BlockingIOError:
            done = 0
        except OSError:
            self.lost = True
            return True
        if done == len(octets):
            return True
        self.pending += octets[done:]
        return False

    def flush(self) -> bool:
        """Write what was kept; True when all of it is out."""
        with contextlib.suppress(BlockingIOError):
            del self.pending[: self.sock.send(self.pending)]
        return not self.pending


class Load:
    """All binds and their figures."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.binds = [Bind(options, n) for n in range(options.binds)]
        self.epoll = select.epoll()
        self.by_fd = {b.sock.fileno(): b for b in self.binds}
        for fd in self.by_fd:
            self.epoll.register(fd, select.EPOLLIN)
        self.submitted = self.accepted = self.receipts = 0
        self.refused: Counter[int] = Counter()
        self.ticks = [0] * TICKS
        self.first_submit = self.last_submit = self.last_answer = self.last_receipt = 0.0
        self.receipt_ticks: Counter[int] = Counter()

    def run(self) -> dict[str, object]:
        """Submit everything, wait for what is due, unbind, and give the figures."""
        options = self.options
        cpu = cpu_seconds()
        start = self.first_submit = time.monotonic()
        end = start + options.seconds if options.seconds else float("inf")
        heard = start
        turn = 0
        while True:
            now = time.monotonic()
            submitting = now < end and self.submitted < options.messages
            if submitting:
                due = options.messages - self.submitted
                if options.rate:
                    due = min(due, int((now - start) * options.rate) - self.submitted)
                turn += 1
                for i in range(len(self.binds)):
                    if due <= 0:
                        break
                    one = self.binds[(turn + i) % len(self.binds)]
                    room = options.window - one.outstanding
                    if options.rate:  # spread evenly, or the first bind would take all
                        room = min(room, -(-due // (len(self.binds) - i)))
                    if room > 0 and not one.lost:
                        due -= self.submit(one, min(room, due), now)
            elif self.settled() or now - heard > options.grace:
                break
            for fd, event in self.epoll.poll(0.001 if options.rate and submitting else 0.2):
                one = self.by_fd[fd]
                if event & select.EPOLLOUT and one.flush():
                    self.epoll.modify(fd, select.EPOLLIN)
                if event & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                    heard = time.monotonic()
                    self.read(one, heard)
            if all(b.lost for b in self.binds):
                break
        used = cpu_seconds() - cpu
        self.unbind()
        return self.figures(used)

    def settled(self) -> bool:
        """True when every answer is in, and every receipt if they are asked for."""
        if any(b.outstanding and not b.lost for b in self.binds):
            return False
        return not self.options.receipts or self.receipts >= self.accepted

    def submit(self, one: Bind, count: int, now: float) -> int:
        """Write up to ``count`` submit_sm; the number written (less at the ring's end)."""
        first = one.next
        count = min(count, self.options.ring - first)
        last = first + count
        if self.options.rate:  # latency counts from when a message was due, not from its write
            base, step = self.first_submit, 1 / self.options.rate
            one.sent_at[first:last] = [base + (self.submitted + k + 1) * step for k in range(count)]
        else:
            one.sent_at[first:last] = [now] * count
        one.next = last % self.options.ring
        one.outstanding += count
        self.submitted += count
        self.last_submit = now
        if not one.write(one.ring[first * one.size : last * one.size]):
            self.epoll.modify(one.sock, select.EPOLLIN | select.EPOLLOUT)
        return count

    def read(self, one: Bind, now: float) -> None:
        """Count what has come in on one bind and answer what wants an answer."""
        try:
            data = one.sock.recv(READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            one.lost = True
            self.epoll.unregister(one.sock)
            return
        if one.rest:
            data = one.rest + data
        unpack, ticks, sent_at = HEADER.unpack_from, self.ticks, one.sent_at
        position, end = 0, len(data)
        answered = accepted = 0
        receipts: list[int] = []
        while end - position >= 16:
            length, command, status, sequence = unpack(data, position)
            if position + length > end:
                break
            position += length
            if command == SUBMIT | RESPONSE:
                answered += 1
                tick = int((now - sent_at[sequence - 1]) * 10_000)
                ticks[tick if tick < TICKS else -1] += 1
                if status:
                    self.refused[status] += 1
                else:
                    accepted += 1
            elif command == DELIVER:
                receipts.append(sequence)
            elif command in (ENQUIRE, UNBIND):
                one.write(HEADER.pack(16, command | RESPONSE, 0, sequence))
        one.rest = data[position:]
        if answered:
            one.outstanding -= answered
            self.accepted += accepted
            self.last_answer = now
        if receipts:
            pack = ANSWER.pack
            whole = b"".join([pack(17, DELIVER | RESPONSE, 0, s, 0) for s in receipts])
            if not one.write(whole):
                self.epoll.modify(one.sock, select.EPOLLIN | select.EPOLLOUT)
            self.receipts += len(receipts)
            self.receipt_ticks[int(now * 10)] += len(receipts)
            self.last_receipt = now

    def unbind(self) -> None:
        """Say goodbye on every bind and wait shortly for the answers."""
        for one in self.binds:
            if one.lost:
                continue
            with contextlib.suppress(OSError):
                one.sock.settimeout(1)
                one.sock.sendall(
                    bytes(one.pending) + HEADER.pack(16, UNBIND, 0, self.options.ring + 1)
                )
                while one.sock.recv(READ):
                    pass
        for one in self.binds:
            one.sock.close()

    def figures(self, used: float) -> dict[str, object]:
        """What ``run`` gives: counts, times of CLOCK_MONOTONIC in seconds, latencies in ms."""
        span = self.last_answer - self.first_submit
        return {
            "binds": self.options.binds,
            "window": self.options.window,
            "submitted": self.submitted,
            "accepted": self.accepted,
            "refused": {f"0x{status:02x}": n for status, n in sorted(self.refused.items())},
            "unanswered": sum(b.outstanding for b in self.binds),
            "lost_binds": sum(b.lost for b in self.binds),
            "receipts": self.receipts,
            "first_submit": self.first_submit,
            "last_submit": self.last_submit,
            "last_answer": self.last_answer,
            "last_receipt": self.last_receipt,
            "answers_per_s": round(sum(self.ticks) / span, 1) if span > 0 else 0,
            "p50_ms": percentile(self.ticks, 0.50),
            "p99_ms": percentile(self.ticks, 0.99),
            "max_ms": percentile(self.ticks, 1.0),
            "receipt_ticks": {str(tick): n for tick, n in sorted(self.receipt_ticks.items())},
            "cpu_s": round(used, 3),
            "cpu_us_per_message": round(used / max(1, self.submitted) * 1e6, 2),
        }


def main() -> None:
    """Parse the command line, run the load, print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--system-id", default="bench")
    parser.add_argument("--password", default="bench")
    parser.add_argument("--bind", choices=sorted(BINDS), default="transceiver")
    parser.add_argument("--binds", type=int, default=4)
    parser.add_argument("--window", type=int, default=50, help="unanswered submit_sm of one bind")
    parser.add_argument("--messages", type=int, default=sys.maxsize, help="all of them together")
    parser.add_argument("--seconds", type=float, default=0, help="stop submitting after this time")
    parser.add_argument("--rate", type=float, default=0, help="messages/s; 0 = as fast as it goes")
    parser.add_argument("--length", type=int, default=100, help="octets of text")
    parser.add_argument("--ring", type=int, default=RING, help="different messages of one bind")
    parser.add_argument("--mark", default="bench", help="what the texts begin with")
    parser.add_argument("--source", default="447700900000")
    parser.add_argument("--receipts", action="store_true", help="ask for receipts, wait for them")
    parser.add_argument("--grace", type=float, default=10, help="s of silence before giving up")
    options = parser.parse_args()
    if options.messages == sys.maxsize and not options.seconds:
        parser.error("say --messages or --seconds")
    json.dump(Load(options).run(), sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
