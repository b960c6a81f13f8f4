"""The admin API: its shapes, its faults, and what keeps web pages out of it."""

import pytest
from prometheus_client import CollectorRegistry, Counter

from smsgw.operate.operator import Applied, Check, RouteView, Sent, Unavailable
from tests.http.admin.stand_in import StandIn, ask, decoded


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("/admin/accounts", {"name": "demo", "numbers": ["447700900000"]}),
        ("/admin/carriers", {"name": "north", "reason": "wrong password"}),
        ("/admin/queues", {"name": "carrier:north", "waiting": 2, "due": 1, "oldest": 5}),
    ],
)
def test_lists_are_arrays_of_objects(path: str, part: dict[str, object]) -> None:
    """Accounts, carriers and queues come as arrays."""
    response = ask(StandIn(), "GET", path)
    assert response.status == 200
    (found,) = decoded(response)
    assert part.items() <= found.items()


def test_message_is_found_by_id() -> None:
    """A message comes as an object; an unknown id is 404."""
    response = ask(StandIn(), "GET", "/admin/messages/7")
    assert (response.status, decoded(response)["state"]) == (200, "DELIVRD")
    response = ask(StandIn(), "GET", "/admin/messages/8")
    assert (response.status, decoded(response)) == (404, {"error": "no message 8"})


def test_apply_hands_on_what_is_asked() -> None:
    """Changes, faults and version come back; faults with 422."""
    operator = StandIn()
    asked = {"text": "t", "file": "f", "prune": True, "dry_run": True, "who": "me"}
    response = ask(operator, "POST", "/admin/apply", asked)
    assert response.status == 200
    assert decoded(response) == {"changes": ["+ account a"], "errors": [], "version": 3}
    ask(operator, "POST", "/admin/apply", {"text": "t"}, peer="127.0.0.1")
    assert operator.asked == [
        ("t", "f", True, True, "me"),
        ("t", "provisioning.toml", False, False, "127.0.0.1"),
    ]
    operator.applied = Applied(errors=["f:1: x: y; z"], version=3)
    response = ask(operator, "POST", "/admin/apply", asked)
    assert (response.status, decoded(response)["errors"]) == (422, ["f:1: x: y; z"])


def test_a_balance_is_told_and_topped_up() -> None:
    """As an object; an unknown account is 404 where it is asked for, 422 where it gets money."""
    operator = StandIn()
    response = ask(operator, "GET", "/admin/balances/demo")
    assert response.status == 200
    shown = {
        "account": "demo",
        "balance": "1.00",
        "credit_limit": "0.00",
        "error": "",
        "currency": "",
    }
    assert decoded(response) == shown
    response = ask(operator, "GET", "/admin/balances/x")
    assert (response.status, decoded(response)) == (404, {"error": "no account x"})
    asked = {"account": "demo", "amount": "25.00", "text": "t"}
    response = ask(operator, "POST", "/admin/topups", asked)
    assert (response.status, decoded(response)) == (201, shown)
    response = ask(operator, "POST", "/admin/topups", {"account": "x", "amount": "1"})
    assert (response.status, decoded(response)["error"]) == (422, "no account x")
    asked = {"account": "demo", "amount": "5", "text": "wrong", "correct": True}
    assert ask(operator, "POST", "/admin/topups", asked).status == 201
    assert operator.asked == [
        ("demo", "25.00", "t", False),
        ("x", "1", "", False),
        ("demo", "5", "wrong", True),
    ]


def test_a_statement_is_read_from_a_time_and_an_entry_on() -> None:
    """An array; without parameters everything, and a parameter that is no number is 400."""
    operator = StandIn()
    response = ask(operator, "GET", "/admin/statements/demo?since=1&until=9&after=4")
    assert response.status == 200
    [entry] = decoded(response)
    assert (entry["id"], entry["amount"], entry["reason"]) == (5, "-0.01", "charge")
    assert ask(operator, "GET", "/admin/statements/x").status == 404
    assert operator.asked == [("demo", 1, 9, 4), ("x", 0, (1 << 63) - 1, 0)]
    response = ask(operator, "GET", "/admin/statements/demo?since=-1")
    assert (response.status, "since" in decoded(response)["error"]) == (400, True)


def test_costs_are_summed_by_cost_centre() -> None:
    """Over all pages of the time that was asked for."""
    operator = StandIn()
    response = ask(operator, "GET", "/admin/statements/demo/costcentres?since=1&until=9")
    assert response.status == 200
    assert decoded(response) == [
        {"costcentre": "sales", "currency": "", "messages": 1, "parts": 2, "amount": "-0.01"}
    ]
    assert operator.asked == [("demo", 1, 9, 0), ("demo", 1, 9, 5)]
    assert ask(operator, "GET", "/admin/statements/x/costcentres").status == 404
    response = ask(operator, "GET", "/admin/statements/demo/costcentres?until=-1")
    assert (response.status, "until" in decoded(response)["error"]) == (400, True)


