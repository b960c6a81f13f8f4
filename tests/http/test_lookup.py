"""What is known of numbers: the plan, networks, and a provider over HTTP (4.4)."""

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from smsgw.dialects import Aerialink
from smsgw.http.lookup import HttpProvider, NumberPlan, Told, _country_names, _with
from smsgw.provisioning.routing import Network
from smsgw.testing.sinks import Answer, HttpSink


def test_the_longest_prefix_is_the_network() -> None:
    """Its operator and codes; without one the metadata of the number plan."""
    plan = NumberPlan(
        [
            Network("a", "310", "999", ["1202"], operator="Example Wireless"),
            Network("b", "310", "998", ["1202555"]),
        ]
    )
    found = plan.number("12025550123")
    assert (found.operator.operator_id, found.operator.operator_name) == (310998, "b")
    found = plan.number("12026660123")
    assert (found.operator.operator_name, found.operator.operator_type) == (
        "Example Wireless",
        "wireless",
    )
    assert (found.country.country_code, found.country.country_name) == ("US", "United States")
    british = plan.number("447400123456")
    assert (british.operator.operator_type, british.country.dial_code) == ("wireless", "44")
    assert plan.number("18002345678").operator.operator_type == "tollfree"
    unknown = plan.number("99912345678")
    assert (unknown.valid_number, unknown.operator.operator_type) == (False, "unknown")


def test_countries_have_names() -> None:
    """Read from the library's file without importing all of its places."""
    names = _country_names()
    assert len(names) > 240
    assert (names["GB"], names["CI"], names["DE"]) == (
        "United Kingdom",
        "Côte d'Ivoire",
        "Germany",
    )


def test_what_a_provider_says_goes_before_the_plan() -> None:
    """And of another network nothing of the plan's stands beside it."""
    plan = NumberPlan([Network("a", "234", "99", ["447400"], operator="One")])
    told = Told(mcc="234", mnc="10", ported=True, country_code="GB", valid=True)
    found = _with(plan.number("447400123456"), told)
    assert (found.operator.operator_name, found.operator.operator_id) == (None, 23410)
    assert (found.ported, found.country.country_name) == (True, "United Kingdom")


class Providers(TestCase):
    """A provider on loopback."""

    timeout = 20

    async def begin(self, *answers: object, **settings: object) -> HttpProvider:
        """A provider that answers so."""
        self.sink = HttpSink(reactor)
        self.sink.answers = list(answers)  # type: ignore[assignment]
        port = await self.sink.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.sink.stop()))
        url = f"http://127.0.0.1:{port}/{{number}}"
        self.now = 0.0
        aerialink = Aerialink(lookup_url=url, **settings)  # type: ignore[arg-type]
        provider = HttpProvider(aerialink, reactor, lambda: self.now)
        self.addCleanup(lambda: Deferred.fromCoroutine(provider.stop()))
        return provider

    async def test_who_asks_meanwhile_waits_for_the_one_answer(self) -> None:
        """And it is remembered as long as the setting says."""
        provider = await self.begin(Answer(200, b'{"mnc":"1"}'), lookup_cache_s=60)
        asking = [Deferred.fromCoroutine(provider.ask("1202")) for _ in range(3)]
        told = await gatherResults(asking)
        assert [one.mnc for one in told] == ["1", "1", "1"]
        assert provider.asked == 1
        self.now = 59.0
        await provider.ask("1202")
        assert provider.asked == 1
        self.now = 61.0
        await provider.ask("1202")
        assert provider.asked == 2

    async def test_what_is_no_answer_is_none(self) -> None:
        """Another status, no JSON, another shape; the next one is asked again."""
        answers = (500, Answer(200, b"<html>"), Answer(200, b'{"mnc":1}'), Answer(200, b"{}"))
        provider = await self.begin(*answers)
        assert [await provider.ask("1202") for _ in range(3)] == [None, None, None]
        assert await provider.ask("1202") == Told()
