"""FHIR transaction: the only way a record changes from outside, whole or not at all.

    entries -> gate -> places (locks) -> references -> one patient -> translations
    -> resources saved and the promise, in one database transaction -> response

http://hl7.org/fhir/R4/http.html#transaction
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from fhir_profiles import gate
from service.fhir import (
    choosing,
    inside,
    knowledge,
    lines,
    patching,
    placing,
    removal,
    resolving,
    settling,
    translation,
)
from service.fhir import entries as bundle_entries
from service.fhir import joined as joining
from service.fhir.entries import Entry, Read
from service.fhir.placing import Place
from service.fhir.refusals import Issue, NotValid, OutOfDate
from service.joining import persons
from service.store import driver, horizon, joinings, parameters, promises, referrers, resources, site
from service.store.database import Database
from service.store.resources import Head, Identity, VersionConflict
from service.store.site import Site

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What became of a Bundle."""

    #: the transaction-response
    response: dict[str, Any]
    #: the id alone; None: the Bundle is about nobody
    patient: str | None
    #: whether anything is different now
    changed: bool
    #: when the patient is evaluated; None: nothing to evaluate
    due: settling.Due | None
    #: one per entry that has a version, in their order
    stored: tuple[Head, ...]


def accept(
    database: Database,
    bundle: Json,
    *,
    tenant: int = 0,
    sender: str,
    base: str = "",
    repeatable: bool = True,
) -> Accepted:
    """Store a transaction Bundle and promise the evaluation of its patient.

    Returns after the commit; the caller wakes a worker (`service.broker.wake`) if the
    evaluation is due.

    Args:
        bundle: as read by `fhir_profiles.reading`.
        sender: who sent it; kept with every version.
        base: the service's own FHIR base with a slash at the end; references may begin with it.
        repeatable: the same Bundle sent again creates nothing, POSTs without a condition included.

    Raises:
        Refusal: one of `service.fhir.refusals`; nothing is stored.
    """
    entries = read(bundle, base=base)
    return database.run(
        lambda tx: store(tx, entries, tenant=tenant, sender=sender, base=base, repeatable=repeatable)
    )


def read(bundle: Json, *, base: str = "") -> tuple[Entry | Read, ...]:
    """Return the entries of a transaction Bundle, each with a resource that the gate lets pass.

    Raises:
        Refusal: one of `service.fhir.refusals`.
    """
    entries = bundle_entries.read(bundle, base=base)
    check(entries)
    return entries


def check(entries: Sequence[Entry | Read]) -> None:
    """Have the gate look at each resource.

    Raises:
        NotValid: naming every fault of every entry.
    """
    inside.refuse_many(sum(isinstance(entry, Read) for entry in entries))
    issues = []
    for entry in entries:
        if isinstance(entry, Read) or entry.removes or entry.method == "PATCH":
            continue
        for fault in gate.check(dict(entry.resource)):
            _, _, path = fault.expression.partition(".")
            expression = f"{entry.at}.{path}" if path else entry.at
            issues.append(Issue(code=fault.code, text=fault.text, expression=expression))
    if issues:
        raise NotValid(*issues)


def store(
    tx: Connection,
    asked_for: Sequence[Entry | Read],
    *,
    tenant: int,
    sender: str,
    base: str,
    repeatable: bool,
    besides: Callable[[Accepted], None] | None = None,
) -> Accepted:
    """Store what `read` returned, as `accept` does, in the caller's transaction.

    Args:
        besides: called last, with what is returned, in a block of `driver.together` that it shares with the
            writes unless something is read after them; it may not wait for a result.

    Raises:
        Refusal: the transaction must be rolled back.
    """
    try:
        return _store(
            tx,
            asked_for,
            tenant=tenant,
            sender=sender,
            base=base,
            repeatable=repeatable,
            besides=besides or _nothing,
        )
    except VersionConflict as conflict:
        raise OutOfDate(*_outdated(conflict, asked_for)) from None


