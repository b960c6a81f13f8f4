"""What monitoring asks for: ``/health`` and ``/metrics``, which take no token."""

from attrs import define
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from smsgw.http.admin.endpoints import Call, Endpoint, as_json
from smsgw.http.site import Response
from smsgw.operate.operator import Check, Health


@define
class Told:
    """A ``Health`` with its verdict."""

    ok: bool
    checks: list[Check]


async def _health(call: Call) -> Response:
    return _told(await call.operator.health())


async def _ready(call: Call) -> Response:
    return _told(await call.operator.ready())


async def _live(_: Call) -> Told:
    # That the reactor gets here is all there is to know.
    return Told(True, [])


def _told(health: Health) -> Response:
    return as_json(Told(health.ok, health.checks), 200 if health.ok else 503)


def endpoints(registry: CollectorRegistry) -> list[Endpoint]:
    """The endpoints; ``registry`` has the figures."""

    async def metrics(_: Call) -> Response:
        return Response(200, generate_latest(registry), CONTENT_TYPE_LATEST)

    return [
        Endpoint(
            "GET",
            "/health",
            "",
            "Whether the gateway takes messages and stores them",
            Told,
            _health,
            faults={503: Told},
        ),
        Endpoint("GET", "/health/live", "", "Whether the process answers", Told, _live),
        Endpoint(
            "GET",
            "/health/ready",
            "",
            "Whether messages should be sent to it: store, listeners, carriers",
            Told,
            _ready,
            faults={503: Told},
        ),
        Endpoint(
            "GET",
            "/metrics",
            "",
            "Figures for Prometheus",
            str,
            metrics,
            content=CONTENT_TYPE_LATEST,
        ),
    ]
