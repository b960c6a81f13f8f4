"""What an account pays for a part: price lists, by leading digits of destinations or by network."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from smsgw.provisioning.routing import Network, Price, PriceList

REST = (
    "Rest"  # in a coverage list the operator of a country's other networks (spec/ams-websmpp F-3)
)

# Of entries that name the same digits the first kind holds: what is said of digits is more exact
# than what is said of a network, and a network's own price more than its country's.
_OF_PREFIX, _OF_NETWORK, _OF_COUNTRY = range(3)


class Priced(NamedTuple):
    """What holds for a destination: the price of a part, as written, and for what it was given."""

    price: str
    prefix: str  # the digits that matched
    why: str  # "prefix 4477" or "network 234-10"


class PriceTable:
    """A price list compiled for look-up: one dictionary look-up for each prefix length in use, 16
    at most."""

    def __init__(self, form: PriceList, networks: Iterable[Network]) -> None:
        """``networks``: all that are provisioned."""
        self.name = form.name
        ranked: dict[str, tuple[int, Priced]] = {}
        for rank, priced in _expanded(form, networks):
            known = ranked.get(priced.prefix)
            if known is None or rank < known[0]:
                ranked[priced.prefix] = (rank, priced)
        self._prices = {prefix: priced for prefix, (_, priced) in ranked.items()}
        self._lengths = sorted({len(prefix) for prefix in ranked}, reverse=True)

    def find(self, destination: str) -> Priced | None:
        """The price for a destination (digits in international form), None if the list has none."""
        prices = self._prices
        for length in self._lengths:
            found = prices.get(destination[:length])
            if found is not None:
                return found
        return None


def _expanded(form: PriceList, networks: Iterable[Network]) -> Iterator[tuple[int, Priced]]:
    by_code = {(one.mcc, one.mnc): one for one in networks}
    own = {(one.mcc, one.mnc) for one in form.price if one.mnc}
    for entry in form.price:
        if entry.prefix is not None:
            why = f"prefix {entry.prefix or 'of all'}"
            yield _OF_PREFIX, Priced(entry.price, entry.prefix, why)
            continue
        if entry.mnc:
            rank = _OF_NETWORK
            wanted = [(entry.mcc, entry.mnc)]
        else:
            rank = _OF_COUNTRY
            wanted = [code for code in by_code if code[0] == entry.mcc and code not in own]
        for code in wanted:
            network = by_code.get(code)
            if network is not None:
                why = f"network {network.mcc}-{network.mnc}"
                for prefix in network.prefixes:
                    yield rank, Priced(entry.price, prefix, why)


class Coverage(NamedTuple):
    """A line of a coverage list, in the order of its columns (spec/ams-websmpp.md F-3)."""

    country: str
    operator: str
    mcc: str
    mnc: str
    cost: str  # of a part, as written in the price list
    currency: str
    remarks: str


def coverage(form: PriceList, networks: Iterable[Network], currency: str) -> list[Coverage]:
    """A price list for people: one line for each price, by country, operator and network.

    A price of a whole country, or of all others, has the operator "Rest" and no MNC; one of leading
    digits has them in place of the operator, and the country of the networks that they belong to if
    it is one country.
    ``currency`` is the account's.
    """
    networks = list(networks)
    by_code = {(one.mcc, one.mnc): one for one in networks}
    countries = {one.mcc: one.country for one in networks if one.country}
    lines = [_line(one, networks, by_code, countries, currency) for one in form.price]
    return sorted(lines, key=lambda line: (line.country, line.mcc, not line.mnc, line.operator))


def _line(
    entry: Price,
    networks: list[Network],
    by_code: Mapping[tuple[str, str], Network],
    countries: Mapping[str, str],
    currency: str,
) -> Coverage:
    if entry.prefix is not None:
        country = _country(entry.prefix, networks)
        operator = f"+{entry.prefix}" if entry.prefix else REST
    elif entry.mnc:
        network = by_code.get((entry.mcc, entry.mnc))
        country = countries.get(entry.mcc, "")
        operator = network.operator or network.name if network is not None else ""
    else:
        country, operator = countries.get(entry.mcc, ""), REST
    return Coverage(country, operator, entry.mcc, entry.mnc, entry.price, currency, entry.remarks)


def _country(prefix: str, networks: Iterable[Network]) -> str:
    """The country that leading digits are of: that of every network that has numbers among them or
    that they are numbers of; "" if there is none, or several."""
    found = {
        one.country
        for one in networks
        if any(own.startswith(prefix) or prefix.startswith(own) for own in one.prefixes)
    }
    return found.pop() if len(found) == 1 else ""