def _store(
    tx: Connection,
    asked_for: Sequence[Entry | Read],
    *,
    tenant: int,
    sender: str,
    base: str,
    repeatable: bool,
    besides: Callable[[Accepted], None],
) -> Accepted:
    entries = [entry for entry in asked_for if isinstance(entry, Entry)]
    if any(entry.method == "PATCH" for entry in entries):
        _announce(tx, entries)
        entries = patching.applied(tx, entries, tenant=tenant)
        check([entry for entry in entries if entry.sent])
    links = resolving.Links(entries, base=base)
    needed = links.needed()
    wanted = placing.wanted(
        entries, also=needed.identities, also_by_identifier=needed.by_identifier, repeatable=repeatable
    )
    with driver.together(tx):
        _announce(tx, entries)
        site_asked, asked = site.ask(tx, tenant=tenant), wanted.ask(tx, tenant=tenant)
        joinings_asked = joinings.ask(tx, wanted.patients, tenant=tenant)
    at = site_asked()
    now = at.clock.now
    looked = asked()
    joined = joining.look_up(tx, looked.found, joinings_asked(), tenant=tenant)
    places, known = placing.place(tx, entries, wanted, looked, tenant=tenant)
    visit: dict[int, Json] = dict(links.resolved(places, known))
    joining.refuse(joined, entries, places, visit, links.patients_by_id())
    patients = links.patients(places, visit, known, joining.kept_for(tx, places.values(), tenant=tenant))
    patient = next((patient for patient in patients.values() if patient), None)
    visit = _translated(tx, visit, at, tenant=tenant)
    visit |= {
        e.index: joined.kept(e, places[e.index], visit[e.index]) for e in entries if e.type == "Patient"
    }
    chosen = choosing.chosen(entries, places, visit)
    locked = choosing.lock(tx, chosen, places, tenant=tenant)
    writes = choosing.writes(chosen, places, visit, patients, locked)
    # A FHIR instant has milliseconds; the stored moment is the one that is shown.
    received = now.replace(microsecond=now.microsecond // 1000 * 1000)
    seen = {head.identity: head for place in places.values() if (head := place.head)}
    due = _due(list(visit.values()), at) if patient else None

    def promise() -> None:
        if patient and due:
            promises.want(
                tx, patient, tenant=tenant, due_at=due.at, received=at.clock.now, settles=due.settles
            )

    hints = {entry.index: hint for entry in entries if (hint := joining.told(joined, entry))}
    prepared = driver.alone(tx, resources.preparing(tx, writes, tenant=tenant, seen=seen))
    with driver.together(tx):
        saved = resources.ask_to_write(
            tx, prepared, tenant=tenant, now=received, sender=sender, besides=promise
        )
        if not _is_followed(asked_for, visit):
            accepted = _accepted(entries, places, saved, due, patient, hints, {})
            besides(accepted)
            return accepted
    for identity, entry in chosen.items():
        if entry.removes and identity in locked and not locked[identity].deleted:
            removal.refuse_referred(
                tx, locked[identity], at=f"Bundle.entry[{entry.index}].request.url", tenant=tenant
            )
    for entry in entries:
        replaced = joining.carry_out(
            tx, entry, places[entry.index].id, visit[entry.index], joined, sender, tenant
        )
        if replaced is not None:
            hints[entry.index] = replaced.told
            if replaced.patient:
                patient = replaced.patient
                # A joining writes a version more of the Patient and of what is about it.
                saved |= {head.identity: head for head in resources.look_up(tx, saved, tenant=tenant)}
    # After everything else, as the transaction leaves it.
    answers = {
        read.index: inside.answer(tx, read, base=base, tenant=tenant)
        for read in asked_for
        if isinstance(read, Read)
    }
    accepted = _accepted(entries, places, saved, due, patient, hints, answers)
    with driver.together(tx):
        besides(accepted)
    return accepted


def _is_followed(asked_for: Sequence[Entry | Read], visit: Mapping[int, Json]) -> bool:
    """Return whether something is read, or joined, after what the Bundle holds is written."""
    return any(
        isinstance(entry, Read)
        or entry.removes
        or (entry.type == "Patient" and persons.is_replaced(visit[entry.index]))
        for entry in asked_for
    )


def _accepted(
    entries: Sequence[Entry],
    places: Mapping[int, Place],
    saved: Mapping[Identity, Head],
    due: settling.Due | None,
    patient: str | None,
    hints: Mapping[int, str],
    answers: Mapping[int, Json],
) -> Accepted:
    """Return what becomes of the Bundle.

    Args:
        saved: what each resource that is written is then.
        hints: what is told of an entry besides.
        answers: to the entries that read.
    """
    before = tuple(places[entry.index].head for entry in entries)
    after = tuple(
        saved.get((entry.type, places[entry.index].id)) or _head(entry, places[entry.index])
        for entry in entries
    )
    changed = any(
        new is not None and (old is None or old.version != new.version)
        for old, new in zip(before, after, strict=True)
    )
    return Accepted(
        response=_response({**lines.of(entries, before, after, hints), **answers}),
        patient=patient,
        changed=changed,
        due=due if changed else None,
        stored=tuple(head for head in after if head),
    )


def _nothing(_accepted: Accepted) -> None:
    """Do nothing besides."""


def _outdated(conflict: VersionConflict, asked_for: Sequence[Entry | Read]) -> list[Issue]:
    """Return what is wrong with each entry that may have named the old version."""
    type_, id_ = conflict.identity
    text = f"{conflict} has another version than the one named; read it again and decide anew"
    named = (entry for entry in asked_for if isinstance(entry, Entry) and entry.if_version is not None)
    places: list[str | None] = [
        f"Bundle.entry[{entry.index}].request.ifMatch"
        for entry in named
        if entry.type == type_ and entry.id in (None, id_)
    ]
    return [Issue(code="conflict", text=text, expression=place) for place in places or [None]]


def _announce(tx: Connection, entries: Sequence[Entry]) -> None:
    """Take the locks that come before the clock is read, and before every other; twice is harmless."""
    alone = any(e.type == "Patient" and (e.removes or persons.is_replaced(e.resource)) for e in entries)
    referrers.keep_patients(tx, removing=alone)
    horizon.announce(tx)


def _translated(tx: Connection, visit: Mapping[int, Json], at: Site, *, tenant: int) -> dict[int, Json]:
    """Return the visit with local codes translated, by its own ConceptMaps too."""
    loaded = knowledge.translations(tx, at.concept_maps, tenant=tenant)
    maps = [resource for resource in visit.values() if resource["resourceType"] == "ConceptMap"]
    translations = {**loaded, **translation.of(maps)} if maps else loaded
    return {index: translation.applied(resource, translations) for index, resource in visit.items()}


def _head(entry: Entry, place: Place) -> Head | None:
    # What is not written exists: every resource that does not is created by one entry, or removed.
    if place.head is None and not entry.removes:
        raise AssertionError("an entry was neither stored nor found")
    return place.head


def _due(visit: Sequence[Json], at: Site) -> settling.Due:
    minutes = at.parameters.get("settle.minutes", parameters.SETTLE_MINUTES)
    return settling.due(
        visit,
        clock=at.clock,
        window=timedelta(minutes=float(str(minutes))),
        decision_system=knowledge.DECISION_SYSTEM,
        urgent=knowledge.urgent,
    )


def _response(answered: Mapping[int, Json]) -> dict[str, Any]:
    response: dict[str, Any] = {"resourceType": "Bundle", "type": "transaction-response"}
    return {**response, "entry": [answered[index] for index in sorted(answered)]} if answered else response
