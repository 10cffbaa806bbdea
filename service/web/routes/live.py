"""`/live`: what the open page refreshes every 30 s. Rows never move by themselves."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from flask import request
from sqlalchemy import Connection

from service.store import since
from service.store.since import Mark
from service.web import changes, elements, open_work, queries, saved, visit, worklist
from service.web.changes import Changes
from service.web.pages import pages
from service.web.saved import Saved
from service.web.visit import TENANT, Visit
from service.web.worklist import Filters


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What the open page is told."""

    #: how many changes there are; None: too many to be counted
    total: int | None = 0
    rows: Changes | None = None
    #: the plan the page shows is another one by now
    stale: bool = False
    #: of the views of the worklist; empty: they are as they were
    counts: Mapping[str, int] = field(default_factory=dict)
    saved: tuple[Saved, ...] = ()

    @property
    def key(self) -> str:
        """Return by what it is known that the page has been told this already."""
        rows = self.rows or Changes()
        return f"{self.total}.{rows.added}.{rows.changed}.{rows.gone}{'.stale' if self.stale else ''}"


@pages.get("/live")
def refresh_stamp() -> str:
    """Return the stamp again, with the counts, and what changed since the page was read."""
    asked = {name: value for name, value in request.args.items() if name not in ("since", "told")}
    with visit.begin() as (tx, seen):
        mark = Mark.read(request.args.get("since", "")) or seen.since
        told = request.args.get("told", News().key)
        filters = worklist.read_filters(asked, visit.first_view(seen)) if "view" in asked else None
        if filters is not None:
            asked, news = filters.address, _of_list(tx, seen, mark, filters, told)
        elif "plan" in asked:
            asked = {name: asked[name] for name in ("plan", "version") if name in asked}
            news = _of_plan(tx, mark, asked["plan"], asked.get("version", ""))
        else:
            asked, news = {}, News(total=since.count(tx, mark, tenant=TENANT))
        return visit.page(
            seen,
            "_news.html",
            since=mark,
            live=asked,
            news=news,
            told=news.key,
            repeated=news.key == told,
            is_list=filters is not None,
        )


def _of_plan(tx: Connection, mark: Mark, plan: str, version: str) -> News:
    stored = queries.of_type(tx, "CarePlan", {plan}, tenant=TENANT).get(plan)
    if stored is None:
        return News()
    patient = elements.reference(stored.get("subject")).partition("/")[2]
    total = since.count(tx, mark, tenant=TENANT, patient=patient)
    return News(total=total, stale=bool(version) and elements.version(stored) != version)


def _of_list(tx: Connection, seen: Visit, mark: Mark, filters: Filters, told: str) -> News:
    """Return what became of the rows of a view. Where nothing changed, nothing more is read."""
    # Of a page that was left open over the day it is asked no more once too much has changed.
    too_many = told == News(total=None).key
    patients = set() if too_many else since.patients(tx, mark, changes.MOST + 1, tenant=TENANT)
    if not patients and not too_many:
        return News()
    found = open_work.read(tx, seen.when, seen.words, tenant=TENANT, besides=patients)
    counts = worklist.count(found.work, seen.acting)
    counts["plans"] = queries.Plans(tenant=TENANT).count(tx)
    views = tuple(saved.read(tx, seen.acting, found, tenant=TENANT))
    if too_many or len(patients) > changes.MOST:
        return News(total=None, counts=counts, saved=views)
    old = changes.before(tx, mark, patients, seen.when, seen.words, tenant=TENANT)
    rows = changes.compare(old, found, patients, filters, seen.acting)
    return News(total=rows.total, rows=rows, counts=counts, saved=views)