def test_send_hands_on_the_message() -> None:
    """A message that is accepted gives 201 and its id, one that is not 422 and why."""
    operator = StandIn()
    asked = {"account": "demo", "from": "1", "to": "2", "text": "t", "receipt": True}
    response = ask(operator, "POST", "/admin/messages", asked)
    assert (response.status, decoded(response)["id"]) == (201, "7")
    assert operator.asked == [("demo", "1", "2", "t", True)]
    operator.sent = Sent(error="no route")
    response = ask(operator, "POST", "/admin/messages", asked)
    assert (response.status, decoded(response)["error"]) == (422, "no route")


def test_route_tells_where_a_message_would_go() -> None:
    """One that would be refused gives 422 and why; text and account may be left out."""
    operator = StandIn()
    asked = {"account": "demo", "from": "1", "to": "2", "text": "t"}
    response = ask(operator, "POST", "/admin/route", asked)
    assert response.status == 200
    assert {"route": "uk", "filters": ["text"], "error": ""}.items() <= decoded(response).items()
    operator.routed = RouteView(error="no route")
    response = ask(operator, "POST", "/admin/route", {"from": "1", "to": "2"})
    assert (response.status, decoded(response)["error"]) == (422, "no route")
    assert operator.asked == [("demo", "1", "2", "t"), ("", "1", "2", "")]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"account": "demo"}, "missing required field `from`"),
        ({"account": 1, "from": "1", "to": "2", "text": "t"}, "Expected `str`"),
        (b"{", "not JSON"),
        (b'{"account": "\xff"}', "not JSON"),
        ([], "Expected `object`"),
    ],
)
def test_bad_body_is_400_with_what_is_wrong(body: object, said: str) -> None:
    """A body that is no JSON, or of another shape, is refused with the reason."""
    response = ask(StandIn(), "POST", "/admin/messages", body)
    assert response.status == 400
    assert said in decoded(response)["error"]


def test_wrong_method_names_the_right_one() -> None:
    """405 says which method is allowed."""
    for method, path, allowed in (
        ("POST", "/admin/accounts", b"GET"),
        ("GET", "/admin/apply", b"POST"),
        ("DELETE", "/admin/messages/7", b"GET"),
    ):
        response = ask(StandIn(), method, path)
        assert response.status == 405
        assert response.headers == [(b"Allow", allowed)]


def test_post_must_carry_json() -> None:
    """A form that a web page can send without asking is refused."""
    form = {b"content-type": b"text/plain"}
    response = ask(StandIn(), "POST", "/admin/apply", {"text": "t"}, form)
    assert response.status == 415
    charset = {b"content-type": b"Application/JSON; charset=utf-8"}
    assert ask(StandIn(), "POST", "/admin/apply", {"text": "t"}, charset).status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"localhost:8081", 200),
        (b"127.0.0.1:8081", 200),
        (b"[::1]:8081", 200),
        (b"192.0.2.1", 200),
        (b"rebound.example.com:8081", 421),
        (b"[x", 421),
    ],
)
def test_foreign_names_are_refused(host: bytes, status: int) -> None:
    """A name that a web page may have pointed to this machine is not answered."""
    response = ask(StandIn(), "GET", "/admin/accounts", None, {b"host": host}, "127.0.0.1")
    assert response.status == status


def test_unavailable_is_503_with_the_remedy() -> None:
    """What cannot be had now is said in one line."""
    response = ask(StandIn(fault=Unavailable("store: full; make room")), "GET", "/admin/accounts")
    assert (response.status, decoded(response)) == (503, {"error": "store: full; make room"})


def test_health_is_200_or_503_with_its_checks() -> None:
    """One check that fails makes the whole 503."""
    operator = StandIn()
    response = ask(operator, "GET", "/health")
    assert (response.status, decoded(response)["ok"]) == (200, True)
    operator.checks.append(Check("carrier north", False, "down"))
    response = ask(operator, "GET", "/health")
    assert response.status == 503
    assert decoded(response) == {
        "ok": False,
        "checks": [
            {"name": "store", "ok": True, "detail": ""},
            {"name": "carrier north", "ok": False, "detail": "down"},
        ],
    }


def test_metrics_are_those_of_the_registry() -> None:
    """/metrics is the registry in Prometheus' text form."""
    registry = CollectorRegistry()
    Counter("smsgw_accepted", "Messages accepted.", registry=registry).inc(2)
    response = ask(StandIn(), "GET", "/metrics", registry=registry)
    assert response.content_type.startswith("text/plain; version=")
    assert b"smsgw_accepted_total 2.0" in response.body
