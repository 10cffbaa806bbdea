"""What is open, as the worklist and its live counts read it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from service.store import search_index
from service.web import ended, queries, tasks, worklist
from service.web.moments import Moments
from service.web.tasks import Work
from service.web.words import Words
from service.web.worklist import PERSON, Filters, Place

#: which plans a need asks for; other needs are about their Tasks
KINDS = {"held": search_index.HELD, "apart": search_index.APART}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWork:
    """Every open Task, and where the plans of its patients stand."""

    work: list[Work]
    #: by the reference to the plan
    places: Mapping[str, Place]


def read(
    tx: Connection, when: Moments, words: Words, *, tenant: int, besides: Collection[str] = frozenset()
) -> OpenWork:
    """Return what is open.

    Args:
        besides: patients whose plans are wanted as well.
    """
    work = [tasks.read(task, when, words) for task in queries.open_tasks(tx, tenant=tenant)]
    plans = queries.plans_of(tx, {w.patient for w in work} | set(besides), tenant=tenant)
    placed = (worklist.place(plan, words) for plan in plans)
    places = {place.plan: place for place in placed}
    instances = {places[w.plan].instance for w in work if w.plan in places}
    return OpenWork(work=tasks.mark(work, ended.read(tx, instances, tenant=tenant)), places=places)


def kind(filters: Filters) -> str:
    """Return which kind of plans the filters list, as in `queries.Plans`."""
    return KINDS.get(filters.need, search_index.OPEN)


def plans(filters: Filters, *, tenant: int) -> queries.Plans:
    """Return the plans that the filters let through, whatever their work."""
    return queries.Plans(
        tenant=tenant,
        kind=kind(filters),
        pathway=filters.pathway,
        stage=filters.stage,
        side="" if filters.side == PERSON else filters.side or None,
    )
