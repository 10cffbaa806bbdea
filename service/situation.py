"""Where an instance of a pathway stands, read from the store, for those who ask the rules about it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection

from fhir_profiles import canonical
from pathways import catalogue, parameters
from pathways.definition import Pathway
from pathways.memory import Memory
from pathways.outlook import Situation
from pathways.steps import PERSON
from service import record
from service.record import entry
from service.store import decisions, driver, resources
from service.store import parameters as site_parameters

#: what rules read
TYPES = ("Observation", "Procedure", "DiagnosticReport", "BodyStructure", "Patient")
#: of what the engine made: a result must be of the side of the order it answers
ANSWERED = ("ServiceRequest",)
PLAN_IDENTIFIERS = canonical.identifiers("care-plan")


class Instance(NamedTuple):
    """Which instance a CarePlan renders."""

    patient: str
    pathway: str
    side: str


def instance(plan: Mapping[str, Any]) -> Instance:
    """Return which instance a CarePlan renders: the identifier it carries names it."""
    for identifier in plan.get("identifier", ()):
        if identifier.get("system") == PLAN_IDENTIFIERS:
            return Instance(*[*str(identifier.get("value", "")).rsplit(".", 2), "", ""][:3])
    return Instance(str(plan.get("subject", {}).get("reference", "")).partition("/")[2], "", "")


def pathway_of(plan: Mapping[str, Any], pathways: tuple[Pathway, ...]) -> Pathway | None:
    """Return the pathway a plan follows: its version, or the one that replaced it."""
    canonicals = [str(canonical) for canonical in plan.get("instantiatesCanonical", ())]
    same = [p for p in pathways if any(c.partition("|")[0] == p.url for c in canonicals)]
    return next((p for p in same if p.canonical in canonicals), same[0] if same else None)


def memories(tx: Connection, which: Instance, *, tenant: int) -> Mapping[str, Mapping[str, Any]]:
    """Return what is remembered of the patient's instances of this pathway, by side."""
    return decisions.memories(tx, which.patient, which.pathway, tenant=tenant)


def read(
    tx: Connection,
    pathway: Pathway,
    which: Instance,
    remembered: Mapping[str, Mapping[str, Any]],
    *,
    tenant: int,
    chosen: Mapping[str, object] | None = None,
) -> Situation | None:
    """Return how an instance stands; None where nothing is remembered of it, or its patient is not stored.

    Args:
        remembered: as `memories` returns it.
        chosen: what the site has changed, where this transaction has read it.
    """
    with driver.together(tx):
        received = resources.ask_of_patient(
            tx,
            which.patient,
            types=TYPES,
            codes=catalogue.codes(),
            owned=False,
            withdrawn=record.FACTS,
            tenant=tenant,
        )
        own = resources.ask_of_patient(tx, which.patient, types=ANSWERED, owned=True, tenant=tenant)
    entries = [entry(stored) for stored in received()]
    with driver.together(tx):
        people = resources.ask_all(tx, record.people(entries), tenant=tenant)
    found = record.of(which.patient, entries, map(entry, own()), people().values())
    if found is None or which.side not in remembered:
        return None
    if chosen is None:
        chosen = site_parameters.current(tx)
    others = (
        Memory.from_json(memory).stage
        for side, memory in remembered.items()
        if side not in (which.side, PERSON)
    )
    return Situation(
        pathway,
        found,
        Memory.from_json(remembered[which.side]),
        which.side,
        site=parameters.resolve(pathway, parameters.concerning(pathway, chosen)),
        other_stage=next(others, None),
    )
