"""The views that the person who acts has saved, with the number of rows that each shows now."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from sqlalchemy import Connection

from service.store import saved_views
from service.store.saved_views import SavedView
from service.web import open_work, queries, worklist
from service.web.open_work import OpenWork
from service.web.people import Colleague
from service.web.worklist import PERSON, Filters


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """One saved view."""

    key: int
    name: str
    filters: Filters
    count: int


#: returns how many plans there are, by kind, stage and side
CountPlans = Callable[[], Mapping[tuple[str, str, str], int]]


def read(tx: Connection, acting: Colleague | None, found: OpenWork, *, tenant: int) -> list[Saved]:
    """Return the views of who acts, by name; of nobody none."""
    if acting is None:
        return []
    kept = saved_views.of_person(tx, acting.reference, tenant=tenant)
    return count(
        kept,
        found,
        acting,
        lambda: queries.plans_by_place(tx, tenant=tenant),
        lambda filters: open_work.plans(filters, tenant=tenant).count(tx),
    )


def count(
    kept: Sequence[SavedView],
    found: OpenWork,
    acting: Colleague,
    count_plans: CountPlans,
    count_of_pathway: Callable[[Filters], int],
) -> list[Saved]:
    """Return the views with the number of rows of each.

    Plans are counted once, and only if a view lists them.

    Args:
        count_of_pathway: counts the plans of a view of one of several pathways.
    """
    views = [(view, worklist.read_filters(dict(parse_qsl(view.query)), "all")) for view in kept]
    plans = count_plans() if any(filters.view == "plans" for _, filters in views) else {}

    def rows(filters: Filters) -> int:
        if filters.view != "plans":
            return len(worklist.rows(found.work, found.places, filters, acting))
        if filters.need == "overdue":
            return len(worklist.plans_with_work(found.work, found.places, filters))
        return count_of_pathway(filters) if filters.pathway else _plans(plans, filters)

    return [
        Saved(key=view.key, name=view.name, filters=filters, count=rows(filters)) for view, filters in views
    ]


def _plans(by_place: Mapping[tuple[str, str, str], int], filters: Filters) -> int:
    wanted = "" if filters.side == PERSON else filters.side
    return sum(
        n
        for (kind, stage, side), n in by_place.items()
        if kind == open_work.kind(filters)
        and filters.stage in ("", stage)
        and (not filters.side or side == wanted)
    )
