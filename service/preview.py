"""What would happen if a code meant something, or a value of the site were another one.

Patients are evaluated twice at the same moment, and nothing is stored.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from msgspec import structs
from sqlalchemy import Connection, text

from pathways import catalogue, cql, foresight, parameters
from pathways.decide import Case
from pathways.definition import Pathway
from pathways.foresight import Effect
from pathways.record import Entry, Record
from service import snapshot
from service.fhir import translation
from service.fhir.translation import Translations
from service.record import entry
from service.snapshot import Snapshot
from service.store import driver, resources, tables
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
    #: the CQL definition that errs already now, or the name of another error: the patient is not evaluated
    failed: str | None = None


def uses(tx: Connection, code: Code, *, tenant: int) -> list[Use]:
    """Return the resources of hospitals that name a code anywhere in what is translated, newest first.

    It goes through all that was received: a second for a million resources.
    """
    found = tx.execute(text(_USES), {**_wanted(code), "tenant": tenant})
    return [Use(**row) for row in found.mappings()]


def uses_of(tx: Connection, code: Code, patients: Collection[str], *, tenant: int) -> dict[str, list[Use]]:
    """Return the same of some patients alone, by patient."""
    found: dict[str, list[Use]] = {patient: [] for patient in patients}
    rows = tx.execute(
        text(_USES_OF), {**_wanted(code), "tenant": tenant, "patients": sorted(found)}
    ).mappings()
    for row in rows:
        found[row["patient"]].append(Use(**row))
    return found


def changed(known: Translations, source: Code, target: Code, *, gives: bool) -> Translations:
    """Return the translations with one more, or without it."""
    others = tuple(t for t in known.get(source, ()) if (t["system"], t["code"]) != target)
    more = ({"system": target[0], "code": target[1]},) if gives else ()
    return {**known, source: (*others, *more)}


def written(effects: Sequence[Effect]) -> str:
    """Return effects as text, which `read` reads."""
    return json.dumps(
        [
            {
                "pathway": effect.pathway.name,
                "instance": effect.instance,
                "now": effect.now,
                "then": effect.then,
                "taken": effect.taken,
                "spared": effect.spared,
                "raised": effect.raised,
                "failed": effect.failed,
            }
            for effect in effects
        ],
        ensure_ascii=False,
    )


def read(text: str, pathways: Sequence[Pathway]) -> tuple[Effect, ...]:
    """Return effects that were written; without those of a pathway that is not installed any more."""
    by_name = {pathway.name: pathway for pathway in pathways}
    return tuple(
        Effect(
            pathway=by_name[each["pathway"]],
            instance=each["instance"],
            now=each["now"],
            then=each["then"],
            taken=tuple(each["taken"]),
            spared=tuple(each["spared"]),
            raised=tuple(each["raised"]),
            failed=each["failed"],
        )
        for each in json.loads(text)
        if each["pathway"] in by_name
    )


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
    with driver.together(tx):
        answer = resources.ask_all(tx, {(use.type, use.id) for use in uses}, tenant=tenant)
    otherwise = {
        found.reference: translated
        for found in answer().values()
        if not found.deleted and (translated := _received_now(found, changed, seen.now)) is not None
    }
    if seen.record is None or not otherwise:
        return Preview(patient=patient, effects=())
    record = _with(seen.record, otherwise)
    return _compared(patient, seen, (seen.record, record), (seen.chosen, seen.chosen), tenant=tenant)


def of_values(tx: Connection, patient: str, chosen: Mapping[str, object], *, tenant: int) -> Preview:
    """Return what would happen to a patient if the site had chosen other values.

    Args:
        chosen: what the site would have changed, `profile` among it.
    """
    seen = snapshot.read(tx, patient, catalogue.pathways(), tenant=tenant)
    if seen.record is None:
        return Preview(patient=patient, effects=())
    return _compared(patient, seen, (seen.record, seen.record), (seen.chosen, chosen), tenant=tenant)


def watched(tx: Connection, *, tenant: int) -> list[str]:
    """Return the ids of the patients with a plan that has not ended for good, sorted."""
    return list(tx.execute(text(_WATCHED), {"tenant": tenant}).scalars())


_WATCHED = f"""
    SELECT DISTINCT patient FROM resource
    WHERE tenant = :tenant AND type = 'CarePlan' AND {tables.OF_WORK}
        AND status = ANY('{{active,on-hold,completed}}') AND patient IS NOT NULL
    ORDER BY patient
"""  # noqa: S608 - constants of this module and of the store
# The system may stand before the code or behind it; a resource that has both apart is looked at for nothing.
_NAMING = """
    SELECT patient, type, id, sender, received FROM resource
    WHERE tenant = :tenant AND type = ANY(:types) AND patient IS NOT NULL
        AND NOT owned AND NOT deleted AND body ~ :code AND body ~ :system
"""
_USES = f"{_NAMING} ORDER BY seq DESC"
_USES_OF = f"{_NAMING} AND patient = ANY(:patients) ORDER BY seq DESC"


def _wanted(code: Code) -> dict[str, object]:
    """Return the parameters that say which resources name a code."""
    system, named = (re.escape(json.dumps(part, ensure_ascii=False)) for part in code)
    return {"types": list(translation.TRANSLATED), "code": named, "system": system}


def _received_now(found: Stored, changed: Translations, now: datetime) -> Entry | None:
    """Return a resource as its next version would be; None where nothing would be different."""
    known = entry(found)
    body = translation.applied(known.body, changed)
    if body is known.body:
        return None
    return structs.replace(known, version=known.version + 1, received=now, body=dict(body))


def _with(record: Record, otherwise: Mapping[str, Entry]) -> Record:
    """Return the record with these instead of what it has of them, received after everything else."""
    kept = tuple(each for each in record.received if each.reference not in otherwise)
    last = max((each.seq for each in record.received), default=0)
    later = sorted(otherwise.values(), key=lambda each: each.seq)
    return replace(
        record,
        received=(*kept, *(structs.replace(each, seq=last + n) for n, each in enumerate(later, start=1))),
    )


def _compared(
    patient: str,
    seen: Snapshot,
    records: tuple[Record, Record],
    chosen: tuple[Mapping[str, object], Mapping[str, object]],
    *,
    tenant: int,
) -> Preview:
    """Return what would be different: of two records and two choices the first is as it is."""
    found: list[Effect] = []
    installed = catalogue.pathways()
    try:
        for pathway in installed:
            now, then = (
                Case(
                    tenant=tenant,
                    record=record,
                    memories=seen.memories[pathway.name],
                    moment=seen.moment,
                    history=seen.history[pathway.name],
                    site=parameters.resolve(pathway, parameters.concerning(pathway, values)),
                    answers_strays=pathway is installed[0],
                )
                for record, values in zip(records, chosen, strict=True)
            )
            found += foresight.effects(pathway, now, then)
    except cql.EvaluationFailed as fault:
        return Preview(patient=patient, effects=(), failed=fault.definition)
    return Preview(patient=patient, effects=tuple(found))
