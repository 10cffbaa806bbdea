"""Where a patient stands on every pathway, for those who ask with data of their own; nothing is stored.

    not known here .... the given record is told again in the order of its times, from an empty memory
    known here ........ what is stored and remembered, and over it what was given

Who is known here is told by the id and by an identifier besides: an id alone may be somebody else's, and so
may a birth date. Whoever shares no identifier with the stored Patient is advised on from what was given.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from msgspec import structs
from sqlalchemy import Connection

from pathways import parameters
from pathways.decide import Case
from pathways.definition import Pathway
from pathways.memory import Memory
from pathways.reconstruction import Standing, reconstruct, resume
from pathways.record import Entry, Record
from service import record, snapshot
from service.fhir import knowledge, translation
from service.snapshot import Snapshot
from service.store import decisions, joinings, site

Json = Mapping[str, Any]

#: of what is given an evaluation reads no more than of what is stored
READ = snapshot.RECEIVED


@dataclass(frozen=True, slots=True, kw_only=True)
class Consultation:
    """The answer of every pathway about one patient."""

    patient: str
    moment: datetime
    #: the patient's plans are stored here, and the answer holds some of them
    known: bool
    standings: tuple[Standing, ...]


def consult(
    tx: Connection, who: str, given: Sequence[Json], pathways: Sequence[Pathway], *, tenant: int
) -> Consultation:
    """Return where a patient stands by what was given.

    Args:
        tx: sees one state of the database throughout.
        given: resources that have passed the gate, the Patient among them, with relative references.

    Raises:
        cql.EvaluationFailed: a rule erred.
    """
    state = site.read(tx, tenant=tenant)
    translations = knowledge.translations(tx, state.concept_maps, tenant=tenant)
    entries = [
        Entry(
            type=resource["resourceType"],
            id=resource["id"],
            version=1,
            seq=number,
            received=state.clock.now,
            body=dict(translation.applied(resource, translations)),
        )
        for number, resource in enumerate(given, start=1)
        if resource["resourceType"] in READ
    ]
    names = {f"Practitioner/{r['id']}": r for r in given if r["resourceType"] == "Practitioner"}
    people = {reference: record.called(body.get("name", ())) for reference, body in names.items()}
    patient = next(e for e in entries if e.type == "Patient" and e.id == who)
    # Who asks may know the patient by a record that was joined with another.
    seen = snapshot.read(tx, joinings.last(tx, who, tenant=tenant), pathways, tenant=tenant)
    if seen.record is not None and seen.latest and _same_person(seen.record.patient.body, patient.body):
        own = seen.record.patient.reference
        about = [each for each in entries if each.type != "Patient" or each.reference == own]
        found = _over(seen.record, about, people)
        return _of_snapshot(tx, replace(seen, record=found), pathways, tenant=tenant)
    found = Record(patient=patient, received=tuple(entries), own={}, people=people)
    standings = tuple(
        reconstruct(pathway, found, state.parameters, tenant=tenant, moment=state.clock.now)
        for pathway in pathways
    )
    return Consultation(patient=who, moment=state.clock.now, known=False, standings=standings)


def of_stored(tx: Connection, who: str, pathways: Sequence[Pathway], *, tenant: int) -> Consultation | None:
    """Return where a patient stands by what is stored; None where no such patient is.

    Raises:
        cql.EvaluationFailed: a rule erred.
    """
    seen = snapshot.read(tx, joinings.last(tx, who, tenant=tenant), pathways, tenant=tenant)
    if seen.record is None:
        return None
    return _of_snapshot(tx, seen, pathways, tenant=tenant)


def _of_snapshot(tx: Connection, seen: Snapshot, pathways: Sequence[Pathway], *, tenant: int) -> Consultation:
    assert seen.record is not None
    found = seen.record
    standings = []
    for pathway in pathways:
        chosen = parameters.concerning(pathway, seen.chosen)
        memories = seen.memories[pathway.name]
        case = Case(
            tenant=tenant,
            record=found,
            memories=memories,
            moment=seen.moment,
            history=seen.history[pathway.name],
            site=parameters.resolve(pathway, chosen),
            answers_strays=pathway is pathways[0],
        )
        why = _why(tx, found.patient.id, pathway, memories, tenant=tenant)
        standings.append(resume(pathway, case, chosen, why))
    return Consultation(
        patient=found.patient.id, moment=seen.moment, known=bool(seen.latest), standings=tuple(standings)
    )


def _why(
    tx: Connection, who: str, pathway: Pathway, memories: Mapping[str, Memory], *, tenant: int
) -> dict[tuple[str, int], dict[str, Any]]:
    """Return the bases of the steps that made the orders nobody has signed yet."""
    numbers = {
        instance: sorted({order.step for order in memory.orders if order.unsigned})
        for instance, memory in memories.items()
    }
    rows = decisions.ask_numbers(tx, who, pathway.name, numbers, tenant=tenant)()
    return {(row.instance, row.number): {"at": row.at.isoformat(), **row.basis} for row in rows}


def _same_person(stored: Json, given: Json) -> bool:
    """Return whether two Patients of one id are one person: they share an identifier.

    Nothing else tells it: a birth date, and a number of nobody knows which system, are of many people.
    """
    return bool(_identifiers(stored) & _identifiers(given))


def _identifiers(patient: Json) -> set[tuple[str, str]]:
    stated = ((i.get("system", ""), i.get("value", "")) for i in patient.get("identifier", ()))
    return {(system, value) for system, value in stated if system and value}


def _over(stored: Record, given: Sequence[Entry], people: Mapping[str, str]) -> Record:
    """Return the stored record with what was given over it, received after everything else.

    What is the same stays as it was received. What is not given is not gone: who asks may give a part.
    """
    before = {entry.reference: entry for entry in stored.received}
    own = stored.own
    newer: dict[str, Entry] = {}
    last = max((entry.seq for entry in stored.received), default=0)
    for entry in given:
        known = before.get(entry.reference)
        if entry.reference in own or (known is not None and _same_content(known.body, entry.body)):
            continue
        last += 1
        version = known.version + 1 if known is not None else 1
        newer[entry.reference] = structs.replace(entry, version=version, seq=last)
    patient = newer.get(stored.patient.reference, stored.patient)
    kept = tuple(entry for entry in stored.received if entry.reference not in newer)
    return replace(
        stored,
        patient=patient,
        received=(*kept, *newer.values()),
        people={**people, **stored.people},
    )


def _same_content(stored: Json, given: Json) -> bool:
    """Return whether two versions say the same; what a server notes about them says nothing."""
    return {k: v for k, v in stored.items() if k != "meta"} == {k: v for k, v in given.items() if k != "meta"}
