"""`/`: what needs a person now?"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from flask import Response, request
from sqlalchemy import Connection

from pathways.definition import Pathway
from service.store import saved_views, standings
from service.web import closed, ended, export, inbox, open_work, queries, saved, visit, worklist
from service.web.open_work import OpenWork
from service.web.pages import pages
from service.web.patients import Person
from service.web.tasks import Work
from service.web.visit import TENANT, Visit
from service.web.worklist import Filters, OpenPlans, Place, Worklist

#: more than any hospital has open at once, and a table that spreadsheets still take
ALL = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What the URL asks for, and what its rows say beside the work."""

    open: OpenWork
    list: Worklist
    places: Mapping[str, Place]
    #: plan -> for how long it has been in its stage, in words
    since: Mapping[str, str]
    #: id of a Task -> which stage of it is over, and since when, in words
    ended: Mapping[str, str]
    people: Mapping[str, Person]


@pages.get("/")
def show_worklist() -> str:
    """Show open work, in the view and with the filters that the URL names."""
    with visit.begin() as (tx, seen):
        parked = standings.parked(tx, tenant=TENANT)[: worklist.ROWS]
        found = _read(tx, seen, besides={standing.patient for standing in parked})
        return visit.page(
            seen,
            "worklist.html",
            list=found.list,
            live=found.list.filters.address,
            parked=parked,
            token=seen.forms.token,
            places=found.places,
            since=found.since,
            ended=found.ended,
            people=found.people,
            needs=worklist.NEEDS_OF_PLANS if found.list.filters.view == "plans" else worklist.NEEDS,
            stages=_stages(seen.pathways),
            sides=_sides(seen.pathways),
            plan_of=worklist.first_plans(found.places.values()),
            saved=saved.read(tx, seen.acting, found.open, tenant=TENANT),
            longest=saved_views.LONGEST,
            closed=closed.count(tx, closed.day(seen.when), tenant=TENANT),
            about_data=inbox.is_about_data,
            # Only an empty list says whether anybody is known.
            known=bool(found.list.shown) or queries.knows_a_patient(tx, tenant=TENANT),
        )


@pages.get("/worklist.csv")
def export_worklist() -> Response:
    """Return every row of a view as a table for a spreadsheet, with the time it was read."""
    with visit.begin() as (tx, seen):
        found = _read(tx, seen, size=ALL)
        body = export.table(
            found.list, found.people, found.places, found.since, found.ended, seen.when, seen.words
        )
    answer = Response(body, mimetype="text/csv")
    name = f"hipway-{found.list.filters.view}-{seen.when.now:%Y-%m-%dT%H%M}.csv"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _read(
    tx: Connection, seen: Visit, *, size: int = worklist.ROWS, besides: Collection[str] = frozenset()
) -> Read:
    """Return what the URL asks for.

    Args:
        size: rows of a page.
        besides: patients who are shown besides the rows.
    """
    found = open_work.read(tx, seen.when, seen.words, tenant=TENANT, besides=besides)
    work, places = found.work, found.places
    filters = worklist.read_filters(request.args, visit.first_view(seen))
    shown = worklist.build(
        work, places, filters, seen.acting, _open_plans(tx, seen, filters, work, places), size=size
    )
    rows = {row.place.plan: row.place for row in shown.plans}
    of_page = {w.plan: places[w.plan] for b in shown.bands for w in b.rows if w.plan in places} | rows
    left = [w for band in shown.bands for w in band.rows if w.ended]
    known = ended.read_since(tx, {places[w.plan].instance for w in left}, tenant=TENANT)
    entered = queries.stages_entered(tx, {p.patient for p in of_page.values()}, tenant=TENANT)
    return Read(
        open=found,
        list=shown,
        places=places,
        since={
            plan: worklist.since(entered.get(place.instance), seen.when, seen.words)
            for plan, place in of_page.items()
        },
        ended={
            w.id: ended.say(known.get(w.id, w.ended), seen.pathways, seen.when, seen.words)
            for w in left
            if w.ended
        },
        people=visit.people_of(tx, seen, worklist.people_shown(shown) | set(besides)),
    )


def _open_plans(
    tx: Connection, seen: Visit, filters: Filters, work: Sequence[Work], places: Mapping[str, Place]
) -> OpenPlans:
    every = queries.Plans(tenant=TENANT)
    wanted = open_work.plans(filters, tenant=TENANT)
    count = every.count(tx)

    def read_quiet(offset: int, limit: int) -> list[Place]:
        if filters.need == "overdue":
            return []
        # Those with work stand before them, whatever their stage.
        busy = {place.plan_id for place in places.values()} & {w.plan.partition("/")[2] for w in work}
        return [worklist.place(plan, seen.words) for plan in wanted.read(tx, busy, offset, limit)]

    return OpenPlans(
        count=count,
        matching=lambda: count if wanted == every else wanted.count(tx),
        read_quiet=read_quiet,
    )


def _stages(pathways: Iterable[Pathway]) -> list[tuple[str, str]]:
    """Return every stage a plan may be in."""
    return sorted({(stage.code, stage.title) for pathway in pathways for stage in pathway.stages.values()})


def _sides(pathways: Iterable[Pathway]) -> list[tuple[str, str]]:
    return sorted(
        {
            (str(side.coding["code"]), str(side.coding["display"]))
            for pathway in pathways
            for side in pathway.sides.values()
        }
    )
