"""`POST /tasks/{id}/take`: make a Task mine. The earlier owner stays in its history."""

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from service import broker
from service.fhir import transaction
from service.fhir.refusals import Refusal
from service.store import content, resources
from service.store.resources import VersionConflict
from service.web import people, visit
from service.web.forms import Foreign
from service.web.pages import pages, problem
from service.web.routes.acting import inside
from service.web.visit import TENANT


@pages.post("/tasks/<id>/take")
def take(id: str) -> Response | tuple[str, int]:
    """Make the person who acts the owner, if the Task is still as it was read."""
    with visit.begin() as (tx, seen):
        stored = resources.current(tx, "Task", id, tenant=TENANT)
    if seen.acting is None:
        return problem("nobody", 422)
    try:
        seen.forms.check(request)
    except Foreign:
        return problem("old_form", 422)
    if stored is None or not stored.owned or stored.patient is None:
        return problem("no_task", 404)
    try:
        transaction.accept(
            visit.database(),
            _bundle(stored, seen.acting, content.instant(seen.clock.now)),
            tenant=TENANT,
            sender=seen.acting.reference,
        )
    except (Refusal, VersionConflict):
        return problem("not_taken", 409)
    broker.wake(seen.settings, TENANT, stored.patient)
    return redirect(inside(request.form.get("back", "")) or url_for("web.show_worklist"), code=303)


def _bundle(stored: resources.Stored, by: people.Colleague, now: str) -> dict[str, object]:
    task = {name: value for name, value in stored.resource.items() if name != "meta"}
    task |= {"owner": {"reference": by.reference, "display": by.name}, "lastModified": now}
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
