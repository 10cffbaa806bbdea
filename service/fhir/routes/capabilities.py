"""FHIR capabilities: what this service really does, made of the tables that do it.

http://hl7.org/fhir/R4/http.html#capabilities
"""

from typing import Any

from flask import Response

from fhir_profiles import reading
from service.fhir import blueprint, searching
from service.fhir.blueprint import TYPES, fhir

VERSION = "0.1.0"
INTERACTIONS = ("read", "vread", "update", "create", "history-instance", "search-type")


@fhir.get("/metadata")
def metadata() -> Response:
    """Return the CapabilityStatement."""
    statement = {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-24",
        "kind": "instance",
        "software": {"name": "hipway", "version": VERSION},
        "implementation": {
            "description": "hipway, a care-pathway service",
            "url": blueprint.base().rstrip("/"),
        },
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "documentation": "A visit is posted as one transaction Bundle about one patient.",
                "resource": [_resource(type_) for type_ in TYPES],
                "interaction": [{"code": "transaction"}],
            }
        ],
    }
    return blueprint.resource(reading.write(statement).decode())


def _resource(type_: str) -> dict[str, Any]:
    return {
        "type": type_,
        "interaction": [{"code": code} for code in INTERACTIONS],
        "versioning": "versioned",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalUpdate": True,
        "referencePolicy": ["literal", "logical", "local"],
        "searchParam": [
            {"name": name, "type": kind} for name, kind in sorted(searching.parameters_of(type_).items())
        ],
    }
