"""The Numbers Lookup resource of the REST API (``spec`` 4.4, F-10)."""

from collections.abc import Callable

from twisted.internet.defer import Deferred, gatherResults

from smsgw import identities
from smsgw.http.lookup import Lookup
from smsgw.http.rest_bodies import ParameterError, needed, read_query
from smsgw.http.rest_documents import Country, Lookups, LookupsFound, Number, Operator
from smsgw.http.rest_documents import Lookup as Found
from smsgw.http.rest_front import Asked, Endpoint, Front, Parameter
from smsgw.http.site import Response
from smsgw.refusals import Reason
from smsgw.text import numbers

MOST = 100  # numbers of one request
LONGEST = 1599  # characters of all of them


class Numbers:
    """``/v4/numbers``."""

    def __init__(self, front: Front, lookup: Lookup, allot: Callable[[], int]) -> None:
        self._front = front
        self._lookup = lookup
        self._allot = allot

    def endpoints(self) -> list[Endpoint]:
        """What can be asked here."""
        asked = Parameter(
            "numbers",
            {"type": "string", "minLength": 1, "maxLength": LONGEST, "examples": ["447700900123"]},
            f"1 to {MOST} numbers, separated by commas.",
            required=True,
        )
        return [
            Endpoint(
                "GET",
                "/numbers",
                "numbers",
                "What is known of numbers: country, operator, type",
                self.look_up,
                Lookups,
                (asked,),
                faults=[400],
            )
        ]

    async def look_up(self, asked: Asked) -> Response:
        """``GET /v4/numbers?numbers=``."""
        customer = self._front.customer(asked.login.account)
        if not customer.settings.lookup:
            raise ParameterError(Reason.NOT_ENABLED, "lookup")
        text = needed(read_query(asked.request), "numbers")
        if len(text) > LONGEST:
            raise ParameterError(
                Reason.PARAMETER_INVALID, f"numbers (at most {LONGEST} characters)"
            )
        wanted = [one for item in text.split(",") if (one := item.strip())]
        if not 1 <= len(wanted) <= MOST:
            raise ParameterError(Reason.PARAMETER_INVALID, f"numbers (1 to {MOST})")
        # A provider is asked about all of them at the same time.
        found = await gatherResults(
            [Deferred.fromCoroutine(self._number(one, customer.country)) for one in wanted]
        )
        document = Lookups(LookupsFound(found if len(found) > 1 else found[0]))
        return self._front.document(asked, document)

    async def _number(self, text: str, country: str) -> Found:
        digits = numbers.friendly(text, country)
        if isinstance(digits, Reason):
            number = Number(text, False, Operator(), Country())
        else:
            number = await self._lookup.number(digits)
        return Found(identities.to_guid(self._allot()), number)
