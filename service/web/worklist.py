"""The worklist: what needs a person now, most urgent first.

Every open Task is in exactly one band, and in `all`; nothing is hidden without being
counted. Nothing is signed from here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from service.web import elements, tasks
from service.web.elements import Json, Word
from service.web.moments import Moments, read
from service.web.people import Colleague
from service.web.tasks import BANDS, Work
from service.web.words import Words

#: a page that can be read, not scrolled for minutes
ROWS = 50

#: the last one lists plans, the others Tasks
VIEWS = ("mine", "team", "nobody", "all", "plans")

#: what the filter `need` can ask for
NEEDS = ("", "sign", "overdue", "now", "data")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the plan stands that a Task belongs to."""

    plan: str
    patient: str
    side: Word
    stage: Word
    #: in words, how long it has been there
    since: str
    open: bool

    @property
    def plan_id(self) -> str:
        """Return the id of the CarePlan."""
        return self.plan.partition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What the reader asked to see."""

    view: str = "all"
    need: str = ""
    stage: str = ""
    side: str = ""
    page: int = 1

    @property
    def set(self) -> bool:
        """Return whether rows may be hidden."""
        return bool(self.need or self.stage or self.side)


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Some rows under one heading."""

    code: str
    rows: tuple[Work, ...]
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """An open plan, and the most urgent Task about it."""

    place: Place
    next: Work | None
    more: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Worklist:
    """One page of the worklist."""

    filters: Filters
    counts: Mapping[str, int]
    bands: tuple[Band, ...]
    plans: tuple[PlanRow, ...]
    shown: int
    total: int
    #: kept from sight by the filters
    hidden: int
    pages: int
    #: open plans about which no Task is open
    quiet_plans: int
    open_plans: int


def build(
    open_work: Sequence[Work],
    places: Mapping[str, Place],
    filters: Filters,
    acting: Colleague | None,
    *,
    size: int = ROWS,
) -> Worklist:
    """Return the page the filters ask for, with true counts of every view.

    Args:
        size: rows of a page.
    """
    views = {view: [w for w in open_work if _in_view(w, view, acting)] for view in VIEWS[:-1]}
    open_plans = [place for place in places.values() if place.open]
    counts = {view: len(found) for view, found in views.items()} | {"plans": len(open_plans)}
    busy = {w.plan for w in open_work}
    rows: list[Work] = []
    plans: list[PlanRow] = []
    if filters.view == "plans":
        matching = [p for p in open_plans if _place_matches(p, filters)]
        total, wanted, page = len(matching), len(open_plans), _page(len(matching), size, filters)
        ordered = sorted((_plan_row(p, open_work) for p in matching), key=_plan_urgency)
        plans = ordered[(page - 1) * size : page * size]
    else:
        found = sorted((w for w in views[filters.view] if _matches(w, places, filters)), key=tasks.by_urgency)
        total, wanted, page = len(found), counts[filters.view], _page(len(found), size, filters)
        rows = found[(page - 1) * size : page * size]
    return Worklist(
        filters=replace(filters, page=page),
        counts=counts,
        bands=_bands(rows, () if filters.view == "plans" else found),
        plans=tuple(plans),
        shown=len(rows) + len(plans),
        total=total,
        hidden=wanted - total,
        pages=_pages(total, size),
        quiet_plans=sum(place.plan not in busy for place in open_plans),
        open_plans=len(open_plans),
    )


def place(plan: Json, memory: Json, when: Moments, words: Words) -> Place:
    """Return where a plan stands, and for how many days."""
    entered = read(str(memory.get("stageEntered") or ""))
    return Place(
        plan=elements.identity(plan),
        patient=elements.reference(plan.get("subject")).partition("/")[2],
        side=elements.side(plan) or Word("person", words("person")),
        stage=elements.stage(plan),
        since=words("day_n", n=when.days_since(entered)) if entered else "",
        open=plan.get("status") == "active",
    )


def first_plans(plans: Iterable[Json]) -> dict[str, str]:
    """Return a plan of each patient: where what is about the person is shown."""
    found: dict[str, str] = {}
    for plan in plans:
        found.setdefault(elements.reference(plan.get("subject")).partition("/")[2], plan["id"])
    return found


def people_shown(worklist: Worklist) -> set[str]:
    """Return the ids of the patients on this page."""
    of_tasks = {w.patient for band in worklist.bands for w in band.rows}
    return of_tasks | {row.place.patient for row in worklist.plans}


def _pages(total: int, size: int) -> int:
    return max(1, -(-total // size))


def _page(total: int, size: int, filters: Filters) -> int:
    return min(max(filters.page, 1), _pages(total, size))


def _bands(rows: Sequence[Work], found: Sequence[Work]) -> tuple[Band, ...]:
    return tuple(
        Band(code=code, rows=inside, count=sum(w.band == code for w in found))
        for code in BANDS
        if (inside := tuple(w for w in rows if w.band == code))
    )


def _plan_row(place: Place, open_work: Sequence[Work]) -> PlanRow:
    about = sorted((w for w in open_work if w.plan == place.plan), key=tasks.by_urgency)
    return PlanRow(place=place, next=about[0] if about else None, more=max(0, len(about) - 1))


def _plan_urgency(row: PlanRow) -> tuple[int, str, str]:
    return tasks.by_urgency(row.next) if row.next else (len(BANDS), "", row.place.plan)


def _in_view(work: Work, view: str, acting: Colleague | None) -> bool:
    if view == "all":
        return True
    if view == "nobody":
        return not work.owner
    if acting is None:
        return False
    mine = work.owner == acting.reference
    if view == "mine":
        return mine
    held = {role.code for role in acting.roles}
    return mine or any(role.code in held for role in work.roles)


def _matches(work: Work, places: Mapping[str, Place], filters: Filters) -> bool:
    where = places.get(work.plan)
    if filters.stage and (where is None or where.stage.code != filters.stage):
        return False
    if filters.side and (work.side.code if work.side else "person") != filters.side:
        return False
    match filters.need:
        case "sign":
            return bool(work.orders)
        case "overdue":
            return work.due.state == "late"
        case "now":
            return work.band == "now"
        case "data":
            return work.focus.partition("/")[0] in ("DetectedIssue", "Observation")
        case _:
            return True


def _place_matches(place: Place, filters: Filters) -> bool:
    if filters.stage and place.stage.code != filters.stage:
        return False
    return not filters.side or place.side.code == filters.side
