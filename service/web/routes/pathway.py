"""`/pathways/{name}`: what are the rules, and where is everyone?"""

from itertools import islice

from flask import redirect, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from pathways.definition import Pathway
from service.store import parameters
from service.web import document, open_work, people, queries, stage_map, values, visit
from service.web.pages import pages, problem
from service.web.stage_map import Numbers
from service.web.visit import TENANT, Visit


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
            only = "" if len(seen.pathways) == 1 else name
            numbers = _numbers(tx, seen, found, only)
            versions = parameters.versions(tx, limit=values.VERSIONS)
            who = [who for version in versions for who in (version.who, version.confirmed)]
            names = people.names_of(tx, who, tenant=TENANT)
            page = document.build(
                found,
                versions[0].values if versions else {},
                numbers,
                seen.words,
                changes=list(islice(values.changes(found, versions, names), values.SHOWN)),
                only=only,
            )
            return visit.page(
                seen, "pathway.html", doc=page, name=name, said=lambda value: document.say(value, seen.words)
            )
    return problem("no_page", 404)


def _numbers(tx: Connection, seen: Visit, pathway: Pathway, only: str) -> dict[str, Numbers]:
    """Return how many plans stand in each stage, in as many queries however many there are."""
    by_kind = queries.plans_by_stage(tx, only or None, tenant=TENANT)
    # Read as the worklist reads it, so that a number is that of its list.
    found = open_work.read(tx, seen.when, seen.words, tenant=TENANT)
    overdue = stage_map.overdue_by_stage(found.work, found.places, only)
    return stage_map.count(pathway, by_kind, overdue, seen.words)
