"""What the engine made stays the engine's: from outside, only parts of it may change.

The hospital tells how far work has come: status, business status, owner and output of
a Task, and the status of a signed order. Everything else is decided by a decision.
"""

from collections.abc import Mapping
from typing import Any

from fhir_profiles import canonical
from service.fhir.refusals import Issue, NotYours

Json = Mapping[str, Any]

#: `lastModified` says when the others changed
OF_A_TASK = ("status", "businessStatus", "owner", "output", "lastModified")
OF_A_SIGNED_ORDER = ("status",)

#: the software that decides; every output names it
ENGINE = ("Device", "hipway-engine")

#: how the ids begin of the AuditEvents that are rendered of the record of accesses
ACCESSES = "access-"
#: and of the Provenances that say who joined or parted two records
JOININGS = "joining-"


def merged(stored: Json, incoming: Json, *, at: str) -> dict[str, Any]:
    """Return the stored resource with the permitted changes.

    Args:
        at: the expression of the entry's resource.

    Raises:
        NotYours: something else differs, or nothing of this resource may change.
    """
    allowed = may_change(stored)
    names = (set(stored) | set(incoming)) - {"id", "meta", *allowed}
    differing = sorted(name for name in names if stored.get(name) != incoming.get(name))
    if differing:
        raise NotYours(*(_issue(stored, allowed, f"{at}.{name}") for name in differing))
    kept = {name: value for name, value in stored.items() if name not in allowed}
    return {**kept, **{name: incoming[name] for name in allowed if name in incoming}}


def refuse_removal(stored: Json, *, at: str) -> None:
    """Refuse to remove what the engine made.

    Raises:
        NotYours: it says how to end it in place of that.
    """
    text = (
        f"this {stored['resourceType']} is kept by the pathway and cannot be removed. To sign, decline, "
        "acknowledge or close it, send a completed Task with a code of clinician-decision and this resource "
        "as its focus; to withdraw what it rests on, remove the fact, or send it with entered-in-error"
    )
    raise NotYours(Issue(code="forbidden", text=text, expression=at))


def refuse_reserved(incoming: Json, id: str, *, at: str) -> None:
    """Refuse what only the engine may make: its own device, plans under its own identifiers, and accesses.

    Raises:
        NotYours: naming the element.
    """
    type_ = incoming["resourceType"]
    systems = [given.get("system") for given in incoming.get("identifier", ()) if isinstance(given, Mapping)]
    if (type_, id) == ENGINE:
        text = "this Device is the pathway engine itself: it cannot be written from outside"
        raise NotYours(Issue(code="forbidden", text=text, expression=f"{at}.id"))
    if type_ == "AuditEvent" and id.startswith(ACCESSES):
        text = f"ids that begin with {ACCESSES} are those of this service's own record of accesses"
        raise NotYours(Issue(code="forbidden", text=text, expression=f"{at}.id"))
    if is_of_joining(type_, id):
        text = f"ids that begin with {JOININGS} are those of this service's own record of joined Patients"
        raise NotYours(Issue(code="forbidden", text=text, expression=f"{at}.id"))
    if type_ == "CarePlan" and canonical.CARE_PLAN_IDS in systems:
        text = "identifiers of this system are given by the pathway alone; use a system of your own"
        raise NotYours(Issue(code="forbidden", text=text, expression=f"{at}.identifier"))


def is_of_joining(type_: str, id: str) -> bool:
    """Return whether a resource says who joined or parted two records."""
    return type_ == "Provenance" and id.startswith(JOININGS)


def may_change(stored: Json) -> tuple[str, ...]:
    """Return the elements of what the engine made that a hospital may change."""
    if stored["resourceType"] == "Task":
        return OF_A_TASK
    if stored["resourceType"] == "ServiceRequest" and stored.get("intent") == "order":
        return OF_A_SIGNED_ORDER
    return ()


def _issue(stored: Json, allowed: tuple[str, ...], expression: str) -> Issue:
    what = (
        f"only {', '.join(allowed)} may change from outside"
        if allowed
        else "it cannot be changed from outside"
    )
    text = (
        f"this {stored['resourceType']} is kept by the pathway: {what}. "
        "To sign, decline, acknowledge or close, send a completed Task with a code of clinician-decision "
        "and this resource as its focus"
    )
    return Issue(code="forbidden", text=text, expression=expression)
