"""Where a person decides: on the page of a plan, or of an entry of the inbox; the answer shows the effect.

In this order: who acts, whose form it is, whether it was pressed before, whether the
plan is still the one that was read. Only then anything is written.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from flask import redirect, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from fhir_profiles import definitions
from service import digits, evaluation, log
from service.fhir import transaction
from service.fhir.refusals import Refusal
from service.store import kept_forms, resources
from service.web import decisions, elements, forms, plan, signed_in, visit
from service.web.decisions import IDENTIFIER, Decision, Reason
from service.web.forms import Foreign
from service.web.offers import REASONS, Offer, Offers
from service.web.pages import pages, problem
from service.web.plan import PlanPage, Record
from service.web.routes import careplan
from service.web.routes.careplan import Typed
from service.web.visit import TENANT, Visit

STAGES = "pathway-stage"

#: of what happened meanwhile, so many entries are told
CHANGES = 5

#: a person waits this long for the effect, then reads "not confirmed, checking"
PATIENCE_S = 2

Answer = Response | tuple[str, int]


class Ground(Protocol):
    """A page on which is decided: what a decision may be about, and how the page answers."""

    @property
    def patient(self) -> str:
        """Return whom it is about, as the id alone."""

    @property
    def version(self) -> str:
        """Return the version of what a decision is based on; another one was read before it changed."""

    @property
    def offers(self) -> Offers:
        """Return what can be decided now, as the page would offer it."""

    def changed(self, version: int) -> tuple[str, ...]:
        """Return what happened since a version, in words."""

    def refuse(self, trouble: str, typed: Typed, changed: tuple[str, ...] = ()) -> str:
        """Return the page with what is wrong above it, and what was typed kept."""

    def show(self, decision: str) -> Response:
        """Return the way to the page that shows what became of a decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The page of one plan."""

    tx: Connection
    seen: Visit
    record: Record
    page: PlanPage

    @property
    def patient(self) -> str:
        """Return whom the plan is about."""
        return elements.reference(self.record.plan.get("subject")).partition("/")[2]

    @property
    def version(self) -> str:
        """Return the version of the plan."""
        return elements.version(self.record.plan)

    @property
    def offers(self) -> Offers:
        """Return what can be decided about the plan, its orders and its Tasks."""
        return self.page.offers

    def changed(self, version: int) -> tuple[str, ...]:
        """Return the newest entries of the timeline since a version of the plan."""
        old = resources.version(self.tx, "CarePlan", self.page.id, version, tenant=TENANT)
        entries = self.page.timeline.entries
        return tuple(e.title for e in entries if old is None or e.order[0] > old.received)[:CHANGES]

    def refuse(self, trouble: str, typed: Typed, changed: tuple[str, ...] = ()) -> str:
        """Return the page of the plan."""
        return careplan.render(self.seen, self.record, trouble=trouble, changed=changed, typed=typed)

    def show(self, decision: str) -> Response:
        """Return the way to the plan, at what became of the decision."""
        url = url_for("web.show_plan", id=self.page.id, decision=decision, _anchor="decided")
        return redirect(url, code=303)


@pages.post("/careplans/<id>/decisions")
def decide(id: str) -> Answer:
    """Make one decision about a plan, or about an order or Task of it."""

    def plan_of(tx: Connection, seen: Visit) -> Plan | None:
        record = careplan.read(tx, seen, id)
        if record is None:
            return None
        page = plan.build(record, "everything", seen.when, seen.words, entries=careplan.ENTRIES)
        return Plan(tx=tx, seen=seen, record=record, page=page)

    return carry_out(plan_of, unknown="no_plan")


def carry_out(read: Callable[[Connection, Visit], Ground | None], *, unknown: str) -> Answer:
    """Carry out the decision that was posted from a page.

    Args:
        read: returns the page; None where there is none.
        unknown: the problem to tell then.
    """
    with visit.begin() as (tx, seen):
        ground = read(tx, seen)
        checked = _checked(tx, seen, ground) if ground else problem(unknown, 404)
    if not isinstance(checked, Decision):
        return checked
    assert ground is not None
    try:
        accepted = transaction.accept(
            visit.database(),
            decisions.bundle(checked, stage_system=elements.CODES + STAGES),
            tenant=TENANT,
            sender=checked.by.reference,
        )
    except Refusal:
        return problem("not_stored", 422)
    if signed_in.session() is not None:
        path = request.path.removesuffix("/decisions")
        visit.database().run(lambda tx: kept_forms.forget(tx, checked.by.id, path, tenant=TENANT))
    try:
        evaluation.evaluate_now(visit.database(), visit.settings(), checked.patient, timeout_s=PATIENCE_S)
    except evaluation.Parked:
        # the decision is stored; the plan shows under an alarm that it was not evaluated
        log.get().warning("decision_not_evaluated", patient=checked.patient)
    return ground.show(accepted.stored[0].id)


def _checked(tx: Connection, seen: Visit, ground: Ground) -> Decision | Answer:
    """Return the decision if it may be made, otherwise the answer that says why not."""
    typed = _typed()
    if seen.acting is None:
        return ground.refuse("nobody", typed), 422
    try:
        token = seen.forms.check(request)
    except Foreign:
        return ground.refuse("old_form", typed), 422
    key = forms.decision_id(typed.focus, typed.decision, token)
    before = resources.by_identifier(tx, [("Task", IDENTIFIER, key)], tenant=TENANT)
    if before:
        return ground.show(next(iter(before.values()))[0].id)
    if not seen.acting.may_sign:
        return ground.refuse("not_allowed", typed), 403
    version = request.form.get("version", "")
    if version != ground.version:
        return ground.refuse("changed", typed, ground.changed(digits.read(version, most=8) or 0)), 409
    offer = ground.offers.find(typed.focus, typed.decision)
    if offer is None:
        return ground.refuse("not_offered", typed), 409
    missing = _missing(offer, typed)
    if missing:
        return ground.refuse(missing, typed), 422
    # What is written says what the code systems say, in whatever language the page was read.
    stage = next((s for s in offer.targets if s.code == typed.target), None)
    return Decision(
        key=key,
        decision=offer.decision,
        display=_display("clinician-decision", offer.decision, offer.title),
        focus=offer.focus,
        patient=ground.patient,
        by=seen.acting,
        at=seen.clock.now,
        reason=_reason(typed),
        target=(stage.code, _display(STAGES, stage.code, stage.title)) if stage else None,
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


def _missing(offer: Offer, typed: Typed) -> str:
    if offer.targets and all(stage.code != typed.target for stage in offer.targets):
        return "no_target"
    if not offer.reason_required:
        return ""
    if typed.reason not in REASONS:
        return "no_reason"
    return "no_words" if typed.reason == "other" and not typed.text else ""


def _display(system: str, code: str, otherwise: str) -> str:
    """Return the display of one of our codes; of a pathway's own code what it is called on the page."""
    return definitions.display(elements.CODES + system, code) or otherwise


def _reason(typed: Typed) -> Reason | None:
    if typed.reason not in REASONS:
        return Reason(code="", display="", text=typed.text) if typed.text else None
    return Reason(
        code=typed.reason, display=_display("decision-reason", typed.reason, typed.reason), text=typed.text
    )
