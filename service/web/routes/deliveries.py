"""Deliveries on the operations page: what the hospital's server lacks, and sending it again."""

import re

from flask import redirect, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from service import accessed, log
from service.fhir.references import ID
from service.hospital import outgoing
from service.store import circuits, deliveries
from service.store.deliveries import Undelivered
from service.web import deliveries as page
from service.web import queries, visit, worklist
from service.web.pages import pages, problem, refusal
from service.web.visit import TENANT, Visit


@pages.post("/operations/deliveries")
def send_again() -> Response | tuple[str, int]:
    """Have one patient's delivery tried at once; the courier sees it within a second or two."""
    patient = request.form.get("patient", "")
    with visit.begin() as (_, seen):
        if refused := refusal(seen):
            return refused
        assert seen.acting is not None
        if seen.settings.hospital is None or not re.fullmatch(ID, patient):
            return problem("no_page", 404)
    accessed.note([patient])
    server = seen.settings.hospital.url
    with visit.database().transaction() as tx:
        if deliveries.again(tx, patient, tenant=TENANT, server=server):
            circuits.close(tx, tenant=TENANT, server=server)
    log.get().info("delivery_asked_again", patient=patient, by=seen.acting.id)
    return redirect(url_for("web.show_operations", sent=patient, _anchor="deliveries"), code=303)


def undelivered(tx: Connection, seen: Visit) -> Undelivered | None:
    """Return how much the hospital's server lacks; None where there is none."""
    if seen.settings.hospital is None:
        return None
    server = seen.settings.hospital.url
    return deliveries.undelivered(tx, tenant=TENANT, server=server, types=outgoing.TYPES)


def section(tx: Connection, seen: Visit) -> dict[str, object]:
    """Return what `_deliveries.html` shows."""
    if seen.settings.hospital is None:
        return {"found": None, "plan_of": {}, "asked": ""}
    server = seen.settings.hospital.url
    found = page.build(
        deliveries.waiting(tx, page.ROWS, tenant=TENANT, server=server),
        deliveries.count(tx, tenant=TENANT, server=server),
        [
            ("deliver", circuits.read(tx, "deliver", tenant=TENANT, server=server)),
            ("return", circuits.read(tx, "return", tenant=TENANT, server=server)),
        ],
        seen.when,
        seen.words,
    )
    shown = {row.patient for row in found.rows}
    accessed.note(shown)
    plans = queries.plans_of(tx, shown, tenant=TENANT)
    asked = request.args.get("sent", "")
    return {
        "found": found,
        "plan_of": worklist.first_plans(worklist.place(plan, seen.words) for plan in plans),
        "asked": asked if re.fullmatch(ID, asked) else "",
    }
