"""Measures how many submit_sm of 160 octets the codec encodes and decodes in a second.

``python bench/codec.py [--json] [--turns N]``: the median of several turns,
by the CPU time of the process, so that other work on the machine does not count.
"""

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable

from smsgw.smpp.codec import decode, encode
from smsgw.smpp.framing import Framer
from smsgw.smpp.pdu import SubmitSm

COUNT = 20_000
PDUS = [
    SubmitSm(
        sequence=number,
        source_addr_ton=5,
        source_addr=b"Example",
        dest_addr_ton=1,
        dest_addr_npi=1,
        destination_addr=b"4477009%05d" % number,
        registered_delivery=1,
        short_message=b"x" * 160,
    )
    for number in range(COUNT)
]
OCTETS = [encode(pdu) for pdu in PDUS]
STREAM = b"".join(OCTETS)
READS = [STREAM[i : i + 65_536] for i in range(0, len(STREAM), 65_536)]


def encode_turn() -> None:
    """Encode each PDU by itself."""
    for pdu in PDUS:
        encode(pdu)


def decode_turn() -> None:
    """Decode each PDU by itself."""
    for octets in OCTETS:
        decode(octets)


def feed_turn() -> None:
    """Feed the stream to a framer in reads of 64 kB."""
    feed = Framer().feed
    for read in READS:
        feed(read)


def rate(turn: Callable[[], None], turns: int) -> float:
    """PDUs a second: the median of ``turns``."""
    turn()
    rates = []
    for _ in range(turns):
        gc.collect()
        start = time.process_time()
        turn()
        rates.append(COUNT / (time.process_time() - start))
    return statistics.median(rates)


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--turns", type=int, default=15, metavar="N")
    options = parser.parse_args()
    turns = {"encode": encode_turn, "decode": decode_turn, "feed": feed_turn}
    rates = {name: round(rate(turn, options.turns)) for name, turn in turns.items()}
    if options.json:
        print(json.dumps({f"{name}_per_s": value for name, value in rates.items()}))
    else:
        for name, value in rates.items():
            print(f"{name:8}{value:>12,}/s")


if __name__ == "__main__":
    main()
