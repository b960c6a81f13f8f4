"""The admin API: JSON over the operators' listeners, with ``/health`` and ``/metrics``.

``endpoints.py`` says what an endpoint is and ``access.py`` who may ask for it; the other modules
list the endpoints of one subject each.
"""

from prometheus_client import REGISTRY, CollectorRegistry

from smsgw.http.admin import (
    accounts,
    audit,
    carriers,
    lists,
    messages,
    openapi,
    provisioning,
    queues,
    sessions,
    trace,
    watch,
)
from smsgw.http.admin.access import Access
from smsgw.http.admin.endpoints import JSON, Api, Endpoint, refusal
from smsgw.http.site import Site
from smsgw.operate.operator import RunningOperator

__all__ = ["ENDPOINTS", "JSON", "Access", "Endpoint", "add", "refusal"]

ENDPOINTS: list[Endpoint] = [
    *accounts.ENDPOINTS,
    *carriers.ENDPOINTS,
    *messages.ENDPOINTS,
    *queues.ENDPOINTS,
    *sessions.ENDPOINTS,
    *trace.ENDPOINTS,
    *lists.ENDPOINTS,
    *provisioning.ENDPOINTS,
    *audit.ENDPOINTS,
]


def add(
    site: Site,
    operator: RunningOperator,
    registry: CollectorRegistry = REGISTRY,
    access: Access | None = None,
) -> None:
    """Let ``site`` answer the admin API from ``operator`` and ``/metrics`` from ``registry``.

    ``access`` is that of the site's listener; None: of one that only this machine can reach.
    """
    api = Api(operator, access or Access(dict, loopback=True))
    endpoints = [*ENDPOINTS, *watch.endpoints(registry)]
    api.add(site, [*endpoints, openapi.endpoint(endpoints)])
