"""What is known of a number: by the number plan and the operator's networks, and by whoever is
asked over HTTP (``spec/aerialink.md`` 4.4)."""

import ast
import base64
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import msgspec
from attrs import frozen
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.logger import Logger

from smsgw.dialects import Aerialink
from smsgw.http.outgoing import BadUrl, Outgoing, Unanswered
from smsgw.http.rest_documents import Country, Number, Operator
from smsgw.http.wording import Call
from smsgw.provisioning.routing import Network
from smsgw.rules.tables import Tables

_log = Logger()

_REMEMBERED = 100_000  # numbers
_AT_ONCE = 16  # questions under way
_WIRELESS = "wireless"
_COUNTRY_NAME = re.compile(
    r"""^ *'([A-Z]{2})': \{'aa':(?:u\()?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""", re.MULTILINE
)


class Told(msgspec.Struct, rename="camel"):
    """What a provider answers, as JSON; what it leaves out is taken from the number plan."""

    valid: bool | None = None
    operator_name: str | None = None
    operator_type: str | None = None
    mcc: str | None = None
    mnc: str | None = None
    country_code: str | None = None
    ported: bool | None = None
    last_updated: str | None = None


class Provider(Protocol):
    """Who is asked about numbers."""

    async def ask(self, number: str) -> Told | None:
        """What is known of a number in international digits, None if nothing can be said now."""


