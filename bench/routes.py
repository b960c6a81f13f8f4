"""Measures how long a table of many routes takes to make, and how many messages a second it
routes.

``python bench/routes.py [--json] [--prefixes N] [--turns N]``: the median of several turns, by the
CPU time of the process, so that other work on the machine does not count. ``plain`` is routes
without filters, ``filtered`` the same with filters on every tenth route, ``stall`` how long another
thread waits for its turn meanwhile (of the filtered ones), ``naive`` a search through all prefixes
(few messages), for comparison.
"""

import argparse
import gc
import json
import statistics
import time
from random import Random
from threading import Thread

from smsgw.message import Message
from smsgw.provisioning import Route
from smsgw.rules.routes import RouteTable

COUNT = 50_000  # messages of a turn
NAIVE = 20
ROUTES = 200  # the prefixes are spread over so many routes


def prefixes(count: int, random: Random) -> list[str]:
    """So many different prefixes of one to nine digits, most of them long, as price lists have."""
    found: dict[str, None] = {}
    while len(found) < count:
        length = min(9, 1 + int(random.triangular(0, 9, 7)))
        found[str(random.randrange(10 ** (length - 1), 10**length))] = None
    return list(found)


def routes(every: list[str], filtered: bool) -> list[Route]:
    """Routes over all prefixes; with ``filtered`` every tenth asks for a text too."""
    return [
        Route(
            f"r{n}",
            every[n::ROUTES],
            ["north"],
            text="code" if filtered and not n % 10 else "",
            accounts=["acme"] if filtered and not n % 10 else [],
        )
        for n in range(ROUTES)
    ]


def messages(every: list[str], random: Random) -> list[Message]:
    """Messages to numbers that some prefix begins; a tenth of them with a code."""
    found = []
    for n in range(COUNT):
        digits = f"{random.choice(every)}{random.randrange(10**9, 10**10)}"[:12]
        text = b"Your code is 123456" if not n % 10 else b"Hello, this is a message"
        found.append(Message("ACME", digits, parts=[text], account="acme"))
    return found


def rate(table: RouteTable[Route], given: list[Message], turns: int) -> float:
    """Decisions a second: the median of ``turns``."""
    match = table.match
    rates = []
    for _ in range(turns):
        gc.collect()
        start = time.process_time()
        for message in given:
            match(message.destination, message)
        rates.append(len(given) / (time.process_time() - start))
    return statistics.median(rates)


def stall(forms: list[Route], turns: int) -> float:
    """How long another thread waits at most for its turn while a table is made, in ms: the median
    of ``turns``. As in the gateway, where the reactor goes on while a reload is under way."""
    longest = []
    for _ in range(turns):
        gc.collect()
        making = Thread(target=RouteTable, args=(forms,))
        gaps = [0.0]
        making.start()
        while making.is_alive():
            start = time.perf_counter()
            time.sleep(0)
            gaps.append(time.perf_counter() - start)
        longest.append(max(gaps) * 1000)
    return statistics.median(longest)


def naive_rate(every: list[str], given: list[Message]) -> float:
    """Decisions a second of a search through all prefixes."""
    start = time.process_time()
    for message in given[:NAIVE]:
        max((one for one in every if message.destination.startswith(one)), key=len, default="")
    return NAIVE / (time.process_time() - start)


def measured(count: int, turns: int) -> dict[str, float]:
    """All figures by name."""
    random = Random(1)  # the same prefixes each time
    every = prefixes(count, random)
    given = messages(every, random)
    figures: dict[str, float] = {"prefixes": count}
    for name, filtered in (("plain", False), ("filtered", True)):
        forms = routes(every, filtered)
        start = time.process_time()
        table = RouteTable(forms)
        figures[f"{name}_load_s"] = round(time.process_time() - start, 3)
        figures[f"{name}_per_s"] = round(rate(table, given, turns))
        figures["stall_ms"] = round(stall(forms, turns), 1)
    figures["naive_per_s"] = round(naive_rate(every, given))
    return figures


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--prefixes", type=int, default=200_000, metavar="N")
    parser.add_argument("--turns", type=int, default=5, metavar="N")
    options = parser.parse_args()
    figures = measured(options.prefixes, options.turns)
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:16}{value:>14,}")


if __name__ == "__main__":
    main()
