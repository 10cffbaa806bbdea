"""`/live`: what the open page refreshes every 30 s. Rows never move by themselves."""

from flask import request

from service.web import queries, visit
from service.web.pages import pages
from service.web.visit import TENANT


@pages.get("/live")
def refresh_stamp() -> str:
    """Return the stamp again, and how much changed since the page was read."""
    since, plan = request.args.get("since", ""), request.args.get("plan", "")
    with visit.begin() as (tx, seen):
        number = int(since) if since.isascii() and since.isdigit() and len(since) < 19 else seen.seq
        patient = None
        if plan:
            stored = queries.of_type(tx, "CarePlan", {plan}, tenant=TENANT).get(plan)
            patient = str((stored or {}).get("subject", {}).get("reference", "")).partition("/")[2] or None
        changes = queries.changes(tx, number, tenant=TENANT, patient=patient)
        return visit.page(seen, "_live.html", changes=changes, since=number, plan_id=plan)
