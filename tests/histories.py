"""Random histories of one patient: visits made of what the stories' hospitals sent, at other times.

Everything follows from a seed. Times within a visit differ, so that no rule has to choose between equals.
"""

import json
import random
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from playing import Play

from fhir_profiles import canonical
from pathways.steps import Outcome

STORIES = Path(__file__).parent / "stories"
START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
PATIENT = "history"
CLINICIAN = {
    "resourceType": "Practitioner",
    "id": "history-clinician",
    "name": [{"family": "Lindqvist", "given": ["Mara"]}],
}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}(?=\"|T)")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What arrives together, and when it is evaluated. `choice` is the seed of what a clinician decides."""

    at: datetime
    evaluated: datetime
    resources: tuple[Json, ...]
    choice: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one evaluation did."""

    outcome: Outcome
    written: list[Json]


def history(seed: int) -> tuple[Visit, ...]:
    """Return the visits of one history."""
    rng = random.Random(seed)
    at = START
    visits = []
    for number in range(rng.randint(2, 6)):
        count = rng.choice((2, 4, 8, 12))
        resources = [_moved(rng.choice(_pool()), f"h{number}-{each}", at, each) for each in range(count)]
        visits.append(
            Visit(
                at=at,
                evaluated=at + timedelta(minutes=rng.choice((15, 60, 1440))),
                resources=(_patient(), CLINICIAN, *resources),
                choice=rng.randrange(10**6),
            )
        )
        at += timedelta(days=rng.choice((2, 7, 14, 28, 42, 60, 90)), minutes=rng.randint(0, 90))
    return tuple(visits)


def live(
    visits: tuple[Visit, ...], *, shuffled: int | None = None, game: Play | None = None
) -> Iterator[Answer]:
    """Yield what each evaluation does. Entries arrive in another order where `shuffled` is a seed."""
    game = game or Play()
    for number, visit in enumerate(visits):
        bundle = brought(game, visit, number)
        if shuffled is not None:
            random.Random(shuffled + number).shuffle(bundle["entry"])
        game.receive(bundle, visit.at)
        outcome, written = game.evaluate(visit.evaluated)
        yield Answer(outcome=outcome, written=written)


def brought(game: Play, visit: Visit, number: int) -> Json:
    """Return the Bundle of a visit, the clinician's decision included."""
    resources = (*visit.resources, *_decision(game, visit, number))
    return {"entry": [{"resource": deepcopy(each)} for each in resources]}


@cache
def _pool() -> tuple[Json, ...]:
    found = []
    for path in sorted(STORIES.glob("V*.json")):
        for step in json.loads(path.read_text())["steps"]:
            for entry in (step["bundle"] or {"entry": ()})["entry"]:
                resource = entry["resource"]
                if resource["resourceType"] in ("Observation", "Procedure") and "derivedFrom" not in resource:
                    found.append(resource)
    return tuple(found)


def _patient() -> Json:
    return {"resourceType": "Patient", "id": PATIENT, "gender": "female", "birthDate": "1968-03-02"}


def _moved(resource: Json, id: str, at: datetime, minutes: int) -> Json:
    """Return the resource as another one of this patient, with its days moved to those before the visit."""
    time = next((key for key in ("effectiveDateTime", "performedDateTime") if key in resource), None)
    then = date.fromisoformat(resource[time][:10]) if time and len(resource[time]) >= 10 else START.date()
    away = at.date() - then
    text = _DAY.sub(lambda day: (date.fromisoformat(day[0]) + away).isoformat(), json.dumps(resource))
    moved: Json = json.loads(text)
    moved |= {"id": id, "subject": {"reference": f"Patient/{PATIENT}"}}
    for link in ("basedOn", "encounter", "performer", "partOf"):
        moved.pop(link, None)
    if time and "T" in moved[time]:
        moved[time] = (at - timedelta(minutes=minutes + 1)).isoformat()
    return moved


def _decision(game: Play, visit: Visit, number: int) -> Iterator[Json]:
    """Yield what the clinician decides at this visit, from what there is to decide on."""
    rng = random.Random(visit.choice)
    orders = [
        ("sign" if rng.random() < 0.7 else "decline", f"ServiceRequest/{order.id}", None)
        for memory in game.memories.values()
        for order in memory.orders
        if order.state == "draft"
    ]
    plans = [
        (code, reference, stage)
        for reference in game.own
        if reference.startswith("CarePlan/")
        for code, stage in (("discharge", None), ("re-enter", "assessment"), ("withdraw", None))
    ]
    options = [*orders, *orders, *orders, *plans]
    if not options or rng.random() < 0.3:
        return
    code, focus, stage = rng.choice(options)
    by = f"Practitioner/{CLINICIAN['id']}"
    at = visit.at - timedelta(seconds=30)
    yield task(f"decision-{number}", code, focus, at=at, patient=f"Patient/{PATIENT}", by=by, stage=stage)


def task(
    id_: str, code: str, focus: str, *, at: datetime, patient: str, by: str, stage: str | None = None
) -> Json:
    """Return the Task by which a clinician decides about what `focus` refers to."""
    target = {
        "type": {"coding": [{"system": canonical.TASK_INPUTS, "code": "target-stage"}]},
        "valueCodeableConcept": {"coding": [{"system": canonical.STAGES, "code": stage}]},
    }
    return {
        "resourceType": "Task",
        "id": id_,
        "status": "completed",
        "intent": "order",
        "code": {"coding": [{"system": canonical.DECISIONS, "code": code}]},
        "focus": {"reference": focus},
        "for": {"reference": patient},
        "authoredOn": at.isoformat(),
        "lastModified": at.isoformat(),
        "requester": {"reference": by},
        "owner": {"reference": by},
        "reasonCode": {"text": "as discussed"},
        **({"input": [target]} if stage else {}),
    }
