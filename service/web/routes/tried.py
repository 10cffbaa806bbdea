"""What would follow from a meaning of a code: tried on all patients who have it, while nobody need wait.

asked for --> worker --> kept, until somebody decides about the code, for 30 days at most
"""

from collections.abc import Mapping
from time import monotonic, sleep
from urllib.parse import urlencode

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from service import broker, log, preview
from service.fhir import retranslation
from service.store import horizon, previews, site
from service.web import asked as asked_about
from service.web import mapping, tried, visit
from service.web.asked import Asked
from service.web.pages import foreign, pages, problem
from service.web.visit import TENANT

Answer = Response | tuple[str, int]

#: a few patients are tried in this time, and who asked sees the result at once
PATIENCE_S = 2.0
LOOK_S = 0.25


@pages.get("/inbox/codes/mapping/preview")
def show_preview() -> Answer | str:
    """Return the part of the page of a code that says how far it is; it asks again until all were tried."""
    asked = asked_about.read(request.args)
    if asked is None:
        return problem("no_code", 404)
    with visit.begin() as (tx, seen):
        mapped = mapping.map_of(tx, asked.code, tenant=TENANT)
        chosen = asked_about.choice(asked, mapped, request.args)
        return visit.page(seen, "_preview.html", **tried.values(tx, seen, asked, mapped, chosen))


@pages.post("/inbox/codes/mapping/preview")
def begin_preview() -> Answer:
    """Have it tried on all patients what a decision about a code would do."""
    asked = asked_about.read(request.args)
    if asked is None:
        return problem("no_code", 404)
    with visit.begin() as (tx, seen):
        # In a sandbox anybody may look what would follow.
        if refused := foreign(seen):
            return refused
        # Before the transaction that looks for the patients, as the horizon wants it.
        seen_at = horizon.read(tx)
    with visit.database().transaction() as tx:
        maps = retranslation.state(site.read(tx, tenant=TENANT))
        uses = preview.uses(tx, asked.code, tenant=TENANT)
        # Whoever decides about the code now waits, or has decided, and then this would be left over.
        mapping.hold(tx, asked.code, tenant=TENANT)
        chosen = asked_about.choice(asked, mapping.map_of(tx, asked.code, tenant=TENANT), request.form)
        question = chosen.question
        if question is None:
            return problem("no_meaning", 422)
        previews.ask(
            tx,
            question,
            tuple(dict.fromkeys(use.patient for use in uses)),
            by=seen.acting.reference if seen.acting else "",
            maps=maps,
            seen_at=seen_at,
            anew="again" in request.form,
            tenant=TENANT,
        )
    broker.wake_preview(seen.settings, TENANT, question.id)
    _wait(question.id)
    return _back(asked, chosen.address)


@pages.post("/inbox/codes/mapping/preview/end")
def end_preview() -> Answer:
    """End what is being tried, and forget what was."""
    asked = asked_about.read(request.args)
    if asked is None:
        return problem("no_code", 404)
    with visit.begin() as (tx, seen):
        if refused := foreign(seen):
            return refused
        chosen = asked_about.choice(asked, mapping.map_of(tx, asked.code, tenant=TENANT), request.form)
    question = chosen.question
    if question is not None:
        visit.database().run(lambda tx: previews.forget(tx, question.id, tenant=TENANT))
        log.get().info("preview_ended", preview=question.id, by=seen.acting.id if seen.acting else "")
    return _back(asked, chosen.address)


def _wait(id_: str) -> None:
    """Wait a little for the end."""
    end = monotonic() + PATIENCE_S
    while visit.database().run(lambda tx: previews.goes_on(tx, id_, tenant=TENANT)) and monotonic() < end:
        sleep(LOOK_S)


def _back(asked: Asked, chosen: Mapping[str, str]) -> Response:
    address = urlencode({**asked.address, **chosen})
    return redirect(f"{url_for('web.show_mapping')}?{address}#preview", code=303)
