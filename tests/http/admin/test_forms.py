"""Provisioning by JSON documents, over the admin API of a gateway."""

from hashlib import sha256
from typing import Any

from twisted.trial.unittest import TestCase

from smsgw.http.admin import Access
from smsgw.http.site import Response
from smsgw.provisioning.operators import ROLES, Operator
from tests.http.admin.stand_in import ask, decoded
from tests.operate.gateways import a_gateway, provision

CARRIER = "/admin/provisioning/carrier/north"
ACCOUNT = "/admin/provisioning/account/acme"


class FormCase(TestCase):
    def setUp(self) -> None:
        self.gateway: Any = a_gateway(self)
        provision(self, self.gateway)

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Response:
        given = {b"content-type": b"application/json"}
        given |= {
            name.lower().replace("_", "-").encode(): text.encode() for name, text in headers.items()
        }
        return ask(self.gateway.operator, method, path, body, given)

    def faults(self, method: str, path: str, body: object) -> dict[str, str]:
        response = self.ask(method, path, body)
        assert response.status == 422, response.body
        return {one["key"]: one["reason"] for one in decoded(response)["faults"]}


class ReadTests(FormCase):
    def test_a_form_is_shown_with_its_version(self) -> None:
        """What is not at its default, with the version as ETag."""
        response = self.ask("GET", "/admin/provisioning/route/uk")
        assert decoded(response) == {"name": "uk", "prefixes": ["44"], "carriers": ["north"]}
        assert response.headers == [(b"ETag", b'"1"')]

    def test_secrets_are_never_shown(self) -> None:
        """They are "(set)", whether hashed or encrypted."""
        assert decoded(self.ask("GET", CARRIER))["password"] == "(set)"
        account = decoded(self.ask("GET", ACCOUNT))
        [login] = account["credential"]
        assert login == {"kind": "smpp", "username": "acme", "password": "(set)", "allow": ["*"]}

    def test_urls_are_whole_for_admins_only(self) -> None:
        """Login and query may be secret, and only who may put a form back needs them."""
        url = "https://user:pw@www.example.com/in?key=1"
        detail = {"method": "httpget", "detail": f"{url},{url}"}
        numbers = [
            {"address": "447700900000", "targets": [url]},
            {"address": "447700900001", **detail},
        ]
        change = {"number": numbers, "callback": url}
        response = self.ask("PATCH", ACCOUNT, change)
        assert response.status == 200, response.body
        access = Access(
            lambda: {
                role: Operator(role, sha256(role.encode()).hexdigest(), role) for role in ROLES
            }
        )
        seen = {}
        for role in ROLES:
            headers = {b"authorization": b"Bearer " + role.encode()}
            asked = [
                ask(self.gateway.operator, "GET", path, None, headers, "192.0.2.7", access=access)
                for path in (ACCOUNT, "/admin/provisioning/account")
            ]
            assert decoded(asked[1]) == [decoded(asked[0])]
            seen[role] = decoded(asked[0])
        bare = "https://www.example.com/in"
        assert seen["viewer"] == seen["operator"]
        assert seen["viewer"]["callback"] == bare
        assert seen["viewer"]["number"][0]["targets"] == [bare]
        assert seen["viewer"]["number"][1]["detail"] == f"{bare},{bare}"
        assert seen["admin"]["callback"] == url
        assert seen["admin"]["number"] == numbers

    def test_forms_of_a_kind_are_listed_by_name(self) -> None:
        """From the one after ``after`` on."""
        names = lambda path: [one["name"] for one in decoded(self.ask("GET", path))]  # noqa: E731
        self.ask("PUT", "/admin/provisioning/account/aaa", {})
        assert names("/admin/provisioning/account") == ["aaa", "acme"]
        assert names("/admin/provisioning/account?after=aaa") == ["acme"]
        assert names("/admin/provisioning/filter") == []

    def test_what_is_not_there_is_404(self) -> None:
        """A kind, a form to read, to change, to delete."""
        assert self.ask("GET", "/admin/provisioning/planet").status == 404
        nobody = "/admin/provisioning/account/nobody"
        assert self.ask("GET", nobody).status == 404
        assert self.ask("PATCH", nobody, {"rate": 1}).status == 404
        assert self.ask("DELETE", nobody).status == 404


