"""The OpenAPI 3.1 document of the REST API, made of its endpoints and their types."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from smsgw import __version__
from smsgw.http import rest_codes, rest_parameters
from smsgw.http.rest_documents import Fault, schemas
from smsgw.http.rest_front import BASE, Asked, Endpoint, Front
from smsgw.http.rest_lists import LONGEST_NAME, MOST_NUMBERS
from smsgw.http.site import Response
from smsgw.store.lists import TYPES

_JSON = "application/json"
_XML = "application/xml"
_REF = "#/components/schemas/{name}"
_KEY = "key"
_MEANING = {
    200: "The request was processed; code tells how",
    400: "Something is wrong with a parameter; detail says what",
    401: "Key and secret are missing or wrong",
    402: "Insufficient credit",
    403: "The login lacks the right, or the account the service; or a limit is reached",
    404: "There is no such thing of the account's",
    405: "The method is not allowed",
    409: "It is not in a state for that, or its name or key is taken",
    413: "The body is too large",
    415: "The format of the body is not known",
    429: "Too fast; wait as Retry-After says",
    500: "The gateway's fault",
    503: "Temporarily unavailable; wait as Retry-After says",
}
_COMMON = (401, 403, 429, 500, 503)
_FLAG = {"type": "boolean"}


def _texts(length: int, **more: Any) -> dict[str, Any]:
    return {"type": "string", "maxLength": length, **more}


_PROPERTIES: dict[str, Any] = {
    "source": _texts(
        rest_parameters.MAX_SOURCE, description="Who it is from.", examples=["447700900000"]
    ),
    "destination": {
        "type": "string",
        "examples": ["447700900123", "447700900123,447700900124"],
        "description": "A number, or several separated by commas; or listId.",
    },
    "listId": _texts(36, description="Send to every member of this list instead."),
    "messageText": {
        "type": "string",
        "description": "The text; may be empty with an attachment.",
        "examples": ["Hello"],
    },
    "subject": _texts(rest_parameters.MAX_SUBJECT, description="Of an MMS."),
    "mediaUrl": _texts(
        rest_parameters.MAX_URL,
        description="Where the attachment of an MMS is fetched; or file in a multipart body.",
    ),
    "destinationFormat": {
        **_FLAG,
        "description": "false: digits with country code only.",
        "default": True,
    },
    "registeredDelivery": {**_FLAG, "description": "Ask for a delivery receipt."},
    "dcs": {"type": "integer", "minimum": 0, "maximum": 255, "description": "Data coding."},
    "flash": {**_FLAG, "description": "Show at once (class 0)."},
    "udh": {"type": "string", "description": "User data header in hex digits."},
    "validityPeriod": {
        "type": "integer",
        "minimum": 1,
        "maximum": rest_parameters.MAX_VALIDITY,
        "description": "Minutes.",
    },
    "scheduleTime": {"type": "string", "description": "ISO 8601, up to 30 days ahead."},
    "clientReference": _texts(
        rest_parameters.MAX_REFERENCE, description="Given back in status and notifications."
    ),
    "tag": _texts(rest_parameters.MAX_TAG, description="A mark that routes may ask for."),
    "costCentre": _texts(rest_parameters.MAX_COSTCENTRE, description="For the statement."),
    "private": {**_FLAG, "description": "The statement leaves its details out."},
    "dryRun": {**_FLAG, "description": "Say what would be done, and send nothing."},
}
# What bodies hold, by the word of ``Endpoint.body``.
BODIES: dict[str, dict[str, Any]] = {
    "message": {"type": "object", "properties": _PROPERTIES, "required": ["messageText"]},
    "list": {
        "type": "object",
        "properties": {
            "name": _texts(LONGEST_NAME, minLength=1, examples=["spring"]),
            "type": {"type": "string", "enum": list(TYPES), "examples": [TYPES[0]]},
            "source": _texts(20, description="Of type optout: the number that it is for."),
        },
        "required": ["name", "type"],
    },
    "rename": {
        "type": "object",
        "properties": {"name": _texts(LONGEST_NAME, minLength=1)},
        "required": ["name"],
    },
    "numbers": {
        "type": "object",
        "properties": {
            "numbers": {
                "description": f"At most {MOST_NUMBERS}, separated by commas or as a list.",
                "anyOf": [
                    {"type": "string", "minLength": 1},
                    {
                        "type": "array",
                        "items": {"type": "string"},
                        "minItems": 1,
                        "maxItems": MOST_NUMBERS,
                    },
                ],
            }
        },
        "required": ["numbers"],
    },
}


def endpoint(front: Front) -> Endpoint:
    """The endpoint that serves the document of what ``front`` answers, and of itself."""

    def ask(asked: Asked) -> Response:
        return Response(200, body, "application/json; charset=utf-8")

    this = Endpoint("GET", "/openapi", "", "This document, as /v4/openapi.json", ask, dict)
    endpoints = [*front.endpoints(), this]
    body = msgspec.json.encode(document(endpoints, front.settings.root)) + b"\n"
    return this


def document(endpoints: Iterable[Endpoint], root: str) -> dict[str, Any]:
    """The document as JSON would have it; ``root`` is the outermost element of answers."""
    endpoints = list(endpoints)
    types = {one.answer for one in endpoints if one.answer not in (None, dict)}
    _, components = schemas([Fault, *sorted(types, key=lambda one: one.__name__)], _REF)
    for component in components.values():
        if "description" in component:
            words = " ".join(component["description"].split())
            component["description"] = words.replace("``", "")
    paths: dict[str, dict[str, Any]] = {}
    for one in endpoints:
        operation = _operation(one, root)
        path = one.path + (".json" if one.answer is dict else "")
        paths.setdefault(path, {})[one.method.lower()] = operation
    codes = ", ".join(f"{code} {text}" for code, text in sorted(rest_codes.TEXTS.items()))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "smsgw REST API",
            "version": __version__,
            "description": (
                "Bodies may be JSON, a form, multipart or XML, answers are JSON or XML: by the "
                "suffix .json or .xml of a path, by Accept, or as the body. Codes: " + codes + "."
            ),
        },
        "servers": [{"url": BASE}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                _KEY: {
                    "type": "http",
                    "scheme": "basic",
                    "description": "Key and secret of an http login.",
                }
            },
        },
        "security": [{_KEY: []}],
    }


def _with_file(body: dict[str, Any]) -> dict[str, Any]:
    """The schema of a body that may have an attachment, which makes the message an MMS."""
    file = {"type": "string", "contentMediaType": "application/octet-stream"}
    described = {**file, "description": "The attachment of an MMS, 5 MB at most."}
    return {**body, "properties": {**body["properties"], "file": described}}


def _operation(one: Endpoint, root: str) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _id(one),
        "summary": one.summary,
        "tags": [one.path.split("/")[1]],
    }
    if one.right:
        operation["description"] = f"Takes the right {one.right}."
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", one.path)
    ]
    for given in one.parameters:
        parameters.append(
            {
                "name": given.name,
                "in": given.place,
                "required": given.required,
                "description": given.meaning,
                "schema": given.schema,
            }
        )
    if one.body.endswith("in query"):
        required = BODIES["message"]["required"]
        for name, schema in _PROPERTIES.items():
            parameters.append(
                {"name": name, "in": "query", "required": name in required, "schema": schema}
            )
    if parameters:
        operation["parameters"] = parameters
    if one.body in BODIES:
        shape = {"schema": BODIES[one.body]}
        forms = ("application/x-www-form-urlencoded", "multipart/form-data")
        content = {_JSON: shape, **dict.fromkeys(forms, shape)}
        if one.body == "message":
            content["multipart/form-data"] = {"schema": _with_file(BODIES["message"])}
        operation["requestBody"] = {"required": True, "content": content}
    operation["responses"] = {"200": _done(one, root), **_faults(one, root)}
    if not one.right:
        operation["security"] = []
    return operation


def _rooted(type: Any, root: str) -> dict[str, Any]:
    return {
        "schema": {
            "type": "object",
            "properties": {root: {"$ref": _REF.format(name=type.__name__)}},
            "required": [root],
        }
    }


def _done(one: Endpoint, root: str) -> dict[str, Any]:
    if one.answer is None:
        content: dict[str, Any] = {"text/csv": {"schema": {"type": "string"}}}
    elif one.answer is dict:
        content = {_JSON: {"schema": {"type": "object"}}}
    else:
        content = {_JSON: _rooted(one.answer, root), _XML: {}}
    return {"description": _MEANING[200], "content": content}


def _faults(one: Endpoint, root: str) -> dict[str, Any]:
    statuses = {*one.faults, *(_COMMON if one.right else ())}
    content = {_JSON: _rooted(Fault, root), _XML: {}}
    return {
        str(status): {"description": _MEANING[status], "content": content}
        for status in sorted(statuses)
    }


def _id(one: Endpoint) -> str:
    return "_".join([one.method.lower(), *re.findall(r"\w+", one.path)])
