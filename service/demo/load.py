"""Load the demo patients into a running sandbox, once."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from typing import Any

from service.demo import visit
from service.stories import collecting, orders, placeholders
from service.stories.remote import Refused, Remote

Json = Mapping[str, Any]

#: the last thing that is stored; it belongs to no patient, so a cleared sandbox stays clear
MARKER = "Basic/hipway-demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One step of one story, at its time."""

    at: datetime
    story: Json
    number: int


def load(service: Remote, *, now: datetime | None = None) -> int:
    """Tell every story up to now and return how many patients there are; 0: not needed.

    Nothing is loaded into a sandbox that has been loaded before, or that has patients of
    somebody else. A load that was cut short is begun again.

    Args:
        now: the present of the stories; the machine's clock by default.
    """
    if _is_there(service, MARKER):
        return 0
    patients = service.search("Patient", {})
    if any(not patient["id"].startswith("demo-") for patient in patients):
        return 0
    if patients:
        service.clear()
    told = stories()
    events = timeline(told, now=now or datetime.now(UTC).replace(second=0, microsecond=0))
    service.set_clock(events[0].at.isoformat())
    service.post(_data("people.json"))
    terms = _data("terms.json")
    for event in events:
        _tell(event, service, terms)
    service.free_clock()
    service.post(_marker())
    return len(told)


def stories() -> tuple[Json, ...]:
    """Return every demo story, by name."""
    folder = resources.files("service.demo") / "stories"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".json")), key=lambda f: f.name)
    return tuple(json.loads(file.read_bytes()) for file in files)


def timeline(told: tuple[Json, ...], *, now: datetime) -> tuple[Event, ...]:
    """Return the steps of all stories in the order of time: the clock cannot go back."""
    events = [
        Event(at=visit.at(step, now=now), story=story, number=number)
        for story in told
        for number, step in enumerate(story["steps"], start=1)
    ]
    return tuple(sorted(events, key=lambda event: (event.at, event.story["id"], event.number)))


def _tell(event: Event, service: Remote, terms: Json) -> None:
    """Post one step under its clock and evaluate its patient."""
    patient = visit.patient_id(event.story)
    service.set_clock(event.at.isoformat())
    bundle = visit.bundle(event.story, event.number, event.at, terms)
    if bundle is not None:
        if found := placeholders.wanted(bundle):
            record = collecting.record(service.search, patient)
            bundle = placeholders.replaced(bundle, placeholders.meanings(found, record, orders.names()))
        service.post(bundle)
    service.evaluate(f"Patient/{patient}")


def _is_there(service: Remote, reference: str) -> bool:
    try:
        service.read(reference)
    except Refused as refused:
        if refused.status in (404, 410):
            return False
        raise
    return True


def _marker() -> dict[str, Any]:
    kind, _, id_ = MARKER.partition("/")
    resource = {"resourceType": kind, "id": id_, "code": {"text": "The demo patients were loaded"}}
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": resource, "request": {"method": "PUT", "url": MARKER}}],
    }


def _data(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((resources.files("service.demo") / name).read_bytes())
    return read
