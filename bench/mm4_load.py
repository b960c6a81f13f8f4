"""Load and sink of the MM4 scenario, each as a process of its own: ``python -m bench.mm4_load load
...`` submits multimedia messages by SMTP, ``... sink ...`` is the carrier's MMSC that takes them.

Plain asyncio, no parsing, so that what is measured is the gateway.
"""

import argparse
import asyncio
import base64
import json
import os
import sys
import time

_DOMAIN = "mms.example.com"
_HEADER = """\
From: +447700900000/TYPE=PLMN@mms.example.org\r
To: +447700900123/TYPE=PLMN@mms.example.com\r
Sender: system-user@mms.example.org\r
Date: Sat, 14 Mar 2026 10:15:02 +0000\r
Message-ID: <{n}@mms.example.org>\r
Subject: Holiday\r
X-Mms-3GPP-MMS-Version: 6.3.0\r
X-Mms-Message-Type: MM4_forward.REQ\r
X-Mms-Transaction-ID: {n}\r
X-Mms-Message-ID: {n}@mms.example.org\r
X-Mms-Ack-Request: No\r
X-Mms-Originator-System: system-user@mms.example.org\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary="=_b"\r
\r
--=_b\r
Content-Type: text/plain; charset=utf-8\r
\r
Greetings from the seaside!\r
--=_b\r
Content-Type: image/jpeg; name="photo.jpg"\r
Content-Transfer-Encoding: base64\r
\r
"""


def mail(name: str, size: int) -> bytes:
    """A request with a picture of so many octets, which no other has."""
    picture = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + os.urandom(size - 11)
    encoded = base64.encodebytes(picture).replace(b"\n", b"\r\n")
    return _HEADER.format(n=name).encode() + encoded + b"--=_b--\r\n"


class Client:
    """One connection."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def open(self) -> None:
        """Connects and logs in."""
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        await self.answer(220)
        await self.say("EHLO mms.example.org", 250)
        login = base64.b64encode(b"\0bench\0bench").decode()
        await self.say(f"AUTH PLAIN {login}", 235)

    async def answer(self, code: int) -> None:
        """Reads one answer."""
        while True:
            line = await self.reader.readline()
            if line[3:4] != b"-":
                break
        if not line.startswith(str(code).encode()):
            raise RuntimeError(f"not {code}: {line!r}")

    async def say(self, line: str, code: int) -> None:
        """A command and its answer."""
        self.writer.write(line.encode() + b"\r\n")
        await self.answer(code)

    async def send(self, octets: bytes) -> float:
        """One mail; seconds until it was answered."""
        began = time.perf_counter()
        self.writer.write(
            b"MAIL FROM:<system-user@mms.example.org>\r\n"
            b"RCPT TO:<+447700900123/TYPE=PLMN@mms.example.com>\r\nDATA\r\n"
        )
        for code in (250, 250, 354):
            await self.answer(code)
        self.writer.write(octets + b".\r\n")
        await self.writer.drain()
        await self.answer(250)
        return time.perf_counter() - began


async def load(options: argparse.Namespace) -> None:
    """Sends all, over all connections."""
    mark = f"{time.time_ns():x}"
    left = list(range(options.messages))
    clients = [Client(options.port) for _ in range(options.connections)]
    for client in clients:
        await client.open()
    took: list[float] = []
    began = time.time()

    async def one(client: Client) -> None:
        while left:
            octets = mail(f"{mark}.{left.pop()}", options.size)
            took.append(await client.send(octets))

    await asyncio.gather(*(one(client) for client in clients))
    ended = time.time()
    took.sort()
    figures = {
        "accepted": len(took),
        "first_submit": began,
        "last_answer": ended,
        "answers_per_s": round(len(took) / (ended - began), 1),
        "p50_ms": round(took[len(took) // 2] * 1000, 1),
        "p99_ms": round(took[len(took) * 99 // 100] * 1000, 1),
    }
    print(json.dumps(figures), flush=True)


class Sink:
    """An SMTP server that takes everything, and says how much it was when it is asked."""

    def __init__(self) -> None:
        self.arrived = 0
        self.last = 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        writer.write(b"220 sink ESMTP\r\n")
        try:
            while line := await reader.readline():
                verb = line[:4].upper()
                if verb == b"EHLO":
                    writer.write(
                        b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 10000000\r\n"
                    )
                elif verb == b"DATA":
                    writer.write(b"354 go\r\n")
                    await reader.readuntil(b"\r\n.\r\n")
                    self.arrived += 1
                    self.last = time.time()
                    writer.write(b"250 2.0.0 ok\r\n")
                elif verb == b"QUIT":
                    break
                else:
                    writer.write(b"250 ok\r\n")
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


async def sink(options: argparse.Namespace) -> None:
    """Serves until its input ends; a line on it asks for the figures."""
    taker = Sink()
    server = await asyncio.start_server(taker.serve, "127.0.0.1", options.port, limit=1 << 24)
    print("{}", flush=True)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps({"arrived": taker.arrived, "last_arrival": taker.last}), flush=True)
    server.close()


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["load", "sink"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--size", type=int, default=30_000, help="octets of the picture")
    options = parser.parse_args()
    asyncio.run(load(options) if options.what == "load" else sink(options))


if __name__ == "__main__":
    main()
