"""Reading from the hospital's server on the operations page, and reading again."""

from flask import redirect, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from service import log
from service.store import circuits, hospital_subscriptions, origins, sources
from service.web import sources as page
from service.web import visit
from service.web.pages import pages, problem, refusal
from service.web.visit import TENANT, Visit


@pages.post("/operations/source")
def read_again() -> Response | tuple[str, int]:
    """Have the server asked at once, for what was set aside too; the feeder does so within a second."""
    with visit.begin() as (_, seen):
        if refused := refusal(seen):
            return refused
        assert seen.acting is not None
        if seen.settings.hospital is None or not seen.settings.hospital.reads:
            return problem("no_page", 404)
    server = seen.settings.hospital.url
    with visit.database().transaction() as tx:
        origins.retry_aside(tx, tenant=TENANT, server=server)
        sources.again(tx, tenant=TENANT, server=server)
        circuits.close(tx, tenant=TENANT, server=server)
    log.get().info("reading_asked_again", by=seen.acting.id)
    return redirect(url_for("web.show_operations", read="again", _anchor="source"), code=303)


def section(tx: Connection, seen: Visit) -> dict[str, object]:
    """Return what `_source.html` shows."""
    hospital = seen.settings.hospital
    if hospital is None or not hospital.reads:
        return {"found": None, "asked": False}
    server = hospital.url
    found = page.build(
        hospital,
        sources.read(tx, tenant=TENANT, server=server),
        sources.windows(tx, tenant=TENANT, server=server),
        hospital_subscriptions.known(tx, tenant=TENANT, server=server),
        circuits.read(tx, "read", tenant=TENANT, server=server),
        origins.all_aside(tx, page.ROWS, tenant=TENANT, server=server),
        origins.count_aside(tx, tenant=TENANT, server=server),
        seen.when,
        seen.words,
    )
    return {"found": found, "asked": request.args.get("read") == "again"}