class ChangeTests(FormCase):
    def test_a_form_is_made(self) -> None:
        """201, in force at once, with the line that apply would show."""
        path = "/admin/provisioning/account/new"
        response = self.ask("PUT", path, {"rate": 5, "senders": ["ACME"]})
        assert response.status == 201
        assert decoded(response) == {"changes": ["+ account new"], "version": 2}
        assert response.headers == [(b"ETag", b'"2"')]
        assert self.gateway.tables.accounts["new"].rate == 5.0

    def test_what_was_read_can_be_put_back(self) -> None:
        """It changes nothing, and secrets stay."""
        for path in (CARRIER, ACCOUNT, "/admin/provisioning/route/uk"):
            document = decoded(self.ask("GET", path))
            assert decoded(self.ask("PUT", path, document)) == {"changes": [], "version": 1}
        assert self.gateway.tables.carriers["north"].password == "secret"

    def test_put_replaces_the_whole_form(self) -> None:
        """What it leaves out, or sets to null, is at its default."""
        document = decoded(self.ask("GET", CARRIER))
        del document["binds"]
        document["window"] = None
        response = self.ask("PUT", CARRIER, document)
        assert response.status == 200
        assert decoded(response)["changes"] == ["~ carrier north: binds: 2 -> 1"]

    def test_patch_changes_the_keys_given(self) -> None:
        """Others stay; null takes a key back to its default."""
        response = self.ask("PATCH", ACCOUNT, {"rate": 7, "suspended": True})
        assert decoded(response)["changes"] == [
            "~ account acme: suspended: false -> true",
            "~ account acme: rate: 50 -> 7",
        ]
        self.ask("PATCH", ACCOUNT, {"rate": None})
        account = self.gateway.tables.accounts["acme"]
        assert (account.rate, account.suspended) == (0.0, True)
        assert account.credential[0].password_hash.startswith("$argon2id$")

    def test_a_secret_is_changed_by_being_sent(self) -> None:
        """And is written nowhere else: the answer tells only that it changed."""
        response = self.ask("PATCH", CARRIER, {"password": "other"})
        assert decoded(response)["changes"] == ["~ carrier north: password (changed)"]
        assert self.gateway.tables.carriers["north"].password == "other"

    def test_a_dry_run_changes_nothing(self) -> None:
        """It tells what would be."""
        response = self.ask("PATCH", f"{ACCOUNT}?dry_run=true", {"rate": 7})
        assert decoded(response) == {"changes": ["~ account acme: rate: 50 -> 7"], "version": 1}
        assert self.gateway.tables.accounts["acme"].rate == 50.0

    def test_a_form_is_deleted(self) -> None:
        """When nothing uses it any more."""
        assert self.ask("DELETE", "/admin/provisioning/route/uk").status == 200
        response = self.ask("DELETE", CARRIER)
        assert decoded(response) == {"changes": ["- carrier north"], "version": 3}
        assert self.gateway.tables.carriers == {}

    def test_if_match_keeps_two_operators_apart(self) -> None:
        """412 for the one who read before the other wrote; what is no version of ours matches
        nothing."""
        assert self.ask("PATCH", ACCOUNT, {"rate": 7}, If_Match='"1"').status == 200
        assert self.ask("PATCH", ACCOUNT, {"rate": 8}, If_Match='"1"').status == 412
        assert self.ask("PATCH", ACCOUNT, {"rate": 8}, If_Match="W/x").status == 412
        assert self.ask("PATCH", ACCOUNT, {"rate": 8}, If_Match="*").status == 200
        # Another form is at the version that it was made with.
        assert self.ask("DELETE", "/admin/provisioning/route/uk", If_Match='"1"').status == 200


