"""`/closed`: what was closed today, by whom and when?"""

from flask import request

from service.web import closed, queries, visit, worklist
from service.web.pages import pages
from service.web.visit import TENANT


@pages.get("/closed")
def show_closed() -> str:
    """Show the Tasks that were closed since midnight at the site, the latest first."""
    wanted = worklist.page_of(request.args)
    with visit.begin() as (tx, seen):
        since = closed.day(seen.when)
        total = closed.count(tx, since, tenant=TENANT)
        pages_ = max(1, -(-total // worklist.ROWS))
        here = min(max(wanted, 1), pages_)
        closings = closed.read(tx, since, (here - 1) * worklist.ROWS, worklist.ROWS, tenant=TENANT)
        found = closed.tell(tx, closings, seen.when, seen.words, tenant=TENANT)
        patients = {row.work.patient for row in found}
        places = [worklist.place(plan, seen.words) for plan in queries.plans_of(tx, patients, tenant=TENANT)]
        return visit.page(
            seen,
            "closed.html",
            total=total,
            rows=found,
            page=here,
            pager=worklist.pager(here, pages_),
            people=visit.people_of(tx, seen, patients),
            places={place.plan: place for place in places},
            plan_of=worklist.first_plans(places),
        )
