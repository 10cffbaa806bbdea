"""Exports on the operations page: how far they are, and ending one."""

import re

from flask import redirect, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from service import log
from service.fhir.references import ID
from service.store import exports, leased
from service.web import exports as page
from service.web import visit
from service.web.exports import Exports
from service.web.pages import pages, problem, refusal
from service.web.visit import TENANT, Visit


@pages.post("/operations/exports")
def end_export() -> Response | tuple[str, int]:
    """End an export and have its files removed, whoever asked for it."""
    id_ = request.form.get("export", "")
    with visit.begin() as (_, seen):
        if refused := refusal(seen):
            return refused
        assert seen.acting is not None
    if not re.fullmatch(ID, id_):
        return problem("no_page", 404)
    with visit.database().transaction() as tx:
        leased.cancel(tx, "export", id_, tenant=TENANT)
    log.get().info("export_cancelled", export=id_, by=seen.acting.id)
    # One that somebody else has ended meanwhile is ended as well.
    return redirect(url_for("web.show_operations", ended="export", _anchor="exports"), code=303)


def section(tx: Connection, seen: Visit) -> dict[str, object]:
    """Return what `_exports.html` shows."""
    found: Exports = page.build(exports.newest(tx, page.ROWS, tenant=TENANT), seen.when, seen.words)
    return {"found": found, "ended": request.args.get("ended") == "export"}
