"""An HTTP load generator: prebuilt requests of one dialect, one at a time on each kept connection.

Run as ``python -m bench.http_load PORT``; prints one line of JSON when every answer is in.
"""

import argparse
import base64
import json
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlencode

from bench.wire import READ, TICKS, cpu_seconds, percentile

RING = 8192  # prebuilt requests


def requests(options: argparse.Namespace) -> list[bytes]:
    """A ring of whole requests that differ in destination and text."""
    return _RINGS[options.dialect](options)


def _text(options: argparse.Namespace, i: int) -> str:
    return f"bench {i:05d} ".ljust(options.length, "x")


def _get(options: argparse.Namespace, path: str, **fields: object) -> bytes:
    return (
        f"GET {path}?{urlencode(fields)} HTTP/1.1\r\nHost: {options.host}:{options.port}\r\n\r\n"
    ).encode()


def _smscgi(options: argparse.Namespace) -> list[bytes]:
    return [
        _get(
            options,
            "/sms.cgi",
            username=options.source,
            password=options.password,
            da=f"4477009{i:05d}",
            ud=_text(options, i),
        )
        for i in range(RING)
    ]


def _post(options: argparse.Namespace, path: str, **fields: object) -> bytes:
    body = urlencode(fields, safe=",")
    return (
        f"POST {path} HTTP/1.1\r\nHost: {options.host}:{options.port}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def _relay(options: argparse.Namespace) -> list[bytes]:
    """By GET, or by POST with many numbers each."""
    if options.numbers > 1:
        return [
            _post(
                options,
                "/sms/sms_gw.php",
                username=options.username,
                password=options.password,
                originator=options.source,
                destination=",".join(f"4477{i}{n:07d}" for n in range(options.numbers)),
                message=_text(options, i),
            )
            for i in range(8)
        ]
    return [
        _get(
            options,
            "/sms/sms_gw.php",
            username=options.username,
            password=options.password,
            originator=options.source,
            destination=f"4477009{i:05d}",
            message=_text(options, i),
        )
        for i in range(RING)
    ]


def _websmpp(options: argparse.Namespace) -> list[bytes]:
    """By GET, or by POST with many numbers each."""
    common = {
        "user": options.username,
        "pass": options.password,
        "sid": options.source,
        "type": 1,
    }
    if options.numbers == 1:
        return [
            _get(
                options,
                "/websmpp/websms",
                **common,
                mno=f"4477009{i:05d}",
                text=_text(options, i),
            )
            for i in range(RING)
        ]
    ring = []
    for i in range(8):
        mno = ",".join(f"4477{i}{n:07d}" for n in range(options.numbers))
        ring.append(_post(options, "/websmpp/websms", **common, mno=mno, text=_text(options, i)))
    return ring


def _rest(options: argparse.Namespace) -> list[bytes]:
    login = base64.b64encode(f"{options.username}:{options.password}".encode()).decode()
    head = (
        f"POST {options.path} HTTP/1.1\r\n"
        f"Host: {options.host}:{options.port}\r\n"
        f"Authorization: Basic {login}\r\n"
        "Content-Type: application/json\r\n"
        "Content-Length: %d\r\n\r\n"
    )
    ring = []
    for i in range(RING):
        body = {
            "source": options.source,
            "destination": f"4477009{i:05d}",
            "messageText": _text(options, i),
            "registeredDelivery": options.receipts,
        }
        text = json.dumps(body)
        ring.append((head % len(text) + text).encode())
    return ring


_RINGS: dict[str, Callable[[argparse.Namespace], list[bytes]]] = {
    "rest": _rest,
    "smscgi": _smscgi,
    "relay": _relay,
    "websmpp": _websmpp,
}
# What the body of an answer begins with that says yes.
YES = {"rest": b"{", "smscgi": b"OK: ", "relay": b"0:", "websmpp": b"Response: "}


class Connection:
    """One kept-alive connection with one request outstanding at most."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.sock = socket.create_connection((options.host, options.port), timeout=30)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.got = b""
        self.sent_at = 0.0


def answer_length(octets: bytes) -> int:
    """Octets of the whole answer that ``octets`` begins with; 0 if its header is not complete."""
    end = octets.find(b"\r\n\r\n")
    if end < 0:
        return 0
    head = octets[:end].lower()
    at = head.find(b"\r\ncontent-length:")
    if at < 0:
        raise SystemExit(f"an answer without Content-Length: {octets[:200]!r}")
    return end + 4 + int(head[at + 17 :].split(b"\r\n", 1)[0])


def run(options: argparse.Namespace) -> dict[str, object]:
    """Post everything and give the figures; times are of CLOCK_MONOTONIC in seconds."""
    ring = requests(options)
    yes = b"\r\n\r\n" + YES[options.dialect]
    epoll = select.epoll()
    connections = {}
    for _ in range(options.connections):
        one = Connection(options)
        connections[one.sock.fileno()] = one
        epoll.register(one.sock, select.EPOLLIN)
    ticks = [0] * TICKS
    statuses: Counter[str] = Counter()
    example: dict[str, str] = {}
    cpu = cpu_seconds()
    start = time.monotonic()
    end = start + options.seconds if options.seconds else float("inf")
    posted = answered = 0
    idle = list(connections.values())
    now = heard = start
    while True:
        while idle and posted < options.messages and now < end:
            if options.rate and posted >= (now - start) * options.rate:
                break
            one = idle.pop()
            one.sent_at = start + (posted + 1) / options.rate if options.rate else now
            one.sock.sendall(ring[posted % len(ring)])
            posted += 1
        if answered == posted and (posted >= options.messages or now >= end):
            break
        events = epoll.poll(0.001 if options.rate else 0.2)
        now = time.monotonic()
        if not events and answered < posted and now - heard > options.grace:
            break
        for fd, _event in events:
            one = connections[fd]
            got = one.sock.recv(READ)
            if not got:
                raise SystemExit(
                    f"closed by {options.host}:{options.port} after {answered} answers"
                )
            got = one.got + got if one.got else got
            length = answer_length(got)
            if not length or len(got) < length:
                one.got = got
                continue
            heard = now
            status = got[9:12].decode()
            if status == "200" and yes not in got:
                status = "no"  # a dialect that says it in words
            statuses[status] += 1
            if status not in example:
                example[status] = got[:length].partition(b"\r\n\r\n")[2].decode(errors="replace")
            tick = int((now - one.sent_at) * 10_000)
            ticks[tick if tick < TICKS else -1] += 1
            answered += 1
            one.got = got[length:]
            idle.append(one)
    used = cpu_seconds() - cpu
    span = now - start
    return {
        "connections": options.connections,
        "submitted": posted,
        "accepted": statuses["200"] * options.numbers,
        "refused": {status: n for status, n in statuses.items() if status != "200"},
        "refused_example": {status: text for status, text in example.items() if status != "200"},
        "unanswered": posted - answered,
        "first_submit": start,
        "last_answer": now,
        "answers_per_s": round(answered / span, 1) if span > 0 else 0,
        "messages_per_s": round(answered * options.numbers / span, 1) if span > 0 else 0,
        "p50_ms": percentile(ticks, 0.50),
        "p99_ms": percentile(ticks, 0.99),
        "max_ms": percentile(ticks, 1.0),
        "cpu_s": round(used, 3),
        "cpu_us_per_message": round(used / max(1, posted) * 1e6, 2),
    }


def main() -> None:
    """Parse the command line, run the load, print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--dialect", choices=sorted(_RINGS), default="rest")
    parser.add_argument("--numbers", type=int, default=1, help="of each POST of websmpp or relay")
    parser.add_argument("--path", default="/v4/messages", help="of rest")
    parser.add_argument("--username", default="bench")
    parser.add_argument("--password", default="bench")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--messages", type=int, default=sys.maxsize)
    parser.add_argument("--seconds", type=float, default=0, help="stop posting after this time")
    parser.add_argument("--rate", type=float, default=0, help="messages/s; 0 = as fast as it goes")
    parser.add_argument("--length", type=int, default=100, help="characters of text")
    parser.add_argument("--source", default="447700900000")
    parser.add_argument("--receipts", action="store_true", help="ask for receipts")
    parser.add_argument("--grace", type=float, default=10, help="s of silence before giving up")
    options = parser.parse_args()
    if options.messages == sys.maxsize and not options.seconds:
        parser.error("say --messages or --seconds")
    json.dump(run(options), sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
