"""How many rows of a view were added, changed or went since its page was made.

Only what somebody did counts: a row that becomes overdue by the passing of time has not changed.
"""

from collections.abc import Collection, Hashable
from dataclasses import dataclass

from sqlalchemy import Connection

from service.store import since
from service.store.since import Mark
from service.web import ended, tasks, worklist
from service.web.elements import OPEN_TASK
from service.web.ended import Stood
from service.web.moments import Moments
from service.web.open_work import OpenWork
from service.web.people import Colleague
from service.web.words import Words
from service.web.worklist import Filters

#: of more patients what changed is not compared: their rows are too many to be told apart by a number
MOST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Rows of one view."""

    added: int = 0
    changed: int = 0
    gone: int = 0

    @property
    def total(self) -> int:
        """Return how many rows the page would show otherwise."""
        return self.added + self.changed + self.gone


def before(
    tx: Connection, mark: Mark, patients: Collection[str], when: Moments, words: Words, *, tenant: int
) -> OpenWork:
    """Return what was open of these patients when a page was read."""
    found = since.as_of(tx, mark, patients, tenant=tenant)
    places = {place.plan: place for plan in found["CarePlan"] for place in (worklist.place(plan, words),)}
    work = [tasks.read(task, when, words) for task in found["Task"] if task.get("status") in OPEN_TASK]
    stood = {place.instance: Stood(place.stage.code, place.closed) for place in places.values()}
    return OpenWork(work=tasks.mark(work, ended.read(tx, stood, tenant=tenant, stood=stood)), places=places)


def compare(
    old: OpenWork, new: OpenWork, patients: Collection[str], filters: Filters, acting: Colleague | None
) -> Changes:
    """Return what became of the rows of a view that are about these patients."""
    then, now = (_rows(found, patients, filters, acting) for found in (old, new))
    return Changes(
        added=len(now.keys() - then.keys()),
        changed=sum(then[key] != now[key] for key in then.keys() & now.keys()),
        gone=len(then.keys() - now.keys()),
    )


def _rows(
    found: OpenWork, patients: Collection[str], filters: Filters, acting: Colleague | None
) -> dict[str, Hashable]:
    """Return what each row shows, by its id."""
    work = [w for w in found.work if w.patient in patients]
    if filters.view == "plans":
        late = {w.plan for w in work if w.overdue}
        return {
            place.plan: (place.stage, frozenset((w.id, w.version) for w in work if w.plan == place.plan))
            for place in found.places.values()
            if place.patient in patients and worklist.lists_plan(place, filters, overdue=place.plan in late)
        }
    return {
        w.id: (w.version, w.ended is not None, found.places[w.plan].stage if w.plan in found.places else None)
        for w in worklist.rows(work, found.places, filters, acting)
    }
