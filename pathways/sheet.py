"""The resources of one evaluation as they are written, and what every renderer needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fhir_profiles import canonical
from pathways import identity
from pathways.definition import Pathway
from pathways.record import Json

DEVICE = {"reference": "Device/hipway-engine", "display": "hipway pathway engine"}


@dataclass(slots=True, kw_only=True)
class Sheet:
    """The resources written so far. A resource of an earlier evaluation is taken up before it changes."""

    pathway: Pathway
    tenant: int
    patient: str
    profile: str
    changed: Mapping[str, Any]
    stored: Mapping[str, Json]
    engine: str
    #: in which the patient is written to
    language: str
    written: dict[str, Json] = field(default_factory=dict)

    def put(self, resource: Json) -> str:
        """Write a resource and return its reference."""
        reference = f"{resource['resourceType']}/{resource['id']}"
        self.written[reference] = resource
        return reference

    def get(self, reference: str) -> Json | None:
        """Return a resource to change, from this evaluation or an earlier one."""
        if reference not in self.written and reference in self.stored:
            self.written[reference] = dict(self.stored[reference])
        return self.written.get(reference)

    def derive(self, *parts: object) -> str:
        """Return the id derived from these parts, for this patient and pathway."""
        return identity.derive(self.tenant, self.patient, self.pathway.name, *parts)


def instant(at: datetime) -> str:
    """Return an instant as FHIR writes it, in UTC."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def side_extension(pathway: Pathway, instance: str) -> list[Json]:
    """Return the extension that says which side a resource is about; none where there is no side."""
    side = pathway.sides.get(instance)
    return [{"url": canonical.SIDE, "valueCoding": side.coding}] if side else []


def present(resource: Json) -> Json:
    """Return the resource without the elements that have nothing in them: FHIR has no empty ones."""
    return {name: value for name, value in resource.items() if value not in (None, [], {}, "")}
