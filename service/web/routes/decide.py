"""`POST /careplans/{id}/decisions`: a person decides; the answer shows the effect.

In this order: who acts, whose form it is, whether it was pressed before, whether the
plan is still the one that was read. Only then anything is written.
"""

from datetime import datetime
from typing import Any

from flask import redirect, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from service import evaluation, log
from service.fhir import transaction
from service.fhir.refusals import Refusal
from service.store import resources
from service.web import decisions, elements, forms, plan, visit
from service.web.decisions import IDENTIFIER, Decision, Reason
from service.web.forms import Foreign
from service.web.offers import REASONS, Offer, Offers
from service.web.pages import pages, problem
from service.web.plan import Record
from service.web.routes import careplan
from service.web.routes.careplan import Typed
from service.web.visit import TENANT, Visit

#: a person waits this long for the effect, then reads "not confirmed, checking"
PATIENCE_S = 2

Answer = Response | tuple[str, int]


@pages.post("/careplans/<id>/decisions")
def decide(id: str) -> Answer:
    """Make one decision about a plan, or about an order or Task of it."""
    with visit.begin() as (tx, seen):
        record = careplan.read(tx, seen, id)
        checked = _checked(tx, seen, record) if record else problem("no_plan", 404)
    if not isinstance(checked, Decision):
        return checked
    assert record is not None
    try:
        accepted = transaction.accept(
            visit.database(),
            decisions.bundle(checked, stage_system=elements.CODES + "pathway-stage"),
            tenant=TENANT,
            sender=checked.by.reference,
        )
    except Refusal:
        return problem("not_stored", 422)
    try:
        evaluation.evaluate_now(visit.database(), visit.settings(), checked.patient, timeout_s=PATIENCE_S)
    except evaluation.Parked:
        # the decision is stored; the plan shows under an alarm that it was not evaluated
        log.get().warning("decision_not_evaluated", patient=checked.patient)
    return _shown(id, accepted.stored[0].id)


def _checked(tx: Connection, seen: Visit, record: Record) -> Decision | Answer:
    """Return the decision if it may be made, otherwise the answer that says why not."""
    typed = _typed()
    if seen.acting is None:
        return careplan.render(seen, record, trouble="nobody", typed=typed), 422
    try:
        token = seen.forms.check(request)
    except Foreign:
        return careplan.render(seen, record, trouble="old_form", typed=typed), 422
    key = forms.decision_id(typed.focus, typed.decision, token)
    before = resources.by_identifier(tx, [("Task", IDENTIFIER, key)], tenant=TENANT)
    if before:
        return _shown(record.plan["id"], next(iter(before.values()))[0].id)
    if not seen.acting.may_sign:
        return careplan.render(seen, record, trouble="not_allowed", typed=typed), 403
    if request.form.get("version") != elements.version(record.plan):
        changed = _changed(tx, seen, record)
        return careplan.render(seen, record, trouble="changed", changed=changed, typed=typed), 409
    offer = _offers(record, seen).find(typed.focus, typed.decision)
    if offer is None:
        return careplan.render(seen, record, trouble="not_offered", typed=typed), 409
    missing = _missing(offer, typed)
    if missing:
        return careplan.render(seen, record, trouble=missing, typed=typed), 422
    return Decision(
        key=key,
        decision=offer.decision,
        display=offer.title,
        focus=offer.focus,
        patient=elements.reference(record.plan.get("subject")).partition("/")[2],
        by=seen.acting,
        at=seen.clock.now,
        reason=_reason(seen, typed),
        target=next(((s.code, s.title) for s in offer.targets if s.code == typed.target), None),
    )


def _typed() -> Typed:
    form = request.form
    return Typed(
        focus=form.get("focus", ""),
        decision=form.get("decision", ""),
        reason=form.get("reason", ""),
        text=form.get("text", "").strip()[:2000],
        target=form.get("target", ""),
    )


def _offers(record: Record, seen: Visit) -> Offers:
    """Return what can be decided now, as the page would offer it."""
    page = plan.build(record, "everything", seen.when, seen.words)
    return page.offers


def _missing(offer: Offer, typed: Typed) -> str:
    if offer.targets and all(stage.code != typed.target for stage in offer.targets):
        return "no_target"
    if not offer.reason_required:
        return ""
    if typed.reason not in REASONS:
        return "no_reason"
    return "no_words" if typed.reason == "other" and not typed.text else ""


def _reason(seen: Visit, typed: Typed) -> Reason | None:
    if typed.reason not in REASONS:
        return Reason(code="", display="", text=typed.text) if typed.text else None
    return Reason(code=typed.reason, display=seen.words(f"reason.{typed.reason}"), text=typed.text)


def _changed(tx: Connection, seen: Visit, record: Record) -> tuple[str, ...]:
    """Return what happened since the version of the plan that the form was read from."""
    since = _read_at(tx, record)
    entries = plan.build(record, "everything", seen.when, seen.words).timeline
    return tuple(entry.title for entry in entries if since is None or entry.order[0] > since)[:5]


def _read_at(tx: Connection, record: Record) -> datetime | None:
    version: Any = request.form.get("version", "")
    if not (version.isascii() and version.isdigit() and len(version) < 9):
        return None
    old = resources.version(tx, "CarePlan", record.plan["id"], int(version), tenant=TENANT)
    return old.received if old else None


def _shown(plan_id: str, decision: str) -> Response:
    return redirect(url_for("web.show_plan", id=plan_id, decision=decision, _anchor="decided"), code=303)
