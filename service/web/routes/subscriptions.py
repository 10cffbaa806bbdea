"""Subscriptions on the operations page: where each stands, and a button that has one tried again."""

import re

from flask import redirect, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from service import log
from service.fhir.references import ID
from service.store import heartbeats, subscriptions
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


def section(tx: Connection, seen: Visit) -> dict[str, object]:
    """Return what `_subscriptions.html` shows."""
    known = subscriptions.every(tx, page.ROWS, tenant=TENANT)
    ages = {part: age for part, (_, age) in heartbeats.ages(tx).items()}
    asked = request.args.get("told", "")
    return {
        "found": page.build(known, subscriptions.count(tx, tenant=TENANT).all, ages, seen.when, seen.words),
        "asked": asked if re.fullmatch(ID, asked) else "",
    }
