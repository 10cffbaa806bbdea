"""`/tasks/{id}/take` and `/tasks/{id}/hand-over`: whose Task it is; earlier owners stay in its history."""

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from service import broker
from service.fhir import transaction
from service.fhir.refusals import Refusal
from service.store import content, resources
from service.store.resources import Stored, VersionConflict
from service.web import visit
from service.web.elements import OPEN_TASK
from service.web.inside import inside
from service.web.pages import pages, problem, refusal
from service.web.people import Colleague
from service.web.visit import TENANT, Visit

Answer = Response | tuple[str, int]

#: the choice that gives a Task back to everyone of its role
NOBODY = "nobody"


@pages.post("/tasks/<id>/take")
def take(id: str) -> Answer:
    """Make the person who acts the owner, if the Task is still as it was read."""
    with visit.begin() as (tx, seen):
        stored = resources.current(tx, "Task", id, tenant=TENANT)
    return refusal(seen) or _give(seen, stored, seen.acting)


@pages.post("/tasks/<id>/hand-over")
def hand_over(id: str) -> Answer:
    """Make a colleague the owner, or nobody, if the Task is still as it was read."""
    with visit.begin() as (tx, seen):
        stored = resources.current(tx, "Task", id, tenant=TENANT)
    wanted = request.form.get("to", "")
    to = next((colleague for colleague in seen.colleagues if colleague.id == wanted), None)
    if to is None and wanted != NOBODY:
        return refusal(seen) or problem("no_colleague", 422)
    return refusal(seen) or _give(seen, stored, to)


def _give(seen: Visit, stored: Stored | None, to: Colleague | None) -> Answer:
    if stored is None or not stored.owned or stored.patient is None:
        return problem("no_task", 404)
    if stored.resource["status"] not in OPEN_TASK:
        return problem("task_closed", 409)
    assert seen.acting is not None
    try:
        transaction.accept(
            visit.database(),
            _bundle(stored, to, content.instant(seen.clock.now)),
            tenant=TENANT,
            sender=seen.acting.reference,
        )
    except (Refusal, VersionConflict):
        return problem("not_taken", 409)
    broker.wake(seen.settings, TENANT, stored.patient)
    return redirect(inside(request.form.get("back", "")) or url_for("web.show_worklist"), code=303)


def _bundle(stored: Stored, to: Colleague | None, now: str) -> dict[str, object]:
    task = {name: value for name, value in stored.resource.items() if name not in ("meta", "owner")}
    task["lastModified"] = now
    if to is not None:
        task["owner"] = {"reference": to.reference, "display": to.name}
    changed = {
        "method": "PUT",
        "url": f"Task/{stored.id}",
        "ifMatch": f'W/"{request.form.get("version", "")}"',
    }
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": task, "request": changed}],
    }
