"""`/audit`: who did or saw what, and is the record whole?"""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from flask import request

from service import digits
from service.auth.calling import HOSPITAL
from service.fhir.references import ID
from service.store import accesses, accounts, oversight, seals, senders
from service.store.accesses import Access, Filters
from service.web import visit
from service.web.pages import pages
from service.web.visit import TENANT, Visit

ROWS = 50
#: the newest links of the chain that are checked while one waits; `hipway audit` checks all
CHECKED = 50
#: patients of one access that are named; of a list there may be hundreds
MOST = 3
#: days of which it is counted how proposals were signed
DAYS = 90


@pages.get("/audit")
def show_audit() -> str:
    """Show the newest accesses that the filters let through, and whether the chain is whole."""
    filters = _filters()
    number = digits.read(request.args.get("before", ""), most=18) or 0
    with visit.begin() as (tx, seen):
        filters = _of_day(filters, seen)
        found = accesses.find(tx, filters, before=number, limit=ROWS + 1, tenant=TENANT)
        shown = [_first(access, filters.patient) for _, access in found[:ROWS]]
        since = seen.clock.now - timedelta(days=DAYS)
        # They are about everybody, whatever the filters; who turns the pages has seen them.
        whole = filters == Filters() and not number
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
            day=_day(),
            since=seen.when.day(since),
            days=DAYS,
            signed=oversight.signed(tx, since, tenant=TENANT) if whole else [],
            reasons=oversight.reasons(tx, since, tenant=TENANT) if whole else [],
            whole=whole,
        )


def _of_day(filters: Filters, seen: Visit) -> Filters:
    """Return the filters with the day that is asked for, as it is at the site."""
    day = _day()
    if day is None:
        return filters
    zone = ZoneInfo(seen.zone)
    midnights = (datetime.combine(each, time.min, zone) for each in (day, day + timedelta(days=1)))
    since, until = (midnight.astimezone(UTC) for midnight in midnights)
    return replace(filters, since=since, until=until)


def _day() -> date | None:
    try:
        found = date.fromisoformat(request.args.get("day", ""))
    except ValueError:
        return None
    # The day after must be one, too.
    return found if date.min < found < date.max - timedelta(days=1) else None


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
