"""Stored versions as the pathways read them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pathways.record import Entry, Record
from service.store.resources import Identity, Stored

#: of these a removed one is read as withdrawn; the others are simply not there any more
FACTS = ("Observation", "Procedure", "DiagnosticReport", "Task")


def entry(stored: Stored) -> Entry:
    """Return a stored version as an entry of a record."""
    return Entry(
        type=stored.type,
        id=stored.id,
        version=stored.version,
        seq=stored.seq,
        received=stored.received,
        body=stored.resource,
    )


def of(who: str, received: Sequence[Entry], own: Iterable[Entry], known: Iterable[Stored]) -> Record | None:
    """Return the record of a patient; None where the patient is not among what was received.

    Args:
        own: what the engine made.
        known: the people who recorded or decided something.
    """
    patient = next((e for e in received if e.type == "Patient" and e.id == who), None)
    if patient is None:
        return None
    return Record(
        patient=patient,
        received=tuple(received),
        own={each.reference: each for each in own},
        people={s.reference: called(s.resource.get("name", [])) for s in known if not s.deleted},
    )


def people(entries: Iterable[Entry]) -> set[Identity]:
    """Return the people who recorded or decided something."""
    references = {
        actor.get("actor", actor).get("reference", "")
        for entry in entries
        for actor in (
            *entry.body.get("performer", ()),
            *(entry.body[role] for role in ("owner", "requester") if role in entry.body),
        )
    }
    split = (reference.partition("/") for reference in references)
    return {(kind, id) for kind, _, id in split if kind == "Practitioner"}


def called(names: Sequence[Mapping[str, Any]]) -> str:
    """Return how somebody is called; empty where no name is stored."""
    if not names:
        return ""
    parts = (*names[0].get("prefix", ()), *names[0].get("given", ()), names[0].get("family", ""))
    return " ".join(part for part in parts if part)
