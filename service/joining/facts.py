"""Everything about one record, as it is about the other: the same content with other references.

The same fact that was sent for both records is kept once: the same type, time and content, whoever is meant.
Where that is not so, both stay; which of them is right nobody decides by guessing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from psycopg.rows import dict_row
from sqlalchemy import Connection

from service.fhir import references
from service.store import content, resources, search_index
from service.store.driver import raw
from service.store.resources import Stored
from service.store.writing import COLUMNS, stored

Json = Mapping[str, Any]

#: what was decided is decided once, whatever another decision says in the same words
NEVER_TWINS = ("Patient", "Task")

_OF = f"""
    SELECT {COLUMNS}, sender FROM resource
    WHERE tenant = %(tenant)s AND patient = %(patient)s AND NOT deleted AND type <> 'Patient'
    ORDER BY seq
"""  # noqa: S608 - constants of this module
# Everything that is about nobody is looked through: slow, and done once, when records are joined.
_NAMING = f"""
    SELECT {COLUMNS}, sender FROM resource
    WHERE tenant = %(tenant)s AND patient IS NULL AND NOT deleted AND strpos(body, %(named)s) > 0
    ORDER BY seq
"""  # noqa: S608 - constants of this module


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A stored resource, and who sent its current version."""

    stored: Stored
    sender: str


def of(tx: Connection, patient: str, *, tenant: int) -> list[Held]:
    """Return what is kept about the patient, as received; not the Patient itself."""
    return _held(tx, _OF, {"tenant": tenant, "patient": patient})


def locked(tx: Connection, patient: str, *, tenant: int) -> list[Held]:
    """Return the same and what names the patient and is about nobody, which nobody changes until this ends.

    Not even a translation of codes does.
    """
    naming = _held(tx, _NAMING, {"tenant": tenant, "named": f'"Patient/{patient}"'})
    found = sorted([*of(tx, patient, tenant=tenant), *naming], key=lambda one: one.stored.seq)
    now = resources.lock(tx, {(one.stored.type, one.stored.id) for one in found}, tenant=tenant)
    return [replace(one, stored=now[one.stored.type, one.stored.id]) for one in found]


def twins(ours: Iterable[Stored], theirs: Iterable[Stored], names: Mapping[str, str]) -> dict[str, str]:
    """Return, of facts that are the same in both records, which of the others stands for which of ours.

    Args:
        ours: of the record that goes.
        names: as `renamed` takes them: what else is said otherwise in the other record.

    Returns:
        `Type/id` of the one that goes to `Type/id` of the one that stays.
    """
    known: dict[tuple[str, bytes], str] = {}
    for one in theirs:
        if key := _key(one, {}):
            known.setdefault(key, one.reference)
    found: dict[str, str] = {}
    # What others refer to comes first: a report is the same where its results are.
    for one in sorted(ours, key=lambda each: each.type == "DiagnosticReport"):
        key = _key(one, {**names, **found})
        if key is not None and key in known:
            # One stands for one: what was sent twice within a record was sent twice.
            found[one.reference] = known.pop(key)
    return found


def renamed(resource: Json, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the resource with other targets in its references; a version that is named stays as it is.

    Args:
        names: `Type/id` to `Type/id`.
    """
    found = references.literal(resource)
    return references.replaced(resource, found, {f.target: names.get(f.target, f.target) for f in found})


def changed_back(current: Stored, before: Stored | None, after: int, names: Mapping[str, str]) -> Json:
    """Return a moved resource as it is about the first record again.

    Args:
        before: the version before it was moved.
        after: the number of the version that was written then.
        names: as `renamed` takes them.
    """
    if before is not None and current.version == after:
        return before.resource
    return renamed(current.resource, names)


def by_sender(held: Sequence[Held]) -> dict[str, list[Stored]]:
    """Return what is held by who sent it: whose data it is does not change."""
    found: dict[str, list[Stored]] = {}
    for one in held:
        found.setdefault(one.sender, []).append(one.stored)
    return found


def since(
    tx: Connection, patient: str, mark: int, moved: Collection[tuple[str, str]], *, tenant: int
) -> list[Held]:
    """Return what was created about the patient after something else was, and not moved."""
    return [
        held
        for held in of(tx, patient, tenant=tenant)
        if held.stored.key is not None
        and held.stored.key > mark
        and (held.stored.type, held.stored.id) not in moved
    ]


def _held(tx: Connection, statement: str, parameters: Json) -> list[Held]:
    with raw(tx).cursor(row_factory=dict_row) as cursor:
        cursor.execute(statement, parameters)
        return [Held(sender=row.pop("sender"), stored=stored(row)) for row in cursor]


def _key(one: Stored, names: Mapping[str, str]) -> tuple[str, bytes] | None:
    if one.owned or one.type in NEVER_TWINS:
        return None
    resource = one.resource
    if search_index.promoted(resource).date is None:
        return None
    return one.type, content.digest(renamed(resource, names))
