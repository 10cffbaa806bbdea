"""What became of versions that were received: asked of the record and the log when somebody wants to know."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from pathways import catalogue, parameters
from pathways.definition import Pathway
from pathways.disposition import Disposition, Kind, Past, dispositions
from pathways.record import Entry, Record
from service import snapshot
from service.record import entry
from service.snapshot import Snapshot
from service.store import decisions, joinings, resources, standings
from service.store.resources import Stored

#: of several pathways the one that did most with a version tells
FIRST = (Kind.USED, Kind.REJECTED, Kind.HELD, Kind.WAITING, Kind.NO_EFFECT)


def of(tx: Connection, patient: str, references: Collection[str], *, tenant: int) -> dict[str, Disposition]:
    """Return what became of these versions; those that are not about the patient are left out.

    Args:
        references: `Type/id/_history/version`.
    """
    installed = catalogue.pathways()
    # What was received about a record that was joined with another is told where it is kept now.
    holder = joinings.last(tx, patient, tenant=tenant)
    known_as = {patient, holder}
    seen = snapshot.read(tx, holder, installed, tenant=tenant)
    if seen.record is None:
        return {}
    names = [_name(reference) for reference in references]
    asked = resources.versions(tx, names, tenant=tenant).values()
    about = [stored for stored in asked if stored.patient in known_as and not stored.owned]
    record, superseded = _with(seen.record, about)
    found: dict[str, Disposition] = {}
    for pathway in installed:
        past = replace(_past(tx, holder, pathway, seen, tenant=tenant), superseded=superseded)
        site = parameters.resolve(pathway, parameters.concerning(pathway, seen.chosen))
        for one in dispositions(pathway, record, past, zone=ZoneInfo(str(site["site.timeZone"]))):
            known = found.get(one.reference)
            if known is None or FIRST.index(one.kind) < FIRST.index(known.kind):
                found[one.reference] = one
    return {reference: found[reference] for reference in references if reference in found}


def _name(reference: str) -> tuple[str, str, int]:
    type_, id_, _, version = reference.split("/")
    return type_, id_, int(version)


def _with(record: Record, about: Collection[Stored]) -> tuple[Record, tuple[Entry, ...]]:
    """Return the record with these versions, also those that no rule reads; and those that are old."""
    current = {each.reference: each for each in record.received}
    old = []
    for stored in sorted(about, key=lambda stored: stored.version):
        read = entry(stored)
        known = current.setdefault(read.reference, read)
        if known.version > read.version:
            old.append(read)
        elif known.version < read.version:
            old.append(known)
            current[read.reference] = read
    received = tuple(sorted(current.values(), key=lambda each: each.seq))
    return replace(record, received=received), tuple(old)


def _past(tx: Connection, patient: str, pathway: Pathway, seen: Snapshot, *, tenant: int) -> Past:
    instances = [instance for name, instance in seen.latest if name == pathway.name]
    rows: Mapping[str, list[decisions.Row]] = {
        instance: decisions.of_instance(tx, patient, pathway.name, instance, tenant=tenant)
        for instance in instances
    }
    return Past(
        memories=seen.memories[pathway.name],
        bases=[row.basis for of_instance in rows.values() for row in of_instance],
        unread_since=standings.unread_since(tx, patient, tenant=tenant),
    )
