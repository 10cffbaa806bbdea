"""What would happen if codes meant something: patients who have them, evaluated twice, and nothing stored."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, text

from pathways import catalogue, cql, foresight, parameters
from pathways.decide import Case
from pathways.foresight import Effect
from pathways.record import Entry, Record
from service import snapshot
from service.fhir import translation
from service.fhir.translation import Translations
from service.record import entry
from service.snapshot import Snapshot
from service.store import resources
from service.store.resources import Stored

#: (system, code)
Code = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One resource that names a code."""

    patient: str
    type: str
    id: str
    sender: str
    received: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What would happen to one patient."""

    patient: str
    effects: tuple[Effect, ...]
    #: the CQL definition that errs already now: the patient is not evaluated at all
    failed: str | None = None


def uses(tx: Connection, code: Code, *, tenant: int) -> list[Use]:
    """Return the resources of hospitals that name a code anywhere in what is translated, newest first.

    It goes through all that was received: a second for a million resources.
    """
    system, named = (re.escape(json.dumps(part, ensure_ascii=False)) for part in code)
    found = tx.execute(
        text(_USES),
        {"tenant": tenant, "types": list(translation.TRANSLATED), "code": named, "system": system},
    )
    return [Use(**row) for row in found.mappings()]


def of(
    tx: Connection,
    patient: str,
    changed: Translations,
    uses: Sequence[Use],
    *,
    tenant: int,
) -> Preview:
    """Return what would happen to a patient if other translations held.

    Args:
        changed: those that would hold.
        uses: the patient's resources that may be translated otherwise.
    """
    installed = catalogue.pathways()
    seen = snapshot.read(tx, patient, installed, tenant=tenant)
    with resources.together(tx):
        answer = resources.ask_all(tx, {(use.type, use.id) for use in uses}, tenant=tenant)
    otherwise = {
        found.reference: translated
        for found in answer().values()
        if not found.deleted and (translated := _received_now(found, changed, seen.now)) is not None
    }
    if seen.record is None or not otherwise:
        return Preview(patient=patient, effects=())
    record = _with(seen.record, otherwise)
    try:
        found_effects = tuple(_effects(seen, seen.record, record, tenant=tenant))
    except cql.EvaluationFailed as fault:
        return Preview(patient=patient, effects=(), failed=fault.definition)
    return Preview(patient=patient, effects=found_effects)


# The system may stand before the code or behind it; a resource that has both apart is looked at for nothing.
_USES = """
    SELECT patient, type, id, sender, received FROM resource
    WHERE tenant = :tenant AND type = ANY(:types) AND patient IS NOT NULL
        AND NOT owned AND NOT deleted AND body ~ :code AND body ~ :system
    ORDER BY seq DESC
"""


def _received_now(found: Stored, changed: Translations, now: datetime) -> Entry | None:
    """Return a resource as its next version would be; None where nothing would be different."""
    known = entry(found)
    body = translation.applied(known.body, changed)
    if body is known.body:
        return None
    return replace(known, version=known.version + 1, received=now, body=dict(body))


def _with(record: Record, otherwise: Mapping[str, Entry]) -> Record:
    """Return the record with these instead of what it has of them, received after everything else."""
    kept = tuple(each for each in record.received if each.reference not in otherwise)
    last = max((each.seq for each in record.received), default=0)
    later = sorted(otherwise.values(), key=lambda each: each.seq)
    return replace(
        record,
        received=(*kept, *(replace(each, seq=last + n) for n, each in enumerate(later, start=1))),
    )


def _effects(seen: Snapshot, record: Record, otherwise: Record, *, tenant: int) -> Iterator[Effect]:
    installed = catalogue.pathways()
    for pathway in installed:
        chosen = parameters.concerning(pathway, seen.chosen)
        case = Case(
            tenant=tenant,
            record=record,
            memories=seen.memories[pathway.name],
            moment=seen.moment,
            history=seen.history[pathway.name],
            site=parameters.resolve(pathway, chosen),
            answers_strays=pathway is installed[0],
        )
        yield from foresight.effects(pathway, case, otherwise)
