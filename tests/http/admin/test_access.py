"""Who may ask the admin API: the unix socket, loopback, and the tokens of operators."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.http.admin import ENDPOINTS, Access
from smsgw.http.admin.access import FAILURES, FAILURES_S, NotAllowed
from smsgw.http.site import Request, Response
from smsgw.provisioning.operators import ROLES, Operator
from tests.http.admin.stand_in import StandIn, ask, decoded


def an_operator(role: str) -> Operator:
    """Whose token is its role."""
    return Operator(f"the-{role}", sha256(role.encode()).hexdigest(), role)


OPERATORS = {f"the-{role}": an_operator(role) for role in ROLES}


def access(loopback: bool = True, now: float = 0.0, known: bool = True) -> Access:
    """Of a listener, with three operators or none."""
    return Access(lambda: OPERATORS if known else {}, loopback, lambda: now)


def a_request(token: str = "", peer: str = "192.0.2.7", scheme: str = "Bearer") -> Request:
    headers = {b"authorization": f"{scheme} {token}".encode()} if token else {}
    return Request("GET", b"/admin/accounts", headers, b"", peer)


def status(access: Access, request: Request, role: str = "viewer") -> int:
    try:
        access.check(request, role)
    except NotAllowed as error:
        return error.status
    return 200


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("needed", ["", *ROLES])
def test_a_role_may_what_lower_ones_may(role: str, needed: str) -> None:
    """And nothing above; what needs no role is open to everybody."""
    may = not needed or ROLES.index(needed) <= ROLES.index(role)
    assert status(access(False), a_request(role), needed) == (200 if may else 403)
    assert status(access(False), a_request(), needed) == (200 if not needed else 401)


def test_a_token_names_its_operator() -> None:
    """Whatever else the request says of itself."""
    request = a_request("admin")
    request.headers[b"smsgw-who"] = b"somebody"
    assert access().check(request, "admin") == "the-admin"
    assert status(access(), a_request("admin", scheme="Basic")) == 401
    assert status(access(), a_request("Admin")) == 401


def test_the_unix_socket_needs_no_token() -> None:
    """Who asks is what the command says; one with a token is held to its role."""
    request = a_request(peer="unix")
    assert access().check(request, "admin") == "unix"
    request.headers[b"smsgw-who"] = b"J%C3%B6rg"
    assert access().check(request, "admin") == "J\xf6rg"
    assert status(access(), a_request("viewer", peer="unix"), "admin") == 403


@pytest.mark.parametrize(
    ("loopback", "known", "peer", "expected"),
    [
        (True, False, "127.0.0.1", 200),
        (True, False, "::1", 200),
        (True, False, "::ffff:127.0.0.1", 200),
        (True, False, "192.0.2.7", 401),
        (True, True, "127.0.0.1", 401),
        (False, False, "127.0.0.1", 401),
    ],
)
def test_loopback_is_open_until_there_is_an_operator(
    loopback: bool, known: bool, peer: str, expected: int
) -> None:
    """On a listener that only this machine can reach, and nowhere else."""
    found = access(loopback, known=known)
    assert status(found, a_request(peer=peer), "admin") == expected
    assert found.bare == (loopback and not known)


def test_wrong_tokens_of_one_address_are_limited() -> None:
    """Then it is told to wait; right ones still pass, and so do other addresses."""
    now = [100.0]
    found = Access(lambda: OPERATORS, False, lambda: now[0])
    for _ in range(FAILURES):
        assert status(found, a_request("x")) == 401
    assert status(found, a_request("x")) == 429
    assert status(found, a_request("viewer")) == 200
    assert status(found, a_request("x", "192.0.2.8")) == 401
    now[0] += FAILURES_S
    assert status(found, a_request("x")) == 401
    assert found.failed == FAILURES + 3


@given(st.binary(max_size=100))
def test_no_other_text_is_a_token(header: bytes) -> None:
    """Any octets are answered with 401 and crash nothing."""
    request = a_request()
    request.headers[b"authorization"] = header or b" "
    assert status(access(), request) == 401


def told(response: Response) -> str:
    return str(decoded(response)["error"])


def test_a_refusal_says_what_to_do() -> None:
    """In JSON, with the header that HTTP asks for."""
    none = ask(StandIn(), "GET", "/admin/accounts", peer="192.0.2.7", access=access())
    assert none.status == 401
    assert (b"WWW-Authenticate", b'Bearer realm="smsgw"') in none.headers
    assert "Authorization: Bearer" in told(none)
    nobody = access(False, known=False)
    first = ask(StandIn(), "GET", "/admin/accounts", peer="192.0.2.7", access=nobody)
    assert "smsgw token" in told(first)
    viewer = {b"authorization": b"Bearer viewer", b"content-type": b"application/json"}
    asked = {"account": "demo", "amount": "1"}
    denied = ask(StandIn(), "POST", "/admin/topups", asked, viewer, "192.0.2.7", access=access())
    assert (denied.status, told(denied)) == (
        403,
        "the-viewer is a viewer; this takes the role operator at least",
    )


def test_strangers_do_not_learn_which_paths_there_are() -> None:
    """Without a token every path of the admin API is 401; health and figures are open."""
    for path in ("/admin/accounts", "/admin/nothing", "/admin/openapi.json"):
        assert ask(StandIn(), "GET", path, peer="192.0.2.7", access=access()).status == 401
    for path in ("/health", "/health/live", "/health/ready", "/metrics"):
        assert ask(StandIn(), "GET", path, peer="192.0.2.7", access=access()).status == 200


def test_what_changes_anything_takes_more_than_a_viewer() -> None:
    """Of all endpoints; a trial of a route changes nothing."""
    for one in ENDPOINTS:
        if one.method != "GET" and one.path != "/admin/route":
            assert one.role in ("operator", "admin"), one.path
