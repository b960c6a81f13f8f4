"""ESMEs that are bound and do nothing but answer enquire_link.

Run as ``python -m bench.idle PORT --binds N``: prints a line when all are bound, and one with how
many enquire_links were answered when its standard input is closed.
"""

import argparse
import json
import select
import socket
import sys

from bench.wire import BINDS, ENQUIRE, HEADER, RESPONSE, bind


def bound(port: int) -> socket.socket:
    """A connection that is bound as transceiver."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=30)
    sock.sendall(bind(BINDS["transceiver"], "bench", "bench"))
    answer = b""
    while len(answer) < 16 or len(answer) < HEADER.unpack_from(answer)[0]:
        got = sock.recv(4096)
        if not got:
            raise SystemExit("closed before it was bound")
        answer += got
    if HEADER.unpack_from(answer)[2]:
        raise SystemExit(f"bind refused with status 0x{HEADER.unpack_from(answer)[2]:02x}")
    return sock


def main() -> None:
    """Parse the command line, bind, answer until nobody wants it any more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--binds", type=int, default=1000)
    options = parser.parse_args()
    epoll = select.epoll()
    socks = {}
    for _ in range(options.binds):
        sock = bound(options.port)
        socks[sock.fileno()] = sock
        epoll.register(sock, select.EPOLLIN)
    epoll.register(sys.stdin, select.EPOLLIN)
    print(json.dumps({"bound": len(socks)}), flush=True)
    answered = lost = 0
    ended = False
    while not ended:
        for fd, _event in epoll.poll():
            if fd == sys.stdin.fileno():
                ended = True
                continue
            data = socks[fd].recv(4096)
            if not data:
                lost += 1
                epoll.unregister(fd)
            for start in range(0, len(data) - 15, 16):
                _length, command, _status, sequence = HEADER.unpack_from(data, start)
                if command == ENQUIRE:
                    socks[fd].sendall(HEADER.pack(16, command | RESPONSE, 0, sequence))
                    answered += 1
    print(json.dumps({"answered": answered, "lost": lost}), flush=True)


if __name__ == "__main__":
    main()
