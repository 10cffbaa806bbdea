"""When a patient is evaluated after a Bundle: one visit may come as several.

Evaluation waits until nothing more has come for the settle window. What is urgent, what
ends a visit and what a person decided does not wait.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from service.clock import Clock

Json = Mapping[str, Any]

#: those who made a decision, and whom it is about
PEOPLE = ("Organization", "Patient", "Person", "Practitioner", "PractitionerRole", "RelatedPerson")


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """When the evaluation is due, by the service clock."""

    at: datetime
    #: a further Bundle may move it
    settles: bool


def due(
    visit: Sequence[Json],
    *,
    clock: Clock,
    window: timedelta,
    decision_system: str,
    urgent: Callable[[Json], bool],
) -> Due:
    """Return when the patient of the visit is evaluated.

    Args:
        visit: every resource of the Bundle.
        window: how long to wait for further Bundles.
        decision_system: the code system of clinician decisions.
        urgent: whether a resource must not wait, as the pathways see it.
    """
    at_once = (
        not window
        # with the clock set and standing still the window would never pass
        or (clock.is_set and not clock.held)
        or any(_ends_the_visit(resource) or urgent(resource) for resource in visit)
        or _only_decisions(visit, decision_system)
    )
    return Due(at=clock.now if at_once else clock.now + window, settles=not at_once)


def _ends_the_visit(resource: Json) -> bool:
    return resource["resourceType"] == "Encounter" and resource.get("status") == "finished"


def _only_decisions(visit: Sequence[Json], system: str) -> bool:
    rest = [resource for resource in visit if resource["resourceType"] not in PEOPLE]
    return bool(rest) and all(_is_decision(resource, system) for resource in rest)


def _is_decision(resource: Json, system: str) -> bool:
    codings = (resource.get("code") or {}).get("coding", ()) if resource["resourceType"] == "Task" else ()
    return resource.get("status") == "completed" and any(c.get("system") == system for c in codings)
