"""`/patients`: which person do I mean? What is searched for is posted, so it is in no address."""

from flask import request

from service import accessed
from service.web import queries, search, visit
from service.web.pages import pages
from service.web.search import Search
from service.web.visit import TENANT


@pages.get("/patients")
def show_patients() -> str:
    """Show the empty search."""
    with visit.begin() as (tx, seen):
        known = queries.patient_count(tx, tenant=TENANT)
        return visit.page(seen, "patients.html", search=Search(), asked=False, known=known, found=())


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
        plans = queries.plans_of(tx, {body["id"] for body in shown}, tenant=TENANT)
        return visit.page(
            seen,
            "patients.html",
            search=wanted,
            asked=True,
            enough=wanted.parts >= search.PARTS,
            more=len(bodies) > search.ROWS,
            known=queries.patient_count(tx, tenant=TENANT),
            found=search.build(shown, plans, seen.when, seen.words),
        )
