"""Removing a resource: a version more, which says that it is no longer there.

To the pathways a removed fact is a withdrawn one: its last content with status entered-in-error. So a
decision that rested on it is tested again, and its explanation still finds every version it read. What
something current refers to is not removed.

http://hl7.org/fhir/R4/http.html#delete
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from service.fhir import references
from service.fhir.refusals import Issue, Referred
from service.fhir.resolving import MAY_POINT_ELSEWHERE
from service.record import FACTS
from service.store import referrers
from service.store.resources import Identity, Stored, Write

Json = Mapping[str, Any]

WITHDRAWN = "entered-in-error"


def write(stored: Stored, *, if_version: int | None) -> Write:
    """Return the write that removes the resource."""
    body = stored.resource
    # A fact may have an extension in place of its status; of a few other types the status is a concept.
    if stored.type in FACTS or isinstance(body.get("status"), str):
        body = {name: value for name, value in body.items() if name != "_status"} | {"status": WITHDRAWN}
    return Write(
        type=stored.type,
        id=stored.id,
        body=body,
        patient=stored.patient,
        if_version=if_version,
        removed=True,
    )


def refuse_referred(tx: Connection, removed: Stored, *, at: str, tenant: int) -> None:
    """Refuse to remove what something current refers to, after all of the transaction is written.

    Raises:
        Referred: naming one that refers to it.
    """
    if referrer := _referrer(tx, removed, tenant=tenant):
        named = "/".join(referrer)
        text = (
            f"{named} refers to {removed.reference}: remove or change what refers to it first, or in the "
            "same transaction; to withdraw a fact, send it with status entered-in-error"
        )
        raise Referred(Issue(code="conflict", text=text, expression=at))


def _referrer(tx: Connection, removed: Stored, *, tenant: int) -> Identity | None:
    if removed.type == "Patient":
        return referrers.of_patient(tx, removed.id, tenant=tenant)
    for stored in referrers.mentioning(tx, removed, tenant=tenant):
        for found in references.literal(stored.resource):
            points = references.local(found.target) == (removed.type, removed.id)
            if points and (stored.type, found.element) not in MAY_POINT_ELSEWHERE:
                return stored.type, stored.id
    return None
