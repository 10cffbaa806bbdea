"""`/`: what needs a person now?"""

from collections.abc import Mapping
from typing import Any

from flask import request

from service import situation
from service.store import promises
from service.web import elements, patients, queries, tasks, visit, worklist
from service.web.elements import Json
from service.web.pages import pages
from service.web.visit import TENANT
from service.web.worklist import Filters


@pages.get("/")
def show_worklist() -> str:
    """Show open work, in the view and with the filters that the URL names."""
    with visit.begin() as (tx, seen):
        work = [tasks.read(t, seen.when, seen.words) for t in queries.open_tasks(tx, tenant=TENANT)]
        plans = queries.plans(tx, tenant=TENANT)
        memories = queries.latest_memories(tx, tenant=TENANT)
        places = {
            place.plan: place
            for plan in plans
            for place in [
                worklist.place(plan, memories.get(situation.instance(plan), {}), seen.when, seen.words)
            ]
        }
        filters = _filters(request.args, "team" if seen.acting else "all")
        shown = worklist.build(work, places, filters, seen.acting)
        parked = promises.parked(tx, tenant=TENANT)[: worklist.ROWS]
        wanted = {*worklist.people_shown(shown), *(standing.patient for standing in parked)}
        people = queries.of_type(tx, "Patient", wanted, tenant=TENANT)
        return visit.page(
            seen,
            "worklist.html",
            list=shown,
            parked=parked,
            token=seen.forms.token,
            places=places,
            people={id: patients.describe(p, seen.when, seen.words) for id, p in people.items()},
            stages=_stages(plans),
            sides=_sides(plans),
            plan_of=worklist.first_plans(plans),
            known=queries.patient_count(tx, tenant=TENANT),
        )


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
