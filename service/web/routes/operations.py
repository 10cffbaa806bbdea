"""`/operations`: does everything flow? And what was given up is tried again."""

import re
from contextlib import suppress

from flask import redirect, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from service import accessed, broker, digits, evaluation, log
from service.fhir.references import ID
from service.store import promises, sendings, standings
from service.store import senders as store_senders
from service.store.senders import WRITE
from service.store.sendings import Sender
from service.web import bundles, operations, queries, versions, visit, worklist
from service.web.pages import pages, problem, refusal
from service.web.routes import deliveries, exports, sources, subscriptions
from service.web.visit import TENANT, Visit

#: the kind of work of which a person waits for the end
EVALUATION = "advance"
#: Bundles that are counted here, and of which as many are on a page of their own, with what became of them
LAST = 100
PER_PAGE = 20
#: a person waits this long for one patient's evaluation, then reads where it stands
PATIENCE_S = 2


@pages.get("/operations")
def show_operations() -> str:
    """Show how the work goes that nobody asks for; after a retry, what became of it."""
    # Before the transaction: a broker that is gone is waited for, and nobody should wait with it.
    messages = broker.backlog(visit.settings())
    with visit.begin() as (tx, seen):
        return _page(tx, seen, messages)


@pages.post("/operations/retry")
def retry() -> Response | tuple[str, int]:
    """Have patients evaluated again that were given up: the one of the form, or all of them."""
    wanted, kind = request.form.get("patient", ""), request.form.get("kind", "")
    with visit.begin() as (tx, seen):
        if refused := refusal(seen):
            return refused
        assert seen.acting is not None
        if wanted and not re.fullmatch(ID, wanted):
            return problem("no_page", 404)
        asked = [
            standing
            for standing in standings.parked(tx, tenant=TENANT)
            if not wanted or (standing.patient, standing.kind) == (wanted, kind or EVALUATION)
        ]
    with visit.database().transaction() as tx:
        for standing in asked:
            promises.want(
                tx,
                standing.patient,
                tenant=TENANT,
                kind=standing.kind,
                due_at=seen.clock.now,
                forced=True,
            )
    for standing in asked:
        log.get().info("work_asked_again", patient=standing.patient, kind=standing.kind, by=seen.acting.id)
        if standing.kind == EVALUATION:
            broker.wake(seen.settings, TENANT, standing.patient)
    if wanted:
        with suppress(evaluation.Parked):
            evaluation.wait(visit.database(), wanted, timeout_s=PATIENCE_S)
        # One whom somebody else asked for meanwhile is shown as well: where it stands counts.
        return redirect(url_for("web.show_operations", retried=wanted), code=303)
    return redirect(url_for("web.show_operations", again=len(asked)), code=303)


@pages.get("/operations/bundles")
def show_bundles() -> str:
    """Show what was sent last, and what became of it."""
    number = min(digits.read(request.args.get("page", ""), most=3) or 1, LAST // PER_PAGE)
    offset = (number - 1) * PER_PAGE
    with visit.begin() as (tx, seen):
        last = sendings.newest(tx, limit=LAST, tenant=TENANT)
        shown = last[offset : offset + PER_PAGE]
        accessed.note(patient for sending in shown for patient in sending.patients)
        plans = queries.plans_of(tx, {who for sending in shown for who in sending.patients}, tenant=TENANT)
        return visit.page(
            seen,
            "bundles.html",
            rows=bundles.rows(tx, shown, tenant=TENANT),
            kinds=bundles.KINDS,
            last=bundles.summary(last),
            page=offset // PER_PAGE + 1,
            pages=max(1, -(-len(last) // PER_PAGE)),
            plan_of=worklist.first_plans(worklist.place(plan, seen.words) for plan in plans),
        )


def _page(tx: Connection, seen: Visit, messages: int | None) -> str:
    parked = standings.parked(tx, tenant=TENANT)
    queue = standings.queue(tx, seen.clock.now, operations.ROWS + 1, tenant=TENANT)
    kinds = standings.by_kind(tx, seen.clock.now, tenant=TENANT)
    senders = _senders(tx, seen)
    silence = seen.settings.sender_silence_hours
    page = operations.build(
        seen.automation,
        messages,
        queue,
        parked,
        kinds,
        deliveries.undelivered(tx, seen),
        senders,
        silence,
        seen.when,
        seen.words,
    )
    shown = {standing.patient for standing in parked} | {row.patient for row in page.queue}
    accessed.note(shown)
    plans = queries.plans_of(tx, shown, tenant=TENANT)
    return visit.page(
        seen,
        "operations.html",
        ops=page,
        last=bundles.summary(sendings.newest(tx, limit=LAST, tenant=TENANT)),
        versions=versions.installed(tx, visit.installed()),
        said=_said(tx, seen),
        plan_of=worklist.first_plans(worklist.place(plan, seen.words) for plan in plans),
        token=seen.forms.token,
        deliveries=deliveries.section(tx, seen),
        source=sources.section(tx, seen),
        exports=exports.section(tx, seen),
        subscriptions=subscriptions.section(tx, seen),
    )


def _senders(tx: Connection, seen: Visit) -> list[Sender]:
    """Return who sends: where they are told apart, those who may, also who never did."""
    found = sendings.senders(tx, tenant=TENANT)
    if seen.session is None:
        return found
    now = seen.clock.now
    may = {s.name: s for s in store_senders.known(tx, tenant=TENANT) if s.tokens and WRITE in s.scopes}
    sent = [sender for sender in found if sender.name in may]
    never = [
        Sender(
            name=name,
            at=may[name].issued,
            age_s=(now - may[name].issued).total_seconds(),
            status=None,
            stored_at=None,
        )
        for name in sorted(may.keys() - {sender.name for sender in sent})
    ]
    return sorted([*sent, *never], key=lambda sender: sender.at)


def _said(tx: Connection, seen: Visit) -> tuple[str, str, str] | None:
    """Return what became of a retry, as it is now: how good that is, a sentence, and the error if any."""
    again, retried = digits.read(request.args.get("again", ""), most=5), request.args.get("retried", "")
    if again is not None:
        return "wait", seen.words.count("ops.retried.all", again), ""
    standing = standings.of_patient(tx, retried, tenant=TENANT) if re.fullmatch(ID, retried) else None
    if standing is None:
        return None
    if standing.parked_at is not None:
        return "danger", seen.words("ops.retried.parked", patient=retried), standing.failed_reason or ""
    if standing.arrivals or standing.lease_until is not None:
        return "wait", seen.words("ops.retried.waits", patient=retried), ""
    return "good", seen.words("ops.retried.done", patient=retried), ""
