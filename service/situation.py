"""Where an instance of a pathway stands, read from the store, for those who ask the rules about it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from fhir_profiles import canonical
from pathways import catalogue, parameters
from pathways.definition import Pathway
from pathways.memory import Memory
from pathways.outlook import Situation
from pathways.record import Entry
from pathways.steps import PERSON
from service import record
from service.record import entry
from service.store import decisions, driver, resources
from service.store import parameters as site_parameters
from service.store.resources import Identity, Stored

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


class Facts(NamedTuple):
    """What is stored of a patient, as the rules read it."""

    received: Sequence[Entry]
    #: what the engine made
    own: Sequence[Entry]

    @property
    def people(self) -> set[Identity]:
        """Return who recorded or decided something."""
        return record.people(self.received)


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
) -> Situation | None:
    """Return how an instance stands; None where nothing is remembered of it, or its patient is not stored.

    Args:
        remembered: as `memories` returns it.
    """
    with driver.together(tx):
        facts = ask_facts(tx, which.patient, tenant=tenant)
        chosen = site_parameters.ask_current(tx)
    found = facts()
    with driver.together(tx):
        known = resources.ask_all(tx, found.people, tenant=tenant)
    return of(pathway, which, remembered, found, known().values(), chosen=chosen())


def ask_facts(
    tx: Connection,
    patient: str,
    *,
    tenant: int,
    types: Sequence[str] = TYPES,
    owned: Sequence[str] = ANSWERED,
) -> Callable[[], Facts]:
    """Ask for what is stored of a patient, and return how to get it after a block of `together`.

    Args:
        types: of what was received.
        owned: of what the engine made.
    """
    received = resources.ask_of_patient(
        tx,
        patient,
        types=types,
        codes=catalogue.codes(),
        owned=False,
        withdrawn=record.FACTS,
        tenant=tenant,
    )
    own = resources.ask_of_patient(tx, patient, types=owned, owned=True, tenant=tenant)
    return lambda: Facts([entry(stored) for stored in received()], [entry(stored) for stored in own()])


def of(
    pathway: Pathway,
    which: Instance,
    remembered: Mapping[str, Mapping[str, Any]],
    facts: Facts,
    known: Iterable[Stored],
    *,
    chosen: Mapping[str, object],
) -> Situation | None:
    """Return how an instance stands, of what was read of it; None as `read` returns it.

    Args:
        known: the people of the facts.
        chosen: what the site has changed.
    """
    found = record.of(which.patient, facts.received, facts.own, known)
    if found is None or which.side not in remembered:
        return None
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
