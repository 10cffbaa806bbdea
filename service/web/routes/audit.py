"""`/audit`: who did or saw what, and is the record whole?"""

import re
from dataclasses import replace

from flask import request

from service.auth.calling import HOSPITAL
from service.fhir.references import ID
from service.store import accesses, accounts, seals, senders
from service.store.accesses import Access, Filters
from service.web import visit
from service.web.pages import pages
from service.web.visit import TENANT

ROWS = 50
#: the newest links of the chain that are checked while one waits; `hipway audit` checks all
CHECKED = 50
#: patients of one access that are named; of a list there may be hundreds
MOST = 3


@pages.get("/audit")
def show_audit() -> str:
    """Show the newest accesses that the filters let through, and whether the chain is whole."""
    filters = _filters()
    before = request.args.get("before", "")
    number = int(before) if before.isascii() and before.isdigit() and len(before) < 19 else 0
    with visit.begin() as (tx, seen):
        found = accesses.find(tx, filters, before=number, limit=ROWS + 1, tenant=TENANT)
        shown = [_first(access, filters.patient) for _, access in found[:ROWS]]
        named = {who for access in shown for who in access.patients[:MOST]}
        return visit.page(
            seen,
            "audit.html",
            filters=filters,
            accesses=shown,
            older=found[ROWS - 1][0] if len(found) > ROWS else None,
            people=visit.people_of(tx, seen, named),
            systems=[HOSPITAL]
            if seen.session is None
            else [s.name for s in senders.known(tx, tenant=TENANT)],
            names={colleague.reference: colleague.name for colleague in seen.colleagues},
            most=MOST,
            link=seals.latest(tx, tenant=TENANT),
            fault=next(seals.check(tx, tenant=TENANT, newest=CHECKED), None),
            checked=CHECKED,
        )


def _first(access: Access, patient: str) -> Access:
    """Return the access with this patient before the others: of many the first few are named."""
    return replace(access, patients=tuple(sorted(access.patients, key=lambda each: each != patient)))


def _filters() -> Filters:
    patient, who = request.args.get("patient", ""), request.args.get("who", "")
    action = request.args.get("action", "")
    return Filters(
        patient=patient if re.fullmatch(ID, patient) else "",
        who=who if re.fullmatch(f"Practitioner/{ID}|{accounts.NAME}", who) else "",
        action=action if action in (accesses.READ, accesses.EXECUTE) else "",
    )
