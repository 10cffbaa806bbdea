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
from service.store.resources import Head, Identity, Stored, VersionConflict, Write
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

    @property
    def patients(self) -> list[str]:
        """Return the patient, if there is one."""
        return [self.patient] if self.patient else []

    @property
    def versions(self) -> list[str]:
        """Return `Type/id/_history/version` of what is stored."""
        return [head.versioned for head in self.stored]


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
        besides: called last, with what is returned, in a block of `driver.together`, which is that of the
            writes unless something is read, removed or joined after them. It may not wait for a result, and
            should leave nothing but statements: the database may still refuse all of it.

    Raises:
        Refusal: the transaction must be rolled back.
    """
    try:
        settled = _settled(tx, asked_for, tenant=tenant, base=base, repeatable=repeatable)
        return _written(tx, settled, tenant=tenant, sender=sender, base=base, besides=besides)
    except VersionConflict as conflict:
        raise OutOfDate(*_outdated(conflict, asked_for)) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settled:
    """What a Bundle comes to, with all names followed and the locks taken; nothing is written yet."""

    asked_for: Sequence[Entry | Read]
    #: patches applied
    entries: Sequence[Entry]
    #: by entry, as are the resources of the visit
    places: Mapping[int, Place]
    visit: Mapping[int, Json]
    joined: joining.Joined
    #: the entry whose content each resource gets
    chosen: Mapping[Identity, Entry]
    #: what is removed or is the engine's, as it is stored
    locked: Mapping[Identity, Stored]
    writes: Sequence[Write]
    #: the id alone
    patient: str | None
    #: None: there is nobody to evaluate
    due: settling.Due | None
    at: Site

    @property
    def is_followed(self) -> bool:
        """Return whether something is read, or joined, after the writes."""
        return any(
            isinstance(entry, Read)
            or entry.removes
            or (entry.type == "Patient" and persons.is_replaced(self.visit[entry.index]))
            for entry in self.asked_for
        )

    def accepted(
        self,
        saved: Mapping[Identity, Head],
        patient: str | None,
        hints: Mapping[int, str],
        answers: Mapping[int, Json],
    ) -> Accepted:
        """Return what becomes of the Bundle.

        Args:
            saved: what each resource that an entry is about is then.
            patient: whom it is about then.
            hints: what is told of an entry besides.
            answers: to the entries that read.
        """
        before = tuple(self.places[entry.index].head for entry in self.entries)
        after = tuple(saved.get((entry.type, self.places[entry.index].id)) for entry in self.entries)
        # Every resource that is not there is created by one entry, or removed.
        if not all(head or entry.removes for head, entry in zip(after, self.entries, strict=True)):
            raise AssertionError("an entry was neither stored nor found")
        changed = any(
            new is not None and (old is None or old.version != new.version)
            for old, new in zip(before, after, strict=True)
        )
        return Accepted(
            response=_response({**lines.of(self.entries, before, after, hints), **answers}),
            patient=patient,
            changed=changed,
            due=self.due if changed else None,
            stored=tuple(head for head in after if head),
        )


def _settled(
    tx: Connection, asked_for: Sequence[Entry | Read], *, tenant: int, base: str, repeatable: bool
) -> _Settled:
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
    return _Settled(
        asked_for=asked_for,
        entries=entries,
        places=places,
        visit=visit,
        joined=joined,
        chosen=chosen,
        locked=locked,
        writes=choosing.writes(chosen, places, visit, patients, locked),
        patient=patient,
        due=_due(list(visit.values()), at) if patient else None,
        at=at,
    )


def _written(
    tx: Connection,
    of: _Settled,
    *,
    tenant: int,
    sender: str,
    base: str,
    besides: Callable[[Accepted], None] | None,
) -> Accepted:
    now, patient, due = of.at.clock.now, of.patient, of.due
    # A FHIR instant has milliseconds; the stored moment is the one that is shown.
    received = now.replace(microsecond=now.microsecond // 1000 * 1000)
    seen = {head.identity: head for place in of.places.values() if (head := place.head)}
    hints = {entry.index: hint for entry in of.entries if (hint := joining.told(of.joined, entry))}

    def promise() -> None:
        if patient and due:
            promises.want(tx, patient, tenant=tenant, due_at=due.at, received=now, settles=due.settles)

    prepared = driver.alone(tx, resources.preparing(tx, of.writes, tenant=tenant, seen=seen))
    is_followed = of.is_followed
    with driver.together(tx):
        saved = resources.ask_to_write(
            tx, prepared, tenant=tenant, now=received, sender=sender, besides=promise
        )
        if not is_followed:
            accepted = of.accepted(saved, patient, hints, {})
            if besides:
                besides(accepted)
    if is_followed:
        accepted = _followed_up(tx, of, saved, hints, tenant=tenant, sender=sender, base=base)
        if besides:
            with driver.together(tx):
                besides(accepted)
    return accepted


def _followed_up(
    tx: Connection,
    of: _Settled,
    saved: Mapping[Identity, Head],
    hints: Mapping[int, str],
    *,
    tenant: int,
    sender: str,
    base: str,
) -> Accepted:
    """Do what comes after the writes, and return what becomes of the Bundle."""
    for identity, entry in of.chosen.items():
        if entry.removes and identity in of.locked and not of.locked[identity].deleted:
            removal.refuse_referred(
                tx, of.locked[identity], at=f"Bundle.entry[{entry.index}].request.url", tenant=tenant
            )
    patient, saved, hints = of.patient, dict(saved), dict(hints)
    for entry in of.entries:
        place, body = of.places[entry.index], of.visit[entry.index]
        replaced = joining.carry_out(tx, entry, place.id, body, of.joined, sender, tenant)
        if replaced is not None:
            hints[entry.index] = replaced.told
            if replaced.patient:
                patient = replaced.patient
                # A joining writes a version more of the Patient and of what is about it.
                saved |= {head.identity: head for head in resources.look_up(tx, saved, tenant=tenant)}
    # After everything else, as the transaction leaves it.
    answers = {
        read.index: inside.answer(tx, read, base=base, tenant=tenant)
        for read in of.asked_for
        if isinstance(read, Read)
    }
    return of.accepted(saved, patient, hints, answers)


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
