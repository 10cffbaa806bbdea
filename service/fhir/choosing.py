"""What is written: of the entries about one resource the one whose content it gets, and what may change.

http://hl7.org/fhir/R4/http.html#transaction
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from service.fhir import ownership, removal
from service.fhir.entries import Entry
from service.fhir.placing import Place
from service.fhir.refusals import Issue, NotValid
from service.store import content, resources
from service.store.resources import Identity, Stored, VersionConflict, Write

Json = Mapping[str, Any]


def chosen(
    entries: Sequence[Entry], places: Mapping[int, Place], visit: Mapping[int, Json]
) -> dict[Identity, Entry]:
    """Return the entry whose content each resource gets: a PUT, else the POST that creates it.

    Raises:
        NotValid: two entries put different content into one resource.
    """
    found: dict[Identity, Entry] = {}
    faults = []
    # Removed first, it would not be what the condition of the POST means.
    posted = {(entry.type, places[entry.index].id) for entry in entries if entry.method == "POST"}
    for entry in entries:
        place = places[entry.index]
        identity = (entry.type, place.id)
        other = found.get(identity)
        if entry.removes and identity in posted:
            text = "a POST finds or makes the same resource; a transaction names each one once"
            faults.append(Issue(code="duplicate", text=text, expression=f"Bundle.entry[{entry.index}]"))
        elif entry.method == "POST":
            if place.head is None and other is None:
                found[identity] = entry
        elif other is None or other.method == "POST":
            found[identity] = entry
        elif entry.method != other.method:
            text = f"entry {other.index} is about the same resource; a transaction names each one once"
            faults.append(Issue(code="duplicate", text=text, expression=f"Bundle.entry[{entry.index}]"))
        elif content.digest(visit[other.index]) != content.digest(visit[entry.index]):
            text = f"entry {other.index} puts other content into the same resource"
            faults.append(Issue(code="duplicate", text=text, expression=entry.at))
    if faults:
        raise NotValid(*faults)
    return found


def lock(
    tx: Connection, by_identity: Mapping[Identity, Entry], places: Mapping[int, Place], *, tenant: int
) -> dict[Identity, Stored]:
    """Return, locked, what is removed or is the engine's: what the engine writes meanwhile is not undone."""
    heads = {identity: (entry, places[entry.index].head) for identity, entry in by_identity.items()}
    wanted = {identity for identity, (entry, head) in heads.items() if head and (head.owned or entry.removes)}
    return resources.lock(tx, wanted, tenant=tenant)


def writes(
    by_identity: Mapping[Identity, Entry],
    places: Mapping[int, Place],
    visit: Mapping[int, Json],
    patients: Mapping[int, str | None],
    locked: Mapping[Identity, Stored],
) -> list[Write]:
    """Return one write for each resource that may change."""
    found = []
    for (type_, id_), entry in by_identity.items():
        stored = locked.get((type_, id_))
        if entry.removes:
            found += _removal(entry, stored, (type_, id_))
            continue
        place = places[entry.index]
        body = visit[entry.index]
        if stored:
            body = ownership.merged(stored.resource, body, at=entry.at)
        else:
            ownership.refuse_reserved(body, id_, at=entry.at)
        found.append(
            Write(
                type=type_,
                id=id_,
                body=body,
                patient=stored.patient if stored else patients[entry.index],
                fresh=place.head is None,
                if_version=entry.if_version,
                also=place.also,
                # A conditional update that finds nothing and names no id creates, as a POST does.
                posted=entry.method == "POST" or place.made,
            )
        )
    return found


def _removal(entry: Entry, stored: Stored | None, identity: Identity) -> list[Write]:
    """Return the write that removes the resource; none where there never was one."""
    if stored is None:
        if entry.if_version is not None:
            raise VersionConflict(identity)
        return []
    if stored.owned or ownership.is_of_joining(stored.type, stored.id):
        ownership.refuse_removal(stored.resource, at=f"Bundle.entry[{entry.index}].request.url")
    return [removal.write(stored, if_version=entry.if_version)]
