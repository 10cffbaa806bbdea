"""Records that were joined, as the pages say it: whose they were, since when, and where an old link leads.

What is joined stays readable: by whom and when is in the Provenance and on the page of accesses.
"""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection

from service.store import joinings
from service.store.joinings import Joining
from service.web.alarms import Alarm
from service.web.elements import Json
from service.web.patients import describe
from service.web.visit import TENANT, Visit


def banners(found: Sequence[Joining], people: Mapping[str, Json], seen: Visit) -> tuple[Alarm, ...]:
    """Return a bar for each record that was joined into the patient's and holds, the newest first.

    Args:
        found: these records, the oldest first.
        people: the Patients of these records, by id.
    """
    return tuple(_banner(joining, people, seen) for joining in reversed(found))


def into(tx: Connection, patients: Iterable[str]) -> dict[str, str]:
    """Return, of patients whose record was joined with another, who holds it now, by their ids."""
    gone, _ = joinings.ask(tx, set(patients), tenant=TENANT)()
    return {source: joinings.last(tx, joining.target, tenant=TENANT) for source, joining in gone.items()}


def instead(plan: Json, plans: Iterable[Json]) -> str | None:
    """Return the id of the plan that goes on in place of one whose record was joined; None: it does itself.

    Args:
        plans: all of the patient.
    """
    replaced = _replaced(plans)
    found = replaced.get(str(plan["id"]))
    seen = set()
    while found in replaced and found not in seen:
        seen.add(found)
        found = replaced[found]
    return found


def going_on(plans: Iterable[Json]) -> list[Json]:
    """Return the plans that none of the others has replaced."""
    every = list(plans)
    replaced = _replaced(every)
    return [plan for plan in every if plan["id"] not in replaced]


def _replaced(plans: Iterable[Json]) -> dict[str, str]:
    """Return the id of each plan that was replaced, with that of the plan that replaces it."""
    return {
        reference["reference"].partition("/")[2]: str(plan["id"])
        for plan in plans
        for reference in plan.get("replaces", ())
    }


def _banner(joining: Joining, people: Mapping[str, Json], seen: Visit) -> Alarm:
    words, when = seen.words, seen.when
    person = describe(people.get(joining.source, {"id": joining.source}), when, words)
    return Alarm(
        tone="wait",
        title=words(
            "joined.title", name=person.name, identifier=person.identifier, at=when.exact(joining.at)
        ),
        text=words("joined.text"),
    )
