"""What is left of a patient, without ids: two patients with one story have equal ones."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from service.store import decisions, resources
from service.stories import collecting, orders, shorthand
from service.stories.collecting import Record

TYPES = (*collecting.SEARCHED, "CarePlan", "Provenance")

#: one line for each thing that is there: everything the engine made, and each decision
Fingerprint = tuple[str, ...]


def record(tx: Connection, patient: str) -> Record:
    """Return what the engine made for the patient, as a story's placeholders are read against it."""
    found = [
        stored.resource for stored in resources.of_patient(tx, patient, tenant=0, types=TYPES, owned=True)
    ]
    return Record(
        plans=tuple(each for each in found if each["resourceType"] == "CarePlan"),
        others=tuple(each for each in found if each["resourceType"] != "CarePlan" and _counted(each)),
    )


def of(tx: Connection, patient: str, instances: Mapping[str, tuple[str, ...]]) -> Fingerprint:
    """Return the patient's fingerprint.

    Args:
        instances: the sides of each pathway, by its name.
    """
    made = [
        _line(stored.type, stored.version, stored.resource)
        for stored in resources.of_patient(tx, patient, tenant=0, types=TYPES, owned=True)
    ]
    decided = [
        f"decision {row.instance or '-'} {row.number} {row.rule} at {row.at.isoformat()}"
        for pathway, sides in instances.items()
        for side in (*sides, "")
        for row in decisions.of_instance(tx, patient, pathway, side, tenant=0)
    ]
    return tuple(sorted(made + decided))


def _counted(resource: Mapping[str, Any]) -> bool:
    return resource["resourceType"] != "ServiceRequest" or resource.get("intent") == "proposal"


def _line(type_: str, version: int, resource: Mapping[str, Any]) -> str:
    short = shorthand.output(resource, orders.names()) or shorthand.transition(resource)
    if type_ == "CarePlan":
        short = f"{shorthand.side(resource)} {shorthand.stage(resource)} {shorthand.holds(resource)}"
    when = next((resource[name] for name in ("authoredOn", "created", "recorded") if name in resource), "")
    return (
        f"{type_} {short} {resource.get('intent', '')} {resource.get('status', '')} {when} version {version}"
    )
