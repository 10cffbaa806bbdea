"""Collect everything that is new about a patient, by the searches of the FHIR interface."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from service.stories import shorthand
from service.stories.answer import Answer
from service.stories.shorthand import Orders

Json = Mapping[str, Any]

#: search (type, parameters) -> all matching resources
Search = Callable[[str, Mapping[str, str]], list[dict[str, Any]]]

#: every type that a pathway answers with, and what narrows the search
SEARCHED: Mapping[str, Mapping[str, str]] = {
    "ServiceRequest": {"intent": "proposal"},
    "Task": {},
    "CommunicationRequest": {},
    "DetectedIssue": {},
    "Flag": {},
    "AuditEvent": {},
}

Identity = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a service shows of a patient at one moment."""

    plans: tuple[Json, ...] = ()
    others: tuple[Json, ...] = ()

    @property
    def identities(self) -> frozenset[Identity]:
        """Return the type and id of everything that can be an output or a transition."""
        return frozenset(map(_identity, self.others))


NOTHING = Record()


def record(search: Search, patient: str) -> Record:
    """Return what the service shows of the patient now."""
    plans = tuple(search("CarePlan", {"patient": patient}))
    found = [
        resource
        for type_, narrowed in SEARCHED.items()
        for resource in search(type_, {"patient": patient, **narrowed})
    ]
    for plan in plans:
        found += search("Provenance", {"target": f"CarePlan/{plan['id']}"})
    # A Provenance may be about two plans.
    return Record(plans=plans, others=tuple({_identity(each): each for each in found}.values()))


def answer(now: Record, before: Iterable[Identity], orders: Orders) -> Answer:
    """Return what is new since `before`, and where the patient stands now."""
    new = newer(now, before)
    moves = [shorthand.transition(each) for each in new if each["resourceType"] == "Provenance"]
    outputs = [shorthand.output(resource, orders) for resource in new]
    plans = {shorthand.side(plan) or "": plan for plan in now.plans}
    return Answer(
        stages={side: shorthand.stage(plan) or "" for side, plan in plans.items()},
        holds={side: found for side, plan in plans.items() if (found := shorthand.holds(plan))},
        transitions=tuple(sorted(filter(None, moves))),
        outputs=tuple(sorted(filter(None, outputs))),
    )


def newer(now: Record, before: Iterable[Identity]) -> tuple[Json, ...]:
    """Return what was not there before."""
    known = frozenset(before)
    return tuple(resource for resource in now.others if _identity(resource) not in known)


def _identity(resource: Json) -> Identity:
    return resource["resourceType"], resource["id"]