class RefusedTests(FormCase):
    def test_every_fault_has_its_key_and_the_reason(self) -> None:
        """All at once, with the place in lists; the words are those of apply."""
        number = {"address": "+44", "targets": ["smpp"]}
        faults = self.faults(
            "PUT", "/admin/provisioning/account/bad", {"rate": "x", "number": [number], "rat": 1}
        )
        assert set(faults) == {"rate", "number[0].address", "rat"}
        assert faults["rat"] == 'unknown key; did you mean "rate"?'
        assert faults["rate"] == '"x" is not allowed; it must be a number from 0 to 100000'

    def test_names_and_references_are_checked_against_what_is_there(self) -> None:
        """A login that is taken, a carrier that is not there, another name than the path's."""
        login = {"kind": "smpp", "username": "acme", "password": "secret12"}
        faults = self.faults("PUT", "/admin/provisioning/account/b", {"credential": [login]})
        assert "is taken" in faults["credential[0].username"]
        faults = self.faults("PATCH", "/admin/provisioning/route/uk", {"carriers": ["south"]})
        assert 'no carrier "south"' in faults["carriers[0]"]
        faults = self.faults("PATCH", CARRIER, {"name": "south"})
        assert faults == {"name": 'must be "north", as in the path'}

    def test_a_secret_that_is_not_there_cannot_be_kept(self) -> None:
        """ "(set)" stands for one that is."""
        login = {"kind": "http", "username": "k", "password": "(set)"}
        faults = self.faults("PATCH", ACCOUNT, {"credential": [login]})
        assert faults["credential[0].password"] == '"(set)" keeps a secret, and there is none'

    def test_what_is_in_use_stays(self) -> None:
        """409 with what uses it."""
        response = self.ask("DELETE", CARRIER)
        assert response.status == 409
        assert decoded(response) == {
            "error": "carrier north is in use; change what uses it first",
            "used_by": [
                {
                    "kind": "route",
                    "name": "uk",
                    "key": "carriers",
                    "of_kind": "carrier",
                    "of_name": "north",
                }
            ],
        }
        assert "north" in self.gateway.tables.carriers

    def test_a_body_that_is_no_object_is_400(self) -> None:
        """As everywhere."""
        assert self.ask("PUT", ACCOUNT, [1]).status == 400
        assert self.ask("PUT", ACCOUNT, b"{").status == 400
        assert self.ask("GET", "/admin/provisioning/account?x=1").status == 400


class AuditTests(FormCase):
    def test_a_change_is_audited_with_who_and_what(self) -> None:
        """By the name of the operator, in the lines of apply, without secrets."""
        operator = self.gateway.operator.by("alice")
        ask(operator, "PATCH", CARRIER, {"password": "other", "window": 20}, peer="127.0.0.1")
        rows = decoded(self.ask("GET", "/admin/audit?kind=carrier&name=north"))
        assert [(one["version"], one["lines"]) for one in rows] == [
            (1, ["+ carrier north"]),
            (2, ["~ carrier north: window: 10 -> 20", "~ carrier north: password (changed)"]),
        ]
        # Who asks without a token on loopback is its address.
        assert [one["who"] for one in rows] == ["test", "127.0.0.1"]

    def test_the_audit_is_read_in_pages(self) -> None:
        """What comes after a key; one that is none is 400."""
        rows = decoded(self.ask("GET", "/admin/audit"))
        assert [one["kind"] for one in rows] == ["carrier", "account", "route"]
        rest = decoded(self.ask("GET", f"/admin/audit?after={rows[0]['key']}"))
        assert rest == rows[1:]
        assert self.ask("GET", "/admin/audit?after=x").status == 400
        assert decoded(self.ask("GET", f"/admin/audit?since={rows[0]['at'] + 10**6}")) == []

    def test_a_top_up_is_audited(self) -> None:
        """In the transaction that adds to the balance, beside the version of the provisioning."""
        self.ask("PUT", "/admin/provisioning/account/paid", {"balance": "1"})
        asked = {"account": "paid", "amount": "25.00", "text": "invoice 7"}
        assert self.ask("POST", "/admin/topups", asked, smsgw_who="bob").status == 201
        [row] = decoded(self.ask("GET", "/admin/audit?kind=topup"))
        assert (row["who"], row["name"], row["version"]) == ("bob", "paid", 0)
        assert row["lines"] == ["25.00 invoice 7"]
        assert self.gateway.tables.version == 2
