"""`/pathways/{name}`: what are the rules, and where is everyone?"""

from flask import redirect, url_for
from werkzeug.wrappers import Response

from service.store import parameters
from service.web import document, queries, visit
from service.web.pages import pages, problem
from service.web.visit import TENANT


@pages.get("/pathways")
def show_pathways() -> Response | str:
    """Show which pathways are installed; of one alone, the pathway."""
    with visit.begin() as (_, seen):
        if len(seen.pathways) == 1:
            return redirect(url_for("web.show_pathway", name=seen.pathways[0].name))
        return visit.page(seen, "pathways.html")


@pages.get("/pathways/<name>")
def show_pathway(name: str) -> str | tuple[str, int]:
    """Show one pathway as a document."""
    with visit.begin() as (tx, seen):
        found = next((pathway for pathway in seen.pathways if pathway.name == name), None)
        if found is not None:
            only = len(seen.pathways) == 1
            plans = queries.open_plans_by_stage(tx, None if only else name, tenant=TENANT)
            page = document.build(found, parameters.current(tx), plans, seen.words)
            return visit.page(seen, "pathway.html", doc=page)
    return problem("no_page", 404)
