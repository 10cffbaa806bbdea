"""Subscriptions on the operations page: where each stands; one is tried again, or turned off."""

import re

from flask import redirect, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from service import log
from service.fhir.references import ID
from service.store import accesses, heartbeats, subscriptions
from service.web import subscriptions as page
from service.web import visit
from service.web.pages import pages, problem, refusal
from service.web.visit import TENANT, Visit


@pages.post("/operations/subscriptions")
def tell_again() -> Response | tuple[str, int]:
    """Have one Subscription tried at once; the process that tells sees it within a second."""
    wanted = request.form.get("subscription", "")
    with visit.begin() as (_, seen):
        if refused := refusal(seen):
            return refused
        assert seen.acting is not None
        if not re.fullmatch(ID, wanted):
            return problem("no_page", 404)
    with visit.database().transaction() as tx:
        subscriptions.again(tx, wanted, tenant=TENANT)
    log.get().info("subscription_asked_again", subscription=wanted, by=seen.acting.id)
    return redirect(url_for("web.show_operations", told=wanted, _anchor="subscriptions"), code=303)


@pages.post("/operations/subscriptions/end")
def end_subscription() -> Response | tuple[str, int]:
    """Turn one Subscription of another system off. Who did it is in the record of accesses."""
    wanted = request.form.get("subscription", "")
    with visit.begin() as (tx, seen):
        if refused := refusal(seen):
            return refused
        assert seen.acting is not None
        if not _is_known(tx, wanted):
            return problem("no_page", 404)
    with visit.database().transaction() as tx:
        # One that is off by now, whoever did that, is as it should be.
        if subscriptions.turn_off(tx, wanted, tenant=TENANT):
            # No patient is in it, so the end of the request writes nothing by itself.
            accesses.add(
                tx,
                tenant=TENANT,
                who=seen.acting.reference,
                action=accesses.EXECUTE,
                place=str(request.url_rule),
                reference=f"Subscription/{wanted}",
                patients=(),
                status=303,
            )
            log.get().info("subscription_ended", subscription=wanted, by=seen.acting.id)
    return redirect(url_for("web.show_operations", untold=wanted, _anchor="subscriptions"), code=303)


def section(tx: Connection, seen: Visit) -> dict[str, object]:
    """Return what `_subscriptions.html` shows."""
    known = subscriptions.every(tx, page.ROWS, tenant=TENANT)
    ages = {part: age for part, (_, age) in heartbeats.ages(tx).items()}
    asked, ended = request.args.get("told", ""), request.args.get("untold", "")
    return {
        "found": page.build(known, subscriptions.count(tx, tenant=TENANT).all, ages, seen.when, seen.words),
        "asked": asked if re.fullmatch(ID, asked) else "",
        "ended": ended if _is_known(tx, ended) else "",
    }


def _is_known(tx: Connection, id: str) -> bool:
    return re.fullmatch(ID, id) is not None and subscriptions.is_known(tx, id, tenant=TENANT)
