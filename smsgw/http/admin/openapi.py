"""The OpenAPI 3.1 document of the admin API, made of its endpoints and their types."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from smsgw import __version__
from smsgw.http.admin.endpoints import JSON, Call, Endpoint, Fault, query_fields
from smsgw.http.site import Response
from smsgw.provisioning.forms import KINDS

_REF = "#/components/schemas/{name}"
_TOKEN = "token"  # noqa: S105  # the name of the scheme
_MEANING = {
    201: "It was made",
    400: "The query or the body is not as described",
    401: "A token is needed, or it is not known",
    403: "The operator's role does not allow it",
    404: "There is no such thing",
    409: "Something else uses it",
    412: "It is not at the version that was expected",
    415: "The body is not JSON",
    422: "Nothing was done, and why",
    429: "Too many wrong tokens",
    503: "The store or the gateway cannot serve it now",
}
_PARTS = {"kind": {"type": "string", "enum": list(KINDS)}}


def endpoint(endpoints: Sequence[Endpoint]) -> Endpoint:
    """The endpoint that serves the document of ``endpoints`` and of itself."""

    async def ask(_: Call) -> Response:
        return Response(200, body, JSON)

    this = Endpoint("GET", "/admin/openapi.json", "viewer", "This document", dict[str, Any], ask)
    body = msgspec.json.encode(document([*endpoints, this])) + b"\n"
    return this


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The document as JSON would have it."""
    types: list[Any] = [Fault]
    for one in endpoints:
        types += [one.answer, *one.faults.values()]
        types += one.shapes or ([one.asked] if one.asked else [])
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    found = dict(zip(map(_key, types), schemas, strict=True))
    for component in components.values():
        if "description" in component:
            words = " ".join(component["description"].split())
            component["description"] = words.replace("``", "")
    paths: dict[str, dict[str, Any]] = {}
    for one in endpoints:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, found)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "smsgw admin API",
            "version": __version__,
            "description": "Times are milliseconds since 1970 UTC.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                _TOKEN: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The token of an operator; the unix socket needs none.",
                }
            },
        },
        "security": [{_TOKEN: []}],
    }


def _operation(one: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    role = f"Takes the role {one.role}." if one.role else "Takes no token."
    operation: dict[str, Any] = {
        "operationId": _id(one),
        "summary": one.summary,
        "description": role,
        "tags": [one.path.split("/")[2] if one.path.startswith("/admin/") else "watch"],
    }
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": _PARTS.get(name, {"type": "string"}),
        }
        for name in re.findall(r"{(\w+)}", one.path)
    ]
    if one.query:
        parameters += [_parameter(name, field) for name, field in query_fields(one.query).items()]
    parameters += [
        {"name": name, "in": "header", "required": False, "schema": {"type": "string"}}
        for name in one.headers
    ]
    if parameters:
        operation["parameters"] = parameters
    if one.asked:
        shapes = [schemas[_key(shape)] for shape in one.shapes]
        schema = {"anyOf": shapes} if shapes else schemas[_key(one.asked)]
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": schema}}}
    shape = {"schema": schemas[_key(one.answer)]}
    done = {"description": one.summary, "content": {one.content: shape}}
    operation["responses"] = {str(one.status): done, **_faults(one, schemas)}
    if not one.role:
        operation["security"] = []
    return operation


def _parameter(name: str, field: Any) -> dict[str, Any]:
    schema = _simple(field.type)
    if field.default is not None:
        schema["default"] = field.default
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _simple(type: msgspec.inspect.Type) -> dict[str, Any]:
    """The schema of a parameter: what a query can say."""
    names = {
        msgspec.inspect.IntType: "integer",
        msgspec.inspect.BoolType: "boolean",
        msgspec.inspect.StrType: "string",
    }
    if isinstance(type, msgspec.inspect.UnionType):  # with None: it may be left out
        (type,) = (one for one in type.types if not isinstance(one, msgspec.inspect.NoneType))
    return {"type": names[type.__class__]}


def _faults(one: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    said = dict(one.faults)
    common = [503] if one.role else []
    common += [401, 403, 429] if one.role else []
    common += [400] if one.query or one.asked else []
    common += [415] if one.asked else []
    for status in common:
        said.setdefault(status, Fault)
    return {
        str(status): {
            "description": _MEANING[status],
            "content": {JSON: {"schema": schemas[_key(said[status])]}},
        }
        for status in sorted(said)
    }


def _id(one: Endpoint) -> str:
    words = re.findall(r"\w+", one.path.removeprefix("/admin").removesuffix(".json"))
    return "_".join([one.method.lower(), *words])


def _key(type: Any) -> str:
    # Types such as list[str] are made anew each time and are no good keys.
    return repr(type)