class NumberPlan:
    """What the number plan and the networks of a provisioning say."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = {prefix: one for one in networks for prefix in one.prefixes}
        self._lengths = sorted({len(prefix) for prefix in self._networks}, reverse=True)

    def number(self, digits: str) -> Number:
        """Of a number in international digits."""
        found = Number(digits, False, Operator(), Country())
        _described(found)
        network = self.network(digits)
        if network is not None:
            # Of a number that was ported the plan tells only where it came from.
            operator = found.operator
            operator.operator_name = network.operator or network.name
            operator.operator_type = _WIRELESS
            operator.mcc, operator.mnc = network.mcc, network.mnc
            operator.operator_id = _id_of(network)
            found.country.country_name = network.country or found.country.country_name
        return found

    def network(self, digits: str) -> Network | None:
        """The network of the longest prefix, None if none is known."""
        for length in self._lengths:
            found = self._networks.get(digits[:length])
            if found is not None:
                return found
        return None


def _id_of(network: Network) -> int:
    return int(network.mcc + network.mnc)


def _described(found: Number) -> None:
    """Fills in what the metadata of phonenumbers has."""
    # Loaded when it is first needed: most gateways never look up a number.
    import phonenumbers
    from phonenumbers import PhoneNumberType, carrier

    try:
        parsed = phonenumbers.parse("+" + found.number_value)
    except phonenumbers.NumberParseException:
        return
    found.valid_number = phonenumbers.is_valid_number(parsed)
    # A number that nobody has is of no region, but its dial code is of a country.
    region = phonenumbers.region_code_for_number(
        parsed
    ) or phonenumbers.region_code_for_country_code(parsed.country_code or 0)
    found.country.dial_code = str(parsed.country_code)
    if len(region) == 2 and region.isalpha() and region != "ZZ":  # of no country: 001, ZZ
        found.country.country_code = region
        found.country.country_name = _country_names().get(region)
    types = {
        PhoneNumberType.MOBILE: _WIRELESS,
        PhoneNumberType.PAGER: _WIRELESS,
        PhoneNumberType.FIXED_LINE: "landline",
        PhoneNumberType.VOIP: "voip",
        PhoneNumberType.TOLL_FREE: "tollfree",
    }
    if found.valid_number:
        found.operator.operator_type = types.get(phonenumbers.number_type(parsed), "unknown")
        found.operator.operator_name = carrier.name_for_number(parsed, "en") or None


@lru_cache(1)
def _country_names() -> dict[str, str]:
    """Names of countries in English, by their codes."""
    import phonenumbers

    # Read as a text: importing it brings the places of all numbers, 100 MB of them. The language
    # "aa" stands for those that have the English name, and all others refer to it.
    file = Path(phonenumbers.__file__).parent / "geodata" / "locale.py"
    return {
        found[1]: ast.literal_eval(found[2])
        for found in _COUNTRY_NAME.finditer(file.read_text("utf-8"))
    }


@frozen
class _Remembered:
    until: float
    told: Told


class HttpProvider:
    """A provider that is asked by GET and answers with a JSON object of ``Told``."""

    def __init__(
        self, settings: Aerialink, reactor: Any, now: Callable[[], float] = time.time
    ) -> None:
        """``now`` gives seconds since 1970."""
        self._settings = settings
        self._now = now
        self._outgoing = Outgoing(reactor)
        self._turns = DeferredSemaphore(_AT_ONCE)
        self._known: OrderedDict[str, _Remembered] = OrderedDict()
        self._asking: dict[str, list[Deferred[Told | None]]] = {}
        self.asked = 0  # questions that were put over HTTP
        self._headers = {"Accept": "application/json"}
        if settings.lookup_username:
            login = f"{settings.lookup_username}:{settings.lookup_password}"
            basic = base64.b64encode(login.encode()).decode()
            self._headers["Authorization"] = f"Basic {basic}"

    async def ask(self, number: str) -> Told | None:
        """See ``Provider``. Who asks for the same number meanwhile waits for the one answer."""
        known = self._known.get(number)
        if known is not None and self._now() < known.until:
            return known.told
        if number in self._asking:
            waiting: Deferred[Told | None] = Deferred()
            self._asking[number].append(waiting)
            return await waiting
        self._asking[number] = []
        told = None
        try:
            told = await self._turns.run(lambda: Deferred.fromCoroutine(self._ask(number)))
        finally:
            for one in self._asking.pop(number):
                one.callback(told)
        if told is not None and self._settings.lookup_cache_s:
            until = self._now() + self._settings.lookup_cache_s
            self._known[number] = _Remembered(until, told)
            self._known.move_to_end(number)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return told

    async def stop(self) -> None:
        """Closes the connections that are kept."""
        await self._outgoing.stop()

    async def _ask(self, number: str) -> Told | None:
        self.asked += 1
        url = self._settings.lookup_url.replace("{number}", quote(number, safe=""))
        try:
            answer = await self._outgoing.ask(
                Call("GET", url),
                float(self._settings.lookup_timeout_s),
                private=True,  # the operator chose it
                headers=self._headers,
                keep=True,
            )
        except (Unanswered, BadUrl) as fault:
            _log.warn("lookup: {why}", why=fault)
            return None
        if answer.status != 200 or not answer.complete:
            _log.warn("lookup: HTTP {status}", status=answer.status)
            return None
        try:
            return msgspec.json.decode(answer.body, type=Told)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            _log.warn("lookup: the answer is not as described: {why}", why=error)
            return None


class Lookup:
    """Looks numbers up: what the provider leaves open is said by the number plan."""

    def __init__(self, tables: Callable[[], Tables], provider: Provider | None) -> None:
        self._tables = tables
        self._provider = provider
        self._plan = NumberPlan(())
        self._plan_of: object = None

    def operator_id(self, digits: str) -> int | None:
        """MCC and MNC of the network that the plan knows for a number, as one number."""
        network = self._in_force().network(digits)
        return _id_of(network) if network is not None else None

    def _in_force(self) -> NumberPlan:
        tables = self._tables()
        if tables is not self._plan_of:
            self._plan = NumberPlan(tables.provisioning.networks.values())
            self._plan_of = tables
        return self._plan

    async def number(self, digits: str) -> Number:
        """What is known of a number in international digits."""
        found = self._in_force().number(digits)
        told = await self._provider.ask(digits) if self._provider is not None else None
        return _with(found, told) if told is not None else found


def _with(found: Number, told: Told) -> Number:
    operator, country = found.operator, found.country
    if told.valid is not None:
        found.valid_number = told.valid
    if told.mcc or told.mnc or told.operator_name:
        # What the plan says of another network must not stand beside it.
        operator = found.operator = Operator(operator_type=operator.operator_type)
        operator.operator_name, operator.mcc, operator.mnc = told.operator_name, told.mcc, told.mnc
        code = (told.mcc or "") + (told.mnc or "")
        if told.mcc and told.mnc and code.isascii() and code.isdecimal():
            operator.operator_id = int(code)
    operator.operator_type = told.operator_type or operator.operator_type
    if told.country_code and told.country_code != country.country_code:
        country.country_code = told.country_code
        country.country_name = _country_names().get(told.country_code)
    found.ported, found.last_updated = told.ported, told.last_updated
    return found
