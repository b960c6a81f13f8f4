"""Single forms of the provisioning, as operators read and change them over the admin API."""

from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError

from smsgw.operate.operator import Changed, FormView, KeyFault, Unavailable
from smsgw.provisioning import Provisioning, ProvisioningError, documents
from smsgw.provisioning.uses import InUse
from smsgw.store import provision
from smsgw.store.secrets import SecretsUnusable
from smsgw.toml import spelled

if TYPE_CHECKING:
    from smsgw.service import Gateway

PAGE = 1_000


def shown(provisioning: Provisioning, kind: str, after: str = "") -> list[dict[str, Any]]:
    """The documents of a page of the forms of ``kind``: by name, those after ``after``."""
    forms = provisioning.of(kind)
    names = sorted(name for name in forms if name > after)
    return [documents.document(forms[name]) for name in names[:PAGE]]


def found(provisioning: Provisioning, kind: str, name: str) -> FormView | None:
    """One form, None if there is none."""
    form = provisioning.of(kind).get(name)
    if form is None:
        return None
    return FormView(documents.document(form), provisioning.versions.get((kind, name), 0))


async def change(
    gateway: "Gateway",
    who: str,
    kind: str,
    name: str,
    document: dict[str, Any] | None,
    merge: bool = False,
    expected: int | None = None,
    dry_run: bool = False,
) -> Changed:
    """Makes, changes (``merge``: only what is given) or deletes (``document`` None) one form.

    Raises Unavailable.
    """
    prepare = partial(
        provision.prepare_document,
        kind=kind,
        name=name,
        given=document,
        merge=merge,
        expected=expected,
    )
    try:
        lines, version = await gateway.change(prepare, dry_run, who)
    except InUse as error:
        return Changed(version=gateway.tables.version, used_by=list(error.uses))
    except ProvisioningError as error:
        faults = [KeyFault(spelled(path), said) for path, said in error.faults]
        return Changed(version=gateway.tables.version, faults=faults)
    except provision.VersionMoved:
        return Changed(version=gateway.tables.version, moved=True)
    except provision.Absent:
        return Changed(version=gateway.tables.version, absent=True)
    except SecretsUnusable as error:
        raise Unavailable(str(error)) from None
    except DBAPIError as error:
        raise Unavailable(f"store: {error.orig}; mend that and try again") from None
    return Changed(lines, version)
