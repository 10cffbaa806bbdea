"""A pathway as FHIR resources for others: plan, order sets, activities, Library, terminology.

The Library carries the rules as text/cql for other engines and as application/elm+json for this one.
https://hl7.org/fhir/R4/library.html
"""

import base64
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from fhir_profiles import canonical, definitions
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
#: each names what comes before it
ORDER = ("CodeSystem", "ValueSet", "StructureDefinition", "ConceptMap", "OperationDefinition")
LIBRARY_TYPE = "http://terminology.hl7.org/CodeSystem/library-type"


def resources(pathway: Pathway, folder: Path) -> list[Json]:
    """Return every definition of the pathway, what is referred to before what refers to it.

    Args:
        folder: from which the pathway was loaded.
    """
    plan = _read(folder / "plan_definition.json")
    activities = _read(folder / "activity_definitions.json")
    order_sets = _read(folder / "order_sets.json")
    terminology = [dict(resource) for resource in sorted(definitions.resources(), key=_rank)]
    return [*terminology, library(pathway, folder), *activities, *order_sets, plan]


def library(pathway: Pathway, folder: Path) -> Json:
    """Return the Library resource of the pathway's rules.

    Id and URL end with the CQL library's name, by which other engines look for what a plan refers to.
    https://hl7.org/fhir/uv/cql/using-cql.html#libraries
    """
    elm = (folder / "rules.elm.json").read_bytes()
    return {
        "resourceType": "Library",
        "id": pathway.library.name,
        "url": f"{pathway.url.partition('/PlanDefinition/')[0]}/Library/{pathway.library.name}",
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


def _rank(resource: definitions.Json) -> tuple[int, bool, bool]:
    """Return the place of a definition: extensions first, and a profile before what is based on it."""
    derived = str(resource.get("baseDefinition", "")).startswith(canonical.BASE)
    return ORDER.index(resource["resourceType"]), resource.get("type") != "Extension", derived


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
