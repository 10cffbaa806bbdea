"""The worklist: what needs a person now, most urgent first.

Every open Task is in exactly one band, and in `all`; nothing is hidden without being
counted. Nothing is signed from here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from service import digits, situation
from service.situation import Instance
from service.store.search_index import STANDING_APART
from service.web import elements, tasks
from service.web.elements import Json, Word
from service.web.moments import Moments, read
from service.web.people import Colleague
from service.web.tasks import BANDS, Work
from service.web.words import Words

#: the filter `side` for what is about the whole person
PERSON = "person"

#: a page that can be read, not scrolled for minutes
ROWS = 50

#: the last one lists plans, the others Tasks
VIEWS = ("mine", "team", "nobody", "all", "plans")

#: what the filter `need` can ask for: of Tasks, and of plans
NEEDS = ("", "sign", "overdue", "now", "data")
NEEDS_OF_PLANS = ("", "held", "overdue", "apart")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the plan stands that a Task belongs to."""

    plan: str
    patient: str
    instance: Instance
    side: Word
    stage: Word
    open: bool
    #: nothing is done there until a person or new data take it up again
    apart: bool
    held: bool

    @property
    def closed(self) -> bool:
        """Return whether the plan was ended: it is neither open nor set apart."""
        return not self.open and not self.apart

    @property
    def plan_id(self) -> str:
        """Return the id of the CarePlan."""
        return self.plan.partition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What the reader asked to see."""

    view: str = "all"
    need: str = ""
    #: the name of one of several
    pathway: str = ""
    stage: str = ""
    side: str = ""
    page: int = 1

    @property
    def set(self) -> bool:
        """Return whether rows may be hidden."""
        return bool(self.need or self.pathway or self.stage or self.side)

    @property
    def query(self) -> dict[str, str]:
        """Return what an address says of them: the page is left out, each page has the same filters."""
        said = {
            "view": self.view,
            "need": self.need,
            "pathway": self.pathway,
            "stage": self.stage,
            "side": self.side,
        }
        return {name: value for name, value in said.items() if value}

    @property
    def address(self) -> dict[str, str]:
        """Return the same with the page, where it is not the first."""
        return self.query | ({"page": str(self.page)} if self.page > 1 else {})


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
    #: the pages that are offered, 0 for those between that are not
    pager: tuple[int, ...]
    #: open plans about which no Task is open
    quiet_plans: int
    open_plans: int


#: returns the open plans without work from an offset on, at most so many
ReadQuiet = Callable[[int, int], Sequence[Place]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPlans:
    """All open plans. About nearly all no Task is open, so they are counted, and read by the page."""

    count: int
    #: counts those that the filters let through
    matching: Callable[[], int]
    read_quiet: ReadQuiet


def build(
    open_work: Sequence[Work],
    places: Mapping[str, Place],
    filters: Filters,
    acting: Colleague | None,
    every: OpenPlans,
    *,
    size: int = ROWS,
) -> Worklist:
    """Return the page the filters ask for, with true counts of every view.

    Args:
        places: where the plans stand that `open_work` is about.
        size: rows of a page.
    """
    busy = busy_plans(open_work, places)
    counts = count(open_work, acting) | {"plans": every.count}
    shown: list[Work] = []
    found: list[Work] = []
    plans: list[PlanRow] = []
    if filters.view == "plans":
        listed = plans_with_work(open_work, places, filters)
        total = len(listed) if filters.need == "overdue" else every.matching()
        # What stands apart is not among the rows of the view, so the filter hides all of those.
        of_view = 0 if filters.need == "apart" else total - sum(not place.open for place in listed)
        hidden = every.count - of_view
        page = _page(total, size, filters)
        plans = _plan_rows(listed, open_work, every.read_quiet, (page - 1) * size, size)
    else:
        found = sorted(rows(open_work, places, filters, acting), key=tasks.by_urgency)
        total = len(found)
        hidden = counts[filters.view] - total
        page = _page(total, size, filters)
        shown = found[(page - 1) * size : page * size]
    return Worklist(
        filters=replace(filters, page=page),
        counts=counts,
        bands=_bands(shown, found),
        plans=tuple(plans),
        shown=len(shown) + len(plans),
        total=total,
        hidden=hidden,
        pages=_pages(total, size),
        pager=pager(page, _pages(total, size)),
        quiet_plans=every.count - len(busy),
        open_plans=every.count,
    )


def count(open_work: Iterable[Work], acting: Colleague | None) -> dict[str, int]:
    """Return how many Tasks are in each view, whatever the filters."""
    counts = dict.fromkeys(VIEWS[:-1], 0)
    for work in open_work:
        for view in counts:
            counts[view] += _in_view(work, view, acting)
    return counts


def rows(
    open_work: Iterable[Work], places: Mapping[str, Place], filters: Filters, acting: Colleague | None
) -> list[Work]:
    """Return the Tasks of a view that the filters let through, in no order."""
    return [w for w in open_work if _in_view(w, filters.view, acting) and _matches(w, places, filters)]


def read_filters(asked: Mapping[str, Any], default: str) -> Filters:
    """Return the filters that an address or a form names; `default` is the view where it names none."""
    view = str(asked.get("view") or default)
    need = str(asked.get("need") or "")
    view = view if view in VIEWS else default
    return Filters(
        view=view,
        need=need if need in (NEEDS_OF_PLANS if view == "plans" else NEEDS) else "",
        pathway=_code(asked.get("pathway")),
        stage=_code(asked.get("stage")),
        side=_code(asked.get("side")),
        page=page_of(asked),
    )


def page_of(asked: Mapping[str, Any]) -> int:
    """Return which page of a list an address asks for; the first where it names none."""
    page = digits.read(str(asked.get("page") or ""), most=5)
    return 1 if page is None else page


def _code(text: str | None) -> str:
    """Return a code of an address; no text of the database can hold a NUL, so none is found by one."""
    return (text or "").replace("\0", "\ufffd")


def lists_plan(place: Place, filters: Filters, *, overdue: bool) -> bool:
    """Return whether a plan is among those that the filters let through.

    Args:
        overdue: whether a Task about it is.
    """
    match filters.need:
        case "overdue":
            wanted = overdue and (place.open or place.apart)
        case "apart":
            wanted = place.apart
        case "held":
            wanted = place.open and place.held
        case _:
            wanted = place.open
    if not wanted or (filters.pathway and place.instance.pathway != filters.pathway):
        return False
    if filters.stage and place.stage.code != filters.stage:
        return False
    return not filters.side or place.side.code == filters.side


def busy_plans(open_work: Iterable[Work], places: Mapping[str, Place]) -> list[Place]:
    """Return the open plans about which a Task is open."""
    found = dict.fromkeys(w.plan for w in open_work)
    return [place for plan in found if (place := places.get(plan)) is not None and place.open]


def plans_with_work(open_work: Sequence[Work], places: Mapping[str, Place], filters: Filters) -> list[Place]:
    """Return the plans about which a Task is open and that the filters let through, of any view."""
    late = {work.plan for work in open_work if work.overdue}
    known = [place for plan in dict.fromkeys(w.plan for w in open_work) if (place := places.get(plan))]
    return [place for place in known if lists_plan(place, filters, overdue=place.plan in late)]


def place(plan: Json, words: Words) -> Place:
    """Return where a plan stands."""
    extensions = {"extension": words.reworded(plan.get("extension", []))}
    return Place(
        plan=elements.identity(plan),
        patient=elements.reference(plan.get("subject")).partition("/")[2],
        instance=situation.instance(plan),
        side=elements.side(extensions) or Word(PERSON, words("person")),
        stage=elements.stage(extensions),
        open=plan.get("status") == "active",
        apart=plan.get("status") in STANDING_APART,
        held=any(elements.extensions(plan, "pathway-hold")),
    )


def since(entered: str | None, when: Moments, words: Words) -> str:
    """Return for how many days an instance has been in its stage; empty if nobody noted since when."""
    entered_at = read(entered)
    return words("day_n", n=when.days_since(entered_at)) if entered_at else ""


def first_plans(places: Iterable[Place]) -> dict[str, str]:
    """Return a plan of each patient: where what is about the person is shown."""
    found: dict[str, str] = {}
    for place in places:
        found.setdefault(place.patient, place.plan_id)
    return found


def people_shown(worklist: Worklist) -> set[str]:
    """Return the ids of the patients on this page."""
    of_tasks = {w.patient for band in worklist.bands for w in band.rows}
    return of_tasks | {row.place.patient for row in worklist.plans}


def _pages(total: int, size: int) -> int:
    return max(1, -(-total // size))


def _page(total: int, size: int, filters: Filters) -> int:
    return min(max(filters.page, 1), _pages(total, size))


def pager(page: int, pages: int) -> tuple[int, ...]:
    """Return the first page, the last, and those around this one."""
    shown = sorted({1, pages} | {n for n in range(page - 2, page + 3) if 1 <= n <= pages})
    found: list[int] = []
    for n in shown:
        if found and n - found[-1] > 1:
            found.append(0)
        found.append(n)
    return tuple(found)


def _bands(rows: Sequence[Work], found: Sequence[Work]) -> tuple[Band, ...]:
    return tuple(
        Band(code=code, rows=inside, count=sum(w.band == code for w in found))
        for code in BANDS
        if (inside := tuple(w for w in rows if w.band == code))
    )


def _plan_rows(
    busy: Sequence[Place], open_work: Iterable[Work], read_quiet: ReadQuiet, offset: int, size: int
) -> list[PlanRow]:
    """Return the plans of one page: those with work, most urgent first, then the quiet ones."""
    about: dict[str, list[Work]] = {}
    for work in sorted(open_work, key=tasks.by_urgency):
        about.setdefault(work.plan, []).append(work)
    rows = sorted(
        (PlanRow(place=p, next=about[p.plan][0], more=len(about[p.plan]) - 1) for p in busy),
        key=lambda row: tasks.by_urgency(about[row.place.plan][0]),
    )
    shown = rows[offset : offset + size]
    rest = read_quiet(max(0, offset - len(rows)), size - len(shown)) if len(shown) < size else ()
    return [*shown, *(PlanRow(place=place, next=None, more=0) for place in rest)]


def _in_view(work: Work, view: str, acting: Colleague | None) -> bool:
    if view == "all":
        return True
    if view == "nobody":
        return not work.owner
    if acting is None:
        return False
    mine = acting.does(work.owner)
    if view == "mine":
        return mine
    held = {role.code for role in acting.roles}
    return mine or any(role.code in held for role in work.roles)


def _matches(work: Work, places: Mapping[str, Place], filters: Filters) -> bool:
    where = places.get(work.plan)
    if filters.pathway and (where is None or where.instance.pathway != filters.pathway):
        return False
    if filters.stage and (where is None or where.stage.code != filters.stage):
        return False
    if filters.side and (work.side.code if work.side else PERSON) != filters.side:
        return False
    match filters.need:
        case "sign":
            return bool(work.orders)
        case "overdue":
            return work.overdue
        case "now":
            return work.band == "now"
        case "data":
            return work.focus.partition("/")[0] in ("DetectedIssue", "Observation")
        case _:
            return True
