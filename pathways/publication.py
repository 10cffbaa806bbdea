"""A pathway as FHIR resources for others: plan, order sets, activities, Library, terminology.

The Library carries the rules as text/cql for other engines and as application/elm+json for this one.
https://hl7.org/fhir/R4/library.html
"""

import base64
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from fhir_profiles import definitions
from pathways.definition import Pathway

Json = dict[str, Any]

TYPES = {
    "Integer": "integer",
    "Decimal": "decimal",
    "Boolean": "boolean",
    "String": "string",
    "Date": "date",
    "DateTime": "dateTime",
}
LIBRARY_TYPE = "http://terminology.hl7.org/CodeSystem/library-type"


def resources(pathway: Pathway, folder: Path) -> list[Json]:
    """Return every definition of the pathway, what is referred to before what refers to it.

    Args:
        folder: from which the pathway was loaded.
    """
    plan = _read(folder / "plan_definition.json")
    activities = _read(folder / "activity_definitions.json")
    order_sets = _read(folder / "order_sets.json")
    terminology = [dict(resource) for resource in definitions.resources()]
    return [*terminology, library(pathway, folder), *activities, *order_sets, plan]


def library(pathway: Pathway, folder: Path) -> Json:
    """Return the Library resource of the pathway's rules."""
    elm = (folder / "rules.elm.json").read_bytes()
    return {
        "resourceType": "Library",
        "id": pathway.name,
        "url": pathway.url.replace("/PlanDefinition/", "/Library/"),
        "version": pathway.version,
        "name": pathway.library.name,
        "title": f"{pathway.title}: rules",
        "status": pathway.status,
        "type": {"coding": [{"system": LIBRARY_TYPE, "code": "logic-library", "display": "Logic Library"}]},
        "publisher": "hipway",
        "parameter": [
            {
                "name": name,
                "use": "in",
                "min": 1 if parameter.required else 0,
                "max": "1" if parameter.type in TYPES else "*",
                "type": TYPES.get(parameter.type, "string"),
            }
            for name, parameter in pathway.library.parameters.items()
        ],
        "content": [
            {"contentType": "text/cql", "data": _base64(pathway.cql_text.encode())},
            {"contentType": "application/elm+json", "data": _base64(elm)},
        ],
    }


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
