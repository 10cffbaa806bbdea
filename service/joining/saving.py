"""What a joining or a parting writes: data with those who sent them, and what the engine makes of it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from service import outputs
from service.fhir import ownership
from service.fhir.refusals import Issue, Referred
from service.joining.facts import Held
from service.joining.plans import Setting
from service.store import content, decisions, resources
from service.store.decisions import Row
from service.store.resources import Head, Identity, Write

Json = Mapping[str, Any]

ENGINE = "hipway-engine"

#: http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle
LIFECYCLE = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
#: what was done, by its code and its display there
MERGE = ("merge", "Merge Record Lifecycle Event")
UNMERGE = ("unmerge", "Unmerge Record Lifecycle Event")
PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"


def moved(
    tx: Connection, writes: Iterable[tuple[Held, Write]], *, tenant: int, now: datetime
) -> dict[Identity, int]:
    """Store what is about another patient now, in the order of receipt, and return the new versions."""
    # The order of receipt within each sender is kept; who of two senders was first no rule asks.
    by_sender: dict[str, list[Write]] = {}
    for held, write in writes:
        by_sender.setdefault(held.sender, []).append(write)
    found: dict[Identity, int] = {}
    for sender, theirs in by_sender.items():
        heads = resources.save(tx, theirs, tenant=tenant, now=now, sender=sender)
        found |= {head.identity: head.version for head in heads}
    return found


def of_engine(tx: Connection, written: Iterable[Json], patient: str, *, tenant: int, now: datetime) -> None:
    """Store what the engine makes for a patient.

    Raises:
        NotRenderable: one of them is not valid.
        Referred: somebody else has stored a resource under one of these ids.
    """
    every = list(written)
    for resource in every:
        outputs.check(dict(resource))
    writes = [
        Write(
            type=resource["resourceType"],
            id=resource["id"],
            body=resource,
            patient=None if resource["resourceType"] == "Device" else patient,
            owned=True,
        )
        for resource in every
    ]
    heads = resources.look_up_or_lock(tx, writes, tenant=tenant)
    for head in heads.values():
        if not head.owned:
            text = f"{head.type}/{head.id} is not the pathway's, and a plan needs this id; remove it first"
            raise Referred(Issue(code="conflict", text=text))
    resources.save(tx, writes, tenant=tenant, now=now, sender=ENGINE, seen=heads)


def patients(
    of: Setting, source: Json, target: Json, who: str, activity: tuple[str, str]
) -> dict[Identity, Head]:
    """Store the two Patients as they say that they are one or two, and who said so.

    Args:
        activity: MERGE or UNMERGE.
    """
    writes = [
        Write(type="Patient", id=of.source, body=source, patient=of.source),
        Write(type="Patient", id=of.target, body=target, patient=of.target),
    ]
    saved = resources.save(of.tx, writes, tenant=of.tenant, now=of.at, sender=who)
    targets = [head.versioned for head in saved]
    said = _provenance(of.run, activity, targets, who, content.instant(of.at))
    write = Write(type="Provenance", id=said["id"], body=said, patient=of.target, fresh=True)
    resources.save(of.tx, [write], tenant=of.tenant, now=of.at, sender=ENGINE)
    return {head.identity: head for head in saved}


def log(tx: Connection, rows: Sequence[Row], *, tenant: int) -> None:
    """Append to the logs of one or two records."""
    for patient in dict.fromkeys(row.patient for row in rows):
        theirs = [row for row in rows if row.patient == patient]
        decisions.append_carried(tx, theirs, tenant=tenant)


def _provenance(
    run: UUID, activity: tuple[str, str], targets: Sequence[str], who: str, at: str
) -> dict[str, Any]:
    """Return who joined or parted two records, and when. It is told here alone: no hospital gets it.

    http://hl7.org/fhir/R4/provenance.html
    """
    is_person = who.startswith("Practitioner/")
    code, display = activity
    return {
        "resourceType": "Provenance",
        "id": f"{ownership.JOININGS}{run}",
        "target": [{"reference": reference} for reference in targets],
        "occurredDateTime": at,
        "recorded": at,
        "activity": {"coding": [{"system": LIFECYCLE, "code": code, "display": display}]},
        "agent": [
            {
                "type": {"coding": [{"system": PARTICIPANT, "code": "author", "display": "Author"}]},
                "who": {"reference": who} if is_person else {"display": who},
            }
        ],
    }
