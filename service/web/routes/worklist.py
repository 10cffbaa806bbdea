"""`/`: what needs a person now?"""

from collections.abc import Collection, Mapping
from typing import Any

from flask import Response, request
from sqlalchemy import Connection

from service import situation
from service.store import promises
from service.web import elements, export, patients, queries, tasks, visit, worklist
from service.web.elements import Json
from service.web.pages import pages
from service.web.patients import Person
from service.web.visit import TENANT, Visit
from service.web.worklist import Filters, Place, Worklist

#: more than any hospital has open at once, and a table that spreadsheets still take
ALL = 1_000_000


@pages.get("/")
def show_worklist() -> str:
    """Show open work, in the view and with the filters that the URL names."""
    with visit.begin() as (tx, seen):
        shown, places, plans = _read(tx, seen)
        parked = promises.parked(tx, tenant=TENANT)[: worklist.ROWS]
        wanted = {*worklist.people_shown(shown), *(standing.patient for standing in parked)}
        return visit.page(
            seen,
            "worklist.html",
            list=shown,
            parked=parked,
            token=seen.forms.token,
            places=places,
            people=_people(tx, seen, wanted),
            stages=_stages(plans),
            sides=_sides(plans),
            plan_of=worklist.first_plans(plans),
            known=queries.patient_count(tx, tenant=TENANT),
        )


@pages.get("/worklist.csv")
def export_worklist() -> Response:
    """Return every row of a view as a table for a spreadsheet, with the time it was read."""
    with visit.begin() as (tx, seen):
        shown, places, _ = _read(tx, seen, size=ALL)
        people = _people(tx, seen, worklist.people_shown(shown))
        body = export.table(shown, people, places, seen.when, seen.words)
    answer = Response(body, mimetype="text/csv")
    name = f"hipway-{shown.filters.view}-{seen.when.now:%Y-%m-%dT%H%M}.csv"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _read(
    tx: Connection, seen: Visit, *, size: int = worklist.ROWS
) -> tuple[Worklist, dict[str, Place], list[Json]]:
    """Return what the URL asks for, where each plan stands, and the plans."""
    work = [tasks.read(t, seen.when, seen.words) for t in queries.open_tasks(tx, tenant=TENANT)]
    plans = queries.plans(tx, tenant=TENANT)
    memories = queries.latest_memories(tx, tenant=TENANT)
    placed = (
        worklist.place(plan, memories.get(situation.instance(plan), {}), seen.when, seen.words)
        for plan in plans
    )
    places = {place.plan: place for place in placed}
    filters = _filters(request.args, "team" if seen.acting else "all")
    return worklist.build(work, places, filters, seen.acting, size=size), places, plans


def _people(tx: Connection, seen: Visit, ids: Collection[str]) -> dict[str, Person]:
    found = queries.of_type(tx, "Patient", ids, tenant=TENANT)
    return {id: patients.describe(p, seen.when, seen.words) for id, p in found.items()}


def _filters(args: Mapping[str, Any], default: str) -> Filters:
    view = str(args.get("view") or default)
    page = str(args.get("page") or "1")
    need = str(args.get("need") or "")
    return Filters(
        view=view if view in worklist.VIEWS else default,
        need=need if need in worklist.NEEDS else "",
        stage=str(args.get("stage") or ""),
        side=str(args.get("side") or ""),
        page=int(page) if page.isascii() and page.isdigit() and len(page) < 6 else 1,
    )


def _stages(plans: list[Json]) -> list[tuple[str, str]]:
    """Return the stages that any plan is in."""
    return sorted({(s.code, s.text) for plan in plans if (s := elements.stage(plan)).code})


def _sides(plans: list[Json]) -> list[tuple[str, str]]:
    return sorted({(s.code, s.text) for plan in plans if (s := elements.side(plan))})
