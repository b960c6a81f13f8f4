"""The OpenAPI document: its structure, and that the server does what it says."""

import re
from pathlib import Path
from typing import Any

import msgspec
from twisted.trial.unittest import TestCase

from smsgw.http.admin import ENDPOINTS
from smsgw.provisioning.forms import KINDS
from tests.http.admin.stand_in import ask, decoded
from tests.operate.gateways import a_gateway, provision

ROOT = Path(__file__).parents[3]
METHODS = ("get", "put", "patch", "post", "delete")


class OpenapiTests(TestCase):
    def setUp(self) -> None:
        self.gateway: Any = a_gateway(self)
        provision(self, self.gateway)
        self.document = decoded(ask(self.gateway.operator, "GET", "/admin/openapi.json"))

    def operations(self) -> list[tuple[str, str, dict[str, Any]]]:
        return [
            (path, method, operation)
            for path, methods in self.document["paths"].items()
            for method, operation in methods.items()
        ]

    def test_every_endpoint_is_in_it(self) -> None:
        """With the same paths and methods, and what monitoring asks."""
        documented = {(path, method) for path, method, _ in self.operations()}
        assert {(one.path, one.method.lower()) for one in ENDPOINTS} < documented
        assert {("/health", "get"), ("/metrics", "get"), ("/admin/openapi.json", "get")} < (
            documented
        )

    def test_every_endpoint_is_in_the_manual(self) -> None:
        """docs/operate/admin-api.md has each with its role, and no others."""
        manual = (ROOT / "docs" / "operate" / "admin-api.md").read_text()
        told = set(re.findall(r"^\| `(\w+) (/admin/[^`]+)` \| (\w+) \|", manual, re.MULTILINE))
        assert told == {(one.method, one.path, one.role) for one in ENDPOINTS}

    def test_it_is_openapi_3_1(self) -> None:
        """The members that the specification requires, each of its kind; ids are unique."""
        document = self.document
        assert document["openapi"].startswith("3.1.")
        assert {"title", "version"} <= set(document["info"])
        ids = [operation["operationId"] for _, _, operation in self.operations()]
        assert len(ids) == len(set(ids))
        [scheme] = document["components"]["securitySchemes"].values()
        assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
        for path, method, operation in self.operations():
            assert path.startswith("/")
            assert method in METHODS
            assert operation["responses"]
            assert operation["summary"]
            parameters = operation.get("parameters", [])
            in_path = [one["name"] for one in parameters if one["in"] == "path"]
            assert in_path == re.findall(r"{(\w+)}", path)
            names = [(one["in"], one["name"]) for one in parameters]
            assert len(names) == len(set(names))
            for one in parameters:
                assert one["in"] in ("path", "query", "header")
                assert one["required"] is (one["in"] == "path")
                assert one["schema"]["type"] in ("string", "integer", "boolean")
            for status, response in operation["responses"].items():
                assert re.fullmatch("[1-5][0-9][0-9]", status)
                assert response["description"]
                for content in response["content"].values():
                    assert "schema" in content
            assert ("requestBody" in operation) == (method in ("put", "patch", "post"))

    def test_every_reference_has_its_schema(self) -> None:
        """And every schema is used; the forms of provisioning are among them."""
        schemas = self.document["components"]["schemas"]
        text = msgspec.json.encode(self.document).decode()
        references = set(re.findall(r'"\$ref":"#/components/schemas/(\w+)"', text))
        assert references == set(schemas)
        assert {form.__name__ for form in KINDS.values()} <= references

    def test_the_server_serves_every_path(self) -> None:
        """Each operation answers with a status that the document has for it, and with that content
        type; objects have what their schema requires."""
        for path, method, operation in self.operations():
            path = path.replace("{kind}", "account").replace("{name}", "acme")
            path = re.sub(r"{\w+}", "acme", path)
            body = {} if "requestBody" in operation else None
            response = ask(self.gateway.operator, method.upper(), path, body)
            described = operation["responses"][str(response.status)]
            content = described["content"][response.content_type]
            if response.content_type == "application/json":
                self.fits(msgspec.json.decode(response.body), content["schema"])

    def fits(self, value: Any, schema: dict[str, Any]) -> None:
        if "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        kinds = {"object": dict, "array": list, "string": str, "boolean": bool}
        if "type" in schema and schema["type"] in kinds:
            assert isinstance(value, kinds[schema["type"]])
        if isinstance(value, list):
            for one in value:
                self.fits(one, schema["items"])
        if isinstance(value, dict):
            assert set(schema.get("required", ())) <= set(value)
            for key, one in value.items():
                if "properties" in schema:
                    self.fits(one, schema["properties"][key])
