"""`/covers`: somebody is away, and a colleague does the work meanwhile."""

import re
from datetime import date

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from service.fhir import transaction
from service.fhir.references import ID
from service.fhir.refusals import Refusal
from service.store import resources
from service.store.resources import VersionConflict
from service.web import covers, forms, visit
from service.web.covers import Cover
from service.web.pages import pages, problem, refusal
from service.web.visit import TENANT, Visit

Answer = Response | tuple[str, int]


@pages.post("/covers")
def begin_cover() -> Answer:
    """Have a colleague cover another one from a day to a day, both included."""
    with visit.begin() as (tx, seen):
        if refused := refusal(seen):
            return refused
        cover = _wanted(seen)
        if cover is None:
            return problem("no_cover", 422)
        before = resources.current(tx, "PractitionerRole", cover.id, tenant=TENANT)
    # The id is made from the form, so the same form sent again finds what it stored.
    return _shown() if before else _store(seen, covers.begun(cover, _who(seen), seen.clock.now))


@pages.post("/covers/<id>/end")
def end_cover(id: str) -> Answer:
    """End a cover at once."""
    with visit.begin() as (tx, seen):
        if refused := refusal(seen):
            return refused
        known = re.fullmatch(ID, id)
        stored = resources.current(tx, "PractitionerRole", id, tenant=TENANT) if known else None
        if stored is None or stored.deleted or covers.read(stored.resource) is None:
            return problem("no_such_cover", 404)
    version = request.form.get("version", "")
    return _store(seen, covers.ended(stored.resource, _who(seen), seen.clock.now, version))


def _wanted(seen: Visit) -> Cover | None:
    """Return the cover of the form; None for people nobody knows, for oneself, and for days that are over."""
    known = {colleague.id: colleague for colleague in seen.colleagues}
    absent, by = known.get(request.form.get("absent", "")), known.get(request.form.get("by", ""))
    start, end = _day("start"), _day("end")
    if absent is None or by is None or absent == by or start is None or end is None:
        return None
    if end < start or end < seen.today:
        return None
    return Cover(
        id=forms.decision_id(absent.reference, "cover", request.form.get("token", "")),
        by=by.reference,
        by_name=by.name,
        absent=absent.reference,
        absent_name=absent.name,
        start=start,
        end=end,
    )


def _day(name: str) -> date | None:
    try:
        return date.fromisoformat(request.form.get(name, ""))
    except ValueError:
        return None


def _who(seen: Visit) -> dict[str, str]:
    assert seen.acting is not None
    return {"reference": seen.acting.reference, "display": seen.acting.name}


def _store(seen: Visit, bundle: dict[str, object]) -> Answer:
    assert seen.acting is not None
    try:
        transaction.accept(visit.database(), bundle, tenant=TENANT, sender=seen.acting.reference)
    except (Refusal, VersionConflict):
        return problem("cover_changed", 409)
    return _shown()


def _shown() -> Response:
    return redirect(url_for("web.choose_person", _anchor="covers"), code=303)
