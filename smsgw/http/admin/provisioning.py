"""The admin API's endpoints that provision: a whole file, or one form as a JSON document."""

from typing import Any

import msgspec
from attrs import define

from smsgw.http.admin.access import WHO_LENGTH
from smsgw.http.admin.endpoints import (
    PROVISIONING_LIMIT,
    Call,
    Endpoint,
    Fault,
    Refused,
    accepted,
    as_json,
)
from smsgw.http.site import Response
from smsgw.operate import operator as shown
from smsgw.operate.operator import Applied
from smsgw.provisioning.forms import KINDS
from smsgw.provisioning.targets import masked
from smsgw.provisioning.uses import Use

Document = dict[str, Any]


class File(msgspec.Struct):
    """A provisioning file; ``file`` is its name in faults, ``who`` counts where no token tells."""

    text: str
    file: str = "provisioning.toml"
    prune: bool = False
    dry_run: bool = False
    who: str = ""


class Page(msgspec.Struct):
    """Of a list by name: what comes after ``after``."""

    after: str = ""


class Trial(msgspec.Struct):
    """With ``dry_run`` nothing is done, and the answer tells what would be."""

    dry_run: bool = False


@define
class Done:
    """What a change of one form did; ``version`` is that of the provisioning now."""

    changes: list[str]
    version: int


@define
class Faults:
    """Why a document is refused, each fault with its key."""

    error: str
    faults: list[shown.KeyFault]


@define
class Used:
    """Why something cannot go: who uses it."""

    error: str
    used_by: list[Use]


async def _apply(call: Call) -> Applied:
    asked: File = call.body
    told = asked.who if asked.who.isprintable() else ""
    who = call.who if b"authorization" in call.request.headers else told[:WHO_LENGTH] or call.who
    applied = await call.operator.apply(asked.text, asked.file, asked.prune, asked.dry_run, who)
    return accepted(applied, applied.errors)


async def _forms(call: Call) -> list[Document]:
    return [_shown(call, one) for one in call.operator.forms(_kind(call), call.query.after)]


async def _form(call: Call) -> Response:
    kind, name = _kind(call), call.names["name"]
    found = call.operator.form(kind, name)
    if found is None:
        raise _absent(kind, name)
    response = as_json(_shown(call, found.document))
    response.headers.append(_tag(found.version))
    return response


async def _put(call: Call) -> Response:
    return await _change(call, call.body)


async def _patch(call: Call) -> Response:
    return await _change(call, call.body, merge=True)


async def _delete(call: Call) -> Response:
    return await _change(call, None)


async def _change(call: Call, document: Document | None, merge: bool = False) -> Response:
    kind, name = _kind(call), call.names["name"]
    made = call.operator.form(kind, name) is None
    done = await call.operator.change_form(
        kind,
        name,
        document,
        merge=merge,
        expected=_expected(call),
        dry_run=call.query.dry_run,
    )
    if done.absent:
        raise _absent(kind, name)
    if done.moved:
        raise Refused(412, f"{kind} {name} is not at the version in If-Match; read it again")
    if done.used_by:
        raise Refused(
            409,
            Used(
                f"{done.used_by[0].of_kind} {done.used_by[0].of_name} is in use; "
                "change what uses it first",
                done.used_by,
            ),
        )
    if done.faults:
        raise Refused(422, Faults(_counted(done.faults), done.faults))
    response = as_json(
        Done(done.changes, done.version), 201 if made and not call.query.dry_run else 200
    )
    found = call.operator.form(kind, name)
    if found is not None:
        response.headers.append(_tag(found.version))
    return response


def _counted(faults: list[shown.KeyFault]) -> str:
    return "1 fault" if len(faults) == 1 else f"{len(faults)} faults"


def _shown(call: Call, document: Document) -> Document:
    """The document, for whoever cannot put it back without what may be secret in its URLs."""
    if call.access.may(call.request, "admin"):
        return document
    plain: Document = _masked(document)
    return plain


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _masked(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_masked(one) for one in value]
    return masked(value) if isinstance(value, str) else value


def _kind(call: Call) -> str:
    kind = call.names["kind"]
    if kind not in KINDS:
        raise Refused(404, f"no kind {kind[:40]}; it must be one of {', '.join(KINDS)}")
    return kind


def _absent(kind: str, name: str) -> Refused:
    return Refused(404, f"there is no {kind} {name[:64]}")


def _tag(version: int) -> tuple[bytes, bytes]:
    return b"ETag", f'"{version}"'.encode()


def _expected(call: Call) -> int | None:
    """The version that If-Match asks for; one that no form has if it is no version of ours."""
    given = call.request.headers.get(b"if-match", b"*").decode("latin-1").strip()
    if given == "*":
        return None
    version = given.strip('"')
    return int(version) if version.isascii() and version.isdecimal() and len(version) < 19 else -1


_FORM = "/admin/provisioning/{kind}/{name}"
_MATCH = ("If-Match",)
_REFUSED = {404: Fault, 409: Used, 412: Fault, 422: Faults}

ENDPOINTS = [
    Endpoint(
        "POST",
        "/admin/apply",
        "admin",
        "Provision what a TOML file says",
        Applied,
        _apply,
        asked=File,
        faults={422: Applied},
        body_limit=PROVISIONING_LIMIT,
    ),
    Endpoint(
        "GET",
        "/admin/provisioning/{kind}",
        "viewer",
        "A page of the forms of one kind, by name; secrets are not shown",
        list[Document],
        _forms,
        query=Page,
        faults={404: Fault},
    ),
    Endpoint(
        "GET",
        _FORM,
        "viewer",
        "One form, with its version as ETag",
        Document,
        _form,
        faults={404: Fault},
    ),
    Endpoint(
        "PUT",
        _FORM,
        "admin",
        "Make a form, or replace it",
        Done,
        _put,
        asked=Document,
        shapes=tuple(KINDS.values()),
        query=Trial,
        headers=_MATCH,
        faults={201: Done, **_REFUSED},
        body_limit=PROVISIONING_LIMIT,
    ),
    Endpoint(
        "PATCH",
        _FORM,
        "admin",
        "Change the keys given, and no others (RFC 7396)",
        Done,
        _patch,
        asked=Document,
        query=Trial,
        headers=_MATCH,
        faults=_REFUSED,
        body_limit=PROVISIONING_LIMIT,
    ),
    Endpoint(
        "DELETE",
        _FORM,
        "admin",
        "Delete a form",
        Done,
        _delete,
        query=Trial,
        headers=_MATCH,
        faults=_REFUSED,
    ),
]
