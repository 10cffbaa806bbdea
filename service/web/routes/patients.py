"""`/patients`: which person do I mean? What is searched for is posted, so it is in no address."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import request
from sqlalchemy import Connection

from service import accessed
from service.store import accesses
from service.web import joined, queries, search, visit
from service.web.elements import Json
from service.web.pages import pages
from service.web.search import Found, Search
from service.web.visit import TENANT, Visit

#: the page on which a patient is opened, as accesses name it
OPENED_AT = "/careplans/<id>"

#: patients below the search
LAST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Last:
    """The patients whom the person who acts opened last, the newest first."""

    found: tuple[Found, ...] = ()
    #: when, by the machine's clock, by the id of the patient
    at: Mapping[str, str]


@pages.get("/patients")
def show_patients() -> str:
    """Show the empty search."""
    with visit.begin() as (tx, seen):
        known = queries.patient_count(tx, tenant=TENANT)
        return visit.page(
            seen,
            "patients.html",
            search=Search(),
            asked=False,
            known=known,
            found=(),
            last=_last(tx, seen),
        )


@pages.post("/patients")
def find_patients() -> str:
    """Show whom the parts fit; nothing with fewer than two."""
    wanted = Search.read(request.form)
    with visit.begin() as (tx, seen):
        bodies = []
        if wanted.parts >= search.PARTS:
            bodies = queries.find_patients(tx, wanted.values, search.ROWS + 1, tenant=TENANT)
        shown = bodies[: search.ROWS]
        accessed.note(body["id"] for body in shown)
        return visit.page(
            seen,
            "patients.html",
            search=wanted,
            asked=True,
            enough=wanted.parts >= search.PARTS,
            more=len(bodies) > search.ROWS,
            known=queries.patient_count(tx, tenant=TENANT),
            found=_described(tx, seen, shown),
            last=_last(tx, seen),
        )


def _described(tx: Connection, seen: Visit, bodies: Sequence[Json]) -> tuple[Found, ...]:
    """Return the patients with their plans; of one whose record was joined, with those of who holds it."""
    ids = {str(body["id"]) for body in bodies}
    into = joined.into(tx, ids)
    holders = queries.of_type(tx, "Patient", set(into.values()), tenant=TENANT)
    accessed.note(holders)
    plans = joined.going_on(queries.plans_of(tx, ids | set(holders), tenant=TENANT))
    now = {source: holders[target] for source, target in into.items() if target in holders}
    return search.build(bodies, plans, seen.when, seen.words, now)


def _last(tx: Connection, seen: Visit) -> Last:
    """Return whom this person opened last, from the record of accesses; nobody acting has opened nobody."""
    if seen.acting is None:
        return Last(at={})
    opened = accesses.opened_last(tx, seen.acting.reference, OPENED_AT, LAST, tenant=TENANT)
    ids = [patient for patient, _ in opened]
    bodies = queries.of_type(tx, "Patient", ids, tenant=TENANT)
    accessed.note(bodies)
    found = _described(tx, seen, tuple(bodies.values()))
    return Last(
        found=tuple(sorted(found, key=lambda each: ids.index(each.person.id))),
        at={patient: seen.when.exact(at) for patient, at in opened},
    )
